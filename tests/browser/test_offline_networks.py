"""The exported page of a network, from a disk without a network: training is rewound, units explain themselves."""

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
from chainrule import studio as front
from shared_run import made_once

Opening = Callable[..., Any]
NETWORK: dict[str, Any] = {"data": "moons", "points": 40, "layers": [3, 2], "update": 120}
COMMAND = "chainrule studio network points=40 layers=3-2 update=120"


@pytest.fixture(scope="module")
def moons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "moons/page.html", lambda path: front.export_network(NETWORK, path))


@pytest.fixture(scope="module")
def updates(moons: Path) -> list[int]:
    text = moons.read_text(encoding="utf-8").partition('id="chainrule-trace">')[2].partition("</script>")[0]
    return json.loads(text)["trace"]["updates"]


def test_it_shows_what_the_live_page_shows(open_file: Opening, open_page: Opening, moons: Path):
    query = "#/network?points=40&layers=3-2&at=120&pt=5&sel=3.1"
    live = at_rest(open_page(query), 120)
    page = at_rest(open_file(moons, query), 120)
    expect(live.locator(".network .insp")).to_contain_text("unit 1 of layer 3")
    expect(live.locator(".network .sample")).to_contain_text("Example 6 of 40")
    eventually(lambda: labels(page), labels(live))
    for part in (".said", ".insp", ".sample", ".surface .axes", ".surface p"):
        expect(page.locator(f".network {part}").first).to_have_text(
            live.locator(f".network {part}").first.text_content()
        )
    for path in (".plane .border", ".plane .arrow", ".chart .train", ".chart .test"):
        expect(page.locator(path)).to_have_attribute("d", live.locator(path).get_attribute("d"))
    picture = "document.querySelector('.plane canvas').toDataURL()"
    eventually(lambda: page.evaluate(picture), live.evaluate(picture))


def test_training_is_rewound_and_stepped(open_file: Opening, moons: Path, updates: list[int]):
    page = at_rest(open_file(moons), 120)
    there = labels(page)
    page.get_by_role("button", name="Start over").click()
    at_rest(page, 0)
    eventually(lambda: labels(page), lambda found: found != there)
    page.get_by_role("button", name="One step on").click()
    at_rest(page, updates[1])
    page.get_by_role("button", name="One step back").click()
    at_rest(page, 0)
    page.get_by_role("button", name="To the last update").click()
    at_rest(page, 120)
    eventually(lambda: labels(page), there)
    page.keyboard.press("Control+z")
    at_rest(page, 0)
    page.keyboard.press("Control+Shift+z")
    at_rest(page, 120)


def test_the_slider_goes_to_what_is_recorded(open_file: Opening, moons: Path, updates: list[int]):
    page = at_rest(open_file(moons), 120)
    slider = page.locator(".network .transport input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    at_rest(page, updates[-2])
    expect(slider).to_have_value(str(updates[-2]))
    page.keyboard.press("ArrowRight")
    at_rest(page, 120)
    wanted = updates[-3] + 1
    slider.fill(str(wanted))
    at_rest(page, min(updates, key=lambda update: (abs(update - wanted), update)))
    page.keyboard.press("Home")
    at_rest(page, 0)
    expect(page).not_to_have_url(re.compile("at="))


def test_it_plays_to_the_end_and_names_the_live_studio(open_file: Opening, moons: Path):
    page = at_rest(open_file(moons, "#/network?points=40&layers=3-2"), 0)
    play = page.locator(".network .play")
    expect(play).to_have_text("▶ Play")
    page.locator("[aria-label=Speed]").select_option("150")
    play.click()
    expect(play).to_have_text("❚❚ Pause")
    at_rest(page, 120)
    expect(play).to_have_text("▶ Train on")
    expect(page).to_have_url(re.compile("at=120"))
    play.click()
    expect(page.locator(".notice")).to_contain_text(f"This file ends at update 120. To train on: {COMMAND}")
    expect(page.locator(".network .recorded")).to_contain_text(COMMAND)
    at_rest(page, 120)


def test_playing_is_paused(open_file: Opening, moons: Path):
    page = at_rest(open_file(moons, "#/network?points=40&layers=3-2"), 0)
    page.locator("[aria-label=Speed]").select_option("5")
    page.keyboard.press("Space")
    expect(page.locator(".network .play")).to_have_text("❚❚ Pause")
    page.keyboard.press("Space")
    expect(page.locator(".network .play")).to_have_text("▶ Play")


def test_units_and_weights_are_inspected_where_it_was_trained_to(open_file: Opening, moons: Path):
    page = at_rest(open_file(moons), 120)
    inspector = page.locator(".network .insp")
    for unit in page.locator(".unit").all():
        unit.click()
        expect(unit).to_have_attribute("aria-pressed", "true")
        expect(inspector.locator(".tile").first).to_be_visible()
        expect(inspector).not_to_contain_text("not in this file")
    page.locator(".unit[aria-label^='unit 2 of layer 3']").click()
    inspector.locator("tbody button").first.click()
    expect(inspector).to_contain_text("to unit 2 of layer 3")
    expect(inspector).to_contain_text("Its gradient for this example")
    expect(page).to_have_url(re.compile(r"sel=3\.2\.1"))
    page.locator(".handing summary").click()
    expect(page.locator(".handing .formula").first).to_be_visible()


def test_keys(open_file: Opening, moons: Path, updates: list[int]):
    page = at_rest(open_file(moons), 120)
    page.keyboard.press("Home")
    at_rest(page, 0)
    page.keyboard.press("ArrowRight")
    at_rest(page, updates[1])
    page.keyboard.press("End")
    at_rest(page, 120)
    page.keyboard.press("n")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 2 of 40"))
    page.keyboard.press("p")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 1 of 40"))
    page.keyboard.press("g")
    expect(page.locator("button[data-shows=weights]")).to_have_attribute("aria-checked", "true")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".unit[aria-pressed=true]")).to_have_attribute(
        "aria-label", re.compile("^unit 2 of layer 2")
    )
    page.keyboard.press("ArrowRight")
    expect(page.locator(".unit[aria-pressed=true]")).to_have_attribute(
        "aria-label", re.compile("^unit 2 of layer 3")
    )
    page.keyboard.press("t")
    expect(page.locator("body")).to_have_attribute("data-theme", "dark")


