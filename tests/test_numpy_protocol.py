"""NumPy's functions on tensors: the same graph, or an error that names the way out. Never objects."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DTypeError, GradientError, NotSupportedError

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
            assert getattr(part, "dtype", None) != object


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda x, w: np.tanh(x) @ w, lambda x, w: np.tanh(x) @ w),
        (lambda x, w: np.sum(x, axis=0), lambda x, w: np.sum(x, axis=0)),
        (lambda x, w: np.mean(x, 1, keepdims=True), lambda x, w: np.mean(x, 1, keepdims=True)),
        (lambda x, w: np.var(x, axis=1, ddof=1), lambda x, w: np.var(x, axis=1, ddof=1)),
        (lambda x, w: np.concatenate([x, x], 1), lambda x, w: np.concatenate([x, x], 1)),
        (lambda x, w: np.where(x > 0, x, 0.0), lambda x, w: np.where(x > 0, x, 0.0)),
        (lambda x, w: np.einsum("ij,jk->ik", x, w), lambda x, w: np.einsum("ij,jk->ik", x, w)),
        (lambda x, w: np.linalg.norm(x), lambda x, w: np.linalg.norm(x)),
        (lambda x, w: np.dot(x, w), lambda x, w: np.dot(x, w)),
        (lambda x, w: np.add.reduce(x), lambda x, w: np.add.reduce(x)),
        (lambda x, w: np.float64(2) * x, lambda x, w: np.float64(2) * x),
        (lambda x, w: np.ones(3) * x, lambda x, w: np.ones(3) * x),
        (lambda x, w: np.vstack([x, x]), lambda x, w: np.vstack([x, x])),
        (lambda x, w: np.arctan2(x, x + 2.0), lambda x, w: np.arctan2(x, x + 2.0)),
        (lambda x, w: np.clip(x, -0.5, 0.5), lambda x, w: np.clip(x, -0.5, 0.5)),
        (lambda x, w: np.pad(x, 1), lambda x, w: np.pad(x, 1)),
        (lambda x, w: np.max(x, axis=1), lambda x, w: np.max(x, axis=1)),
    ],
)
def test_numpy_code_is_differentiable(ours, theirs, rng):
    x, w = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    result = ours(cr.tensor(x), cr.tensor(w))
    assert isinstance(result, cr.Tensor)
    np.testing.assert_allclose(result.numpy(), theirs(x, w), rtol=1e-14)
    cr.check(lambda x, w: ours(x, w) * 1.0, x, w).require()


def test_what_is_not_there_names_the_way_out():
    x = cr.tensor([1.0, 2.0])
    for call in (
        lambda: np.fft.fft(x),
        lambda: np.heaviside(x, 0.5),
        lambda: np.median(x),
        lambda: np.add.accumulate(x),
    ):
        with pytest.raises(NotSupportedError) as caught:
            call()
        assert "x.numpy()" in caught.value.fix
    with pytest.raises(NotSupportedError, match="never change"):
        np.tanh(x, out=np.empty(2))
    with pytest.raises(NotSupportedError):
        np.sum(x, where=np.array([True, False]))


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
