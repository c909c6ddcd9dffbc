"""What cannot be explained, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule.errors import ArgumentError, ChainruleError, GradientError, OperandError
from chainrule.formula.mistakes import closest
from chainrule.node import Node, no_value
from chainrule.shapes import FLOATS


def check_result(y: Any, name: str = "explain", tracked: bool = True) -> Node:
    """``y`` if it can be asked about.

    Args:
        y: anything.
        name: of the function that was called.
        tracked: whether something before it must require a gradient.

    Raises:
        OperandError: it is not a tensor.
        TracedValueError: it has no value yet.
        GradientError: it is not one floating number, or nothing before it requires a gradient.
    """
    if not isinstance(y, Node):
        kind = type(y).__name__
        fix = f"pass what chainrule computed: cr.{name}(cr.formula('(a+b)*(b+c)')(a=-1, b=3, c=4))"
        if callable(y):
            fix = f"call the {kind.lower()} with values first, and pass the result"
        raise OperandError(f"{name}: expected a tensor that chainrule computed, got {kind}", fix=fix)
    if y.value is None:
        raise no_value(y, f"{name}()")
    if y.size != 1:
        raise GradientError(
            f"{name}: the result has shape {y.shape}; only one number can be explained at a time",
            fix="reduce with .sum() or .mean(), or pick an element by index",
        )
    if y.dtype not in FLOATS:
        raise GradientError(
            f"{name}: the result is {y.dtype.name}, which has no derivative",
            fix="ask about a float32 or float64 result; integer and boolean operations cut the path",
        )
    if tracked and not y.tracked:
        raise GradientError(
            f"{name}: this tensor does not depend on any tensor that requires a gradient",
            fix="make a leaf with cr.tensor(data, requires_grad=True); no_grad, detach, .numpy(), float() "
            "and integer dtypes cut the path",
        )
    return y


def not_in_graph(wanted: str | Node, known: Iterable[str], function: str = "explain") -> ChainruleError:
    """The error for a variable on which the result does not depend."""
    names = list(known)
    if isinstance(wanted, Node):
        label = f"'{wanted.name}' {wanted.spec}" if wanted.name else f"this tensor, {wanted.spec}"
    else:
        label = f"'{wanted}'"
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    close = None if isinstance(wanted, Node) else closest(wanted, names)
    fix = f"did you mean {close}?" if close else "ask for one of these"
    if isinstance(wanted, Node):
        fix = "pass a tensor from which the result was computed, or the name of one"
    return ArgumentError(
        f"{function}: the result does not depend on {label}; variables are: {shown or 'none'}", fix=fix
    )


def cannot_vary(node: Node, name: str) -> ChainruleError:
    """The error for a derivative with respect to something that is held constant."""
    if node.dtype not in FLOATS:
        return GradientError(
            f"explain: '{name}' is {node.dtype.name}: only float32 and float64 have derivatives",
            fix=f"convert it before the computation: {name}.astype(cr.float64)",
        )
    return GradientError(
        f"explain: '{name}' is a constant of this computation",
        fix=f"make it a variable: cr.tensor(data, requires_grad=True, name='{name}')",
    )


def not_a_name(wrt: Any) -> ChainruleError:
    """The error for a ``wrt`` that names nothing."""
    return OperandError(
        f"explain: wrt is {type(wrt).__name__}, expected a tensor or the name of one",
        fix="cr.explain(y, x), cr.explain(y, 'x'), cr.explain(y, ('x', 0, 3)), or cr.explain(y) for all variables",
    )
