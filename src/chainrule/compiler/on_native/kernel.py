"""What a kernel is: code for one step of a program, which knows shapes and no addresses.

An entry is ``void name(ptr operands, i64 task, i64 thread)``. ``operands`` points to a table of addresses, one for
each array the step reads or writes, in the order that whoever wrote the kernel chose. The work is cut into ``tasks``
pieces that may run in any order and on any thread: the cut depends on shapes alone, so that results do not depend
on the number of threads. Two steps of equal shapes share one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Value
from chainrule.compiler.on_native.target import Target

LINE = 64
"""Bytes of a cache line."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Code for one step.

    Attributes:
        name: symbol of the entry; equal names mean equal code, so it says everything the code depends on
            (`modules.module` refuses others).
        functions: the entry first, then what it calls.
        tasks: how many pieces the work is cut into.
        flops, bytes: of one run of all tasks.
        items: along the result's first axis, if the tasks `share` them in multiples of ``together``; else 0.
        jobs: tasks of the largest job that its own task hands to the pool.
    """

    name: str
    functions: Sequence[Function] = field(repr=False)
    tasks: int
    flops: int
    bytes: int
    items: int = 0
    together: int = 1
    jobs: int = 1

    @property
    def widest(self) -> int:
        """How many tasks there are at once."""
        return max(self.tasks, self.jobs)


def entry(name: str, target: Target) -> tuple[Function, Value, Value, Value]:
    """A function with the parameters of an entry: itself, ``operands``, ``task`` and ``thread``."""
    function = Function(name, [("%operands", PTR), ("%task", I64), ("%thread", I64)], target)
    operands, task, thread = function.parameters
    return function, operands, task, thread


def one_after_the_other(first: Kernel, places: int, then: Kernel, target: Target) -> Kernel:
    """Two kernels as one, whose tasks each run a task of the first and then that of the second.

    Args:
        first: its table has so many ``places``; those of ``then`` come after them.
        then: shares the same items; of what the first writes, a task reads only what the same task has written.
        target: of both.
    """
    f, operands, task, thread = entry(f"{first.name}_then_{then.name}", target)
    f.call(first.name, [operands, task, thread])
    f.call(then.name, [f.at(operands, places, PTR), task, thread])
    f.ret()
    functions = [f, *first.functions, *then.functions]
    flops, moved = first.flops + then.flops, first.bytes + then.bytes
    return Kernel(f.name, functions, first.tasks, flops, moved, first.items, first.together)


def operand(function: Function, operands: Value, place: int) -> Value:
    """The address of one of a kernel's arrays."""
    return function.load(function.at(operands, place, PTR), PTR)


def next_task(function: Function, thread: Value, size: int) -> Int:
    """How far from a task's items the next one's are that the same thread will run: mostly ``size``, or as far back.

    Even threads go up from a first task on, and odd ones down from a last.
    """
    return function.sub_int(size, function.mul_int(function.mod_int(thread, 2), 2 * size))


def share(function: Function, task: Int, total: int, tasks: int, multiple: int = 1) -> tuple[Int, Int]:
    """The range of ``total`` items that belongs to a task; cuts fall on multiples of ``multiple``."""
    if tasks == 1:
        return 0, total
    size = -(-total // tasks)
    size = -(-size // multiple) * multiple
    start = function.mul_int(task, size)
    return function.min_int(start, total), function.min_int(function.add_int(start, size), total)


def evenly(function: Function, task: Int, total: int, tasks: int) -> tuple[Int, Int]:
    """The range of ``total`` items that belongs to a task, if none is to have more than one more than another."""
    start = function.div_int(function.mul_int(task, total), tasks)
    return start, function.div_int(function.mul_int(function.add_int(task, 1), total), tasks)
