"""The formula page in a browser: typing, examples, stepping, playing, breakpoints, keys, levels, narrow screens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from browser.reading import forgives
from browser.waiting import eventually

Open = Callable[..., Any]


def address(text: str, **state: object) -> str:
    """The address of a formula in a state."""
    return f"#/formula?f={quote(text, safe='')}" + "".join(
        f"&{k}={quote(str(v), safe='')}" for k, v in state.items()
    )


ABC = address("(a+b)*(b+c)", at="a=-1,b=3,c=4")


def node(page: Any, name: str) -> Any:
    """The button of a node."""
    return page.locator(f'.face[aria-label^="{name},"]')


def has_registers(page: Any, name: str, value: str, gradient: str | None = None) -> None:
    """Wait until a node's registers say this."""
    box = page.locator(".node", has=node(page, name))
    expect(box.locator(".value")).to_have_text(value)
    if gradient is not None:
        expect(box.locator(".gradient")).to_have_text(gradient)


def is_at(page: Any, place: str) -> None:
    """Wait until the page says that it is at this step."""
    expect(page.locator(".factor .kicker .chip")).to_have_text(place)


def sums_of_products(count: int) -> str:
    """A formula of about four times as many nodes."""
    return "*".join(f"(x{i}+y{i})" for i in range(count))


@pytest.fixture
def abc(open_page: Open) -> Any:
    """Article 000's example, at its end."""
    page = open_page(ABC)
    expect(node(page, "b")).to_be_visible()
    return page


@pytest.mark.parametrize(
    ("pill", "numbers"),
    [
        ("(a+b)*(b+c)", {"a": ("−1", "7"), "b": ("3", "9"), "c": ("4", "2"), "f": ("14", "1")}),
        ("x*y", {"x": ("−2", "3"), "y": ("3", "−2"), "f": ("−6", "1")}),
        ("(4x+1)^2", {"x": ("1", "40"), "f": ("25", "1")}),
        ("1/(1+e^(-x))", {"x": ("1", "0.1966"), "f": ("0.7311", "1")}),
        ("(7x+3)^2", {"x": ("1", "140"), "f": ("100", "1")}),
        ("x*y at (2, −6)", {"x": ("2", "−6"), "y": ("−6", "2")}),
        ("x*x", {"x": ("3", "6"), "f": ("9", "1")}),
    ],
)
def test_examples_show_the_articles_numbers(open_page: Open, pill: str, numbers: dict[str, tuple[str, str]]):
    page = open_page()
    button = page.locator(".examples .btn", has=page.get_by_text(pill, exact=True))
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    for name, (value, gradient) in numbers.items():
        sentence = node(page, name)
        expect(sentence).to_have_attribute("aria-label", re.compile(rf"Value {value}\."))
        expect(sentence).to_have_attribute("aria-label", re.compile(rf"with respect to {name}: {gradient}\."))
        box = page.locator(".node", has=sentence)
        eventually(lambda box=box: box.locator(".value").inner_text()[:4], value.startswith)
        eventually(lambda box=box: box.locator(".gradient").inner_text()[:4], gradient.startswith)


def test_a_variable_that_is_used_twice_in_one_node_has_two_edges(open_page: Open):
    page = open_page(address("x*x", at="x=3"))
    expect(page.locator(".lane.backward.on")).to_have_count(2)
    roads = "all => all.map(one => one.getAttribute('d'))"
    eventually(lambda: len(set(page.locator(".road").evaluate_all(roads))), 2)
    expect(page.locator(".pill text.gradient")).to_have_text(["3", "3"])


def test_typing_draws_the_graph_anew_and_keeps_what_is_the_same(abc: Any):
    abc.evaluate("document.querySelector('.node .face[aria-label^=\"b,\"]').dataset.kept = 'yes'")
    field = abc.get_by_label("formula", exact=True)
    field.fill("(a+b)*(b+c)+sin(a)")
    expect(node(abc, "f")).to_have_attribute("aria-label", re.compile(r"Value 13\.16\."))
    expect(node(abc, "b")).to_have_attribute("data-kept", "yes")
    has_registers(abc, "b", "3")


def test_undo_goes_back_over_what_was_typed(abc: Any):
    abc.get_by_label("formula", exact=True).fill("a*b")
    expect(abc.locator(".node")).to_have_count(3)
    abc.get_by_label("formula", exact=True).press("Enter")
    abc.locator(".stage-head").click()
    abc.keyboard.press("Control+z")
    expect(abc.locator(".node")).to_have_count(6)
    expect(abc.get_by_label("formula", exact=True)).to_have_value("(a+b)*(b+c)")


