"""What is asked: the gradient of which number, with respect to which elements of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.autodiff.opening import opened
from chainrule.errors import ArgumentError, GradientError, OperandError
from chainrule.explain import mistakes
from chainrule.explain.reasons.words import Words
from chainrule.explain.wanted import chosen_elements, parameter_names
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


def questions(y: Any, wrt: Any, name: str = "why", model: Any = None) -> list[Question]:
    """What ``why(y, wrt)``, or another function of that ``name``, asks: one gradient, or those of all variables.

    The parameters of a ``model`` are known by their paths.

    Raises:
        OperandError, GradientError, TracedValueError, ArgumentError: it cannot be asked, with the reason.
    """
    whole = callable(y) and not isinstance(y, Node)
    asked = mistakes.check_result(_computed(y) if whole else y, name, tracked=False)
    at = opened(asked)
    result = at[asked]
    named = parameter_names(wrt if model is None and isinstance(wrt, Module) else model, name)
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
    variable = _find(at.get(target, target) if isinstance(target, Node) else target, words, name)
    chosen, label = chosen_elements(variable, index, _called(variable, words), name)
    return [Question(result, variable, chosen, label, words, (*leaves, variable), whole)]


def about(result: Node, variables: tuple[Node, ...], words: Words, whole: bool = False) -> list[Question]:
    """A question for each of several variables."""
    found: list[Question] = []
    for variable in variables:
        chosen, label = chosen_elements(variable, (), _called(variable, words), "why")
        found.append(Question(result, variable, chosen, label, words, variables, whole))
    return found


def _computed(function: Any) -> Any:
    """What a function without arguments gives, with all of its nodes remembered."""
    with remembering():
        return function()


def _find(target: Any, words: Words, name: str) -> Node:
    if isinstance(target, Node):
        return target
    if not isinstance(target, str):
        raise OperandError(
            f"{name}: wrt is {type(target).__name__}, expected a tensor, the name of one, or a model",
            fix=f"cr.{name}(y, x), cr.{name}(y, 'x'), cr.{name}(y, ('x', 0, 3)) for one element"
            + (", or cr.why(loss, model)" if name == "why" else ""),
        )
    found = [node for node, known in words.names.items() if known == target]
    if not found:
        known = [words.names[n] for n in words.nodes if n.op is None and n.tracked]
        raise mistakes.not_in_graph(target, known, name)
    return found[0]


def _called(variable: Node, words: Words) -> str:
    return words.names.get(variable) or variable.name or "this tensor"
