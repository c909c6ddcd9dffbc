"""One step again and again: recurrent networks, filters, simulations."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import trees
from chainrule.autodiff.body import Body, layout
from chainrule.autodiff.scan import Scan
from chainrule.errors import ArgumentError, ShapeError, StructureError, shown
from chainrule.graph import Graph
from chainrule.modes import is_recording, recording
from chainrule.node import Node, ancestors, apply, apply_again, as_node, operand, symbol
from chainrule.ops.join import concat, narrow
from chainrule.ops.move import reshape
from chainrule.shapes import Spec, as_flag, as_int, as_ints, bool_
from chainrule.transforms.run import Fn


def scan(
    f: Fn,
    init: Any,
    xs: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int | Sequence[int] | None = None,
) -> tuple[Any, Any]:
    """Call ``f`` step by step: ``carry, y = f(carry, x)``, with the carry of the step before.

    ``f`` is traced once, on stand-ins without values, and compiled once however many steps there are. Derivatives of
    every order and in both modes flow through the carry, ``xs``, and whatever ``f`` closes over.

    What is kept for a gradient is the carry before each step; everything inside a step is computed again, so a gradient
    takes about one forward pass more than if all of it were kept. With ``checkpoint`` only every so many-th carry is
    kept, at the price of one forward pass more: memory for ``n / checkpoint + checkpoint`` carries instead of ``n``,
    least where it is near the root of ``n``. Gradients of weights that ``f`` closes over are one product over all
    steps where the factors are not much larger than the weight, and otherwise a sum that grows with each step.

    Args:
        f: ``(carry, x) -> (carry, y)``; the carry keeps its structure, shapes and dtypes. Both ``x`` and ``y`` may be
            nested, or None.
        init: the first carry; arrays, nested as you like.
        xs: arrays of shapes ``(n, ...)``, nested as you like; step ``t`` gets ``x[t]`` of each. None if there are none.
        length: the number of steps n; needed where ``xs`` has no arrays.
        reverse: whether to begin with the last ``x``; ``y[t]`` still belongs to ``x[t]``.
        checkpoint: keep the carry only before every so many-th step. Several numbers, falling, nest: with ``(100, 10)``
            of a million steps the carry is kept before every 100th, and within such 100 before every 10th. Left out, a
            compiled function's budget of memory may choose it (``cr.compile(f, memory=...)``).

    Returns:
        ``(carry, ys)``: the last carry, and what each step gave, stacked along a new first axis.

    Raises:
        StructureError: ``f`` gives no pair, or a carry of another structure; the place is named.
        ShapeError: ``xs`` differ in length, or the carry changes its shape or dtype; the leaf is named.
        ArgumentError: ``f`` is not a function, there is neither ``xs`` nor a length, or one is out of range.

    Example:
        >>> import chainrule as cr
        >>> decay = cr.tensor(0.5, requires_grad=True)
        >>> last, sums = scan(lambda total, x: (decay * total + x,) * 2, 0.0, np.ones(3))
        >>> (
        ...     sums.tolist(),
        ...     cr.grad(lambda d: scan(lambda c, x: (d * c + x, None), 0.0, np.ones(3))[0])(0.5).item(),
        ... )
        ([1.0, 1.5, 1.75], 2.0)

    Source: Chen, Xu, Zhang and Guestrin, arXiv:1604.06174, for ``checkpoint``; Griewank and Walther, Evaluating
    Derivatives, 2nd ed., SIAM 2008, chapter 12, DOI 10.1137/1.9780898717761.
    """
    if not callable(f):
        raise ArgumentError(
            f"scan: expected a function, got {shown(f)}", fix="pass f first: cr.scan(f, init, xs)"
        )
    backward = as_flag("scan", "reverse", reverse)
    first = _Tree.of(init)
    given = _Tree.of(xs)
    steps = _length(given, trees.paths(xs), length)
    segments = _chosen(steps) if checkpoint is None else _segments(checkpoint, steps)
    if segments:
        return _in_chunks(f, init, given, steps, backward, segments)
    return _Traced(f, init, first, given).run(steps, backward)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Something nested: its leaves as nodes, and its structure."""

    nodes: list[Node]
    structure: Any

    @staticmethod
    def of(tree: Any) -> _Tree:
        leaves, structure = trees.flatten(tree)
        return _Tree([as_node(x) for x in leaves], structure)

    def rebuilt(self, nodes: Sequence[Any]) -> Any:
        return trees.unflatten(self.structure, nodes)


