"""Functions spread over modules: linked together, with the same machine code as in one."""

import itertools
import re
import threading
from typing import Any

import numpy as np
import pytest

from chainrule.compiler.on_native import jit, modules, target
from chainrule.compiler.on_native.ir import F32, I64, PTR, Function, number
from chainrule.errors import GraphError

HOST: Any = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="no native kernels for this machine")


def scaling(name, factor, calls=None, exported=False):
    """A function that multiplies one number, and then calls another one."""
    f = Function(name, [("%x", PTR), ("%n", I64)], HOST, exported=exported)
    x, n = f.parameters
    f.store(f.mul(f.load(x, F32), number(F32, factor)), x)
    if calls:
        f.call(calls, [x, n])
    return f


def chain(count=12):
    """Functions each of which calls the next one; the first is known outside."""
    names = [f"times{i}" for i in range(count)]
    return [
        scaling(name, 1 + i / 4, calls, exported=i == 0)
        for i, (name, calls) in enumerate(zip(names, [*names[1:], None], strict=True))
    ]


def result(texts):
    library = jit.build(texts, ["times0"], HOST)
    x = np.ones(1, np.float32)
    library.function("times0", jit.ctypes.c_void_p, jit.ctypes.c_int64)(x.ctypes.data, 1)
    return x.item(), library.from_cache


@pytest.fixture
def spread(monkeypatch):
    """Four modules even of small functions."""
    monkeypatch.setattr(modules, "LEAST", 100)


def test_functions_of_several_modules_call_each_other(spread, tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    texts = modules.modules(chain())
    assert len(texts) == modules.PARTS
    defined = [re.findall(r"define .*@(\w+)\(", text) for text in texts]
    assert sorted(itertools.chain(*defined)) == sorted(f.name for f in chain())  # each of them once
    wanted = np.prod([1 + i / 4 for i in range(12)], dtype=np.float32)
    value, from_cache = result(texts)
    assert value == pytest.approx(wanted, rel=1e-6) and not from_cache
    again, from_cache = result(modules.modules(chain()))
    assert again == value and from_cache
    assert len(list(tmp_path.iterdir())) == 1


def test_small_programs_are_one_module():
    (text,) = modules.modules(chain())
    assert text == modules.module(chain())
    assert "define internal" in text


def code_of(assembly):
    """The instructions of each function, without the numbers that a module gives to labels."""
    found = {}
    assembly = re.sub(r"\.LCPI\d+_", ".LCPI_", assembly)
    for name, body in re.findall(r"^(times\d+):(.*?)^\.Lfunc_end", assembly, re.M | re.S):
        found[name] = [line for line in body.split("\n") if line.startswith("\t") and "\t." not in line]
    return found


def test_machine_code_does_not_depend_on_the_module(spread):
    whole = code_of(jit.assembly(modules.module(chain()), HOST))
    parts = {}
    for text in modules.modules(chain()):
        parts |= code_of(jit.assembly(text, HOST))
    assert len(whole) == 12
    assert parts == whole


def test_functions_of_one_name_must_be_equal(spread):
    functions = [*chain(), scaling("times3", 7.0)]
    with pytest.raises(GraphError, match="both named times3"):
        modules.modules(functions)
    assert len(modules.modules([*chain(), *chain()])) == modules.PARTS


@pytest.mark.parametrize("startable", [0, 1])
def test_without_threads_all_is_compiled_by_this_one(spread, tmp_path, monkeypatch, startable):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    start, started = threading.Thread.start, []

    def limited(self):
        if len(started) == startable:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    monkeypatch.setattr(jit.os, "cpu_count", lambda: 4)
    value, from_cache = result(modules.modules(chain()))
    assert value == pytest.approx(np.prod([1 + i / 4 for i in range(12)]), rel=1e-6) and not from_cache
    assert len(started) == startable


def test_what_llvm_refuses_is_an_error(spread):
    f = chain()
    f[5].effect("no instruction")
    with pytest.raises(GraphError, match="LLVM cannot read"):
        jit.build(modules.modules(f), ["times0"], HOST)


@pytest.mark.parametrize("damage", [lambda c: c[:-5], lambda c: c + b"rest", lambda c: b"\xff" * 16 + c])
def test_objects_that_do_not_come_apart_are_compiled_again(spread, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    texts = modules.modules(chain())
    value, _ = result(texts)
    key = jit.build(texts, ["times0"], HOST).key
    jit.cache.write(key, damage(jit.cache.read(key)))  # under a checksum that fits
    assert result(texts) == (value, False)
    assert result(texts) == (value, True)
