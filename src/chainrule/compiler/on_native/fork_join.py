"""The native half of the pool of threads: fork, join, and what a worker does in between.

Tasks are claimed one by one. The thread that asks for a job, thread 0, claims tasks like the workers do; it waits
only for tasks that a worker has begun, never for a worker to wake up. When the pool is in use (by another
thread, or from within a task), the caller runs all tasks alone, as thread 0. So nothing here can deadlock, and as
the tasks are the same, so are the results.

Workers are threads of Python that stay in native code, without the interpreter's lock. A worker without work
spins for `SPIN` seconds, then sleeps on a condition variable of the system. Whoever publishes a job wakes two
if too few are awake for it, and each wakes two more while tasks are left. Waking takes longer than most steps
of a program, so a program says when it begins and ends: in between workers stay awake.

Why this is safe. One 64-bit word holds the number of tasks and the next of them. Adding 1 to it claims a task,
and the old value says whether there was one, so a claim that comes late cannot mix two jobs: it either finds
no task left, or takes a task of the new job by the new job's count.

- ``entry`` and ``operands`` are stored before the word is exchanged (release) and read after a claim that
  succeeded (acquire). They do not change until that task is counted as done.
- A worker counts a task as done (release) after running it; the caller leaves when it reads the full count
  (acquire), and so sees what the tasks wrote. Word and count change by read-modify-write alone while a job runs,
  so that what one thread releases is not hidden by the next.
- To sleep, a worker counts itself as parked and then looks at the word; the caller exchanges the word and then
  looks at the count. All four are sequentially consistent, so one of them sees the other.
- The next job begins only when ``owner`` has been given back (release) and taken (acquire).
"""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import time
from typing import Any

from chainrule.compiler.on_native import jit
from chainrule.compiler.on_native.target import Target, host
from chainrule.errors import ArgumentError

SPIN = 1.5e-3
"""Seconds that a worker looks for work before it sleeps."""
IMPORTED = ("parallel", "enter", "leave")
"""What programs call, without the prefix ``chainrule_``."""
MOST_TASKS = (1 << 31) - 1
"""Jobs of more tasks run on the calling thread alone."""
_LINE = 128
"""Bytes that processors pass between their caches at once: two lines of 64 on x86."""
_PATIENCE = 64
"""How many times `SPIN` a worker looks for work inside a step."""
_ROUND = 64
"""How often a waiting thread looks before it offers its processor to another."""


class State(ctypes.Structure):
    """What the threads share. Each group of fields that are written together has lines of its own."""

    stop: int
    workers: int
    parked: int
    rounds: int
    _fields_ = (
        ("word", ctypes.c_int64),  # tasks << 32 | next
        ("entry", ctypes.c_void_p),
        ("operands", ctypes.c_void_p),
        ("stop", ctypes.c_int64),
        ("_job", ctypes.c_char * (_LINE - 32)),
        ("done", ctypes.c_int64),  # tasks that workers have run since the state was made
        ("_done", ctypes.c_char * (_LINE - 8)),
        ("owner", ctypes.c_int64),  # 1 while a job runs
        ("_owner", ctypes.c_char * (_LINE - 8)),
        ("steps", ctypes.c_int64),  # programs that are running
        ("workers", ctypes.c_int64),
        ("parked", ctypes.c_int64),
        ("permits", ctypes.c_int64),  # workers that were told to wake up and have not yet
        ("rounds", ctypes.c_int64),  # SPIN
        ("_sleep", ctypes.c_char * (_LINE - 40)),
        ("mutex", ctypes.c_char * _LINE),
        ("condition", ctypes.c_char * _LINE),
    )


def _text(target: Target) -> str:
    """The module of the pool."""
    if target.triple.startswith(("aarch64", "arm64")):
        pause, declaration = "call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)"
    else:
        pause, declaration = "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    text = declaration + _SYSTEM + _PARALLEL + _ENTER + _WORKER + _ROUSE + _STOP + _CALIBRATE
    numbers = {"PAUSE": pause, "ROUND": _ROUND, "MOST": MOST_TASKS - 1, "PATIENCE": _PATIENCE}
    for word, number in numbers.items():
        text = text.replace(word, str(number))
    for name, *_ in State._fields_:
        place = getattr(State, name).offset
        text = text.replace(f"address({name})", f"getelementptr i8, ptr %pool, i64 {place}")
    return text


# Windows reads two more arguments in its wait; POSIX does not look at them.
_SYSTEM = """
declare i32 @chainrule_lock(ptr)
declare i32 @chainrule_unlock(ptr)
declare i32 @chainrule_wait(ptr, ptr, i32, i32)
declare i32 @chainrule_signal(ptr)
declare i32 @chainrule_broadcast(ptr)
declare i32 @chainrule_yield()
declare i64 @llvm.smin.i64(i64, i64)
"""

