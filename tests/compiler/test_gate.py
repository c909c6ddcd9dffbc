"""Small compiled functions are given Python's arrays as they are: any array will do, and none does harm."""

import gc
import sys
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler import addresses
from chainrule.compiler.on_native import target

pytestmark = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")


class Tagged(np.ndarray):
    """An array of another class."""


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


def unaligned(x):
    room = np.zeros(x.nbytes + 1, np.uint8)
    room[1:] = np.frombuffer(x.tobytes(), np.uint8)
    return room[1:].view(x.dtype).reshape(x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def described(x):
    """With a dtype object of its own that says the same."""
    return x.view(np.dtype(x.dtype.str, metadata={"of": "a test"}))


X = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
OTHERS = {
    "the same": lambda x: x,
    "a copy": np.copy,
    "read-only": read_only,
    "float64": lambda x: x.astype(np.float64),
    "another shape": lambda x: x.reshape(4, 3),
    "another rank": lambda x: x.ravel(),
    "no axis": lambda x: np.float32(2).reshape(()),
    "empty": lambda x: x[:0],
    "columns first": np.asfortranarray,
    "backwards": lambda x: x[::-1],
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "in another order of bytes": swapped,
    "unaligned": unaligned,
    "of another class": lambda x: x.view(Tagged),
    "with metadata": described,
    "a tensor": cr.tensor,
    "a list": lambda x: cr.tensor(x.tolist(), dtype=np.float32),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_any_array_gives_what_numpy_gives(other):
    f = cr.compile(lambda a, b: cr.relu(a * 2 + b))
    b = np.ones((), np.float32)
    for x in (X, other(X), X, other(X)):
        plain = x.numpy() if isinstance(x, cr.Tensor) else np.asarray(x)
        found = f(x, b).numpy()
        expected = np.maximum(plain * 2 + b, 0)
        assert found.shape == expected.shape and found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)


def test_small_functions_have_the_fast_way_in():
    """So that the other tests here test something."""
    if not addresses.READABLE:
        pytest.skip("this Python's arrays cannot be looked into")
    f = cr.compile(lambda x: x + 1)
    f(X)
    assert f._last.run.layout.brief and f._last.run.quick([X])[0].tolist() == (X + 1).tolist()
    assert f._last.run.quick([X.astype(np.float64)]) is None
    large = np.ones(1 << 20, np.float32)
    f(large)
    assert not f._last.run.layout.brief and f._last.run.quick([large])[0][0] == 2


def test_several_results_and_constants():
    table = np.arange(4, dtype=np.float32)
    f = cr.compile(lambda x: {"sum": (x * table).sum(), "rows": x @ np.outer(table, table), "x": x})
    for _ in range(3):
        found = f(X)
        assert found["sum"].item() == float((X * table).sum())
        np.testing.assert_allclose(found["rows"].numpy(), X @ np.outer(table, table))
        assert found["x"].tolist() == X.tolist()


def test_results_that_are_other_shapes_of_what_is_computed_are_made_in_their_own():
    """A reshaped result needs no look from Python, however long the program, and keeps shape and numbers."""
    if not addresses.READABLE:
        pytest.skip("this Python's arrays cannot be looked into")
    f = cr.compile(lambda x: (cr.reshape(x + 1, (2, 6)), x * 2))
    for _ in range(3):
        wide, twice = f(X)
        assert wide.tolist() == (X + 1).reshape(2, 6).tolist() and twice.tolist() == (X * 2).tolist()
    assert f._last.run.layout.direct == (0, 1)
    assert [a.tolist() for a in f._last.run.bound([X])()] == [wide.tolist(), twice.tolist()]


def test_one_array_in_two_shapes():
    f = cr.compile(lambda x: ((y := x + 1), cr.reshape(y, (2, 6)), cr.reshape(y, (12,))))
    for _ in range(3):
        for found, shape in zip(f(X), (X.shape, (2, 6), (12,)), strict=True):
            assert found.tolist() == (X + 1).reshape(shape).tolist()


def test_the_same_arrays_in_other_places():
    """What is compiled for arrays inside containers, or beside Python values, is not for arrays alone."""
    f = cr.compile(lambda x, y=None, scale=1.0: (x[0] - x[1] if isinstance(x, list) else x - y) * scale)
    a, b = np.full(3, 5.0), np.full(3, 2.0)
    for _ in range(2):
        assert f(a, b).tolist() == [3, 3, 3]
        assert f(a, b, 2.0).tolist() == [6, 6, 6]
        assert f(a, b, scale=3.0).tolist() == [9, 9, 9]
        assert f(b, a).tolist() == [-3, -3, -3]
    g = cr.compile(lambda x, y: x["a"] * y["b"])
    assert g({"a": a}, {"b": b}).tolist() == [10, 10, 10]
    h = cr.compile(lambda *xs: sum(x[0] if isinstance(x, tuple) else 2 * x for x in xs))
    assert h((a,), b).tolist() == [9, 9, 9]


def test_results_are_new_each_time():
    f = cr.compile(lambda x: x + 1)
    first, second = f(X), f(X)
    assert not np.shares_memory(first.numpy(), second.numpy())
    assert first.tolist() == second.tolist() == (X + 1).tolist()


def test_nothing_is_kept_or_lost():
    f = cr.compile(lambda x: x + 1)
    x = X.copy()
    f(x)
    before = sys.getrefcount(x), sys.getrefcount(np.ndarray), sys.getrefcount(x.dtype)
    for _ in range(1000):
        f(x)
    after = sys.getrefcount(x), sys.getrefcount(np.ndarray), sys.getrefcount(x.dtype)
    assert all(abs(a - b) < 100 for a, b in zip(before, after, strict=True))


def test_functions_that_are_gone_leave_the_others_alone():
    kept = []
    for n in range(50):
        f = cr.compile(lambda x, n=n: x * float(n))
        f(X)
        if n % 5 == 0:
            kept.append((n, f))
    del f
    gc.collect()
    for n, f in kept:
        assert f(X).tolist() == (X * n).tolist()


@pytest.mark.parametrize("rows", [8, 1 << 14], ids=["brief", "long"])
def test_programs_that_look_whether_labels_are_in_range_run_in_one_call(rows):
    """Native code looks itself; what it finds wrong is said in full, and changes nothing for the next call."""
    if not addresses.READABLE:
        pytest.skip("this Python's arrays cannot be looked into")
    rng = np.random.default_rng(0)
    x, good = rng.normal(size=(rows, 20)).astype(np.float32), rng.integers(0, 20, rows)
    bad = np.where(np.arange(rows) == rows - 1, 20, good)
    loss = lambda x, y: cr.nn.softmax_cross_entropy(x, y)
    f = cr.compile(lambda x, y: (loss(x, y), cr.grad(loss)(x, y)))
    expected = [r.tolist() for r in f(x, good)]
    program = f._last.run
    assert None in program.layout.whole and program.layout.brief == (rows == 8)
    assert [r.tolist() for r in program.quick([x, good])] == expected
    assert program.quick([x, bad]) is None
    for _ in range(2):
        with pytest.raises(cr.errors.AxisError, match="label 20 is not one of 20 classes"):
            f(x, bad)
        assert [r.tolist() for r in f(x, good)] == expected


@pytest.mark.parametrize("size", [100, 1 << 18], ids=["brief", "long"])
def test_threads_at_the_same_time(size):
    f = cr.compile(lambda x: cr.softmax(x) * x.sum(), threads=2)
    inputs = [np.random.default_rng(i).normal(size=size).astype(np.float32) for i in range(4)]
    expected = [f(x).tolist() for x in inputs]
    wrong = []

    def call(i):
        for _ in range(30):
            if f(inputs[i]).tolist() != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_where_arrays_cannot_be_looked_into(monkeypatch):
    monkeypatch.setattr(addresses, "READABLE", False)
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    f = cr.compile(lambda x: cr.exp(x).sum())
    assert [f(X).item() for _ in range(3)] == pytest.approx([float(np.exp(X).sum())] * 3)
    assert f._last.run.quick is None
