"""The pool of threads: every task runs once whoever calls, and forks, signals and exits do no harm."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chainrule.compiler.on_native import fork_join, ir, jit, kernel, pool, pool_library, target
from chainrule.compiler.on_native.ir import I64, PTR
from chainrule.compiler.on_native.modules import module
from chainrule.errors import ArgumentError

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="this machine has no native code")
PATIENCE = 60.0
"""Seconds after which something that must happen at some time counts as missing."""
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")


def tally(here: target.Target, name: str, turns: int) -> ir.Function:
    """A task that adds 1 to its own number and notes its thread, ``turns`` times to take its time."""
    f, operands, task, thread = kernel.entry(name, here)
    count = f.at(kernel.operand(f, operands, 0), task, I64)
    f.store(f.add(f.load(count, I64), ir.number(I64, 1)), count)
    place = f.at(kernel.operand(f, operands, 1), task, I64)
    f.loop(0, turns, 1, lambda i, _: f.store(thread, place))
    return f


def relay(here: target.Target) -> ir.Function:
    """Each task reads what its neighbour wrote in the job before; the last operand says which job this is."""
    f, operands, task, _ = kernel.entry("relay", here)
    place = kernel.operand(f, operands, 3)
    size = f.load(kernel.operand(f, operands, 2), I64)
    at = f.load(f.at(place, task, I64), I64)  # jobs that this task has run
    even = f.equal_int(f.binary("and", at, ir.number(I64, 1)), ir.number(I64, 0))
    a, b = kernel.operand(f, operands, 0), kernel.operand(f, operands, 1)
    source, sink = f.select(even, a, b), f.select(even, b, a)
    neighbour = f.binary("urem", f.add(task, ir.number(I64, 1)), size)
    f.store(
        f.add(f.load(f.at(source, neighbour, I64), I64), ir.number(I64, 1)),
        f.at(sink, task, I64),
    )
    f.store(f.add(at, ir.number(I64, 1)), f.at(place, task, I64))
    return f


def program(here: target.Target, entry: str) -> ir.Function:
    """``jobs`` jobs, one after another, as a compiled function runs its steps."""
    parameters = [("%pool", PTR), ("%operands", PTR), ("%tasks", I64), ("%jobs", I64)]
    f = ir.Function(f"program_{entry}", parameters, here)
    address, operands, tasks, jobs = f.parameters
    pool.enter(f, address, tasks)
    f.loop(0, jobs, 1, lambda i, _: pool.parallel(f, address, entry, operands, tasks), may_be_empty=True)
    pool.leave(f, address)
    return f


class Programs:
    """Programs of one entry each, compiled."""

    def __init__(self) -> None:
        assert HOST is not None
        entries = [tally(HOST, "tally", 1), tally(HOST, "linger", 100_000), relay(HOST)]
        functions = [*entries, *(program(HOST, f.name) for f in entries)]
        names = [f"program_{f.name}" for f in entries]
        self.library = jit.build(module(functions), names, HOST, pool.Pool(1).imports)
        types = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._tally, self._linger, self._relay = (self.library.function(n, *types) for n in names)

    def tally(self, on: pool.Pool, tasks: int, jobs: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """How often each task ran, and on which thread the last time."""
        return self._run(self._tally, on, tasks, jobs)

    def helped(self, on: pool.Pool) -> bool:
        """Whether a worker took part in a job of some milliseconds."""
        counts, threads = self._run(self._linger, on, 64, 1)
        assert (counts == 1).all()
        return bool((threads > 0).any())

    def _run(
        self, function: Callable[..., None], on: pool.Pool, tasks: int, jobs: int
    ) -> tuple[np.ndarray, np.ndarray]:
        counts, threads = np.zeros(max(tasks, 1), np.int64), np.full(max(tasks, 1), -1)
        if not on.ready:
            on.start()
        function(on.address, table(counts, threads), tasks, jobs)
        return counts[: max(tasks, 0)], threads[: max(tasks, 0)]

    def relay(self, on: pool.Pool, tasks: int, jobs: int) -> np.ndarray:
        """Numbers that were passed from neighbour to neighbour."""
        a, b, size, runs = (
            np.arange(tasks),
            np.zeros(tasks, np.int64),
            np.array([tasks]),
            np.zeros(tasks, np.int64),
        )
        on.start()
        self._relay(on.address, table(a, b, size, runs), tasks, jobs)
        return b if jobs % 2 else a


def table(*arrays: np.ndarray) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs()


@pytest.fixture(params=[1, 2, 4])
def some(request: pytest.FixtureRequest):
    """A pool of so many threads."""
    with contextlib.closing(pool.Pool(request.param)) as made:
        yield made


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("tasks", [-1, 0, 1, 2, 3, 7, 64, 5000])
def test_every_task_runs_once_in_every_job(programs, some, tasks):
    jobs = 200 if tasks < 5000 else 20
    counts, threads = programs.tally(some, tasks, jobs)
    assert (counts == jobs).all()
    assert ((threads >= 0) & (threads < some.threads)).all()


def test_a_job_sees_what_the_job_before_it_wrote(programs, some):
    tasks, jobs = 13, 3000
    assert programs.relay(some, tasks, jobs).tolist() == [(i + jobs) % tasks + jobs for i in range(tasks)]


def test_workers_take_part(programs):
    with contextlib.closing(pool.Pool(2)) as two:
        wait_until(lambda: programs.helped(two))


def test_a_thread_has_the_same_tasks_again(programs):
    """One of two threads works from the first task on and one from the last, so that caches stay warm."""
    on = pool.Pool(2)
    for _ in range(20):
        counts, threads = programs._run(programs._linger, on, 50, 1)
        assert (counts == 1).all() and (np.diff(threads) >= 0).all()


def test_workers_fall_asleep_and_wake_up(programs):
    with contextlib.closing(pool.Pool(4)) as four:
        for _ in range(3):
            programs.tally(four, 64)
            wait_until(lambda: four.parked == 3)
            wait_until(lambda: programs.helped(four))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_callers_at_the_same_time(programs, threads):
    wrong = []

    def call(tasks):
        for _ in range(150):
            counts, _ = programs.tally(shared, tasks, 20)
            if not (counts == 20).all():
                wrong.append(counts)

    with contextlib.closing(pool.Pool(threads)) as shared:
        callers = [threading.Thread(target=call, args=(n,)) for n in (2, 3, 64, 65)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert wrong == []


def test_without_workers_jobs_run_on_the_caller(programs, monkeypatch):
    def refused(*_):
        raise RuntimeError("can't start new thread")

    with contextlib.closing(pool.Pool(3)) as three:
        with monkeypatch.context() as patch:
            patch.setattr(pool._thread, "start_new_thread", refused)
            assert programs.tally(three, 9, 4)[0].tolist() == [4] * 9
        assert three.ready
        three.stop()
        assert not three.ready and programs.tally(three, 9, 4)[0].tolist() == [4] * 9
        three.close()
        three.close()
        three.start()
        counts, threads = programs.tally(three, 9, 4)
        assert counts.tolist() == [4] * 9 and threads.tolist() == [0] * 9


def test_stopping_and_starting_while_others_call(programs):
    done = threading.Event()
    wrong = []

    def call():
        while not done.is_set():
            counts, _ = programs.tally(three, 40, 10)
            if not (counts == 10).all():
                wrong.append(counts)

    with contextlib.closing(pool.Pool(3)) as three:
        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        for _ in range(100):
            three.stop()
            three.start()
        done.set()
        for caller in callers:
            caller.join()
        assert wrong == []
        wait_until(lambda: three.parked == 2)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_a_pool_that_nobody_needs_stops_its_workers(programs):
    def running():
        return set(os.listdir("/proc/self/task"))

    alone = pool.Pool(4)
    before = running()
    programs.tally(alone, 10)
    workers = running() - before
    assert len(workers) == 3
    del alone
    gc.collect()
    wait_until(lambda: not workers & running())


@posix
def test_an_exception_from_a_signal_during_a_job_leaves_the_pool_usable(programs):
    class Interrupted(Exception):
        """As Ctrl-C, but it does not end the test run."""

    def interrupt(*_):
        counts, _ = programs.tally(three, 50, 5)  # a handler may call compiled code itself
        assert (counts == 5).all()
        raise Interrupted

    def call_until_interrupted():
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while True:
            programs.tally(three, 50, 3000)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with contextlib.closing(pool.Pool(3)) as three:
            for _ in range(5):
                with pytest.raises(Interrupted):
                    call_until_interrupted()
                assert programs.tally(three, 50, 7)[0].tolist() == [7] * 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(script: str, *preamble: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has this file as ``test_pool``."""
    head = f"""
    import atexit, gc, os, resource, sys, threading, time
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    """
    code = textwrap.dedent(head) + "".join(preamble) + "from test_pool import *\n" + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )


