"""Every registered primitive, without exception, on its own examples.

A primitive that is added is tested here by being registered: nothing is listed by hand.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.modes import silently
from chainrule.node import apply, as_node, leaf
from chainrule.primitive import REGISTRY, Discrete, Pointwise
from chainrule.shapes import DTYPES, FLOATS, float32, float64


def cases():
    for name, op in sorted(REGISTRY.items()):
        for i, example in enumerate(op.examples(np.random.default_rng(7))):
            yield pytest.param(op, example, id=f"{name}-{i}")


CASES = list(cases())
everywhere = pytest.mark.parametrize(("op", "example"), CASES)
each = pytest.mark.parametrize("op", [pytest.param(op, id=name) for name, op in sorted(REGISTRY.items())])


def leaves(example, dtype=None):
    """The example's inputs as nodes; floating ones are tracked."""
    made = []
    for x in example.inputs:
        x = np.asarray(x)
        floating = x.dtype in FLOATS
        made.append(leaf(x.astype(dtype) if dtype and floating else x, tracked=floating))
    return made


def floating(nodes):
    return [n for n in nodes if n.tracked]


def random_like(nodes, seed):
    rng = np.random.default_rng(seed)
    return [as_node(rng.normal(size=n.shape).astype(n.dtype)) for n in nodes]


def of_floating(op, xs, example):
    """The primitive as a function of its floating inputs only."""

    def f(*tracked):
        given = iter(tracked)
        return apply(op, tuple(next(given) if x.tracked else x for x in xs), example.params)

    return f


@each
def test_declares_everything_a_reader_needs(op):
    assert op.__doc__ and op.name and op.label
    assert op.latex.format("x", "y", "z") if op.latex else True
    assert REGISTRY[op.name] is op


@each
def test_has_examples(op):
    assert list(op.examples(np.random.default_rng(0))), "a primitive without examples is not tested"


@everywhere
def test_shape_rule_is_what_is_evaluated(op, example):
    xs = leaves(example)
    shape, dtype = op.infer(*xs, **example.params)
    value = np.asarray(silently(op.evaluate, *[x.value for x in xs], **example.params))
    assert (value.shape, value.dtype) == (shape, dtype)
    assert dtype in DTYPES


@everywhere
def test_evaluation_is_pure_and_repeatable(op, example):
    before = [np.array(x) for x in example.inputs]
    first = np.asarray(silently(op.evaluate, *example.inputs, **example.params)).tobytes()
    second = np.asarray(silently(op.evaluate, *example.inputs, **example.params)).tobytes()
    assert first == second
    for x, kept in zip(example.inputs, before, strict=True):
        np.testing.assert_array_equal(x, kept)


@everywhere
def test_float32_stays_float32(op, example):
    xs = leaves(example, np.float32)
    y = apply(op, tuple(xs), example.params)
    assert np.asarray(y.value).dtype == y.dtype
    if any(x.dtype == float32 for x in xs):
        assert y.dtype != float64 or example.params.get("dtype") == float64
    if y.dtype in FLOATS and floating(xs):
        for g, x in zip(pullback([y], random_like([y], 1), floating(xs)), floating(xs), strict=True):
            assert g is None or (g.dtype, g.shape) == (x.dtype, x.shape)


@everywhere
def test_cost_counts_the_bytes_it_moves(op, example):
    xs = leaves(example)
    shape, dtype = op.infer(*xs, **example.params)
    cost = op.cost(xs, shape, dtype, **example.params)
    moved = (
        sum(np.asarray(x).nbytes for x in example.inputs) + int(np.prod(shape, dtype=int)) * dtype.itemsize
    )
    assert cost.bytes == moved
    assert min(cost.multiplications, cost.additions, cost.transcendentals) >= 0


