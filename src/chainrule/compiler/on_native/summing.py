"""Sums over an image's pixels of what is made of a convolution's results, while these are in registers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native.division import Divisor
from chainrule.compiler.on_native.epilogues import BodyEpilogue
from chainrule.compiler.on_native.factors import FAR, Total, factored
from chainrule.compiler.on_native.ir import PTR, Function, Int, Type, Value, first_lanes, number, type_of
from chainrule.compiler.on_native.kernel import Kernel, entry
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Values, place_of
from chainrule.compiler.views import of_base
from chainrule.node import Node
from chainrule.ops.reduce import Min, Sum
from chainrule.shapes import DType, float32


def only_sums(loop: Group, head: Group, grouping: Grouping, needed: Container[Node]) -> bool:
    """Whether a loop behind a head does nothing but sum over all axes between the first and the last.

    Of the head's results it must read each where it is made: no other is there yet.
    """
    if loop.reduced != tuple(range(1, len(loop.domain) - 1)):
        return False
    for node in loop.members:
        for x in node.inputs:
            sight = grouping.sights[x]
            if grouping.home.get(sight.base) is head and sight != of_base(sight.base):
                return False
        summed = node.op is Sum and loop.passes.get(node) == 1
        if not summed and (node in loop.passes or node in needed):
            return False
    return True


@dataclass(slots=True)
class _Column:
    """What is known of a vector of columns: values that are the same in all rows, and the sums so far."""

    known: dict[int, Value]
    divisors: dict[int, Divisor]
    totals: dict[int, Value] = field(default_factory=dict[int, Value])


class _Prepared(list[Value]):
    """Addresses of the arrays, and what has been computed for all results or for some columns."""

    def __init__(self, pointers: Sequence[Value], values: Values) -> None:
        super().__init__(pointers)
        self.values, self.divisors = values, dict(values.divisors)
        self.columns: dict[str, _Column] = {}


@dataclass(frozen=True, slots=True)
class SummingEpilogue(BodyEpilogue):
    """An epilogue that sums, too. Its arrays end with one for each sum: a row of columns for each item.

    Attributes:
        summands: the instructions that are summed.
        dtypes: of the results.
        rows: of the matrix that an item has.
        totals: what each result is.
    """

    summands: tuple[int, ...] = ()
    dtypes: tuple[DType, ...] = ()
    rows: int = 1
    totals: tuple[Total, ...] = ()

    @property
    def name(self) -> str:
        code = hashlib.sha256(repr((self.summands, self.rows, self.totals)).encode()).hexdigest()[:16]
        return f"{self.loop.name(self.target)}_{self.given}_sums_{code}"

    @property
    def operands(self) -> int:
        return len(self.loop.arrays) + len(self.totals)

    @property
    def factors(self) -> list[int]:
        """Instructions that sums are multiplied with or divided by."""
        return sorted({n for total in self.totals for n in total.factors})

    def factored(self) -> SummingEpilogue | None:
        """The same with factors that terms share taken out of the sums, for those that are `sound`."""
        found = factored(self.loop.body, self.summands, self._of_columns)
        if found is None:
            return None
        body, summands, totals = found
        return replace(self, loop=replace(self.loop, body=body), summands=summands, totals=totals)

    def sound(self, f: Function, pointers: Sequence[Value], lanes: int) -> Value:
        """Whether all factors are neither zero, nor infinite or nan, nor far from 1."""
        values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, lanes)
        values.hoist()
        plain = type_of(float32).vector(lanes)
        zero, one = number(plain, 0.0), number(plain, 1.0)

        def look(column: Int, good: Value, mask: Value | None) -> Value:
            place_of(values, 0, column)
            known = dict(values.fixed)
            for n in self.factors:
                size = f.intrinsic("fabs", values.value(n, mask, known))
                kind = size.type
                size = size if mask is None else f.select(mask, size, number(kind, 1.0))
                good = f.select(f.compare("olt", size, number(kind, FAR)), good, zero)
                good = f.select(f.compare("ogt", size, number(kind, 1 / FAR)), good, zero)
            return good

        columns = self.loop.sizes[-1]
        whole = columns // lanes * lanes
        (good,) = f.loop(0, whole, lanes, lambda c, good: [look(c, good[0], None)], [one])
        if columns > whole:
            good = look(whole, good, first_lanes(columns - whole, lanes))
        return f.compare("ogt", values.fold(Min, good), number(plain.scalar, 0.0))

    @property
    def sums(self) -> bool:
        return True

    def prepare(self, f: Function, pointers: Sequence[Value], kind: Type) -> Sequence[Value]:
        values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, kind.lanes, self.given)
        values.hoist()
        return _Prepared(pointers, values)

    def apply(
        self,
        f: Function,
        pointers: Sequence[Value],
        result: Value,
        row: Int,
        column: Int,
        mask: Value | None,
        batch: Int,
    ) -> Value | None:
        assert isinstance(pointers, _Prepared)
        values = pointers.values
        place_of(values, row, column)
        here = self._column(pointers, column, mask)
        values.divisors = here.divisors
        known = {**here.known, self.head: result}
        for array, n in self.loop.stores:
            values.store(array, values.value(n, mask, known), mask)
        for i, n in enumerate(self.summands):
            value = values.value(n, mask, known)
            here.totals[i] = f.add(here.totals[i], value) if i in here.totals else value
        return None if self.given is None else values.value(self.given, mask, known)

    def _column(self, prepared: _Prepared, column: Int, mask: Value | None) -> _Column:
        """What is known of columns, computed where they are first seen."""
        if str(column) not in prepared.columns:
            values = prepared.values
            values.divisors = dict(prepared.divisors)
            known = dict(values.fixed)
            for n in self._of_columns:
                values.value(n, mask, known)
            values.prepare_divisors(known)
            prepared.columns[str(column)] = _Column(known, values.divisors)
        return prepared.columns[str(column)]

    @property
    def _of_columns(self) -> list[int]:
        """Instructions that are the same in all rows."""
        found: set[int] = set()
        for n, i in enumerate(self.loop.body):
            moves = i.array >= 0 and any(self.loop.arrays[i.array].strides[:-1])
            if i.kind in ("load", "number", "emit") and not moves and found.issuperset(i.args):
                found.add(n)
        return sorted(found)

    def clear(
        self, f: Function, pointers: Sequence[Value], item: Int, column: Int, lanes: int, mask: Value | None
    ) -> None:
        for i, dtype in enumerate(self.dtypes):
            zero = number(type_of(dtype).vector(lanes), 0.0)
            f.store(zero, self._place(f, pointers, i, item, column), mask)

    def settle(
        self, f: Function, pointers: Sequence[Value], row: Int, column: Int, mask: Value | None
    ) -> None:
        assert isinstance(pointers, _Prepared)
        item = f.div_int(row, self.rows)
        for core, value in pointers.columns.pop(str(column)).totals.items():
            place = self._place(f, pointers, self._kept(core), item, column)
            f.store(f.add(f.load(place, value.type, mask), value), place, mask)

    def close(
        self, f: Function, pointers: Sequence[Value], item: Int, column: Int, lanes: int, mask: Value | None
    ) -> None:
        assert isinstance(pointers, _Prepared)
        if all(total == Total(i) for i, total in enumerate(self.totals)):
            return
        place_of(pointers.values, 0, column)
        known = self._column(pointers, column, mask).known
        cores: list[Value] = []
        for core, n in enumerate(self.summands):
            kind = type_of(self.loop.body[n].dtype).vector(lanes)
            cores.append(f.load(self._place(f, pointers, self._kept(core), item, column), kind, mask))
        for i, total in enumerate(self.totals):
            value = total.of(f, cores[total.core], known.__getitem__)
            f.store(value, self._place(f, pointers, i, item, column), mask)
        pointers.columns.pop(str(column))

    def _kept(self, core: int) -> int:
        """In which of the arrays for results a sum is kept until it is closed."""
        return next(i for i, total in enumerate(self.totals) if total.core == core)

    def _place(self, f: Function, pointers: Sequence[Value], i: int, item: Int, column: Int) -> Value:
        start = f.add_int(f.mul_int(item, self.loop.sizes[-1]), column)
        return f.at(pointers[len(self.loop.arrays) + i], start, type_of(self.dtypes[i]))


def unless_sound(
    own: Kernel, places: int, again: Kernel, sound: Callable[[Function, Value], Value], target: Target
) -> Kernel:
    """A kernel, and in each of its tasks another that makes its sums again if they are not right.

    Args:
        own: its table has so many ``places``; those of ``again`` come after them.
        again: sums what a task of ``own`` has stored, with all factors in their terms.
        sound: writes code that says, given the table, whether the sums are right.
        target: of both.
    """
    f, operands, task, thread = entry(f"{own.name}_or_{again.name}", target)
    f.call(own.name, [operands, task, thread])

    def repeat() -> None:
        f.call(again.name, [f.at(operands, places, PTR), task, thread])

    f.when(sound(f, operands), lambda: None, repeat)
    f.ret()
    return replace(own, name=f.name, functions=[f, *own.functions, *again.functions])