_PARALLEL = """
define void @chainrule_parallel(ptr %pool, ptr %entry, ptr %operands, i64 %tasks) nounwind {
  %workers.at = address(workers)
  %owner.at = address(owner)
  %done.at = address(done)
  %entry.at = address(entry)
  %operands.at = address(operands)
  %beyond = sub i64 %tasks, 2
  %several = icmp ult i64 %beyond, MOST
  %workers = load atomic i64, ptr %workers.at monotonic, align 8
  %helped = icmp ne i64 %workers, 0
  %worthwhile = and i1 %several, %helped
  br i1 %worthwhile, label %own, label %alone
own:
  %taken = cmpxchg ptr %owner.at, i64 0, i64 1 acquire monotonic, align 8
  %owned = extractvalue { i64, i1 } %taken, 1
  br i1 %owned, label %publish, label %alone
publish:
  %before = load atomic i64, ptr %done.at monotonic, align 8
  store ptr %entry, ptr %entry.at, align 8
  store ptr %operands, ptr %operands.at, align 8
  %high = shl i64 %tasks, 32
  %word = or i64 %high, 1
  %old = atomicrmw xchg ptr %pool, i64 %word seq_cst, align 8
  %wanted = sub i64 %tasks, 1
  call void @chainrule_rouse(ptr %pool, i64 %wanted)
  br label %run
run:
  %task = phi i64 [ 0, %publish ], [ %next, %run ]
  %mine.before = phi i64 [ 0, %publish ], [ %mine, %run ]
  call void %entry(ptr %operands, i64 %task, i64 0)
  %mine = add i64 %mine.before, 1
  %ticket = atomicrmw add ptr %pool, i64 1 acq_rel, align 8
  %next = and i64 %ticket, 4294967295
  %more = icmp ult i64 %next, %tasks
  br i1 %more, label %run, label %join
join:
  %others = sub i64 %tasks, %mine
  %all = add i64 %before, %others
  br label %look
look:
  %n = phi i64 [ 0, %join ], [ %n.next, %wait ], [ 0, %offer ]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %complete = icmp eq i64 %done, %all
  br i1 %complete, label %release, label %wait
wait:
  PAUSE
  %n.next = add i64 %n, 1
  %tired = icmp eq i64 %n.next, ROUND
  br i1 %tired, label %offer, label %look
offer:
  %yielded = call i32 @chainrule_yield()
  br label %look
release:
  store atomic i64 0, ptr %owner.at release, align 8
  ret void
alone:
  %any = icmp sgt i64 %tasks, 0
  br i1 %any, label %each, label %end
each:
  %i = phi i64 [ 0, %alone ], [ %i.next, %each ]
  call void %entry(ptr %operands, i64 %i, i64 0)
  %i.next = add i64 %i, 1
  %again = icmp slt i64 %i.next, %tasks
  br i1 %again, label %each, label %end
end:
  ret void
}
"""

_ENTER = """
define void @chainrule_enter(ptr %pool, i64 %tasks) nounwind {
  %steps.at = address(steps)
  %before = atomicrmw add ptr %steps.at, i64 1 monotonic, align 8
  %wanted = sub i64 %tasks, 1
  call void @chainrule_rouse(ptr %pool, i64 %wanted)
  ret void
}

define void @chainrule_leave(ptr %pool) nounwind {
  %steps.at = address(steps)
  %before = atomicrmw sub ptr %steps.at, i64 1 monotonic, align 8
  ret void
}
"""

