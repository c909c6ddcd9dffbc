"""What the formula page saves: the file of each form, with the numbers and the step that are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest, labels
from browser.waiting import eventually


def saved(page: Any, form: str, folder: Path) -> Path:
    """The file that the button of a form gives."""
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as waiting:
        page.get_by_role("dialog", name="Export").get_by_role("button", name=form, exact=True).click()
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


def test_json_has_the_numbers_that_are_shown(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page("#/formula?f=x*x&at=x%3D3")
    page.wait_for_selector(".node")
    file = saved(page, "JSON", tmp_path)
    trace = json.loads(file.read_text(encoding="utf-8"))
    assert file.suffix == ".json"
    assert [(node["name"], node["value"], node["gradient"]) for node in trace["nodes"]] == [
        ("x", 3, 6),
        ("f", 9, 1),
    ]
    expect(page.get_by_role("dialog", name="Export")).to_be_hidden()


@pytest.mark.parametrize(
    ("form", "ending", "nine"), [("SVG figure", ".svg", ">9<"), ("TikZ figure", ".tex", "{$9$}")]
)
def test_figures_are_of_the_step_that_is_shown(
    open_page: Callable[..., Any], tmp_path: Path, form: str, ending: str, nine: str
):
    page = open_page("#/formula?f=(a%2Bb)*(b%2Bc)&at=a%3D-1,b%3D3,c%3D4&step=4")
    page.wait_for_selector(".node")
    early = saved(page, form, tmp_path).read_text(encoding="utf-8")
    page.keyboard.press("End")
    expect(page).not_to_have_url(re.compile("step="))
    file = saved(page, form, tmp_path)
    late = file.read_text(encoding="utf-8")
    assert file.suffix == ending
    assert nine in late
    assert nine not in early  # before the backward pass nobody knows the gradient of b


def test_a_saved_page_shows_the_same_without_a_server(
    open_page: Callable[..., Any], new_page: Callable[..., Any], tmp_path: Path
):
    page = open_page("#/formula?f=1%2F(1%2Be%5E(-x))&at=x%3D0")
    page.wait_for_selector(".node")
    file = saved(page, "Page", tmp_path)
    other = new_page(offline=True)
    other.goto(file.as_uri())
    other.wait_for_selector(".node")
    said = "x, variable. Value 0. Gradient of f with respect to x: 0.25."
    expect(other.get_by_role("button", name=said)).to_be_visible()
    expect(other.get_by_role("button", name="Export")).to_be_hidden()


def test_a_network_is_saved_as_it_is_trained_now(
    open_page: Callable[..., Any], new_page: Callable[..., Any], tmp_path: Path
):
    page = open_page("#/network?points=40&layers=3&at=25&sel=2.2&show=weights")
    at_rest(page, 25)
    expect(page.locator(".network .insp")).to_contain_text("unit 2 of layer 2")
    trace = json.loads(saved(page, "JSON", tmp_path).read_text(encoding="utf-8"))
    assert trace["kind"] == "training" and trace["updates"][-1] == 25
    assert trace["shown"] == {
        "update": 25,
        "point": 0,
        "layer": 2,
        "unit": 2,
        "into": None,
        "show": "weights",
    }
    figure = saved(page, "SVG figure", tmp_path)
    width = page.locator(".net-scroll").evaluate("e => e.clientWidth")
    assert figure.name == "2-3-1-on-moons-after-25-updates.svg"
    assert f'width="{width}"' in figure.read_text(encoding="utf-8")
    assert "\\draw[weight=" in saved(page, "TikZ figure", tmp_path).read_text(encoding="utf-8")
    here = labels(page)
    file = saved(page, "Page", tmp_path)
    other = new_page(offline=True)
    other.goto(file.as_uri())
    eventually(lambda: labels(at_rest(other, 25)), here)
    expect(other.locator("button[data-shows=weights]")).to_have_attribute("aria-checked", "true")
    expect(other.get_by_role("button", name="Export")).to_be_hidden()
