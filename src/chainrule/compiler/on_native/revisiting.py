"""Values that a later pass over a row needs again: they wait in the place of a result that is not there yet.

Softmax takes exponentials for their sum, and once more for the quotients. In the pass that makes the sum they are
stored where the quotients will be, and read from there, from the cache, in the next.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from chainrule.compiler.on_native.elements import slow
from chainrule.compiler.on_native.values import Loop


@dataclass(frozen=True, slots=True)
class Wait:
    """An instruction whose value waits.

    Attributes:
        instruction: its number.
        array: where the value waits.
        first: the pass that computes it.
        later: the passes that read it again.
    """

    instruction: int
    array: int
    first: int
    later: frozenset[int]


def waits(loop: Loop, vector: int) -> tuple[Wait, ...]:
    """What to keep from pass to pass: what is slow to compute, if there is a place for it.

    A place is a result that a later pass stores: an element of its own for each of the domain's. It may lie where
    something else is read that nobody needs afterwards (`in_place`), so what runs along it is not read any more.

    Args:
        vector: the axis along which vectors lie.
    """
    dear = [n for n, i in enumerate(loop.body) if i.full and i.kind == "emit" and _is_slow(loop, n)]
    if not dear or not loop.reduced:
        return ()
    ends = [(n, i.known - 1) for n, i in enumerate(loop.body) if i.kind == "reduce"]
    ends += [(n, loop.body[n].known) for _, n in loop.stores]
    needs = [(step, _within(loop, end, ())) for end, step in ends]
    found: list[Wait] = []
    for n in dear:
        steps = sorted({step for step, needed in needs if n in needed})
        if len(steps) < 2:
            continue
        for array, stored in loop.stores:
            if any(w.array == array for w in found) or not _has_room(loop, array, n, vector):
                continue
            if not steps[0] < loop.body[stored].known >= steps[-1]:
                continue
            known = {n, *(w.instruction for w in found)}
            later = {m for end, step in ends if step > steps[0] for m in _within(loop, end, known)}
            read = [loop.body[m].array for m in later if loop.body[m].kind == "load"]
            if not any(loop.arrays[a] == loop.arrays[array] for a in read):
                found.append(Wait(n, array, steps[0], frozenset(steps[1:])))
                break
    return tuple(found)


def _is_slow(loop: Loop, n: int) -> bool:
    i = loop.body[n]
    return i.op is not None and slow(i.op, tuple(loop.body[a].dtype for a in i.args), i.params)


def _has_room(loop: Loop, array: int, n: int, vector: int) -> bool:
    """Whether a result has an element of its own, beside the next, for each value of an instruction."""
    access = loop.arrays[array]
    apart = all(s for s, size in zip(access.strides, loop.sizes, strict=True) if size > 1)
    return apart and access.strides[vector] == 1 and access.dtype is loop.body[n].dtype


def _within(loop: Loop, end: int, known: Container[int]) -> set[int]:
    """Instructions that one is computed from within its own pass, down to what is known."""
    found: set[int] = set()
    todo = [end]
    while todo:
        n = todo.pop()
        if n not in found and (n == end or (loop.body[n].kind != "reduce" and n not in known)):
            found.add(n)
            todo += loop.body[n].args
    return found
