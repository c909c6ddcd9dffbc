"""The scan: one step again and again, each from where the last one ended. Its derivatives are scans.

It stands here and not among the other primitives because its rules differentiate a graph, that of a step.

Of a step the derivative needs the carry before it, and computes all else again. Nothing of the inside of a step is
kept, so memory grows with the carry alone. Gradients of constants such as weights are not added up step by step where
they are products: what is multiplied is collected, and multiplied once (:mod:`chainrule.autodiff.totals`).

Source: Werbos, Proceedings of the IEEE 78(10), 1990, 1550-1560, DOI 10.1109/5.58337 (backpropagation through time).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.autodiff.batch import batched
from chainrule.autodiff.body import Body, Layout, layout
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.autodiff.totals import Total, totals
from chainrule.errors import ShapeError
from chainrule.graph import Graph, distinct
from chainrule.modes import RECORDING, REMEMBERING, mode, recording
from chainrule.node import Node, ancestors, apply, leaf, symbol
from chainrule.ops.batching import items_in
from chainrule.ops.exponential import sigmoid
from chainrule.ops.join import concat
from chainrule.ops.matmul import matmul
from chainrule.ops.move import broadcast_to, moveaxis, reshape
from chainrule.ops.trigonometric import tanh
from chainrule.primitive import Array, Cost, Custom, Example, HasSpec, moved_bytes, register
from chainrule.shapes import DType, Shape, Spec, float64, int64


def _evaluate(
    *given: Any, body: Body, length: int, reverse: bool, kept: tuple[bool, ...], dtype: DType
) -> Array:
    inputs = body.graph.inputs
    arrays = [np.asarray(a, x.dtype)[()] for a, x in zip(given, inputs, strict=True)]
    first, end = body.constants, body.constants + body.carries
    constants, carry, xs = arrays[:first], arrays[first:end], arrays[end:]
    found = layout(body, length, kept, dtype)
    flat = np.empty(found.size, dtype)
    carries = {i: _rows(flat, part.start, part.rows, part.shape) for i, part in found.carries.items()}
    ys = {i: _rows(flat, part.start, part.rows, part.shape) for i, part in found.ys.items()}
    for i, rows in carries.items():
        rows[length if reverse and kept[i] else 0] = carry[i]
    run = body.program.run
    for t in reversed(range(length)) if reverse else range(length):
        results = run([*constants, *carry, *[x[t] for x in xs]])
        carry = results[: body.carries]
        for i, rows in carries.items():
            rows[(t if reverse else t + 1) if kept[i] else 0] = carry[i]
        for i, rows in ys.items():
            rows[t] = results[body.carries + i]
    return flat


def _rows(flat: Array, start: int, rows: int, shape: Shape) -> Array:
    size = int(np.prod(shape, dtype=np.int64))
    return flat[start : start + rows * size].reshape(rows, *shape)


def _vjp(g: Any, wanted: Sequence[bool], y: Any, *xs: Any, **params: Any) -> list[Any]:
    body: Body = params["body"]
    key = tuple(w and x.dtype.kind == "f" for w, x in zip(wanted, body.graph.inputs, strict=True))
    pulled = body.derived(
        ("pulled", key, params["dtype"], params["kept"]),
        lambda: _pull(body, key, params["dtype"], params["kept"]),
    )
    return pulled.gradients(g, _Around(xs, y, params))


@register
class Scan(Custom):
    """One step again and again: ``(carry, y[t]) = step(constants, carry, x[t])``.

    Inputs are the constants, the first carry, and arrays with time as their first axis. Parameters: the ``body`` of a
    step; ``length`` in steps; whether time runs in ``reverse``; for each carry whether it is ``kept`` at all times; and
    the ``dtype`` of the results that this node gives, in one flat array (:mod:`chainrule.autodiff.body`).
    """

    name, label, latex = "scan", "scan", r"\operatorname{{scan}}"
    evaluate = staticmethod(_evaluate)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        body: Body = params["body"]
        length: int = params["length"]
        first = len(body.graph.inputs) - len(body.x_inputs)
        for i, (x, expected) in enumerate(zip(xs, body.graph.inputs, strict=True)):
            shape = (length, *expected.shape) if i >= first else expected.shape
            if x.shape != shape or x.dtype.kind != expected.dtype.kind:
                got, wants = Spec(x.shape, x.dtype), Spec(shape, expected.dtype)
                raise ShapeError(
                    f"scan: expected {wants} as input {i}, got {got}", fix="trace the step again"
                )
        return (layout(body, length, params["kept"], params["dtype"]).size,), params["dtype"]

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        body: Body = params["body"]
        step = body.derived("cost", lambda: cost_of(body.graph))
        n: int = params["length"]
        return Cost(
            n * step.multiplications,
            n * step.additions,
            n * step.transcendentals,
            moved_bytes(xs, shape, dtype),
        )

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        body: Body = params["body"]
        live = tuple(t is not None for t in tangents)
        pushed = body.derived(("pushed", live, params["dtype"]), lambda: _push(body, live, params["dtype"]))
        of = _Around(xs, y, params)
        first, end = body.constants, body.constants + body.carries
        start = [
            _zeros(x.spec) if t is None else t
            for x, t in zip(body.carry_inputs, tangents[first:end], strict=True)
            if x.dtype.kind == "f"
        ]
        moving = [t for t in (*tangents[:first], *tangents[end:]) if t is not None]
        fixed = sum(live[:first])
        reads: list[Callable[[], Any]] = [lambda i=i: of.carry_before(i) for i in range(body.carries)]
        reads += [lambda x=x: x for x in (*xs[end:], *moving[fixed:])]
        given = [*xs[:first], *moving[:fixed]], start, reads
        kept = tuple(k for k, x in zip(params["kept"], body.carry_inputs, strict=True) if x.dtype.kind == "f")
        return pushed.apply(*given, {**params, "kept": kept})

    vjp_all = staticmethod(_vjp)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        body: Body = params["body"]
        key, items = tuple(batched), items_in(xs, batched)
        return body.derived(("batched", key, items), lambda: _batch(body, key, items)).apply(
            body, xs, key, params
        )

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for reverse, kept in ((False, (True,)), (True, (False,))):
            made = (rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(2, 3)))
            yield Example((*made, rng.normal(size=(4, 2, 3))), _params(_recurrent(), 4, reverse, kept))
        gated = _params(_gated(), 3, False, (True, False, True))
        given = (rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), np.array(2), rng.normal(size=(2, 3)))
        yield Example((*given, rng.normal(size=(3, 2, 2)), np.array([1, 0, 1])), gated)
        counted = {**gated, "dtype": int64}
        yield Example((*given, rng.normal(size=(3, 2, 2)), np.array([1, 0, 1])), counted)
        nothing = _params(_recurrent(), 0, False, (True,))
        yield Example((*made, np.zeros((0, 2, 3))), nothing)


@dataclass(frozen=True, slots=True)
class _Batched:
    """A scan over many items at once.

    Attributes:
        body: of a step.
        items: how many there are.
        carries, ys: which of its results differ from item to item.
    """

    body: Body
    items: int
    carries: tuple[bool, ...]
    ys: tuple[bool, ...]

    def apply(
        self, one: Body, xs: Sequence[Node], differ: tuple[bool, ...], params: Mapping[str, Any]
    ) -> Any:
        """The results of each item in a row, as the scan of ``one`` would give them."""
        first, end = one.constants, one.constants + one.carries
        begins = [
            broadcast_to(x, (self.items, *x.shape)) if whole and not d else x
            for x, d, whole in zip(xs[first:end], differ[first:end], self.carries, strict=True)
        ]
        reads = [moveaxis(x, 0, 1) if d else x for x, d in zip(xs[end:], differ[end:], strict=True)]
        flat = apply(Scan, (*xs[:first], *begins, *reads), {**params, "body": self.body})
        found = layout(self.body, params["length"], params["kept"], params["dtype"])
        rows: list[Any] = []
        for parts, whole in ((found.carries, self.carries), (found.ys, self.ys)):
            for i, part in parts.items():
                values = part.between(flat, 0, part.rows)
                if whole[i]:
                    rows.append(reshape(moveaxis(values, 1, 0), (self.items, values.size // self.items)))
                else:
                    rows.append(broadcast_to(reshape(values, (values.size,)), (self.items, values.size)))
        return concat(rows, axis=1)


def _batch(body: Body, differ: tuple[bool, ...], items: int) -> _Batched:
    """The step for many items. A carry that differs between them after a step does so from the first on."""
    first, end = body.constants, body.constants + body.carries
    flags = list(differ)
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = body.graph.rebuild(*fresh)
        while True:
            starts = {
                x: symbol(Spec((items, *x.shape), x.dtype), x.name)
                for x, d in zip(fresh, flags, strict=True)
                if d
            }
            results = batched(outputs, starts)
            grown = [d or r is not None for d, r in zip(flags[first:end], results, strict=False)]
            if grown == flags[first:end]:
                break
            flags[first:end] = grown
        after: list[Any] = []
        for i, (one, all_) in enumerate(zip(outputs, results, strict=True)):
            same = broadcast_to(one, (items, *one.shape)) if i < body.carries and grown[i] else one
            after.append(same if all_ is None else all_)
    graph = Graph([starts.get(x, x) for x in fresh], after)
    ys = tuple(r is not None for r in results[body.carries :])
    return _Batched(Body(graph, first, body.carries, f"batch of {body.name}"), items, tuple(grown), ys)


def cost_of(graph: Graph) -> Cost:
    """The work of all nodes of a graph, equal calls once."""
    inputs = set(graph.inputs)
    computed = [
        (n, n.op) for n, first in distinct(graph.nodes) if n is first and n.op is not None and n not in inputs
    ]
    return sum((op.cost(n.inputs, n.shape, n.dtype, **n.params) for n, op in computed), Cost())


def _zeros(spec: Spec) -> Any:
    return leaf(np.zeros(spec.shape, spec.dtype), copy=False)


class _Around:
    """A scan that is being differentiated: its inputs and parameters, and where its results are.

    Attributes:
        xs, y, params: of the node.
        body: of a step.
        layout: of ``y``.
    """

    def __init__(self, xs: Sequence[Any], y: Any, params: Mapping[str, Any]) -> None:
        self.xs, self.y, self.params = xs, y, params
        self.body: Body = params["body"]
        self.layout: Layout = layout(self.body, params["length"], params["kept"], params["dtype"])

    def carry_before(self, i: int) -> Any:
        """One carry before each step: from the results, or computed again if it was not kept."""
        y, at, length = self.y, self.layout, self.params["length"]
        if i not in at.carries or not self.params["kept"][i]:
            dtype = self.body.carry_inputs[i].dtype
            kept = (True,) * self.body.carries
            y = apply(Scan, tuple(self.xs), {**self.params, "kept": kept, "dtype": dtype})
            at = layout(self.body, length, kept, dtype)
        first = 1 if self.params["reverse"] else 0
        return at.carries[i].between(y, first, first + length)

    def after(self, flat: Any, i: int) -> Any:
        """Rows of a carry that was kept, as they are after each step."""
        first, length = 0 if self.params["reverse"] else 1, self.params["length"]
        return self.layout.carries[i].between(flat, first, first + length)

    def start(self, flat: Any, i: int) -> Any:
        """The row of a carry that was kept before the first step."""
        return self.layout.carries[i].row(flat, self.params["length"] if self.params["reverse"] else 0)


@dataclass(frozen=True, slots=True)
class _Derived:
    """A scan that belongs to the derivative of another.

    Attributes:
        body: of a step; of what its function could read it reads what it needs.
        constants, xs: the numbers of what it does read.
    """

    body: Body
    constants: tuple[int, ...]
    xs: tuple[int, ...]

    @staticmethod
    def of(
        name: str,
        constants: Sequence[Node],
        carries: Sequence[Node],
        xs: Sequence[Node],
        outputs: Sequence[Any],
    ) -> _Derived:
        used = set(ancestors(outputs))
        fixed = tuple(i for i, n in enumerate(constants) if n in used)
        moving = tuple(i for i, n in enumerate(xs) if n in used)
        inputs = [*(constants[i] for i in fixed), *carries, *(xs[i] for i in moving)]
        return _Derived(Body(Graph(inputs, outputs), len(fixed), len(carries), name), fixed, moving)

    def apply(
        self,
        constants: Sequence[Any],
        carries: Sequence[Any],
        xs: Sequence[Callable[[], Any]],
        params: Mapping[str, Any],
    ) -> Any:
        """The scan, as a node; those of ``xs`` that it reads are made."""
        inputs = (*[constants[i] for i in self.constants], *carries, *[xs[i]() for i in self.xs])
        return apply(Scan, inputs, {**params, "body": self.body})


def _push(body: Body, live: tuple[bool, ...], dtype: DType) -> _Derived:
    """The step that carries tangents along: a scan over the carries that are known."""
    first, end = body.constants, body.constants + body.carries
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = body.graph.rebuild(*fresh)
        moving = [
            symbol(x.spec) if t or (first <= i < end and x.dtype.kind == "f") else None
            for i, (x, t) in enumerate(zip(fresh, live, strict=True))
        ]
        wrt = [x for x, t in zip(fresh, moving, strict=True) if t is not None]
        slopes = pushforward(outputs, wrt, [t for t in moving if t is not None])
        results = [
            _zeros(o.spec) if t is None else t
            for i, (o, t) in enumerate(zip(outputs, slopes, strict=True))
            if (o.dtype.kind == "f" if i < body.carries else o.dtype == dtype)
        ]
    given = [t for t in moving[:first] if t is not None], [t for t in moving[end:] if t is not None]
    carries = [t for t in moving[first:end] if t is not None]
    constants, xs = [*fresh[:first], *given[0]], [*fresh[first:end], *fresh[end:], *given[1]]
    return _Derived.of(f"tangent of {body.name}", constants, carries, xs, results)


@dataclass(frozen=True, slots=True)
class _Pulled:
    """The scan that carries gradients back, and what becomes of its results.

    Attributes:
        scan: carries the gradients of the floating carries, then the sums of ``summed``; it can read the constants,
            the carries before each step, the arrays with time, and the gradients of its results.
        floating: numbers of the floating carries.
        xs: for each array with time, the place of its gradient among the results of a step; None if there is none.
        totals: for each constant, its gradient as a total over all steps; None if there is none.
        summed: shapes of what is summed up within the scan.
    """

    scan: _Derived
    wanted: tuple[bool, ...]
    floating: tuple[int, ...]
    xs: tuple[int | None, ...]
    totals: tuple[Total | None, ...]
    summed: tuple[Spec, ...]

    def gradients(self, g: Any, of: _Around) -> list[Any]:
        body, params, length = of.body, of.params, of.params["length"]
        first, end = body.constants, body.constants + body.carries
        places = of.layout.carries
        begins = [
            _zeros(body.carry_inputs[i].spec) if i not in places or params["kept"][i] else places[i].row(g, 0)
            for i in self.floating
        ]
        begins += [_zeros(spec) for spec in self.summed]
        reads: list[Callable[[], Any]] = [lambda i=i: of.carry_before(i) for i in range(body.carries)]
        reads += [lambda x=x: x for x in of.xs[end:]]
        reads += [lambda i=i: of.after(g, i) for i in places if params["kept"][i]]
        reads += [lambda part=part: part.between(g, 0, length) for part in of.layout.ys.values()]
        reads = [functools.cache(read) for read in reads]
        again = (
            mode.get() & ~REMEMBERING == RECORDING
        )  # then the gradients may be differentiated, and what is carried is needed
        kept = (*[again] * len(self.floating), *[False] * len(self.summed))
        own: dict[DType, tuple[Any, Layout]] = {}
        for node in self.scan.body.graph.outputs:
            if node.dtype not in own:
                given = {
                    "length": length,
                    "reverse": not params["reverse"],
                    "kept": kept,
                    "dtype": node.dtype,
                }
                flat = self.scan.apply(of.xs[:first], begins, reads, given)
                own[node.dtype] = flat, layout(self.scan.body, length, kept, node.dtype)
        last = length if params["reverse"] else 0

        def carried(i: int) -> Any:
            flat, at = own[self.scan.body.carry_outputs[i].dtype]
            return at.carries[i].row(flat, last if kept[i] else 0)

        def given_back(i: int) -> Any:
            flat, at = own[self.scan.body.y_outputs[i].dtype]
            return at.ys[i].between(flat, 0, length)

        found: list[Any] = [None] * len(of.xs)
        for n, i in enumerate(self.floating):
            if self.wanted[first + i]:
                delta = carried(n)
                found[first + i] = delta + of.start(g, i) if i in places and params["kept"][i] else delta
        for i, place in enumerate(self.xs):
            if place is not None:
                found[end + i] = given_back(place)

        def stacked(kind: str, i: int) -> Any:
            return given_back(i) if kind == "y" else reads[i]()

        for i, total in enumerate(self.totals):
            if total is not None:
                found[i] = total(stacked, lambda n: carried(len(self.floating) + n))
        return found


def _pull(body: Body, wanted: tuple[bool, ...], dtype: DType, kept: tuple[bool, ...]) -> _Pulled:
    """The step that carries gradients back: through one step, as computed again from the carry before it."""
    first, end = body.constants, body.constants + body.carries
    floating = tuple(i for i, x in enumerate(body.carry_inputs) if x.dtype.kind == "f")
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = body.graph.rebuild(*fresh)
        carried = {i: symbol(body.carry_inputs[i].spec) for i in floating}
        rows = {i: symbol(x.spec) for i, x in enumerate(body.carry_outputs) if x.dtype == dtype and kept[i]}
        ys = {i: symbol(x.spec) for i, x in enumerate(body.y_outputs) if x.dtype == dtype}
        seeds = [(outputs[i], d + rows[i] if i in rows else d) for i, d in carried.items()]
        seeds += [(outputs[body.carries + i], d) for i, d in ys.items()]
        wrt = [x for i, x in enumerate(fresh) if first <= i < end and i - first in carried]
        wrt += [x for i, x in enumerate(fresh) if wanted[i] and not first <= i < end]
        pulled = pullback([o for o, _ in seeds], [d for _, d in seeds], wrt)
        slopes: dict[Node, Node] = {w: d for w, d in zip(wrt, pulled, strict=True) if d is not None}
        deltas = [slopes.get(fresh[first + i], _zeros(body.carry_inputs[i].spec)) for i in floating]
        results: dict[Node, int] = {}
        places: list[int | None] = []
        for x in fresh[end:]:
            d = slopes.get(x)
            places.append(None if d is None else results.setdefault(d, len(results)))
        reads = [*fresh[first:end], *fresh[end:], *rows.values(), *ys.values()]
        constants = [slopes.get(x) if w else None for x, w in zip(fresh[:first], wanted, strict=False)]
        plan = totals(constants, reads, results)
    carries = [*carried.values(), *plan.sums]
    scan = _Derived.of(
        f"gradient of {body.name}", fresh[:first], carries, reads, [*deltas, *plan.next_sums, *plan.ys]
    )
    specs = tuple(s.spec for s in plan.sums)
    return _Pulled(scan, wanted, floating, tuple(places), plan.totals, specs)


def _params(body: Body, length: int, reverse: bool, kept: tuple[bool, ...]) -> dict[str, Any]:
    return {"body": body, "length": length, "reverse": reverse, "kept": kept, "dtype": float64}


def _recurrent() -> Body:
    """For the tests of every primitive: a recurrent cell whose weights and bias are constants."""
    with recording(True):
        w, b, h, x = (symbol(Spec(shape, float64)) for shape in ((3, 3), (3,), (2, 3), (2, 3)))
        after = tanh(x + matmul(h, w) + b)
        return Body(Graph((w, b, h, x), (after, after * after)), 2, 1, "recurrent")


def _gated() -> Body:
    """Likewise: carries of two dtypes, one of them an integer, and one that grows by sums alone."""
    with recording(True):
        w, n, total, h, x = (
            symbol(Spec(shape, dtype))
            for shape, dtype in (
                ((3, 2), float64),
                ((), int64),
                ((2, 2), float64),
                ((2, 3), float64),
                ((2, 2), float64),
            )
        )
        more = symbol(Spec((), int64))
        gate = sigmoid(matmul(h, w) * x)
        outputs = (total + gate, n + more, matmul(gate, w.mT), n * more, gate - total)
        return Body(Graph((w, total, n, h, x, more), outputs), 1, 3, "gated")
