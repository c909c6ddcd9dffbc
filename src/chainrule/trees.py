"""Nested dict, list and tuple (and whatever else says how) as flat lists of leaves.

A class joins by two methods: ``tree_children() -> list[(name, child)]`` and
``tree_rebuild(children) -> same class``. Dictionaries keep their insertion order, and match whatever
their order; subclasses of dict, list and tuple come back as their own class.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, cast

from chainrule.errors import StructureError

_DEEPEST = 200
"""Levels of nesting. What is nested more deeply contains itself, or was nested by mistake."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One inner node of a tree: its type, the names of its children, and how to rebuild it."""

    kind: type
    names: tuple[Any, ...]
    children: tuple[Branch | None, ...]
    original: Any


_leaf_types: dict[type, bool] = {}


def _is_leaf(kind: Any) -> bool:
    """Whether values of a class are leaves; the class alone decides, so it is asked once."""
    known = _leaf_types.get(kind)
    if known is None:
        inner = issubclass(kind, (dict, list, tuple, NoneType)) or hasattr(kind, "tree_children")
        known = _leaf_types[kind] = not inner
    return known


def _open(tree: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """Names and children of an inner node; None for a leaf."""
    if isinstance(tree, dict):
        items = cast("dict[Any, Any]", tree)
        return tuple(items), tuple(items.values())
    if isinstance(tree, (list, tuple)):
        values = tuple(cast("Sequence[Any]", tree))
        names: Sequence[Any] = getattr(cast(Any, tree), "_fields", range(len(values)))
        return tuple(names), values
    if tree is None:
        return (), ()
    if hasattr(cast(Any, type(tree)), "tree_children"):
        pairs = cast("list[tuple[Any, Any]]", tree.tree_children())
        return tuple(name for name, _ in pairs), tuple(child for _, child in pairs)
    return None


def _close(branch: Branch, children: list[Any]) -> Any:
    kind, make = branch.kind, cast(Any, branch.kind)
    if branch.original is None:
        return None
    if kind is list or kind is tuple:
        return make(children)
    if issubclass(kind, dict):
        made: dict[Any, Any] = {} if kind is dict else copy.copy(branch.original)  # keeps a default_factory
        for name, child in zip(branch.names, children, strict=True):
            made[name] = child
        return made
    if issubclass(kind, list):
        own: list[Any] = copy.copy(branch.original)
        own[:] = children
        return own
    if issubclass(kind, tuple):
        return make._make(children) if hasattr(make, "_make") else make(children)
    return branch.original.tree_rebuild(children)


def _require_shallow(depth: int) -> None:
    if depth > _DEEPEST:
        raise StructureError(
            f"the structure is nested more than {_DEEPEST} levels deep",
            fix="flatten it, such as into one list; a list or dict must not contain itself",
        )


def flatten(tree: Any) -> tuple[list[Any], Branch | None]:
    """Split ``tree`` into its leaves, left to right, and the structure that :func:`unflatten` takes.

    Raises:
        StructureError: more than 200 levels of nesting.
    """
    leaves: list[Any] = []

    def walk(part: Any, depth: int = 0) -> Branch | None:
        _require_shallow(depth)
        opened = _open(part)
        if opened is None:
            leaves.append(part)
            return None
        names, children = opened
        below: list[Branch | None] = []
        for child in children:
            if _is_leaf(child.__class__):
                leaves.append(child)
                below.append(None)
            else:
                below.append(walk(child, depth + 1))
        return Branch(cast(Any, type(part)), names, tuple(below), part)

    return leaves, walk(tree)


def unflatten(structure: Branch | None, leaves: Sequence[Any]) -> Any:
    """Inverse of :func:`flatten`."""
    remaining = iter(leaves)

    def build(branch: Branch | None) -> Any:
        if branch is None:
            return next(remaining)
        return _close(branch, [build(child) for child in branch.children])

    return build(structure)


def is_row(structure: Branch | None) -> bool:
    """Whether it is that of a plain tuple of leaves: `unflatten` gives ``tuple(leaves)``."""
    return structure is not None and structure.kind is tuple and not any(structure.children)


def paths(tree: Any) -> list[str]:
    """Name every leaf by its path: ``{"layers": [{"weight": w}]}`` gives ``layers.0.weight``."""

    def walk(part: Any, prefix: tuple[str, ...]) -> Iterator[str]:
        _require_shallow(len(prefix))
        opened = _open(part)
        if opened is None:
            yield ".".join(prefix)
            return
        for name, child in zip(*opened, strict=True):
            yield from walk(child, (*prefix, str(name)))

    return list(walk(tree, ()))


def leaves(tree: Any) -> list[Any]:
    """The leaves of ``tree``, left to right."""
    return flatten(tree)[0]


def map_leaves(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply ``f`` to the leaves of ``tree`` and the matching leaves of ``others``.

    Raises:
        StructureError: another tree has other keys, lengths or types; the place is named.
    """
    flat, structure = flatten(tree)
    columns = [flat, *(aligned_leaves(structure, other) for other in others)]
    return unflatten(structure, [f(*row) for row in zip(*columns, strict=True)])


def aligned_leaves(structure: Branch | None, tree: Any) -> list[Any]:
    """The leaves of ``tree`` in the order of ``structure``, whatever the order of keys in dictionaries.

    Args:
        structure: from :func:`flatten` of another tree.
        tree: of the same classes, keys and lengths.

    Raises:
        StructureError: ``tree`` has other keys, lengths or classes; the first such place is named.
    """
    found: list[Any] = []

    def walk(expected: Branch | None, part: Any, path: tuple[Any, ...]) -> None:
        opened = _open(part)
        if expected is None and opened is None:
            found.append(part)
            return
        names, children = opened or ((), ())
        if expected is None or opened is None or not _same_names(expected, cast(Any, type(part)), names):
            got = "a leaf" if opened is None else _describe(cast(Any, type(part)), names)
            wants = "a leaf" if expected is None else _describe(expected.kind, expected.names)
            raise StructureError(
                f"structure differs at {'.'.join(map(str, path)) or 'the top'}: expected {wants}, got {got}",
                fix="give both the same keys, lengths and container types",
            )
        if names != expected.names:
            by_name = dict(zip(names, children, strict=True))
            children = tuple(by_name[name] for name in expected.names)
        for i, child in enumerate(expected.children):
            if child is None and _is_leaf(children[i].__class__):
                found.append(children[i])
            else:
                walk(child, children[i], (*path, expected.names[i]))

    walk(structure, tree, ())
    return found


def prefix_leaves(prefix: Any, tree: Any) -> list[Any]:
    """For each leaf of ``tree`` the leaf of ``prefix`` that stands at its place or above it.

    Args:
        prefix: nested as ``tree`` is, but each part may be given by one leaf for all of it. None is a leaf here.

    Raises:
        StructureError: ``prefix`` is nested in another way; the first such place is named.
    """
    found: list[Any] = []

    def walk(above: Any, part: Any, path: tuple[Any, ...]) -> None:
        if above is None or _is_leaf(above.__class__):
            found.extend([above] * len(flatten(part)[0]))
            return
        names, children = cast("tuple[tuple[Any, ...], tuple[Any, ...]]", _open(above))
        opened = _open(part)
        kind = cast(Any, type(above))
        if opened is None or not _same_names(Branch(cast(Any, type(part)), opened[0], (), part), kind, names):
            wants = "a leaf" if opened is None else _describe(cast(Any, type(part)), opened[0])
            raise StructureError(
                f"structure differs at {'.'.join(map(str, path)) or 'the top'}: expected {wants}, or one leaf for all "
                f"of it, got {_describe(kind, names)}",
                fix="give one leaf, or the same keys, lengths and container types",
            )
        by_name = dict(zip(names, children, strict=True))
        for name, child in zip(*opened, strict=True):
            walk(by_name[name], child, (*path, name))

    walk(prefix, tree, ())
    return found


def _same_names(expected: Branch, kind: type, names: tuple[Any, ...]) -> bool:
    if issubclass(kind, dict):
        return kind is expected.kind and set(names) == set(expected.names)
    return kind is expected.kind and names == expected.names


def _describe(kind: type, names: tuple[Any, ...]) -> str:
    if kind is type(None):
        return "None"
    if issubclass(kind, dict):
        return f"{kind.__name__} with keys {list(names)}"
    return f"{kind.__name__} of length {len(names)}"
