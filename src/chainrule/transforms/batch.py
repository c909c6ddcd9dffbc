"""A function of one item as a function of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.batch import batched
from chainrule.errors import ArgumentError, AxisError, ShapeError, StructureError, shown
from chainrule.modes import batch_items, is_recording, recording
from chainrule.node import Node, as_node, symbol
from chainrule.ops.move import broadcast_to, moveaxis
from chainrule.shapes import Spec, as_sequence
from chainrule.transforms.run import Fn, argument_names, named, reaches_outside, untracked


def vmap(f: Fn, in_axes: Any = 0, out_axes: Any = 0) -> Fn:
    """A function that does for many items at once what ``f`` does for one.

    ``f`` is traced for one item, and each operation that differs from item to item is replaced by one for all of
    them. So it must not ask for numbers of its items (``if x > 0``); what it closes over stays connected, and
    derivatives flow to that and to the arguments.

    Args:
        f: a function of arrays, or of nested dict, list, tuple and Module of them, that gives the same.
        in_axes: along which axis of the arguments the items lie; None where an argument is the same for all. One for
            all arguments, or a tuple with one for each, which may be nested as the argument is:
            ``({"w": 0, "b": None}, 1)``. Negative axes count from the end. What is no array (None, texts, functions)
            is handed on as it is. Keyword arguments that are arrays lie along axis 0; others are handed on.
        out_axes: along which axis the items lie in the results; nested as the result is, or one for all of it. None
            for what does not differ from item to item, which is then given once.

    Returns:
        A function of the same arguments, with one axis more where ``in_axes`` says so, giving what ``f`` gives, with
        one axis more. It may be nested, differentiated, and compiled: ``cr.compile(cr.vmap(cr.grad(f), (None, 0)))``.

    Raises:
        ArgumentError: ``in_axes`` maps nothing, is no axis, or does not have one entry for each argument; ``out_axes``
            is None for a result that differs from item to item.
        StructureError: ``in_axes`` or ``out_axes`` is nested in another way than arguments or results.
        AxisError: an axis is out of range.
        ShapeError: the arguments have different numbers of items; both are named.
        TracedValueError: ``f`` asks for a number of an item.

    Example:
        >>> import numpy as np
        >>> import chainrule as cr
        >>> rows = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> vmap(lambda x, y: cr.sum(x * y), in_axes=(0, None))(rows, np.array([1.0, 10.0])).tolist()
        [21.0, 43.0]
        >>> vmap(cr.grad(lambda w, x: cr.sin(w * x)), in_axes=(None, 0))(0.0, np.array([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    if not callable(f):
        raise ArgumentError(
            f"vmap: expected a function, got {type(f).__name__}",
            fix="pass the function itself: cr.vmap(f)(x)",
        )
    _require_axes("in_axes", in_axes)
    _require_axes("out_axes", out_axes)
    if isinstance(in_axes, dict):
        raise ArgumentError(
            "vmap: in_axes must be an axis, None, or a tuple with one entry for each argument, got dict",
            fix="put it into a tuple: in_axes=(axes,) for one argument",
        )

    @named(f, "vmap")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = trees.flatten((args, kwargs))
        labels = _labels(f, args, kwargs)
        axes = _in_axes(in_axes, args)
        axes += [0 if _has_axes(x) else None for x in leaves[len(axes) :]]
        nodes = [_mapped(x, axis, label) for x, axis, label in zip(leaves, axes, labels, strict=True)]
        items = _items(nodes, labels)
        starts: dict[Node, Node] = {}
        given: list[Any] = []
        for x, node, label in zip(leaves, nodes, labels, strict=True):
            if node is None:
                given.append(as_node(x) if _has_axes(x) else x)
            else:
                given.append(symbol(Spec(node.shape[1:], node.dtype), label))
                starts[given[-1]] = node
        new_args, new_kwargs = trees.unflatten(structure, given)
        token = batch_items.set(batch_items.get() * max(1, items))
        try:
            with recording(True):
                result = f(*new_args, **new_kwargs)
        finally:
            batch_items.reset(token)
        with recording(True):
            flat, shape = trees.flatten(result)
            outputs: list[Node] = [as_node(x) for x in flat]
        whole = batched(outputs, starts)
        targets = _out_axes(out_axes, result)
        names = trees.paths(result)
        made = [_result(*each, items) for each in zip(outputs, whole, targets, names, strict=True)]
        since = min(s.index for s in starts)
        if not (is_recording() and reaches_outside(made, (), since)):
            made = [y if y.index < since and is_recording() else untracked(y) for y in made]
        return trees.unflatten(shape, made)

    return wrapped


def _require_axes(name: str, axes: Any) -> None:
    for axis in trees.leaves(axes):
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise ArgumentError(
                f"vmap: {name} must hold integers and None, got {shown(axis)}",
                fix=f"pass {name}=0, or one axis for each argument in a tuple",
            )


def _labels(f: Fn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    named_args = [*zip(argument_names(f, len(args)), args, strict=False), *kwargs.items()]
    return [f"{name}.{path}".rstrip(".") for name, arg in named_args for path in trees.paths(arg)]


def _in_axes(in_axes: Any, args: tuple[Any, ...]) -> list[int | None]:
    """One axis for each leaf of the positional arguments."""
    if isinstance(in_axes, (tuple, list)):
        given = tuple(as_sequence(in_axes))
        if len(given) != len(args):
            raise ArgumentError(
                f"vmap: in_axes has {len(given)} entries for {len(args)} arguments",
                fix="give one entry for each positional argument; arrays passed by keyword lie along axis 0",
            )
        in_axes = given
    try:
        return trees.prefix_leaves(in_axes, args)
    except StructureError as error:
        raise StructureError(
            f"vmap: in_axes is nested in another way than the arguments: {error.message}", fix=error.fix
        ) from None


def _out_axes(out_axes: Any, result: Any) -> list[int | None]:
    try:
        return trees.prefix_leaves(out_axes, result)
    except StructureError as error:
        raise StructureError(
            f"vmap: out_axes is nested in another way than the result: {error.message}", fix=error.fix
        ) from None


def _has_axes(x: Any) -> bool:
    """Whether a leaf is an array, rather than a Python number or what is handed on as it is."""
    return hasattr(x, "shape") or hasattr(x, "__dlpack__")


def _mapped(x: Any, axis: int | None, label: str) -> Node | None:
    """A leaf with the axis of its items in front; None if it is the same for all."""
    if axis is None or isinstance(x, (str, bytes)) or callable(x):
        return None
    node: Node = as_node(x)
    if not -node.ndim <= axis < node.ndim:
        if not node.ndim:
            message = f"vmap: {label} is one {node.dtype.name} number, without an axis {axis} for the items"
            fix = "pass None for it in in_axes, where it is the same for all items"
        else:
            message = f"vmap: axis {axis} is out of range for {label} of shape {node.shape}"
            fix = f"valid axes: {-node.ndim} .. {node.ndim - 1}"
        raise AxisError(message, fix=fix)
    return moveaxis(node, axis, 0)


def _items(nodes: Sequence[Node | None], labels: Sequence[str]) -> int:
    """The number of items, which all mapped arguments have."""
    found = [(n.shape[0], label) for n, label in zip(nodes, labels, strict=True) if n is not None]
    if not found:
        raise ArgumentError(
            "vmap: no argument is mapped: each is the same for all items, or holds no array",
            fix="pass at least one array, with an axis in in_axes that is not None",
        )
    items, first = found[0]
    for other, label in found[1:]:
        if other != items:
            raise ShapeError(
                f"vmap: {first} has {items} items and {label} has {other}",
                fix="make the sizes of the mapped axes equal, or pass None in in_axes for what is the same for all",
            )
    return items


def _result(one: Node, whole: Node | None, axis: int | None, path: str, items: int) -> Any:
    """A result with the items along ``axis``."""
    name = f"result {path}".strip()
    if axis is None:
        if whole is not None:
            raise ArgumentError(
                f"vmap: out_axes is None for {name}, which differs from item to item",
                fix="give an axis, out_axes=0, or reduce over the items outside",
            )
        return one
    y = broadcast_to(one, (items, *one.shape)) if whole is None else whole
    if not -y.ndim <= axis < y.ndim:
        raise AxisError(
            f"vmap: out_axes {axis} is out of range for {name} of shape {one.shape} for each item",
            fix=f"valid axes: {-y.ndim} .. {y.ndim - 1}",
        )
    return moveaxis(y, 0, axis)
