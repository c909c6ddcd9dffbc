"""Numbers too small for the usual form: computed with, or taken for zero.

Processors take many times as long over a denormal number as over another. A program may have them taken for
zero, as operands and as results, while it runs. How a thread computes is part of a job of the pool: workers compute as
the caller does.
"""

from __future__ import annotations

from chainrule.compiler.on_native.ir import I64, Function, Value
from chainrule.compiler.on_native.target import Target


def text(target: Target) -> str:
    """The functions ``chainrule_mode``, ``chainrule_flush`` and ``chainrule_restore`` of the pool's module.

    The first gives how the thread computes now, the second has it take denormals for zero and gives how it computed
    before, the third sets what the others give.
    """
    own, bits = (
        (_ON_ARM, 1 << 24) if target.triple.startswith(("aarch64", "arm64")) else (_ON_X86, 1 << 15 | 1 << 6)
    )
    return own + _FLUSH.replace("BITS", str(bits))


def begin_flush(function: Function) -> Value:
    """From here to `end_flush` denormals are zero, in workers too."""
    return function.call("chainrule_flush", [], I64, declare=True)


def end_flush(function: Function, mode: Value) -> None:
    """Compute again as before `begin_flush`, which gave ``mode``."""
    function.call("chainrule_restore", [mode], declare=True)


# MXCSR without its six flags of what has happened; FTZ is bit 15, DAZ bit 6.
_ON_X86 = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

define internal i64 @chainrule_mode() nounwind {
  %at = alloca i32, align 4
  call void @llvm.x86.sse.stmxcsr(ptr %at)
  %all = load i32, ptr %at, align 4
  %modes = and i32 %all, 65472
  %wide = zext i32 %modes to i64
  ret i64 %wide
}

define void @chainrule_restore(i64 %mode) nounwind {
  %at = alloca i32, align 4
  %narrow = trunc i64 %mode to i32
  store i32 %narrow, ptr %at, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %at)
  ret void
}
"""
# FPCR; FZ is bit 24.
_ON_ARM = """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)

define internal i64 @chainrule_mode() nounwind {
  %mode = call i64 @llvm.aarch64.get.fpcr()
  ret i64 %mode
}

define void @chainrule_restore(i64 %mode) nounwind {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
"""
_FLUSH = """
define i64 @chainrule_flush() nounwind {
  %mode = call i64 @chainrule_mode()
  %flushing = or i64 %mode, BITS
  call void @chainrule_restore(i64 %flushing)
  ret i64 %mode
}
"""