_WORKER = """
define void @chainrule_worker(ptr %pool, i64 %thread) nounwind {
start:
  %stop.at = address(stop)
  %entry.at = address(entry)
  %operands.at = address(operands)
  %done.at = address(done)
  %parked.at = address(parked)
  %permits.at = address(permits)
  %rounds.at = address(rounds)
  %steps.at = address(steps)
  %mutex = address(mutex)
  %condition = address(condition)
  %rounds = load i64, ptr %rounds.at, align 8
  %patience = mul i64 %rounds, PATIENCE
  br label %fresh
fresh:
  br label %round
round:
  %r = phi i64 [ 0, %fresh ], [ %r.next, %tired ]
  %since = phi i64 [ 0, %fresh ], [ %since.next, %tired ]
  br label %look
look:
  %n = phi i64 [ 0, %round ], [ %n.next, %idle ]
  %stop = load atomic i64, ptr %stop.at monotonic, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %end, label %search
search:
  %word = load atomic i64, ptr %pool monotonic, align 8
  %next = and i64 %word, 4294967295
  %tasks = lshr i64 %word, 32
  %found = icmp ult i64 %next, %tasks
  br i1 %found, label %claim, label %idle
claim:
  %ticket = atomicrmw add ptr %pool, i64 1 acq_rel, align 8
  %task = and i64 %ticket, 4294967295
  %of = lshr i64 %ticket, 32
  %got = icmp ult i64 %task, %of
  br i1 %got, label %run, label %idle
run:
  %entry = load ptr, ptr %entry.at, align 8
  %operands = load ptr, ptr %operands.at, align 8
  call void %entry(ptr %operands, i64 %task, i64 %thread)
  %count = atomicrmw add ptr %done.at, i64 1 release, align 8
  br label %fresh
idle:
  PAUSE
  %n.next = add i64 %n, 1
  %over = icmp eq i64 %n.next, ROUND
  br i1 %over, label %tired, label %look
tired:
  %yielded = call i32 @chainrule_yield()
  %steps = load atomic i64, ptr %steps.at monotonic, align 8
  %inside = icmp ne i64 %steps, 0
  %patient = icmp ult i64 %since, %patience
  %stay = and i1 %inside, %patient
  %since.next = add i64 %since, 1
  %r.more = add i64 %r, 1
  %r.next = select i1 %stay, i64 0, i64 %r.more
  %long = icmp uge i64 %r.next, %rounds
  br i1 %long, label %park, label %round
park:
  %locked = call i32 @chainrule_lock(ptr %mutex)
  %counted = atomicrmw add ptr %parked.at, i64 1 seq_cst, align 8
  br label %asleep
asleep:
  %permits = load i64, ptr %permits.at, align 8
  %permitted = icmp ne i64 %permits, 0
  br i1 %permitted, label %called, label %check
check:
  %stop.now = load atomic i64, ptr %stop.at monotonic, align 8
  %stopped.now = icmp ne i64 %stop.now, 0
  %word.now = load atomic i64, ptr %pool seq_cst, align 8
  %next.now = and i64 %word.now, 4294967295
  %tasks.now = lshr i64 %word.now, 32
  %found.now = icmp ult i64 %next.now, %tasks.now
  %up = or i1 %stopped.now, %found.now
  br i1 %up, label %uncount, label %sleep
sleep:
  %woken = call i32 @chainrule_wait(ptr %condition, ptr %mutex, i32 -1, i32 0)
  br label %asleep
called:
  %permits.left = sub i64 %permits, 1
  store i64 %permits.left, ptr %permits.at, align 8
  br label %awake
uncount:
  %uncounted = atomicrmw sub ptr %parked.at, i64 1 seq_cst, align 8
  br label %awake
awake:
  %unlocked = call i32 @chainrule_unlock(ptr %mutex)
  %word.then = load atomic i64, ptr %pool monotonic, align 8
  %next.then = and i64 %word.then, 4294967295
  %tasks.then = lshr i64 %word.then, 32
  %left = sub i64 %tasks.then, %next.then
  call void @chainrule_rouse(ptr %pool, i64 %left)
  br label %fresh
end:
  ret void
}
"""

# Wakes up to two workers if fewer than %wanted are awake. Under the mutex, each that waits is either counted as
# parked or has a permit.
_ROUSE = """
define internal void @chainrule_rouse(ptr %pool, i64 %wanted) noinline nounwind {
  %workers.at = address(workers)
  %parked.at = address(parked)
  %permits.at = address(permits)
  %mutex = address(mutex)
  %condition = address(condition)
  %workers = load atomic i64, ptr %workers.at monotonic, align 8
  %excess = sub i64 %wanted, %workers
  %parked.seen = load atomic i64, ptr %parked.at seq_cst, align 8
  %lack.seen = add i64 %excess, %parked.seen
  %few.seen = call i64 @llvm.smin.i64(i64 %lack.seen, i64 %parked.seen)
  %short = icmp sgt i64 %few.seen, 0
  br i1 %short, label %lock, label %end
lock:
  %locked = call i32 @chainrule_lock(ptr %mutex)
  %parked = load atomic i64, ptr %parked.at monotonic, align 8
  %lack = add i64 %excess, %parked
  %few = call i64 @llvm.smin.i64(i64 %lack, i64 %parked)
  %two = call i64 @llvm.smin.i64(i64 %few, i64 2)
  %some = icmp sgt i64 %two, 0
  br i1 %some, label %permit, label %unlock
permit:
  %counted = atomicrmw sub ptr %parked.at, i64 %two seq_cst, align 8
  %permits = load i64, ptr %permits.at, align 8
  %permits.more = add i64 %permits, %two
  store i64 %permits.more, ptr %permits.at, align 8
  br label %unlock
unlock:
  %unlocked = call i32 @chainrule_unlock(ptr %mutex)
  br i1 %some, label %first, label %end
first:
  %signalled = call i32 @chainrule_signal(ptr %condition)
  %both = icmp eq i64 %two, 2
  br i1 %both, label %second, label %end
second:
  %signalled.again = call i32 @chainrule_signal(ptr %condition)
  br label %end
end:
  ret void
}
"""

