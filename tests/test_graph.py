"""Graphs: every rule of `verify` broken on purpose, evaluation, names, text and data."""

from __future__ import annotations

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GraphError, OperandError, ShapeError
from chainrule.graph import Graph
from chainrule.node import leaf


def traced():
    def f(x, w, n):
        y = cr.tanh(x @ w)
        return y.sum(axis=0), cr.where(y > 0, y, 2.0 * y), cr.argmax(y, axis=1) + n

    values = np.linspace(-1, 1, 6).reshape(2, 3), np.linspace(-2, 1, 12).reshape(3, 4), 3
    return cr.trace(f, *values), values


def test_a_traced_graph_verifies():
    graph, _ = traced()
    assert graph.verify() is graph


def test_verify_finds_a_node_before_its_input():
    graph, _ = traced()
    graph.nodes = tuple(reversed(graph.nodes))
    with pytest.raises(GraphError, match="comes before one of its inputs"):
        graph.verify()


def test_verify_finds_a_missing_node():
    graph, _ = traced()
    graph.nodes = graph.nodes[1:]
    with pytest.raises(GraphError, match="comes before one of its inputs"):
        graph.verify()


def test_verify_finds_a_placeholder_that_is_no_input():
    graph, _ = traced()
    with pytest.raises(GraphError, match="has no value and is not an input"):
        Graph(graph.inputs[1:], graph.outputs).verify()


@pytest.mark.parametrize("wrong", [{"shape": (7,)}, {"dtype": np.dtype(np.float32)}], ids=str)
def test_verify_finds_a_node_that_disagrees_with_its_shape_rule(wrong):
    graph, _ = traced()
    (attribute, value), *_ = wrong.items()
    node = next(n for n in graph.nodes if n.op is not None and n.op.name == "tanh")
    setattr(node, attribute, value)
    with pytest.raises(GraphError, match=r"disagrees with its shape rule: float64\[2, 4\]"):
        graph.verify()


def test_evaluate_and_rebuild_give_the_same_bits():
    graph, values = traced()
    evaluated, rebuilt = graph.evaluate(*values), graph.rebuild(*values)
    assert len(evaluated) == len(rebuilt) == 3
    for a, b in zip(evaluated, rebuilt, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert a.tobytes() == b.array().tobytes()


def test_rebuild_leaves_out_what_is_skipped():
    graph = cr.trace(lambda x: cr.exp(cr.stop_gradient(x)) + x, 0.5)
    name = next(n.op.name for n in graph.nodes if n.op is not None and len(n.inputs) == 1)
    (y,) = graph.rebuild(0.5, skip=name)
    kept = Graph([], [y])
    assert name not in {n.op.name for n in kept.nodes if n.op is not None}
    assert y.item() == pytest.approx(np.exp(0.5) + 0.5)


def test_an_output_may_be_an_input_or_come_twice():
    graph = cr.trace(lambda x: (x, x * 2.0, x), 3.0).verify()
    assert [v.item() for v in graph.evaluate(4.0)] == [4.0, 8.0, 4.0]


def test_an_unused_input_stays():
    graph = cr.trace(lambda x, unused: x * 2.0, 3.0, 4.0)
    assert len(graph.inputs) == 2 and graph.inputs[1] in set(graph.nodes)
    assert [v.item() for v in graph.evaluate(1.0, 9.0)] == [2.0]


def test_arguments_must_fit():
    graph, values = traced()
    for use in (graph.evaluate, graph.rebuild):
        with pytest.raises(OperandError, match="expected 3 arguments"):
            use(*values[:2])
    with pytest.raises(ShapeError, match=r"expected float64\[2, 3\], got float64\[3, 2\]"):
        graph.evaluate(values[0].T, *values[1:])


def test_a_thousand_unnamed_nodes_have_distinct_names():
    y = x = leaf(np.ones(2), tracked=True)
    for _ in range(1_000):
        y = y * x
    graph = Graph([x], [y])
    names = graph.names()
    assert set(names) == set(graph.nodes) and len(graph) > 1_000
    assert len(set(names.values())) == len(graph)
    assert all(names.values())


def test_equal_names_are_told_apart():
    xs = [leaf(float(i), tracked=True, name="x") for i in range(50)]
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    names = Graph(xs, [total]).names()
    assert names[xs[0]] == "x"
    assert len({names[x] for x in xs}) == len(xs)
    assert len(set(names.values())) == len(names)


def test_a_name_given_by_the_user_is_not_taken_by_a_made_one():
    a, b = leaf(np.ones(2), tracked=True), leaf(np.ones(2), tracked=True)
    unnamed = Graph([a, b], [a * b]).names()
    taken = leaf(np.ones(2), tracked=True, name=unnamed[a])
    names = Graph([a, b, taken], [a * b * taken]).names()
    assert len(set(names.values())) == len(names)


def chain(n):
    y = x = leaf(1.0, tracked=True)
    for _ in range(n):
        y = y * x
    return Graph([x], [y])


def test_text_is_linear_in_the_number_of_nodes():
    """Twice the nodes, not quite twice as many lines, each a little longer for its number."""
    small, large = str(chain(1_000)), str(chain(2_000))
    assert small.count("\n") == 1_000 + 1 and large.count("\n") == 2_000 + 1
    assert len(large) < 2.2 * len(small)


def test_shared_nodes_are_written_once():
    """Forty doublings: 2^40 paths, 40 lines."""
    y = x = leaf(1.0, tracked=True)
    for _ in range(40):
        y = y + y
    assert str(Graph([x], [y])).count("\n") == 41


def test_text_names_every_node_that_it_uses():
    graph, _ = traced()
    head, *body, last = str(graph).splitlines()
    assert head.startswith("graph(") and last.startswith("  return ")
    defined = {line.split(" = ")[0].strip() for line in body}
    results = last.removeprefix("  return ").split(", ")
    assert set(results) <= defined


def test_data_is_json_and_refers_to_its_own_nodes():
    graph, _ = traced()
    data = json.loads(json.dumps(graph.to_dict()))
    assert data == graph.to_dict()
    assert [node["id"] for node in data["nodes"]] == list(range(len(graph)))
    assert [data["nodes"][i]["op"] for i in data["inputs"]] == ["input"] * 3
    assert len({node["name"] for node in data["nodes"]}) == len(graph)
    for node, original in zip(data["nodes"], graph.nodes, strict=True):
        assert all(i < node["id"] for i in node["inputs"])
        assert (tuple(node["shape"]), node["dtype"]) == (original.shape, original.dtype.name)
