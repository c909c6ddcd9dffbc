"""What a scan computes at each step: a graph whose inputs and outputs have roles, and where its results lie.

A scan gives one flat array for each dtype among its results. In it lie, one after the other, the carries (their first
value and the one after each step, or the last alone) and what each step gives besides, each row-major with time first.
So every result is a part of the array that needs no copy, and a gradient of all of them is one array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chainrule.graph import Graph, Program
from chainrule.ops.join import narrow
from chainrule.ops.move import reshape
from chainrule.shapes import DType, Shape, count

T = TypeVar("T")


class Body:
    """One step: from constants, the carry and what is read at this time to the next carry and what is given.

    Args:
        graph: its inputs are constants, carries and what is read, in this order; its outputs are carries and what is
            given besides.
        constants: how many inputs are the same in all steps.
        carries: how many inputs, and outputs, are carried from step to step.
        name: of the function that it was traced from.

    Attributes:
        constant_inputs, carry_inputs, x_inputs, carry_outputs, y_outputs: the graph's, by their roles.
    """

    def __init__(self, graph: Graph, constants: int, carries: int, name: str) -> None:
        self.graph, self.constants, self.carries, self.name = graph, constants, carries, name
        end = constants + carries
        self.constant_inputs = graph.inputs[:constants]
        self.carry_inputs = graph.inputs[constants:end]
        self.x_inputs = graph.inputs[end:]
        self.carry_outputs = graph.outputs[:carries]
        self.y_outputs = graph.outputs[carries:]
        self._derived: dict[Hashable, Any] = {}

    @functools.cached_property
    def program(self) -> Program:
        """The graph as calls of NumPy."""
        return Program(self.graph, small=1 << 15)

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """Something that follows from the body alone, made once."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.graph)} nodes>"


@dataclass(frozen=True, slots=True)
class Part:
    """Where one result lies in the flat array: its first element, how many rows there are, and their shape."""

    start: int
    rows: int
    shape: Shape

    def between(self, flat: Any, first: int, stop: int) -> Any:
        """The rows ``first:stop``."""
        size = count(self.shape)
        cut = narrow(flat, 0, self.start + first * size, self.start + stop * size)
        return reshape(cut, (stop - first, *self.shape))

    def row(self, flat: Any, place: int) -> Any:
        """One row."""
        return reshape(self.between(flat, place, place + 1), self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of the array of one dtype: of carries and of what is given, by number."""

    carries: dict[int, Part]
    ys: dict[int, Part]
    size: int


def layout(body: Body, length: int, kept: Sequence[bool], dtype: DType) -> Layout:
    """Where the results of one dtype lie.

    Args:
        kept: for each carry whether the values at all times are results, or only the last.
    """
    carries: dict[int, Part] = {}
    ys: dict[int, Part] = {}
    start = 0
    for found, nodes in ((carries, body.carry_outputs), (ys, body.y_outputs)):
        for i, node in enumerate(nodes):
            if node.dtype == dtype:
                rows = length if found is ys else length + 1 if kept[i] else 1
                found[i] = Part(start, rows, node.shape)
                start += rows * node.size
    return Layout(carries, ys, start)