@pytest.mark.parametrize(
    ("text", "at", "sentence"),
    [
        ("(a+b)*(b+c", 6, "never closed"),
        ("a+b $", 4, "does not belong in a formula"),
        ("p = a+b\nq = p*foo(a)", 6, "no function foo"),
    ],
)
def test_a_mistake_has_a_caret_under_it_and_the_last_graph_stays(abc: Any, text: str, at: int, sentence: str):
    forgives(abc, 400)
    abc.get_by_label("formula", exact=True).fill(text)
    alert = abc.get_by_role("alert")
    expect(alert).to_contain_text(sentence)
    expect(alert).to_contain_text("still shows the last formula that worked")
    line = text.split("\n")[-1]
    expect(alert.locator("pre")).to_have_text(re.compile(rf"^{re.escape(line)}\n.*\^$"), use_inner_text=True)
    eventually(alert.locator(".unseen").text_content, line[:at])
    place = alert.locator("pre").evaluate(
        """pre => {
          const range = document.createRange(), text = pre.firstChild;
          range.selectNodeContents(pre.querySelector('.unseen'));
          return range.getBoundingClientRect().right - pre.getBoundingClientRect().left;
        }"""
    )
    assert place >= 0
    expect(abc.get_by_label("formula", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(abc.locator(".node")).to_have_count(6)
    abc.get_by_label("formula", exact=True).fill("a*b")
    expect(alert).to_be_hidden()


def test_a_formula_of_several_lines_opens_its_field(abc: Any):
    forgives(abc, 400)
    field = abc.get_by_label("formula", exact=True)
    field.focus()
    field.press("End")
    field.press("Shift+Enter")
    field.press_sequentially("g = f")
    field.fill("p = a*b\nq = p+c\nr = q*q")
    eventually(lambda: field.bounding_box()["height"], lambda height: height > 60)
    expect(node(abc, "r")).to_be_visible()
    field.blur()
    eventually(lambda: field.bounding_box()["height"], lambda height: height < 40)
    abc.get_by_role("button", name="all 3 lines").click()
    expect(abc.locator(".typeset .line")).to_have_count(3)


def test_steps_tell_what_happens_and_go_back(abc: Any):
    abc.emulate_media(reduced_motion="reduce")
    abc.keyboard.press("Home")
    is_at(abc, "ready")
    has_registers(abc, "f", "·", "·")
    for place in (
        *("forward · x", "forward · y", "forward · f", "turn", "backward · f → x", "backward · f → y"),
        *("backward · y → b", "backward · y → c", "backward · x → a", "backward · x → b"),
        *("gradients add · b", "done"),
    ):
        abc.keyboard.press("ArrowRight")
        is_at(abc, place)
    for _ in range(5):
        abc.keyboard.press("ArrowLeft")
    is_at(abc, "backward · y → b")
    has_registers(abc, "b", "3", "2")  # one of two contributions has arrived
    has_registers(abc, "a", "−1", "·")
    expect(abc.locator(".factor .say")).to_contain_text("so it waits for 1 more contribution")


def test_a_link_whose_values_are_no_numbers_says_so(open_page: Open):
    page = open_page(address("(a+b)*(b+c)", at="a=-1,b=<b>3,c="))
    expect(page.locator(".notice")).to_have_text("The link has no number for b, c: a usual one is shown.")
    has_registers(page, "a", "−1")


def test_the_step_is_in_the_address(open_page: Open):
    page = open_page(f"{ABC}&step=10")
    expect(page.locator(".factor .kicker")).to_contain_text("step 10 of 12")
    is_at(page, "backward · x → b")
    expect(page.locator(".pill text.hot")).to_have_text("7")


def test_a_number_flies_and_changes_at_the_pill(abc: Any):
    page = abc
    page.goto(page.url.partition("#")[0] + address("(4x+1)^2", at="x=1", step=6))
    expect(page.locator(".factor .kicker")).to_contain_text("step 6 of 8")
    has_registers(page, "x", "1")
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    page.get_by_role("button", name="Step", exact=True).click()
    packet = page.locator(".packet text")
    expect(packet).to_have_text("10")
    texts = ["10"]
    while packet.count():
        texts += [text for text in packet.all_text_contents() if text != texts[-1]]
        page.clock.run_for(40)
    assert texts == ["10", "40"]
    has_registers(page, "x", "1", "40")


def test_play_runs_to_the_end_and_stops_at_breakpoints(abc: Any):
    abc.emulate_media(reduced_motion="reduce")
    abc.get_by_label("Speed").select_option("4")
    node(abc, "y").click(modifiers=["Shift"])
    expect(abc.locator(".stop-list")).to_contain_text("y")
    expect(abc).to_have_url(re.compile("stops=y"))
    play = abc.locator(".btn.play")
    play.click()
    is_at(abc, "forward · y")
    expect(play).to_contain_text("Play")
    play.click()
    is_at(abc, "backward · f → y")
    expect(play).to_contain_text("Play")
    node(abc, "y").click()
    abc.keyboard.press("b")
    expect(abc.locator(".stop-list")).to_be_hidden()
    play.click()
    is_at(abc, "done")
    expect(play).to_contain_text("Replay")


def test_the_scrubber_is_the_score(abc: Any):
    scrub = abc.get_by_label("Step", exact=True).and_(abc.locator("input"))
    expect(scrub).to_have_attribute("aria-valuetext", "step 12 of 12: done")
    expect(abc.locator(".cells > .cell")).to_have_count(12)
    expect(abc.locator(".cells > .cell.back")).to_have_count(9)
    scrub.focus()
    scrub.press("Home")
    is_at(abc, "ready")
    for _ in range(3):
        scrub.press("ArrowRight")
    expect(scrub).to_have_attribute("aria-valuetext", "step 3 of 12: forward · f")
    expect(abc.locator(".cells > .cell.on")).to_have_count(3)


def test_forward_mode_is_as_many_sweeps_long_as_there_are_inputs(abc: Any):
    abc.emulate_media(reduced_motion="reduce")
    abc.get_by_role("radio", name="Forward").click()
    expect(abc.locator(".cells > .cell.turn")).to_have_count(3)
    expect(abc.locator(".legend")).to_contain_text("tangent")
    abc.keyboard.press("Home")
    for _ in range(4):
        abc.keyboard.press("ArrowRight")
    is_at(abc, "sweep 1 of 3 · a")
    has_registers(abc, "b", "3", "0")
    for _ in range(3):
        abc.keyboard.press("ArrowRight")
    has_registers(abc, "f", "14", "7")
    expect(abc.locator(".factor .say")).to_contain_text("2 sweeps to go")
    abc.keyboard.press("m")
    expect(abc.get_by_role("radio", name="Reverse")).to_have_attribute("aria-checked", "true")


def test_keys_alone_walk_the_graph(abc: Any):
    sentence = "b, variable. Value 3. Gradient of f with respect to b: 9. 2 paths from f."
    abc.get_by_role("group", name="Nodes of the graph").get_by_role("button", name=sentence).focus()
    abc.keyboard.press("ArrowDown")
    expect(node(abc, "c")).to_be_focused()
    abc.keyboard.press("Alt+ArrowRight")
    expect(node(abc, "y")).to_be_focused()
    abc.keyboard.press("Alt+ArrowRight")
    expect(node(abc, "f")).to_be_focused()
    abc.keyboard.press("Alt+ArrowLeft")
    expect(node(abc, "x")).to_be_focused()
    abc.keyboard.press("Alt+ArrowDown")
    expect(node(abc, "y")).to_be_focused()
    expect(abc.locator('.node .face[tabindex="0"]')).to_have_count(1)
    abc.keyboard.press("/")
    expect(abc.get_by_label("formula", exact=True)).to_be_focused()


def test_a_blue_number_is_a_slider(abc: Any):
    node(abc, "b").click()
    number = abc.get_by_role("slider", name="value of b")
    number.focus()
    number.press("ArrowRight")
    has_registers(abc, "b", "3.1")
    expect(number).to_have_attribute("aria-valuetext", "b = 3.1")
    box = number.bounding_box()
    abc.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    abc.mouse.down()
    abc.mouse.move(box["x"] + box["width"] / 2 + 44, box["y"] + 5, steps=4)
    abc.mouse.up()
    has_registers(abc, "b", "5.1")
    has_registers(abc, "f", "37.31")
    abc.keyboard.press("Control+z")
    has_registers(abc, "b", "3.1")


def test_the_formula_and_the_graph_point_at_each_other(abc: Any):
    node(abc, "x").hover()
    expect(abc.locator(".typeset .hovered")).to_have_count(2)  # a + b in letters and in numbers
    abc.locator('.typeset [data-node="4"]').first.hover()
    expect(abc.locator(".node", has=node(abc, "y"))).to_have_class(re.compile(r"\bhovered\b"))
    abc.locator('.typeset [data-node="2"]').first.click()
    expect(abc.locator(".node.selected .face")).to_have_attribute("aria-label", re.compile("^c,"))


def test_constants_can_be_hidden(open_page: Open):
    page = open_page(address("(4x+1)^2"))
    expect(page.locator(".node.constant")).to_have_count(3)
    expect(page.locator(".wire")).to_have_count(3)
    page.get_by_label("constants").uncheck()
    expect(page.locator(".node.constant")).to_have_count(0)
    expect(page.locator(".wire")).to_have_count(0)
    expect(page).to_have_url(re.compile("constants=no"))


def test_what_is_not_a_number_is_marked(open_page: Open):
    page = open_page(address("log(x)*y", at="x=-1,y=2"))
    expect(page.locator(".node.strange")).to_have_count(3)
    has_registers(page, "f", "NaN")


def test_many_nodes_are_chips_then_dots_and_zooming_makes_cards_of_them(open_page: Open):
    page = open_page(address(sums_of_products(25)))
    stage = page.locator(".stage")
    expect(stage).to_have_attribute("data-level", "2")
    page.goto(page.url.partition("#")[0] + address(sums_of_products(75)))
    expect(stage).to_have_attribute("data-level", "3")
    expect(page.locator(".node.selected.card")).to_be_visible()
    eventually(page.locator(".node").count, lambda count: count < 12)
    page.wait_for_function(  # something is painted
        """() => {
          const canvas = document.querySelector('canvas.dots');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return data.some(x => x > 0);
        }"""
    )
    levels = ["3"]
    while levels[-1] != "0":
        zoomed = page.locator(".zoom .num").inner_text()
        page.get_by_role("button", name="Zoom in").click()
        expect(page.locator(".zoom .num")).not_to_have_text(zoomed)
        levels.append(stage.get_attribute("data-level"))
    assert levels == sorted(levels, reverse=True)
    assert set(levels) == {"3", "2", "1", "0"}
    page.get_by_role("button", name="Fit").click()
    expect(page.locator(".zoom .num")).to_have_text("")
    expect(stage).to_have_attribute("data-level", "3")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".node.selected.card .face")).to_be_focused()


