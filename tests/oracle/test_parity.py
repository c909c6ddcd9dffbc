"""Values and gradients of every function that torch has too: shapes, broadcasting, dtypes, empty arrays.

float64 agrees to 1e-12 relative to the largest element, float32 to 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr

RTOL = {np.float64: 1e-12, np.float32: 2e-5}
SHAPES_1 = [(), (5,), (3, 4), (2, 3, 4), (0,), (3, 0, 2)]
SHAPES_2 = [
    ((), ()),
    ((4,), (4,)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (2, 3)),
    ((0, 3), (3,)),
    ((2, 1, 4), (3, 1)),
]


@dataclass(frozen=True)
class Range:
    low: float = -2.0
    high: float = 2.0


ANY, POSITIVE, UNIT, ABOVE_ONE = Range(), Range(0.1, 3.0), Range(-0.95, 0.95), Range(1.1, 3.0)

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


def draw(rng: np.random.Generator, where: Range, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.asarray(rng.uniform(where.low, where.high, shape)).astype(dtype)


def close(ours: np.ndarray, theirs: np.ndarray, dtype: Any, what: str) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs))))
    np.testing.assert_allclose(ours, theirs, rtol=RTOL[dtype], atol=RTOL[dtype] * scale, err_msg=what)


def compare(
    ours: Any, theirs: Any, inputs: list[np.ndarray], *, gradients: bool = True, order: int = 2
) -> None:
    """Value, gradient and second derivative of a random combination of the outputs."""
    mine = [cr.tensor(x, requires_grad=gradients and x.dtype.kind == "f") for x in inputs]
    other = [torch.tensor(x, requires_grad=gradients and x.dtype.kind == "f") for x in inputs]
    y, z = ours(*mine), theirs(*other)
    dtype = inputs[0].dtype.type if inputs[0].dtype.kind == "f" else np.float64
    if z.dtype in (torch.float32, torch.float64):
        close(y.numpy(), z.detach().numpy(), dtype, "value")
    else:
        np.testing.assert_array_equal(y.numpy(), z.numpy())
    if not z.requires_grad or not gradients:
        return
    seed = np.asarray(np.random.default_rng(5).normal(size=z.shape)).astype(dtype)
    wrt = [i for i, t in enumerate(other) if t.requires_grad]
    first = torch.autograd.grad(
        z, [other[i] for i in wrt], torch.tensor(seed), create_graph=True, allow_unused=True
    )
    y.backward(seed, create_graph=True)
    for i, g in zip(wrt, first, strict=True):
        expected = np.zeros(inputs[i].shape, dtype) if g is None else g.detach().numpy(force=True)
        got = mine[i].grad
        close(
            np.zeros(inputs[i].shape, dtype) if got is None else got.numpy(), expected, dtype, f"gradient {i}"
        )
    if order < 2 or dtype is np.float32:
        return
    total = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
    mine_total = sum(
        (mine[i].grad * mine[i].grad).sum()
        for i in wrt
        if mine[i].grad is not None and mine[i].grad.requires_grad
    )
    if not isinstance(total, torch.Tensor) or not isinstance(mine_total, cr.Tensor):
        return
    second = torch.autograd.grad(total, [other[i] for i in wrt], allow_unused=True)
    for i in wrt:
        mine[i].grad = None
    mine_total.backward()
    for i, g in zip(wrt, second, strict=True):
        expected = np.zeros(inputs[i].shape) if g is None else g.numpy(force=True)
        got = np.zeros(inputs[i].shape) if mine[i].grad is None else mine[i].grad.numpy()
        close(got, expected, dtype, f"second derivative {i}")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype, rng):
    where, theirs = UNARY[name]
    for shape in SHAPES_1:
        compare(getattr(cr, name), theirs, [draw(rng, where, shape, dtype)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype, rng):
    left, right, theirs = BINARY[name]
    for a, b in SHAPES_2:
        compare(getattr(cr, name), theirs, [draw(rng, left, a, dtype), draw(rng, right, b, dtype)])


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
            compare(
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
            compare(getattr(cr, name), theirs, [np.asarray(x, dtype), np.asarray(y, dtype)], gradients=False)


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
        compare(
            lambda x, axis=axis, keep=keep: getattr(cr, name)(
                x, axis=axis, keepdims=keep and axis is not None
            ),
            lambda x, axis=axis, keep=keep: REDUCTIONS[name](x, axis, keep),
            [draw(rng, ANY, shape, dtype)],
        )


def test_reductions_of_empty_arrays():
    for name in ("sum", "prod"):
        for shape, axis in [((0,), None), ((0, 3), 0), ((3, 0), 1)]:
            x = np.zeros(shape)
            y = getattr(cr, name)(cr.tensor(x, requires_grad=True), axis=axis)
            z = (
                getattr(torch, name)(torch.tensor(x))
                if axis is None
                else getattr(torch, name)(torch.tensor(x), axis)
            )
            np.testing.assert_array_equal(y.numpy(), z.numpy())


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_prod_with_zeros(zeros, rng):
    x = draw(rng, POSITIVE, (5,), np.float64)
    x[:zeros] = 0
    compare(cr.prod, torch.prod, [x])
    y = np.stack([x, x[::-1]])
    compare(lambda x: cr.prod(x, axis=1), lambda x: torch.prod(x, 1), [y])


def test_ties_of_max_share_equally():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    compare(lambda x: cr.max(x, axis=1), lambda x: torch.amax(x, 1), [x])
    compare(cr.maximum, torch.maximum, [x, x])


def test_scans_and_order(rng):
    for axis in (0, 1, -1):
        x = draw(rng, ANY, (4, 5), np.float64)
        compare(lambda x, a=axis: cr.cumsum(x, axis=a), lambda x, a=axis: torch.cumsum(x, a), [x])
        compare(lambda x, a=axis: cr.cumprod(x, axis=a), lambda x, a=axis: torch.cumprod(x, a), [x])
        compare(lambda x, a=axis: cr.sort(x, axis=a), lambda x, a=axis: torch.sort(x, a).values, [x])
        compare(
            lambda x, a=axis: cr.argsort(x, axis=a),
            lambda x, a=axis: torch.argsort(x, a),
            [x],
            gradients=False,
        )
        compare(
            lambda x, a=axis: cr.argmax(x, axis=a), lambda x, a=axis: torch.argmax(x, a), [x], gradients=False
        )
        compare(lambda x, a=axis: cr.softmax(x, axis=a), lambda x, a=axis: torch.softmax(x, a), [x])
        compare(lambda x, a=axis: cr.log_softmax(x, axis=a), lambda x, a=axis: torch.log_softmax(x, a), [x])
        compare(lambda x, a=axis: cr.flip(x, axis=a), lambda x, a=axis: torch.flip(x, (a,)), [x])
        compare(lambda x, a=axis: cr.roll(x, 2, axis=a), lambda x, a=axis: torch.roll(x, 2, a), [x])


INDICES = [
    0,
    -1,
    (1, 2),
    slice(None, None, 2),
    (slice(1, 3), None, 0),
    (Ellipsis, 1),
    (np.array([0, 2, 2]),),
    (np.array([0, 2]), np.array([1, 1])),
    (slice(None), np.array([[0, 1], [3, 3]])),
    (np.array([1, 0]), slice(None), np.array([0, 2])),
    (np.array([1, 0]), slice(1, 2)),
    slice(2, 2),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index, rng):
    x = draw(rng, ANY, (3, 4, 3), np.float64)
    theirs = (
        tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)
        if isinstance(index, tuple)
        else index
    )
    compare(lambda x: x[index], lambda x: x[theirs], [x])


def test_boolean_masks(rng):
    x = draw(rng, ANY, (3, 4), np.float64)
    mask = x > 0
    compare(lambda x: x[mask], lambda x: x[torch.tensor(mask)], [x])


def test_gather_and_scatter(rng):
    x, v = draw(rng, ANY, (4, 5), np.float64), draw(rng, ANY, (3, 5), np.float64)
    i = np.array([2, 0, 2])
    compare(lambda x, v: x.at[i].add(v), lambda x, v: x.index_add(0, torch.tensor(i), v), [x, v])
    j = np.array([[0, 4, 1], [1, 1, 1], [2, 0, 0], [3, 3, 4]])
    compare(lambda x: cr.take_along_axis(x, j, axis=1), lambda x: torch.gather(x, 1, torch.tensor(j)), [x])
    compare(lambda x: cr.take(x, i, axis=1), lambda x: torch.index_select(x, 1, torch.tensor(i)), [x])
    unique = np.array([3, 1, 0])
    compare(lambda x, v: x.at[unique].set(v), lambda x, v: x.index_copy(0, torch.tensor(unique), v), [x, v])


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
    compare(cr.matmul, torch.matmul, [draw(rng, ANY, a, dtype), draw(rng, ANY, b, dtype)])


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
    compare(lambda *x: cr.einsum(text, *x), lambda *x: torch.einsum(text, *x), xs)


def spd(rng, *shape):
    x = rng.normal(size=shape)
    return x @ np.swapaxes(x, -1, -2) + 3 * np.eye(shape[-1])


@pytest.mark.parametrize("batch", [(), (2,), (0,)])
def test_linear_algebra(batch, rng):
    a, b = spd(rng, *batch, 3, 3), rng.normal(size=(*batch, 3, 2))
    compare(cr.linalg.solve, torch.linalg.solve, [a, b])
    compare(cr.linalg.inv, torch.linalg.inv, [a])
    compare(cr.linalg.det, torch.linalg.det, [a])
    compare(lambda x: cr.linalg.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1], [a])
    symmetric = lambda x: (x + x.mT) * 0.5
    compare(lambda x: cr.linalg.cholesky(symmetric(x)), lambda x: torch.linalg.cholesky(symmetric(x)), [a])


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, np.inf, -np.inf])
def test_vector_norms(order, rng):
    x = draw(rng, ANY, (3, 4), np.float64)
    compare(
        lambda x: cr.linalg.vector_norm(x, axis=1, ord=order),
        lambda x: torch.linalg.vector_norm(x, order, 1),
        [x],
    )
    compare(lambda x: cr.linalg.vector_norm(x, ord=order), lambda x: torch.linalg.vector_norm(x, order), [x])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
def test_conv2d(stride, padding, dilation, groups, rng):
    x, w = draw(rng, ANY, (2, 7, 8, 4), np.float64), draw(rng, ANY, (3, 2, 4 // groups, 6), np.float64)

    def theirs(x, w):
        y = torch.nn.functional.conv2d(
            x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), None, stride, padding, dilation, groups
        )
        return y.permute(0, 2, 3, 1)

    compare(
        lambda x, w: cr.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups),
        theirs,
        [x, w],
    )


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 0), (3, 3, 0)])
def test_pooling(size, stride, padding, rng):
    x = draw(rng, ANY, (2, 7, 8, 3), np.float64)
    nhwc = lambda f: lambda x: f(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    compare(
        lambda x: cr.max_pool2d(x, size, stride=stride, padding=padding),
        nhwc(lambda x: torch.nn.functional.max_pool2d(x, size, stride, padding)),
        [x],
    )
    compare(
        lambda x: cr.avg_pool2d(x, size, stride=stride, padding=padding, count_include_pad=True),
        nhwc(lambda x: torch.nn.functional.avg_pool2d(x, size, stride, padding)),
        [x],
    )


MOVES = {
    "reshape": (lambda x: cr.reshape(x, (4, -1)), lambda x: x.reshape(4, -1)),
    "transpose": (lambda x: x.T, lambda x: x.T),
    "broadcast": (lambda x: cr.broadcast_to(x, (2, 3, 4)), lambda x: x.expand(2, 3, 4)),
    "concat": (lambda x: cr.concat([x, 2 * x], axis=1), lambda x: torch.cat([x, 2 * x], 1)),
    "stack": (lambda x: cr.stack([x, 2 * x], axis=1), lambda x: torch.stack([x, 2 * x], 1)),
    "split": (lambda x: cr.split(x, [1, 3], axis=1)[1] * 2, lambda x: torch.split(x, [1, 2, 1], 1)[1] * 2),
    "pad": (
        lambda x: cr.pad(x, ((1, 2), (0, 3)), value=2.0),
        lambda x: torch.nn.functional.pad(x, (0, 3, 1, 2), value=2.0),
    ),
    "tile": (lambda x: cr.tile(x, (2, 3)), lambda x: torch.tile(x, (2, 3))),
    "repeat": (lambda x: cr.repeat(x, 3, axis=1), lambda x: torch.repeat_interleave(x, 3, 1)),
    "tril": (cr.tril, torch.tril),
    "triu": (cr.triu, torch.triu),
    "diagonal": (cr.diagonal, torch.diagonal),
    "outer": (lambda x: cr.outer(x[0], x[1]), lambda x: torch.outer(x[0], x[1])),
    "tensordot": (lambda x: cr.tensordot(x, x, axes=([0], [0])), lambda x: torch.tensordot(x, x, ([0], [0]))),
    "where": (lambda x: cr.where(x > 0, x, 2 * x), lambda x: torch.where(x > 0, x, 2 * x)),
    "clip": (lambda x: cr.clip(x, -0.5, 0.5), lambda x: torch.clip(x, -0.5, 0.5)),
    "expand_dims": (lambda x: cr.expand_dims(x, axis=1), lambda x: x.unsqueeze(1)),
    "moveaxis": (lambda x: cr.moveaxis(x, 0, -1), lambda x: torch.moveaxis(x, 0, -1)),
    "cast": (lambda x: x.astype("float32").astype("float64") * 3.0, lambda x: x.float().double() * 3.0),
}


@pytest.mark.parametrize("name", MOVES)
def test_movement(name, rng):
    ours, theirs = MOVES[name]
    compare(ours, theirs, [draw(rng, ANY, (3, 4), np.float64)])


def test_one_hot(rng):
    labels = rng.integers(0, 5, (3, 2))
    np.testing.assert_array_equal(
        cr.one_hot(labels, 5).numpy(), torch.nn.functional.one_hot(torch.tensor(labels), 5).numpy()
    )


def test_poles_and_infinities_have_the_same_values():
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e308, -1e308, 1e-300])
    for name, (_, theirs) in UNARY.items():
        expected = theirs(torch.tensor(special)).numpy()
        if name == "sign":  # nan by the standard, 0 in torch
            expected[np.isnan(special)] = np.nan
        if name in ("gelu", "silu"):  # the limit 0, where torch multiplies -inf by 0
            expected[special == -np.inf] = 0.0
        np.testing.assert_allclose(getattr(cr, name)(special).numpy(), expected, rtol=1e-12, err_msg=name)
