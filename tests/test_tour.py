"""The tour, and article 001's network: deltas and gradients against its formulas and against differences."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

import chainrule as cr
from chainrule.cli import main
from chainrule.explain import explain
from chainrule.tour import Check, Stop, formulas, take_tour
from chainrule.tour.network import TEXT, VALUES, WEIGHTS, by_the_articles_formulas, central_difference
from chainrule.tour.stop import show_stop


@pytest.fixture(scope="module")
def tour():
    file = io.StringIO()
    return take_tour(Console(file=file, width=80)), file.getvalue()


def test_every_number_agrees(tour):
    report, shown = tour
    wrong = [(stop.title, check) for stop in report.stops for check in stop.checks if not check.agrees]
    assert wrong == []
    assert report.agrees
    assert report.finished.test_accuracy > 0.95
    assert re.search(r"All \d+ numbers agree\.", shown)


def test_the_articles_numbers_are_held_against_computed_ones(tour):
    report, _ = tour
    said = {(stop.article, check.what, check.expected) for stop in report.stops for check in stop.checks}
    assert {
        ("000", "f", 14.0),
        ("000", "∂f/∂b", 9.0),
        ("000", "∂f/∂b through x", 7.0),
        ("000", "∂f/∂b through y", 2.0),
        ("000", "ratio of sweeps", 3.0),
        ("000", "∂f/∂y", -2.0),
        ("002", "g(1)", 25.0),
        ("002", "∂g/∂x", 40.0),
        ("003", "∂f/∂x", -6.0),
        ("003", "from the loss", 535_040.0),
    } <= said
    assert {stop.article for stop in report.stops} == {"000", "001", "002", "003"}


def test_slips_are_said(tour):
    _, shown = tour
    words = " ".join(shown.split())
    for part in ("60,192,808", "It is reverse mode", "a2·w6", "one node for it"):
        assert part in words


def test_it_fits_eighty_columns(tour):
    _, shown = tour
    assert max(map(len, shown.splitlines())) <= 80


def test_it_fits_sixty_columns_and_checks_stay_on_one_line(tour):
    report, _ = tour
    for stop in report.stops:
        file = io.StringIO()
        show_stop(stop, Console(file=file, width=60))
        lines = file.getvalue().splitlines()
        assert max(map(len, lines)) <= 60
        checks = [line for line in lines if line.startswith("  ✓ ")]
        assert len(checks) == len(stop.checks)
        assert len({len(line) for line in checks}) == 1


def test_it_begins_with_its_articles(tour):
    report, shown = tour
    words = " ".join(shown.partition("1 of 11")[0].split())
    for number, title in report.to_dict()["articles"].items():
        assert f"{number} {title}" in words
    assert "Slip: marks a statement of an article that is wrong" in words


def test_as_json(tour):
    report, _ = tour
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["agrees"] is True
    assert len(data["stops"]) == 10
    assert data["training"]["event"] == "Finished"


def test_a_number_that_differs_is_shown_and_fails(monkeypatch: pytest.MonkeyPatch, capsys):
    wrong = Stop("a slip of ours", "000", "Nothing.", [Check("∂f/∂b", "article", 9.0, 8.0)])
    assert not wrong.agrees
    monkeypatch.setattr("chainrule.tour._STOPS", (lambda: wrong,))
    with pytest.raises(SystemExit) as stopped:
        main(["tour"])
    assert stopped.value.code == 1
    shown = capsys.readouterr().out
    assert "✗ ∂f/∂b  article     9          8 differs" in shown
    assert "1 of 1 numbers differ" in shown


def test_resnet_152_is_added_up():
    assert formulas._resnet_152() == 60_192_808


@pytest.mark.parametrize("seed", range(5))
def test_the_network_of_article_001(seed: int):
    rng = np.random.default_rng(seed)
    values = {name: float(rng.normal()) for name in VALUES}
    network = cr.formula(TEXT)
    explanation = explain(network(**values))
    nodes = {node.name: node for node in explanation.nodes}
    said = by_the_articles_formulas(values)
    for name in ("z1", "z2", "z3", "a1", "a2", "a3", "E"):
        assert nodes[name].value == pytest.approx(said[name], rel=1e-12)
    for unit in "123":
        assert nodes[f"z{unit}"].gradient == pytest.approx(said[f"δ{unit}"], rel=1e-12)
    for name in WEIGHTS:
        gradient = explanation.gradients[name].item()
        assert gradient == pytest.approx(said[name], rel=1e-12)
        assert gradient == pytest.approx(central_difference(network, values, name), rel=1e-6, abs=1e-10)
        assert explanation.derivation(name).agrees


def test_delta_by_nudging_a_unit():
    """δ is ∂E/∂z: add ε to z of each unit and see how E moves."""
    values = {**VALUES, "e1": 0.0, "e2": 0.0, "e3": 0.0}
    nudged = TEXT
    for unit in "123":
        nudged = re.sub(rf"(z{unit} = .*)", rf"\1 + e{unit}", nudged)
    network = cr.formula(nudged)
    said = by_the_articles_formulas(VALUES)
    for unit in "123":
        assert central_difference(network, values, f"e{unit}") == pytest.approx(said[f"δ{unit}"], rel=1e-6)


def test_delta_is_reused():
    explanation = explain(cr.formula(TEXT)(**VALUES), list(WEIGHTS))
    through: dict[str, int] = dict.fromkeys(("z1", "z2", "z3"), 0)
    for path in explanation.paths:
        for i in path.nodes:
            if explanation.named(i) in through:
                through[explanation.named(i)] += 1
    assert through == {"z1": 2, "z2": 2, "z3": 6}
