"""Links to networks, undo, other pages and back, and a line to the server that is cut."""

import json
import re

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest, forgives, has_state, labels, said, state_of
from browser.waiting import eventually


def test_rewinding_and_a_link_show_the_same(network):
    page = network("at=60&pt=7&sel=3.2", 60)
    there = labels(page), said(page)
    page.locator(".network button[aria-label='Start over']").click()
    at_rest(page, 0)
    eventually(lambda: labels(page), lambda found: found != there[0])
    page.locator(".network button[aria-label='To the last update']").click()
    at_rest(page, 60)
    eventually(lambda: (labels(page), said(page)), there)
    page.locator(".network button[aria-label='One step back']").click()
    at_rest(page, 59)
    page.keyboard.press("Control+z")
    at_rest(page, 60)
    eventually(lambda: (labels(page), said(page)), there)
    other = network(page.url.partition("?")[2], 60)
    eventually(lambda: (labels(other), said(other)), there)


def test_undo_knows_each_stop_though_frames_on_the_way_are_left_out(network):
    page = network("at=60", 60)

    def pass_on(socket):
        server = socket.connect_to_server()

        def keep(message):
            is_on_the_way = json.loads(message).get("status", {}).get("goal") is not None
            if not is_on_the_way:
                socket.send(message)

        server.on_message(keep)

    page.route_web_socket("**/live", pass_on)
    page.reload()
    at_rest(page, 60)
    page.locator(".network button[aria-label='Start over']").click()
    at_rest(page, 0)
    page.locator(".network button[aria-label='To the last update']").click()
    at_rest(page, 60)
    page.locator(".network button[aria-label='One step back']").click()
    at_rest(page, 59)
    for update in (60, 0, 60):
        page.keyboard.press("Control+z")
        at_rest(page, update)
    page.keyboard.press("Control+y")
    at_rest(page, 0)


def test_options_start_over_and_undo_brings_the_training_back(network):
    page = network("at=30", 30)
    there = labels(page)
    page.locator(".network .knob-activation select").select_option("relu")
    at_rest(page, 0)
    has_state(page, activation="relu")
    page.locator(".network button[aria-label='One unit more in layer 2']").click()
    expect(page.locator(".unit")).to_have_count(12)
    has_state(page, activation="relu", layers="6-3")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    at_rest(page, 30)
    eventually(lambda: labels(page), there)
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".network .knob-activation select")).to_have_value("relu")