@everywhere
def test_both_modes_agree_with_central_differences(op, example):
    xs = leaves(example)
    y = apply(op, tuple(xs), example.params)
    wrt = floating(xs)
    if y.dtype not in FLOATS or issubclass(op, Discrete):
        assert all(g is None for g in pullback([y], [y], wrt))
        assert pushforward([y], wrt, random_like(wrt, 1)) == [None]
        return
    if sum(x.size for x in wrt):
        f = of_floating(op, xs, example)
        cr.check(f, *[x.array() for x in wrt], tolerance=1e-7, samples=40).require()


@everywhere
def test_reverse_is_the_transpose_of_forward(op, example):
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩ for random u and v."""
    xs = leaves(example)
    y = apply(op, tuple(xs), example.params)
    wrt = floating(xs)
    if y.dtype not in FLOATS:
        return
    (u,), v = random_like([y], 1), random_like(wrt, 2)
    (jv,) = pushforward([y], wrt, v)
    pulled = pullback([y], [u], wrt)
    left = 0.0 if jv is None else float(np.vdot(u.array(), jv.array()))
    right = sum(float(np.vdot(g.array(), t.array())) for g, t in zip(pulled, v, strict=True) if g is not None)
    scale = max(1.0, abs(left))
    assert abs(left - right) <= 1e-10 * scale
    if jv is not None:
        assert (jv.shape, jv.dtype) == (y.shape, y.dtype)


@everywhere
def test_second_order(op, example):
    """Both modes of the gradient, and of the derivative along a direction, against central differences."""
    xs = leaves(example)
    y = apply(op, tuple(xs), example.params)
    wrt = floating(xs)
    if not sum(x.size for x in wrt) or y.dtype not in FLOATS or issubclass(op, Discrete):
        return
    (u,), v = random_like([y], 3), random_like(wrt, 4)
    f, at = of_floating(op, xs, example), [x.array() for x in wrt]
    cr.check(lambda *at: cr.vjp(f, *at)[1](u), *at, tolerance=1e-6, samples=12).require()
    cr.check(lambda *at: cr.jvp(f, at, v)[1], *at, tolerance=1e-6, samples=12).require()


@everywhere
def test_traced_and_eager_give_the_same_bits(op, example):
    xs = leaves(example)
    eager = apply(op, tuple(xs), example.params)
    graph = cr.trace(lambda *given: apply(op, given, example.params), *xs)
    graph.verify()
    (value,) = graph.evaluate(*xs)
    assert value.tobytes() == eager.array().tobytes()


@everywhere
def test_recorded_and_unrecorded_gradients_have_the_same_bits(op, example):
    """Rules compute on bare arrays where nothing is recorded; that must not change a bit."""
    xs = leaves(example)
    y = apply(op, tuple(xs), example.params)
    if y.dtype not in FLOATS:
        return
    seeds = random_like([y], 4)
    recorded = pullback([y], seeds, floating(xs), record=True)
    plain = pullback([y], seeds, floating(xs), record=False)
    for a, b in zip(recorded, plain, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert a.array().tobytes() == b.array().tobytes()


def some_items(op, number):
    """Inputs of the example of that number for three items; integers change places from item to item."""
    items = []
    for i in range(3):
        example = list(op.examples(np.random.default_rng(7 + i)))[number]
        given = [np.asarray(x) for x in example.inputs]
        items.append([x if x.dtype.kind == "f" else np.roll(x, i).reshape(x.shape) for x in given])
    return items


def numbered_cases():
    for name, op in sorted(REGISTRY.items()):
        for i, example in enumerate(op.examples(np.random.default_rng(7))):
            yield pytest.param(op, example, i, id=f"{name}-{i}")


NUMBERED = list(numbered_cases())


@pytest.mark.parametrize(("op", "example", "number"), NUMBERED)
def test_batch_is_loop(op, example, number):
    """All items at once give what they give one by one: for each choice of inputs that differ, in both ways to run."""
    items = some_items(op, number)

    def one(*xs):
        return apply(op, tuple(map(as_node, xs)), example.params)

    for differ in itertools.product((True, False), repeat=len(example.inputs)):
        if not any(differ):
            continue
        rows = [[x if d else y for x, y, d in zip(item, items[0], differ, strict=True)] for item in items]
        expected = np.stack([one(*row).array() for row in rows])
        whole = [np.stack(xs) if d else xs[0] for xs, d in zip(zip(*rows, strict=True), differ, strict=True)]
        f = cr.vmap(one, in_axes=tuple(0 if d else None for d in differ))
        for way in (f, cr.compile(f)):
            found = way(*whole)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found.array(), expected, rtol=1e-11, atol=1e-12, err_msg=str(differ))


@pytest.mark.parametrize(("op", "example", "number"), NUMBERED)
def test_gradients_of_a_batch_are_those_of_a_loop(op, example, number):
    """Derivative rules give nodes, each with a batching rule of its own."""
    items = some_items(op, number)
    places = [i for i, x in enumerate(example.inputs) if np.asarray(x).dtype in FLOATS]
    shape, dtype = op.infer(*leaves(example), **example.params)
    if not places or dtype not in FLOATS:
        return
    u = np.random.default_rng(5).normal(size=shape).astype(dtype)

    def pulled(*xs):
        def f(*given):
            moved = iter(given)
            inputs = [next(moved) if i in places else as_node(x) for i, x in enumerate(xs)]
            return apply(op, tuple(inputs), example.params)

        return cr.vjp(f, *[xs[i] for i in places])[1](u)

    found = cr.vmap(pulled)(*map(np.stack, zip(*items, strict=True)))
    for g, rows in zip(found, zip(*[pulled(*item) for item in items], strict=True), strict=True):
        np.testing.assert_allclose(g.array(), np.stack([r.array() for r in rows]), rtol=1e-9, atol=1e-10)


@each
def test_states_a_batching_rule(op):
    """None of chainrule's own is left to a loop over the items."""
    assert op.batch is not None or issubclass(op, Pointwise)


