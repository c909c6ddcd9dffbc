"""The native half of the pool of threads: fork, join, and what a worker does in between.

Tasks are claimed one by one, in lanes of two threads: a job's tasks are dealt out to the lanes, and in each of them
one thread claims from the first task on and the other from the last. So a thread has much the same tasks whenever a
job comes again, with the same weights in its processor's cache, and yet whoever is faster does more. Who finds no
task left in its own lane takes from the next. The thread that asks for a job, thread 0, claims tasks like the
workers do; it waits only for tasks that a worker has begun, never for a worker to wake up. When the pool is in use
(by another thread, or from within a task), the caller runs all tasks alone, as thread 0. So nothing here can
deadlock, and as the tasks are the same, so are the results.

Workers are threads of Python that stay in native code, without the interpreter's lock. A worker without work
spins for `SPIN` seconds, then sleeps on a condition variable of the system. Whoever publishes a job wakes two
if too few are awake for it, and each wakes two more while tasks are left. Waking takes longer than most steps
of a program, so a program says when it begins and ends: in between workers stay awake.

Why this is safe. Each lane has one 64-bit word, which holds its number of tasks and how many were claimed from
either end. Adding 1 to one of these claims a task, and the old value says whether there was one, so a claim that
comes late cannot mix two jobs: it either finds no task left, or takes a task of the new job by the new job's count.
A thread looks before it adds, so an exhausted word gets at most one more from each thread: the fields never overflow.

- ``entry``, ``operands`` and a lane's first task are stored before the lane's word is exchanged (release) and read
  after a claim that succeeded (acquire). They do not change until that task is counted as done.
- A worker counts a task as done (release) after running it; the caller leaves when it reads the full count
  (acquire), and so sees what the tasks wrote. Words and count change by read-modify-write alone while a job runs,
  so that what one thread releases is not hidden by the next.
- To sleep, a worker counts itself as parked and then looks at the words; the caller exchanges the words and then
  looks at the count. All are sequentially consistent, so one of them sees the other.
- The next job begins only when ``owner`` has been given back (release) and taken (acquire).
"""

from __future__ import annotations

import ctypes

from chainrule.compiler.on_native import denormals, processors
from chainrule.compiler.on_native.pool_state import FIELD, LINE, State
from chainrule.compiler.on_native.target import Target

IMPORTED = ("parallel", "enter", "leave", "flush", "restore")
"""What programs call, without the prefix ``chainrule_``."""
MOST_TASKS = (1 << FIELD) - 2048
"""Jobs of more tasks run on the calling thread alone."""
_PATIENCE = 64
"""How many times as long a worker looks for work inside a step."""
_ROUND = 64
"""How often a waiting thread looks before it offers its processor to another."""


def text(target: Target) -> str:
    """The module of the pool, to be linked with the system's functions."""
    if target.triple.startswith(("aarch64", "arm64")):
        pause, declaration = "call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)"
    else:
        pause, declaration = "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    code = (
        declaration
        + denormals.text(target)
        + processors.text(target)
        + _SYSTEM
        + _PARALLEL
        + _CLAIM
        + _ENTER
        + _WORKER
        + _ROUSE
        + _STOP
        + _CALIBRATE
    )
    numbers = {
        "PAUSE": pause,
        "ROUND": _ROUND,
        "MOST": MOST_TASKS - 1,
        "PATIENCE": _PATIENCE,
        "LANES": ctypes.sizeof(State),
        "LINE": LINE,
        "FIELD": FIELD,
        "COUNT": 2 * FIELD,
        "MASK": (1 << FIELD) - 1,
    }
    for word, number in numbers.items():
        code = code.replace(word, str(number))
    for name, *_ in State._fields_:
        place = getattr(State, name).offset
        code = code.replace(f"address({name})", f"getelementptr i8, ptr %pool, i64 {place}")
    return code


