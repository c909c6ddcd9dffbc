"""Public functions of primitives: typed, and documented by the primitive itself."""

from __future__ import annotations

from typing import Any, Protocol

from chainrule.node import N, Node, Operand, apply, as_nodes, constant
from chainrule.primitive import Primitive


class Unary(Protocol):
    """A public function of one operand."""

    __name__: str

    def __call__(self, x: Operand[N], /) -> N: ...


class Binary(Protocol):
    """A public function of two operands, which broadcast."""

    __name__: str

    def __call__(self, x: Operand[N], y: Operand[N], /) -> N: ...


def unary(op: type[Primitive]) -> Unary:
    """The public function of a primitive with one input; its docstring is the primitive's."""

    def function(x: Any, /) -> Any:
        return apply(op, (x if isinstance(x, Node) else constant(x),))

    return _publish(function, op)


def binary(op: type[Primitive]) -> Binary:
    """The public function of a primitive with two inputs; its docstring is the primitive's."""

    def function(x: Any, y: Any, /) -> Any:
        if isinstance(x, Node) and isinstance(y, Node):
            return apply(op, (x, y))
        return apply(op, as_nodes(op.name, x, y))

    return _publish(function, op)


def _publish(function: Any, op: type[Primitive]) -> Any:
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = op.__doc__
    function.__module__ = op.__module__
    return function
