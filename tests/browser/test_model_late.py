"""The page of models when answers come late, or in another order than they were asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from browser.waiting import eventually

Open = Callable[..., Any]
DIGITS = "#/model?of=example:digits&at=layers.0"


class Held:
    """The first answer at an address is held back until it is let go; those after it come at once."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.routes, self.passed = page, [], 0
        page.route(re.compile(address), lambda route: self._keep(route))

    def _keep(self, route: Any) -> None:
        if not self.routes:
            self.routes.append(route)
        else:
            route.continue_()
            self.passed += 1

    def is_asked(self) -> None:
        eventually(lambda: self.page.evaluate("1") and len(self.routes), 1)

    def let_go(self) -> None:
        """And wait until the page has it."""
        with self.page.expect_response(self.routes[0].request.url) as answer:
            self.routes[0].continue_()
        answer.value.finished()
        self.page.evaluate("() => fetch('icon.svg').then(answer => answer.text())")  # which is behind it


def at_work(route: Any, doing: str = "") -> dict[str, Any]:
    """What a request about a model would be answered if the doctor were at work."""
    found = route.fetch().json()
    if "overview" in found:
        found["doctor_says"] |= {"state": "working", "findings": []}
    elif route.request.url.endswith("/findings"):
        found |= {"state": "working", "findings": [], "doing": doing}
    else:
        found |= {"doctor": "working", "running": True}
    return found


def opened(open_page: Open, fragment: str = DIGITS) -> Any:
    page = open_page(fragment)
    expect(page.locator(".node-card").first).to_be_visible()
    expect(page.locator(".place .registers")).to_be_visible()
    return page


def test_of_two_blocks_the_one_that_was_chosen_last_is_shown(open_page: Open):
    page = opened(open_page)
    held = Held(page, r"/graph\?root=layers")
    page.get_by_role("button", name="Next block").click()
    held.is_asked()
    page.get_by_role("button", name="all blocks").click()
    expect(page.locator('.node-card[data-id="layers.2"]')).to_be_visible()
    held.let_go()
    expect(page.locator('.node-card[data-id="layers.2"]')).to_be_visible()
    expect(page.locator(".trail h2")).to_have_count(0)


def test_of_two_places_the_one_that_was_chosen_last_is_shown(open_page: Open):
    page = opened(open_page, "#/model?of=example:digits&at=*")
    held = Held(page, r"/at\?at=layers\.0")
    page.locator('.node-card[data-id="layers.0"]').click()
    held.is_asked()
    page.locator('.node-card[data-id="layers.2"]').click()
    expect(page.locator(".place-name")).to_have_text("layers.2")
    held.let_go()
    expect(page.locator(".place-name")).to_have_text("layers.2")


def test_who_goes_on_before_why_is_answered_is_not_told_to_wait_for_it(open_page: Open):
    page = opened(open_page, "#/model?of=example:digits&at=*")
    page.locator('.node-card[data-id="layers.0"]').click()
    expect(page.locator(".place-name")).to_have_text("layers.0")
    held = Held(page, "/why")
    page.get_by_role("radio", name="Why?").click()
    held.is_asked()
    expect(page.locator(".answer")).to_contain_text("both passes are looked at")
    page.locator('.node-card[data-id="layers.2"]').click()
    expect(page.locator(".place-name")).to_have_text("layers.2")
    expect(page.locator(".answer")).to_contain_text("Ask why")
    held.let_go()
    expect(page.locator(".answer")).to_contain_text("Ask why")


def test_a_question_is_undone_with_its_answer(open_page: Open):
    page = opened(open_page)
    why = page.get_by_role("radio", name="Why?")
    why.click()
    expect(page.locator(".answer h3")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(why).to_have_attribute("aria-checked", "false")
    expect(page.locator(".answer")).to_contain_text("Ask why")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".answer h3")).to_be_visible()


def test_of_two_questions_the_last_is_answered(open_page: Open):
    page = opened(open_page)
    held = Held(page, "/why.*by=why")
    page.get_by_role("radio", name="Why?").click()
    held.is_asked()
    page.get_by_role("radio", name="Examples").click()
    expect(page.locator(".answer .share").first).to_be_visible()
    held.let_go()
    expect(page.locator(".answer .share").first).to_be_visible()
    expect(page.get_by_role("radio", name="Examples")).to_have_attribute("aria-checked", "true")


