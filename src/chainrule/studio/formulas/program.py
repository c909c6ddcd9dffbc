"""The scalar instructions of a formula: what a page runs while a slider is dragged.

Each primitive says once, in ``emit``, what it does to one element; here those instructions are written down instead of
run, for the value of every node and for every local derivative, which is built of nodes too. So a page, a notebook and
a file without a server compute what chainrule computes, and no primitive is written twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.autodiff.rules import local_partials
from chainrule.compiler.on_numpy import NumpyInstructions
from chainrule.errors import GraphError
from chainrule.explain.numbers import json_number
from chainrule.modes import recording
from chainrule.node import Node
from chainrule.primitive import Pointwise
from chainrule.shapes import DType, float64

Register: TypeAlias = int
_BOOL = np.dtype(bool)
_SAME = (
    *("add", "sub", "mul", "div", "neg", "abs", "minimum", "maximum", "floor_divide", "remainder", "power"),
    *("sqrt", "floor", "ceil", "trunc", "round", "copysign"),
)
_YES_OR_NO = (
    *("less", "less_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
)


class Recorder:
    """`Instructions` that are written down: a scalar is the number of a register.

    Attributes:
        constants: registers that hold a number from the start.
        steps: ``(instruction, register, *operands)`` in order; elementary functions go by their names.
    """

    def __init__(self, inputs: int) -> None:
        self.constants: dict[Register, float | bool] = {}
        self.steps: list[tuple[str, Register, tuple[Register, ...]]] = []
        self._dtypes: list[DType] = [float64] * inputs
        self._known: dict[Any, Register] = {}

    def dtype(self, x: Register) -> DType:
        return self._dtypes[x]

    def number(self, value: float | int | bool, like: Register) -> Register:
        dtype = self._dtypes[like]
        return self._new(("number", repr(dtype.type(value)), dtype), dtype, constant=dtype.type(value).item())

    def constant(self, value: float) -> Register:
        """A number of float64."""
        return self._new(("number", repr(np.float64(value)), float64), float64, constant=float(value))

    def convert(self, x: Register, dtype: DType) -> Register:
        if dtype is self._dtypes[x]:
            return x
        if dtype not in (float64, _BOOL):
            raise GraphError(f"a formula has float64 and booleans only, not {dtype}")
        return self._step("to_number" if dtype is float64 else "to_bool", dtype, x)

    def elementary(self, name: str, *xs: Register) -> Register:
        return self._step(name, float64, *xs)

    def select(self, condition: Register, yes: Register, no: Register) -> Register:
        return self._step("select", self._dtypes[yes], condition, yes, no)

    def __getattr__(self, name: str) -> Callable[..., Register]:
        if name not in _SAME and name not in _YES_OR_NO:
            raise AttributeError(name)

        def record(*xs: Register) -> Register:
            return self._step(name, self._dtypes[xs[0]] if name in _SAME else _BOOL, *xs)

        return record

    def _step(self, name: str, dtype: DType, *xs: Register) -> Register:
        return self._new((name, *xs), dtype, step=(name, xs))

    def _new(
        self,
        key: Any,
        dtype: DType,
        constant: float | bool | None = None,
        step: tuple[str, tuple[Register, ...]] | None = None,
    ) -> Register:
        """The register of what ``key`` says, which is computed once."""
        if key in self._known:
            return self._known[key]
        register = self._known[key] = len(self._dtypes)
        self._dtypes.append(dtype)
        if constant is not None:
            self.constants[register] = constant
        if step is not None:
            self.steps.append((step[0], register, step[1]))
        return register

    @property
    def size(self) -> int:
        """How many registers there are."""
        return len(self._dtypes)


class Program:
    """The instructions for the value of every node and every local derivative of a graph of scalars.

    Args:
        inputs: the variables, whose values come first among the registers.
        nodes: all nodes, in order of computation.

    Attributes:
        values: the register of each node's value.
        locals: for each node the registers of its local derivatives, one for each of its inputs.
    """

    def __init__(self, inputs: Sequence[Node], nodes: Sequence[Node]) -> None:
        self.recorder = Recorder(len(inputs))
        self._registers: dict[Node, Register] = {node: i for i, node in enumerate(inputs)}
        self.values = [self._value(node) for node in nodes]
        self.locals = [self._locals(node) for node in nodes]

    def _value(self, node: Node) -> Register:
        known = self._registers.get(node)
        if known is None:
            if node.value is not None:
                known = self.recorder.constant(float(np.asarray(node.value).reshape(())))
            else:
                known = self._emitted(node)
            self._registers[node] = known
        return known

    def _emitted(self, node: Node) -> Register:
        op = node.op
        if op is None or op.emit is None:
            raise GraphError(f"{op.name if op else node!r} has no scalar instructions")
        return op.emit(self.recorder, *self._converted(node), **node.params)

    def _converted(self, node: Node) -> list[Register]:
        """The inputs, in their common dtype where they are numbers."""
        registers = [self._value(x) for x in node.inputs]
        kinds = {self.recorder.dtype(r) for r in registers}
        if len(kinds) == 2 and node.op is not None and node.op.name != "where":
            return [self.recorder.convert(r, float64) for r in registers]
        return registers

    def _locals(self, node: Node) -> list[Register]:
        if node.op is None or node.value is not None:
            return []
        if not issubclass(node.op, Pointwise):
            return [self.recorder.constant(0.0)] * len(node.inputs)
        with recording(True):
            partials = local_partials(node)
        return [self._partial(partial) for partial in partials]

    def _partial(self, partial: Any) -> Register:
        if not isinstance(partial, Node):
            return self.recorder.constant(0.0 if partial is None else float(partial))
        return self._value(
            partial
        )  # from its operands on: an expression of a few nodes over those that are known

    def run(self, inputs: Sequence[float]) -> list[float]:
        """All registers, computed by NumPy: what a page's own interpreter is compared with."""
        registers: list[Any] = [np.float64(x) for x in inputs]
        registers += [None] * (self.recorder.size - len(registers))
        for register, value in self.recorder.constants.items():
            registers[register] = np.bool_(value) if isinstance(value, bool) else np.float64(value)
        numpy = NumpyInstructions()
        with np.errstate(all="ignore"):
            for name, register, xs in self.recorder.steps:
                operands = [registers[x] for x in xs]
                if name in ("to_number", "to_bool"):
                    registers[register] = operands[0].astype(float64 if name == "to_number" else _BOOL)
                elif name in _SAME or name in _YES_OR_NO or name == "select":
                    registers[register] = getattr(numpy, name)(*operands)
                else:
                    registers[register] = numpy.elementary(name, *operands)
        return [float(x) for x in registers]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: instructions as ``[number of its name, register, operands...]``, flat."""
        names = list(dict.fromkeys(name for name, _, _ in self.recorder.steps))
        place = {name: i for i, name in enumerate(names)}
        return {
            "registers": self.recorder.size,
            "constants": [[r, json_number(float(x))] for r, x in self.recorder.constants.items()],
            "instructions": names,
            "steps": list(
                itertools.chain.from_iterable(
                    (place[name], r, len(xs), *xs) for name, r, xs in self.recorder.steps
                )
            ),
            "values": self.values,
            "locals": self.locals,
        }


def same_graph(one: Node, other: Node) -> Mapping[Node, Node]:
    """For each node behind ``one`` the node behind ``other`` in the same place of a graph of the same form."""
    found: dict[Node, Node] = {}
    pairs = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if a not in found:
            found[a] = b
            pairs += zip(a.inputs, b.inputs, strict=True)
    return found
