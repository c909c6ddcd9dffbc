"""What the steps of a program read and write in its memory, so that some may run again: same kernels, same bits.

A *sequence* says which steps run, by number, some of them more than once. Each run gives new versions of the arrays
that the step writes, and whoever reads an array gets its last version. So a sequence alone says how long everything
lives: an array whose maker runs again before its next reader is not kept until then.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from chainrule.compiler.memory import ALIGNMENT, Life, plan
from chainrule.compiler.steps import POOL, Place, Scratch, Step, Workspace
from chainrule.construction import new_node
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import count

Runs: TypeAlias = "Sequence[int]"
"""Numbers of steps, in the order in which they run."""
BYTE = 4.0
"""Moving a byte takes as long as so many floating-point operations."""


def nbytes(key: Any, threads: int) -> int:
    """The memory that an array, a workspace or what a step needs for each thread takes."""
    if isinstance(key, Workspace):
        return key.nbytes
    if isinstance(key, Scratch):
        return key.nbytes * threads
    return count(key.shape) * key.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Work:
    """What a step takes: floating-point operations, and bytes that are moved."""

    flops: int
    bytes: int

    @property
    def time(self) -> float:
        """Both as one number, in operations."""
        return self.flops + BYTE * self.bytes


def work_of(step: Step) -> Work:
    """The work of a step, by its kernel or, where NumPy is called, by its primitive."""
    if step.kernel is not None:
        return Work(step.kernel.flops, step.kernel.bytes)
    node = step.nodes[0]
    assert node.op is not None
    cost = node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
    return Work(cost.flops, cost.bytes)


class Dataflow:
    """Steps by number, and the arrays in the arena by number.

    Args:
        steps: of a program, in order.
        elsewhere: keys of arrays that do not lie in the arena: inputs and results.
        overwritten: for a result, the input whose memory it takes.
        flags: bools that are looked at when all are known.
        base: the array in which a node is read.
        threads: how many run it.

    Attributes:
        steps: as given.
        sizes: bytes of the arrays in the arena, by number; those that only one step uses are not among them. What a
            step adds to an array that another has begun counts as an array of its own, made from that.
        reads, writes: for each step, numbers of arrays.
        maker: for each array, the step that writes it.
        uses: for each array, the steps that read it, in rising order.
        own: for each step, the bytes that it needs for itself.
        time, flops: of each step.
        essential: steps whose first run leaves more than what other steps read.
        floor: bytes of the step that uses most: no sequence does with less.
        before: for each step, the step before which it may run again, since that overwrites what it reads.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        elsewhere: set[Any],
        overwritten: Mapping[Node, Node],
        flags: set[Any],
        base: Callable[[Node], Node],
        threads: int,
    ) -> None:
        self.steps, self.threads, self._elsewhere, self._base = steps, threads, elsewhere, base
        arrays = [[key for key in step.arrays if not self._is_outside(key)] for step in steps]
        users: dict[Any, list[int]] = {}
        for number, keys in enumerate(arrays):
            for key in keys:
                users.setdefault(key, []).append(number)
        known = {k for k, found in users.items() if len(found) > 1 and not isinstance(k, Scratch)}
        self._known, self._first = known, {key: users[key][0] for key in known}
        self.sizes: list[int] = []
        self.maker: list[int] = []
        self.uses: list[list[int]] = []
        self.reads: list[list[int]] = [[] for _ in steps]
        self.writes: list[list[int]] = [[] for _ in steps]
        self.own: list[int] = []
        now: dict[Any, int] = {}
        for number, keys in enumerate(arrays):
            self.own.append(sum(self._size(key) for key in keys if key not in known))
            for key in keys:
                if key in known:
                    self._touch(number, key, now, users[key][-1])
        work = [work_of(step) for step in steps]
        self.time, self.flops = [w.time for w in work], [w.flops for w in work]
        # Not every step declares all that it writes, but who touches an array first writes it.
        for number, step in enumerate(steps):
            for key in step.arrays:
                self._first.setdefault(key, number)
        over = {old: self._first[key] for key, old in overwritten.items() if key in self._first}
        self._dummies = {*overwritten, *flags}  # made again they are not for anybody
        self.essential = {
            n
            for n, step in enumerate(steps)
            if any(
                (k in elsewhere or k in flags)
                and (k in step.writes or (self._first[k] == n and k.op is not None))
                for k in step.arrays
            )
        }
        self.floor = max(
            (
                sum(self.sizes[a] for a in (*self.reads[n], *self.writes[n])) + self.own[n]
                for n in range(len(steps))
            ),
            default=0,
        )
        never = len(steps)
        self.before = [
            min((self._limit(number, over[k], k) for k in step.arrays if k in over), default=never)
            for number, step in enumerate(steps)
        ]

    def _size(self, key: Any) -> int:
        return -(-nbytes(key, self.threads) // ALIGNMENT) * ALIGNMENT

    def _touch(self, number: int, key: Any, now: dict[Any, int], last: int) -> None:
        """Note that a step reads or writes an array, or adds to what others have written into it."""
        before = now.get(key)
        if before is not None:
            self.reads[number].append(before)
            self.uses[before].append(number)
        if before is None or (key in self.steps[number].writes and number < last):
            now[key] = len(self.sizes)
            self.writes[number].append(len(self.sizes))
            self.sizes.append(self._size(key))
            self.maker.append(number)
            self.uses.append([])
            if before is not None:
                self.own[number] -= self._size(key)  # it is the same memory

    def _limit(self, number: int, overwriting: int, old: Node) -> int:
        """Before which step one that reads an input may run again, if that is overwritten by some step.

        A step that overwrites it itself may run again at any time if nothing that it leaves in the arena depends on it.
        """
        step = self.steps[number]
        if overwriting != number:
            return overwriting
        read = {key for key in step.arrays if key not in step.writes and key is not old}
        todo: list[Any] = [key for key in step.writes if key in self._known]
        seen = set(todo)
        while todo:
            node = todo.pop()
            if not isinstance(node, Node) or node is old:
                return number
            for x in node.inputs:
                base = self._base(x)
                if base is old:
                    return number
                if x not in seen and x not in read and base not in read:
                    seen.add(x)
                    todo.append(x)
        return len(self.steps)

    def _is_outside(self, key: Any) -> bool:
        return key is POOL or key in self._elsewhere or (isinstance(key, Node) and key.op is None)

    def _is_own(self, key: Any) -> bool:
        """Whether a step alone uses it, for as long as it runs."""
        return isinstance(key, (Workspace, Scratch)) and key not in self._known

    @property
    def plain(self) -> list[int]:
        """Every step once."""
        return list(range(len(self.steps)))

    def pruned(self, sequence: Runs) -> list[int]:
        """The sequence without runs whose results nobody reads before they are made again."""
        wanted: set[int] = set()
        kept: list[int] = []
        first: dict[int, int] = {}
        for place, number in enumerate(sequence):
            first.setdefault(number, place)
        for place in range(len(sequence) - 1, -1, -1):
            number = sequence[place]
            writes = self.writes[number]
            if (number in self.essential and first[number] == place) or any(a in wanted for a in writes):
                wanted.difference_update(writes)
                wanted.update(self.reads[number])
                kept.append(number)
        kept.reverse()
        return kept

    def profile(self, sequence: Runs) -> Array:
        """Bytes in use while each run of the sequence lasts."""
        change = np.zeros(len(sequence) + 1, np.int64)
        begun: dict[int, int] = {}
        last: dict[int, int] = {}
        for place, number in enumerate(sequence):
            for a in self.reads[number]:
                last[a] = place
            for a in self.writes[number]:
                if a in begun:
                    change[last[a] + 1] -= self.sizes[a]
                begun[a] = last[a] = place
                change[place] += self.sizes[a]
        for a, place in last.items():
            change[place + 1] -= self.sizes[a]
        return np.cumsum(change[:-1]) + np.asarray([self.own[number] for number in sequence], np.int64)

    def relaxed(self, sequence: Runs, limit: int) -> list[int]:
        """The sequence with fewer runs: where memory is left, an array is kept until it is read instead.

        Args:
            sequence: that keeps within the limit.
            limit: bytes in use at a time.
        """
        found = self.pruned(sequence)
        while True:
            profile = self.profile(found)
            gone: set[int] = set()
            for place, since in self._waits(found):
                free = all(
                    int(profile[start + 1 : place].max(initial=0)) + self.sizes[a] <= limit
                    for a, start in since
                )
                together = len(since) < 2 or (
                    int(profile[min(start for _, start in since) + 1 : place].max(initial=0))
                    + sum(self.sizes[a] for a, _ in since)
                    <= limit
                )
                if free and together:
                    gone.add(place)
                    for a, start in since:
                        profile[start + 1 : place] += self.sizes[a]
            if not gone:
                return found
            found = self.pruned([number for place, number in enumerate(found) if place not in gone])

    def _waits(self, sequence: Runs) -> list[tuple[int, list[tuple[int, int]]]]:
        """The runs that are not first, those first that save most work for what keeping takes.

        Each with its place, and since when the arrays that it makes have not been read.
        """
        last: dict[int, int] = {}
        seen: set[int] = set()
        scored: list[tuple[float, int, list[tuple[int, int]]]] = []
        for place, number in enumerate(sequence):
            for a in self.reads[number]:
                last[a] = place
            if number in seen:
                since = [(a, last[a]) for a in self.writes[number]]
                kept = sum(self.sizes[a] * (place - start) for a, start in since)
                scored.append((kept / max(self.time[number], 1.0), place, since))
            seen.add(number)
            for a in self.writes[number]:
                last[a] = place
        scored.sort(key=lambda each: each[:2])
        return [(place, since) for _, place, since in scored]

    def arena(self, sequence: Runs) -> int:
        """The bytes that the plan of memory takes for a sequence."""
        lives: dict[Any, Life] = {}
        for place, step in enumerate(self.realised(sequence)):
            for key in step.arrays:
                if not self._is_outside(key):
                    first = lives[key].first if key in lives else place
                    lives[key] = Life(nbytes(key, self.threads), first, place)
        return plan(lives)[1]

    def extra(self, sequence: Runs) -> tuple[int, int, float]:
        """How many runs there are beside the first of each step, their operations, and their time."""
        seen: set[int] = set()
        again = [n for n in sequence if n in seen or seen.add(n)]  # add gives None
        return len(again), sum(self.flops[n] for n in again), sum(self.time[n] for n in again)

    def realised(self, sequence: Runs) -> list[Step]:
        """The steps of a sequence, each run with arrays of its own."""
        now: dict[Any, Any] = {}
        seen: set[int] = set()
        found: list[Step] = []
        for number in sequence:
            step = self.steps[number]
            if number in seen:
                begun = [k for k in step.arrays if self._first[k] == number or self._is_own(k)]
                unread = {key: _copy(key) for key in begun if key in self._dummies}
                now.update((k, _copy(k)) for k in begun if k not in unread and not self._is_outside(k))
                note = "; ".join(filter(None, (step.note, "computed again")))
                step = replace(_moved(step, ChainMap(unread, now)), note=note)
            elif now:
                step = _moved(step, now)
            seen.add(number)
            found.append(step)
        return found


def _copy(key: Any) -> Any:
    """Another array like one."""
    if isinstance(key, (Workspace, Scratch)):
        return type(key)(key.nbytes)
    node: Node = key
    return new_node(
        node.op,
        node.inputs,
        node.params,
        node.shape,
        node.dtype,
        None,
        node.tracked,
        node.name,
        node.position,
    )


def _moved(step: Step, now: Mapping[Any, Any]) -> Step:
    """A step on the versions of arrays that there are now."""
    if not any(key in now for key in step.arrays):
        return step
    return replace(
        step,
        nodes=[now.get(node, node) for node in step.nodes],
        places=[Place(now.get(p.array, p.array), p.offset) for p in step.places],
        writes=frozenset(now.get(key, key) for key in step.writes),
        sights=[replace(sight, base=now.get(sight.base, sight.base)) for sight in step.sights],
    )
