"""Sums of products, of any layout and dtype, and windows of images, as native code."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.shapes import INTS
from compiler.test_compiled_graphs import close, run, sets

machines = pytest.mark.parametrize("machine", sets())
ints = pytest.mark.parametrize("dtype", INTS, ids=str)


def numbers(*shape, dtype=np.float32):
    rng = np.random.default_rng(shape)
    if np.dtype(dtype).kind == "i":
        return rng.integers(-(2**28), 2**28, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def native(function, arrays, machine):
    """As NumPy computes it, and without NumPy."""
    graph = cr.trace(function, *arrays)
    close(run(graph, arrays, machine), graph.evaluate(*arrays), graph, arrays)
    lines = Executable(graph, machine, 1).explain().lines
    assert machine is None or all(line.kind == "kernel" for line in lines)


SIZES = {"a": 3, "b": 2, "h": 4, "i": 17, "j": 33, "k": 9, "q": 6}


@machines
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_einsums_of_every_form(machine, dtype):
    forms = [
        "ij,jk->ik", "ij,kj->ki", "bij,bjk->bik", "bihq,bjhq->bhij", "abij,jk->ikab", "ji,jk->ik",
        "ij,ij->", "ij,ij->i", "ij,ij->ji", "ij,j->i", "i,ij->j", "i,j->ij", "bij,bj->bi", ",ij->ji",
    ]  # fmt: skip

    def operands(form):
        return [numbers(*(SIZES[c] for c in term), dtype=dtype) for term in form.split("->")[0].split(",")]

    arrays = [operands(form) for form in forms]
    cuts = np.cumsum([0, *map(len, arrays)])

    def every(*xs):
        return tuple(cr.einsum(form, *xs[a:b]) for form, a, b in zip(forms, cuts[:-1], cuts[1:], strict=True))

    native(every, [x for group in arrays for x in group], machine)


def test_attention_by_einsum_has_a_native_gradient():
    q, k, v = (numbers(2, 7, 3, 5) for _ in range(3))

    def attend(q, k, v):
        scores = cr.softmax(cr.einsum("bqhd,bkhd->bhqk", q, k), axis=-1)
        return cr.sum(cr.einsum("bhqk,bkhd->bqhd", scores, v) ** 2)

    gradient = cr.grad(attend, argnums=(0, 1, 2))
    native(lambda *xs: gradient(*xs), [q, k, v], target.host())


@machines
@ints
def test_products_of_matrices_of_integers(machine, dtype):
    a, b, v = numbers(2, 1, 5, 33, dtype=dtype), numbers(3, 33, 19, dtype=dtype), numbers(33, dtype=dtype)
    native(lambda a, b, v: (a @ b, a @ v, v @ b, v @ v, a[0, 0] @ b[0]), [a, b, v], machine)


@machines
def test_operands_of_different_dtypes_meet_in_the_wider(machine):
    single, double = numbers(12, 20), numbers(20, 7, dtype=np.float64)
    images, kernel = numbers(2, 6, 6, 3), numbers(3, 3, 3, 4, dtype=np.float64)
    few, many = numbers(3, 4, dtype=np.int32), numbers(4, 5, dtype=np.int64)

    def every(single, double, images, kernel, few, many):
        yield single @ double
        yield cr.einsum("ij,jk->ki", single, double)
        yield cr.conv2d(images, kernel)
        yield cr.concat([single, double.T], axis=0)
        yield few @ many

    native(lambda *xs: tuple(every(*xs)), [single, double, images, kernel, few, many], machine)


@machines
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_windows_and_their_sums(machine, dtype):
    x = numbers(2, 9, 10, 3, dtype=dtype)

    def every(x):
        for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), ((2, 3), ((1, 2), (0, 3)), (2, 1))):
            windows = cr.windows2d(x, (3, 2), stride=stride, padding=padding, dilation=dilation)
            yield windows
            yield cr.overlap_add2d(windows, (9, 10), stride=stride, padding=padding, dilation=dilation)
        yield cr.windows2d(cr.permute_dims(x, (0, 2, 1, 3))[:, ::-1], 2)

    native(lambda x: tuple(every(x)), [x], machine)


THIN = {
    "column and row": ((100, 1), (1, 16), lambda x, y: x @ y),
    "one and one": ((1, 1), (1, 1), lambda x, y: x @ y),
    "turned and column": ((100, 16), (100, 1), lambda x, y: cr.transpose(x, (1, 0)) @ y),
    "turned, narrow": ((301, 3), (301, 1), lambda x, y: cr.transpose(x, (1, 0)) @ y),
    "among others": ((70, 20), (70, 1), lambda x, y: cr.relu(cr.transpose(cr.tanh(x), (1, 0)) @ -y) + 1),
    "summed again": ((7, 1), (1, 40), lambda x, y: cr.where(x > 0, x @ y, 0).sum(0)),
}


@machines
@pytest.mark.parametrize("form", THIN)
def test_thin_products(machine, form):
    first, second, f = THIN[form]
    arrays = [numbers(*first), numbers(*second)]
    native(f, arrays, machine)
    arrays[0][0, 0], arrays[1][0, 0] = np.nan, np.inf
    native(f, arrays, machine)


@pytest.mark.skipif(target.host() is None, reason="there is no native code for this machine")
def test_thin_products_join_the_loops_around_them():
    """The last layer of a network with one output, backward: one pass over what the layer before gave."""

    def backward(h, w, g):
        upstream = cr.where(h > 0, g @ cr.transpose(w, (1, 0)), 0)
        return upstream, upstream.sum(0), cr.transpose(h, (1, 0)) @ g

    graph = cr.trace(backward, numbers(100, 16), numbers(16, 1), numbers(100, 1))
    assert len(Executable(graph, target.host(), 1).explain().lines) == 1