def _length(xs: _Tree, paths: list[str], length: Any) -> int:
    """How many steps there are."""
    names = [f"xs.{p}".rstrip(".") for p in paths]
    for name, x in zip(names, xs.nodes, strict=True):
        if not x.ndim:
            raise ShapeError(
                f"scan: {name} is one {x.dtype.name} number, without an axis for the steps",
                fix="pass an array of shape (steps, ...), or let f close over what is the same in all steps",
            )
    if not xs.nodes and length is None:
        raise ArgumentError(
            "scan: there are neither xs nor a length", fix="pass length=n for n steps without input"
        )
    sizes = [x.shape[0] for x in xs.nodes]
    for name, x in zip(names, xs.nodes, strict=True):
        if x.shape[0] != sizes[0]:
            raise ShapeError(
                f"scan: {names[0]} has {sizes[0]} steps and {name} has {x.shape[0]}: shapes "
                f"{xs.nodes[0].shape} and {x.shape}",
                fix="the first axis of all xs counts the steps; make it equal, or move time to the front with "
                "cr.moveaxis",
            )
    if length is None:
        return sizes[0]
    steps = as_int("scan", "length", length)
    if steps < 0 or (sizes and steps != sizes[0]):
        what = f"{names[0]} has {sizes[0]} steps" if sizes else "there is no such number of steps"
        raise ArgumentError(f"scan: length is {steps}, but {what}", fix="leave length out where there are xs")
    return steps


def _segments(checkpoint: Any, steps: int) -> tuple[int, ...]:
    """Lengths of segments, from outside to inside."""
    found = as_ints("scan", "checkpoint", checkpoint)
    if any(n < 1 for n in found):
        raise ArgumentError(
            f"scan: checkpoint must be at least 1, got {min(found)}",
            fix=f"leave it out, or pass about the root of the length: {max(1, round(steps**0.5))}",
        )
    if not found or any(a < b for a, b in itertools.pairwise(found)):
        raise ArgumentError(
            f"scan: checkpoints nest, so each is at most the one before; got {found}",
            fix="pass one number, or several that fall: checkpoint=(100, 10)",
        )
    return found


SHORT = 16
"""A scan of fewer steps is not cut."""
_levels: contextvars.ContextVar[tuple[int, list[int]] | None] = contextvars.ContextVar(
    "chainrule_segments", default=None
)


@contextlib.contextmanager
def scans_in_segments(levels: int) -> Generator[list[int], None, None]:
    """Within this context, scans that do not say how to checkpoint are cut, so many times one in another.

    With one level segments are as long as the root of the number of steps, which takes least memory.

    Yields:
        A list of the lengths of the scans that were cut.
    """
    cut: list[int] = []
    token = _levels.set((levels, cut))
    try:
        yield cut
    finally:
        _levels.reset(token)


def _chosen(steps: int) -> tuple[int, ...]:
    """The segments that the context asks for."""
    wanted = _levels.get()
    if wanted is None or steps < SHORT:
        return ()
    levels, cut = wanted
    cut.append(steps)
    return tuple(max(1, round(steps ** (1 - part / (levels + 1)))) for part in range(1, levels + 1))


def _in_chunks(
    f: Fn, init: Any, xs: _Tree, steps: int, backward: bool, segments: tuple[int, ...]
) -> tuple[Any, Any]:
    """A scan over scans of as many steps as the first of ``segments``: only the carries between them are kept."""
    every, inner = segments[0], segments[1:]
    chunks, whole = steps // every, steps // every * every

    def once(carry: Any, part: Any, length: int) -> tuple[Any, Any]:
        first, given = _Tree.of(carry), _Tree.of(part)
        if inner:
            return _in_chunks(f, carry, given, length, backward, inner)
        return _Traced(f, carry, first, given).run(length, backward)

    def step(carry: Any, part: Any) -> Any:
        return once(carry, part, every)

    def joined(y: Any) -> Any:
        return reshape(y, (whole, *y.shape[2:]))

    def bulk(carry: Any) -> tuple[Any, Any]:
        cut = [reshape(narrow(x, 0, 0, whole), (chunks, every, *x.shape[1:])) for x in xs.nodes]
        carry, ys = _Traced(step, carry, _Tree.of(carry), _Tree.of(xs.rebuilt(cut))).run(chunks, backward)
        return carry, trees.map_leaves(joined, ys)

    def rest(carry: Any) -> tuple[Any, Any]:
        cut = [narrow(x, 0, whole, steps) for x in xs.nodes]
        return once(carry, xs.rebuilt(cut), steps - whole)

    if whole == steps and chunks:
        return bulk(init)
    if not chunks:
        return rest(init)
    if backward:
        carry, late = rest(init)
        carry, early = bulk(carry)
    else:
        carry, early = bulk(init)
        carry, late = rest(carry)
    return carry, trees.map_leaves(_after_each_other, early, late)


def _after_each_other(early: Any, late: Any) -> Any:
    return concat([early, late])


