"""One run of the user's function on fresh nodes, and what any derivative of it needs."""

import functools
import inspect
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from chainrule import trees
from chainrule.autodiff.listening import is_listened, tell
from chainrule.autodiff.reverse import between, pullback
from chainrule.compiler.large import natively
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    OperandError,
    ShapeError,
)
from chainrule.modes import inside_transform, is_recording, recording
from chainrule.node import Node, ancestors, apply, as_node, holding, leaf, starting
from chainrule.ops.cast import ConstantIn, stop_gradient
from chainrule.ops.create import zeros_like
from chainrule.shapes import FLOATS

Fn: TypeAlias = Callable[..., Any]


@dataclass
class Run:
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
        return node if self.outer else untracked(node)

    def close_all(self, tree: Any) -> Any:
        def close(x: Any) -> Any:
            return self.close(x) if isinstance(x, Node) else x

        return trees.map_leaves(close, tree)


def _start(name: str, f: Fn, argnums: int | Sequence[int], args: tuple[Any, ...]) -> tuple[Run, list[Any]]:
    if not callable(f):
        raise ArgumentError(
            f"{name}: expected a function, got {type(f).__name__}", fix="pass the function itself"
        )
    picked = tuple(argnums) if isinstance(argnums, (tuple, list, range)) else (argnums,)
    numbers = tuple(_argnum(name, n, len(args)) for n in picked)
    if len(set(numbers)) != len(numbers):
        raise ArgumentError(f"{name}: argnums {argnums!r} names an argument twice", fix="name each once")

    def describe() -> list[str]:
        names = argument_names(f, len(args))
        return [f"{names[n]}.{path}".rstrip(".") for n in numbers for path in trees.paths(args[n])]

    run = Run(name, [], [], [], numbers, isinstance(argnums, int), describe)
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
    if type(n) is not int or not -count <= n < count:
        raise ArgumentError(
            f"{name}: argnums {n!r} names no positional argument: {count} were given",
            fix="count from 0; keyword arguments are not differentiated",
        )
    return n % count


def argument_names(f: Fn, count: int) -> list[str]:
    try:
        names = [
            p.name
            for p in inspect.signature(f).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (ValueError, TypeError):
        names = []
    return [*names, *(f"argument {i}" for i in range(len(names), count))][: max(count, len(names))]


def _fresh(run: Run, value: Any, place: int) -> Node:
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
        start = holding(node.value)
    return starting(start, node.name)


def run_function(
    name: str, f: Fn, argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Run:
    outer_recording = is_recording()
    run, given = _start(name, f, argnums, args)
    token = inside_transform.set(True)
    try:
        with recording(True):
            run.result = f(*given, **kwargs)
    finally:
        inside_transform.reset(token)
    if outer_recording and not run.outer:
        fresh = {*run.wrt, *(x for w in run.wrt for x in w.inputs)}
        since = min((n.index for n in run.wrt), default=0)
        results = [x for x in trees.leaves(run.result) if isinstance(x, Node)]
        run.outer = bool(run.wrt) and reaches_outside(results, fresh, since)
    return run


def reaches_outside(results: Sequence[Node], fresh: Container[Node], since: int) -> bool:
    """Whether results use tracked nodes made before number ``since``, or besides the fresh ones."""
    for node in ancestors(results, since=since):
        if node.op is None and node.tracked and node not in fresh:
            return True
        if any(x.index < since and x.tracked for x in node.inputs) and node not in fresh:
            return True
    return False


def require_dependence(run: Run, result: Node) -> None:
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


def gradients(run: Run, outputs: Sequence[Node], seeds: Sequence[Node]) -> list[Any]:
    pulled = pullback(outputs, seeds, run.wrt, record=run.outer, large=natively)
    if is_listened() and len(outputs) == 1:
        tell(outputs[0], run.wrt, pulled, run.labels)
    return [complete(run, g, w) for g, w in zip(pulled, run.wrt, strict=True)]


def complete(run: Run, derivative: Node | None, like: Node, ref: Node | None = None) -> Any:
    """A missing derivative is zero; a constant one keeps its connection where it is differentiated again."""
    found = zeros_like(like) if derivative is None else derivative
    if run.outer and not found.tracked:
        found = apply(ConstantIn, (found, like if ref is None else ref))
    return run.close(found)


def untracked(node: Node) -> Node:
    """The node as a constant, which keeps nothing that it was computed from."""
    if not node.tracked:
        return node
    return stop_gradient(node) if node.value is None else leaf(node.value, copy=False)


def scalar_result(run: Run, value: Any) -> Node:
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


def named(f: Fn, name: str) -> Callable[[Fn], Fn]:
    """Let the new function look like ``f``, under a name that says what was done to it."""

    def decorate(wrapped: Fn) -> Fn:
        try:
            wrapped = functools.wraps(f)(wrapped)
        except (AttributeError, TypeError):
            return wrapped
        wrapped.__name__ = f"{name}({getattr(f, '__name__', type(f).__name__)})"
        return wrapped

    return decorate
