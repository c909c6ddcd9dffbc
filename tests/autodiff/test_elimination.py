"""Graphs of vertex elimination: what an order costs, what is refused, and files that hold graphs."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.autodiff.elimination import EliminationGraph
from chainrule.autodiff.elimination_files import GraphFile
from chainrule.errors import ArgumentError, DataError, StructureError
from small_graphs import random_graph

GRAPHS = Path(__file__).parent.parent / "graphs"
seeds = st.integers(0, 2**32)


def diamond() -> EliminationGraph:
    return EliminationGraph.from_edges(
        2, 5, [(-1, 1), (-2, 1), (1, 2), (1, 3), (2, 4), (3, 5)], outputs=(4, 5)
    )


@pytest.mark.parametrize(
    ("name", "published"),
    [("RoeFlux_1d", {"forward": 620, "reverse": 364}), ("RobotArm_6DOF", {"forward": 397, "reverse": 301})],
)
def test_the_fixed_orders_of_published_graphs_take_what_was_published(name: str, published: dict[str, int]):
    file = GraphFile.read(GRAPHS / f"{name}.json")
    inner = file.graph.intermediates
    assert file.name == name
    assert file.graph.multiplications(inner) == file.published["forward"] == published["forward"]
    assert file.graph.multiplications(inner[::-1]) == file.published["reverse"] == published["reverse"]


@given(seeds)
def test_what_is_left_does_not_depend_on_the_order(seed: int):
    rng = random.Random(seed)
    g = random_graph(rng)
    some = rng.sample(g.intermediates, rng.randint(0, len(g.intermediates)))
    left = [v for v in g.intermediates if v not in some]
    states = []
    for _ in range(2):
        state = g.start()
        for v in some:
            state.eliminate(v)
        states.append([(state.cost(v), sorted(state.neighbours(v))) for v in left])
        rng.shuffle(some)
    assert states[0] == states[1]


@given(seeds)
def test_multiplications_are_those_of_products_of_edges(seed: int):
    """Against elimination on numbers: the Jacobian is right, and each product of two edges is counted once."""
    rng = random.Random(seed)
    g = random_graph(rng)
    edges = {edge: rng.uniform(-1, 1) for edge in g.edges}
    jacobian = total_derivatives(g, edges)
    order = rng.sample(g.intermediates, len(g.intermediates))
    made = 0
    for v in order:
        into = [(a, x) for (a, b), x in edges.items() if b == v]
        out = [(b, x) for (a, b), x in edges.items() if a == v]
        for (a, x), (b, y) in itertools.product(into, out):
            edges[a, b] = edges.get((a, b), 0.0) + x * y
            made += 1
        for b, _ in out:
            del edges[v, b]
        if v not in g.outputs:
            for a, _ in into:
                del edges[a, v]
    assert made == g.multiplications(order)
    assert edges.keys() <= {(-1 - i, o) for i in range(g.inputs) for o in g.outputs}
    for (a, b), x in jacobian.items():
        assert np.isclose(edges.get((a, b), 0.0), x, atol=1e-9)


def total_derivatives(
    g: EliminationGraph, edges: dict[tuple[int, int], float]
) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for i in range(-g.inputs, 0):
        moved = {i: 1.0}
        for v in range(1, g.vertices + 1):
            moved[v] = sum(moved.get(a, 0.0) * x for (a, b), x in edges.items() if b == v)
        found |= {(i, o): moved[o] for o in g.outputs}
    return found


@given(seeds)
def test_no_order_takes_less_than_the_bound(seed: int):
    rng = random.Random(seed)
    g = random_graph(rng)
    least = {v: g.lower_bound(v) for v in g.intermediates}
    for _ in range(5):
        state = g.start()
        for v in rng.sample(g.intermediates, len(least)):
            assert 1 <= least[v] <= state.eliminate(v)


def test_what_is_on_no_path_is_not_eliminated():
    edges = [(-1, 1), (1, 2), (3, 4), (1, 5), (4, 5)]  # 2 leads nowhere, 3 and 4 come from nowhere
    g = EliminationGraph.from_edges(2, 5, edges, outputs=(4, 5))
    assert g.edges == ((-1, 1), (1, 5))
    assert (g.intermediates, g.outputs, g.input_size, g.output_size) == ((1,), (5,), 1, 1)


def test_an_output_that_is_used_further_is_eliminated_and_stays():
    g = EliminationGraph.from_edges(2, 3, [(-1, 1), (-2, 1), (1, 2), (2, 3)], outputs=(2, 3))
    assert g.intermediates == (1, 2)
    assert g.multiplications((2, 1)) == 1 + 2 * 2
    assert g.multiplications((1, 2)) == 2 + 2


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((1, 2), "order: 3 is missing"),
        ((1,), "order: 2, 3 are missing"),
        ((1, 2, 3, 2), "order: 2 occurs twice"),
        ((1, 2, 3, 4), "order: 4 is no vertex to be eliminated"),
        ((1, 2, True), "order: True is no vertex to be eliminated"),
    ],
)
def test_an_order_must_have_each_vertex_once(order: tuple[int, ...], message: str):
    with pytest.raises(ArgumentError) as caught:
        diamond().multiplications(order)
    assert caught.value.message == message
    assert caught.value.fix == "pass each of the 3 vertices to be eliminated once"


@pytest.mark.parametrize(
    ("inputs", "vertices", "edges", "outputs", "message"),
    [
        (1, 2, [(-1, 1), (2, 1)], [1], "edge 2 -> 1 leads back"),
        (1, 2, [(1, 1)], [1], "edge 1 -> 1 leads back"),
        (1, 2, [(-2, 1)], [1], "edge -2 -> 1: expected"),
        (1, 2, [(0, 1)], [1], "edge 0 -> 1: expected"),
        (1, 2, [(1, 3)], [1], "edge 1 -> 3: expected"),
        (1, 2, [(1, -1)], [1], "edge 1 -> -1: expected"),
        (1, 2, [(-1, 1)], [3], "output 3: expected"),
        (1, 2, [(-1, 1)], [-1], "output -1: expected"),
        (-1, 2, [], [], "a graph of -1 inputs"),
        (1, 10**9, [], [], "a graph of 1 inputs and 1000000000 vertices"),
    ],
)
def test_what_is_no_graph_is_refused(inputs, vertices, edges, outputs, message: str):
    with pytest.raises(StructureError, match=message) as caught:
        EliminationGraph.from_edges(inputs, vertices, edges, outputs)
    assert caught.value.fix


# ------------------------------------------------------------------------------------------------- programs


def test_a_program_of_numbers_becomes_a_graph():
    def f(a, b):
        t = a * b
        return cr.sin(t) * t, cr.exp(t), cr.floor(t) * a

    g = EliminationGraph.from_graph(cr.trace(f, 1.0, 2.0))
    # t, sin t, sin t * t, exp t, floor t (no derivative), floor t * a
    assert g.edges == ((-2, 1), (-1, 1), (1, 2), (1, 3), (2, 3), (1, 4), (-1, 6))
    assert (g.intermediates, g.outputs) == ((1, 2), (3, 4, 6))


def test_reverse_mode_of_a_program_with_one_result_multiplies_once_for_each_edge():
    g = EliminationGraph.from_graph(cr.trace(lambda a, b: cr.exp(a * b) * cr.sin(a), 1.0, 2.0))
    inner = set(g.intermediates)
    assert g.multiplications(g.intermediates[::-1]) == sum(b in inner for _, b in g.edges)


def test_an_input_as_a_result_needs_no_elimination():
    g = EliminationGraph.from_graph(cr.trace(lambda a: (a, cr.sin(a)), 1.0))
    assert (g.intermediates, g.outputs) == ((), (1,))


def test_arrays_are_no_single_numbers():
    with pytest.raises(ArgumentError, match="holds 3 numbers") as caught:
        EliminationGraph.from_graph(cr.trace(lambda x: cr.sin(x), np.ones(3)))
    assert "cr.jacobian" in str(caught.value.fix)


# ---------------------------------------------------------------------------------------------------- files


@given(seeds)
def test_a_file_gives_the_graph_back(tmp_path_factory: pytest.TempPathFactory, seed: int):
    path = tmp_path_factory.getbasetemp() / "graph.json"
    file = GraphFile("some", random_graph(random.Random(seed)), {"alphagrad": 7})
    file.write(path)
    assert GraphFile.read(path) == file


GOOD = {"inputs": 1, "equations": 2, "edges": [[-1, 1], [1, 2]], "outputs": [2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "the file: expected an object, got []"),
        ('{"inputs": 1' + "0" * 5000 + "}", "no JSON"),
        (json.dumps(GOOD | {"inputs": True}), "inputs: expected a whole number, got True"),
        (json.dumps(GOOD | {"inputs": 1.0}), "inputs: expected a whole number, got 1.0"),
        (json.dumps(GOOD | {"inputs": 10**30}), "expected 0 to 20000 in all"),
        (json.dumps(GOOD | {"equations": -1}), "expected 0 to 20000 in all"),
        (json.dumps(GOOD | {"edges": {}}), "edges: expected a list, got {}"),
        (json.dumps(GOOD | {"edges": [[-1, 1], [1]]}), "edges[1]: expected [from, to], got [1]"),
        (json.dumps(GOOD | {"edges": [[-1, "1"]]}), "edges[0]: expected a whole number, got '1'"),
        (json.dumps(GOOD | {"edges": [[1, 2], [2, 1]]}), "edge 2 -> 1 leads back: it closes a cycle"),
        (json.dumps(GOOD | {"edges": [[1, 7]]}), "edge 1 -> 7"),
        (json.dumps(GOOD | {"outputs": [9]}), "output 9"),
        (json.dumps(GOOD | {"outputs": 2}), "outputs: expected a list, got 2"),
        (json.dumps(GOOD | {"name": 3}), "name: expected text, got 3"),
        (
            json.dumps(GOOD | {"published_multiplications": [1]}),
            "published_multiplications: expected an object",
        ),
        (json.dumps({k: v for k, v in GOOD.items() if k != "outputs"}), "outputs is missing"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "graph.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        GraphFile.read(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(str(path))
    assert caught.value.fix


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match="No such file"):
        GraphFile.read(tmp_path / "none.json")
    with pytest.raises(DataError, match="No such file"):
        GraphFile("some", diamond()).write(tmp_path / "none" / "graph.json")
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match="no JSON"):
        GraphFile.read(tmp_path / "picture.json")