# Windows reads two more arguments in its wait; POSIX does not look at them.
_SYSTEM = """
declare i32 @chainrule_lock(ptr)
declare i32 @chainrule_unlock(ptr)
declare i32 @chainrule_wait(ptr, ptr, i32, i32)
declare i32 @chainrule_signal(ptr)
declare i32 @chainrule_broadcast(ptr)
declare i32 @chainrule_yield()
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
"""

_PARALLEL = """
define void @chainrule_parallel(ptr %pool, ptr %entry, ptr %operands, i64 %tasks) nounwind {
  %workers.at = address(workers)
  %owner.at = address(owner)
  %done.at = address(done)
  %entry.at = address(entry)
  %operands.at = address(operands)
  %threads.at = address(threads)
  %lanes.at = address(lanes)
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
  %mode.at = address(mode)
  %mode = call i64 @chainrule_mode()
  store i64 %mode, ptr %mode.at, align 8
  store ptr %entry, ptr %entry.at, align 8
  store ptr %operands, ptr %operands.at, align 8
  %threads = load i64, ptr %threads.at, align 8
  %lanes = load i64, ptr %lanes.at, align 8
  %twice = shl i64 %tasks, 1
  %round.up = sub i64 %threads, 1
  br label %deal
deal:
  %lane = phi i64 [ 0, %publish ], [ %lane.next, %dealt ]
  %first = phi i64 [ 0, %publish ], [ %end.of, %dealt ]
  %mine.already = phi i64 [ 1, %publish ], [ 0, %dealt ]
  %lane.next = add i64 %lane, 1
  %last = icmp eq i64 %lane.next, %lanes
  br i1 %last, label %dealt, label %share
share:
  %upto = mul i64 %twice, %lane.next
  %upto.up = add i64 %upto, %round.up
  %part = udiv i64 %upto.up, %threads
  br label %dealt
dealt:
  %end.of = phi i64 [ %tasks, %deal ], [ %part, %share ]
  %count = sub i64 %end.of, %first
  %offset = mul i64 %lane, LINE
  %beyond.state = add i64 %offset, LANES
  %lane.at = getelementptr i8, ptr %pool, i64 %beyond.state
  %first.at = getelementptr i8, ptr %lane.at, i64 8
  store i64 %first, ptr %first.at, align 8
  %high = shl i64 %count, COUNT
  %word = or i64 %high, %mine.already
  %old = atomicrmw xchg ptr %lane.at, i64 %word seq_cst, align 8
  br i1 %last, label %announce, label %deal
announce:
  %wanted = sub i64 %tasks, 1
  call void @chainrule_rouse(ptr %pool, i64 %wanted)
  br label %run
run:
  %task = phi i64 [ 0, %announce ], [ %next, %run ]
  %mine.before = phi i64 [ 0, %announce ], [ %mine, %run ]
  call void %entry(ptr %operands, i64 %task, i64 0)
  %mine = add i64 %mine.before, 1
  %next = call i64 @chainrule_claim(ptr %pool, i64 0)
  %more = icmp sge i64 %next, 0
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

# A task that is claimed now, or -1: one of the thread's own lane if there is any. And how many tasks are left.
_CLAIM = """
define internal i64 @chainrule_claim(ptr %pool, i64 %thread) nounwind {
  %lanes.at = address(lanes)
  %lanes = load i64, ptr %lanes.at, align 8
  %own = lshr i64 %thread, 1
  %side = and i64 %thread, 1
  %from.end = icmp ne i64 %side, 0
  %shift = mul i64 %side, FIELD
  %one = shl i64 1, %shift
  br label %visit
visit:
  %k = phi i64 [ 0, %0 ], [ %k.next, %none ]
  %lane = phi i64 [ %own, %0 ], [ %lane.next, %none ]
  %offset = mul i64 %lane, LINE
  %beyond.state = add i64 %offset, LANES
  %lane.at = getelementptr i8, ptr %pool, i64 %beyond.state
  %word = load atomic i64, ptr %lane.at monotonic, align 8
  %free = call i64 @chainrule_free(i64 %word)
  %found = icmp sgt i64 %free, 0
  br i1 %found, label %take, label %none
take:
  %ticket = atomicrmw add ptr %lane.at, i64 %one acq_rel, align 8
  %free.then = call i64 @chainrule_free(i64 %ticket)
  %got = icmp sgt i64 %free.then, 0
  br i1 %got, label %mine, label %none
mine:
  %first.at = getelementptr i8, ptr %lane.at, i64 8
  %first = load i64, ptr %first.at, align 8
  %low = and i64 %ticket, MASK
  %ends = lshr i64 %ticket, FIELD
  %high = and i64 %ends, MASK
  %count = lshr i64 %ticket, COUNT
  %count.less = sub i64 %count, 1
  %back = sub i64 %count.less, %high
  %within = select i1 %from.end, i64 %back, i64 %low
  %task = add i64 %first, %within
  ret i64 %task
none:
  %k.next = add i64 %k, 1
  %lane.more = add i64 %lane, 1
  %around = icmp eq i64 %lane.more, %lanes
  %lane.next = select i1 %around, i64 0, i64 %lane.more
  %over = icmp eq i64 %k.next, %lanes
  br i1 %over, label %nothing, label %visit
nothing:
  ret i64 -1
}