def test_a_link_shows_the_same_again(open_file: Opening, moons: Path, updates: list[int]):
    page = at_rest(open_file(moons), 120)
    page.get_by_role("button", name="One step back").click()
    at_rest(page, updates[-2])
    page.locator(".unit[aria-label^='unit 1 of layer 3']").click()
    expect(page).to_have_url(re.compile(f"at={updates[-2]}.*sel=3.1"))
    again = at_rest(open_file(moons, "#" + page.url.partition("#")[2]), updates[-2])
    eventually(lambda: labels(again), labels(page))
    expect(again.locator(".unit[aria-pressed=true]")).to_have_attribute(
        "aria-label", re.compile("^unit 1 of layer 3")
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("data=spirals", "this file holds another network"),
        ("points=40&layers=3-2&rate=7", "Shown is the network of this file."),
        ("points=40&layers=99&at=120", COMMAND),
    ],
)
def test_a_link_to_another_network_is_told(open_file: Opening, moons: Path, query: str, words: str):
    page = open_file(moons, f"#/network?{query}")
    expect(page.locator(".stage-error")).to_contain_text(words)
    expect(page.locator(".unit")).to_have_count(8)


def test_a_link_beyond_the_end_or_between_updates(open_file: Opening, moons: Path, updates: list[int]):
    page = at_rest(open_file(moons, "#/network?points=40&layers=3-2&at=5000"), 120)
    expect(page.locator(".notice")).to_contain_text("This file ends at update 120")
    between = updates[-2] + 1
    assert between not in updates
    near = at_rest(open_file(moons, f"#/network?points=40&layers=3-2&at={between}"), updates[-2])
    expect(near).to_have_url(re.compile(f"at={updates[-2]}"))


def test_nothing_can_be_chosen_that_is_not_there(open_file: Opening, moons: Path):
    page = at_rest(open_file(moons, viewport={"width": 400, "height": 900}), 120)
    for control in page.locator(".knobs-main select, .knobs-main button").all():
        expect(control).to_be_disabled()
    for name in ("Own table…", "Open as a formula", "One unit more in layer 2", "Export", "{ } JSON"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.get_by_role("button", name="Python program").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Data as CSV").click()
    assert waiting.value.suggested_filename == "network.csv"


def test_what_was_not_recorded_is_said(open_file: Opening, tmp_path: Path):
    path = front.export_network({"layers": [16] * 6, "points": 400, "update": 60}, tmp_path / "page.html")
    page = at_rest(open_file(path), 60)
    page.get_by_role("button", name="Start over").click()
    at_rest(page, 0)
    page.locator(".unit[aria-label^='unit 9 of layer 5']").click()
    expect(page.locator(".network .insp")).to_contain_text("after update 0 are not in this file")
    expect(page.locator(".network .insp")).to_contain_text("chainrule studio network")
    page.locator(".network .sample").get_by_role("button", name="Previous example (p)").click()
    expect(page.locator(".network .missing")).to_contain_text("does not hold update 0: shown is example 1")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 1 of 400"))
    page.locator(".network .sample").get_by_role("button", name="Previous example (p)").click()
    expect(page.locator(".network .missing")).to_contain_text("Of example 399 this file")


def test_the_digits(open_file: Opening, tmp_path: Path):
    path = front.export_network({"data": "digits", "update": 8}, tmp_path / "page.html")
    page = at_rest(open_file(path), 8)
    expect(page.locator(".digits")).to_be_visible()
    page.locator(".picks button").nth(3).click()
    expect(page.locator(".picks button").nth(3)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".digit-now p")).to_contain_text("A 3,")
    page.get_by_role("button", name="Start over").click()
    at_rest(page, 0)


def test_a_table_of_ones_own(open_file: Opening, tmp_path: Path):
    table = "a,b,kind\n" + "".join(f"{i},{i * i % 7},{'<b>x</b>' if i % 2 else 'y'}\n" for i in range(20))
    path = front.export_network(
        {"table": table, "label": "kind", "layers": [2], "update": 3}, tmp_path / "page.html"
    )
    page = at_rest(open_file(path), 3)
    expect(page.locator(".surface")).to_contain_text("<b>x</b>")
    expect(page.locator(".network .recorded")).to_contain_text("table=FILE.csv layers=2 label=kind update=3")
    expect(page.locator(".stage-error")).to_be_hidden()
    numbers = "a,b,y\n" + "".join(f"{i},{i * i % 7},{i * 1.5}\n" for i in range(20))
    other = front.export_network(
        {"table": numbers, "label": "y", "layers": [2], "update": 3}, tmp_path / "page.html"
    )
    page = at_rest(open_file(other), 3)
    expect(page.locator(".stage-error")).to_be_hidden()


def test_without_scripts_there_is_the_figure(new_page: Opening, moons: Path):
    page = new_page(java_script_enabled=False)
    page.goto(moons.as_uri())
    expect(page.locator("svg").first).to_be_visible()
    expect(page.locator("p").first).to_contain_text("after 120 updates")
