"""Graphs of nodes: from inputs to outputs, verified, rebuilt, evaluated, printed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.errors import GraphError, OperandError, ShapeError
from chainrule.modes import silently
from chainrule.node import Node, Operand, ancestors, apply_again, as_array, as_node, by_index
from chainrule.primitive import Array
from chainrule.shapes import Spec, count


class Graph:
    """A computation from inputs to outputs.

    Args:
        inputs: nodes that stand for the arguments, in order.
        outputs: nodes that are the results, in order.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(lambda a, b: a * b, 2.0, 3.0)
        >>> print(graph)
        graph(a: float64[], b: float64[]):
          y = multiply(a, b): float64[]
          return y
    """

    __slots__ = ("inputs", "nodes", "outputs")

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        reached = ancestors(self.outputs)
        known = set(reached)
        unused = [n for n in self.inputs if n not in known]
        self.nodes: tuple[Node, ...] = tuple(sorted({*reached, *unused}, key=by_index))
        """Every node, inputs and constants included, in topological order."""

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def constants(self) -> tuple[Node, ...]:
        """Leaves that are not inputs."""
        given = set(self.inputs)
        return tuple(n for n in self.nodes if n.is_leaf and n not in given)

    def verify(self) -> Graph:
        """Check every rule of a graph and return it.

        Raises:
            GraphError: a node precedes its inputs, disagrees with its shape rule, or has no value.
        """
        given, seen = set(self.inputs), set[Node]()
        for node in self.nodes:
            if any(x not in seen for x in node.inputs):
                raise GraphError(f"{node!r} comes before one of its inputs")
            if node.op is None:
                if node.value is None and node not in given:
                    raise GraphError(f"{node!r} has no value and is not an input of the graph")
            elif node.inputs or node not in given:
                shape, dtype = node.op.infer(*node.inputs, **node.params)
                if (shape, dtype) != (node.shape, node.dtype):
                    raise GraphError(f"{node!r} disagrees with its shape rule: {Spec(shape, dtype)}")
            seen.add(node)
        return self

    def rebuild(self, *arguments: Operand[Node], skip: str = "") -> tuple[Any, ...]:
        """Build the graph again on other inputs: plain values and tensors compute at once.

        Args:
            arguments: one for each input.
            skip: name of a one-input primitive whose nodes are left out, replaced by their input.
        """
        self._require_arity(len(arguments))
        new: dict[Node, Node] = {
            node: as_node(value) for node, value in zip(self.inputs, arguments, strict=True)
        }
        for node in self.nodes:
            if node in new:
                continue
            if node.op is None:
                new[node] = node
            elif node.op.name == skip:
                new[node] = new[node.inputs[0]]
            else:
                inputs = tuple(new[x] for x in node.inputs)
                new[node] = apply_again(node, inputs)
        return tuple(new[node] for node in self.outputs)

    def evaluate(self, *arguments: Any) -> tuple[Array, ...]:
        """Compute the outputs with NumPy, forgetting each intermediate after its last use."""
        self._require_arity(len(arguments))
        values = [self._fit(node, argument) for node, argument in zip(self.inputs, arguments, strict=True)]
        results = silently(Program(self).run, values)
        return tuple(np.asarray(value) for value in results)

    def _require_arity(self, got: int) -> None:
        if got != len(self.inputs):
            names = ", ".join(n.name or f"#{i}" for i, n in enumerate(self.inputs)) or "none"
            raise OperandError(
                f"expected {len(self.inputs)} arguments ({names}), got {got}", fix="pass one each"
            )

    @staticmethod
    def _fit(node: Node, argument: Any) -> Array:
        array = argument.array() if isinstance(argument, Node) else as_array(argument, None, copy=False)
        weak = type(argument) in (float, int) and node.dtype.kind == "f"
        if weak:
            array = array.astype(node.dtype)
        if (array.shape, array.dtype) != (node.shape, node.dtype):
            raise ShapeError(
                f"argument {node.name or ''}: expected {node.spec}, got {Spec(array.shape, array.dtype)}",
                fix="trace the function again for this shape and dtype",
            )
        return array

    def names(self) -> dict[Node, str]:
        """A distinct, readable name for every node: the user's where there is one."""
        taken: set[str] = set()
        choices: dict[str, Iterator[str]] = {}
        inputs, outputs = set(self.inputs), set(self.outputs)  # `in` a tuple would compare nodes by ==
        result: dict[Node, str] = {}
        for node in (*self.inputs, *self.nodes, *self.outputs):
            if node in result:
                continue
            base = node.name
            number = node.is_leaf and node.value is not None and node.size == 1 and node not in inputs
            if base is None and number:
                result[node] = format_scalar(node.value)
                continue
            letters = "abcdefgh" if node in inputs else "y" if node in outputs else "tuvwxz"
            key = base or letters
            if key not in choices:
                choices[key] = _spellings(base, letters)
            name = next(name for name in choices[key] if name not in taken)
            taken.add(name)
            result[node] = name
        return result

    def __str__(self) -> str:
        names = self.names()
        head = ", ".join(f"{names[n]}: {n.spec}" for n in self.inputs)
        lines = [f"graph({head}):"]
        inputs = set(self.inputs)
        for node in self.nodes:
            if node in inputs:
                continue
            if node.op is None:
                if node.size != 1:
                    lines.append(f"  {names[node]} = constant: {node.spec}")
                elif node.name:
                    lines.append(f"  {names[node]} = {format_scalar(node.value)}: {node.spec}")
                continue
            arguments = [names[x] for x in node.inputs]
            arguments += [f"{key}={value}" for key, value in node.params.items()]
            lines.append(f"  {names[node]} = {node.op.name}({', '.join(arguments)}): {node.spec}")
        lines.append("  return " + ", ".join(names[n] for n in self.outputs))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes: {len(self.inputs)} inputs, {len(self.outputs)} outputs>"

    def to_dict(self) -> dict[str, Any]:
        """The graph as JSON-ready data."""
        names = self.names()
        ids = {node: i for i, node in enumerate(self.nodes)}
        inputs = set(self.inputs)
        return {
            "inputs": [ids[n] for n in self.inputs],
            "outputs": [ids[n] for n in self.outputs],
            "nodes": [
                {
                    "id": ids[n],
                    "name": names[n],
                    "op": n.op.name if n.op else "input" if n in inputs else "constant",
                    "inputs": [ids[x] for x in n.inputs],
                    "params": {key: str(value) for key, value in n.params.items()},
                    "shape": list(n.shape),
                    "dtype": n.dtype.name,
                }
                for n in self.nodes
            ],
        }


