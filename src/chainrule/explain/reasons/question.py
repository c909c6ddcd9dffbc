"""What is asked: the gradient of which number, with respect to which elements of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, GradientError, OperandError
from chainrule.explain import mistakes
from chainrule.explain.reasons.words import Words
from chainrule.modes import remembering
from chainrule.nn import Module
from chainrule.node import Node
from chainrule.primitive import Array


@dataclass(frozen=True, slots=True)
class Question:
    """One gradient.

    Attributes:
        result: one number, computed.
        variable: a tensor, before the result or not.
        chosen: which of its elements.
        label: the variable's name, with an index where one element is meant.
        words: names for everything before the result.
        variables: all whose gradients belong together, this one among them.
        whole: whether everything before the result is known, not only what derivatives flow through.
    """

    result: Node
    variable: Node
    chosen: Array
    label: str
    words: Words
    variables: tuple[Node, ...]
    whole: bool = False


def questions(y: Any, wrt: Any, name: str = "why") -> list[Question]:
    """What ``why(y, wrt)``, or another function of that ``name``, asks: one gradient, or those of all variables.

    Raises:
        OperandError, GradientError, TracedValueError, ArgumentError: it cannot be asked, with the reason.
    """
    whole = callable(y) and not isinstance(y, Node)
    result = mistakes.check_result(_computed(y) if whole else y, name, tracked=False)
    named = _parameters(wrt) if isinstance(wrt, Module) else {}
    words = Words(result, named)
    leaves = tuple(n for n in words.nodes if n.op is None and n.tracked)
    if isinstance(wrt, Module):
        if not named:
            raise ArgumentError(
                f"{name}: this model has no parameters", fix="pass a tensor or the name of one"
            )
        return about(result, tuple(named), words, whole)
    if wrt is None:
        if not leaves:
            raise GradientError(
                f"{name}: this result does not depend on any tensor that requires a gradient",
                fix="say which gradient is missing: cr.why(y, x)",
            )
        return about(result, leaves, words, whole)
    target, index = (wrt[0], tuple(wrt[1:])) if isinstance(wrt, tuple) and wrt else (wrt, ())
    variable = _find(target, words, name)
    chosen, label = _elements(variable, index, words)
    return [Question(result, variable, chosen, label, words, (*leaves, variable), whole)]


def about(result: Node, variables: tuple[Node, ...], words: Words, whole: bool = False) -> list[Question]:
    """A question for each of several variables."""
    found: list[Question] = []
    for variable in variables:
        chosen, label = _elements(variable, (), words)
        found.append(Question(result, variable, chosen, label, words, variables, whole))
    return found


def _computed(function: Any) -> Any:
    """What a function without arguments gives, with all of its nodes remembered."""
    with remembering():
        return function()


def _parameters(model: Module) -> Mapping[Node, str]:
    pairs = zip(trees.leaves(model), trees.paths(model), strict=True)
    return {node: path for node, path in pairs if isinstance(node, Node)}


def _find(target: Any, words: Words, name: str) -> Node:
    if isinstance(target, Node):
        return target
    if not isinstance(target, str):
        raise OperandError(
            f"{name}: wrt is {type(target).__name__}, expected a tensor, the name of one, or a model",
            fix="cr.why(y, x), cr.why(y, 'x'), cr.why(y, ('x', 0, 3)) for one element, or cr.why(loss, model)",
        )
    found = [node for node, known in words.names.items() if known == target]
    if not found:
        known = [words.names[n] for n in words.nodes if n.op is None and n.tracked]
        raise mistakes.not_in_graph(target, known, name)
    return found[0]


def _elements(variable: Node, index: tuple[Any, ...], words: Words) -> tuple[Array, str]:
    """Which elements are meant, and how to call them."""
    chosen = np.zeros(variable.shape, bool)
    name = words.names.get(variable) or variable.name or "this tensor"
    if not index:
        chosen[...] = True
        return chosen, name
    try:
        chosen[index] = True
    except (IndexError, TypeError, ValueError):
        shown = ", ".join(map(repr, index))
        raise ArgumentError(
            f"why: {name} of shape {variable.shape} has no element [{shown}]",
            fix=f"give {len(variable.shape)} whole numbers, each below the size of its axis",
        ) from None
    return chosen, f"{name}[{', '.join(map(str, index))}]"
