"""Questions about one place of a model: why its gradient is as it is, and what it comes through."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError
from chainrule.explain import attribute
from chainrule.explain.reasons.asking import answer
from chainrule.explain.reasons.question import about
from chainrule.explain.reasons.words import Words
from chainrule.node import Node
from chainrule.studio.models.overview import output_of
from chainrule.studio.models.tree import Group, Tree

BY = ("why", "layer", "branch", "sample", "path", "term")


def thing_at(tree: Tree, at: str) -> Group | Node:
    """The group, parameter or node of a name: a path, or ``#`` and a number.

    Raises:
        ArgumentError: there is none.
    """
    if at in tree.groups:
        return tree.groups[at]
    node = tree.observed.parameters.get(at)
    if node is not None and node in tree.places:
        return node
    order = tree.observed.order
    if at.startswith("#") and at[1:].isdecimal() and len(at) < 12 and int(at[1:]) < len(order):
        return order[int(at[1:])]
    raise ArgumentError(f"the model has nothing called {at[:100]!r}", fix="search for a part of its name")


def asked(tree: Tree, at: str, by: str) -> dict[str, Any]:
    """Why the gradient at a place has its value, or how it is shared out: as text, and as data.

    Args:
        tree: of the pass.
        at: a path of a module or parameter, or a node.
        by: ``"why"``, or what ``cr.attribute`` shares by.

    Raises:
        ArgumentError, GradientError: it cannot be asked there, with the reason.
    """
    thing = thing_at(tree, at)
    observed = tree.observed
    named = {node: path for path, node in reversed(observed.parameters.items())}
    words = Words(observed.result, named)
    if by == "why":
        reason = answer(about(observed.result, _variables(tree, thing), words, True))
        return {"at": at, "by": by, "text": reason.text, "data": reason.to_dict()}
    variable = _variables(tree, thing)
    largest = max(variable, key=lambda node: node.size)
    if not largest.tracked:
        raise ArgumentError(
            f"no derivative leads to {words.names.get(largest, 'this')}", fix="choose a module or a parameter"
        )
    shared = attribute(observed.result, largest, by, observed.parameters)  # pyright: ignore[reportArgumentType]
    return {"at": at, "by": by, "text": shared.text, "data": shared.to_dict()}


def _variables(tree: Tree, thing: Group | Node) -> tuple[Node, ...]:
    """What a question about a place is about: the parameters of a module; without any its result."""
    if isinstance(thing, Node):
        return (thing,)
    own = set(tree.observed.parameters.values())
    found = tuple(node for node in thing.all_nodes if node in own)
    return found or (output_of(tree, thing),)