_STOP = """
define void @chainrule_stop(ptr %pool) nounwind {
  %stop.at = address(stop)
  %mutex = address(mutex)
  %condition = address(condition)
  store atomic i64 1, ptr %stop.at seq_cst, align 8
  %locked = call i32 @chainrule_lock(ptr %mutex)
  %woken = call i32 @chainrule_broadcast(ptr %condition)
  %unlocked = call i32 @chainrule_unlock(ptr %mutex)
  ret void
}
"""

# As long as a worker spins for a number of rounds.
_CALIBRATE = """
define void @chainrule_rounds(i64 %rounds) nounwind {
start:
  br label %round
round:
  %r = phi i64 [ 0, %start ], [ %r.next, %over ]
  br label %look
look:
  %n = phi i64 [ 0, %round ], [ %n.next, %look ]
  PAUSE
  %n.next = add i64 %n, 1
  %tired = icmp eq i64 %n.next, ROUND
  br i1 %tired, label %over, label %look
over:
  %yielded = call i32 @chainrule_yield()
  %r.next = add i64 %r, 1
  %end = icmp uge i64 %r.next, %rounds
  br i1 %end, label %leave, label %round
leave:
  ret void
}
"""


class Native:
    """The compiled module. It needs a target, so it is made with the first pool."""

    def __init__(self, target: Target) -> None:
        if sys.platform == "win32":
            system: Any = ctypes.WinDLL("kernel32")
            names = ["AcquireSRWLockExclusive", "ReleaseSRWLockExclusive", "SleepConditionVariableSRW"]
            names += ["WakeConditionVariable", "WakeAllConditionVariable", "SwitchToThread"]
        else:
            system = ctypes.CDLL(None)
            names = ["pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait"]
            names += ["pthread_cond_signal", "pthread_cond_broadcast", "sched_yield"]
        words = ("lock", "unlock", "wait", "signal", "broadcast", "yield")
        imports = {
            f"chainrule_{word}": ctypes.cast(getattr(system, name), ctypes.c_void_p).value or 0
            for word, name in zip(words, names, strict=True)
        }
        symbols = [f"chainrule_{name}" for name in (*IMPORTED, "worker", "stop", "rounds")]
        self.library = jit.build(_text(target), symbols, target, imports)
        self.worker = self.library.function("chainrule_worker", ctypes.c_void_p, ctypes.c_int64)
        self.stop = self.library.function("chainrule_stop", ctypes.c_void_p)
        self._system = system
        self.spin = self._rounds()

    def _rounds(self) -> int:
        """How many rounds take `SPIN` seconds here: a pause is 10 to 140 cycles long, by the processor."""
        run, tried, best = self.library.function("chainrule_rounds", ctypes.c_int64), 20, math.inf
        for _ in range(5):
            begin = time.perf_counter()
            run(tried)
            best = min(best, time.perf_counter() - begin)
        return max(1, int(SPIN / best * tried))

    def state(self) -> State:
        """A state that begins where a line of the cache begins."""
        room = bytearray(ctypes.sizeof(State) + _LINE)
        state = State.from_buffer(room, -ctypes.addressof(ctypes.c_char.from_buffer(room)) % _LINE)
        self.initialize(state)
        return state

    def initialize(self, state: State) -> None:
        """Make a state as new, whatever it was."""
        ctypes.memset(ctypes.addressof(state), 0, ctypes.sizeof(state))
        state.rounds = self.spin
        if sys.platform != "win32":  # there, zeros are a mutex and a condition variable
            base = ctypes.addressof(state)
            self._system.pthread_mutex_init(ctypes.c_void_p(base + State.mutex.offset), None)
            self._system.pthread_cond_init(ctypes.c_void_p(base + State.condition.offset), None)


@functools.cache
def native() -> Native:
    """The module for this machine.

    Raises:
        ArgumentError: there is no native code for it.
    """
    target = host()
    if target is None:
        raise ArgumentError(
            "threads: there is no native code for this machine",
            fix="leave CHAINRULE_ISA unset, or do not compile to native code",
        )
    return Native(target)
