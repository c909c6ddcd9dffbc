"""Gradients, and products of Jacobians and Hessians with vectors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.forward import pushforward
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    StructureError,
)
from chainrule.node import (
    Node,
    as_node,
    is_differentiable,
)
from chainrule.ops.create import ones_like
from chainrule.shapes import as_sequence
from chainrule.transforms.run import (
    Fn,
    Run,
    complete,
    gradients,
    named,
    require_dependence,
    run_function,
    scalar_result,
)


def value_and_grad(f: Fn, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Fn:
    """A function that computes ``f`` and its gradient in one forward and one backward sweep.

    Args:
        f: differentiable; returns one number, or ``(number, anything)`` with ``has_aux``.
        argnums: which positional arguments; an int, or a sequence for a tuple of gradients.
        has_aux: whether ``f`` returns something beside the number, which is handed through.

    Returns:
        A function of the same arguments giving ``(value, gradient)``, or ``((value, aux), gradient)``.
        The gradient is nested as the argument is, each leaf of the argument's shape and dtype, in units
        of ``f`` per unit of the argument. Work is at most about 5 times that of ``f``.

    Raises:
        ShapeError: ``f`` returns more than one number.
        DTypeError: an argument to differentiate is not floating.
        GradientError: the result does not depend on the argument.

    Example:
        >>> value, gradient = value_and_grad(lambda x: x * x)(3.0)
        >>> value.item(), gradient.item()
        (9.0, 6.0)

    Source: Linnainmaa, BIT 16, 1976, 146-160, DOI 10.1007/BF01931367.
    """
    return differentiated("value_and_grad", f, argnums, has_aux)


def differentiated(name: str, f: Fn, argnums: int | Sequence[int], has_aux: bool) -> Fn:
    @named(f, name)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        run = run_function(name, f, argnums, args, kwargs)
        value, aux = _split_aux(run) if has_aux else (run.result, None)
        result = scalar_result(run, value)
        require_dependence(run, result)
        found = gradients(run, [result], [ones_like(result)])
        closed = run.close(result)
        return ((closed, run.close_all(aux)) if has_aux else closed), run.rebuild(found)

    return wrapped


def _split_aux(run: Run) -> tuple[Any, Any]:
    if not isinstance(run.result, tuple) or len(run.result) != 2:  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        raise StructureError(
            f"{run.name}: with has_aux=True the function must return (number, aux), "
            f"got {type(run.result).__name__}",  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            fix="return a pair, or drop has_aux",
        )
    return run.result  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def grad(f: Fn, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Fn:
    """A function that computes the gradient of ``f``.

    Args, Raises: as for :func:`value_and_grad`.

    Returns:
        A function of the same arguments giving the gradient, or ``(gradient, aux)`` with ``has_aux``.

    Example:
        >>> grad(lambda x: x * x * x)(2.0).item()
        12.0
        >>> grad(grad(lambda x: x * x * x))(2.0).item()
        12.0
    """
    both = differentiated("grad", f, argnums, has_aux)

    @named(f, "grad")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def vjp(f: Fn, *primals: Any) -> tuple[Any, Fn]:
    """Run ``f`` and return its result with the function that pulls cotangents back to its arguments.

    Args:
        f: differentiable; returns arrays, nested as you like.
        primals: its arguments.

    Returns:
        ``(result, pull)``; ``pull(cotangent)`` takes something nested and shaped as the result and gives a
        tuple with one gradient for each argument. It may be called again and again.

    Raises:
        StructureError, ShapeError: a cotangent does not match the result.

    Example:
        >>> result, pull = vjp(lambda a, b: a * b, 2.0, 3.0)
        >>> [g.item() for g in pull(1.0)]
        [3.0, 2.0]
    """
    run = run_function("vjp", f, range(len(primals)), primals, {})
    flat, structure = trees.flatten(run.result)
    outputs = [as_node(x) for x in flat]

    def pull(cotangent: Any) -> Any:
        given = trees.aligned_leaves(structure, cotangent)
        seeds = [_matching("vjp", c, o, "cotangent") for c, o in zip(given, outputs, strict=True)]
        this = replace(run, outer=run.outer or any(is_differentiable(s) for s in seeds))
        return this.rebuild(gradients(this, outputs, seeds))

    return run.close_all(run.result), pull


def _matching(name: str, value: Any, like: Node, what: str) -> Node:
    node = as_node(value)
    if node.shape != like.shape:
        raise ShapeError(
            f"{name}: {what} has shape {node.shape}, expected {like.shape}",
            fix=f"pass an array of shape {like.shape}",
        )
    if node.dtype != like.dtype and node.is_leaf and not node.tracked and type(value) in (int, float):
        return as_node(np.asarray(value, like.dtype))
    if node.dtype != like.dtype:
        raise DTypeError(
            f"{name}: {what} has dtype {node.dtype.name}, expected {like.dtype.name}",
            fix=f"convert it: x.astype(cr.{like.dtype.name})",
        )
    return node


def jvp(f: Fn, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Run ``f`` and push tangents of its arguments forward, in one sweep.

    Args:
        f: differentiable; returns arrays, nested as you like.
        primals: a tuple or list of its arguments; a single array may stand alone.
        tangents: likewise, a direction for each, nested and shaped as the argument.

    Returns:
        ``(result, derivative)``, nested and shaped alike; the derivative along the direction.

    Raises:
        StructureError, ShapeError: a tangent does not match its argument.

    Example:
        >>> result, slope = jvp(lambda x: x * x, 3.0, 1.0)
        >>> result.item(), slope.item()
        (9.0, 6.0)

    Source: Wengert, CACM 7(8), 1964, 463-464, DOI 10.1145/355586.364791.
    """
    if not isinstance(primals, (tuple, list)):
        primals, tangents = (primals,), (tangents,)
    primals, tangents = as_sequence(primals), as_sequence(tangents)
    if len(primals) != len(tangents):
        raise ArgumentError(
            f"jvp: got {len(primals)} primals and {len(tangents)} tangents",
            fix="pass a tangent for each primal",
        )
    run = run_function("jvp", f, range(len(primals)), tuple(primals), {})
    given = trees.aligned_leaves(trees.flatten(tuple(primals))[1], tuple(tangents))
    directions = [_matching("jvp", t, w, "tangent") for t, w in zip(given, run.wrt, strict=True)]
    run.outer = run.outer or any(is_differentiable(d) for d in directions)
    flat, shape = trees.flatten(run.result)
    outputs = [as_node(x) for x in flat]
    moved = pushforward(outputs, run.wrt, directions, record=run.outer)
    slopes = [
        complete(run, m, o, run.wrt[0] if run.wrt else None) for m, o in zip(moved, outputs, strict=True)
    ]
    return run.close_all(run.result), trees.unflatten(shape, slopes)


