"""What is computed within no_grad has no derivative, wherever the function is traced and built again."""

import numpy as np
import pytest

import chainrule as cr

X = np.array([0.3, -1.2, 2.0])


def cut(x):
    with cr.no_grad():
        a = cr.tanh(x) * 2.0
    return (a * x).sum()


ONCE = 2.0 * np.tanh(X)
"""The gradient of ``cut``: that of ``a`` is not part of it."""

WAYS = {
    "alone": lambda x: cut(x),
    "vmap": lambda x: cr.vmap(cut)(x[None]).sum(),
    "checkpoint": lambda x: cr.checkpoint(cut)(x),
    "nested checkpoints": lambda x: cr.checkpoint(lambda x: cr.checkpoint(cut)(x))(x),
    "vmap of checkpoint": lambda x: cr.vmap(cr.checkpoint(cut))(x[None]).sum(),
    "scan": lambda x: cr.scan(lambda carry, x: (carry + cut(x), None), 0.0, x[None])[0],
    "scan with checkpoints": lambda x: cr.scan(lambda c, x: (c + cut(x), None), 0.0, x[None], checkpoint=1)[
        0
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_derivatives_stop(way):
    f = WAYS[way]
    for gradient in (cr.grad(f), cr.compile(cr.grad(f)), cr.jacobian(f, order="forward"), cr.jacobian(f)):
        np.testing.assert_allclose(gradient(X).numpy(), ONCE, rtol=1e-14)
    x = cr.tensor(X, requires_grad=True)
    f(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), ONCE, rtol=1e-14)


def test_of_each_item():
    rows = np.stack([X, 2 * X])
    np.testing.assert_allclose(cr.vmap(cr.grad(cut))(rows).numpy(), 2.0 * np.tanh(rows), rtol=1e-14)
