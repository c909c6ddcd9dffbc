"""The ledger of dynamic programming: multiplications with deltas reused, and path by path."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr


def variable(value, name):
    return cr.tensor(value, requires_grad=True, name=name)


def by_paths(explanation, variable):
    """The gradient path by path, and the multiplications that it took: every path is walked on its own."""
    products, multiplications = [], 0
    stack = [(len(explanation.nodes) - 1, 1.0, 0)]
    goal = next(n.index for n in explanation.nodes if n.name == variable)
    while stack:
        at, product, made = stack.pop()
        if at == goal:
            products.append(product)
            multiplications += made
        stack += [(e.input, product * e.local, made + 1) for e in explanation.nodes[at].edges]
    return sum(products), multiplications, len(products)


def by_deltas(explanation):
    """All gradients with each delta computed once, and the multiplications that it took."""
    deltas, multiplications = {len(explanation.nodes) - 1: 1.0}, 0
    for node in reversed(explanation.nodes):
        for edge in node.edges:
            deltas[edge.input] = deltas.get(edge.input, 0.0) + deltas[node.index] * edge.local
            multiplications += 1
    return {explanation.nodes[i].name: delta for i, delta in deltas.items()}, multiplications


def random_graph(steps):
    nodes = [variable(0.5, "x"), variable(-1.25, "y"), variable(2.0, "u")]
    for sign, i, j in steps:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        nodes.append(a + b if sign == "+" else cr.sin(a) if sign == "s" else a * b)
    return nodes[-1] + nodes[0] * nodes[1]


@given(
    st.lists(
        st.tuples(st.sampled_from("+s*"), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9
    )
)
def test_the_ledger_counts_what_is_multiplied(steps):
    explanation = cr.explain(random_graph(steps))
    ledger = explanation.ledger
    deltas, reused = by_deltas(explanation)
    assert ledger.reused == reused == explanation.modes.reverse.products
    separate = 0
    for entry in ledger.entries:
        gradient, made, paths = by_paths(explanation, entry.variable)
        assert (entry.separate, entry.paths) == (made, paths)
        assert gradient == pytest.approx(deltas[entry.variable], rel=1e-9, abs=1e-12)
        assert entry.reused == cr.explain(explanation_alone(explanation, entry.variable)).ledger.reused
        separate += made
    assert ledger.separate == separate
    assert {r.name: r.uses for r in ledger.reuses} == {
        n.name: len(n.edges) for n in explanation.nodes[:-1] if len(n.edges) > 1
    }


def explanation_alone(explanation, variable):
    """The same computation with all other variables held constant."""
    made = {}
    for node in explanation.nodes:
        inputs = [made[i] for i in node.inputs]
        if not inputs:
            made[node.index] = cr.tensor(
                node.value, requires_grad=node.name == variable, name=node.name or None
            )
        else:
            made[node.index] = getattr(cr, node.op)(*inputs)
    return made[len(explanation.nodes) - 1]


def test_the_article():
    ledger = cr.explain(cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4)).ledger
    assert (ledger.reused, ledger.separate, ledger.ratio) == (6, 8, 8 / 6)
    assert [(e.variable, e.paths, e.reused, e.separate) for e in ledger.entries] == [
        ("a", 1, 2, 2), ("b", 2, 4, 4), ("c", 1, 2, 2),
    ]  # fmt: skip
    assert [(r.name, r.uses, r.below) for r in ledger.reuses] == [("y", 2, ("b", "c")), ("x", 2, ("a", "b"))]


def test_counts_of_many_paths_are_exact():
    x = variable(2.0, "x")
    y = x
    for _ in range(50):
        y = y * 0.75 + y * 0.5
    explanation = cr.explain(y, x)
    assert (explanation.ledger.reused, explanation.ledger.separate) == (200, 100 * 2**50)
    data = json.loads(json.dumps(explanation.to_dict()))["ledger"]
    assert (data["reused"], data["separate"]) == (200, str(100 * 2**50))
    assert "path by path: 112,589,990,684,262,400 (5.63·10¹⁴ times as many)" in explanation.text


def test_beyond_counting():
    x = variable(1.0, "x")
    y = x
    for _ in range(1_500):
        y = (y + y) * 0.5
    explanation = cr.explain(y, x)
    assert (explanation.ledger.reused, explanation.ledger.separate, explanation.ledger.ratio) == (
        4500,
        None,
        None,
    )
    assert "4,500 multiplications; path by path: more than 10³⁰⁰." in explanation.text
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_edges_between_arrays_cost_their_products():
    n, i, j = 5, 4, 3
    x, w, b = np.ones((n, i)), variable(np.ones((i, j)), "w"), variable(np.ones(j), "b")
    h = variable(np.ones((j, 2)), "h")
    loss = cr.sum(cr.tanh(x @ w + b) @ h)
    ledger = cr.explain(loss).ledger
    into_sum, into_tanh = n * 2, n * j
    product, back = n * j * 2, n * i * j
    add = 2 * n * j
    assert ledger.reused == into_sum + 2 * product + into_tanh + add + back
    above = into_sum + product + into_tanh + n * j
    assert {e.variable: e.separate for e in ledger.entries} == {
        "w": above + back, "b": above, "h": into_sum + product,
    }  # fmt: skip


def test_moving_numbers_counts_one_for_each_that_is_carried():
    v = variable(np.arange(6.0), "v")
    cases = [
        (cr.sum(v), 6),
        (v[2] * 1.0, 1 + 1),
        (cr.sum(cr.reshape(v, (2, 3))), 6 + 6),
        (cr.sum(cr.concat([v, v])), 12 + 6 + 6),
        (
            cr.sum(cr.conv2d(cr.tensor(np.ones((1, 5, 5, 2))), variable(np.ones((3, 3, 2, 4)), "k"))),
            36 + 36 * 18,
        ),
    ]
    assert [cr.explain(y).ledger.reused for y, _ in cases] == [count for _, count in cases]


def test_nothing_is_said_where_nothing_is_shared():
    assert "path by path" not in cr.explain(cr.formula("2*x")(x=1)).text
