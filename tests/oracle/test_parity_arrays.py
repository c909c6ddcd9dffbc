"""Indexing, convolution, movement and creation of arrays, against torch: values, gradients of two orders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import chainrule as cr
from oracle.parity import ANY, assert_parity, draw

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
    assert_parity(lambda x: x[index], lambda x: x[theirs], [x])


def test_boolean_masks(rng):
    x = draw(rng, ANY, (3, 4), np.float64)
    mask = x > 0
    theirs = torch.nonzero(torch.tensor(mask), as_tuple=True)
    for ours, expected in zip(cr.nonzero(mask), theirs, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())
    assert_parity(lambda x: cr.getitem(x, mask), lambda x: x[torch.tensor(mask)], [x])
    assert_parity(lambda x: x[mask], lambda x: x[torch.tensor(mask)], [x])


def test_gather_and_scatter(rng):
    x, v = draw(rng, ANY, (4, 5), np.float64), draw(rng, ANY, (3, 5), np.float64)
    i = np.array([2, 0, 2])
    assert_parity(lambda x, v: x.at[i].add(v), lambda x, v: x.index_add(0, torch.tensor(i), v), [x, v])
    j = np.array([[0, 4, 1], [1, 1, 1], [2, 0, 0], [3, 3, 4]])
    assert_parity(
        lambda x: cr.take_along_axis(x, j, axis=1), lambda x: torch.gather(x, 1, torch.tensor(j)), [x]
    )
    assert_parity(lambda x: cr.take(x, i, axis=1), lambda x: torch.index_select(x, 1, torch.tensor(i)), [x])
    assert_parity(
        lambda x, v: cr.index_add(x, i, v), lambda x, v: torch.index_add(x, 0, torch.tensor(i), v), [x, v]
    )
    unique = np.array([3, 1, 0])
    assert_parity(
        lambda x, v: cr.index_set(x, unique, v),
        lambda x, v: torch.index_copy(x, 0, torch.tensor(unique), v),
        [x, v],
    )
    assert_parity(
        lambda x, v: x.at[unique].set(v), lambda x, v: x.index_copy(0, torch.tensor(unique), v), [x, v]
    )


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

    assert_parity(
        lambda x, w: cr.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups),
        theirs,
        [x, w],
    )


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 0), (3, 3, 0)])
def test_pooling(size, stride, padding, rng):
    x = draw(rng, ANY, (2, 7, 8, 3), np.float64)
    nhwc = lambda f: lambda x: f(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert_parity(
        lambda x: cr.max_pool2d(x, size, stride=stride, padding=padding),
        nhwc(lambda x: torch.nn.functional.max_pool2d(x, size, stride, padding)),
        [x],
    )
    assert_parity(
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
    "squeeze": (lambda x: cr.squeeze(x[:, :1], 1), lambda x: torch.squeeze(x[:, :1], 1)),
    "swapaxes": (lambda x: cr.swapaxes(x[None], 0, 2), lambda x: torch.swapaxes(x[None], 0, 2)),
    "permute_dims": (lambda x: cr.permute_dims(x[None], (2, 0, 1)), lambda x: x[None].permute(2, 0, 1)),
    "transpose_function": (cr.transpose, torch.t),
    "matrix_transpose": (lambda x: cr.matrix_transpose(x[None]), lambda x: x[None].mT),
    "unstack": (lambda x: cr.unstack(x, axis=1)[2] * 2.0, lambda x: torch.unbind(x, 1)[2] * 2.0),
    "concatenate": (lambda x: cr.concatenate([x, x]), lambda x: torch.concatenate([x, x])),
    "meshgrid": (
        lambda x: cr.meshgrid(x[0], x[:, 1], indexing="ij")[1] * 2.0,
        lambda x: torch.meshgrid(x[0], x[:, 1], indexing="ij")[1] * 2.0,
    ),
    "broadcast_arrays": (
        lambda x: cr.broadcast_arrays(x[0], x)[0] * x,
        lambda x: torch.broadcast_tensors(x[0], x)[0] * x,
    ),
    "stop_gradient": (lambda x: x * cr.stop_gradient(x), lambda x: x * x.detach()),
    "identity": (lambda x: cr.identity(x) * 2.0, lambda x: x.clone() * 2.0),
    "astype": (lambda x: cr.astype(x, cr.float32) * 3.0, lambda x: x.float() * 3.0),
    "windows": (
        lambda x: cr.reshape(cr.windows2d(cr.reshape(x, (1, 3, 4, 1)), (2, 3)), (1, 4, 6)),
        lambda x: torch.nn.functional.unfold(x[None, None], (2, 3)).permute(0, 2, 1),
    ),
    "overlap_add": (
        lambda x: cr.overlap_add2d(cr.reshape(x[:2, :], (1, 2, 1, 2, 2, 1)), (3, 2))[0, :, :, 0],
        lambda x: torch.nn.functional.fold(x[:2, :].T[None], (3, 2), (2, 2))[0, 0],
    ),
    "cast": (lambda x: x.astype("float32").astype("float64") * 3.0, lambda x: x.float().double() * 3.0),
}


@pytest.mark.parametrize("name", MOVES)
def test_movement(name, rng):
    ours, theirs = MOVES[name]
    assert_parity(ours, theirs, [draw(rng, ANY, (3, 4), np.float64)])


def test_one_hot(rng):
    labels = rng.integers(0, 5, (3, 2))
    np.testing.assert_array_equal(
        cr.one_hot(labels, 5).numpy(), torch.nn.functional.one_hot(torch.tensor(labels), 5).numpy()
    )


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "bool"])
def test_creation(dtype):
    ours, theirs = cr.asarray(0).astype(dtype), torch.zeros((), dtype=getattr(torch, dtype))
    kind, other = ours.dtype, theirs.dtype
    x = np.zeros((2, 3), dtype)
    pairs = [
        (cr.zeros((2, 3), dtype=kind), torch.zeros((2, 3), dtype=other)),
        (cr.ones((2, 0), dtype=kind), torch.ones((2, 0), dtype=other)),
        (cr.full((2, 3), 1, dtype=kind), torch.full((2, 3), 1, dtype=other)),
        (cr.zeros_like(x), torch.zeros_like(torch.tensor(x))),
        (cr.ones_like(x), torch.ones_like(torch.tensor(x))),
        (cr.full_like(x, 1), torch.full_like(torch.tensor(x), 1)),
        (cr.eye(2, 3, dtype=kind), torch.eye(2, 3, dtype=other)),
    ]
    if dtype != "bool":
        pairs.append((cr.arange(1, 9, 3, dtype=kind), torch.arange(1, 9, 3, dtype=other)))
    if dtype.startswith("float"):
        pairs.append((cr.linspace(-1, 2, 7, dtype=kind), torch.linspace(-1, 2, 7, dtype=other)))
    for mine, expected in pairs:
        assert (mine.shape, mine.dtype) == (tuple(expected.shape), expected.numpy().dtype)
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=1e-6 if dtype == "float32" else 1e-15)
    for mine, expected in [
        (cr.empty((2, 3), dtype=kind), torch.empty((2, 3), dtype=other)),
        (cr.empty_like(x), torch.empty_like(torch.tensor(x))),
    ]:
        assert (mine.shape, mine.dtype) == (tuple(expected.shape), expected.numpy().dtype)
