"""The traced door: functions in, functions out.

``grad``, ``vjp``, ``jvp``, ... take a function of arrays, or of nested dict, list and tuple of them, and
give back a function. They nest to any order. Inside, ``f`` computes on fresh nodes that stand for its
arguments, so Python's own ``if`` and ``for`` may look at the numbers; only :func:`trace` hides them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from chainrule import trees
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import between, pullback
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    OperandError,
    ShapeError,
    StructureError,
)
from chainrule.graph import Graph
from chainrule.node import (
    Node,
    ancestors,
    apply,
    as_node,
    inside_transform,
    is_differentiable,
    is_recording,
    leaf,
    recording,
    symbol,
)
from chainrule.ops.cast import ConstantIn, Identity, stop_gradient
from chainrule.ops.create import ones_like, zeros_like
from chainrule.ops.join import stack
from chainrule.ops.move import reshape
from chainrule.shapes import FLOATS, Shape, Spec, as_sequence

Fn: TypeAlias = Callable[..., Any]
Order: TypeAlias = Literal["auto", "forward", "reverse"]


@dataclass
class _Run:
    """One run of ``f`` on fresh nodes, and what a derivative of it needs.

    Attributes:
        wrt: the fresh nodes, one for each leaf of the picked arguments.
        outer: whether derivatives of the derivative may be wanted: something that is differentiated
            outside of this transform reaches into it.
        result: what ``f`` returned.
    """

    name: str
    wrt: list[Node]
    starts: list[int]
    structures: list[Any]
    picked: tuple[int, ...]
    single: bool
    describe: Callable[[], list[str]]
    outer: bool = False
    result: Any = None

    @property
    def labels(self) -> list[str]:
        """What the user calls each of ``wrt``; worked out only for an error."""
        return self.describe()

    def rebuild(self, flat: Sequence[Any]) -> Any:
        """Arrange one value for each leaf as the picked arguments were."""
        bounds = [*self.starts, len(self.wrt)]
        parts = [
            trees.unflatten(s, flat[a:b])
            for s, a, b in zip(self.structures, bounds, bounds[1:], strict=False)
        ]
        return parts[0] if self.single else tuple(parts)

    def close(self, node: Node) -> Node:
        """Let go of the fresh nodes unless something outside differentiates through them."""
        if self.outer or not node.tracked:
            return node
        return stop_gradient(node) if node.value is None else leaf(node.value, copy=False)

    def close_all(self, tree: Any) -> Any:
        def close(x: Any) -> Any:
            return self.close(x) if isinstance(x, Node) else x

        return trees.map_leaves(close, tree)


def _start(name: str, f: Fn, argnums: int | Sequence[int], args: tuple[Any, ...]) -> tuple[_Run, list[Any]]:
    picked = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    numbers = tuple(_argnum(name, n, len(args)) for n in picked)

    def describe() -> list[str]:
        names = _argument_names(f, len(args))
        return [f"{names[n]}.{path}".rstrip(".") for n in numbers for path in trees.paths(args[n])]

    run = _Run(name, [], [], [], numbers, isinstance(argnums, int), describe)
    given = list(args)
    for number in numbers:
        flat, structure = trees.flatten(args[number])
        run.starts.append(len(run.wrt))
        run.structures.append(structure)
        fresh: list[Node] = []
        for value in flat:
            fresh.append(_fresh(run, value, len(run.wrt) + len(fresh)))
        run.wrt += fresh
        given[number] = trees.unflatten(structure, fresh)
    return run, given


def _argnum(name: str, n: Any, count: int) -> int:
    if not isinstance(n, int) or not -count <= n < count:
        raise ArgumentError(
            f"{name}: argnums {n!r} names no positional argument: {count} were given",
            fix="count from 0; keyword arguments are not differentiated",
        )
    return n % count


def _argument_names(f: Fn, count: int) -> list[str]:
    try:
        names = [
            p.name
            for p in inspect.signature(f).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (ValueError, TypeError):
        names = []
    return [*names, *(f"argument {i}" for i in range(len(names), count))][: max(count, len(names))]


def _fresh(run: _Run, value: Any, place: int) -> Node:
    try:
        node = as_node(value)
    except OperandError as error:
        raise OperandError(f"{run.name}: {run.labels[place]}: {error.message}", fix=error.fix) from None
    if node.dtype not in FLOATS:
        label = run.labels[place]
        example = f"{value}.0" if type(value) is int else f"{label.split('.')[0]}.astype(cr.float64)"
        raise DTypeError(
            f"{run.name}: cannot differentiate with respect to {label}: it is {node.dtype.name}, "
            "and gradients need float32 or float64",
            fix=f"pass floating-point numbers, for example {example}",
        )
    if node.value is None or (node.tracked and node.inputs):
        run.outer = run.outer or is_recording()
        start = node
    else:  # a leaf of the user's counts as plain numbers here
        start = leaf(node.value, tracked=True, copy=False, name=node.name)
    with recording(True):
        fresh = apply(Identity, (start,), name=node.name)
    fresh.tracked = True  # also where a trace passes through no_grad
    return fresh


def _run(
    name: str, f: Fn, argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _Run:
    outer_recording = is_recording()
    run, given = _start(name, f, argnums, args)
    token = inside_transform.set(True)
    try:
        with recording(True):
            run.result = f(*given, **kwargs)
    finally:
        inside_transform.reset(token)
    if outer_recording and not run.outer:
        run.outer = _reaches_outside(run)
    return run


def _reaches_outside(run: _Run) -> bool:
    """Whether the result uses tracked nodes made before, or besides, the fresh ones."""
    if not run.wrt:
        return False
    since = min(n.index for n in run.wrt)
    fresh = {*run.wrt, *(x for w in run.wrt for x in w.inputs)}
    results = [x for x in trees.leaves(run.result) if isinstance(x, Node)]
    for node in ancestors(results, since=since):
        if node.op is None and node.tracked and node not in fresh:
            return True
        if any(x.index < since and x.tracked for x in node.inputs) and node not in fresh:
            return True
    return False


def _scalar(run: _Run, value: Any) -> Node:
    if not isinstance(value, Node):
        try:
            value = as_node(value)
        except OperandError:
            raise GradientError(
                f"{run.name}: the function returned {type(value).__name__}, expected one number",
                fix="return the loss; pass has_aux=True to return (loss, anything else)",
            ) from None
    if value.size != 1:
        raise ShapeError(
            f"{run.name}: the function must return one number, got shape {value.shape}",
            fix="reduce with .sum() or .mean(), or take cr.jacobian",
        )
    if value.dtype not in FLOATS:
        raise DTypeError(
            f"{run.name}: the function returned {value.dtype.name}, which has no derivative",
            fix="return a float32 or float64 number",
        )
    return value


def _require_dependence(run: _Run, result: Node) -> None:
    bounds = [*run.starts, len(run.wrt)]
    _, live = between([result], run.wrt) if run.wrt else ([], set[Node]())
    for number, a, b in zip(run.picked, bounds, bounds[1:], strict=False):
        if (b > a and result not in live) or not any(w in live for w in run.wrt[a:b]):
            label = run.labels[a].split(".")[0] if b > a else f"argument {number}"
            raise GradientError(
                f"{run.name}: the result does not depend on {label}",
                fix="use the argument in the function, differentiate with respect to another (argnums), or "
                "remove what cuts the path: stop_gradient, detach, float(), .numpy(), integer dtypes",
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
    return _value_and_grad("value_and_grad", f, argnums, has_aux)


def _value_and_grad(name: str, f: Fn, argnums: int | Sequence[int], has_aux: bool) -> Fn:
    @_named(f, name)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        run = _run(name, f, argnums, args, kwargs)
        value, aux = _split_aux(run) if has_aux else (run.result, None)
        result = _scalar(run, value)
        _require_dependence(run, result)
        gradients = _gradients(run, [result], [ones_like(result)])
        closed = run.close(result)
        return ((closed, run.close_all(aux)) if has_aux else closed), run.rebuild(gradients)

    return wrapped


def _split_aux(run: _Run) -> tuple[Any, Any]:
    if not isinstance(run.result, tuple) or len(run.result) != 2:  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        raise StructureError(
            f"{run.name}: with has_aux=True the function must return (number, aux), "
            f"got {type(run.result).__name__}",  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            fix="return a pair, or drop has_aux",
        )
    return run.result  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _gradients(run: _Run, outputs: Sequence[Node], seeds: Sequence[Node]) -> list[Any]:
    pulled = pullback(outputs, seeds, run.wrt, record=run.outer)
    return [_complete(run, g, w) for g, w in zip(pulled, run.wrt, strict=True)]


def _complete(run: _Run, derivative: Node | None, like: Node, ref: Node | None = None) -> Any:
    """A missing derivative is zero; a constant one keeps its connection where it is differentiated again."""
    found = zeros_like(like) if derivative is None else derivative
    if run.outer and not found.tracked:
        found = apply(ConstantIn, (found, like if ref is None else ref))
    return run.close(found)


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
    both = _value_and_grad("grad", f, argnums, has_aux)

    @_named(f, "grad")
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
    run = _run("vjp", f, range(len(primals)), primals, {})
    flat, structure = trees.flatten(run.result)
    outputs = [as_node(x) for x in flat]

    def pull(cotangent: Any) -> Any:
        given, got = trees.flatten(cotangent)
        trees.require_same(structure, got)
        seeds = [_matching("vjp", c, o, "cotangent") for c, o in zip(given, outputs, strict=True)]
        run.outer = run.outer or any(is_differentiable(s) for s in seeds)
        return run.rebuild(_gradients(run, outputs, seeds))

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
    run = _run("jvp", f, range(len(primals)), tuple(primals), {})
    given, structure = trees.flatten(tuple(tangents))
    trees.require_same(trees.flatten(tuple(primals))[1], structure)
    directions = [_matching("jvp", t, w, "tangent") for t, w in zip(given, run.wrt, strict=True)]
    run.outer = run.outer or any(is_differentiable(d) for d in directions)
    flat, shape = trees.flatten(run.result)
    outputs = [as_node(x) for x in flat]
    moved = pushforward(outputs, run.wrt, directions, record=run.outer)
    slopes = [
        _complete(run, m, o, run.wrt[0] if run.wrt else None) for m, o in zip(moved, outputs, strict=True)
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
    return jvp(_value_and_grad("hvp", f, 0, False), (x,), (v,))[1][1]


def jacobian(f: Fn, argnums: int | Sequence[int] = 0, *, order: Order = "auto") -> Fn:
    """A function that computes all partial derivatives of ``f``.

    Args:
        f: differentiable; maps arrays to an array (or nested arrays).
        argnums: which positional arguments.
        order: ``"reverse"`` needs one sweep for each output element, ``"forward"`` one for each input
            element; ``"auto"`` takes the cheaper one.

    Returns:
        A function giving ∂f/∂x with shape ``(*f.shape, *x.shape)``; nested first as the result, then as
        the argument.

    Raises:
        ArgumentError: an unknown order.

    Example:
        >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    if order not in ("auto", "forward", "reverse"):
        raise ArgumentError(f"jacobian: unknown order {order!r}", fix='choose "auto", "forward" or "reverse"')

    @_named(f, "jacobian")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        run = _run("jacobian", f, argnums, args, kwargs)
        flat, structure = trees.flatten(run.result)
        outputs = [as_node(x) for x in flat]
        width = sum(w.size for w in run.wrt)
        height = sum(o.size for o in outputs)
        forward = order == "forward" or (order == "auto" and width < height)
        blocks = (_columns if forward else _rows)(run, outputs)
        return trees.unflatten(structure, [run.rebuild(row) for row in blocks])

    return wrapped


