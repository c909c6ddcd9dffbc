"""All partial derivatives at once."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from chainrule import trees
from chainrule.errors import DTypeError
from chainrule.modes import recording
from chainrule.node import Node, as_node, leaf
from chainrule.shapes import FLOATS, count, require_room, too_large
from chainrule.transforms.derivatives import differentiated
from chainrule.transforms.orders import Orders
from chainrule.transforms.run import Fn, Run, complete, named, run_function
from chainrule.transforms.sweeps import swept

Order: TypeAlias = Literal["auto", "forward", "reverse"] | Sequence[int]


def jacobian(
    f: Fn, argnums: int | Sequence[int] = 0, *, order: Order = "auto", seconds: float | None = None
) -> Fn:
    """A function that computes all partial derivatives of ``f``, in a cheap order.

    Args:
        f: differentiable; maps arrays to an array (or nested arrays).
        argnums: which positional arguments.
        order: ``"reverse"`` sweeps once for each output element, ``"forward"`` once for each input element.
            ``"auto"`` takes the cheaper of them, or multiplies the local Jacobians in another order where that takes
            less time: vertex elimination on the graph of arrays, with a short search for the order, which is
            remembered for arguments of the same shapes. What would take some milliseconds is compiled then. A list of
            numbers is an order of your own: of the intermediate results, counted from 0 as they are computed, each
            once.
        seconds: how long a cheap order may be searched for, at most. Without it as long as is worth it: for traced
            functions, as in ``cr.compile(cr.jacobian(f))``, a fraction of a second.

    Returns:
        A function giving ∂f/∂x with shape ``(*f.shape, *x.shape)``; nested first as the result, then as
        the argument; in the argument's dtype.

    Raises:
        ArgumentError: an unknown order, or one that does not have each intermediate result once.
        DTypeError: a result is not floating.
        SizeError: there is no memory for all partial derivatives.

    Example:
        >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapters 9 and 10, DOI
    10.1137/1.9780898717761.
    """
    orders = Orders(order, seconds)

    @named(f, "jacobian")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        run = run_function("jacobian", f, argnums, args, kwargs)
        flat, structure = trees.flatten(run.result)
        outputs = [as_node(x) for x in flat]
        _require_floating(outputs)
        _require_memory(outputs, run.wrt)
        with recording(run.outer):
            plan = orders.plan(outputs, run.wrt, run.outer)
        if plan.choice.program is not None:
            entries = plan.choice.program.entries(plan.values)
        elif plan.graph is not None:
            with recording(run.outer):
                entries = plan.graph.accumulate(plan.choice.order)
        else:
            entries = swept(plan.choice.by, outputs, run.wrt, run.outer)
        pairs = zip(entries, outputs, strict=True)
        blocks = [[_block(run, e, o, w) for e, w in zip(row, run.wrt, strict=True)] for row, o in pairs]
        return trees.unflatten(structure, [run.rebuild(row) for row in blocks])

    return wrapped


def _require_floating(outputs: Sequence[Node]) -> None:
    for output in outputs:
        if output.dtype not in FLOATS:
            raise DTypeError(
                f"jacobian: the function returned {output.dtype.name}, which has no derivative",
                fix="return floating-point numbers: x.astype(cr.float64)",
            )


LARGE = 1 << 30
"""Bytes of a block of the Jacobian from which on it is tried whether memory holds it, before work begins."""


def _require_memory(outputs: Sequence[Node], wrt: Sequence[Node]) -> None:
    for output, w in itertools.product(outputs, wrt):
        shape = (*output.shape, *w.shape)
        require_room("jacobian", shape)
        if count(shape) * w.dtype.itemsize >= LARGE:
            try:
                np.empty(shape, w.dtype)
            except MemoryError:
                raise too_large("jacobian", shape, w.dtype) from None


def _block(run: Run, block: Any, output: Node, w: Node) -> Any:
    """All derivatives of one result for one argument, as the caller gets them."""
    zero = leaf(np.zeros((*output.shape, *w.shape), w.dtype), copy=False) if block is None else block
    return complete(run, zero, w)


def hessian(f: Fn, argnums: int | Sequence[int] = 0) -> Fn:
    """A function that computes the second derivatives of ``f``: forward over reverse.

    Args:
        f: twice differentiable; returns one number.
        argnums: which positional arguments.

    Returns:
        A function giving ∂²f/∂x∂x with shape ``(*x.shape, *x.shape)``.

    Example:
        >>> hessian(lambda x: (x * x * x).sum())(np.array([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(_value_and_grad_only(f, argnums), argnums, order="forward")


def _value_and_grad_only(f: Fn, argnums: int | Sequence[int]) -> Fn:
    both = differentiated("hessian", f, argnums, False)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]
