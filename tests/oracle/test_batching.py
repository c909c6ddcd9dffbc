"""vmap against torch.func.vmap: values, gradients of each sample, Jacobians, nested and along other axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import chainrule as cr

RNG = np.random.default_rng(0)
X, W, K = RNG.normal(size=(6, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=(6, 2, 3, 3, 3))
IMAGES = RNG.normal(size=(6, 3, 5, 5))


def same(found, expected):
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)


def networks():
    return (
        lambda w, x: (cr.tanh(x @ w) ** 2).mean(),
        lambda w, x: (torch.tanh(x @ w) ** 2).mean(),
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_each_sample(compiled):
    ours, theirs = networks()
    f = cr.vmap(cr.grad(ours), in_axes=(None, 0))
    expected = torch.func.vmap(torch.func.grad(theirs), in_dims=(None, 0))(torch.tensor(W), torch.tensor(X))
    same((cr.compile(f) if compiled else f)(W, X), expected)


def test_hessians_of_each_sample():
    ours, theirs = networks()
    expected = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(theirs, 1), 1), in_dims=(None, 0))(
        torch.tensor(W), torch.tensor(X)
    )
    same(cr.vmap(cr.hessian(ours, 1), in_axes=(None, 0))(W, X), expected)


def test_jacobians_along_another_axis():
    expected = torch.func.vmap(
        torch.func.jacrev(lambda x: torch.sin(x @ torch.tensor(W))), in_dims=1, out_dims=2
    )
    found = cr.vmap(cr.jacobian(lambda x: cr.sin(x @ W)), in_axes=1, out_axes=2)
    same(found(X.T.copy()), expected(torch.tensor(X.T.copy())))


@pytest.mark.parametrize(("images", "kernels"), [(0, None), (None, 0), (0, 0)])
def test_convolutions(images, kernels):
    """Kernels that differ from item to item become groups, or channels; and their gradients."""
    x, w = IMAGES if images == 0 else IMAGES[0], K if kernels == 0 else K[0]

    def ours(x, w):
        y = cr.conv2d(
            cr.permute_dims(x[None], (0, 2, 3, 1)), cr.permute_dims(w, (2, 3, 1, 0)), stride=2, padding=1
        )
        return (cr.permute_dims(y, (0, 3, 1, 2)) ** 3).sum()

    def theirs(x, w):
        return (torch.nn.functional.conv2d(x[None], w, stride=2, padding=1) ** 3).sum()

    found = cr.vmap(cr.grad(ours, (0, 1)), in_axes=(images, kernels))(x, w)
    expected = torch.func.vmap(torch.func.grad(theirs, (0, 1)), in_dims=(images, kernels))
    for g, e in zip(found, expected(torch.tensor(x), torch.tensor(w)), strict=True):
        same(g, e)


@pytest.mark.parametrize(("table", "rows"), [(None, 0), (0, None), (0, 0)])
def test_lookups(table, rows):
    values, places = RNG.normal(size=(4, 5, 3)), RNG.integers(0, 5, (4, 7))
    values, places = values if table == 0 else values[0], places if rows == 0 else places[0]
    f = cr.vmap(cr.grad(lambda t, i: (t[i] ** 2).sum()), in_axes=(table, rows))
    g = torch.func.vmap(torch.func.grad(lambda t, i: (t[i] ** 2).sum()), in_dims=(table, rows))
    same(f(values, places), g(torch.tensor(values), torch.tensor(places)))


def test_linear_algebra():
    a = RNG.normal(size=(5, 3, 3)) + 4 * np.eye(3)
    b = RNG.normal(size=(5, 3, 2))
    for axes in ((0, 0), (None, 0), (0, None)):
        given = a if axes[0] == 0 else a[0], b if axes[1] == 0 else b[0]
        ours = cr.vmap(lambda a, b: cr.solve(a, b) * cr.linalg.det(a), in_axes=axes)(*given)
        theirs = torch.func.vmap(lambda a, b: torch.linalg.solve(a, b) * torch.linalg.det(a), in_dims=axes)
        same(ours, theirs(*map(torch.tensor, given)))
