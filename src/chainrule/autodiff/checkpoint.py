"""A function whose inside is not kept for its derivative, but computed again. Its derivatives are of the same kind.

Like a scan it is one node with the graph of the function as a parameter, so that a traced graph, or what an eager
program remembers, holds its inputs and its results and nothing in between. Its results of one dtype lie one after the
other in one flat array. The gradient is such a node too: it runs the function again and goes back through it, and all
that is forgotten once it is done.

When it is compiled, the graph takes the node's place (:mod:`chainrule.compiler.passes.inlined`). The second computation
then reads its inputs through :class:`chainrule.ops.cast.After`, so that it is another one than the first, and waits for
the gradient.

Source: Griewank, Optimization Methods and Software 1 (1992) 35-54, DOI 10.1080/10556789208805505.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.batch import batched
from chainrule.autodiff.body import Body, Layout, layout
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.autodiff.scan import cost_of
from chainrule.errors import ShapeError
from chainrule.graph import Graph
from chainrule.modes import recording
from chainrule.node import Node, apply, leaf, symbol
from chainrule.ops.batching import items_in
from chainrule.ops.join import concat
from chainrule.ops.move import broadcast_to, reshape
from chainrule.ops.trigonometric import tanh
from chainrule.primitive import Array, Cost, Custom, Example, HasSpec, moved_bytes, register
from chainrule.shapes import DType, Shape, Spec, float64


def _evaluate(*given: Any, body: Body, after: tuple[int, ...], dtype: DType) -> Array:
    inputs = body.graph.inputs
    results = body.program.run([np.asarray(a, x.dtype)[()] for a, x in zip(given, inputs, strict=True)])
    parts = [np.asarray(r, dtype).reshape(-1) for r in results if r.dtype == dtype]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def places(body: Body, dtype: DType) -> Layout:
    """Where the results of one dtype lie: each is what one step gives."""
    return layout(body, 1, (), dtype)


def results_of(body: Body, inputs: Sequence[Any], after: tuple[int, ...] = ()) -> list[Any]:
    """What a body gives for inputs, each result as it is.

    Args:
        body: without carries.
        inputs: of its graph.
        after: numbers of those that must be there before anything is computed, if it is computed again.
    """
    found: list[Any] = []
    flats: dict[DType, tuple[Any, Layout]] = {}
    for i, node in enumerate(body.graph.outputs):
        if node.dtype not in flats:
            params = {"body": body, "after": after, "dtype": node.dtype}
            flats[node.dtype] = apply(Checkpoint, tuple(inputs), params), places(body, node.dtype)
        flat, at = flats[node.dtype]
        found.append(reshape(flat, node.shape) if len(at.ys) == 1 else at.ys[i].row(flat, 0))
    return found


def _vjp(g: Any, wanted: Sequence[bool], y: Any, *xs: Any, **params: Any) -> list[Any]:
    body: Body = params["body"]
    key = tuple(w and x.dtype.kind == "f" for w, x in zip(wanted, body.graph.inputs, strict=True))
    dtype: DType = params["dtype"]
    pulled, found = body.derived(("pulled", key, dtype), lambda: _pull(body, key, dtype))
    results = iter(results_of(pulled, (*xs, g), (len(xs),)))
    return [next(results) if k else None for k in found]


@register
class Checkpoint(Custom):
    """A function whose inside is computed again for its derivative: ``f(*inputs)``.

    Parameters: the ``body``, a graph; the numbers of the inputs ``after`` which it is computed, if it is a second
    computation that must not be merged with the first; the ``dtype`` of the results that this node gives, in one flat
    array.
    """

    name, label, latex = "checkpoint", "checkpoint", r"\operatorname{{checkpoint}}"
    evaluate = staticmethod(_evaluate)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        body: Body = params["body"]
        for i, (x, expected) in enumerate(zip(xs, body.graph.inputs, strict=True)):
            if x.shape != expected.shape or x.dtype.kind != expected.dtype.kind:
                got, wants = Spec(x.shape, x.dtype), Spec(expected.shape, expected.dtype)
                raise ShapeError(
                    f"checkpoint: expected {wants} as input {i}, got {got}", fix="trace the function again"
                )
        return (places(body, params["dtype"]).size,), params["dtype"]

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        body: Body = params["body"]
        inside = body.derived("cost", lambda: cost_of(body.graph))
        moved = moved_bytes(xs, shape, dtype)
        return Cost(inside.multiplications, inside.additions, inside.transcendentals, moved)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        body: Body = params["body"]
        live = tuple(t is not None for t in tangents)
        dtype: DType = params["dtype"]
        pushed = body.derived(("pushed", live, dtype), lambda: _push(body, live, dtype))
        given = (*xs, *(t for t in tangents if t is not None))
        return apply(Checkpoint, given, {**params, "body": pushed})

    vjp_all = staticmethod(_vjp)

    @classmethod
    def batch(
        cls, xs: Sequence[Node], flags: Sequence[bool], *, body: Body, after: tuple[int, ...], dtype: DType
    ) -> Any:
        items, key = items_in(xs, flags), tuple(flags)
        many = body.derived(("batched", key, items), lambda: _batch(body, key, items))
        flat = apply(Checkpoint, tuple(xs), {"body": many, "after": after, "dtype": dtype})
        parts = places(many, dtype).ys.values()
        rows = [part.row(flat, 0) if len(parts) > 1 else flat for part in parts]
        return concat([reshape(row, (items, row.size // items)) for row in rows], axis=1)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        given = (rng.normal(size=(3, 3)), rng.normal(size=(2, 3)))
        yield Example(given, {"body": _cell(), "after": (), "dtype": float64})


def _pull(body: Body, wanted: tuple[bool, ...], dtype: DType) -> tuple[Body, tuple[bool, ...]]:
    """From the inputs and the gradient of the flat results to gradients of inputs, and which have one."""
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = body.graph.rebuild(*fresh)
        at = places(body, dtype)
        g = symbol(Spec((at.size,), dtype))
        seeds = [(outputs[i], part.row(g, 0)) for i, part in at.ys.items()]
        wrt = [x for x, w in zip(fresh, wanted, strict=True) if w]
        pulled = pullback([o for o, _ in seeds], [d for _, d in seeds], wrt)
        found = {x: d for x, d in zip(wrt, pulled, strict=True) if d is not None}
    made = Body(Graph((*fresh, g), list(found.values())), len(fresh) + 1, 0, f"gradient of {body.name}")
    return made, tuple(x in found for x in fresh)


def _push(body: Body, live: tuple[bool, ...], dtype: DType) -> Body:
    """From the inputs and their tangents to those of the results of one dtype."""
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = [o for o in body.graph.rebuild(*fresh) if o.dtype == dtype]
        moving = {x: symbol(x.spec) for x, t in zip(fresh, live, strict=True) if t}
        pushed = pushforward(outputs, list(moving), list(moving.values()))
        found = [_zeros(o.spec) if t is None else t for o, t in zip(outputs, pushed, strict=True)]
    inputs = (*fresh, *moving.values())
    return Body(Graph(inputs, found), len(inputs), 0, f"tangent of {body.name}")


def _batch(body: Body, differ: tuple[bool, ...], items: int) -> Body:
    """The function for many items; inputs that differ between them have one axis more, and so have all results."""
    with recording(True):
        fresh = [symbol(x.spec, x.name) for x in body.graph.inputs]
        outputs = body.graph.rebuild(*fresh)
        starts = {
            x: symbol(Spec((items, *x.shape), x.dtype), x.name)
            for x, d in zip(fresh, differ, strict=True)
            if d
        }
        found = [
            broadcast_to(one, (items, *one.shape)) if many is None else many
            for one, many in zip(outputs, batched(outputs, starts), strict=True)
        ]
    return Body(Graph([starts.get(x, x) for x in fresh], found), len(fresh), 0, f"batch of {body.name}")


def _zeros(spec: Spec) -> Any:
    return leaf(np.zeros(spec.shape, spec.dtype), copy=False)


def _cell() -> Body:
    """For the tests of every primitive."""
    with recording(True):
        w, x = (symbol(Spec(shape, float64)) for shape in ((3, 3), (2, 3)))
        y = tanh(x @ w)
        return Body(Graph((w, x), (y, y * y)), 2, 0, "cell")
