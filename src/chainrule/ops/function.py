"""Public functions of primitives: typed, and documented by what the primitive declares."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

from chainrule.node import N, Node, Operand, apply, as_nodes, constant
from chainrule.primitive import Pointwise, Primitive
from chainrule.shapes import DTYPES


class Unary(Protocol):
    """A public function of one operand."""

    __name__: str

    def __call__(self, x: Operand[N], /) -> N: ...


class Binary(Protocol):
    """A public function of two operands, which broadcast."""

    __name__: str

    def __call__(self, x: Operand[N], y: Operand[N], /) -> N: ...


def unary(op: type[Primitive]) -> Unary:
    """The public function of a primitive with one input; its docstring is made from the primitive's."""

    def function(x: Any, /) -> Any:
        return apply(op, (x if isinstance(x, Node) else constant(x),))

    return _publish(function, op)


def binary(op: type[Primitive]) -> Binary:
    """The public function of a primitive with two inputs; its docstring is made from the primitive's."""

    def function(x: Any, y: Any, /) -> Any:
        if isinstance(x, Node) and isinstance(y, Node):
            return apply(op, (x, y))
        return apply(op, as_nodes(op.name, x, y))

    return _publish(function, op)


def _publish(function: Any, op: type[Primitive]) -> Any:
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = _documentation(op)
    function.__module__ = op.__module__
    return function


def _documentation(op: type[Primitive]) -> str | None:
    """The primitive's docstring with what its declaration says of arguments, result and errors."""
    written = inspect.cleandoc(op.__doc__ or "")
    if not written or not issubclass(op, Pointwise) or "\nArgs:" in written:
        return op.__doc__
    places = [at for at in map(written.find, ("\nExample:", "\nSource:")) if at >= 0]
    end = min(places, default=len(written))
    parts = [written[:end].rstrip(), _declared(op), written[end:].strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _declared(op: type[Pointwise]) -> str:
    names = [dtype.name for dtype in op.accepts]
    dtypes = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    several = op.arity > 1
    lines = ["Args:"]
    if several:
        lines.append(f"    x, y: {dtypes}, of shapes that broadcast against each other;")
        lines.append(
            "        arrays, nested lists or numbers. A Python number takes the dtype of the other operand."
        )
    else:
        lines.append(f"    x: {dtypes}, shape ``(*n,)``; an array, nested lists or a number.")
    kind = op.result.name if op.result else "the common dtype of x and y" if several else "the dtype of x"
    shape = "An array of the broadcast shape" if several else "An array of shape ``(*n,)``"
    lines += ["", "Returns:", f"    {shape}, of {kind}." if op.result is None else f"    {shape}, {kind}."]
    errors: list[str] = []
    if set(op.accepts) != set(DTYPES):
        errors.append(f"    DTypeError: {'an operand' if several else 'x'} is not {dtypes}.")
    if several and len({dtype.kind for dtype in op.accepts}) > 1:
        errors.append("    DTypeError: x and y are of different kinds, such as int64 and float64.")
    if several:
        errors.append("    ShapeError: the shapes do not broadcast.")
    return "\n".join([*lines, *(["", "Raises:", *errors] if errors else [])])
