"""Reads and writes at places that are known while compiling become copies of a part, with the same values."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler import passes
from chainrule.compiler.passes.expand import expand
from compiler.same_bits import reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 9))
LOWER = np.tril_indices(6, -1)


def names_after(f, *arrays) -> list[str]:
    """The primitives of a function after the passes; its values are the same, compiled too."""
    before = passes.run(cr.trace(f, *arrays))[0]
    after, flags = expand(before)
    after.verify()
    compiled = cr.compile(f)(*arrays)
    compiled = compiled if isinstance(compiled, tuple) else (compiled,)
    found = reference(after, arrays)[: len(after.outputs) - flags]
    for wanted, *others in zip(reference(before, arrays), found, compiled, strict=True):
        for got in others:
            np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-12, atol=1e-12)
    return [n.op.name for n in after.nodes if n.op]


def test_gradients_of_parts_are_joined():
    f = cr.grad(lambda x: cr.sum(cr.exp(x[:, :4])) + cr.sum(cr.sin(x[:, 4:])))
    names = names_after(f, X)
    assert "concat" in names
    assert not {"pad", "scatter_add"} & set(names)


@pytest.mark.parametrize("part", [np.s_[1:3], np.s_[:, 2:], np.s_[-4:-1, :3], np.s_[2:, 4:5]])
def test_the_gradient_of_a_slice_is_padded(part):
    names = names_after(cr.grad(lambda x: cr.sum(cr.exp(x[part]))), X)
    assert "pad" in names
    assert "scatter_add" not in names


@pytest.mark.parametrize("part", [np.s_[::2], np.s_[::-1], 3, (slice(None), None, slice(2, 4)), [1, 1, 4]])
def test_other_gradients_are_scattered(part):
    assert "scatter_add" in names_after(cr.grad(lambda x: cr.sum(cr.exp(x[part]))), X)


def test_parts_that_overlap_are_added():
    f = lambda x: cr.sum(cr.exp(x[:, 1:6])) + cr.sum(cr.sin(x[:, 1:6])) + cr.sum(cr.sin(x[:, 3:]))
    assert names_after(cr.grad(f), X).count("pad") >= 2


def test_what_is_read_beside_writes_is_read_of_the_array():
    square = X[:, :6]
    written = lambda x, v: x.at[np.arange(6), np.arange(6)].set(v)
    assert "index_set" not in names_after(lambda x, v: written(x, v)[LOWER], square, X[0, :6])
    assert "index_set" not in names_after(lambda x, v: written(x, v)[2, 3:], square, X[0, :6])
    assert "index_set" in names_after(lambda x, v: written(x, v)[2, 2:], square, X[0, :6])
    assert "index_set" in names_after(lambda x, v, i: written(x, v)[i, 0], square, X[0, :6], np.array([2, 0]))


def test_a_factor_with_its_own_diagonal_gives_gradients_without_scattering():
    rows, columns = LOWER
    n = len(rows)

    def f(values):
        factor = cr.zeros((6, 6)).at[rows, columns].set(values[6:])
        return cr.sum(cr.square(factor.at[np.arange(6), np.arange(6)].set(cr.exp(values[:6])) @ X))

    names = names_after(cr.grad(f), RNG.normal(size=6 + n))
    assert names.count("index_set") == 2  # of the factor itself
    assert "scatter_add" not in names
