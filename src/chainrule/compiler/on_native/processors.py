"""Workers stay away from the processor of whoever they work for.

A system that likes to keep processors idle wakes a worker on the processor of whoever wakes it, or moves the caller to
its worker's, where each waits for the other until the system parts them. So a program notes its processor when it
begins, and a worker that finds itself there moves away. Linux only; elsewhere the system has its way.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from chainrule.compiler.on_native.target import Target

FUNCTIONS = {"processor": "sched_getcpu", "affinity": "sched_setaffinity"}
"""Of the system, by the names under which the module of the pool imports them."""
BYTES = 128
"""Of a set of processors."""


def text(target: Target) -> str:
    """The functions ``chainrule_note`` and ``chainrule_flee`` of the pool's module."""
    return _ON_LINUX if "linux" in target.triple else _ELSEWHERE


def imports(system: Any) -> dict[str, Any]:
    """The system's functions that the text calls, by symbol."""
    if sys.platform != "linux":
        return {}
    return {f"chainrule_{word}": getattr(system, name) for word, name in FUNCTIONS.items()}


def choice(threads: int) -> bytes:
    """The processors among which workers may choose; no bits if there are fewer than threads."""
    if sys.platform != "linux":
        return bytes(BYTES)
    allowed = [n for n in os.sched_getaffinity(0) if n < 8 * BYTES]
    if len(allowed) < max(threads, 2):
        return bytes(BYTES)
    return sum(1 << n for n in allowed).to_bytes(BYTES, "little")


_ON_LINUX = """
declare i32 @chainrule_processor()
declare i32 @chainrule_affinity(i32, i64, ptr)

define internal void @chainrule_note(ptr %pool) nounwind {
  %at = address(processor)
  %here = call i32 @chainrule_processor()
  %wide = sext i32 %here to i64
  store atomic i64 %wide, ptr %at monotonic, align 8
  ret void
}

define internal void @chainrule_flee(ptr %pool) nounwind {
  %set = alloca [16 x i64], align 8
  %processor.at = address(processor)
  %allowed.at = address(allowed)
  %here = call i32 @chainrule_processor()
  %here.wide = sext i32 %here to i64
  %there = load atomic i64, ptr %processor.at monotonic, align 8
  %together = icmp eq i64 %here.wide, %there
  %known = icmp ult i64 %there, 1024
  %both = and i1 %together, %known
  br i1 %both, label %begin, label %end
begin:
  %word.of = lshr i64 %there, 6
  %bit.of = and i64 %there, 63
  %bit = shl i64 1, %bit.of
  %others = xor i64 %bit, -1
  br label %copy
copy:
  %i = phi i64 [ 0, %begin ], [ %next, %copy ]
  %any = phi i64 [ 0, %begin ], [ %more, %copy ]
  %from = getelementptr i64, ptr %allowed.at, i64 %i
  %to = getelementptr i64, ptr %set, i64 %i
  %all = load i64, ptr %from, align 8
  %mine = icmp eq i64 %i, %word.of
  %without = and i64 %all, %others
  %kept = select i1 %mine, i64 %without, i64 %all
  store i64 %kept, ptr %to, align 8
  %more = or i64 %any, %kept
  %next = add i64 %i, 1
  %again = icmp ult i64 %next, 16
  br i1 %again, label %copy, label %move
move:
  %somewhere = icmp ne i64 %more, 0
  br i1 %somewhere, label %go, label %end
go:
  %gone = call i32 @chainrule_affinity(i32 0, i64 128, ptr %set)
  br label %end
end:
  ret void
}
"""
_ELSEWHERE = """
define internal void @chainrule_note(ptr %pool) nounwind {
  ret void
}

define internal void @chainrule_flee(ptr %pool) nounwind {
  ret void
}
"""
