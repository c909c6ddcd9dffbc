"""A distinct name for every node that an explanation mentions: the user's, a formula's, or a letter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from chainrule.formula import letters
from chainrule.node import Node, is_differentiable

_VARIABLES = "abcdghkmnpqrstuvw"
_MANY = 12
"""More unnamed intermediates than this are numbered v1, v2, ... instead of getting letters of their own."""


def name_nodes(
    nodes: Sequence[Node], result: Node, given: Mapping[Node, str] | None = None
) -> dict[Node, str]:
    """Names for ``nodes``, which are in topological order; ``result`` is one of them.

    Constants of one element get none, unless they have one such as π: they are written as their number.
    Those that are ``given``, as a model's parameters have by their path, go before the nodes' own.
    """
    names: dict[Node, str] = dict(given or {})
    taken: set[str] = set(names.values())
    for node in nodes:
        if node.name and node not in names:
            names[node] = _free(node.name, taken)
            taken.add(names[node])
    if result not in names:
        names[result] = letters.result(taken)
        taken.add(names[result])
    unnamed = [n for n in nodes if n not in names]
    inner = [n for n in unnamed if n.op is not None]
    choices = {
        "variable": _numbered(_VARIABLES, "a", taken),
        "constant": _numbered("", "k", taken),
        "inner": letters.intermediates(taken) if len(inner) <= _MANY else _numbered("", "v", taken),
    }
    for node in unnamed:
        kind = "inner" if node.op is not None else "variable" if is_differentiable(node) else "constant"
        if kind == "constant" and node.size == 1:
            continue
        names[node] = next(n for n in choices[kind] if n not in taken)
        taken.add(names[node])
    return names


def _free(name: str, taken: set[str]) -> str:
    """``name``, or where another tensor has it ``name`` with a number."""
    if name not in taken:
        return name
    return next(other for i in itertools.count(2) if (other := f"{name}_{i}") not in taken)


def _numbered(single: str, base: str, taken: set[str]) -> Iterator[str]:
    return (n for n in itertools.chain(single, (f"{base}{i}" for i in itertools.count(1))) if n not in taken)
