"""Random graphs with fitting inputs, for whatever must hold for every graph.

A graph is grown step by step: each step picks some of the nodes that are there and puts a piece on top of them, one
operation or a few that belong together. Values are computed on the way, so that graphs do not drown in nan, and
sizes stay small. The same seed gives the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node, ancestors, apply, constant, leaf, symbol
from chainrule.ops.arithmetic import scale
from chainrule.ops.cast import identity
from chainrule.ops.join import narrow
from chainrule.primitive import REGISTRY, Array, Discrete, Interval, Pointwise, Primitive
from chainrule.shapes import FLOATS, INTS, Shape, Spec, bool_, broadcast, count, float64, int64
from compiler.same_bits import SPECIAL, evaluate, row_major

ELEMENTS = 256
"""The largest array."""

NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -4.0, 3.0, 0.1)
"""Operands that simplifications look for, among others."""

SHAPES: tuple[Shape, ...] = (
    (),
    (1,),
    (3,),
    (4,),
    (2, 3),
    (3, 4),
    (4, 3),
    (3, 1),
    (1, 4),
    (2, 3, 4),
    (2, 1, 3),
    (5, 7),
)

_JUMPS = {"floor", "ceil", "trunc", "round", "sign", "floor_divide", "remainder", "argsort"} | {
    "max_pool2d_grad",
    "max_pool2d_tangent",
}
_EXACT_MODULES = ("cast", "compare", "join", "move", "gather", "create")
_EXACT = "add subtract multiply divide negative abs sign maximum minimum clip relu floor ceil trunc round sqrt square"


def random_graph(
    seed: int, size: int, *, special: bool = False, stable: bool = True
) -> tuple[Graph, list[Array]]:
    """A graph of about as many operations as ``size``, and arrays for its inputs.

    Args:
        seed: the same numbers give the same graph.
        size: pieces to put together; most are one operation. Half of what comes out on top becomes an output, so
            some of them are lost again.
        special: let inputs and constants hold nan, infinities, both zeros, tiny and huge numbers.
        stable: apply what has jumps (floor, comparisons, argmax) only to what every backend computes to the last
            bit, so that a backend that rounds otherwise gives results that are close.
    """
    return _Growing(np.random.default_rng([seed, size]), special, stable).run(size)


def random_gradient_graph(seed: int, size: int, *, special: bool = False) -> tuple[Graph, list[Array]]:
    """Outputs of a random graph reduced to one number, and the gradient of that for each floating input."""
    graph, inputs = random_graph(seed, size, special=special)
    places = [i for i, n in enumerate(graph.inputs) if n.dtype in FLOATS]

    def loss(*floats: Any) -> Any:
        given: list[Any] = list(inputs)
        for i, x in zip(places, floats, strict=True):
            given[i] = x
        total: Any = sum((cr.sum(x * x) for x in floats), cr.tensor(0.0))
        for y in graph.rebuild(*given):
            if y.dtype in FLOATS:
                total = total + cr.sum(cr.astype(y, float64))
        return total

    floats = [inputs[i] for i in places]
    return cr.trace(cr.value_and_grad(loss, argnums=tuple(range(len(floats)))), *floats), floats


class _Growing:
    def __init__(self, rng: np.random.Generator, special: bool, stable: bool) -> None:
        self.rng, self.special, self.stable = rng, special, stable
        self.inputs: list[Node] = []
        self.arrays: list[Array] = []
        self.nodes: list[Node] = []
        self.values: dict[Node, Array] = {}
        self.exact: set[Node] = set()

    def run(self, size: int) -> tuple[Graph, list[Array]]:
        self.input(self.shape(), FLOATS[self.rng.integers(2)])
        for _ in range(self.rng.integers(1, 4)):
            self.input(self.shape(), self.dtype())
        tries = 0
        while size > 0 and tries < 1000:
            tries += 1
            made = self.choose(_PIECES)(self)
            if made is not None and made.op is not None and self.accept(made):
                size -= 1
        return Graph(self.inputs, self.outputs()), self.arrays

    def accept(self, node: Node) -> bool:
        """Keep a node unless it is too large, or has become useless."""
        if node.size > ELEMENTS:
            return False
        value = self.value(node)
        if (
            not self.special
            and node.dtype in FLOATS
            and not (np.abs(value) < 1e4).all()
            and self.chance(0.95)
        ):
            return False
        self.nodes.append(node)
        return True

    def value(self, node: Node) -> Array:
        for n in ancestors([node], until=self.values):
            if n not in self.values:
                self.values[n] = (
                    row_major(n.array()) if n.op is None else evaluate(n, [self.values[x] for x in n.inputs])
                )
                if n.op is None or (_is_exact(n.op, n) and all(x in self.exact for x in n.inputs)):
                    self.exact.add(n)
        return self.values[node]

    def outputs(self) -> list[Node]:
        """Half of what nothing else uses; sometimes an inner node, one of them twice, or a constant."""
        used = {x for n in self.nodes for x in n.inputs}
        ends = [n for n in self.nodes if n not in used and n.op is not None] or self.nodes[-1:]
        chosen = [ends[i] for i in self.rng.permutation(len(ends))[: 1 + len(ends) // 2]]
        if self.chance(0.3):
            chosen.append(self.choose(self.nodes))
        if self.chance(0.1):
            chosen.append(chosen[0])
        if self.chance(0.1):
            chosen.append(self.constant(self.shape()))
        return chosen

    # What pieces are made of.

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def choose(self, things: Sequence[Any]) -> Any:
        return things[self.rng.integers(len(things))]

    def shape(self) -> Shape:
        return self.choose(SHAPES)

    def dtype(self) -> Any:
        return self.choose((*FLOATS, *FLOATS, int64, bool_))

    def array(self, shape: Shape, dtype: Any) -> Array:
        if dtype == bool_:
            return np.asarray(self.rng.random(shape) < 0.5)
        if dtype in INTS:
            return np.asarray(self.rng.integers(-9, 10, shape), dtype)
        values = np.asarray(self.rng.normal(size=shape))
        if self.special:
            values = np.where(self.rng.random(shape) < 0.3, self.rng.choice(SPECIAL, shape), values)
        elif self.chance(0.3):
            values = np.round(values)  # ties, and zeros of both signs
        return silently(values.astype, dtype)

    def input(self, shape: Shape, dtype: Any, array: Array | None = None) -> Node:
        node: Node = symbol(Spec(shape, dtype), f"x{len(self.inputs)}")
        self.inputs.append(node)
        self.nodes.append(node)
        self.arrays.append(self.array(shape, dtype) if array is None else array)
        self.values[node] = self.arrays[-1]
        self.exact.add(node)
        return node

    def constant(self, shape: Shape, dtype: Any = None) -> Node:
        """Some are filled by one number, and some are tracked, so that what is made of them is not yet computed."""
        dtype = self.dtype() if dtype is None else dtype
        array = self.array(shape, dtype)
        if array.size and self.chance(0.4):
            array = np.full(shape, self.choose(NUMBERS) if dtype in FLOATS else array.flat[0], dtype)
        return leaf(array, tracked=dtype in FLOATS and self.chance(0.4))

    def pick(self, kind: str = "f", *, exact: bool = False, rank: int = 0, like: Shape | None = None) -> Node:
        """A node that is there, the younger the likelier, or a constant; broadcasting with ``like`` if given."""
        found = [
            n
            for n in self.nodes
            if n.dtype.kind in kind
            and len(n.shape) >= rank
            and (not (exact and self.stable) or n in self.exact)
            and (like is None or _fits(n.shape, like))
        ]
        if not found or self.chance(0.08):
            shape = like if like is not None else self.choose([s for s in SHAPES if len(s) >= rank])
            return self.constant(shape, {"f": self.choose(FLOATS), "i": int64, "b": bool_}[self.choose(kind)])
        return found[max(self.rng.integers(len(found), size=2))]

    def axes(self, node: Node) -> tuple[int, ...]:
        return tuple(a for a in range(node.ndim) if self.chance(0.6))

    def fitted(self, node: Node, shape: Shape, dtype: Any) -> Node:
        """The elements of a node, cut or repeated to a shape."""
        node = cr.astype(node, dtype)
        if node.shape == shape:
            return node
        flat = cr.reshape(node, (-1,))
        n = count(shape)
        if not node.size:
            return constant(np.zeros(shape), dtype)
        flat = narrow(flat, 0, 0, n) if node.size >= n else cr.take(flat, np.arange(n) % node.size, axis=0)
        return cr.reshape(flat, shape)


def _fits(a: Shape, b: Shape) -> bool:
    if any(m != n and 1 not in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False)):
        return False
    return count(broadcast("", a, b)) <= ELEMENTS


def _is_exact(op: type[Primitive], node: Node) -> bool:
    """Whether every backend gives the same bits."""
    if op.name in _EXACT.split() or op.__module__.rpartition(".")[2] in _EXACT_MODULES:
        return op.name not in ("sum_to", "scatter_add")
    return node.dtype not in FLOATS or op.name in ("max", "min")


def _jumps(op: type[Primitive]) -> bool:
    """Whether inputs that are close can give outputs that are not."""
    return op.name in _JUMPS or issubclass(op, Discrete) or getattr(op, "result", None) is not None


def _pointwise(arity: int) -> list[type[Pointwise]]:
    found = [op for _, op in sorted(REGISTRY.items()) if issubclass(op, Pointwise)]
    return [op for op in found if _arity(op) == arity and op.accepts != (bool_,) and op.result is None]


def _arity(op: type[Pointwise]) -> int:
    return len(op.domain) if isinstance(op.domain, tuple) else op.arity


_UNARY, _BINARY = _pointwise(1), _pointwise(2)
_COMPARISONS = (cr.less, cr.less_equal, cr.greater, cr.greater_equal, cr.equal, cr.not_equal)
_RAISING = ("chainrule.ops.factor", "chainrule.ops.determinants")  # of singular matrices
_OTHERS = [op for _, op in sorted(REGISTRY.items()) if op.__module__ not in _RAISING]


def _unary(g: _Growing) -> Node | None:
    op = g.choose(_UNARY)
    x = g.pick("fi" if int64 in op.accepts else "f", exact=_jumps(op))
    example = g.choose(list(op.examples(g.rng)))
    domain = op.domain
    assert isinstance(domain, Interval)
    if domain.low >= 1:
        x = cr.abs(x) + (1.5 if x.dtype in FLOATS else 2)
    elif domain.low >= 0 and not g.chance(0.2):
        x = cr.abs(x) + (0.25 if x.dtype in FLOATS else 1)
    elif domain.high <= 1 and x.dtype in FLOATS:
        x = 0.9 * cr.tanh(x)
    return apply(op, (x,), example.params)


def _binary(g: _Growing) -> Node | None:
    op = g.choose(_BINARY)
    kinds = "fi" if int64 in op.accepts and op.name != "power" else "f"
    a = g.pick(kinds, exact=_jumps(op))
    b = g.pick(a.dtype.kind, exact=_jumps(op), like=a.shape)
    if op.name == "power":
        a = cr.abs(a)
    return apply(op, (a, b) if g.chance(0.5) else (b, a))


def _arithmetic(g: _Growing) -> Node | None:
    op = g.choose((cr.add, cr.subtract, cr.multiply, cr.divide, cr.maximum, cr.minimum, scale))
    a = g.pick()
    return op(a, g.pick(like=a.shape))


def _with_number(g: _Growing) -> Node | None:
    op = g.choose((cr.add, cr.subtract, cr.multiply, cr.divide, scale, cr.power, cr.maximum))
    x, c = g.pick(), g.choose(SPECIAL if g.special and g.chance(0.5) else NUMBERS)
    other: Any = c if g.chance(0.6) else constant(np.full(x.shape, c), x.dtype)
    return op(x, other) if g.chance(0.6) else op(other, x)


def _logic(g: _Growing) -> Node | None:
    if g.chance(0.5):
        a = g.pick("fi", exact=True)
        return g.choose(_COMPARISONS)(a, g.pick(a.dtype.kind, exact=True, like=a.shape))
    a = g.pick("b")
    if g.chance(0.3):
        return cr.logical_not(a)
    return g.choose((cr.logical_and, cr.logical_or, cr.logical_xor))(a, g.pick("b", like=a.shape))


def _where(g: _Growing) -> Node | None:
    condition = g.pick("b")
    x = g.pick("fi", like=condition.shape)
    if g.chance(0.3):
        return cr.where(condition, x, 0.0 if x.dtype in FLOATS else 0)
    y = g.pick(x.dtype.kind, like=broadcast("", condition.shape, x.shape))
    return cr.where(condition, x, y) if _fits(y.shape, x.shape) else None


def _reduce(g: _Growing) -> Node | None:
    op = g.choose((cr.sum, cr.sum, cr.mean, cr.max, cr.min, cr.prod, cr.logsumexp, cr.var, cr.std))
    over = g.pick("f" if op in (cr.mean, cr.logsumexp, cr.var, cr.std) else "fi")
    return op(over, axis=g.axes(over), keepdims=g.chance(0.5)) if over.size else None


def _test(g: _Growing) -> Node | None:
    op = g.choose((cr.argmax, cr.argmin, cr.any, cr.all, cr.count_nonzero))
    x = g.pick("fib", exact=True)
    if op in (cr.argmax, cr.argmin):
        if not x.size:
            return None
        return op(x, axis=int(g.rng.integers(x.ndim)) if x.ndim else None, keepdims=g.chance(0.5))
    return op(x, axis=g.axes(x), keepdims=g.chance(0.5))


def _move(g: _Growing) -> Node | None:
    x = g.pick("fib")
    which = g.rng.integers(6)
    if which == 0:
        sizes = [n for n in (1, 2, 3, 4) if x.size % n == 0] if x.size else [1]
        return cr.reshape(x, (int(g.choose(sizes)), -1) if x.size else (0, *g.choose(SHAPES)))
    if which == 1:
        return cr.permute_dims(x, [int(a) for a in g.rng.permutation(x.ndim)])
    if which == 2:
        target = broadcast("", x.shape, s) if _fits(x.shape, s := g.shape()) else (2, *x.shape)
        return cr.broadcast_to(x, target)
    if which == 3:
        return cr.flip(x, axis=g.axes(x))
    if which == 4 and x.ndim:
        return cr.roll(x, int(g.rng.integers(-3, 4)), axis=int(g.rng.integers(x.ndim)))
    return cr.expand_dims(x, axis=int(g.rng.integers(x.ndim + 1)))


def _join(g: _Growing) -> Node | None:
    x = g.pick("fi", rank=1)
    axis = int(g.rng.integers(x.ndim))
    if g.chance(0.3):
        width = [(int(a), int(b)) for a, b in g.rng.integers(0, 3, (x.ndim, 2))]
        return cr.pad(x, width)
    if g.chance(0.4):
        start, stop = sorted(int(n) for n in g.rng.integers(0, x.shape[axis] + 1, 2))
        return narrow(x, axis, start, stop)
    parts = [x, *(g.fitted(g.pick(x.dtype.kind), x.shape, x.dtype) for _ in range(g.rng.integers(1, 3)))]
    joined = cr.concat(parts, axis=axis) if g.chance(0.7) else cr.stack(parts, axis=axis)
    return cr.split(joined, 2, axis=axis)[1] if joined.shape[axis] % 2 == 0 and g.chance(0.4) else joined


def _matmul(g: _Growing) -> Node | None:
    a = g.pick(rank=1)
    if g.chance(0.3) and a.ndim > 1:
        a = cr.matrix_transpose(a)
    n = int(g.rng.integers(1, 6))
    shape = (a.shape[-1], n) if g.chance(0.8) else (a.shape[-1],)
    b = g.fitted(g.pick(), shape, g.choose(FLOATS))
    if b.ndim > 1 and g.chance(0.3):
        b = cr.matrix_transpose(g.fitted(b, shape[::-1], b.dtype))
    bias = g.fitted(g.pick(), (n,), a.dtype) if b.ndim > 1 and g.chance(0.4) else 0.0
    return cr.matmul(a, b) + bias


def _index(g: _Growing) -> Node | None:
    x = g.pick("fib", rank=1)
    axis = int(g.rng.integers(x.ndim))
    n = x.shape[axis]
    if not x.size or g.chance(0.3):
        return x[(slice(None),) * axis + (slice(None, None, g.choose((2, -1, 3))),)]
    shape = g.choose(((), (3,), (2, 2)))
    if g.chance(0.5):
        places: Any = g.input(shape, int64, np.asarray(g.rng.integers(0, n, shape)))
    else:
        places = cr.remainder(g.fitted(g.pick("i"), shape, int64), n)  # never negative
    if g.chance(0.3) and x.dtype in FLOATS:
        rest = (*shape, *x.shape[1:])
        return x.at[cr.remainder(places, x.shape[0])].add(g.fitted(g.pick(), rest, x.dtype))
    if g.chance(0.2):
        return cr.one_hot(places, n, g.choose(FLOATS))
    if g.chance(0.2):
        values = g.fitted(g.pick(x.dtype.kind), (), x.dtype)
        return x.at[(slice(None),) * axis + (places,)].set(values)
    return cr.take(x, places, axis=axis)


def _random(g: _Growing) -> Node | None:
    key = g.input((2,), int64, g.rng.integers(0, 2**32, 2))
    if g.chance(0.5):
        key = cr.random.fold_in(key, g.input((), int64, np.asarray(g.rng.integers(-9, 9))))
    shape = g.shape()
    which = g.rng.integers(4)
    if which == 0:
        return cr.random.dropout(key, g.pick(), 0.3)
    if which == 1:
        return cr.random.bits(key, shape, width=32) % 19
    return (cr.random.uniform, cr.random.normal)[which - 2](key, shape, g.choose(FLOATS))


def _cast(g: _Growing) -> Node | None:
    target = g.dtype()
    x = g.pick("fib", exact=target not in FLOATS)
    if target in INTS and x.dtype in FLOATS:  # what machines do with nan and large numbers differs
        x = cr.where(cr.isfinite(x), cr.clip(x, -99, 99), 0.0)
    return cr.astype(x, target)


def _normalised(g: _Growing) -> Node | None:
    x = g.pick(rank=1)
    axis = int(g.rng.integers(x.ndim))
    if not x.shape[axis]:
        return None
    which = g.rng.integers(4)
    if which == 0:
        return g.choose((cr.softmax, cr.log_softmax))(x, axis=axis)
    if which == 1:
        weights = cr.exp(x - cr.max(x, axis=axis, keepdims=True))
        return weights / cr.sum(weights, axis=axis, keepdims=True)
    if which == 2:
        centred = x - cr.mean(x, axis=axis, keepdims=True)
        return centred / cr.sqrt(cr.var(x, axis=axis, keepdims=True) + 1e-3)
    return x / (cr.sum(x * x, axis=axis, keepdims=True) + 1.0)


def _any_primitive(g: _Growing) -> Node | None:
    """A primitive as in one of its own examples, on floats from the graph."""
    op = g.choose(_OTHERS)
    example = g.choose(list(op.examples(g.rng)))
    dtype = g.choose(FLOATS)
    inputs: list[Node] = []
    for x in map(np.asarray, example.inputs):
        if x.dtype in FLOATS:
            inputs.append(g.fitted(g.pick(exact=_jumps(op)), x.shape, dtype))
        else:
            inputs.append(g.input(x.shape, x.dtype, x) if g.chance(0.5) else constant(x))
    return apply(op, tuple(inputs), example.params)


def _again(g: _Growing) -> Node | None:
    """Something that is there already, computed a second time."""
    node = g.choose(g.nodes)
    if node.op is None:
        return None
    if not g.chance(0.5):
        return apply(node.op, node.inputs, node.params)
    mirrored = {"less": "greater", "less_equal": "greater_equal"}.get(node.op.name, node.op.name)
    swaps = ("add", "multiply", "maximum", "minimum", "scale", "less", "less_equal", "equal", "logical_and")
    inputs = node.inputs[::-1] if node.op.name in swaps else node.inputs
    return apply(REGISTRY[mirrored], inputs, node.params)


def _redundant(g: _Growing) -> Node | None:
    """Operations that cancel, or do nothing."""
    x = g.pick()
    tricks: list[Callable[[], Any]] = [
        lambda: cr.negative(cr.negative(x)),
        lambda: x + (-g.pick(like=x.shape)),
        lambda: (-x) * (-g.pick(like=x.shape)),
        lambda: (-x) * 3.0,
        lambda: cr.permute_dims(cr.permute_dims(x, range(x.ndim)[::-1]), range(x.ndim)[::-1]),
        lambda: cr.reshape(cr.reshape(x, (1, *x.shape)), (-1,)),
        lambda: cr.flip(cr.flip(x, axis=0)) if x.ndim else None,
        lambda: cr.astype(cr.astype(x, float64), x.dtype),
        lambda: cr.sum(cr.expand_dims(x), axis=0),
        lambda: cr.max(cr.expand_dims(x), axis=0),
        lambda: identity(cr.stop_gradient(x)),
        lambda: cr.clip(x, -np.inf, 0.5),
        lambda: scale(cr.astype(g.pick("b", like=x.shape), x.dtype), x),
        lambda: scale(x, cr.astype(g.pick("b", like=x.shape), x.dtype)),
        lambda: cr.tanh(cr.broadcast_to(x, (2, *x.shape))) * 2.0,
        lambda: narrow(cr.concat([x, x]), 0, 0, x.shape[0]) if x.ndim else None,
    ]
    return g.choose(tricks)()


_PIECES = (
    *[_arithmetic] * 5,
    *[_unary] * 4,
    *[_move] * 4,
    *[_redundant] * 4,
    *[_with_number] * 3,
    *[_reduce] * 3,
    *[_matmul, _any_primitive, _again] * 3,
    *[_binary, _logic, _where, _join, _index, _cast] * 2,
    *[_test, _normalised, _random],
)
