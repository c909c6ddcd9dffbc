"""Reductions of a lot to a little, in two steps: parts on several threads, then the parts.

The number of parts depends on shapes alone, so the order of additions, and with it every bit, does not depend on
the number of threads. Sums of parts are more accurate, too: each has fewer terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.compiler.on_native.loops import TASK, TASKS
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.shapes import DType, count, row_major

MANY = 2048
"""With more results than that there is enough to do at once without parts."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A loop in two.

    Attributes:
        first: over parts of the domain. Its arrays are those of the loop, and after them one for each reduction.
        last: over the parts. Its arrays are one for each reduction, and after them those of the loop.
        dtypes: of the reductions.
        size: elements that each of them has for all parts.
    """

    first: Loop
    last: Loop
    dtypes: tuple[DType, ...]
    size: int


def in_parts(loop: Loop) -> Parts | None:
    """Divide a loop that is worth it; None if it is not, or if its results are needed within the same row.

    Args:
        loop: with as few axes as possible.
    """
    kept = [a for a in range(len(loop.sizes)) if a not in loop.reduced]
    results = count(tuple(loop.sizes[a] for a in kept))
    domain = count(loop.sizes)
    if not loop.reduced or domain < 4 * TASK or results > MANY or results * 64 > domain:
        return None
    if any(i.full and i.known for i in loop.body) or any(
        i.known > 1 for i in loop.body if i.kind == "reduce"
    ):
        return None
    axis = max(sorted(loop.reduced), key=lambda a: loop.sizes[a])
    wanted = min(TASKS, domain // TASK)
    last = len(loop.sizes) - 1
    if count(tuple(loop.sizes[a] for a in kept if a != last)) >= wanted:
        return None
    number = max((p for p in range(2, wanted + 1) if loop.sizes[axis] % p == 0), default=1)
    if number < min(4, wanted):
        return None
    sums = [n for n, i in enumerate(loop.body) if i.kind == "reduce"]
    dtypes = tuple(loop.body[n].dtype for n in sums)
    strides = row_major(tuple(loop.sizes[a] for a in kept))
    return Parts(
        _first(loop, axis, number, sums, kept, strides, results),
        _last(loop, number, sums, kept, strides, results),
        dtypes,
        number * results,
    )


def _first(
    loop: Loop, axis: int, number: int, sums: list[int], kept: list[int], strides: Sequence[int], results: int
) -> Loop:
    """The loop with its axis cut into parts, which are kept; reductions are stored for each part."""
    length = loop.sizes[axis] // number
    sizes = (*loop.sizes[:axis], number, length, *loop.sizes[axis + 1 :])
    moved = [a if a < axis else a + 1 for a in range(len(loop.sizes))]  # the axis becomes the inner of two
    reduced = frozenset(moved[a] for a in loop.reduced)
    arrays: list[Access] = []
    for access in loop.arrays:
        s = access.strides
        arrays.append(Access((*s[:axis], s[axis] * length, s[axis], *s[axis + 1 :]), access.dtype))
    for n in sums:
        own = [0] * len(sizes)
        own[axis] = results
        for a, stride in zip(kept, strides, strict=True):
            own[moved[a]] = stride
        arrays.append(Access(tuple(own), loop.body[n].dtype))
    early = [s for s in loop.stores if not loop.body[s[1]].known and loop.body[s[1]].kind != "reduce"]
    body = tuple(i if i.kind == "reduce" or not i.known else _nothing(i) for i in loop.body)
    stores = (*early, *((len(loop.arrays) + k, n) for k, n in enumerate(sums)))
    return Loop(sizes, reduced, tuple(arrays), body, stores)


def _last(
    loop: Loop, number: int, sums: list[int], kept: list[int], strides: Sequence[int], results: int
) -> Loop:
    """Reductions over the parts, and what the loop does with their results."""
    sizes = (number, *(loop.sizes[a] for a in kept))
    arrays = [Access((results, *strides), loop.body[n].dtype) for n in sums]
    for access in loop.arrays:
        arrays.append(Access((0, *(access.strides[a] for a in kept)), access.dtype))
    shift = len(sums)  # array k of the loop is array k + shift here
    body: list[Instruction] = []
    place: dict[int, int] = {}
    for k, n in enumerate(sums):
        body.append(Instruction("load", (), loop.body[n].dtype, array=k))
        place[n] = len(body)
        body.append(replace(loop.body[n], args=(len(body) - 1,)))
    needed = _behind(loop, [n for n, i in enumerate(loop.body) if i.known and i.kind != "reduce"])
    for n, i in enumerate(loop.body):
        if n in needed and n not in place:
            place[n] = len(body)
            array = i.array + shift if i.kind == "load" else i.array
            body.append(replace(i, args=tuple(place[a] for a in i.args), array=array, full=False))
    late = [s for s in loop.stores if loop.body[s[1]].known or loop.body[s[1]].kind == "reduce"]
    stores = tuple((array + shift, place[n]) for array, n in late)
    return Loop(sizes, frozenset([0]), tuple(arrays), tuple(body), stores)


def _behind(loop: Loop, wanted: list[int]) -> set[int]:
    """Instructions that others need, down to reductions."""
    found: set[int] = set()
    todo = list(wanted)
    while todo:
        n = todo.pop()
        if n not in found and loop.body[n].kind != "reduce":
            found.add(n)
            todo.extend(loop.body[n].args)
    return found


def _nothing(instruction: Instruction) -> Instruction:
    """Keeps the place of an instruction that is not needed."""
    return Instruction("number", (), instruction.dtype, full=False)
