"""Nested dict, list and tuple (and whatever else says how) as flat lists of leaves.

A class joins by two methods: ``tree_children() -> list[(name, child)]`` and
``tree_rebuild(children) -> same class``. Dictionaries keep their insertion order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from chainrule.errors import StructureError


@dataclass(frozen=True, slots=True)
class Branch:
    """One inner node of a tree: its type, the names of its children, and how to rebuild it."""

    kind: type
    names: tuple[Any, ...]
    children: tuple[Branch | None, ...]
    original: Any

    def matches(self, other: Branch) -> bool:
        return self.kind is other.kind and self.names == other.names


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
    kind = cast(Any, branch.kind)
    if branch.original is None:
        return None
    if issubclass(kind, dict):
        return dict(zip(branch.names, children, strict=True))
    if issubclass(kind, list):
        return children
    if hasattr(kind, "_fields"):
        return kind(*children)
    if issubclass(kind, tuple):
        return tuple(children)
    return branch.original.tree_rebuild(children)


def flatten(tree: Any) -> tuple[list[Any], Branch | None]:
    """Split ``tree`` into its leaves, left to right, and the structure that :func:`unflatten` takes."""
    leaves: list[Any] = []

    def walk(part: Any) -> Branch | None:
        opened = _open(part)
        if opened is None:
            leaves.append(part)
            return None
        names, children = opened
        return Branch(cast(Any, type(part)), names, tuple(walk(child) for child in children), part)

    return leaves, walk(tree)


def unflatten(structure: Branch | None, leaves: Sequence[Any]) -> Any:
    """Inverse of :func:`flatten`."""
    remaining = iter(leaves)

    def build(branch: Branch | None) -> Any:
        if branch is None:
            return next(remaining)
        return _close(branch, [build(child) for child in branch.children])

    return build(structure)


def paths(tree: Any) -> list[str]:
    """Name every leaf by its path: ``{"layers": [{"weight": w}]}`` gives ``layers.0.weight``."""

    def walk(part: Any, prefix: tuple[str, ...]) -> Iterator[str]:
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
    columns = [flat]
    for other in others:
        values, other_structure = flatten(other)
        require_same(structure, other_structure)
        columns.append(values)
    return unflatten(structure, [f(*row) for row in zip(*columns, strict=True)])


def require_same(expected: Branch | None, got: Branch | None, where: str = "") -> None:
    """Raise :class:`StructureError` naming the first place where two structures differ."""
    place = where.lstrip(".") or "the top"
    if expected is None or got is None:
        if expected is not got:
            raise StructureError(
                f"structure differs at {place}: expected {_describe(expected)}, got {_describe(got)}",
                fix="give both the same nesting of dict, list and tuple",
            )
        return
    if not expected.matches(got):
        raise StructureError(
            f"structure differs at {place}: expected {_describe(expected)}, got {_describe(got)}",
            fix="give both the same keys, lengths and container types",
        )
    for name, left, right in zip(expected.names, expected.children, got.children, strict=True):
        require_same(left, right, f"{where}.{name}")


def _describe(branch: Branch | None) -> str:
    if branch is None:
        return "a leaf"
    kind: Any = branch.kind
    if issubclass(kind, dict):
        return f"dict with keys {list(branch.names)}"
    return f"{kind.__name__} of length {len(branch.names)}"
