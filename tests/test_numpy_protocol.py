"""NumPy's functions on tensors: the same graph, or an error that names the way out. Never objects."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DTypeError, GradientError, NotSupportedError

NO_COUNTERPART = {
    "bitwise_count",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "copysign",
    "fmod",
    "frexp",
    "gcd",
    "heaviside",
    "isnat",
    "lcm",
    "ldexp",
    "left_shift",
    "logaddexp2",
    "modf",
    "nextafter",
    "right_shift",
    "signbit",
    "spacing",
}
ONLY_BOOLEANS = {
    "bitwise_and",
    "bitwise_invert",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "invert",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
}
UFUNCS = sorted(name for name in dir(np) if isinstance(getattr(np, name), np.ufunc))


@pytest.mark.parametrize("name", UFUNCS)
def test_every_ufunc_gives_a_tensor_or_a_typed_error(name):
    ufunc = getattr(np, name)
    x = cr.tensor(np.full((2, 2), 1.5 if "cosh" in name else 0.5))
    if name in NO_COUNTERPART | ONLY_BOOLEANS:
        with pytest.raises(NotSupportedError if name in NO_COUNTERPART else DTypeError) as caught:
            ufunc(*[x] * ufunc.nin)
        assert caught.value.fix
        return
    result = ufunc(*[x] * ufunc.nin)
    expected = ufunc(*[x.numpy()] * ufunc.nin)
    pairs = zip(result, expected, strict=True) if ufunc.nout > 1 else [(result, expected)]
    for got, want in pairs:
        assert isinstance(got, cr.Tensor)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-14)


def public_functions():
    for space, label in ((np, "np"), (np.linalg, "np.linalg"), (np.fft, "np.fft")):
        for name in sorted(space.__all__):
            function = getattr(space, name)
            if type(function).__name__ == "_ArrayFunctionDispatcher":
                yield pytest.param(function, id=f"{label}.{name}")


def arguments(x):
    square = cr.tensor(np.array([[2.0, 0.5], [0.5, 1.0]]))
    return [
        (square,),
        (square, square),
        (square, 1),
        (square, (1, 0)),
        ([square, square],),
        ((2, 2), square),
        (square, 0, 0),
    ]


@pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning")  # of np.fft itself
@pytest.mark.parametrize("function", list(public_functions()))
def test_no_function_falls_back_to_objects(function):
    """Whatever NumPy function is called on a tensor: a result without objects, or an error."""
    for given in arguments(cr.tensor(np.eye(2))):
        try:
            result = function(*given)
        except (ChainruleError, TypeError, ValueError, IndexError, AttributeError):
            continue
        for part in result if isinstance(result, (tuple, list)) else (result,):
            assert getattr(getattr(part, "dtype", None), "kind", "f") != "O"


SAME = [
    lambda x, w: np.tanh(x) @ w,
    lambda x, w: np.sum(x, axis=0),
    lambda x, w: np.sum(x, (0, 1), keepdims=True),
    lambda x, w: np.sum(x, 1, None, None),
    lambda x, w: np.mean(x, 1, keepdims=True),
    lambda x, w: np.mean(x, axis=(0, 1)),
    lambda x, w: np.prod(x, -1),
    lambda x, w: np.max(x, axis=1),
    lambda x, w: np.amin(x, 0),
    lambda x, w: np.var(x, axis=1, ddof=1),
    lambda x, w: np.std(x, ddof=1),
    lambda x, w: np.std(x, 0, correction=1, keepdims=True),
    lambda x, w: np.cumsum(x),
    lambda x, w: np.cumprod(x, 1),
    lambda x, w: np.cumulative_sum(x, axis=1, include_initial=True),
    lambda x, w: np.add.reduce(x),
    lambda x, w: np.add.reduce(x, axis=None),
    lambda x, w: np.multiply.reduce(x, 1, keepdims=True),
    lambda x, w: np.maximum.reduce(x, axis=(0, 1)),
    lambda x, w: np.sort(x, axis=None),
    lambda x, w: np.sort(x, 0, kind="stable"),
    lambda x, w: np.take(x, [2, 0], axis=1),
    lambda x, w: np.take(x, [5, 0]),
    lambda x, w: np.take_along_axis(x, np.array([[1], [0]]), axis=1),
    lambda x, w: np.take_along_axis(x, np.array([4, 0]), axis=None),
    lambda x, w: np.ravel(x),
    lambda x, w: np.reshape(x, (3, -1)),
    lambda x, w: np.transpose(x, axes=(1, 0)),
    lambda x, w: np.swapaxes(a=x, axis1=0, axis2=1),
    lambda x, w: np.moveaxis(x, source=0, destination=1),
    lambda x, w: np.expand_dims(x, (0, -1)),
    lambda x, w: np.squeeze(np.expand_dims(x, 1), axis=1),
    lambda x, w: np.broadcast_to(x, shape=(4, 2, 3)),
    lambda x, w: np.broadcast_arrays(x, w[:, 0])[1],
    lambda x, w: np.concatenate([x, x], 1),
    lambda x, w: np.concatenate([x, w], axis=None),
    lambda x, w: np.stack([x, np.ones((2, 3))], axis=-1),
    lambda x, w: np.vstack([x, x[0], np.ones(3)]),
    lambda x, w: np.hstack([x, np.ones((2, 1))]),
    lambda x, w: np.hstack([x[0, 0], x[0]]),
    lambda x, w: np.column_stack([x[0], np.arange(3.0), w]),
    lambda x, w: np.split(x, [1], axis=1)[1],
    lambda x, w: np.unstack(x, axis=1)[2],
    lambda x, w: np.pad(x, 1),
    lambda x, w: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0),
    lambda x, w: np.flip(x, 1),
    lambda x, w: np.roll(x, (1, 2), axis=(0, 1)),
    lambda x, w: np.repeat(x, 2),
    lambda x, w: np.tile(x, reps=(2, 1)),
    lambda x, w: np.tril(x, 1),
    lambda x, w: np.triu(x, k=1),
    lambda x, w: np.diagonal(x, 1),
    lambda x, w: np.diagonal(np.stack([x, x, 2 * x, x])),  # of the first two axes
    lambda x, w: np.linalg.diagonal(np.stack([x, x, 2 * x, x]), offset=1),
    lambda x, w: np.trace(np.stack([x, x, 2 * x, x]), -1),
    lambda x, w: np.linalg.trace(np.stack([x, x, 2 * x, x])),
    lambda x, w: np.where(x > 0, x, 0.0),
    lambda x, w: np.clip(x, -0.5, 0.5),
    lambda x, w: np.clip(x, None, 0.5),
    lambda x, w: np.clip(x, min=0.1),
    lambda x, w: np.nan_to_num(np.where(x > 0, x, np.nan), nan=7.0),
    lambda x, w: np.nan_to_num(np.where(x > 0, x, np.inf), posinf=7.0),
    lambda x, w: np.round(0.0 * x + np.array([0.126, -0.3, 1.444]), 2) + x,
    lambda x, w: np.around(0.0 * x + np.array([126.0, -14.0, 8.0]), -1) + x,
    lambda x, w: np.einsum("ij,jk->ik", x, w),
    lambda x, w: np.einsum("ij,jk,kl->il", x, w, x, optimize="greedy"),
    lambda x, w: np.tensordot(x, w, 1),
    lambda x, w: np.tensordot(x, w, axes=([0], [1])),
    lambda x, w: np.dot(x, w),
    lambda x, w: np.dot(x, w[:, 0]),
    lambda x, w: np.dot(np.stack([x, x]), np.stack([w, w])),
    lambda x, w: np.vdot(x, w),
    lambda x, w: np.inner(x, w.T),
    lambda x, w: np.outer(x, w),
    lambda x, w: np.vecdot(x, x + 1.0),
    lambda x, w: np.matvec(x, w.T),
    lambda x, w: np.matvec(x, w[:, 0]),
    lambda x, w: np.vecmat(x, np.stack([w, 2 * w])),
    lambda x, w: np.vecmat(x[0], w),
    lambda x, w: np.linalg.norm(x),
    lambda x, w: np.linalg.norm(x, axis=1, keepdims=True),
    lambda x, w: np.linalg.norm(x, 1, axis=(0, 1)),
    lambda x, w: np.linalg.vector_norm(x, axis=0, ord=3),
    lambda x, w: np.linalg.inv(x @ w + 9 * np.eye(2)),
    lambda x, w: np.linalg.solve(x @ w + 9 * np.eye(2), x),
    lambda x, w: np.linalg.det(x @ w),
    lambda x, w: np.linalg.slogdet(x @ w).logabsdet,
    lambda x, w: np.linalg.cholesky(x @ x.T + np.eye(2)),
    lambda x, w: np.ones_like(x) * x + np.zeros_like(w.T) + np.full_like(x, 2.0),
    lambda x, w: np.float64(2) * x,
    lambda x, w: np.ones(3) * x,
    lambda x, w: np.arctan2(x, x + 2.0),
    lambda x, w: np.fmax(x, np.array([np.nan, 0.3, np.nan])),
    lambda x, w: np.fmin(np.array([np.nan, 0.3, 0.1]), x),
    lambda x, w: np.hypot(x, 1.0) + np.deg2rad(x) + np.fabs(x) + np.float_power(np.fabs(x), 2),
]


@pytest.mark.parametrize("compute", SAME)
def test_the_same_result_as_on_arrays_and_its_gradient(compute, rng):
    x, w = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    result, expected = compute(cr.tensor(x), cr.tensor(w)), compute(x, w)
    assert isinstance(result, cr.Tensor) and result.dtype == expected.dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-15)
    cr.check(lambda x, w: compute(x, w) + 0.0 * (x.sum() + w.sum()), x, w).require()


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: np.argsort(x, kind="stable"),
        lambda x: np.argsort(x, None),
        lambda x: np.argmax(x, 1, keepdims=True),
        lambda x: np.count_nonzero(x, axis=0),
        lambda x: np.all(x, 1),
        lambda x: np.logical_or.reduce(x, axis=None),
        lambda x: np.isfinite(x),
        lambda x: np.where(x)[1],
        lambda x: np.nonzero(x)[0],
        lambda x: np.sum(np.isnan(x)),
        lambda x: np.mean(x, dtype=np.float32),
        lambda x: np.sum(x, dtype=np.float32),
        lambda x: np.concatenate([x, x], dtype=np.float32),
        lambda x: np.zeros_like(x, np.int64),
        lambda x: np.rint(np.zeros_like(x, dtype=int)),
        lambda x: np.round(np.ones_like(x, dtype=int), 2),
        lambda x: np.nan_to_num(np.ones_like(x, dtype=int)),
        lambda x: np.fmax(np.ones_like(x, dtype=int), 2),
    ],
)
def test_the_same_result_as_on_arrays_where_there_is_no_gradient(compute, rng):
    x = rng.normal(size=(2, 3))
    result, expected = compute(cr.tensor(x)), compute(x)
    assert isinstance(result, cr.Tensor) and result.dtype == expected.dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


def test_what_asks_for_no_tensor_gives_none():
    x = cr.tensor(np.eye(2, 3))
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    assert np.allclose(x, b=x) and np.array_equal(x, np.eye(2, 3))
    assert not np.isclose(x, 0.0).all()


def test_what_is_not_there_names_the_way_out():
    x = cr.tensor([1.0, 2.0])
    for call in (
        lambda: np.fft.fft(x),
        lambda: np.heaviside(x, 0.5),
        lambda: np.median(x),
        lambda: np.add.accumulate(x),
        lambda: np.interp(0.5, x, x),
        lambda: np.linspace(x, x, 3),
        lambda: np.sum(x, where=np.array([True, False])),
        lambda: np.reshape(x, (2, 1), order="F"),
        lambda: np.take(x, [5], mode="wrap"),
        lambda: np.max(x, initial=0.0),
        lambda: np.add(x, 1.0, dtype=np.float32),
        lambda: np.ones_like(x, shape=(3,)),
    ):
        with pytest.raises(NotSupportedError) as caught:
            call()
        assert "x.numpy()" in caught.value.fix
    with pytest.raises(NotSupportedError, match="never change"):
        np.tanh(x, out=np.empty(2))
    with pytest.raises(NotSupportedError, match="never change"):
        np.sum(x, out=np.empty(()))
    with pytest.raises(NotSupportedError, match="at most 3 arguments by position, got 5"):
        np.sum(x, 0, None, None, True)
    with pytest.raises(NotSupportedError, match="mode='edge'"):
        np.pad(x, 1, mode="edge")
    with pytest.raises(NotSupportedError, match=r"decimals=-1\) with a tensor of int64"):
        np.round(cr.tensor([15]), -1)
    with pytest.raises(ArgumentError, match="x without y"):
        np.where(x > 0, x)


def test_no_gradient_is_lost_silently():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for call in (lambda: np.asarray(x), lambda: np.array([x, x]), lambda: np.save("/dev/null", x)):
        try:
            result = call()
        except GradientError:
            continue
        assert result is None
    buffer = np.zeros(2)
    with pytest.raises(ChainruleError):
        buffer[:] = x