def test_a_link_wins_over_what_the_page_still_had_to_write_into_the_address(abc: Any):
    abc.evaluate(
        """hash => {
          const here = location.href;
          location.hash = hash;
          history.replaceState(null, '', here); // before the event of the line above
        }""",
        address("u*v"),
    )
    expect(abc.locator(".node").filter(has_text="u").first).to_be_visible()
    expect(abc).to_have_url(re.compile(r"f=u(\*|%2A)v"))


def test_a_long_list_of_steps_has_a_plain_slider(open_page: Open):
    page = open_page(address(sums_of_products(60)))
    scrub = page.locator(".score input")
    expect(scrub).to_have_attribute("aria-valuetext", re.compile("^step"))
    expect(page.locator(".cells > .cell")).to_have_count(0)
    eventually(lambda: int(scrub.get_attribute("max")), lambda steps: steps > 200)


def test_all_steps_as_a_table(abc: Any):
    abc.get_by_role("button", name="Steps", exact=True).click()
    rows = abc.locator(".step-table tbody tr")
    expect(rows).to_have_count(13)
    expect(rows.nth(1).locator("th, td")).to_have_text(["1", "forward", "x", "x = a + b = −1 + 3 = 2"])
    expect(rows.nth(10).locator("th, td").nth(3)).to_have_text(re.compile("= 7 · 1 = 7$"))
    rows.nth(3).click()
    is_at(abc, "forward · f")
    expect(rows.nth(3)).to_have_attribute("aria-current", "step")