Step: TypeAlias = "tuple[Callable[..., Any], int, int, int, list[int], list[int]]"
"""A call, its number of inputs, the places of the first, the last and all of them, and what it is the last to use."""


class Program:
    """A graph as a plain list of NumPy calls, for whoever evaluates it often.

    Args:
        graph: its inputs may be any of its nodes, results of others too; what lies before them is not computed.
        small: bytes up to which an intermediate may be kept to the end, which saves time.
    """

    __slots__ = ("_constants", "_results", "_steps")

    def __init__(self, graph: Graph, small: int = 0) -> None:
        places = {node: place for place, node in enumerate(graph.inputs)}
        within = [n for n in ancestors(graph.outputs, until=places) if n not in places]
        constants = [n for n in within if not n.inputs]
        for node in constants:
            places[node] = len(places)
        self._constants = [n.value for n in constants]
        computed: list[Node] = []
        for node, first in distinct(within):
            if first is node:
                places[node] = len(graph.inputs) + len(constants) + len(computed)
                computed.append(node)
            else:
                places[node] = places[first]
        self._results = [places[n] for n in graph.outputs]
        self._steps = _steps(
            computed, places, small, {*range(len(graph.inputs) + len(constants)), *self._results}
        )

    def run(self, values: list[Any]) -> list[Any]:
        """Compute the outputs; ``values``, those of the inputs, are used up. Call it within `silently`."""
        values += self._constants
        for function, arity, first, second, inputs, dead in self._steps:
            if arity == 2:
                values.append(function(values[first], values[second]))
            elif arity == 1:
                values.append(function(values[first]))
            else:
                values.append(function(*[values[place] for place in inputs]))
            if dead:
                for place in dead:
                    values[place] = None
        return [values[place] for place in self._results]


def distinct(nodes: Iterable[Node]) -> Iterator[tuple[Node, Node]]:
    """Each computed node with the one that is computed for it: itself, or an earlier one that makes the same call.

    Calls with parameters are not compared.

    Args:
        nodes: in topological order.
    """
    stands: dict[Node, Node] = {}
    made: dict[tuple[Any, ...], Node] = {}
    for node in nodes:
        if not node.inputs:
            continue
        inputs = [stands.get(x, x) for x in node.inputs]
        first = node if node.params else made.setdefault((node.op, *map(id, inputs)), node)
        if first is not node:
            stands[node] = first
        yield node, first


def _steps(
    computed: Sequence[Node], places: Mapping[Node, int], small: int, kept: Container[int]
) -> list[Step]:
    last = {places[x]: node for node in computed for x in node.inputs}
    large = {places[n] for n in computed if count(n.shape) * n.dtype.itemsize > small}
    steps: list[Step] = []
    for node in computed:
        if node.op is None:
            raise GraphError(f"{node!r} has inputs but no primitive")
        call = node.op.bound(**node.params)
        inputs = [places[x] for x in node.inputs]
        dead = [i for i in dict.fromkeys(inputs) if last[i] is node and i in large and i not in kept]
        steps.append((call, len(inputs), inputs[0], inputs[-1], inputs, dead))
    return steps


def _spellings(base: str | None, letters: str) -> Iterator[str]:
    """``base, base1, base2, ...``, or the letters first and then numbers behind the first of them."""
    first = base or letters[0]
    return itertools.chain((base,) if base else letters, (f"{first}{i}" for i in itertools.count(1)))


def format_scalar(value: Any) -> str:
    """Shortest text that gives the number back."""
    number = np.asarray(value).reshape(())[()]
    if number.dtype.kind == "f" and float(number).is_integer() and abs(float(number)) < 1e16:
        return str(int(number)) if number or not np.signbit(number) else "-0"
    return str(number)