def _rows(run: _Run, outputs: list[Node]) -> list[list[Any]]:
    """One reverse sweep for each element of the result."""
    blocks: list[list[Any]] = []
    for output in outputs:
        sweeps = [_gradients(run, [output], [seed]) for seed in _units(output)]
        blocks.append(
            [_assemble([s[i] for s in sweeps], (*output.shape, *w.shape), w) for i, w in enumerate(run.wrt)]
        )
    return blocks


def _columns(run: _Run, outputs: list[Node]) -> list[list[Any]]:
    """One forward sweep for each element of the arguments."""
    blocks: list[list[Any]] = [[] for _ in outputs]
    for k, w in enumerate(run.wrt):
        sweeps: list[list[Any]] = []
        for unit in _units(w):
            directions = [unit if i == k else None for i in range(len(run.wrt))]
            moved = pushforward(outputs, run.wrt, directions, record=run.outer)
            sweeps.append([_complete(run, m, o, w) for m, o in zip(moved, outputs, strict=True)])
        for row, output, i in zip(blocks, outputs, range(len(outputs)), strict=True):
            columns = [s[i] for s in sweeps]
            row.append(_assemble(columns, (*output.shape, *w.shape), output, axis=-1))
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
    both = _value_and_grad("hessian", f, argnums, False)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def trace(f: Fn, *args: Any, **kwargs: Any) -> Graph:
    """Record what ``f`` computes on arrays of these shapes and dtypes, without computing it.

    Args:
        f: a function of arrays, or of nested dict, list and tuple of them.
        args: example arguments; only shapes and dtypes matter. Strings, None and functions are handed
            through as they are.
        kwargs: handed to ``f`` as they are.

    Returns:
        The graph; inputs are named after the arguments, outputs are the leaves of the result.

    Raises:
        TracedValueError: ``f`` asks for a number, in ``if x > 0`` for example.

    Example:
        >>> print(trace(lambda x: x * x, 3.0))
        graph(x: float64[]):
          y = multiply(x, x): float64[]
          return y
    """
    names = _argument_names(f, len(args))
    inputs: list[Node] = []
    given: list[Any] = []
    for arg, name in zip(args, names, strict=False):
        flat, structure = trees.flatten(arg)
        fresh: list[Any] = []
        for value, path in zip(flat, trees.paths(arg), strict=True):
            if isinstance(value, (str, bytes)) or callable(value):
                fresh.append(value)
                continue
            node = as_node(value)
            fresh.append(symbol(Spec(node.shape, node.dtype), f"{name}.{path}".rstrip(".")))
            inputs.append(fresh[-1])
        given.append(trees.unflatten(structure, fresh))
    with recording(True):
        result = f(*given, **kwargs)
    outputs = [as_node(x) for x in trees.leaves(result)]
    graph = Graph(inputs, outputs)
    if not any(n.op is Identity for n in graph.nodes):
        return graph
    again = [symbol(n.spec, n.name) for n in inputs]
    return Graph(again, graph.rebuild(*again, skip=Identity.name))


def _named(f: Fn, name: str) -> Callable[[Fn], Fn]:
    """Let the new function look like ``f``, under a name that says what was done to it."""

    def decorate(wrapped: Fn) -> Fn:
        try:
            wrapped = functools.wraps(f)(wrapped)
        except (AttributeError, TypeError):
            return wrapped
        wrapped.__name__ = f"{name}({getattr(f, '__name__', type(f).__name__)})"
        return wrapped

    return decorate
