"""The panels of the formula page: variables, inspector, plot with descent, both modes, the orders of article 003."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from browser.reading import state_of
from browser.waiting import eventually
from chainrule.explain.numbers import number_text
from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas.examples import EXAMPLES
from chainrule.studio.formulas.questions import values_at

Open = Callable[..., Any]
NETWORK = next(e for e in EXAMPLES if e.source == "article 001")


def at_text(values: dict[str, float]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


@pytest.fixture
def opened(open_page: Open) -> Open:
    """``opened("x*x", at="x=3")``: the formula page, when it shows that formula."""

    def open_formula(text: str, viewport: dict[str, int] | None = None, **state: str) -> Any:
        options = {"viewport": viewport} if viewport else {}
        page = open_page(f"#/formula?{urlencode({'f': text, **state})}", **options)
        expect(page.locator(".insp .tile").first).to_be_attached()
        expect(page.locator(".plot-panel:not([hidden]) .verdict:empty")).to_have_count(0)  # it is drawn
        return page

    return open_formula


def values(page: Any) -> dict[str, float]:
    """The values in the address. What is dragged is written into it after a pause."""
    return values_at(state_of(page)["at"])


def slider(page: Any, name: str) -> Any:
    return page.locator(f'.var-row[data-name="{name}"] input[type=range]')


def field(page: Any, name: str) -> Any:
    return page.locator(f'.var-row[data-name="{name}"] input[type=text]')


def enter(page: Any, name: str, text: str) -> None:
    """Write a value; panels follow in later frames."""
    field(page, name).fill(text)
    field(page, name).press("Enter")


def gradient_shown(page: Any, name: str) -> float:
    return float(page.locator(f'.var-row[data-name="{name}"] .gradient').get_attribute("title").split(":")[0])


def tile(page: Any, kind: str) -> float:
    return float(page.locator(f".insp .tile{kind} b").get_attribute("title"))


def holds_chainrules_numbers(page: Any, text: str) -> FormulaTrace:
    """Wait until everything on the panels is what chainrule computes for the values in the address."""
    trace = FormulaTrace(text, values(page))
    number = {trace.name(i): i for i in range(len(trace.nodes))}
    chosen = number[state_of(page)["select"]]
    for row in page.locator(".var-row[data-name]").all():
        name = row.get_attribute("data-name")
        slope = pytest.approx(trace.gradient(number[name]), rel=1e-13)
        eventually(lambda name=name: gradient_shown(page, name), slope)
    eventually(lambda: tile(page, ":not(.gr)"), pytest.approx(trace.value(chosen), rel=1e-13))
    eventually(lambda: tile(page, ".gr"), pytest.approx(trace.gradient(chosen), rel=1e-13))
    said = re.compile(f"the value is {re.escape(number_text(trace.value(trace.result)))} ")
    expect(page.locator(".plot-frame svg")).to_have_attribute("aria-label", said)
    return trace


def test_a_slider_that_is_dragged_changes_all_numbers(opened: Open) -> None:
    text = "(a+b)*(b+c)"
    page = opened(text, at="a=-1,b=3,c=4", select="b")
    assert holds_chainrules_numbers(page, text).gradient(1) == 9
    box = slider(page, "b").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.down()
    for part in (0.7, 0.5, 0.35, 0.25, 0.2):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
    page.mouse.up()
    eventually(lambda: values(page)["b"], lambda b: b < -2 and b == float(slider(page, "b").input_value()))
    holds_chainrules_numbers(page, text)
    page.keyboard.press("Control+z")
    eventually(lambda: values(page)["b"], 3)
    expect(page.locator(".insp .tile b").first).to_have_text("3")
    holds_chainrules_numbers(page, text)


def test_a_frame_that_comes_late_does_not_take_a_slider_out_of_the_hand(opened: Open) -> None:
    page = opened("x^2", at="x=3")
    box = slider(page, "x").bounding_box()

    def move(part: float) -> None:
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)

    page.evaluate("window.late = []; window.requestAnimationFrame = f => window.late.push(f); 0")
    draw = "for (const f of window.late.splice(0)) f(performance.now())"
    move(0.8)
    page.mouse.down()
    move(0.5)
    page.evaluate(draw)  # the value is given, and will be drawn in the next frame
    move(0.2)
    page.evaluate(draw)
    page.mouse.up()
    eventually(lambda: values(page)["x"], lambda x: x < -2)
    eventually(lambda: float(slider(page, "x").input_value()), values(page)["x"])


def test_keys_of_a_slider_are_its_own(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4", select="b", step="5")
    slider(page, "a").focus()
    page.keyboard.press("Home")
    eventually(lambda: values(page)["a"], -5)
    page.keyboard.press("ArrowRight")
    eventually(lambda: values(page)["a"], pytest.approx(-4.95))
    assert state_of(page)["step"] == "5"
    expect(slider(page, "a")).to_have_attribute("aria-valuetext", "a = −4.95, gradient 7")


def test_the_exact_field(opened: Open) -> None:
    text = "x^2/2"
    page = opened(text, at="x=1")
    for written, value in {"1/2": 0.5, "−pi/4": -math.pi / 4, "40": 40.0}.items():
        enter(page, "x", written)
        eventually(lambda: tile(page, ".gr"), pytest.approx(value, rel=1e-15))
    eventually(lambda: float(slider(page, "x").get_attribute("max")), 50)
    eventually(lambda: float(slider(page, "x").input_value()), 40)
    field(page, "x").press("ArrowUp")
    eventually(lambda: tile(page, ".gr"), pytest.approx(40.5))
    eventually(lambda: values(page)["x"], 40.5)
    holds_chainrules_numbers(page, text)
    enter(page, "x", "two")
    alert = page.locator(".variables-panel [role=alert]")
    expect(alert).to_have_text("x: “two” is no number; write one such as −1.5, 1/2 or pi/4.")
    expect(field(page, "x")).to_have_attribute("aria-invalid", "true")
    field(page, "x").press("Escape")
    expect(field(page, "x")).to_have_value("40.5")
    expect(alert).to_be_hidden()


def test_values_that_are_no_numbers_are_shown_and_explained(opened: Open) -> None:
    page = opened("log(a)*b", at="a=2,b=1", select="b")
    enter(page, "a", "-1")
    page.locator(".insp summary").click()
    expect(page.locator(".insp .tile.gr b")).to_have_text("NaN")
    page.locator('.var-row [aria-label="Select a"]').click()
    enter(page, "a", "inf")
    expect(page.locator(".insp .tile b").first).to_have_text("∞")
    eventually(lambda: state_of(page)["at"], "a=Infinity,b=1")
    page.reload()
    expect(page.locator(".insp .tile b").first).to_have_text("∞")


def test_why_a_value_is_nan(opened: Open) -> None:
    page = opened("exp(log(a)*b)", at="a=-1,b=1", select="f")
    page.locator(".insp summary").click()
    expect(page.locator(".insp .why")).to_contain_text(
        "begins at x, log of a = −1: before it all numbers are finite"
    )


def test_reset_round_and_data(opened: Open) -> None:
    page = opened(NETWORK.text, at=at_text(dict(NETWORK.values)), select="w1")
    reset, rounds = page.locator("text=Reset"), page.locator("text=Round")
    expect(reset).to_be_disabled()
    enter(page, "w1", "0.123456")
    eventually(lambda: values(page)["w1"], 0.123456)
    rounds.click()
    eventually(lambda: values(page)["w1"], 0.12)
    reset.click()
    eventually(lambda: values(page), dict(NETWORK.values))
    tagged = page.locator(".var-row:has(.tag)")
    assert tagged.evaluate_all("all => all.map(row => row.dataset.name)") == ["x1", "x2", "y"]
    expect(page.locator(".var-row .gradient.off")).to_have_count(3)
    holds_chainrules_numbers(page, NETWORK.text)


def test_paths_light_and_have_their_shares(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4", select="b")
    expect(page.locator(".insp .share")).to_have_text(["77.8 %", "22.2 %"])
    first = page.locator(".insp .path").first
    expect(first).to_have_attribute("aria-label", "Path f to x to b: 7 times 1 is 7, share 77.8 %")
    first.click()
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".node.faded")).to_have_count(3)  # a, c and y
    first.click()
    expect(page.locator(".node.faded")).to_have_count(0)
    nudge = "Raise b by 0.01: f should rise by 0.09, and it rises by 0.0901."
    expect(page.locator(".insp .nudge")).to_have_text(nudge)
    page.locator('.var-row [aria-label="Select c"]').click()
    expect(page.locator(".insp .path")).to_have_count(1)
    expect(page.locator(".insp .share")).to_be_hidden()


def test_paths_that_cancel(opened: Open) -> None:
    page = opened("x*x - 3x", at="x=2")
    expect(page.locator(".insp .share")).to_have_text(["−42.9 %", "28.6 %", "28.6 %"])
    expect(page.locator(".insp .bar-track i.neg")).to_have_count(1)
    expect(page.locator(".insp")).to_contain_text("partly cancel", use_inner_text=True)
    words = "Paths: their products add up to 1"
    expect(page.locator(".insp")).to_contain_text(words, use_inner_text=True)
    enter(page, "x", "1.5")
    page.locator(".insp summary").click()
    expect(page.locator(".insp .why")).to_contain_text("cancels: 1.5 + 1.5 + (−3) = 0")


def test_of_many_paths_the_strongest_are_those_that_python_lists(opened: Open) -> None:
    text = "\n".join(
        ["y0 = x + w", *(f"y{i} = y{i - 1}*sin(y{i - 1} + {i}) + y{i - 1}" for i in range(1, 8)), "f = y7"]
    )
    page = opened(text, at="x=0.3,w=0.5", select="x")
    at = state_of(page)["at"]
    found = page.evaluate(
        "async query => (await fetch('/api/formula/paths?' + new URLSearchParams(query))).json()",
        {"text": text, "at": at, "node": "x"},
    )
    expect(page.locator(".insp .insp-head")).to_contain_text(f"{int(found['count']):,} paths from")

    def shown() -> list[str]:
        labels = page.locator(".insp .path").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
        return [label.partition(" is ")[2].partition(", share")[0] for label in labels]

    eventually(shown, [number_text(path["product"]) for path in found["paths"][:5]])
    rest = found["total"] - sum(path["product"] for path in found["paths"][:5])
    expect(page.locator(".insp .sec > p.small:not([hidden])").first).to_have_text(
        f"{int(found['count']) - 5:,} more paths bring {number_text(rest)}."
    )


def test_the_chain_rule_is_copied_as_latex(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4", select="b")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".insp >> text=LaTeX").click()
    page.wait_for_selector("text=copied")
    assert page.evaluate("navigator.clipboard.readText()") == (
        r"\frac{\partial f}{\partial b} = \frac{\partial f}{\partial x} \frac{\partial x}{\partial b} + "
        r"\frac{\partial f}{\partial y} \frac{\partial y}{\partial b} = 7 \cdot 1 + 2 \cdot 1 = 9"
    )


def test_an_operation_says_that_its_gradient_is_used_again(opened: Open) -> None:
    page = opened(NETWORK.text, at=at_text(dict(NETWORK.values)), select="z3")
    for words in (
        "is computed once and used 2 times: that is the dynamic programming",
        "Article 001 calls its gradient δ",
    ):
        expect(page.locator(".insp")).to_contain_text(words, use_inner_text=True)


def test_descent_is_gradient_descent(opened: Open) -> None:
    text = "(a+b)*(b+c)"
    page = opened(text, at="a=-1,b=3,c=4", select="b", rate="0.1")
    verdict = page.locator(".verdict")
    expect(verdict).to_have_text("The tangent promises −8.1, the step delivers −7.29.")
    page.locator("body").press("d")
    eventually(lambda: values(page)["b"], 3 - 0.1 * 9)
    page.emulate_media(reduced_motion="reduce")
    page.locator("text=20 steps").click()
    b = 3.0
    for _ in range(21):
        b -= 0.1 * ((b - 1) + (b + 4))
    eventually(lambda: values(page)["b"], b)
    holds_chainrules_numbers(page, text)
    expect(page.locator(".plot .hop:not([visibility])")).to_have_count(21)
    page.locator(".plot-panel >> text=Back").click()
    eventually(lambda: values(page)["b"], 3)
    expect(page.locator(".plot .hop:not([visibility])")).to_have_count(0)


def test_descent_that_diverges_says_so(opened: Open) -> None:
    page = opened("(4x+1)^2", at="x=1", rate="0.07")
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("overshoots the valley. With this bend, rates below about 0.063 go down.")
    page.emulate_media(reduced_motion="reduce")
    for _ in range(12):
        page.locator("text=20 steps").click()
    expect(verdict).to_contain_text("the learning rate is far too large")
    eventually(lambda: values(page)["x"], lambda x: x != 1 and math.isfinite(x))


CURVE = "document.querySelector('.plot .curve').getAttribute('d')"


def test_zoomed_in_the_curve_is_its_tangent(opened: Open) -> None:
    page = opened("x^3 - 2x", at="x=1.3", zoom="1")
    up_close = "Up close a curve is its tangent"
    expect(page.locator(".verdict")).to_contain_text(up_close)
    points = [
        tuple(map(float, p.split())) for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", page.evaluate(CURVE))
    ]
    line = {k: float(page.locator(".plot .tangent").get_attribute(k)) for k in ("x1", "x2", "y1", "y2")}
    slope = (line["y2"] - line["y1"]) / (line["x2"] - line["x1"])
    misses = [abs(y - (line["y1"] + slope * (x - line["x1"]))) for x, y in points]
    assert len(points) > 80
    assert max(misses) < 2.5  # pixels
    page.locator('[aria-label="Zoom into the point"]').focus()
    page.keyboard.press("Home")
    expect(page).not_to_have_url(re.compile("zoom="))
    expect(page.locator(".verdict")).not_to_contain_text(up_close)
    points = re.findall(r"[ML]([-\d.]+ [-\d.]+)", page.evaluate(CURVE))
    assert 80 < len(points) <= 200


@pytest.mark.parametrize(
    ("text", "pieces"), [("1/x", 2), ("floor(x)", 10), ("log(x)", 1), ("x^2", 1), ("tan(x)", 4)]
)
def test_poles_and_jumps_are_gaps(opened: Open, text: str, pieces: int) -> None:
    page = opened(text, at="x=1.3")
    found = page.evaluate(CURVE)
    assert found.count("M") in (pieces, pieces + 1)  # one more where a jump is at the very end
    assert "NaN" not in found
    assert "Infinity" not in found


def test_the_point_can_be_dragged_on_the_plot(opened: Open) -> None:
    page = opened("x^2", at="x=1.3")
    box = page.locator(".plot-frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=4)
    page.mouse.up()
    eventually(lambda: values(page)["x"], lambda x: 2 < x < 3.5)
    expect(page.locator(".insp .tile b").first).not_to_have_text("1.3")
    holds_chainrules_numbers(page, "x^2")


def test_modes_beside_each_other(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4")
    forward, reverse = (page.locator(f'.mode[data-mode="{mode}"]') for mode in ("forward", "reverse"))
    expect(forward.locator(".counts b")).to_have_text(["3", "18"])
    expect(reverse.locator(".counts b")).to_have_text(["1", "6"])
    expect(forward.locator(".thumb")).to_have_count(3)
    for words in (
        "Thrice the work: 3 inputs take 3 sweeps forward against 1 in reverse",
        "Even if forward mode skips the zeros, it needs 8",
        "60,192,808",
    ):
        expect(page.locator(".modes-panel")).to_contain_text(words, use_inner_text=True)
    forward.click()
    expect(page).to_have_url(re.compile("mode=forward"))
    expect(forward).to_have_attribute("aria-pressed", "true")
    page.locator("body").press("m")
    expect(reverse).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".ledger .counts b")).to_have_text(["6", "8"])
    page.locator(".ledger .reuses button").first.click()
    eventually(lambda: state_of(page)["select"], "y")


def test_both_orders_of_article_003(opened: Open) -> None:
    page = opened("x*y", at="x=2,y=-6")
    totals = page.locator(".layer-sums .counts b")
    expect(totals).to_have_text(["104,768", "3,469,984"])
    for name, size in {"x": 1_000_000_000, "z1": 2, "z2": 3, "z3": 5}.items():
        page.locator(f'[aria-label="Size of {name}"]').fill(str(size))
    x, one, two, three = 10**9, 2, 3, 5
    loss = three * two + two * one + one * x
    start = two * one * x + three * two * x + three * x
    expect(totals).to_have_text([f"{loss:,}", f"{start:,}"])
    expect(page.locator(".layer-sums")).to_contain_text(f"{number_text(start / loss, 3)} times as many")
    eventually(lambda: state_of(page)["layers"], "1000000000,2,3,5")
    page.reload()
    expect(totals.first).to_have_text(f"{loss:,}")
    page.locator('[aria-label="Size of x"]').fill("0")
    expect(page.locator('[aria-label="Size of x"]')).to_have_attribute("aria-invalid", "true")
    expect(totals).to_have_text([f"{loss:,}", f"{start:,}"])


@pytest.mark.parametrize("width", [400, 1280, 2560])
def test_no_panel_is_wider_than_its_place(opened: Open, width: int) -> None:
    page = opened(
        NETWORK.text, at=at_text(dict(NETWORK.values)), viewport={"width": width, "height": 900}, select="z3"
    )
    page.locator(".insp summary").click()
    expect(page.locator(".insp details")).to_have_attribute("open", "")
    cards = page.locator(".side .card, .lower .card")
    assert cards.count() > 4
    wide = """(all, width) => all.filter(e => {
      const { x, right } = e.getBoundingClientRect();
      return x < 0 || right > width || e.scrollWidth > e.clientWidth;
    }).map(e => e.className)"""
    eventually(lambda: cards.evaluate_all(wide, width), [])
    small = (
        "[...document.querySelectorAll('.side button, .lower button, .side input, .lower input')]"
        ".filter(e => e.offsetParent && e.type !== 'range' && e.getBoundingClientRect().height < 31.5)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    eventually(lambda: page.evaluate(small), [])


def test_of_many_variables_the_selected_one_has_its_row(opened: Open) -> None:
    page = opened("+".join(f"w{i}*x{i}" for i in range(30)), select="x29")
    expect(page.locator(".var-row[data-name]")).to_have_count(41)
    expect(page.locator('.var-row[data-name="x29"] .name')).to_have_attribute("aria-pressed", "true")
    page.locator("text=Show all 60 variables").click()
    expect(page.locator(".var-row[data-name]")).to_have_count(60)


@pytest.mark.parametrize("text", ["2+3", "x", "x*0 + 3", "hypot(a,b)*1e200*c^50"])
def test_formulas_at_the_edge_have_panels_too(opened: Open, text: str) -> None:
    page = opened(text)
    page.locator(".insp summary").click()
    expect(page.locator(".modes-panel p")).not_to_be_empty()
    has_plot = bool(FormulaTrace(text).formula.variables)
    expect(page.locator(".plot-panel")).to_be_visible(visible=has_plot)
