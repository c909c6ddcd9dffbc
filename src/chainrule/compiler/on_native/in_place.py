"""Which results of a loop can be written over something that it reads: element by element, each read once before."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from chainrule.compiler.on_native.values import Loop
from chainrule.compiler.steps import Place


def overwritable(loop: Loop, places: Sequence[Place]) -> tuple[tuple[Hashable, Hashable], ...]:
    """Pairs of a result's array and an array that it may overwrite, if nobody needs that any longer.

    Both lie in the same way. All that the loop computes of the old element, it computes in the pass that stores the new
    one, which depends on it: so the old one is in a register by then.

    Args:
        places: of the loop's arrays.
    """
    found: list[tuple[Hashable, Hashable]] = []
    for array, n in loop.stores:
        mine = loop.arrays[array]
        below = _below(loop, n)
        for i, instruction in enumerate(loop.body):
            old = instruction.array
            if instruction.kind != "load" or i not in below or old == array or loop.arrays[old] != mine:
                continue
            alone = sum(p.array is places[old].array for p in places) == 1 and not places[old].offset
            if alone and not places[array].offset and _passes_of(loop, old) == {loop.body[n].known}:
                found.append((places[array].array, places[old].array))
    return tuple(found)


def _below(loop: Loop, n: int) -> set[int]:
    """Instructions that one is computed from within its own pass."""
    found: set[int] = set()
    todo = [n]
    while todo:
        i = todo.pop()
        if i not in found and (i == n or loop.body[i].kind != "reduce"):
            found.add(i)
            todo += loop.body[i].args
    return found


def _passes_of(loop: Loop, array: int) -> set[int]:
    """The passes in which an array is read."""
    ends = [(n, loop.body[n].known) for _, n in loop.stores]
    ends += [(n, i.known - 1) for n, i in enumerate(loop.body) if i.kind == "reduce"]
    reads = {n for n, i in enumerate(loop.body) if i.array == array and i.kind != "number"}
    return {step for n, step in ends if reads & _below(loop, n)}
