"""The walk that all passes share, constants, and the bounds of values."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.passes import PASSES, Change, run
from chainrule.compiler.passes import rewrite as engine
from chainrule.compiler.passes.bounds import Bounds, bounds
from chainrule.compiler.passes.duplicates import duplicates
from chainrule.compiler.passes.fold import LARGE, fold
from chainrule.compiler.passes.rewrite import instead, rewrite
from chainrule.compiler.passes.simplify import simplify
from chainrule.compiler.passes.strong_zeros import strong_zeros
from chainrule.errors import GraphError
from chainrule.graph import Graph
from chainrule.node import apply, constant, leaf, symbol
from chainrule.ops.arithmetic import Add, Negative, scale
from chainrule.ops.cast import identity
from chainrule.shapes import Spec, float32, float64, int64
from compiler.same_bits import operations, require_same

X = np.array([[0.5, -2.0, 3.0]] * 2)
F = X.astype(np.float32)
I = np.array([[4, -2, 0]] * 2)


# The walk.


def test_a_graph_that_stays_is_handed_back():
    graph = cr.trace(lambda x, y: cr.tanh(x @ y), X, X.T)
    after, changes = run(graph)
    assert after is graph
    assert changes == []


def test_changes_are_counted():
    graph = cr.trace(lambda x: cr.exp(-(-x)) + cr.exp(x), X)  # noqa: B002
    after, changes = run(graph)
    assert changes == [Change("simplify", 6, 4), Change("duplicates", 4, 3)]
    assert operations(after) == "exp add"


def test_passes_can_be_skipped():
    graph = cr.trace(lambda x: cr.exp(x) + cr.exp(x), X)
    assert run(graph, skip=("duplicates",))[0] is graph


def test_names_and_lines_of_the_user_stay():
    def f(x):
        y = cr.exp(x * 1.0) ** 2
        return cr.sum(y) + 0.5

    graph = cr.trace(f, X)
    after, _ = run(graph)
    assert operations(after) == "exp square sum add"
    line = inspect.getsourcelines(f)[1]
    square = next(n for n in after.nodes if n.op is not None and n.op.name == "square")
    assert square.source is not None and square.source.line == line + 1
    assert after.outputs[0].source.line == line + 2
    assert [n.name for n in after.inputs] == ["x"]


def test_identities_go():
    x = symbol(Spec((3,), float64), "x")
    assert operations(simplify(Graph([x], [cr.exp(identity(x))]))) == "exp"


def test_names_of_nodes_stay():
    x = symbol(Spec((3,), float64), "x")
    hidden = apply(Negative, (apply(Negative, (x,)),))
    total = apply(Add, (hidden, x), name="total")
    (after,) = simplify(Graph([x], [total])).outputs
    assert after.name == "total" and after.inputs == (x, x)


def test_nodes_of_the_graph_stay_as_they_are():
    graph = cr.trace(lambda x: -(-x) * 1.0 + cr.exp(x), X)  # noqa: B002
    text, nodes = str(graph), graph.nodes
    run(graph)
    assert str(graph) == text and graph.nodes is nodes


def test_inputs_with_values_are_inputs_and_no_constants():
    x = leaf(np.array([1.0, 1.0]), tracked=True, name="x")
    graph = Graph([x], [cr.multiply(x, x)])
    for apply_pass in PASSES:
        after = apply_pass(graph)
        (y,) = after.verify().evaluate(np.array([3.0, 4.0]))
        assert y.tolist() == [9.0, 16.0]
        assert after.inputs[0].name == "x"
        assert after is graph or after.inputs[0].value is None  # what has nothing to do hands the graph on


def test_what_lies_behind_an_input_is_cut_off():
    x = symbol(Spec((), float64), "x")
    y = cr.exp(x)
    graph = rewrite(Graph([y], [cr.negative(y)]), lambda node: None)
    assert operations(graph) == "negative"


def test_outputs_may_be_inputs_constants_and_repeated():
    graph = cr.trace(lambda x: (x * 1.0, x, cr.tensor([1.0, 2.0]), cr.exp(x), cr.exp(x)), X)
    after, _ = run(graph)
    require_same(graph, after, [X])
    assert after.outputs[0] is after.outputs[1] is after.inputs[0]
    assert after.outputs[3] is after.outputs[4]


def test_unused_inputs_stay_and_unused_constants_go():
    graph = cr.trace(lambda x, y: (x * 1.0, y * 0.0 if x is None else x), X, X)
    after, _ = run(graph)
    assert [n.name for n in after.inputs] == ["x", "y"]
    assert len(after) == 2


def test_a_rule_must_keep_the_shape():
    graph = cr.trace(lambda x: cr.sum(x, axis=0), X)
    with pytest.raises(GraphError, match="was rewritten to"):
        rewrite(graph, lambda node: node.inputs[0])


def test_long_chains_need_no_recursion():
    x = symbol(Spec((), float64), "x")
    y = x
    for _ in range(20_000):
        y = apply(Negative, (y,))
    after = simplify(Graph([x], [y]))
    assert after.outputs == after.inputs
    y = x
    for i in range(5_000):
        y = scale(y, cr.astype(y > float(i), float64))
    assert "scale" not in operations(strong_zeros(Graph([x], [y])))


def test_derivatives_can_be_taken_of_what_passes_give():
    graph = cr.trace(lambda x: cr.sum((x * 1.0) ** 2), X)
    after, _ = run(graph)
    gradient = cr.grad(lambda x: after.rebuild(x)[0])(X)
    assert gradient.tolist() == (2 * X).tolist()


# Constants.


def test_equal_constants_become_one_and_others_stay():
    def f(x):
        return (
            x * np.array([1.0, 2.0, 3.0]) + np.array([1.0, 2.0, 3.0]),
            x * np.array([1.0, 2.0, -0.0]),
            x + 0.0,
        )

    after = duplicates(cr.trace(f, X))
    assert len(after.constants) == 3
    require_same(cr.trace(f, X), after, [X])


def test_constants_of_other_shapes_and_dtypes_stay():
    def f(x, y):
        return x + np.zeros(3), x + np.zeros((1, 3)), y + np.zeros(3, np.float32)

    graph = cr.trace(f, X, F)
    assert duplicates(graph) is graph


def test_large_constants_are_told_apart_by_identity():
    large = np.zeros(100_000)
    shared = constant(large)
    graph = cr.trace(lambda x: (x + shared) * (x + shared) + constant(large), large)
    after = duplicates(graph)
    assert operations(after) == "add multiply add"
    assert len(after.constants) == 2


def test_folding_makes_no_large_array_out_of_small_ones():
    number = leaf(2.0, tracked=True)
    rows = LARGE // 8 + 1
    graph = cr.trace(lambda x: x @ cr.broadcast_to(number, (rows, 1)), np.zeros((1, rows)))
    assert fold(graph) is graph
    small = cr.trace(lambda x: x @ cr.broadcast_to(number, (8, 1)), np.zeros((1, 8)))
    assert operations(fold(small)) == "matmul"


def test_folding_replaces_large_arrays_by_work_done_but_not_by_moves():
    weight = leaf(np.ones((600, 300)), tracked=True)
    assert weight.value.nbytes > LARGE
    moved = cr.trace(lambda x: x @ weight.T, np.zeros((2, 300)))
    assert fold(moved) is moved
    computed = cr.trace(lambda x: x @ cr.exp(weight), np.zeros((2, 600)))
    assert operations(fold(computed)) == "matmul"


def test_folded_constants_lie_row_major():
    weight = leaf(np.arange(6.0).reshape(2, 3), tracked=True)
    (folded,) = fold(cr.trace(lambda x: x @ weight.T, np.zeros((2, 3)))).constants
    assert folded.value.flags.c_contiguous
    assert folded.value.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_a_rule_sees_only_constants_as_constants():
    graph = cr.trace(lambda x: x * 1.0, 1.0)
    assert [engine.is_constant(n) for n in graph.nodes] == [
        n.op is None and n.value is not None for n in graph.nodes
    ]
    assert engine.number(constant(np.array([[0.0, -0.0]]))) is None
    assert engine.number(constant(np.array([np.nan, np.nan]))) is not None
    assert engine.number(constant(np.zeros(0))) is None
    assert engine.number(constant(np.broadcast_to(3, (4, 5)))) == 3


def test_a_replacement_takes_name_and_line():
    graph = cr.trace(lambda x: cr.exp(x), 1.0)
    node = graph.outputs[0]
    made = instead(node, Negative, node.inputs[0])
    assert (made.name, made.position, made.value) == (node.name, node.position, None)


# Bounds.


def bounds_of(f, *inputs):
    graph = cr.trace(f, *inputs)
    known = {}
    for node in graph.nodes:
        known[node] = bounds(node, [known.get(x) for x in node.inputs])
    return graph, [known[n] for n in graph.outputs]


BOUNDED = {
    "mask": lambda b, k: cr.astype(b, float64),
    "rounded": lambda b, k: cr.astype(cr.where(b, 0.1, 0.3), float32),
    "difference": lambda b, k: 3.0 - 2 * cr.astype(b, float64),
    "quotient": lambda b, k: cr.astype(b, float64) / (1.0 + cr.astype(b, float64)),
    "squares": lambda b, k: cr.square(cr.astype(b, float64) - 0.5) + cr.abs(cr.astype(b, float32) - 2),
    "where": lambda b, k: cr.where(b, -3.0, 7.0),
    "chain": lambda b, k: cr.sqrt(cr.exp(cr.tanh(cr.sigmoid(cr.astype(b, float64))))),
    "trigonometric": lambda b, k: cr.sin(cr.astype(b, float64) * 100) * cr.cos(cr.astype(b, float32)),
    "extrema": lambda b, k: cr.maximum(cr.astype(b, float64), 0.5) - cr.minimum(cr.astype(b, float64), 0.5),
    "sum": lambda b, k: cr.sum(cr.astype(b, float64), axis=1) - cr.mean(cr.astype(b, float64)),
    "moves": lambda b, k: cr.pad(cr.concat([cr.astype(b, float64).T, np.full((1, 2), 5.0)]) + 1, 1)[1:, ::-1],
    "absolute": lambda b, k: cr.abs(cr.where(b, 0.0, cr.where(cr.flip(b), -3.0, 5.0))),
    "uniform": lambda b, k: cr.random.uniform(k, (50,)) * 2 - 1,
    "normal": lambda b, k: cr.relu(cr.random.normal(k, (50,), dtype="float32")),
    "one_hot": lambda b, k: cr.one_hot(cr.astype(b, int64), 3) - 0.25,
    "reductions": lambda b, k: cr.max(cr.astype(b, float64), axis=0) * -cr.min(cr.astype(b, float64), axis=0),
}


@pytest.mark.parametrize("f", BOUNDED.values(), ids=BOUNDED)
def test_bounds_hold(f, rng):
    inputs = rng.random((2, 3)) < 0.5, rng.integers(0, 2**32, 2)
    graph, (found,) = bounds_of(f, *inputs)
    (value,) = graph.evaluate(*inputs)
    assert found is not None
    assert found.low <= float(value.min()) and float(value.max()) <= found.high
    assert found.high - found.low < 250


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: cr.sigmoid(x),
        lambda x: cr.astype(x > 0, float64) / cr.astype(x > 1, float64),
        lambda x: cr.exp(cr.astype(x > 0, float64) * 1000),
        lambda x: cr.sqrt(cr.astype(x > 0, float64) - 1),
        lambda x: cr.astype(x > 0, float64) * 1e29 * 1e29,
        lambda x: cr.where(x > 0, x, 0.0),
        lambda x: cr.mean(cr.astype(x[:0] > 0, float64)),
        lambda x: cr.log(cr.astype(x > 0, float64)),
        lambda x: cr.tensor([1.0, np.nan]) * 1.0,
        lambda x: cr.tensor([1.0, np.inf]) * 1.0,
    ],
)
def test_no_bounds_where_nothing_is_certain(f):
    assert bounds_of(f, X)[1] == [None]


def test_bounds_of_integers_are_those_of_their_dtype():
    assert bounds_of(lambda n: n + 1, I)[1] == [Bounds(float(-(2**63)), float(2**63))]
