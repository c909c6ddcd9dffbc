"""The rule of one primitive for scalars, as one native function: the upstream gradient goes back to the inputs.

The function reads a table of cells of eight bytes (gradient, output, inputs) and writes the contributions to the
inputs behind them. It is made from the one rule that the primitive declares: the rule runs on symbols, and the graph
that comes of it is written instruction by instruction, none left out and none added; elementary functions (sine,
power, ...) are NumPy's own. So it gives the bits that the rule gives on NumPy's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.rules import pull_through
from chainrule.compiler.on_native.ir import I64, PTR, Function, Value, number, type_of
from chainrule.compiler.on_native.numpy_loops import Loop, NumpyElements
from chainrule.compiler.on_native.target import Target
from chainrule.errors import ChainruleError
from chainrule.graph import Graph
from chainrule.modes import recording
from chainrule.node import Node, symbol
from chainrule.ops.arithmetic import scale
from chainrule.primitive import Primitive
from chainrule.shapes import DType, Spec

MOST = 3
"""Inputs that such a function takes."""
GRADIENT, OUTPUT, INPUTS, CONTRIBUTIONS = 0, 1, 2, 2 + MOST
CELLS = 2 + 2 * MOST
"""Where they stand in the table, and its length."""
NAME = "pull"


def write(
    op: type[Primitive],
    params: Mapping[str, Any],
    dtype: DType,
    inputs: Sequence[DType],
    wanted: Sequence[bool],
    target: Target,
) -> tuple[Function, list[Loop], int] | None:
    """The function ``i64 pull(ptr cells, ptr loops)``; it returns, as bits, which contributions there are.

    Args:
        op, params: with a rule that is known to keep to what nodes can.
        dtype: of the output, floating.
        inputs: their dtypes.
        wanted: for which of them.
        target: what the code is made for.

    Returns:
        The function, the loops of which it is to be given the addresses, and as bits which cells it reads besides
        the gradient, the output's first; None if part of the rule cannot be written.
    """
    graph, places = _traced(op, params, dtype, inputs, wanted)
    if graph is None or not all(_is_written(n) for n in graph.nodes):
        return None
    f = Function(NAME, [("%cells", PTR), ("%loops", PTR)], target, result=I64)
    cells, loops = f.parameters
    k = NumpyElements(f, loops)
    known: dict[Node, Value] = {}
    for cell, node in enumerate(graph.inputs):
        known[node] = f.load(f.at(cells, cell, I64), type_of(node.dtype))
    for node in graph.nodes:
        if node not in known:
            known[node] = _value(k, node, known)
    for place, output in zip(places, graph.outputs, strict=True):
        f.store(known[output], f.at(cells, CONTRIBUTIONS + place, I64))
    f.ret(number(I64, sum(1 << place for place in places)))
    asked = {x for node in graph.nodes for x in node.inputs} | set(graph.outputs)
    reads = sum(1 << i for i, node in enumerate(graph.inputs[OUTPUT:]) if node in asked)
    return None if k.missing else (f, k.used, reads)


def _traced(
    op: type[Primitive],
    params: Mapping[str, Any],
    dtype: DType,
    inputs: Sequence[DType],
    wanted: Sequence[bool],
) -> tuple[Graph | None, list[int]]:
    """Contributions as a graph of gradient, output and inputs; and to which inputs they go."""
    given = [symbol(Spec((), d)) for d in (dtype, dtype, *inputs)]
    gradient, output, *xs = given
    try:
        with recording(True):
            found = pull_through(op, params, output, xs, gradient, wanted, scale)
    except ChainruleError:
        return None, []  # the rule asks for numbers
    places = [i for i, contribution in enumerate(found) if contribution is not None]
    return Graph(given, [found[i] for i in places]), places


def _is_written(node: Node) -> bool:
    if node.shape or node.op is None:
        return not node.shape
    return node.op.emit is not None and all(x.dtype in node.op.emits for x in node.inputs)


def _value(k: NumpyElements, node: Node, known: Mapping[Node, Value]) -> Value:
    if node.op is None:
        return number(type_of(node.dtype), np.asarray(node.value).item())
    return k.node(node, *(known[x] for x in node.inputs))