class _Traced:
    """A function that was traced for one step, on a carry and on what is read at a time.

    Attributes:
        body: of a step.
        constants: what it closes over.
        carry: the first.
        given: what is read, and what it gives, with the places where its leaves are.
    """

    def __init__(self, f: Fn, init: Any, carry: _Tree, xs: _Tree) -> None:
        self.carry, self.xs = carry, xs
        names = [f"carry.{p}".rstrip(".") for p in trees.paths(init)]
        since = symbol(Spec((), bool_)).index
        before = [symbol(c.spec, name) for c, name in zip(carry.nodes, names, strict=True)]
        reads = [symbol(Spec(x.shape[1:], x.dtype), "x") for x in xs.nodes]
        with recording(True):
            result = f(carry.rebuilt(before), xs.rebuilt(reads))
            after, given = _pair(result)
            self.ys = _Tree.of(given)
            moved = _carried(carry, names, after)
        self.places: list[tuple[str, int]] = []
        fresh: dict[Node, int] = {}
        for y in self.ys.nodes:  # what is known from elsewhere is not kept twice
            for kind, nodes in (("after", moved), ("before", before), ("x", reads)):
                found = next((i for i, n in enumerate(nodes) if n is y), None)
                if found is not None:
                    self.places.append((kind, found))
                    break
            else:
                self.places.append(("y", fresh.setdefault(y, len(fresh))))
        name = getattr(f, "__name__", type(f).__name__)
        self.body, self.constants = closed([*before, *reads], [*moved, *fresh], len(before), name, since)

    def run(self, steps: int, reverse: bool) -> tuple[Any, Any]:
        """The last carry, and what all steps gave."""
        body, inputs = self.body, (*self.constants, *self.carry.nodes, *self.xs.nodes)
        differentiated = is_recording() and any(x.tracked for x in inputs)
        read = {i for kind, i in self.places if kind in ("after", "before")}
        kept = tuple(differentiated or i in read for i in range(body.carries))
        flats: dict[Any, Any] = {}
        for dtype in dict.fromkeys(n.dtype for n in body.graph.outputs):
            params = {"body": body, "length": steps, "reverse": reverse, "kept": kept, "dtype": dtype}
            flats[dtype] = apply(Scan, inputs, params), layout(body, steps, kept, dtype)
        last: list[Any] = []
        for i, node in enumerate(body.carry_outputs):
            flat, at = flats[node.dtype]
            last.append(at.carries[i].row(flat, steps if kept[i] and not reverse else 0))
        ys: list[Any] = []
        for kind, i in self.places:
            if kind == "x":
                ys.append(self.xs.nodes[i])
                continue
            flat, at = flats[(body.y_outputs if kind == "y" else body.carry_outputs)[i].dtype]
            start = 1 if (kind == "after") is not reverse and kind != "y" else 0
            part = at.ys[i] if kind == "y" else at.carries[i]
            ys.append(part.between(flat, start, start + steps))
        return self.carry.rebuilt(last), self.ys.rebuilt(ys)


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise StructureError(
            f"scan: the function must return (carry, y), got {type(result).__name__}",  # pyright: ignore[reportUnknownArgumentType]
            fix="return a pair; (carry, None) where a step gives nothing",
        )
    return result[0], result[1]  # pyright: ignore[reportUnknownVariableType]


def _carried(first: _Tree, names: list[str], after: Any) -> list[Node]:
    """The carry after a step as nodes, like those before it."""
    try:
        leaves = trees.aligned_leaves(first.structure, after)
    except StructureError as error:
        raise StructureError(
            f"scan: the carry changes its structure in a step: {error.message.removeprefix('structure ')}",
            fix="return a carry with the keys, lengths and container types of init",
        ) from None
    found: list[Node] = []
    for name, before, leaf in zip(names, first.nodes, leaves, strict=True):
        number = type(leaf) in (int, float) and before.dtype.kind == "f"
        node = operand(leaf, before.dtype) if number else as_node(leaf)
        if node.spec != before.spec:
            convert = f"return {name}.astype(cr.{before.dtype.name})"
            if node.shape != before.shape:
                convert = f"reshape it in the step, or begin with zeros of shape {node.shape}"
            raise ShapeError(
                f"scan: {name} is {before.spec} at first and {node.spec} after a step",
                fix=f"a carry keeps shape and dtype: {convert}",
            )
        found.append(node)
    return found


def closed(
    inputs: list[Node], outputs: list[Node], carries: int, name: str, since: int
) -> tuple[Body, list[Node]]:
    """A body without free nodes, and the nodes that come as its constants.

    What does not depend on the inputs is computed once, outside; numbers stay in the body. Nodes made before number
    ``since`` are outside.
    """
    varying = set(inputs)
    for node in ancestors(outputs, since=since):
        if any(x in varying for x in node.inputs):
            varying.add(node)
    order = [n for n in ancestors(outputs, since=since) if n in varying and n.inputs]
    free = [x for n in order for x in n.inputs if x not in varying]
    free += [n for n in outputs if n not in varying]
    numbers = {n for n in free if n.op is None and n.value is not None and n.size == 1 and not n.tracked}
    constants = [n for n in dict.fromkeys(free) if n not in numbers]
    new: dict[Node, Node] = {n: n for n in numbers}
    new |= {n: symbol(n.spec, n.name) for n in (*constants, *inputs)}
    with recording(True):
        for node in order:
            new[node] = apply_again(node, tuple(new[x] for x in node.inputs))
    graph = Graph([new[n] for n in (*constants, *inputs)], [new[n] for n in outputs])
    return Body(graph, len(constants), carries, name), constants
