"""The search for an order of elimination: never worse than what needs no search, and right about what it proves."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.autodiff import ordering
from chainrule.autodiff.annealing import Walk, anneal_stretches
from chainrule.autodiff.elimination import EliminationGraph, multiplications
from chainrule.autodiff.elimination_files import GraphFile
from chainrule.autodiff.ordering import Progress, markowitz, search
from chainrule.errors import ArgumentError
from small_graphs import random_graph

GRAPHS = Path(__file__).parent.parent / "graphs"
seeds = st.integers(0, 2**32)


def layered(layers: int, width: int, seed: int = 0) -> EliminationGraph:
    """Each vertex is computed from two of the layer before: a graph in which orders matter."""
    rng, edges = random.Random(seed), []
    for v in range(1, layers * width + 1):
        below = (v - 1) // width * width
        before = range(below - width + 1, below + 1) if below else range(-width, 0)
        edges += [(u, v) for u in rng.sample(before, 2)]
    last = range((layers - 1) * width + 1, layers * width + 1)
    return EliminationGraph.from_edges(width, layers * width, edges, last)


def least_of_all_orders(problem) -> int:
    return min(multiplications(problem, order) for order in itertools.permutations(problem.intermediates))


# --------------------------------------------------------------------------------------- against all orders


@given(seeds)
def test_what_is_called_optimal_is_the_best_of_all_orders(seed: int):
    g = random_graph(random.Random(seed), most=6)
    found = search(g, thorough=True)
    assert found.optimal
    assert found.multiplications == g.multiplications(found.order) == least_of_all_orders(g)


@given(seeds, st.integers(0, 300), st.integers(0, 2))
def test_bounds_hold_and_nothing_found_is_worse_than_what_needs_no_search(
    seed: int, moves: int, restarts: int
):
    g = random_graph(random.Random(seed), most=6)
    found = search(g, moves=moves, restarts=restarts, thorough=bool(seed % 2))
    assert found.at_least <= least_of_all_orders(g) <= found.multiplications
    assert found.multiplications == g.multiplications(found.order)
    if found.by not in ("one output: reverse", "one input: forward", "nothing to eliminate"):
        assert found.multiplications <= min(found.tried.values())
        assert found.tried.keys() == {"forward", "reverse", "markowitz"}
        assert found.tried["forward"] == g.multiplications(g.intermediates)
        assert found.tried["reverse"] == g.multiplications(g.intermediates[::-1])


@given(seeds)
def test_markowitz_takes_the_cheapest_vertex_at_each_step(seed: int):
    g = random_graph(random.Random(seed), most=12)
    made = markowitz(g)
    assert made is not None
    order, cost = made
    state, left = g.start(), list(g.intermediates)
    for v in order:
        assert v == min(left, key=state.cost)  # of several the first
        state.eliminate(v)
        left.remove(v)
    assert not left
    assert cost == g.multiplications(order)


@pytest.mark.parametrize("kept", [20, 1_000_000])
def test_a_walk_knows_its_cost_after_every_move(monkeypatch: pytest.MonkeyPatch, kept: int):
    """Also where not every state between its steps is kept."""
    monkeypatch.setattr("chainrule.autodiff.annealing.KEPT", kept)
    g, rng = layered(5, 4), random.Random(0)
    least = {v: g.lower_bound(v) for v in g.intermediates}
    walk = Walk(g.start(), g.intermediates, least)
    moved = 0
    for k in range(600):
        i = rng.randrange(len(walk.order))
        j = walk.later(i, rng.random) if k % 2 else walk.earlier(i, rng.random)
        before, cost = list(walk.order), walk.cost
        if walk.move(i, j, 2.0):
            moved += walk.order != before
            assert walk.cost <= cost + 2.0
        else:
            assert (walk.order, walk.cost) == (before, cost)
        assert walk.cost == g.multiplications(walk.order) - sum(least.values())
    assert moved > 50


# ------------------------------------------------------------------------------------------ published graphs


@pytest.mark.parametrize(("name", "goal"), [("RoeFlux_1d", 295), ("RobotArm_6DOF", 221)])
def test_orders_of_published_graphs_are_better_than_the_learned_ones(name: str, goal: int):
    file = GraphFile.read(GRAPHS / f"{name}.json")
    found = search(file.graph, seconds=math.inf)
    assert (
        file.graph.multiplications(found.order) == found.multiplications <= goal < file.published["alphagrad"]
    )
    assert found.by == "annealing"
    assert not found.stopped
    assert found.optimal == (name == "RobotArm_6DOF")  # there the bound is reached
    assert found.tried["markowitz"] == file.published["markowitz"] or name == "RoeFlux_1d"


def test_the_same_search_finds_the_same_order():
    g = layered(8, 5)
    first, again = (search(g, seconds=math.inf, moves=2_000, seed=3) for _ in range(2))
    assert first == again
    assert first.multiplications < min(first.tried.values())


def test_parts_that_do_not_touch_are_searched_on_their_own():
    one = layered(4, 3)
    twice = [*one.edges, *((a - 3 if a < 0 else a + 12, b + 12) for a, b in one.edges)]
    two = EliminationGraph.from_edges(6, 24, twice, [*one.outputs, *(v + 12 for v in one.outputs)])
    alone, both = search(one), search(two)
    assert alone.optimal
    assert both.optimal
    assert both.multiplications == 2 * alone.multiplications


# ---------------------------------------------------------------------------------- what needs no search


def test_one_output_is_reverse_and_not_searched():
    edges = [(-1, 1), (-2, 1), (1, 2), (1, 3), (2, 4), (3, 4)]
    found = search(EliminationGraph.from_edges(2, 4, edges, outputs=(4,)), moves=10**9, seconds=math.inf)
    assert (found.by, found.order, found.multiplications) == ("one output: reverse", (3, 2, 1), 4)
    assert found.at_least == 4
    assert found.optimal


def test_one_input_is_forward_and_not_searched():
    edges = [(-1, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5), (4, 6)]
    found = search(EliminationGraph.from_edges(3, 6, edges, outputs=(5, 6)))
    assert (found.by, found.order) == ("one input: forward", (1, 2, 3, 4))


def test_one_output_is_searched_if_asked_for():
    """Two ways from one input to one of two factors: forward first is one multiplication less."""
    edges = [(-1, 1), (-1, 2), (1, 3), (2, 3), (3, 4), (-2, 4)]
    g = EliminationGraph.from_edges(2, 4, edges, outputs=(4,))
    assert search(g).multiplications == 4
    found = search(g, thorough=True)
    assert found.multiplications == 3
    assert found.optimal


def test_nothing_to_eliminate():
    found = search(EliminationGraph.from_edges(1, 1, [(-1, 1)], outputs=(1,)))
    assert (found.order, found.multiplications, found.optimal) == ((), 0, True)
    assert found.by == "nothing to eliminate"
    assert search(EliminationGraph.from_edges(0, 0, [], [])).order == ()


# ------------------------------------------------------------------------------------------------- limits


def test_a_search_stops_at_its_time_with_the_best_so_far():
    g = layered(40, 10)
    found = search(g, moves=10**12, seconds=0.5)
    assert found.stopped
    assert g.multiplications(found.order) == found.multiplications <= min(found.tried.values())
    assert found.at_least <= found.multiplications


def test_a_search_without_time_has_an_order_all_the_same():
    g = layered(40, 10)
    found = search(g, seconds=1e-9)
    assert found.stopped
    assert g.multiplications(found.order) == found.multiplications
    assert found.by == "reverse"


def test_large_graphs_are_eliminated():
    g = layered(500, 6)
    found = search(g, seconds=2.0)
    assert sorted(found.order) == list(g.intermediates)
    assert len(found.order) > 2_500
    assert found.multiplications <= min(found.tried.values())


def test_long_orders_are_searched_a_stretch_at_a_time():
    g = layered(60, 8)
    least = {v: g.lower_bound(v) for v in g.intermediates}
    order = anneal_stretches(g.start(), g.intermediates, least, seed=0, rounds=2, left=lambda _: math.inf)
    assert g.multiplications(order) < 0.9 * g.multiplications(g.intermediates)
    assert anneal_stretches(g.start(), order, least, seed=0, rounds=2, left=lambda _: 0.0) == order


@given(seeds)
def test_a_part_of_a_state_costs_what_it_costs_in_the_whole(seed: int):
    rng = random.Random(seed)
    g = random_graph(rng)
    order = rng.sample(g.intermediates, len(g.intermediates))
    low, high = sorted(rng.randint(0, len(order)) for _ in range(2))
    whole = g.start()
    for v in order[:low]:
        whole.eliminate(v)
    some = order[low:high]
    part = whole.part(some)
    rng.shuffle(some_again := list(range(len(some))))
    for k in some_again:
        assert part.cost(k) == whole.cost(some[k])
        assert {some[i] for i in part.neighbours(k)} == {*whole.neighbours(some[k])} & {*some}
        assert part.eliminate(k) == whole.eliminate(some[k])


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ordering, "PAUSE", 0.01)
    told: list[Progress] = []
    found = search(layered(12, 6), moves=20_000, restarts=1, progress=told.append)
    assert told
    costs = [p.multiplications for p in told]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] >= found.multiplications
    assert {p.at_least for p in told} == {found.at_least}
    assert [p.seconds for p in told] == sorted(p.seconds for p in told)


def test_an_interrupt_passes_through():
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(layered(20, 8), moves=10**12, seconds=3600, progress=interrupt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0}, "seconds: expected a number above 0, got 0"),
        ({"seconds": math.nan}, "seconds: expected a number above 0, got nan"),
        ({"seconds": "10"}, "seconds: expected a number above 0, got '10'"),
        ({"moves": -1}, "moves: expected a whole number, 0 or more, got -1"),
        ({"restarts": 1.5}, "restarts: expected a whole number, 0 or more, got 1.5"),
        ({"seed": None}, "seed: expected a whole number, 0 or more, got None"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message: str):
    with pytest.raises(ArgumentError) as caught:
        search(layered(2, 2), **arguments)
    assert caught.value.message == message
    assert caught.value.fix
