"""First weights have the spread of their papers, and depend on the key alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import DTypeError, ShapeError

KEY = cr.random.key(0)
VARIANCES = {
    nn.he_normal: lambda fan_in, fan_out: 2 / fan_in,
    nn.he_uniform: lambda fan_in, fan_out: 2 / fan_in,
    nn.glorot_normal: lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    nn.glorot_uniform: lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    nn.lecun_normal: lambda fan_in, fan_out: 1 / fan_in,
    nn.lecun_uniform: lambda fan_in, fan_out: 1 / fan_in,
}
UNIFORM = [nn.he_uniform, nn.glorot_uniform, nn.lecun_uniform]


@pytest.mark.parametrize("initializer", VARIANCES, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("shape", "fans"), [((500, 300), (500, 300)), ((3, 3, 64, 128), (9 * 64, 9 * 128))], ids=str
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_variance_and_mean(initializer, shape, fans, dtype):
    weight = initializer(KEY, shape, dtype).numpy()
    expected = VARIANCES[initializer](*fans)
    assert weight.shape == shape and weight.dtype == dtype
    np.testing.assert_allclose(weight.var(), expected, rtol=0.02)
    assert abs(weight.mean()) < 5 * math.sqrt(expected / weight.size)
    if initializer in UNIFORM:
        limit = math.sqrt(3 * expected)
        assert 0.999 * limit < abs(weight).max() <= limit * (1 + 1e-6)
    else:
        assert abs(weight).max() > 4 * math.sqrt(expected)


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8), (3, 3, 2, 4), (3, 3, 2, 40)], ids=str)
def test_orthogonal_matrices_change_no_lengths(shape):
    weight = nn.orthogonal(KEY, shape, np.float64).numpy().reshape(-1, shape[-1])
    rows, columns = weight.shape
    product = weight.T @ weight if rows >= columns else weight @ weight.T
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-14)


def test_orthogonal_matrices_are_equally_likely():
    """Of all rotations and reflections none is preferred: each element has mean 0 and variance 1 / n."""
    draws = np.array([nn.orthogonal(key, (3, 3)).numpy() for key in cr.random.split(KEY, 2000)])
    assert abs(draws.mean(0)).max() < 5 / math.sqrt(3 * 2000)
    np.testing.assert_allclose(draws.var(0), 1 / 3, rtol=0.1)


@pytest.mark.parametrize("initializer", [*VARIANCES, nn.orthogonal], ids=lambda f: f.__name__)
def test_the_key_alone_decides(initializer):
    a, b = initializer(KEY, (4, 3)), initializer(cr.random.key(1), (4, 3))
    np.testing.assert_array_equal(a.numpy(), initializer(cr.random.key(0), (4, 3)).numpy())
    assert (a.numpy() != b.numpy()).all() and a.dtype == cr.float32


@pytest.mark.parametrize("initializer", [*VARIANCES, nn.orthogonal], ids=lambda f: f.__name__)
def test_what_is_no_weight(initializer):
    with pytest.raises(ShapeError, match=r"expected the shape of a weight, .* got \(3,\)"):
        initializer(KEY, (3,))
    with pytest.raises(ShapeError, match=r"got \(0, 3\)"):
        initializer(KEY, (0, 3))
    with pytest.raises(DTypeError, match="int64"):
        initializer(KEY, (2, 3), cr.int64)


@pytest.mark.parametrize("initializer", [*VARIANCES, nn.orthogonal], ids=lambda f: f.__name__)
def test_layers_take_them(initializer):
    linear = nn.Linear(4, 3, key=KEY, initializer=initializer)
    np.testing.assert_array_equal(linear.weight.numpy(), initializer(KEY, (4, 3)).numpy())
    conv = nn.Conv2d(2, 3, 3, key=KEY, initializer=initializer, dtype=cr.float64)
    np.testing.assert_array_equal(conv.weight.numpy(), initializer(KEY, (3, 3, 2, 3), cr.float64).numpy())