def hvp(f: Fn, x: Any, v: Any) -> Any:
    """Multiply the Hessian of ``f`` at ``x`` by ``v``, never forming the Hessian.

    Args:
        f: differentiable; maps ``x`` (an array or nested arrays) to one number.
        x: point.
        v: direction, nested and shaped as ``x``, in its units.

    Returns:
        Nested and shaped as ``x``, in units of ``f`` per unit of ``x``. Work is a constant multiple of
        that of ``f``.

    Raises:
        ShapeError: ``v`` differs from ``x`` in shape, or ``f`` returns more than one number.

    Example:
        >>> hvp(lambda x: x * x * x, 2.0, 10.0).item()
        120.0

    Source: Pearlmutter, Neural Computation 6(1), 1994, 147-160, DOI 10.1162/neco.1994.6.1.147.
    """
    return jvp(differentiated("hvp", f, 0, False), (x,), (v,))[1][1]


def gnvp(f: Fn, loss: Fn, x: Any, v: Any) -> Any:
    """Multiply the Gauss-Newton matrix of ``loss(f(x))`` by ``v``: ``Jᵀ H J v``, forming neither matrix.

    J is the Jacobian of ``f`` at ``x``, H the Hessian of ``loss`` at ``f(x)``. For a loss that is convex in its
    argument the matrix is positive semidefinite, unlike that of :func:`hvp`, from which it differs by what the
    curvature of ``f`` adds. For squared errors, and cross entropy of logits, it is Fisher's information matrix.

    Args:
        f: differentiable; maps ``x`` (an array or nested arrays) to arrays, nested as you like.
        loss: twice differentiable; maps what ``f`` gives to one number.
        x: point.
        v: direction, nested and shaped as ``x``, in its units.

    Returns:
        Nested and shaped as ``x``, in units of the loss per unit of ``x``. Work is a constant multiple of that of
        ``f`` and ``loss``: one forward sweep, and one back.

    Raises:
        ShapeError: ``v`` differs from ``x`` in shape, or ``loss`` returns more than one number.
        GradientError: ``loss`` does not depend on its argument.

    Example:
        >>> gnvp(lambda x: x * x, lambda y: y * y, 3.0, 1.0).item()
        72.0

    Source: Schraudolph, Neural Computation 14(7), 2002, 1723-1738, DOI 10.1162/08997660260028683.
    """
    run = run_function("gnvp", f, 0, (x,), {})
    given = trees.aligned_leaves(trees.flatten(x)[1], v)
    directions = [_matching("gnvp", t, w, "v") for t, w in zip(given, run.wrt, strict=True)]
    run.outer = run.outer or any(is_differentiable(d) for d in directions)
    flat, structure = trees.flatten(run.result)
    outputs = [as_node(y) for y in flat]
    moved = pushforward(outputs, run.wrt, directions, record=run.outer)
    changes = [
        complete(run, m, o, w) for m, o, w in zip(moved, outputs, run.wrt[:1] * len(outputs), strict=True)
    ]
    curved = jvp(
        differentiated("gnvp", loss, 0, False),
        (run.close_all(run.result),),
        (trees.unflatten(structure, changes),),
    )[1][1]
    seeds = trees.aligned_leaves(structure, curved)
    return run.rebuild(gradients(run, outputs, seeds))
