"""Ctrl-C while native code runs through very many scalars: the process hears it, and nothing is left half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.compiler.on_native.target import host

pytestmark = pytest.mark.skipif(host() is None, reason="there are no kernels for this machine")

WALK = """
import chainrule as cr

x = cr.tensor(1.0, requires_grad=True)
y = x
for _ in range(200_000):
    y = y * 1.00001

def run():
    x.grad = None
    y.backward()
    return x.grad.item()
"""

TAPE = """
import chainrule as cr

def f(x):
    for _ in range(6000):
        x = cr.sin(x) * 1.00001
    return x

compiled = cr.compile(f)

def run():
    return compiled(0.5).item()
"""

LOOP = """
expected = run()
print("ready", flush=True)
rounds = 0
while True:  # interrupted here, wherever it is
    try:
        while True:
            assert run() == expected
            rounds += 1
    except KeyboardInterrupt:
        print("heard", rounds > 0, flush=True)
        break
for _ in range(3):
    assert run() == expected
print("goes on", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent otherwise there")
@pytest.mark.parametrize("program", [WALK, TAPE], ids=["walk", "tape"])
def test_ctrl_c_is_heard_and_leaves_nothing_broken(program):
    environment = {**os.environ, "PYTHONPATH": str(Path(cr.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", program + LOOP],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)  # it is now somewhere in its loop
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out.split("\n") == ["heard True", "goes on", ""]
