"""Places of nodes, and formulas as trees."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chainrule.studio.drawing.layout import arrange
from chainrule.studio.drawing.mathtree import live, of_node, plain, tree


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 25))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] < p[1])
    edges = draw(st.lists(pairs, max_size=50)) if count > 1 else []
    return count, edges


@given(graphs())
def test_edges_lead_to_later_layers_and_nobody_stands_on_another(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    count, edges = drawn
    found = arrange(count, edges)
    assert len(found.places) == count
    for (a, b), bends in zip(edges, found.bends, strict=True):
        first, last = found.places[a][0], found.places[b][0]
        assert [layer for layer, _ in bends] == list(range(first + 1, last))
    by_layer: dict[int, list[float]] = {}
    for layer, across in found.places:
        assert 0 <= layer < found.layers
        assert 0 <= across <= found.breadth
        by_layer.setdefault(layer, []).append(across)
    for row in by_layer.values():
        assert all(b - a > 0.99 for a, b in itertools.pairwise(sorted(row)))


@given(graphs())
def test_the_same_graph_has_the_same_places(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    assert arrange(*drawn) == arrange(*drawn)


def test_a_symmetric_graph_is_drawn_symmetrically() -> None:
    found = arrange(6, [(0, 3), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5)])
    assert [across for _, across in found.places] == [0.0, 1.0, 2.0, 0.5, 1.5, 1.0]


def test_live_numbers_and_nodes_of_a_tree() -> None:
    latex = of_node(2, rf"{live('v0', -3.0)} \cdot {live('g1', -0.5, factor=True)}")
    assert tree(latex) == ["node", 2, ["mrow", ["num", "v0"], ["mo", "·"], ["num", "g1", "factor"]]]
    assert plain(latex) == r"{{-3} \cdot {\left(-0.5\right)}}"


def test_what_users_write_stays_text() -> None:
    assert tree(r"\mathrm{<script>}") == ["mi", "<script>"]
