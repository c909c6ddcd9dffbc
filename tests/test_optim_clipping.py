"""Clipped gradients: by their common norm and by value, eager, traced and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, DTypeError, OperandError

DESCENT = optim.gradient_descent(1.0)
GRADIENTS = st.lists(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4),
        elements=st.floats(-1e6, 1e6),
    ),
    min_size=1,
    max_size=4,
)


def clipped(optimizer: optim.Optimizer, gradients: Any) -> list[np.ndarray]:
    """What is left of the gradients: an update of zeros by gradient descent shows them."""
    zeros = [np.zeros_like(g) for g in gradients]
    new, _ = optimizer.update(gradients, optimizer.init(zeros), zeros)
    return [-p.numpy() for p in new]


def traced(optimizer: optim.Optimizer, gradients: Any) -> list[np.ndarray]:
    zeros = [np.zeros_like(g) for g in gradients]
    graph = cr.trace(
        lambda gradients: optimizer.update(gradients, optimizer.init(zeros), zeros)[0], gradients
    )
    return [-v for v in graph.verify().evaluate(*gradients)]


@given(GRADIENTS, st.floats(1e-3, 1e3))
def test_by_norm(gradients: list[np.ndarray], limit: float):
    """Algorithm 1 of the paper: scaled as one vector, only where it is too long."""
    whole = np.concatenate([g.ravel() for g in gradients])
    norm = np.linalg.norm(whole)
    factor = limit / norm if norm >= limit else 1.0
    for compute in (clipped, traced):
        found = np.concatenate([g.ravel() for g in compute(optim.clip_by_norm(DESCENT, limit), gradients)])
        np.testing.assert_allclose(found, factor * whole, rtol=1e-12)
        assert np.linalg.norm(found) <= limit * (1 + 1e-12)
        if norm < limit:
            assert (found == whole).all()
    assert optim.global_norm(gradients).item() == pytest.approx(norm, rel=1e-12)


@given(GRADIENTS, st.floats(1e-3, 1e3))
def test_by_value(gradients: list[np.ndarray], limit: float):
    for compute in (clipped, traced):
        for given_, found in zip(
            gradients, compute(optim.clip_by_value(DESCENT, limit), gradients), strict=True
        ):
            assert (found == np.where(abs(given_) > limit, np.sign(given_) * limit, given_)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("compute", [clipped, traced])
def test_a_norm_that_is_not_finite_shows_everywhere(bad: float, compute: Any):
    gradients = [np.ones(3, np.float32), np.array([1.0, bad], np.float32), np.ones((), np.float32)]
    for g in compute(optim.clip_by_norm(DESCENT, 1.0), gradients):
        assert np.isnan(g).all()
    by_value = compute(optim.clip_by_value(DESCENT, 0.5), gradients)
    assert by_value[0].tolist() == [0.5] * 3
    np.testing.assert_array_equal(by_value[1], np.float32([0.5, np.clip(bad, -0.5, 0.5)]))


@pytest.mark.parametrize("compute", [clipped, traced])
def test_large_gradients_of_float32_are_what_clipping_is_for(compute: Any):
    """Their squares are beyond float32."""
    gradients = [np.full(3, 3e30, np.float32), np.float32([-4e30, 0.0])]
    found = compute(optim.clip_by_norm(DESCENT, 1.0), gradients)
    whole = np.array([3.0, 3, 3, -4, 0]) / np.sqrt(43)
    np.testing.assert_allclose(np.concatenate(found), whole, rtol=1e-6)
    assert all(g.dtype == np.float32 for g in found)


def test_nothing_changes_but_the_gradients():
    for optimizer in (optim.adam(0.1), optim.nesterov(0.1, weight_decay=0.1, decays="b")):
        wrapped = optim.clip_by_norm(optimizer, 5.0)
        assert (wrapped.name, wrapped.kept) == (optimizer.name, optimizer.kept)
        params = {"a": cr.tensor([1.0, 2.0], requires_grad=True), "b": cr.tensor(np.float32(3))}
        gradients = {"a": np.array([30.0, 0.0]), "b": np.float32(40)}
        tenth = {"a": np.array([3.0, 0.0]), "b": np.float32(4)}
        found, state = wrapped.update(gradients, wrapped.init(params), params)
        expected, other = optimizer.update(tenth, optimizer.init(params), params)
        for name, p in expected.items():
            np.testing.assert_allclose(found[name].numpy(), p.numpy(), rtol=1e-6)
            assert (found[name].dtype, found[name].requires_grad) == (p.dtype, p.requires_grad)
        assert set(state) == set(other) and state["updates"].item() == 1
        optimizer.update(gradients, state, params)  # the state fits either


def test_the_last_one_clips_first():
    gradients = [np.array([30.0, 4.0])]
    by_value_first = optim.clip_by_value(optim.clip_by_norm(DESCENT, 1.0), 3.0)
    np.testing.assert_allclose(clipped(by_value_first, gradients)[0], np.array([3.0, 3.0]) / np.sqrt(18))
    by_norm_first = optim.clip_by_norm(optim.clip_by_value(DESCENT, 0.5), 1.0)
    np.testing.assert_allclose(clipped(by_norm_first, gradients)[0], [0.5, 4 / np.hypot(30, 4)])
    assert by_norm_first.settings["clipping"] == [{"by": "norm", "limit": 1.0}, {"by": "value", "limit": 0.5}]
    assert "clipping" not in DESCENT.settings


def test_decay_is_added_after_clipping():
    optimizer = optim.clip_by_norm(optim.gradient_descent(1.0, weight_decay=0.25), 1.0)
    new, _ = optimizer.update([np.array(8.0)], optimizer.init([2.0]), [2.0])
    assert new[0].item() == 2.0 - 1.0 - 0.5


def test_mixed_dtypes_keep_theirs():
    gradients = [np.array([3.0]), np.float32([4.0])]
    found = clipped(optim.clip_by_norm(DESCENT, 1.0), gradients)
    assert [g.dtype.name for g in found] == ["float64", "float32"]
    np.testing.assert_allclose(np.concatenate(found), [0.6, 0.8], rtol=1e-7)


def test_what_cannot_clip():
    with pytest.raises(OperandError, match="clip_by_norm: expected an optimizer, got dict") as caught:
        optim.clip_by_norm({"w": np.ones(3)}, 1.0)
    assert "cr.optim.clip_by_norm(cr.optim.adam(0.001), 1.0)" in caught.value.fix
    for clip in (optim.clip_by_norm, optim.clip_by_value):
        with pytest.raises(OperandError, match="expected an optimizer, got function"):
            clip(optim.adam, 1.0)
        for limit in (0, -1, np.nan, np.inf):
            with pytest.raises(ArgumentError, match=f"{clip.__name__}: limit must be above 0 and finite"):
                clip(DESCENT, limit)
        with pytest.raises(ArgumentError, match=f"{clip.__name__}: limit must be a number, got str"):
            clip(DESCENT, "1")
    with pytest.raises(ArgumentError, match="global_norm: there are no gradients"):
        optim.global_norm([])
    with pytest.raises(DTypeError, match=r"global_norm: w\.0 is int64\[2\]: expected floats"):
        optim.global_norm({"b": 1.0, "w": [np.arange(2)]})
