"""Benchmarks: all libraries do the same work, the arithmetic of measuring is right, the command says what it found."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import chainrule as cr
from chainrule.bench import (
    LIBRARIES,
    OWN,
    WORKLOADS,
    Figures,
    Finished,
    Function,
    Machine,
    Measured,
    Result,
    Started,
    Training,
    measure,
    reference,
    run,
    workloads,
)
from chainrule.bench.libraries import Library, Ready, nothing
from chainrule.bench.networks import Cnn, Mlp, ResNet, start
from chainrule.bench.worker import Session
from chainrule.bench.workloads import chosen
from chainrule.cli import main
from chainrule.show import show_benchmarks

STEPS = 3


def images(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.standard_normal((4, 8, 8, 3), np.float32), rng.integers(0, 10, 4)


def small(name: str, network: Any, optimizer: Any) -> Training:
    return Training(name, "", network, "cross_entropy", optimizer, images, 1.0)


TRAININGS = [
    WORKLOADS["2-2-1"],
    WORKLOADS["2-16-16-1"],
    WORKLOADS["784-128-10"],
    small("convolutions", Cnn((3, 8, 16), 10), cr.optim.adam(1e-3, epsilon=1e-6)),
    small("residual", ResNet((4, 8), 1), cr.optim.momentum(1e-2)),
]
FUNCTIONS = [
    dataclasses.replace(w, shapes=shapes)
    for name, shapes in {
        "sgemm-16": ((8, 8), (8, 8)),
        "bias-relu-1e3": ((7, 20), (20,)),
        "tanh-1e3": ((99,),) * 4,
        "gelu-1e3": ((99,),),
        "softmax-1e3": ((7, 20),),
    }.items()
    if isinstance(w := WORKLOADS[name], Function)
]


def library(name: str, workload: Any) -> Library:
    found = LIBRARIES[name]
    if not found.applies(workload):
        pytest.skip(f"{name} takes no part")
    if found.missing:
        pytest.skip(found.missing)
    return found


# torch.compile takes ten seconds for its first function; what it compiles is what eager torch runs.
@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in ("torch.compile", "numpy")])
@pytest.mark.parametrize("workload", TRAININGS, ids=lambda w: w.name)
def test_all_libraries_train_alike(workload: Training, name: str):
    if name == "micrograd" and workload.name == "2-16-16-1":
        pytest.skip("a step takes a second")
    after = reference.parameters_after(workload, [STEPS])
    backend = (known := library(name, workload)).backend()
    backend.set_up(1)
    ready = known.prepare(backend, workload, 1)
    for _ in range(STEPS):
        ready.step()
    ready.wait()
    found = ready.result()
    assert {k: v.shape for k, v in found.items()} == workload.network.shapes()
    assert reference.error(found, after[STEPS], after[0]) < 2e-4
    first = {k: v.copy() for k, v in found.items()}
    ready.step()
    ready.wait()
    assert all(np.array_equal(found[k], first[k]) for k in first), "results must not change with later steps"


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in ("torch.compile", "micrograd")])
@pytest.mark.parametrize("workload", FUNCTIONS, ids=lambda w: w.formula)
def test_all_libraries_compute_alike(workload: Function, name: str):
    backend = (known := library(name, workload)).backend()
    backend.set_up(1)
    ready = known.prepare(backend, workload, 1)
    ready.step()
    ready.wait()
    assert ready.result()["result"].dtype == np.float32
    assert reference.error(ready.result(), reference.value_of(workload)) < 1e-6


def test_every_parameter_is_trained():
    for workload in TRAININGS:
        after = reference.parameters_after(workload, [STEPS])
        moved = {k for k, v in after[0].items() if not np.array_equal(v, after[STEPS][k])}
        assert moved == set(after[0]), workload.name


def test_residual_network_has_twenty_layers():
    shapes = ResNet().shapes()
    kernels = [s for name, s in shapes.items() if name.startswith("kernel")]
    assert (sum(s[0] == 3 for s in kernels), sum(s[0] == 1 for s in kernels)) == (19, 2)
    assert sum(np.prod(s) for s in shapes.values()) == 272_474


def test_parameters_start_the_same_every_time():
    for name, first in start(Mlp((5, 4, 3)), 7).items():
        assert first.dtype == np.float32
        assert np.array_equal(first, start(Mlp((5, 4, 3)), 7)[name])
    x, y = workloads.moons(np.random.default_rng(0), 100)
    assert (x.shape, y.shape, sorted(set(y.ravel().tolist()))) == ((100, 2), (100, 1), [-1, 1])


def test_the_table_of_goals():
    goals = {name: w.goal for name, w in WORKLOADS.items() if isinstance(w, Training)}
    assert goals == {
        "2-2-1": 10, "2-16-16-1": 40, "784-128-10": 3, "784-512-512-10": 1.4, "1024x4-10": 1.15,
        "cnn3": 3, "resnet20": 1.8,
    }  # fmt: skip
    assert {w.goal for w in WORKLOADS.values() if isinstance(w, Function)} == {1}
    for w in WORKLOADS.values():
        if isinstance(w, Function) and w.family != "sgemm":
            assert f"{max(map(np.prod, w.shapes)):.0e}".replace("+0", "") == w.name.rpartition("-")[2]


def test_work():
    (sgemm,) = chosen(["sgemm-16"])
    assert reference.work(sgemm).least_bytes == 3 * 16 * 16 * 4
    assert 2 * 16**3 - 16**2 <= reference.work(sgemm).flops <= 2 * 16**3
    (step,) = chosen(["784-128-10"])
    products = 2 * 128 * (2 * 784 * 128 + 3 * 128 * 10)  # no gradient for the input
    assert products < reference.work(step).flops < 1.05 * products
    parameters = 784 * 128 + 128 + 128 * 10 + 10
    ends = 2 * 3 * parameters * 4 + 128 * 784 * 4 + 128 * 8  # with moments, in and out; the batch
    assert abs(reference.work(step).least_bytes - ends) < 100


def test_errors_are_relative_to_the_way():
    begin, end = {"w": np.zeros(2)}, {"w": np.array([3.0, 4.0])}
    assert reference.error({"w": np.array([3.0, 4.5])}, end, begin) == 0.1
    assert reference.error({"w": np.array([3.0, 4.5])}, end) == 0.125


class Clock:
    """Time that passes only where somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self.calls.append("gap")

    def library(self, name: str, seconds: Callable[[], float]) -> Ready:
        def step() -> None:
            self.now += seconds()
            self.calls.append(name)

        return Ready(step, nothing, dict)

    def interleave(self, ready: dict[str, Ready], seconds: float, **options: Any) -> dict[str, measure.Times]:
        return measure.interleave(ready, seconds, clock=self, sleep=self.sleep, **options)