def assert_quiet(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_a_child_of_a_fork_has_workers_of_its_own():
    script = """
    programs, three = Programs(), pool.shared_pool(3)
    busy = threading.Thread(target=lambda: programs.tally(three, 100, 50_000), daemon=True)
    busy.start()  # holds the pool while the process forks
    for _ in range(5):
        programs.tally(three, 100, 10)
        child = os.fork()
        if not child:
            assert not three.ready
            wait_until(lambda: programs.helped(three))
            assert (programs.tally(three, 100, 100)[0] == 100).all()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    busy.join()
    wait_until(lambda: programs.helped(three))
    """
    done = run(script, "import warnings; warnings.simplefilter('ignore')\n")
    assert_quiet(done)


@pytest.mark.parametrize(
    "ending",
    [
        "programs.tally(four, 100, 1000)",  # workers spin
        "programs.tally(four, 100); wait_until(lambda: four.parked == 3)",
        "four.start()",  # threads may not have begun
        "other = pool.Pool(2); other.start(); other.itself = other; programs.tally(other, 10); del other",
    ],
)
def test_the_program_ends_at_once(ending):
    assert_quiet(run(f"programs, four = Programs(), pool.shared_pool(4)\n{ending}"))


def test_the_program_ends_while_a_daemon_thread_calls():
    script = """
    programs, four = Programs(), pool.shared_pool(4)

    def call():
        while True:
            programs.tally(four, 100, 100)

    threading.Thread(target=call, daemon=True).start()
    programs.tally(four, 100, 1000)
    """
    assert_quiet(run(script))


def test_jobs_run_after_the_pools_were_closed_at_exit():
    late = """
def late():
    assert (programs.tally(three, 100, 10)[0] == 10).all()
    new = pool.Pool(2)
    assert new.ready and (programs.tally(new, 100, 10)[0] == 10).all()
    print("late")
atexit.register(late)
"""
    done = run("programs, three = Programs(), pool.shared_pool(3)\nprograms.tally(three, 9)", late)
    assert_quiet(done)
    assert done.stdout == "late\n"


@posix
def test_sleeping_workers_cost_nothing():
    script = """
    programs, four = Programs(), pool.shared_pool(4)
    programs.tally(four, 100)
    wait_until(lambda: four.parked == 3)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.02 * 0.5, used
    """
    assert_quiet(run(script))


def test_one_job_or_none_needs_no_pool():
    assert HOST is not None
    f = ir.Function("program", [("%pool", PTR), ("%operands", PTR)], HOST)
    address, operands = f.parameters
    pool.parallel(f, address, "tally", operands, 0)
    assert "call" not in f.text()
    pool.parallel(f, address, "tally", operands, 1)
    assert "call void @tally(ptr %operands, i64 0, i64 0)" in f.text()
    assert "chainrule_parallel" not in module([f])


@pytest.mark.parametrize(
    ("isa", "triple", "word"),
    [
        ("sse2", "x86_64-unknown-linux-gnu", "pause"),
        ("avx2", "x86_64-pc-windows-msvc", "pause"),
        ("neon", "aarch64-unknown-linux-gnu", "isb"),
        ("neon", "arm64-apple-macosx", "isb"),
    ],
)
def test_code_for_other_machines(isa, triple, word):
    text = jit.assembly(fork_join.text(target.forced(isa, triple)), target.forced(isa, triple))
    assert "chainrule_worker" in text and f"\t{word}" in text


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_impossible_numbers_of_threads(threads):
    with pytest.raises(ArgumentError, match=f"from 1 to 1024, got {threads}"):
        pool.Pool(threads)
    with pytest.raises(ArgumentError, match=f"from 1 to 1024, got {threads}"):
        pool.shared_pool(threads)


def test_the_pool_of_a_number_of_threads_is_shared():
    assert pool.shared_pool(2) is pool.shared_pool(2) is not pool.shared_pool(3)


@pytest.mark.parametrize("named", ["0", "-2", "two", "1.5", "4096", "²"])
def test_a_number_of_threads_that_is_none(monkeypatch, named):
    monkeypatch.setenv("CHAINRULE_THREADS", named)
    with pytest.raises(ArgumentError, match="CHAINRULE_THREADS") as raised:
        pool.default_threads()
    assert repr(named) in raised.value.message and "unset" in str(raised.value.fix)


def test_the_number_of_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(pool, "_GROUPS", tmp_path)
    monkeypatch.setattr(pool, "_processors", lambda: 8)
    monkeypatch.setenv("CHAINRULE_THREADS", " 3 ")
    assert pool.default_threads() == 3
    monkeypatch.setenv("CHAINRULE_THREADS", "")
    assert pool.default_threads() == 8
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, threads in (("-1", 8), ("50000", 1), ("150000", 2), ("3200000", 8)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert pool.default_threads() == threads
    for limit, threads in (("max 100000", 8), ("300000 100000", 3), ("10000 100000", 1)):
        (tmp_path / "cpu.max").write_text(f"{limit}\n")
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
        assert pool.default_threads() == threads


@pytest.mark.skipif(sys.platform != "linux", reason="processors are chosen on Linux only")
def processor_of(thread):
    """Where a thread of this process ran last."""
    fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
    return int(fields[36])


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="takes two processors, on Linux"
)
def test_workers_move_away_when_the_caller_comes(programs):
    """A caller that the system moves to the worker's processor is not kept waiting there."""
    allowed = os.sched_getaffinity(0)
    first, second = sorted(allowed)[:2]
    on = pool.Pool(2)
    before = set(os.listdir("/proc/self/task"))
    on.start()
    wait_until(lambda: programs.helped(on))
    (worker,) = {int(n) for n in set(os.listdir("/proc/self/task")) - before}
    try:
        for here in (first, second, first):
            os.sched_setaffinity(0, {here})
            end = time.monotonic() + PATIENCE
            while processor_of(worker) == here and time.monotonic() < end:
                programs.helped(on)
            assert processor_of(worker) != here
    finally:
        os.sched_setaffinity(0, allowed)


def test_threads_that_compile_first_share_one_library(monkeypatch):
    """The code of a second one would be let go, while programs of the first thread call it."""
    made, together = [], threading.Barrier(4)

    class Slow:
        def __init__(self, target):
            made.append(self)
            time.sleep(0.05)  # in which the others come

    def first():
        together.wait(PATIENCE)
        found.append(pool_library.native())

    monkeypatch.setattr(pool_library, "Native", Slow)
    monkeypatch.setattr(pool_library, "_made", [])
    found: list = []
    threads = [threading.Thread(target=first) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(made) == 1 and found == made * 4