def test_on_a_phone_the_graph_runs_down_and_the_transport_stays_in_reach(open_page: Open):
    page = open_page(ABC, viewport={"width": 400, "height": 800}, has_touch=True)
    expect(node(page, "b")).to_be_visible()

    def heights() -> tuple[float, ...]:
        return tuple(node(page, name).bounding_box()["y"] for name in "abxf")

    eventually(heights, lambda y: y[0] == y[1] < y[2] < y[3])
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.locator(".insp .tile").first).to_be_attached()  # what is built last
    play = page.locator(".btn.play").bounding_box()
    assert play["y"] + play["height"] < 800
    assert min(play["height"], play["width"]) >= 38
    page.mouse.wheel(0, 400)
    eventually(lambda: page.evaluate("scrollY"), 400)
    assert page.locator(".btn.play").bounding_box() == play
    expect(page.get_by_role("radio", name="Forward")).to_have_count(1)


def test_a_reader_is_told_a_step_but_not_while_it_plays(abc: Any):
    abc.emulate_media(reduced_motion="reduce")
    told = abc.locator('.studio > .sr[aria-live="polite"]')
    abc.keyboard.press("Home")
    abc.keyboard.press("ArrowRight")
    expect(told).to_contain_text("forward · x. x = a + b = −1 + 3 = 2.")
    abc.get_by_label("Speed").select_option("4")
    abc.locator(".btn.play").click()
    is_at(abc, "forward · f")
    expect(told).to_contain_text("forward · x")
    abc.locator(".btn.play").click()
