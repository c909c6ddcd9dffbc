"""All partial derivatives at once."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from chainrule import trees
from chainrule.autodiff.forward import pushforward
from chainrule.errors import (
    ArgumentError,
)
from chainrule.node import (
    Node,
    as_node,
)
from chainrule.ops.cast import astype
from chainrule.ops.join import stack
from chainrule.ops.move import reshape
from chainrule.shapes import Shape
from chainrule.transforms.derivatives import differentiated
from chainrule.transforms.run import Fn, Run, complete, gradients, named, run_function

Order: TypeAlias = Literal["auto", "forward", "reverse"]


def jacobian(f: Fn, argnums: int | Sequence[int] = 0, *, order: Order = "auto") -> Fn:
    """A function that computes all partial derivatives of ``f``.

    Args:
        f: differentiable; maps arrays to an array (or nested arrays).
        argnums: which positional arguments.
        order: ``"reverse"`` needs one sweep for each output element, ``"forward"`` one for each input
            element; ``"auto"`` takes the cheaper one.

    Returns:
        A function giving ∂f/∂x with shape ``(*f.shape, *x.shape)``; nested first as the result, then as
        the argument; in the argument's dtype.

    Raises:
        ArgumentError: an unknown order.

    Example:
        >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    if order not in ("auto", "forward", "reverse"):
        raise ArgumentError(f"jacobian: unknown order {order!r}", fix='choose "auto", "forward" or "reverse"')

    @named(f, "jacobian")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        run = run_function("jacobian", f, argnums, args, kwargs)
        flat, structure = trees.flatten(run.result)
        outputs = [as_node(x) for x in flat]
        width = sum(w.size for w in run.wrt)
        height = sum(o.size for o in outputs)
        forward = order == "forward" or (order == "auto" and width < height)
        blocks = (_columns if forward else _rows)(run, outputs)
        return trees.unflatten(structure, [run.rebuild(row) for row in blocks])

    return wrapped


def _rows(run: Run, outputs: list[Node]) -> list[list[Any]]:
    """One reverse sweep for each element of the result."""
    blocks: list[list[Any]] = []
    for output in outputs:
        sweeps = [gradients(run, [output], [seed]) for seed in _units(output)]
        blocks.append(
            [_assemble([s[i] for s in sweeps], (*output.shape, *w.shape), w) for i, w in enumerate(run.wrt)]
        )
    return blocks


def _columns(run: Run, outputs: list[Node]) -> list[list[Any]]:
    """One forward sweep for each element of the arguments."""
    blocks: list[list[Any]] = [[] for _ in outputs]
    for k, w in enumerate(run.wrt):
        sweeps: list[list[Any]] = []
        for unit in _units(w):
            directions = [unit if i == k else None for i in range(len(run.wrt))]
            moved = pushforward(outputs, run.wrt, directions, record=run.outer)
            sweeps.append([complete(run, m, o, w) for m, o in zip(moved, outputs, strict=True)])
        for row, output, i in zip(blocks, outputs, range(len(outputs)), strict=True):
            columns = [astype(s[i], w.dtype) for s in sweeps]
            row.append(_assemble(columns, (*output.shape, *w.shape), w, axis=-1))
    return blocks


def _units(node: Node) -> list[Any]:
    """Arrays shaped as ``node`` with a single 1, one for each element."""
    result: list[Any] = []
    for i in range(node.size):
        unit = np.zeros(node.size, node.dtype)
        unit[i] = 1
        result.append(as_node(unit.reshape(node.shape)))
    return result


def _assemble(parts: list[Any], shape: Shape, like: Node, axis: int = 0) -> Any:
    if not parts:
        return as_node(np.zeros(shape, like.dtype))
    return reshape(stack(parts, axis=axis), shape)


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