def test_libraries_take_turns_after_a_gap():
    clock = Clock()
    ready = {"a": clock.library("a", lambda: 1e-3), "b": clock.library("b", lambda: 4e-3)}
    times = clock.interleave(ready, 1.0)
    assert times["a"].median == pytest.approx(1e-3)
    assert times["b"].best == pytest.approx(4e-3)
    assert measure.ratio(times["b"], times["a"]) == pytest.approx(4)
    assert set(clock.slept) == {measure.GAP}
    blocks = [calls.split() for calls in " ".join(clock.calls).split("gap") if calls]
    assert all(len(set(block)) == 1 for block in blocks)
    assert [block[0] for block in blocks] == ["a", "b"] * (len(blocks) // 2)
    assert measure.FEWEST <= len(times["a"].rounds) == len(times["b"].rounds) <= measure.ROUNDS
    assert 1.0 < clock.now < 2.0


def test_fast_calls_are_timed_many_at_once():
    clock = Clock()
    times = clock.interleave({"a": clock.library("a", lambda: 1e-6)}, 0.1)
    assert times["a"].median == pytest.approx(1e-6)
    gaps = [len(calls.split()) for calls in " ".join(clock.calls).split("gap") if calls]
    assert min(gaps) > measure.BATCH / 1e-6


def test_slow_libraries_are_timed_once_unless_they_come_first():
    clock = Clock()
    ready = {name: clock.library(name, lambda s=s: s) for name, s in {"a": 0.7, "b": 1.4, "c": 1e-3}.items()}
    times = clock.interleave(ready, 1.0, first="a")
    assert [len(times[name].rounds) for name in "abc"] == [measure.FEWEST, 1, measure.FEWEST]
    assert measure.ratio(times["b"], times["a"]) == pytest.approx(2)


def test_a_slow_moment_cancels_from_the_ratio():
    slow, fast = measure.Times([1.0, 10.0, 1.0]), measure.Times([2.0, 20.0, 2.5])
    assert measure.ratio(fast, slow) == 2.0


MACHINE = Machine("a processor", 2, "avx2", 2, flops=1e11, bandwidth=1e10)


def result(name: str = "784-128-10", **changes: Any) -> Result:
    own = Figures(
        OWN, "1", median=1e-4, best=9e-5, ratio=1.0, rounds=9, first=0.1, warm=0.02, error=1e-6, steps=20,
        memory=30_000_000,
    )  # fmt: skip
    jax = dataclasses.replace(own, library="jax", median=4e-4, ratio=3.5, warm=None, error=2e-6)
    torch = dataclasses.replace(jax, library="torch", median=5e-4, ratio=5.25)
    missing = Figures("torch.compile", "2", absent="RuntimeError: no C++ compiler")
    cost = reference.Work(flops=4_000_000, bytes=9_000_000, least_bytes=500_000)
    return Result(name, 2, cost, (dataclasses.replace(own, **changes), torch, missing, jax), MACHINE)


def test_results():
    found = result()
    assert (found.speedup, found.reached, found.failed, found.wrong) == (3.5, True, False, ())
    assert found.best_peer is not None and found.best_peer.library == "jax"
    slow_moment = dataclasses.replace(found.figures[3], median=1.0)
    assert dataclasses.replace(found, figures=(*found.figures[:3], slow_moment)).speedup == 3.5
    assert found.share == pytest.approx(0.4)
    assert result("gelu-1e3").share == pytest.approx(0.5)
    assert result("2-16-16-1").reached is False
    assert result(absent="ValueError").failed and result(error=0.3).failed and result(error=np.nan).failed
    assert dataclasses.replace(found, figures=found.figures[:1]).reached is None
    plain = json.loads(json.dumps(result(error=float("inf")).to_dict(), allow_nan=False))
    assert plain["libraries"][0]["error"] == "inf"
    assert (plain["best_peer"], plain["speedup"], plain["goal"], plain["flops"]) == ("jax", 3.5, 3, 4_000_000)


def test_what_a_library_raises_is_its_result(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def set_up(self, threads: int) -> None:
            raise RuntimeError("no C++ compiler found\nand more")

    monkeypatch.setattr(Library, "backend", lambda self: Broken())
    told: list[dict[str, Any]] = []
    Session([OWN, "numpy"], 1, told.append).measure(WORKLOADS["gelu-1e3"])
    assert [f["absent"] for f in told[-1]["figures"]] == ["RuntimeError: no C++ compiler found"] * 2
    assert told[0] == {"doing": "compiling with chainrule", "workload": "gelu-1e3"}


def drawn(*results: Result, width: int = 80, missing: dict[str, str] | None = None) -> str:
    file = io.StringIO()
    names = tuple(r.name for r in results)
    events = [
        Started(MACHINE, names, missing or {}), *map(Measured, results), Finished(MACHINE, missing or {}, results)
    ]  # fmt: skip
    show_benchmarks(events, Console(file=file, width=width, markup=False, highlight=False))
    return file.getvalue()


SHOWN = """\
a processor, avx2, 2 threads, 100 GFLOP/s in registers, 10.0 GB/s of copying

784-128-10, batch 128, cross-entropy, Adam
           median     best  ratio  compile   cached   memory   error
────────────────────────────────────────────────────────────────────
chainrule  100 µs  90.0 µs      –  99.9 ms  19.9 ms  30.0 MB    10⁻⁶
torch      500 µs  90.0 µs   5.25  99.5 ms        –  30.0 MB  2·10⁻⁶
jax        400 µs  90.0 µs    3.5  99.6 ms        –  30.0 MB  2·10⁻⁶
  torch.compile is not available: RuntimeError: no C++ compiler
  3.5 times as fast as jax (goal 3, reached); 4.00 MFLOP at 40 % of the peak

Goals: 1 of 1 reached.
Compile: what the first step takes longer than others; cached, in a new process
with its code on disk.
Error: distance of the parameters after 20 steps from those in float64, relative
to the way they went.
"""


def test_the_table_of_a_training_step():
    assert drawn(result()) == SHOWN


def test_the_table_of_a_family():
    sizes = [result(f"gelu-1e{power}", error=1e-7) for power in (3, 4, 5)]
    lines = drawn(*sizes).splitlines()
    assert "gelu(x)" in lines
    assert any(
        line.split() == ["gelu", "chainrule", "torch", "jax", "×", "best", "of", "peak"] for line in lines
    )
    assert any(
        line.split() == ["1e4", "100", "µs", "500", "µs", "400", "µs", "3.5", "50", "%"] for line in lines
    )


def test_what_is_missing_or_wrong_is_said():
    reason = "jax is not installed: pip install 'chainrule[bench]'"
    shown = drawn(result(error=0.5), missing={"jax": reason})
    assert reason in shown
    assert "784-128-10: chainrule is wrong, error 0.5" in shown
    dead = dataclasses.replace(result(), figures=(Figures(OWN, "1", absent="signal 11"),))
    assert "chainrule is not available: signal 11" in drawn(dead)


@pytest.mark.parametrize("width", [50, 80, 120])
def test_tables_fit(width: int):
    shown = drawn(result(), result("gelu-1e3"), result("gelu-1e7"), result("2-16-16-1"), width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.isprintable() or all(line.isprintable() for line in shown.splitlines())


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(("bench", *arguments))
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, *capsys.readouterr()

    return call


ALONE = [part for name in LIBRARIES if name not in (OWN, "numpy") for part in ("--without", name)]


def test_the_command_runs_each_once(command):
    status, out, errors = command("2-2-1", "gelu-1e3", "--once", *ALONE)
    assert (status, errors) == (0, "")
    assert "2-2-1, batch 1, squared error, gradient descent" in out
    assert "Each ran once, untimed; the numbers are those of float64." in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_command_as_json(command):
    status, out, errors = command("2-2-1", "--seconds", "0.05", "--threads", "1", "--json", *ALONE)
    document = json.loads(out)
    assert (status, errors, document["version"]) == (0, "", 1)
    assert document["machine"]["threads"] == 1
    (found,) = document["results"]
    (own,) = found["libraries"]
    assert (found["workload"], own["library"], own["steps"]) == ("2-2-1", OWN, 20)
    assert own["error"] < 1e-5 and own["median"] > 0 and own["first"] > 0 and own["warm"] > 0
    assert set(document["libraries"]) == set(LIBRARIES)


def test_the_list(command):
    status, out, _ = command("--list")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert set(json.loads(command("--list", "--json")[1])) == set(WORKLOADS)
    for family in {w.family for w in WORKLOADS.values()}:
        assert f"\n{family} " in out


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (("gleu",), "there is no workload 'gleu'", "did you mean gelu?"),
        (("qqqq",), "there is no workload 'qqqq'", "chainrule bench --list shows them all"),
        (("2-2-1", "--without", "tourch"), "no library 'tourch'", "did you mean torch?"),
        (("2-2-1", "--threads", "0"), "threads must be at least 1, got 0", "pass --threads 2"),
        (("2-2-1", "--steps", "0"), "steps must be at least 1, got 0", "pass --steps 2"),
        (("2-2-1", "--seconds", "0"), "seconds must be above 0, got 0", "pass --seconds 3"),
        (("2-2-1", "--seconds", "nan"), "seconds must be above 0, got nan", "pass --seconds 3"),
    ],
)
def test_mistakes(command, arguments: tuple[str, ...], message: str, fix: str):
    status, out, errors = command(*arguments)
    assert (status, out) == (2, "")
    assert message in errors and fix in errors and len(errors.splitlines()) <= 4
    status, out, errors = command(*arguments, "--json")
    assert (status, errors) == (2, "")
    assert message in json.loads(out)["error"]["message"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        LIBRARIES["torch"].__class__, "version", property(lambda self: None if self.package == "jax" else "1")
    )
    events = run(["2-2-1"], once=True, without=[n for n in LIBRARIES if n not in (OWN, "jax")])
    started = next(events)
    assert isinstance(started, Started)
    assert started.missing == {"jax": "jax is not installed: pip install 'chainrule[bench]'"}
    events.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the process is a shell script")
def test_a_process_that_dies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    script = tmp_path / "python"
    # It answers what the machine is, and dies of everything else.
    script.write_text(
        f"#!/bin/sh\nread request\ncase \"$request\" in *machine*) echo '{json.dumps(MACHINE.to_dict())}';;\n"
        "*) echo boom >&2; exit 3;; esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    *_, finished = run(["gelu-1e3", "gelu-1e4"], without=["torch"])
    assert isinstance(finished, Finished)
    assert finished.failed
    absent = [r.own.absent for r in finished.results]
    assert absent == ["bench: a process ended with status 3: boom, while starting"] * 2
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(cr.errors.ProcessError, match="a process ended with signal 9"):
        list(run(["2-2-1"]))
