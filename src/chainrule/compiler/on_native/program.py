"""One native function for all steps between two calls of NumPy, and one for a program that calls none.

``void run(ptr bases)``: ``bases`` is a table with the pool's address and one address for each array. For each
kernel the function writes the addresses of its operands into a table on the stack and calls it, or hands its
tasks to the pool.

``i1 whole(ptr bases)`` runs these functions and looks at the program's flags. It says whether it came to the end; if
not, a flag is raised, and nothing was overwritten that the program was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.compiler.on_native.denormals import begin_flush, end_flush
from chainrule.compiler.on_native.ir import I1, I8, PTR, Function, Value, number, type_of
from chainrule.compiler.on_native.pool import enter, leave, parallel
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Step
from chainrule.shapes import DType

POOL, ARENA, FIRST = range(3)
"""Entries of the table: the pool, the memory for intermediate results, the first of the arrays."""
WHOLE = "whole"
"""Symbol of the function that runs a program to its end."""


def functions(
    segments: Sequence[Sequence[Step]],
    where: Mapping[Any, tuple[int, int]],
    target: Target,
    flush: bool = False,
) -> list[Function]:
    """One function for each segment, ``run0``, ``run1`` and so on, and the functions of their kernels.

    Args:
        segments: steps that run one after the other.
        where: for each array, its place in the table of bases and the bytes from there.
        target: what the kernels are made for.
        flush: whether numbers too small for the usual form count as zero.
    """
    found: list[Function] = []
    for n, steps in enumerate(segments):
        run = Function(f"run{n}", [("%bases", PTR)], target)
        _segment(run, steps, where, flush)
        found.append(run)
        for step in steps:
            found.extend(step.kernel.functions)
    return found


def whole(order: Sequence[str | None], flags: Sequence[tuple[int, int, DType]], target: Target) -> Function:
    """The function that runs a program to its end.

    Args:
        order: names of the functions for its steps; None where the flags are looked at.
        flags: for each its place in the table of bases, the bytes from there, and what it is.
        target: what the code is made for.
    """
    f = Function(WHOLE, [("%bases", PTR)], target, result=I1)
    (bases,) = f.parameters
    for name in order:
        if name is not None:
            f.call(name, [bases], declare=True)
            continue
        for entry, offset, dtype in flags:
            flag = f.load(f.at(f.load(f.at(bases, entry, PTR), PTR), offset, I8), type_of(dtype))
            good = f.label("good")
            f.branch(flag if flag.type == I1 else f.compare("ne", flag, number(flag.type, 0)), "bad", good)
            f.begin(good)
    f.ret(number(I1, True))
    if None in order:
        f.begin("bad")
        f.ret(number(I1, False))
    return f


def _segment(run: Function, steps: Sequence[Step], where: Mapping[Any, tuple[int, int]], flush: bool) -> None:
    (bases,) = run.parameters
    mode = begin_flush(run) if flush else None
    pool = run.load(run.at(bases, POOL, PTR), PTR)
    room = max((len(step.places) for step in steps), default=1)
    table = run.stack(PTR, max(room, 1))
    loaded: dict[int, Value] = {}
    for base in sorted({where[p.array][0] for step in steps for p in step.places}):
        loaded[base] = run.load(run.at(bases, base, PTR), PTR)
    most = max((step.kernel.widest for step in steps), default=1)
    if most > 1:
        enter(run, pool, most)
    for step in steps:
        for i, place in enumerate(step.places):
            run.store(_address(run, loaded, where, place), run.at(table, i, PTR))
        parallel(run, pool, step.kernel.name, table, step.kernel.tasks)
    if most > 1:
        leave(run, pool)
    if mode is not None:
        end_flush(run, mode)


def _address(
    run: Function, loaded: Mapping[int, Value], where: Mapping[Any, tuple[int, int]], place: Place
) -> Value:
    base, offset = where[place.array]
    return run.at(loaded[base], offset + place.offset, I8)
