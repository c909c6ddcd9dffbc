"""Every registered primitive, without exception, on its own examples.

A primitive that is added is tested here by being registered: nothing is listed by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.errors import ChainruleError
from chainrule.node import apply, as_node, evaluate, leaf
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
    value = np.asarray(evaluate(op, [x.value for x in xs], example.params))
    assert (value.shape, value.dtype) == (shape, dtype)
    assert dtype in DTYPES


@everywhere
def test_evaluation_is_pure_and_repeatable(op, example):
    before = [np.array(x) for x in example.inputs]
    first = np.asarray(evaluate(op, example.inputs, example.params)).tobytes()
    second = np.asarray(evaluate(op, example.inputs, example.params)).tobytes()
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
    if not sum(x.size for x in floating(xs)) or y.dtype not in FLOATS or issubclass(op, Discrete):
        assert all(g is None for g in pullback([y], [y], floating(xs))) or y.dtype in FLOATS
        return

    def f(*tracked):
        given = iter(tracked)
        return apply(op, tuple(next(given) if x.tracked else x for x in xs), example.params)

    cr.check(f, *[x.array() for x in floating(xs)], tolerance=1e-7, samples=40).require()


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
    """The gradient of the gradient, in both modes, against central differences of the gradient."""
    xs = leaves(example)
    y = apply(op, tuple(xs), example.params)
    wrt = floating(xs)
    if not sum(x.size for x in wrt) or y.dtype not in FLOATS or issubclass(op, Discrete):
        return
    (u,) = random_like([y], 3)

    def f(*tracked):
        given = iter(tracked)
        return apply(op, tuple(next(given) if x.tracked else x for x in xs), example.params)

    cr.check(
        lambda *at: cr.vjp(f, *at)[1](u), *[x.array() for x in wrt], tolerance=1e-6, samples=12
    ).require()


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


@each
def test_bad_input_names_shapes_and_a_fix(op):
    """Shapes that do not broadcast, or a dtype that is not accepted, give a typed error with a fix."""
    wrong = []
    if issubclass(op, Pointwise):
        dtype = np.bool_ if np.dtype(np.bool_) not in op.accepts else np.float64
        wrong.append(tuple(leaf(np.zeros((2, 3), dtype)) for _ in range(op.arity)))
        if op.arity > 1:
            good = op.accepts[0]
            shapes = ((2, 3), (4, 5), (2, 3))[: op.arity]
            wrong.append(tuple(leaf(np.zeros(s, good)) for s in shapes))
    if issubclass(op, Pointwise) and set(op.accepts) == set(DTYPES):
        wrong = wrong[1:]
    for inputs in wrong:
        with pytest.raises(ChainruleError) as caught:
            apply(op, inputs)
        assert caught.value.fix
        assert op.name in str(caught.value) or op.label in str(caught.value)