@pytest.mark.parametrize(
    ("query", "words", "shown"),
    [
        ("layers=99&activation=relu", "16", {"activation": "relu", "loss": "cross_entropy"}),
        (
            "data=wave&loss=half_squares&rate=100&optimizer=sgd",
            "usual data, loss, optimizer",
            {"data": "moons", "loss": "cross_entropy", "optimizer": "adam", "rate": "100"},
        ),
        ("data=sine&loss=hinge", "usual loss", {"data": "sine", "loss": "squared"}),
        ("data=own&rate=1", "own data needs a table", {"data": "moons"}),
    ],
)
def test_impossible_options_of_a_link_give_words_and_what_is_possible(open_page, query, words, shown):
    page = open_page()
    forgives(page, 400)
    page.goto(f"{page.url.partition('#')[0]}#/network?{query}")
    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    at_rest(page, 0)
    for name, value in shown.items():
        expect(page.locator(f".network .knob-{name} select")).to_have_value(value)
    page.keyboard.press("ArrowRight")
    at_rest(page, 1)
    page.goto(page.url.partition("#")[0] + "#/network?data=xor")
    eventually(lambda: state_of(page), {"data": "xor"})
    at_rest(page, 0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_where_no_network_can_be_made_one_button_starts_again(open_page):
    page = open_page("#/formula")
    forgives(page, 500)
    page.route("**/api/network", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(page.url.partition("#")[0] + "#/network?seed=5")
    again = page.get_by_role("button", name="Start with the usual options")
    expect(again).to_be_visible()
    expect(page.locator(".network :is(.unit, .play, select, .ring):visible")).to_have_count(0)
    page.unroute("**/api/network")
    again.click()
    at_rest(page, 0)
    expect(page.locator(".network .unit")).to_have_count(11)
    expect(again).to_be_hidden()


def test_a_late_answer_of_another_page_does_not_write_the_address(open_page):
    page = open_page("#/model")
    expect(page.locator(".model-page h1")).to_be_visible()
    held = []
    page.route("**/api/formula", lambda route: held.append(route))
    page.goto(page.url.partition("#")[0] + "#/formula")
    eventually(lambda: page.evaluate("1") and len(held), 1)
    page.goto(page.url.partition("#")[0] + "#/network")
    expect(page.locator(".network .unit").first).to_be_visible()
    there = page.url
    held[0].continue_()
    expect(page.locator(".formula-page .var-row[data-name]").first).to_be_attached()  # it has come
    assert page.evaluate("location.href") == there and there.rstrip("?").endswith("#/network")


def test_another_page_and_back(network):
    page = network("layers=4&at=9", 9)
    there = labels(page)
    page.locator(".tabs a").filter(has_text="Formula").click()
    expect(page.locator(".network")).to_be_hidden()
    page.locator(".tabs a").filter(has_text="Network").click()
    expect(page.locator(".network")).to_be_visible()
    at_rest(page, 9)
    eventually(lambda: labels(page), there)
    has_state(page, layers="4", at="9")


class Line:
    """The way to the server, which a test can cut: what is sent over sockets passes through here."""

    def __init__(self, page):
        self.sockets, self.is_cut = [], False
        page.route_web_socket("**/live", self._pass_on)
        page.reload()
        at_rest(page, int(state_of(page).get("at", "0")))
        eventually(lambda: page.evaluate("1") and len(self.sockets), 1)

    def _pass_on(self, socket):
        if self.is_cut:
            socket.close(code=1011)
            return
        socket.connect_to_server()
        self.sockets.append(socket)

    def cut(self):
        """Until it is mended no new socket comes through."""
        self.is_cut = True
        self.sockets[-1].close(code=1011)

    def mend(self):
        self.is_cut = False


@pytest.mark.parametrize(("wanted", "shown"), [("-5", 1), ("1e9", 240), ("x", 1), ("3.7", 4)])
def test_a_link_to_an_example_that_is_not_there_shows_one_that_is(network, wanted, shown):
    page = network(f"pt={wanted}")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile(f"^Example {shown} of 240"))
    expect(page.locator(".notice")).to_be_hidden()


def test_a_lost_connection_is_told_and_resumes(network):
    page = network("at=4", 4)
    line = Line(page)
    line.cut()
    expect(page.locator(".network .lost")).to_be_visible()
    line.mend()
    page.keyboard.press("ArrowRight")
    at_rest(page, 5)
    expect(page.locator(".network .lost")).to_be_hidden()
    assert len(line.sockets) == 2


def test_a_network_that_the_studio_forgot_is_made_again(network):
    page = network("at=12&pt=3", 12)
    line = Line(page)
    there = labels(page)
    twin = page.get_by_role("link", name="{ } JSON")
    address = twin.get_attribute("href")
    page.request.delete(page.url.partition("/#")[0] + address.removesuffix("/frame"))
    line.cut()
    line.mend()
    expect(twin).not_to_have_attribute("href", address)
    at_rest(page, 12)
    eventually(lambda: labels(page), there)


def test_leaving_the_page_stops_the_training(network):
    page = network()
    twin = page.url.partition("/#")[0] + page.get_by_role("link", name="{ } JSON").get_attribute("href")
    page.locator(".network .play").click()
    slider = page.locator(".network .transport input[type=range]")
    eventually(lambda: int(slider.input_value()), lambda update: update > 3)
    page.locator(".tabs a").filter(has_text="Formula").click()
    eventually(lambda: page.request.get(twin).json()["status"]["running"], False)
