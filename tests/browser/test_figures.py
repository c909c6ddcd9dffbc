"""Figures, which Python writes, follow the same rules as the page, which draws in JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest
from chainrule.studio.exporting.figure import figure_of
from chainrule.studio.exporting.moments import moment_at
from chainrule.studio.exporting.network_figure import Places, network_figure, short_text
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
def test_moments_are_those_of_the_page(scripts: Any, name: str):
    trace = FORMULAS[name].to_dict()
    found = scripts.evaluate(OF_THE_PAGE, trace)
    for mode in ("reverse", "forward"):
        for step, page in enumerate(found[mode]):
            moment = moment_at(trace, step, mode)
            assert moment.valued == set(page["valued"])
            assert moment.flowed == set(page["flowed"])
            gradients = {node: float(text) for node, text in page["gradients"]}
            assert gradients == pytest.approx(moment.gradients, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", FORMULAS)
def test_roads_and_pills_run_as_on_the_page(scripts: Any, name: str):
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
    page = scripts.evaluate(ROADS_OF_THE_PAGE, given)
    for road, pieces in zip(figure.roads, page["roads"], strict=True):
        for cubic, piece in zip(road.curve.lane(0.0), pieces, strict=True):
            assert [x for point in cubic for x in point] == pytest.approx(piece, abs=0.05)
    for pill, at in zip(figure.pills, page["pills"], strict=True):
        assert pill.at == pytest.approx((at["x"], at["y"]), abs=0.05)


PLACES_OF_THE_PAGE = """async ({ sizes, room }) => {
  const { diagramPlaces } = await import('/js/network/places.js');
  const { level, width, height, x, y, roads } = diagramPlaces(sizes, room, 1);
  const units = sizes.flatMap((n, l) => Array.from({ length: n }, (_, k) => [x(l), y(l, k)]));
  return { level, width, height, units, roads: roads.map(r => [r.layer, r.from, r.to, r.x0, r.y0, r.x1, r.y1]) };
}"""
SHORT_ON_THE_PAGE = """async ({ numbers, room }) => {
  const { shortNumber } = await import('/js/network/short.js');
  return numbers.map(x => shortNumber(x, room));
}"""


@pytest.mark.parametrize("room", [300, 471, 815, 2000])
@pytest.mark.parametrize("sizes", [[2, 1], [2, 5, 3, 1], [1, 8, 8, 1], [2, 16, 16, 3], [1, 10]])
def test_networks_are_laid_out_as_on_the_page(scripts: Any, sizes: list[int], room: int):
    page = scripts.evaluate(PLACES_OF_THE_PAGE, {"sizes": sizes, "room": room})
    places = Places.of(sizes, room)
    assert (places.level, places.width, places.height) == (page["level"], page["width"], page["height"])
    units = [(places.x(layer), places.y(layer, k)) for layer, n in enumerate(sizes) for k in range(n)]
    assert units == [pytest.approx(at) for at in page["units"]]
    for layer, start, end, *ends in page["roads"]:
        assert places.road(layer, start, end) == pytest.approx(ends)


def test_numbers_of_units_are_short_as_on_the_page(scripts: Any):
    numbers = [0.0, 1.0, -1.0, 0.154, -0.00287, 12345.678, -98765.4, 9.25e-4, -6.8e-5, 3.1e-7, 1e9, -0.99996]
    for room in (4, 6, 8):
        found = scripts.evaluate(SHORT_ON_THE_PAGE, {"numbers": numbers, "room": room})
        assert found == [short_text(x, room) for x in numbers]


def test_a_figure_of_a_network_is_the_network_on_the_page(open_page: Callable[..., Any]):
    page = open_page("#/network?at=30")
    at_rest(page, 30)
    session = page.locator("a:has-text('{ } JSON')").get_attribute("href").split("/")[3]
    frame = page.evaluate("id => fetch(`/api/network/${id}/frame`).then(a => a.json())", session)
    figure = network_figure(frame, "both", page.locator(".net-scroll").evaluate("e => e.clientWidth"))
    net = page.locator(".net").bounding_box()
    for unit, drawn in zip(figure.units, page.locator(".unit").all(), strict=True):
        expect(drawn).to_have_attribute("aria-label", unit.said)
        expect(drawn.locator(".reg")).to_have_text([text for text in (unit.value, unit.delta) if text])
        box = drawn.bounding_box()
        assert box["x"] + box["width"] / 2 - net["x"] == pytest.approx(unit.box.x, abs=0.1)
        assert box["y"] + box["height"] / 2 - net["y"] == pytest.approx(unit.box.y, abs=0.1)
        assert box["width"] == pytest.approx(unit.box.width, abs=0.1)