define internal i64 @chainrule_left(ptr %pool) nounwind {
  %lanes.at = address(lanes)
  %lanes = load i64, ptr %lanes.at, align 8
  br label %visit
visit:
  %lane = phi i64 [ 0, %0 ], [ %lane.next, %visit ]
  %left = phi i64 [ 0, %0 ], [ %left.more, %visit ]
  %offset = mul i64 %lane, LINE
  %beyond.state = add i64 %offset, LANES
  %lane.at = getelementptr i8, ptr %pool, i64 %beyond.state
  %word = load atomic i64, ptr %lane.at seq_cst, align 8
  %free = call i64 @chainrule_free(i64 %word)
  %some = call i64 @llvm.smax.i64(i64 %free, i64 0)
  %left.more = add i64 %left, %some
  %lane.next = add i64 %lane, 1
  %again = icmp ult i64 %lane.next, %lanes
  br i1 %again, label %visit, label %end
end:
  ret i64 %left.more
}

define internal i64 @chainrule_free(i64 %word) alwaysinline nounwind {
  %low = and i64 %word, MASK
  %ends = lshr i64 %word, FIELD
  %high = and i64 %ends, MASK
  %count = lshr i64 %word, COUNT
  %less = sub i64 %count, %low
  %free = sub i64 %less, %high
  ret i64 %free
}
"""

_ENTER = """
define void @chainrule_enter(ptr %pool, i64 %tasks) nounwind {
  call void @chainrule_note(ptr %pool)
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
  %mode.at = address(mode)
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
  %task = call i64 @chainrule_claim(ptr %pool, i64 %thread)
  %got = icmp sge i64 %task, 0
  br i1 %got, label %run, label %idle
run:
  %entry = load ptr, ptr %entry.at, align 8
  %operands = load ptr, ptr %operands.at, align 8
  %mode.wanted = load i64, ptr %mode.at, align 8
  %mode = call i64 @chainrule_mode()
  %same = icmp eq i64 %mode, %mode.wanted
  br i1 %same, label %work, label %switch
switch:
  call void @chainrule_restore(i64 %mode.wanted)
  br label %work
work:
  call void %entry(ptr %operands, i64 %task, i64 %thread)
  %count = atomicrmw add ptr %done.at, i64 1 release, align 8
  br label %fresh
idle:
  PAUSE
  %n.next = add i64 %n, 1
  %over = icmp eq i64 %n.next, ROUND
  br i1 %over, label %tired, label %look
tired:
  call void @chainrule_flee(ptr %pool)
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
  %left.now = call i64 @chainrule_left(ptr %pool)
  %found.now = icmp ne i64 %left.now, 0
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
  call void @chainrule_flee(ptr %pool)
  %left = call i64 @chainrule_left(ptr %pool)
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
