"""Kernels that run while a program is made."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from chainrule.compiler.memory import aligned
from chainrule.compiler.on_native import jit
from chainrule.compiler.on_native.call import Lowered
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.target import Target
from chainrule.primitive import Array


def run_once(lowered: Lowered, arrays: Mapping[str, Array], target: Target) -> None:
    """Run all calls on this thread.

    Args:
        lowered: needs no scratch memory.
        arrays: its operands, row-major.
        target: must run here.
    """
    kernels = [call.kernel for call in lowered.calls]
    library = jit.build(module(f for k in kernels for f in k.functions), [k.name for k in kernels], target)
    given = {**arrays, "workspace": aligned(lowered.workspace)}
    for call in lowered.calls:
        types = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        run = library.function(call.kernel.name, *types)
        table = (ctypes.c_void_p * len(call.operands))(*(given[name].ctypes.data for name in call.operands))
        for task in range(call.kernel.tasks):
            run(ctypes.addressof(table), task, 0)
