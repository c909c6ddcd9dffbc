"""Figures, which Python writes, follow the same rules as the page, which draws in JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chainrule.studio.exporting.figure import figure_of
from chainrule.studio.exporting.moments import moment_at
from studio_formulas import FORMULAS

OF_THE_PAGE = """async trace => {
  const { snapshotAt } = await import('/js/formula/snapshot.js');
  const { makeNumbers } = await import('/js/formula/sweep.js');
  const numbers = makeNumbers(trace);
  const found = {};
  for (const mode of ['reverse', 'forward'])
    found[mode] = (trace.events[mode] ?? []).map((_, step) => {
      const at = snapshotAt(trace, numbers, mode, step);
      const gradients = [...at.gradients].map(([node, x]) => [node, String(x)]);
      return { valued: [...at.valued], flowed: [...at.flowed], gradients };
    });
  return found;
}"""
ROADS_OF_THE_PAGE = """async ({ edges, boxes, places }) => {
  const { roadsOf, pillParts, pointOnRoad } = await import('/js/formula/roads.js');
  const at = (layer, across) => ({ x: places.left + layer * places.along, y: places.top + across * places.apart });
  const stage = { level: places.level, vertical: false, unit: 1, boxes, at };
  const roads = roadsOf(edges, stage);
  const active = roads.filter(road => road.edge.active);
  const parts = pillParts(active, boxes, places.pill);
  return { roads: roads.map(road => road.pieces), pills: active.map((road, i) => pointOnRoad(road, parts[i])) };
}"""


@pytest.mark.parametrize("name", FORMULAS)
def test_moments_are_those_of_the_page(open_page: Callable[..., Any], name: str):
    trace = FORMULAS[name].to_dict()
    found = open_page().evaluate(OF_THE_PAGE, trace)
    for mode in ("reverse", "forward"):
        for step, page in enumerate(found[mode]):
            moment = moment_at(trace, step, mode)
            assert moment.valued == set(page["valued"])
            assert moment.flowed == set(page["flowed"])
            gradients = {node: float(text) for node, text in page["gradients"]}
            assert gradients == pytest.approx(moment.gradients, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", FORMULAS)
def test_roads_and_pills_run_as_on_the_page(open_page: Callable[..., Any], name: str):
    trace = FORMULAS[name].to_dict()
    figure = figure_of(trace)
    boxes = [
        {"x": card.box.x, "y": card.box.y, "w": card.box.width, "h": card.box.height} for card in figure.cards
    ]
    edges = [
        *({**edge, "active": True} for edge in trace["edges"]),
        *({**wire, "active": False} for wire in trace["wires"]),
    ]
    if not edges:
        return
    grid = figure.grid
    wide, high = grid.pill
    places = {
        "left": grid.left,
        "top": grid.top,
        "along": grid.along,
        "apart": grid.apart,
        "level": int(figure.small),
        "pill": {"width": wide, "height": high},
    }
    given = {"edges": edges, "boxes": boxes, "places": places}
    page = open_page().evaluate(ROADS_OF_THE_PAGE, given)
    for road, pieces in zip(figure.roads, page["roads"], strict=True):
        for cubic, piece in zip(road.curve.lane(0.0), pieces, strict=True):
            assert [x for point in cubic for x in point] == pytest.approx(piece, abs=0.05)
    for pill, at in zip(figure.pills, page["pills"], strict=True):
        assert pill.at == pytest.approx((at["x"], at["y"]), abs=0.05)