POINTWISE = [pytest.param(op, id=name) for name, op in sorted(REGISTRY.items()) if issubclass(op, Pointwise)]


@pytest.mark.parametrize("op", POINTWISE)
def test_bad_input_to_a_pointwise_primitive_names_it_and_a_fix(op):
    """A dtype that is not accepted, and shapes that do not broadcast, give a typed error with a fix.

    The other primitives have inputs of their own; what their public functions say of bad calls, each of them,
    is in ``messages.txt``, which ``test_messages.py`` holds complete.
    """
    wrong = [(cr.errors.DTypeError, d, ((2, 3),) * op.arity) for d in DTYPES if d not in op.accepts]
    if op.arity > 1:
        wrong.append((cr.errors.ShapeError, op.accepts[0], ((2, 3), (4, 5), (2, 3))[: op.arity]))
    assert wrong or set(op.accepts) == set(DTYPES)
    for kind, dtype, shapes in wrong:
        with pytest.raises(kind) as caught:
            apply(op, tuple(leaf(np.zeros(shape, dtype)) for shape in shapes))
        assert caught.value.fix
        assert op.name in caught.value.message


MADE = [name for name in cr.ops.__all__ if name in REGISTRY and getattr(cr.ops, name).__name__ == name]


@pytest.mark.parametrize("name", MADE)
def test_public_function_of_a_primitive_documents_itself(name):
    """What a primitive declares of dtypes and shapes is written out, unless its author did; all lines are short."""
    op, text = REGISTRY[name], getattr(cr.ops, name).__doc__
    assert text and all(len(line) <= 115 for line in text.splitlines())
    if getattr(cr.ops, name).__code__.co_name != "function":  # written by hand, in its own words
        return
    assert "Args:" in text and "Returns:" in text
    if issubclass(op, Pointwise) and op.arity == 2:
        assert "broadcast" in text and "ShapeError" in text
    if issubclass(op, Pointwise) and set(op.accepts) != set(DTYPES):
        assert f"not {op.accepts[0].name}" in text and "DTypeError" in text
