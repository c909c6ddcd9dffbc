"""Which elements of which tensor are meant, and what a model calls its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, OperandError
from chainrule.explain.numbers import counted
from chainrule.nn import Module
from chainrule.node import Node
from chainrule.primitive import Array


def parameter_names(model: Any, function: str) -> Mapping[Node, str]:
    """The parameters of a model, or those in a dictionary by their paths, and the paths; of None none.

    Raises:
        OperandError: it is not a model.
    """
    if model is None:
        return {}
    if isinstance(model, Mapping):
        return {node: path for path, node in reversed(list(model.items())) if isinstance(node, Node)}
    if not isinstance(model, Module):
        raise OperandError(
            f"{function}: model is {type(model).__name__}, expected a cr.nn.Module",
            fix=f"cr.{function}(loss, ('layers.0.weight', 3, 7), model=model)",
        )
    pairs = zip(trees.leaves(model), trees.paths(model), strict=True)
    return {node: path for node, path in pairs if isinstance(node, Node)}


def is_element(wanted: Any) -> bool:
    """Whether this is a tensor or a name with the index of one element, as ``("w", 3, 7)``."""
    return (
        isinstance(wanted, tuple)
        and len(wanted) > 1
        and all(isinstance(i, Integral) and not isinstance(i, bool) for i in wanted[1:])
    )


def chosen_elements(variable: Node, index: tuple[Any, ...], name: str, function: str) -> tuple[Array, str]:
    """A mask of the elements that an index means, all without one; and the name with the index behind it.

    Raises:
        ArgumentError: there are none.
    """
    chosen = np.zeros(variable.shape, bool)
    if not index:
        chosen[...] = True
        return chosen, name
    shown = ", ".join(map(str, index))
    try:
        chosen[index] = True
    except (IndexError, TypeError, ValueError):
        raise ArgumentError(
            f"{function}: {name} of shape {variable.shape} has no element [{', '.join(map(repr, index))}]",
            fix=f"give {counted(variable.ndim, 'whole number')}, each below the size of its axis",
        ) from None
    return chosen, f"{name}[{shown}]"


def one_element(variable: Node, index: tuple[Any, ...], name: str, function: str) -> tuple[int, ...]:
    """An index of one element, from the front.

    Raises:
        ArgumentError: there is none, or it means several.
    """
    chosen, label = chosen_elements(variable, index, name, function)
    if np.count_nonzero(chosen) != 1:
        raise ArgumentError(
            f"{function}: {label} is not one element: the shape is {variable.shape}",
            fix=f"give {counted(variable.ndim, 'whole number')}, or the tensor alone",
        )
    return tuple(int(i) for i in np.argwhere(chosen)[0])
