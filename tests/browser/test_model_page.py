"""The page of models in Chromium: opening, columns, a block opened to its primitives, findings, why, search, undo."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.conftest import running_studio
from browser.reading import forgives, state_of
from browser.waiting import eventually
from chainrule.train.plan import Plan
from chainrule.train.starting import begin

ZOO = Path(__file__).parents[2] / "examples" / "zoo"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def program() -> Iterator[str]:
    with running_studio(str(ZOO / "dead_relu.py")) as url:
        yield url


@pytest.fixture
def model(open_page: Open) -> Callable[..., Any]:
    """A page on which a model is open, and its block is drawn."""

    def opened(fragment: str, **options: Any) -> Any:
        page = open_page(fragment, **options)
        expect(page.locator(".node-card").first).to_be_visible()
        expect(page.locator(".strip-picture .block, .model-table tr").first).to_be_visible()
        return page

    return opened


def rectangle(locator: Any) -> dict[str, float]:
    """Of one element, as soon as it is there."""
    return locator.evaluate("one => one.getBoundingClientRect().toJSON()")


def rectangles(page: Any, selector: str) -> list[dict[str, float]]:
    """Of all at once: the page is drawn anew while the doctor works."""
    return page.locator(selector).evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")


def test_an_example_is_opened_from_the_page(open_page: Open):
    with (
        running_studio() as url
    ):  # of its own: in the shared one another test may have opened a model, which is shown
        page = open_page("#/model", url=url)
        page.get_by_role("button", name=re.compile("^resnet20")).click()
        expect(page.locator(".model-page h1", has_text="resnet20")).to_be_visible()
        facts = page.locator(".facts")
        expect(facts).to_contain_text("269,722 parameters")
        expect(facts).to_contain_text("chance ln 10 = 2.303")
        expect(page.locator(".strip-column")).to_have_count(15)
        eventually(lambda: state_of(page)["of"], "example:resnet20")
        expect(page.locator(".node-card").first).to_be_visible()
        page.goto("about:blank")  # before the studio ends


def test_a_block_opens_down_to_its_primitives_and_closes(model: Callable[..., Any]):
    page = model("#/model?of=example:resnet20&at=stages.1.1")
    cards = page.locator(".node-card")
    few = cards.count()
    page.get_by_role("button", name="Open stages.1.1.layers.0", exact=True).click()
    page.get_by_role("button", name="Open stages.1.1.layers.0.norm").click()
    expect(page.get_by_role("button", name="Close stages.1.1.layers.0.norm")).to_be_visible()
    eventually(cards.count, lambda count: count > few + 8)
    expect(page.locator(".node-card", has_text="var")).to_be_visible()
    eventually(lambda: state_of(page)["open"], "stages.1.1.layers.0,stages.1.1.layers.0.norm")
    page.get_by_role("button", name="Close stages.1.1.layers.0", exact=True).click()
    expect(cards).to_have_count(few)
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Close stages.1.1.layers.0.norm")).to_be_visible()
    page.keyboard.press("Control+Shift+z")
    expect(cards).to_have_count(few)


def test_a_link_shows_the_same(model: Callable[..., Any]):
    fragment = (
        "#/model?of=example:resnet20&at=stages.0.1&open=stages.0.1.layers.1&sel=stages.0.1.layers.1.conv"
    )
    page = model(fragment)
    expect(page.locator(".place-name")).to_have_text("stages.0.1.layers.1.conv")
    expect(page.locator('.node-card[aria-pressed="true"]')).to_have_attribute(
        "data-id", "stages.0.1.layers.1.conv"
    )
    expect(page.locator('.strip-column[aria-pressed="true"]')).to_have_attribute(
        "aria-label", re.compile(r"^stages\.0\.1, Block")
    )
    page.reload()
    expect(page.locator(".place-name")).to_have_text("stages.0.1.layers.1.conv")


def test_a_link_to_all_blocks_shows_them(model: Callable[..., Any]):
    page = model("#/model?of=example:digits")
    expect(page.locator(".trail h2")).to_have_text("layers.0")
    page.get_by_role("button", name="all blocks").click()
    expect(page.locator(".trail h2")).to_have_count(0)
    eventually(lambda: state_of(page)["at"], "*")
    page.keyboard.press("Control+z")
    expect(page.locator(".trail h2")).to_have_text("layers.0")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".trail h2")).to_have_count(0)
    page.reload()
    expect(page.locator('.node-card[data-id="layers.2"]')).to_be_visible()
    expect(page.locator(".trail h2")).to_have_count(0)


def test_what_is_not_finite_is_a_cross(model: Callable[..., Any]):
    with running_studio(str(ZOO / "log_of_zero.py")) as url:
        page = model("", url=url)
        expect(page.locator(".facts")).to_contain_text("1 block")
        expect(page.locator(".facts")).not_to_contain_text("1 blocks")
        column, cross = page.locator(".strip-column").last, page.locator(".strip-picture .cross")
        expect(column).to_have_attribute(
            "aria-label", re.compile("^loss.*value NaN.*5 values are not finite")
        )
        expect(cross).to_have_count(1)

        def is_within() -> bool:
            box, at = rectangle(column), rectangle(cross)
            return box["x"] < at["x"] < box["right"]

        eventually(is_within, True)


def test_a_stopped_program_is_started_again(open_page: Open, tmp_path: Path):
    (tmp_path / "endless.py").write_text("import time\nwhile True: time.sleep(0.01)\n")
    with running_studio("endless.py", cwd=tmp_path) as url:
        page = open_page("", url=url)
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Start again").click()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start again")).to_be_visible()
        page.get_by_role("button", name="Open …").click()
        expect(page.get_by_role("button", name=re.compile("^resnet20"))).to_be_visible()


def test_columns_answer_to_the_keyboard(model: Callable[..., Any]):
    page = model("#/model?of=example:resnet20&at=stages.0.0")
    page.locator('.strip-column[aria-pressed="true"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    focused = page.locator(".strip-column:focus")
    expect(focused).to_have_attribute("aria-label", re.compile(r"^stages\.0\.2, Block"))
    page.keyboard.press("Enter")
    expect(page.locator(".trail h2")).to_have_text("2")
    page.keyboard.press("End")
    expect(focused).to_have_attribute("aria-label", re.compile("^loss"))
    expect(page.locator('.strip-column[tabindex="0"]')).to_have_count(1)


def test_cards_answer_to_the_keyboard(model: Callable[..., Any]):
    page = model("#/model?of=example:resnet20&at=stages.1.1")
    page.locator('[data-id="stages.1.1.layers.0"]').focus()
    page.keyboard.press("o")
    expect(page.get_by_role("button", name="Close stages.1.1.layers.0", exact=True)).to_be_visible()
    focused = page.locator(".node-card:focus")
    expect(focused).to_have_attribute("data-id", re.compile(r"^stages\.1\.1\.layers\.0\."))
    first = focused.get_attribute("data-id")
    page.keyboard.press("ArrowRight")
    expect(focused).not_to_have_attribute("data-id", first)
    page.keyboard.press("Enter")
    expect(page.locator(".place-name")).to_have_text(focused.get_attribute("data-id"))
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Close stages.1.1.layers.0", exact=True)).to_have_count(0)
    expect(focused).to_have_attribute("data-id", "stages.1.1.layers.0")


def test_a_finding_is_pinned_to_its_column(model: Callable[..., Any]):
    page = model("#/model?of=example:dead-units")
    finding = page.locator(".finding")
    expect(finding).to_have_count(1)
    expect(finding).to_contain_text("Dead relu")
    expect(finding.locator(".proof")).to_contain_text("the biases of layers.0 at 0")
    pin = page.get_by_role("button", name="Finding 1: dead relu", exact=True)
    expect(pin).to_be_visible()
    column = page.locator(
        ".strip-column", has=page.locator("xpath=self::*[starts-with(@aria-label, 'layers.0,')]")
    )

    def is_above() -> bool:
        box, at = rectangle(column), rectangle(pin)
        return box["x"] <= at["x"] + at["width"] / 2 <= box["right"]

    eventually(is_above, True)
    expect(column).to_have_attribute("aria-label", re.compile("finding 1: dead relu"))
    pin.click()
    expect(finding).to_have_class(re.compile("current"))
    expect(page.locator(".facts")).to_contain_text("1 finding")


def test_why_is_answered_for_the_selected_place(model: Callable[..., Any]):
    page = model("#/model?of=example:dead-units&at=layers.0")
    forgives(page, 400)
    page.get_by_role("radio", name="Why?").click()
    answer = page.locator(".answer")
    expect(answer).to_contain_text("z = relu(y) is flat")
    expect(answer).to_contain_text("with a local derivative of 1 there instead of 0")
    page.get_by_role("radio", name="Layers").click()
    expect(answer.locator(".error")).to_contain_text("there is no direction to follow")


def test_shares_are_drawn(model: Callable[..., Any]):
    page = model("#/model?of=example:transformer&at=blocks.1&by=branch")
    expect(page.locator(".answer .share").first).to_be_visible()
    eventually(page.locator(".answer .split").count, lambda count: count > 2)
    assert state_of(page)["by"] == "branch"


def test_search_finds_modules_and_parameters(model: Callable[..., Any]):
    page = model("#/model?of=example:resnet20&at=stem")
    page.keyboard.press("/")
    page.keyboard.type("stages.2.1.layers.1.conv")
    expect(page.get_by_role("option").first).to_contain_text("stages.2.1.layers.1.conv")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".place-name")).to_have_text("stages.2.1.layers.1.conv")
    expect(page.locator(".trail h2")).to_have_text("1")
    eventually(lambda: state_of(page)["open"], "stages.2.1.layers.1")
    page.get_by_role("combobox").fill("<img src=x onerror=alert(1)>")
    expect(page.locator(".matches")).to_contain_text("nothing is called <img src=x")


def test_the_table_has_the_same_numbers(model: Callable[..., Any]):
    page = model("#/model?of=example:digits")
    page.get_by_role("button", name="Table").click()
    table = page.locator(".model-table")
    expect(table.locator("tbody tr")).to_have_count(5)
    expect(table.locator("tbody tr", has_text="layers.0")).to_contain_text("Linear")
    expect(page.locator(".strips")).to_be_hidden()
    expect(table).to_contain_text(page.locator(".register.v b").inner_text()[:4])
    table.get_by_role("button", name="layers.2").click()
    expect(page.locator(".place-name")).to_have_text("layers.2")


def test_a_program_is_shown_with_its_findings(model: Callable[..., Any], program: str):
    page = model("", url=program)
    expect(page.locator(".model-page h1")).to_have_text("dead_relu.py")
    expect(page.locator(".finding")).to_contain_text("Dead relu")
    expect(page.locator(".finding .where")).to_have_text("model.hidden")
    expect(page.locator(".curves-card")).to_contain_text("Loss of each backward pass")
    expect(page.locator(".curves-card .curve")).to_have_attribute("d", re.compile("^M.*L"))
    page.locator(".finding .where").click()
    expect(page.locator(".place-name")).to_have_text("model.hidden")


def test_a_run_shows_its_curves(model: Callable[..., Any], tmp_path: Path):
    for _ in begin(Plan("digits", epochs=2), tmp_path / "runs" / "first"):
        pass
    with running_studio("runs/first", cwd=tmp_path) as url:
        page = model("", url=url)
        expect(page.locator(".plot")).to_have_count(5)
        for name in ("Loss", "Accuracy", "Learning rate", "Gradient", "Update over weight"):
            expect(page.locator(".plot h3", has_text=name)).to_be_visible()
        expect(page.locator(".healthy")).to_be_visible()
        expect(page.locator(".strip-label", has_text="update")).to_have_count(1)


def test_a_link_to_a_block_that_is_not_there_shows_another(model: Callable[..., Any]):
    page = model("#/model?of=example:digits&at=stages.9&sel=nothing")
    expect(page.locator(".place-name")).to_have_text("layers.0")
    expect(page).not_to_have_url(re.compile("at="))


def test_a_model_that_is_gone_is_said(open_page: Open):
    page = open_page("#/model?of=script:nothing.py")
    expect(page.locator(".model-page .error")).to_contain_text("nothing.py is not open in this studio")
    expect(page.locator(".model-page .error")).to_contain_text("chainrule studio nothing.py")
    expect(page.get_by_role("button", name=re.compile("^resnet152"))).to_be_visible()
    page = open_page("#/model?of=run:nope")
    expect(page.locator(".model-page .error")).to_contain_text("chainrule studio runs/nope")


@pytest.mark.parametrize(("width", "height"), [(400, 860), (3840, 2160)])
def test_it_fits_narrow_and_wide_screens(model: Callable[..., Any], width: int, height: int):
    page = model("#/model?of=example:resnet20&at=stages.1.1", viewport={"width": width, "height": height})
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth"), lambda wide: wide <= width)
    eventually(lambda: rectangles(page, ".strip-column")[-1]["right"], lambda right: right <= width)
    first, *_, last = rectangles(page, ".node-card")
    if width < 500:
        expect(page.locator(".strip-name")).to_have_text("stages.1.1")
        expect(page.locator(".strip-picture", has_text="100 %")).to_have_count(1)
        for before, after in itertools.pairwise(rectangles(page, ".strip-picture > .strip-more")):
            assert before["right"] + 6 < after["x"]
        assert last["y"] > first["y"] + 300 and abs(last["x"] - first["x"]) < 200
    else:
        assert last["x"] > first["x"] + 500
    text = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.node-card .reg')).fontSize)")
    assert text >= (9 if width < 500 else 18)


def test_every_control_has_a_name_and_room(model: Callable[..., Any]):
    page = model("#/model?of=example:resnet20&at=stages.1.1")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.model-page button, .model-page input')]
          .filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim())).length"""
    )
    assert nameless == 0
    assert page.locator(".graph-edges, .strip-picture").evaluate_all(
        "all => all.every(e => e.getAttribute('aria-hidden') === 'true')"
    )
    snapshot = page.locator(".graph-canvas").aria_snapshot()
    assert 'button "layers.0, ConvNorm.' in snapshot


def test_nothing_moves_for_those_who_ask_for_that(model: Callable[..., Any]):
    with running_studio() as url:  # of its own: the shared one may have examined the model for another test
        page = model("#/model?of=example:resnet20&at=stem", url=url, reduced_motion="reduce")
        expect(page.locator(".busy")).to_have_css("animation-name", "none")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".doctor")).to_contain_text("The examination was stopped.")
        page.goto("about:blank")  # before the studio ends
