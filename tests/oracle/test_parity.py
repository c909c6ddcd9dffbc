"""Functions of elements, reductions, scans and linear algebra, against torch: values, gradients of two orders."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import chainrule as cr
from oracle.parity import ABOVE_ONE, ANY, POSITIVE, SHAPES_1, SHAPES_2, UNIT, Range, assert_parity, draw

UNARY = {
    "negative": (ANY, torch.neg),
    "abs": (ANY, torch.abs),
    "sign": (ANY, torch.sign),
    "square": (ANY, torch.square),
    "reciprocal": (POSITIVE, torch.reciprocal),
    "floor": (ANY, torch.floor),
    "ceil": (ANY, torch.ceil),
    "trunc": (ANY, torch.trunc),
    "round": (ANY, torch.round),
    "exp": (ANY, torch.exp),
    "exp2": (ANY, torch.exp2),
    "expm1": (ANY, torch.expm1),
    "log": (POSITIVE, torch.log),
    "log1p": (POSITIVE, torch.log1p),
    "log2": (POSITIVE, torch.log2),
    "log10": (POSITIVE, torch.log10),
    "sqrt": (POSITIVE, torch.sqrt),
    "sin": (ANY, torch.sin),
    "cos": (ANY, torch.cos),
    "tan": (UNIT, torch.tan),
    "asin": (UNIT, torch.asin),
    "acos": (UNIT, torch.acos),
    "atan": (ANY, torch.atan),
    "sinh": (ANY, torch.sinh),
    "cosh": (ANY, torch.cosh),
    "tanh": (ANY, torch.tanh),
    "asinh": (ANY, torch.asinh),
    "acosh": (ABOVE_ONE, torch.acosh),
    "atanh": (UNIT, torch.atanh),
    "sigmoid": (Range(-30, 30), torch.sigmoid),
    "erf": (Range(-4, 4), torch.erf),
    "erfc": (Range(-4, 4), torch.erfc),
    "positive": (ANY, torch.positive),
    "softplus": (Range(-15, 15), torch.nn.functional.softplus),
    "relu": (ANY, torch.relu),
    "leaky_relu": (ANY, torch.nn.functional.leaky_relu),
    "elu": (ANY, torch.nn.functional.elu),
    "gelu": (Range(-4, 4), torch.nn.functional.gelu),
    "silu": (Range(-9, 9), torch.nn.functional.silu),
    "log_sigmoid": (Range(-30, 30), torch.nn.functional.logsigmoid),
}
BINARY = {
    "add": (ANY, ANY, torch.add),
    "subtract": (ANY, ANY, torch.sub),
    "multiply": (ANY, ANY, torch.mul),
    "divide": (ANY, POSITIVE, torch.div),
    "remainder": (ANY, POSITIVE, torch.remainder),
    "power": (POSITIVE, ANY, torch.pow),
    "maximum": (ANY, ANY, torch.maximum),
    "minimum": (ANY, ANY, torch.minimum),
    "atan2": (ANY, POSITIVE, torch.atan2),
    "logaddexp": (ANY, ANY, torch.logaddexp),
    "hypot": (ANY, POSITIVE, torch.hypot),
}
COMPARE = ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype, rng):
    where, theirs = UNARY[name]
    for shape in SHAPES_1:
        assert_parity(getattr(cr, name), theirs, [draw(rng, where, shape, dtype)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype, rng):
    left, right, theirs = BINARY[name]
    for a, b in SHAPES_2:
        assert_parity(getattr(cr, name), theirs, [draw(rng, left, a, dtype), draw(rng, right, b, dtype)])


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons(name, rng):
    theirs = getattr(
        torch,
        {
            "less": "lt",
            "less_equal": "le",
            "greater": "gt",
            "greater_equal": "ge",
            "equal": "eq",
            "not_equal": "ne",
        }[name],
    )
    for a, b in SHAPES_2:
        for dtype in (np.float64, np.int64):
            assert_parity(
                getattr(cr, name),
                theirs,
                [draw(rng, ANY, a, dtype), draw(rng, ANY, b, dtype)],
                gradients=False,
            )


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "floor_divide", "remainder", "maximum", "minimum"]
)
def test_integers(name, rng):
    theirs = {
        "add": torch.add,
        "subtract": torch.sub,
        "multiply": torch.mul,
        "floor_divide": torch.floor_divide,
        "remainder": torch.remainder,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
    }[name]
    for dtype in (np.int32, np.int64):
        for a, b in SHAPES_2:
            x, y = rng.integers(-9, 9, a), rng.integers(1, 9, b)
            assert_parity(
                getattr(cr, name), theirs, [np.asarray(x, dtype), np.asarray(y, dtype)], gradients=False
            )


REDUCTIONS = {
    "sum": lambda x, axis, keep: torch.sum(x, axis, keep) if axis is not None else torch.sum(x),
    "mean": lambda x, axis, keep: torch.mean(x, axis, keep) if axis is not None else torch.mean(x),
    "logsumexp": lambda x, axis, keep: torch.logsumexp(
        x, axis if axis is not None else tuple(range(x.ndim)), keep and axis is not None
    ),
    "var": lambda x, axis, keep: torch.var(x, axis, correction=0, keepdim=keep and axis is not None),
    "std": lambda x, axis, keep: torch.std(x, axis, correction=0, keepdim=keep and axis is not None),
    "max": lambda x, axis, keep: torch.amax(
        x, axis if axis is not None else tuple(range(x.ndim)), keep and axis is not None
    ),
    "min": lambda x, axis, keep: torch.amin(
        x, axis if axis is not None else tuple(range(x.ndim)), keep and axis is not None
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype, rng):
    for shape, axis, keep in [
        ((3, 4), None, False),
        ((3, 4), 0, False),
        ((3, 4), -1, True),
        ((2, 3, 4), (0, 2), True),
        ((5,), 0, False),
    ]:
        assert_parity(
            lambda x, axis=axis, keep=keep: getattr(cr, name)(
                x, axis=axis, keepdims=keep and axis is not None
            ),
            lambda x, axis=axis, keep=keep: REDUCTIONS[name](x, axis, keep),
            [draw(rng, ANY, shape, dtype)],
        )


EMPTY = [((0,), None), ((0,), 0), ((0, 3), 0), ((3, 0), 1), ((3, 0), 0), ((2, 0, 3), (0, 1))]


@pytest.mark.parametrize("name", [*REDUCTIONS, "prod", "all", "any", "count_nonzero"])
def test_reductions_of_empty_arrays(name):
    """What torch computes of nothing, we compute; what it refuses (the maximum of nothing), we refuse."""
    for shape, axis in EMPTY:
        if name in REDUCTIONS:
            theirs = lambda x, axis=axis: REDUCTIONS[name](x, axis, False)
        elif axis is None:
            theirs = getattr(torch, name)
        elif name == "prod" and isinstance(axis, tuple):
            continue  # one axis only in torch
        else:
            theirs = lambda x, axis=axis: getattr(torch, name)(x, axis)
        x = np.zeros(shape)
        ours = lambda x, axis=axis: getattr(cr, name)(x, axis=axis)
        try:
            with warnings.catch_warnings():  # torch warns of the variance of nothing
                warnings.simplefilter("ignore")
                theirs(torch.tensor(x))
        except (IndexError, RuntimeError):
            with pytest.raises(cr.errors.ChainruleError):
                ours(x)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            differentiable = name not in ("all", "any", "count_nonzero")
            assert_parity(ours, theirs, [x], gradients=differentiable, order=1)


@pytest.mark.parametrize("name", ["all", "any", "count_nonzero"])
def test_counts(name, rng):
    for dtype in (np.bool_, np.int64, np.float64):
        x = rng.integers(0, 2, (3, 4, 2)).astype(dtype)
        assert_parity(getattr(cr, name), getattr(torch, name), [x], gradients=False)
        for axis in (0, -1, (0, 2)):
            assert_parity(
                lambda x, a=axis: getattr(cr, name)(x, axis=a),
                lambda x, a=axis: getattr(torch, name)(x, a),
                [x],
                gradients=False,
            )


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
def test_kinds_of_numbers(name):
    x = np.array([[0.0, -0.0, 1.5], [np.nan, np.inf, -np.inf]])
    for values in (x, x.astype(np.float32), np.zeros((0, 2))):
        assert_parity(getattr(cr, name), getattr(torch, name), [values], gradients=False)


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic(name, rng):
    for a, b in SHAPES_2:
        xs = [np.asarray(rng.integers(0, 2, s)).astype(np.bool_) for s in (a, b)]
        assert_parity(getattr(cr, name), getattr(torch, name), xs, gradients=False)
        assert_parity(cr.logical_not, torch.logical_not, xs[:1], gradients=False)


def test_roots(rng):
    """torch has no cube root."""
    x = draw(rng, POSITIVE, (3, 4), np.float64)
    assert_parity(cr.cbrt, lambda x: x ** (1 / 3), [x])
    assert_parity(cr.pow, torch.pow, [x, draw(rng, ANY, (4,), np.float64)])


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_prod_with_zeros(zeros, rng):
    x = draw(rng, POSITIVE, (5,), np.float64)
    x[:zeros] = 0
    assert_parity(cr.prod, torch.prod, [x])
    y = np.stack([x, x[::-1]])
    assert_parity(lambda x: cr.prod(x, axis=1), lambda x: torch.prod(x, 1), [y])


def test_ties_of_max_share_equally():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    assert_parity(lambda x: cr.max(x, axis=1), lambda x: torch.amax(x, 1), [x])
    assert_parity(cr.maximum, torch.maximum, [x, x])


def test_scans_and_order(rng):
    for axis in (0, 1, -1):
        x = draw(rng, ANY, (4, 5), np.float64)
        assert_parity(lambda x, a=axis: cr.cumsum(x, axis=a), lambda x, a=axis: torch.cumsum(x, a), [x])
        assert_parity(lambda x, a=axis: cr.cumprod(x, axis=a), lambda x, a=axis: torch.cumprod(x, a), [x])
        assert_parity(lambda x, a=axis: cr.sort(x, axis=a), lambda x, a=axis: torch.sort(x, a).values, [x])
        assert_parity(
            lambda x, a=axis: cr.argsort(x, axis=a),
            lambda x, a=axis: torch.argsort(x, a),
            [x],
            gradients=False,
        )
        assert_parity(
            lambda x, a=axis: cr.argmax(x, axis=a), lambda x, a=axis: torch.argmax(x, a), [x], gradients=False
        )
        assert_parity(
            lambda x, a=axis: cr.argmin(x, axis=a), lambda x, a=axis: torch.argmin(x, a), [x], gradients=False
        )
        assert_parity(
            lambda x, a=axis: cr.cumulative_sum(x, axis=a), lambda x, a=axis: torch.cumsum(x, a), [x]
        )
        assert_parity(
            lambda x, a=axis: cr.cumulative_prod(x, axis=a), lambda x, a=axis: torch.cumprod(x, a), [x]
        )
        assert_parity(lambda x, a=axis: cr.softmax(x, axis=a), lambda x, a=axis: torch.softmax(x, a), [x])
        assert_parity(
            lambda x, a=axis: cr.log_softmax(x, axis=a), lambda x, a=axis: torch.log_softmax(x, a), [x]
        )
        assert_parity(lambda x, a=axis: cr.flip(x, axis=a), lambda x, a=axis: torch.flip(x, (a,)), [x])
        assert_parity(lambda x, a=axis: cr.roll(x, 2, axis=a), lambda x, a=axis: torch.roll(x, 2, a), [x])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 2)),
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 2)),
        ((2, 3, 4), (4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 4), (4, 2)),
        ((3, 0), (0, 2)),
    ],
)
def test_matmul(a, b, dtype, rng):
    assert_parity(cr.matmul, torch.matmul, [draw(rng, ANY, a, dtype), draw(rng, ANY, b, dtype)])


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 2)]),
        ("ij,kj", [(3, 4), (2, 4)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("ij->j", [(3, 4)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 2)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (4, 2)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij,ij->", [(3, 4), (3, 4)]),
        ("iij,jk->ik", [(3, 3, 4), (4, 2)]),
    ],
)
def test_einsum(text, shapes, rng):
    xs = [draw(rng, ANY, s, np.float64) for s in shapes]
    assert_parity(lambda *x: cr.einsum(text, *x), lambda *x: torch.einsum(text, *x), xs)


def test_products_of_vectors(rng):
    a, b = (draw(rng, ANY, (3, 4), np.float64) for _ in range(2))
    assert_parity(cr.dot, torch.dot, [a[0], b[0]])
    assert_parity(cr.inner, torch.inner, [a, b])
    assert_parity(cr.vecdot, torch.linalg.vecdot, [a, b])
    assert_parity(lambda x, y: cr.vecdot(x, y, axis=0), lambda x, y: torch.linalg.vecdot(x, y, dim=0), [a, b])
    assert_parity(cr.linalg.trace, torch.trace, [a])


def spd(rng, *shape):
    x = rng.normal(size=shape)
    return x @ np.swapaxes(x, -1, -2) + 3 * np.eye(shape[-1])


@pytest.mark.parametrize("batch", [(), (2,), (0,)])
def test_linear_algebra(batch, rng):
    a, b = spd(rng, *batch, 3, 3), rng.normal(size=(*batch, 3, 2))
    assert_parity(cr.linalg.solve, torch.linalg.solve, [a, b])
    assert_parity(cr.linalg.inv, torch.linalg.inv, [a])
    assert_parity(cr.linalg.det, torch.linalg.det, [a])
    assert_parity(lambda x: cr.linalg.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1], [a])
    symmetric = lambda x: (x + x.mT) * 0.5
    assert_parity(
        lambda x: cr.linalg.cholesky(symmetric(x)), lambda x: torch.linalg.cholesky(symmetric(x)), [a]
    )


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, np.inf, -np.inf])
def test_vector_norms(order, rng):
    x = draw(rng, ANY, (3, 4), np.float64)
    assert_parity(
        lambda x: cr.linalg.vector_norm(x, axis=1, ord=order),
        lambda x: torch.linalg.vector_norm(x, order, 1),
        [x],
    )
    assert_parity(
        lambda x: cr.linalg.vector_norm(x, ord=order), lambda x: torch.linalg.vector_norm(x, order), [x]
    )


@pytest.mark.parametrize("order", ["fro", 1, -1, np.inf, -np.inf])
def test_matrix_norms(order, rng):
    x = draw(rng, ANY, (2, 3, 4), np.float64)
    assert_parity(
        lambda x: cr.linalg.matrix_norm(x, ord=order), lambda x: torch.linalg.matrix_norm(x, order), [x]
    )


def test_norms_as_numpy_calls_them(rng):
    x = draw(rng, ANY, (3, 4), np.float64)
    assert_parity(cr.norm, torch.linalg.norm, [x])
    assert_parity(lambda x: cr.norm(x, 1, 0), lambda x: torch.linalg.norm(x, 1, 0), [x])
    assert_parity(lambda x: cr.norm(x, "fro"), lambda x: torch.linalg.norm(x, "fro"), [x])


def test_poles_and_infinities_have_the_same_values():
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e308, -1e308, 1e-300])
    for name, (_, theirs) in UNARY.items():
        expected = theirs(torch.tensor(special)).numpy()
        if name == "sign":  # nan by the standard, 0 in torch
            expected[np.isnan(special)] = np.nan
        if name in ("gelu", "silu"):  # the limit 0, where torch multiplies -inf by 0
            expected[special == -np.inf] = 0.0
        np.testing.assert_allclose(getattr(cr, name)(special).numpy(), expected, rtol=1e-12, err_msg=name)
