"""Where NaN or an infinity enters a computation: the first node that made it out of finite numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from chainrule.explain.numbers import Value, count_text
from chainrule.explain.sweep import Edge, ExplainedNode
from chainrule.primitive import REGISTRY, Array, Pointwise

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation


def notes(explanation: Explanation) -> tuple[str, ...]:
    """What is to be said about values and gradients that are not finite: forward first, then backward."""
    return (*_forward(explanation), *_backward(explanation))


def _forward(explanation: Explanation) -> Iterator[str]:
    """The first value that is not finite; then the first NaN, where that is another one."""
    first = next((n for n in explanation.nodes if not is_finite(n.value)), None)
    if first is None:
        return
    yield _entrance(explanation, first, ~np.isfinite(first.value))
    if not np.isnan(first.value).any():
        undefined = next((n for n in explanation.nodes if np.isnan(n.value).any()), None)
        if undefined is not None:
            yield _entrance(explanation, undefined, np.isnan(undefined.value))


def is_finite(value: Value | None) -> bool:
    """Whether there is neither NaN nor an infinity in a value."""
    return value is None or bool(np.isfinite(value).all())


def _entrance(explanation: Explanation, node: ExplainedNode, strange: Array) -> str:
    """One sentence about a node whose ``strange`` elements are not finite."""
    index = np.unravel_index(int(np.argmax(strange)), strange.shape)
    kind = explanation.number(_element(node.value, index))
    if not node.inputs:
        return f"{kind} is there from the start: {explanation.named(node.index)} = {kind}{_where(strange, index)}."
    made = f"{kind} starts at {node.name} = {explanation.expression(node.index)}{_where(strange, index)}"
    inputs = [explanation.nodes[i] for i in dict.fromkeys(node.inputs)]
    if any(x.shape != node.shape and not x.is_scalar for x in inputs) or not _is_pointwise(node):
        return f"{made}."
    given = [f"{x.name} = {explanation.number(_element(x.value, index))}" for x in inputs if x.name]
    if kind == "NaN" and len(given) == len(inputs) == 1 and is_finite(_element(inputs[0].value, index)):
        return f"{made}: {given[0]} lies outside its domain."
    return f"{made}, where {' and '.join(given)}." if given else f"{made}."


def _is_pointwise(node: ExplainedNode) -> bool:
    op = REGISTRY.get(node.op)
    return node.is_scalar or (op is not None and issubclass(op, Pointwise))


def _where(strange: Array, index: tuple[np.intp, ...]) -> str:
    """``, in 2 of 5 elements, the first at [1]``."""
    if strange.ndim == 0:
        return ""
    count = count_text(int(np.count_nonzero(strange)))
    at = ", ".join(str(int(i)) for i in index)
    return f", in {count} of {count_text(strange.size)} elements, the first at [{at}]"


def _element(value: Value, index: tuple[np.intp, ...]) -> float:
    return value if isinstance(value, float) else float(np.asarray(value)[index])


def _backward(explanation: Explanation) -> Iterator[str]:
    """The first gradient that is not finite, and the edge that made it so."""
    node = next((n for n in reversed(explanation.nodes) if not is_finite(n.gradient)), None)
    if node is None or node.gradient is None:
        return
    strange = ~np.isfinite(node.gradient)
    index = np.unravel_index(int(np.argmax(strange)), strange.shape)
    of = f"∂{explanation.result}/∂{node.name}"
    kind = explanation.number(_element(node.gradient, index))
    made = f"Backward, {kind} starts at {of}{_where(strange, index)}"
    guilty = next((e for e in explanation.uses(node.index) if not is_finite(e.contribution)), None)
    if guilty is None:
        yield f"{made}: the contributions that meet there add up to it."
    elif isinstance(guilty.local, float) and not is_finite(guilty.local):
        yield f"{made}: {_local(explanation, guilty)}."
    else:
        yield f"{made}, on the way back from {explanation.named(guilty.node)}."


def _local(explanation: Explanation, edge: Edge) -> str:
    """``the local derivative ∂y/∂x = 0.5/y is ∞ where x = 0``."""
    assert isinstance(edge.local, float)
    user = explanation.nodes[edge.node]
    letters = explanation.symbols(edge.node)[edge.slot]
    inputs = (explanation.nodes[i] for i in dict.fromkeys(user.inputs))
    given = [f"{x.name} = {explanation.shown(x.value)}" for x in inputs if x.name]
    name = f"∂{user.name}/∂{explanation.named(edge.input)}"
    derivative = f"{name} = {letters}" if letters else name
    where = f" where {' and '.join(given)}" if given else ""
    return f"the local derivative {derivative} is {explanation.number(edge.local)}{where}"
