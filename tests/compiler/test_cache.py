"""Compiled objects on disk: found again, never trusted, never in the way."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import cache, jit, target
from chainrule.compiler.on_native.ir import F32, I64, PTR, Function, number
from chainrule.compiler.on_native.modules import module

pytestmark = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "objects"))
    return tmp_path / "objects"


def text(factor=2.0):
    f = Function("times", [("%x", PTR), ("%n", I64)], target.host())
    x, n = f.parameters
    f.loop(
        0,
        n,
        1,
        lambda i, _: f.store(f.mul(f.load(f.at(x, i, F32), F32), number(F32, factor)), f.at(x, i, F32)),
    )
    return module([f])


def doubled(library):
    x = np.ones(3, np.float32)
    library.function("times", jit.ctypes.c_void_p, jit.ctypes.c_int64)(x.ctypes.data, 3)
    return x.tolist()


def build(factor=2.0):
    return jit.build(text(factor), ["times"], target.host())


def test_an_object_is_found_again(place):
    first, second = build(), build()
    assert (first.from_cache, second.from_cache) == (False, True)
    assert doubled(first) == doubled(second) == [2, 2, 2]
    assert len(list(place.iterdir())) == 1


def test_everything_that_code_depends_on_is_in_its_key():
    keys = {
        cache.key_of(text(), "avx512", 2),
        cache.key_of(text(3.0), "avx512", 2),
        cache.key_of(text(), "avx2", 2),
        cache.key_of(text(), "avx512", 3),
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"something else entirely" * 10,
    ],
    ids=["empty", "cut", "flipped", "other"],
)
def test_a_damaged_object_is_a_miss(place, damage):
    build()
    (path,) = place.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again = build()
    assert not again.from_cache
    assert doubled(again) == [2, 2, 2]
    assert build().from_cache


def test_an_object_that_does_not_link_is_compiled_again(place):
    key = cache.key_of(text(), target.host().key(), 2)
    cache.write(key, b"no object at all, under a checksum that fits")
    library = build()
    assert not library.from_cache
    assert doubled(library) == [2, 2, 2]


def test_a_directory_that_cannot_be_is_no_error(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("CHAINRULE_CACHE", str(blocked / "objects"))
    assert doubled(build()) == [2, 2, 2]
    assert not cache.write("key", b"code")


def test_a_full_disk_is_no_error_and_leaves_nothing_behind(place, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    assert doubled(build()) == [2, 2, 2]
    assert list(place.iterdir()) == []


def test_off_keeps_nothing(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert cache.directory() is None
    assert not build().from_cache and not build().from_cache


def test_the_directory_stays_bounded(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    for i in range(30):
        cache.write(f"key{i}", bytes(1000))
        os.utime(place / f"key{i}.object", (i, i))
    sizes = [path.stat().st_size for path in place.iterdir()]
    assert sum(sizes) <= 10_000
    assert cache.read("key29") is not None and cache.read("key0") is None


def test_the_directory_is_seldom_looked_through(place, monkeypatch):
    looked = []
    monkeypatch.setattr(cache, "_shrink", lambda place: looked.append(place) or 0)
    for i in range(200):
        cache.write(f"key{i}", bytes(1000))
    assert len(looked) == 1
    monkeypatch.setattr(cache, "LIMIT", 80_000)
    cache._room.clear()
    for i in range(200):
        cache.write(f"key{i}", bytes(1000))
    assert 10 < len(looked) < 30


def test_another_process_starts_from_the_cache(place):
    code = (
        "import numpy as np, chainrule as cr\n"
        "f = cr.compile(lambda x: cr.tanh(x @ x).sum())\n"
        "f(np.eye(3)); print(f.explain().from_cache)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert runs == ["False", "True"]


def test_a_function_keeps_its_code(place):
    types = jit.ctypes.c_void_p, jit.ctypes.c_int64
    functions = [build(factor).function("times", *types) for factor in range(2, 6)]
    gc.collect()
    others = [build(factor) for factor in range(6, 12)]  # in whose memory they would end
    for factor, function in enumerate(functions, 2):
        x = np.ones(3, np.float32)
        function(x.ctypes.data, 3)
        assert x.tolist() == [factor] * 3
    assert len(others) == 6


def test_a_program_keeps_its_code():
    f = Executable(cr.trace(lambda x: cr.tanh(x @ x).sum(), np.eye(3)), target.host(), 1)
    bound = f.bound([np.eye(3)])
    run, result = bound.run, bound.result(0)
    run()
    expected = result.copy()
    result[...] = 0
    del f, bound
    gc.collect()
    others = [cr.compile(lambda x, k=k: cr.exp(x * k).sum()) for k in (2.0, 3.0, 4.0)]
    assert all(np.isfinite(float(other(np.eye(3)).item())) for other in others)
    run()
    assert result == expected
