"""How nodes come into being: by Python, or by native code once there is any.

Whoever makes them counts them, so that numbers ascend. What is said here to the one who made them (that a node is not
as it was, that it holds a gradient) goes nowhere while Python makes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from chainrule.primitive import Primitive
from chainrule.shapes import DType, Shape

if TYPE_CHECKING:
    from chainrule.node import Node

Params: TypeAlias = Mapping[str, Any]
Position: TypeAlias = "tuple[CodeType, int]"

NO_PARAMS: Params = {}
APART = 1 << 20
"""Numbers left out where somebody else goes on counting: other threads may be taking some meanwhile."""
_next_index = itertools.count().__next__
_new: Any = object.__new__

# The class of new nodes. The layer that users see puts its own subclass here, so that whatever is
# built from plain numbers, inside rules too, has the methods that users expect.
_node_type: Any = None


def set_node_type(cls: type[Node]) -> None:
    """Make every node built from now on an instance of ``cls``."""
    global _node_type
    _node_type = cls
    set_maker(None)


def node_type() -> type[Node]:
    """The class of nodes that are built now."""
    return _node_type


def new_node(
    op: type[Primitive] | None,
    inputs: tuple[Node, ...],
    params: Params,
    shape: Shape,
    dtype: DType,
    value: Any,
    tracked: bool,
    name: str | None,
    position: Position | None,
) -> Any:
    """A new node. Calling its class would take twice as long, and eager programs make little else."""
    node = _new(_node_type)
    node.op = op
    node.inputs = inputs
    node.params = params
    node.shape = shape
    node.dtype = dtype
    node.value = value
    node.tracked = tracked
    node.name = name
    node._position = position
    node._grad = None  # what backward passes will collect here
    node.retains_grad = False
    node.index = _next_index()
    return node


make: Callable[..., Any] = new_node
"""What makes nodes now, with the arguments of `new_node`."""


class Maker(Protocol):
    """Who makes nodes instead of Python, and remembers what it has made."""

    new_node: Callable[..., Any]
    """As the function of that name here."""
    next_index: Callable[[], int]
    """The next number, also for nodes that Python makes."""

    def forget(self, node: Node) -> None:
        """What is remembered of a node no longer holds."""

    def forget_uses(self, node: Node) -> None:
        """What is remembered of nodes that are computed from it no longer holds."""

    def watch(self, gradients: Iterable[Node]) -> None:
        """Nodes hold gradients that were recorded, and that may lead back to them."""


_maker: Maker | None = None
"""Who makes nodes, or was the last to do so."""


def set_maker(maker: Maker | None) -> None:
    """Let nodes be made by another from now on; None for Python."""
    global _maker, make, _next_index
    if maker is not None:
        _next_index = maker.next_index
        _maker, make = maker, maker.new_node
    elif _maker is not None and _next_index is _maker.next_index:
        make = new_node
        _next_index = itertools.count(index_apart()).__next__


def index_apart() -> int:
    """A number from which on another may count."""
    return _next_index() + APART


def look_at_next(look: Callable[[Node], None]) -> None:
    """Call ``look`` with the next node, if Python makes it."""
    global make

    def looked_at(*given: Any) -> Any:
        global make
        node = new_node(*given)
        if make is looked_at:
            make = new_node
            look(node)
        return node

    if make is new_node:
        make = looked_at


def forget(node: Node) -> None:
    """Say that a node is not as it was made."""
    if _maker is not None:
        _maker.forget(node)


def forget_uses(node: Node) -> None:
    """Say that a node is not as it was when others were computed from it."""
    if _maker is not None:
        _maker.forget_uses(node)


def watch(gradients: Iterable[Node | None]) -> None:
    """Say that nodes hold these gradients. Recorded ones may lead back to them: Python is to find such cycles."""
    if _maker is not None:
        recorded = [delta for delta in gradients if delta is not None and delta.inputs]
        if recorded:
            _maker.watch(recorded)