def test_findings_come_though_one_has_gone_about_meanwhile(open_page: Open):
    page = open_page("#/formula")
    working = [True]

    page.route(
        re.compile(r"/api/models/[^/]+(/status)?$"),
        lambda route: route.fulfill(json=at_work(route)) if working[0] else route.continue_(),
    )
    page.route(
        re.compile(r"/api/models/[^/]+/findings$"),
        lambda route: route.abort() if working[0] else route.continue_(),
    )
    page.forgiven.append("ERR_FAILED")
    page.goto(page.url.partition("#")[0] + "#/model?of=example:dead-units&at=layers.0")
    expect(page.locator(".node-card").first).to_be_visible()
    page.get_by_role("button", name="all blocks").click()
    expect(page.locator(".trail h2")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(page.locator(".trail h2")).to_have_text("layers.0")
    expect(page.locator(".finding")).to_have_count(0)
    working[0] = False
    expect(page.locator(".finding")).to_have_count(1)


def test_a_link_into_a_model_that_is_being_opened_shows_it(open_page: Open):
    page = open_page("#/formula")
    opening = [True]

    def as_if_opening(route: Any) -> None:
        answer = route.fetch()
        found = answer.json()
        route.fulfill(response=answer, json={**found, "state": "opening"} if opening[0] else found)

    page.route(re.compile(r"/api/models/[^/]+/status$"), as_if_opening)
    address = page.url.partition("#")[0]
    page.goto(f"{address}#/model?of=example:digits&at=layers.0")
    expect(page.locator(".model-page progress")).to_be_visible()
    page.goto(f"{address}#/model?of=example:digits&at=layers.2")
    opening[0] = False
    expect(page.locator(".trail h2")).to_have_text("layers.2")
    expect(page.locator(".place-name")).to_have_text("layers.2")


def test_what_is_found_after_one_was_chosen_is_not_offered(open_page: Open):
    page = opened(open_page)
    field = page.get_by_role("combobox")
    field.fill("layers")
    expect(page.get_by_role("option").first).to_be_visible()
    held = Held(page, "/search.*text=layers.2")
    field.fill("layers.2")
    held.is_asked()
    field.press("Escape")
    expect(page.locator(".matches")).to_be_hidden()
    held.let_go()
    expect(page.locator(".matches")).to_be_hidden()


def test_the_list_of_models_does_not_cover_the_one_that_a_link_opened(open_page: Open):
    page = opened(open_page)
    held = Held(page, "/api/models$")
    page.get_by_role("button", name="Open …").click()
    held.is_asked()
    page.goto(page.url.partition("#")[0] + DIGITS)
    expect(page.locator(".node-card").first).to_be_visible()
    held.let_go()
    expect(page.locator(".node-card").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^resnet20"))).to_have_count(0)


def test_a_press_is_heard_though_the_page_hears_of_progress_meanwhile(open_page: Open):
    page = open_page("#/formula")
    asked, opening = [0], [True]

    def as_if_opening(route: Any) -> None:
        answer = route.fetch()
        asked[0] += 1
        found = answer.json()
        more = {"state": "opening", "doing": f"step {asked[0]}", "share": 0.5} if opening[0] else {}
        route.fulfill(response=answer, json={**found, **more})

    page.route(re.compile(r"/api/models/[^/]+/status$"), as_if_opening)
    page.route(re.compile(r"/api/models/[^/]+/stop$"), lambda route: route.fulfill(json={}))
    page.goto(page.url.partition("#")[0] + DIGITS)
    said = page.locator(".model-page .progress [role=status]")
    expect(said).to_have_text(re.compile("^step"))
    box = page.get_by_role("button", name="Stop").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    before = said.inner_text()
    expect(said).not_to_have_text(before)
    with page.expect_request(re.compile("/stop$")):
        page.mouse.up()
    opening[0] = False
    expect(page.locator(".node-card").first).to_be_visible()


def test_cards_stay_the_same_while_the_doctor_works(open_page: Open):
    page = open_page("#/formula")
    asked = [0]

    def as_if_at_work(route: Any) -> None:
        asked[0] += 1
        route.fulfill(json=at_work(route, f"step {asked[0]}"))

    page.route(re.compile(r"/api/models/[^/]+(/status|/findings)?$"), as_if_at_work)
    page.goto(page.url.partition("#")[0] + DIGITS)
    expect(page.locator(".doctor-works [role=status]")).to_have_text(re.compile("^step"))
    parts = ".node-card, .strip-column, .facts button, .doctor button"
    page.eval_on_selector_all(parts, "all => all.forEach(one => { one.dataset.kept = 'yes' })")
    before = page.locator(".doctor-works [role=status]").inner_text()
    expect(page.locator(".doctor-works [role=status]")).not_to_have_text(before)
    assert page.eval_on_selector_all(parts, "all => all.length > 5 && all.every(one => one.dataset.kept)")
