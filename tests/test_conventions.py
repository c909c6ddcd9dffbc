"""Each row of the table in docs/conventions.md, "Derivatives at kinks and poles"."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

ZERO = [cr.relu, cr.abs, cr.sign, cr.floor, cr.ceil, cr.round, cr.trunc]


@pytest.mark.parametrize("f", ZERO, ids=lambda f: f.__name__)
def test_kinks_at_zero(f):
    assert cr.grad(lambda x: f(x) * 1.0)(0.0).item() == 0


@pytest.mark.parametrize("f", [cr.maximum, cr.minimum], ids=lambda f: f.__name__)
def test_equal_arguments_get_half_each(f):
    assert [g.item() for g in cr.grad(f, (0, 1))(2.0, 2.0)] == [0.5, 0.5]


def test_ties_share_equally():
    tied = np.array([1.0, 3.0, 3.0])
    assert cr.grad(cr.max)(tied).tolist() == [0, 0.5, 0.5]
    assert cr.grad(cr.min)(-tied).tolist() == [0, 0.5, 0.5]
    image = np.full((1, 2, 2, 1), 3.0)
    assert cr.grad(lambda x: cr.max_pool2d(x, 2).sum())(image).tolist() == (image / 12).tolist()


def test_clip_passes_the_gradient_at_its_bounds():
    g = cr.grad(lambda x: cr.clip(x, -1.0, 1.0).sum())(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert g.tolist() == [0, 1, 1, 1, 0]


def test_norms_and_roots_where_they_are_zero():
    assert cr.grad(cr.norm)(np.zeros(3)).tolist() == [0, 0, 0]
    assert cr.grad(cr.std)(np.full(3, 0.1)).tolist() == [0, 0, 0]
    assert [g.item() for g in cr.grad(cr.hypot, (0, 1))(0.0, 0.0)] == [0, 0]
    assert cr.grad(cr.sqrt)(0.0).item() == np.inf


def test_sort_follows_the_stable_order():
    weights = np.array([1.0, 10.0, 100.0])
    assert cr.grad(lambda x: (cr.sort(x) * weights).sum())(np.array([2.0, 2.0, 1.0])).tolist() == [10, 100, 1]


def test_the_last_of_several_values_for_one_place_gets_the_gradient():
    g = cr.grad(lambda v: cr.tensor(np.zeros(2)).at[np.array([0, 0])].set(v).sum())(np.array([5.0, 7.0]))
    assert g.tolist() == [0, 1]


def test_discrete_results_cut_the_path():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    assert not (x > 1).requires_grad
    assert not cr.argmax(x).requires_grad
