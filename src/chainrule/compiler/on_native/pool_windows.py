"""One window of a pool under construction: what it makes of its places, for a vector of channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.compiler.on_native.axis import Axis
from chainrule.compiler.on_native.ir import I8, Function, Int, Type, Value, number
from chainrule.compiler.on_native.pool_ties import largest, shares
from chainrule.ops.windows import Pair


@dataclass(frozen=True, slots=True)
class Grid:
    """A class of outputs, and where in the arrays lie its places and its results, in elements.

    Place ``(r, c)`` of output ``(m, q)`` of image ``n`` is at
    ``first + n * image + m * row[0] + q * column[0] + r * row[1] + c * column[1]``.
    """

    rows: Axis
    columns: Axis
    first: int
    image: int
    row: Pair
    column: Pair

    @property
    def taps(self) -> int:
        return len(self.rows.taps) * len(self.columns.taps)


@dataclass(slots=True)
class Window:
    """One output under construction: a vector of its channels.

    Attributes:
        sources: arrays of places. results: the arrays that are written.
        offset: of place (0, 0) in the arrays of places; place: of the output in arrays of outputs.
        rows, columns: the places that are inside.
    """

    f: Function
    grid: Grid
    kind: Type
    mask: Value | None
    sources: Sequence[Value]
    results: Sequence[Value]
    offset: Int
    place: Int
    rows: tuple[Int, Int]
    columns: tuple[Int, Int]

    def fold(self, step: _Step, carried: Sequence[Value]) -> list[Value]:
        """Carry values over all places: one after the other if it is known which they are."""
        f = self.f
        if self.known:
            out = list(carried)
            for at in self.places():
                out = step(at, out)
            return out

        def row(r: Int, out: list[Value]) -> list[Value]:
            return f.loop(*self.columns, 1, lambda c, out: step(self.at(r, c), out), out, may_be_empty=True)

        return f.loop(*self.rows, 1, row, carried, may_be_empty=True)

    @property
    def known(self) -> bool:
        """Whether it is known which places are inside."""
        return all(isinstance(n, int) for n in (*self.rows, *self.columns))

    def at(self, r: Int, c: Int) -> Int:
        """Where a place lies in the arrays of places."""
        f, g = self.f, self.grid
        return f.add_int(self.offset, f.add_int(f.mul_int(r, g.row[1]), f.mul_int(c, g.column[1])))

    def places(self) -> list[Int]:
        """Where all places lie, if they are known."""
        rows, columns = (range(int(n), int(m)) for n, m in (self.rows, self.columns))
        return [self.at(r, c) for r in rows for c in columns]

    def values(self, source: int) -> list[Value]:
        """All places of an array, if they are known."""
        return [self.read(source, at) for at in self.places()]

    def read(self, source: int, at: Int) -> Value:
        return self.f.load(self.f.at(self.sources[source], at, self.kind), self.kind, self.mask)

    def write(self, value: Value) -> None:
        self.f.store(value, self.f.at(self.results[0], self.place, self.kind), self.mask)

    def number(self, value: float) -> Value:
        return number(self.kind, value)

    def largest(self, source: int) -> Value:
        """The maximum of all places; nan if one of them is."""
        f = self.f
        if self.known:
            return largest(f, self.values(source))

        def step(at: Int, out: list[Value]) -> list[Value]:
            x = self.read(source, at)
            wins = f.binary("or", f.compare("ogt", x, out[0]), f.compare("uno", x, x))
            return [f.select(wins, x, out[0])]

        return self.fold(step, [self.number(-math.inf)])[0]

    def ties(self, source: int, top: Value, at: Int) -> Value:
        """Where a place has the maximum."""
        return self.f.compare("oeq", self.read(source, at), top)


_Step: TypeAlias = "Callable[[Int, list[Value]], list[Value]]"


def write_max(w: Window) -> None:
    """The maximum."""
    w.write(w.largest(0))


def write_sum(w: Window) -> None:
    """The sum."""
    w.write(w.fold(lambda at, out: [w.f.add(out[0], w.read(0, at))], [w.number(0.0)])[0])


def write_tangent(w: Window) -> None:
    """The mean of t, the first source, where x, the second, has its maximum."""
    f, top = w.f, w.largest(1)

    def step(at: Int, out: list[Value]) -> list[Value]:
        tied = w.ties(1, top, at)
        return [
            f.add(out[0], f.select(tied, w.read(0, at), w.number(0.0))),
            f.add(out[1], f.select(tied, w.number(1.0), w.number(0.0))),
        ]

    total, ties = w.fold(step, [w.number(0.0)] * 2)
    mean = f.mul(total, f.div(w.number(1.0), ties))
    # No place ties with nan: nothing is divided by nothing.
    w.write(f.select(f.compare("oeq", total, w.number(0.0)), w.number(0.0), mean))


def write_gradient(w: Window, put: Put) -> None:
    """The gradient that each place has of g, the first source: where x, the second, has its maximum."""
    f, top = w.f, w.largest(1)

    def tally(at: Int, out: list[Value]) -> list[Value]:
        return [f.add(out[0], f.select(w.ties(1, top, at), w.number(1.0), w.number(0.0)))]

    ties = w.fold(tally, [w.number(0.0)])[0]
    part = f.div(w.read(0, w.place), ties)

    def step(at: Int, out: list[Value]) -> list[Value]:
        put(w, at, f.select(w.ties(1, top, at), part, w.number(0.0)))
        return out

    w.fold(step, [])


def write_spread(w: Window, put: Put) -> None:
    """The same from g and the ties, whose bytes lie as elements of g do."""
    f, places = w.f, w.places()
    bits = f.load(f.at(w.sources[1], w.place, I8), Type(I8.element, w.kind.lanes), w.mask)
    for at, value in zip(places, shares(f, w.read(0, w.place), bits, len(places)), strict=True):
        put(w, at, value)


Put: TypeAlias = "Callable[[Window, Int, Value], None]"
"""Puts a window's gradient at a place of the result."""
