"""The panels of the formula page: variables, inspector, plot with descent, both modes, the orders of article 003."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

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
        page.wait_for_selector(".insp .tile")
        return page

    return open_formula


def state_of(page: Any) -> dict[str, str]:
    """The address, once what is dragged is written into it."""
    page.wait_for_timeout(350)
    return {k: v[0] for k, v in parse_qs(urlsplit(page.url).fragment.partition("?")[2]).items()}


def slider(page: Any, name: str) -> Any:
    return page.locator(f'.var-row[data-name="{name}"] input[type=range]')


def field(page: Any, name: str) -> Any:
    return page.locator(f'.var-row[data-name="{name}"] input[type=text]')


def enter(page: Any, name: str, text: str) -> None:
    """Write a value and wait until all panels have been painted."""
    field(page, name).fill(text)
    field(page, name).press("Enter")
    painted(page)


def painted(page: Any) -> None:
    """The inspector follows in the frame after the next."""
    page.evaluate("async () => { for (let i = 0; i < 4; i += 1) await new Promise(requestAnimationFrame); }")


def gradient_shown(page: Any, name: str) -> float:
    return float(page.locator(f'.var-row[data-name="{name}"] .gradient').get_attribute("title").split(":")[0])


def tile(page: Any, kind: str) -> float:
    return float(page.locator(f".insp .tile{kind} b").get_attribute("title"))


def holds_chainrules_numbers(page: Any, text: str) -> FormulaTrace:
    """Everything on the panels is what chainrule computes for the values in the address."""
    painted(page)
    trace = FormulaTrace(text, values_at(state_of(page)["at"]))
    number = {trace.name(i): i for i in range(len(trace.nodes))}
    for row in page.locator(".var-row[data-name]").all():
        name = row.get_attribute("data-name")
        assert gradient_shown(page, name) == pytest.approx(trace.gradient(number[name]), rel=1e-13)
    chosen = number[state_of(page)["select"]]
    assert tile(page, ":not(.gr)") == pytest.approx(trace.value(chosen), rel=1e-13)
    assert tile(page, ".gr") == pytest.approx(trace.gradient(chosen), rel=1e-13)
    said = page.locator(".plot-frame svg").get_attribute("aria-label")
    assert f"the value is {number_text(trace.value(trace.result))} " in said
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
    assert values_at(state_of(page)["at"])["b"] < -2
    holds_chainrules_numbers(page, text)
    page.keyboard.press("Control+z")
    expect(page.locator(".insp .tile b").first).to_have_text("3")
    holds_chainrules_numbers(page, text)


def test_keys_of_a_slider_are_its_own(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4", select="b", step="5")
    slider(page, "a").focus()
    page.keyboard.press("Home")
    assert values_at(state_of(page)["at"])["a"] == -5
    page.keyboard.press("ArrowRight")
    assert values_at(state_of(page)["at"])["a"] == pytest.approx(-4.95)
    assert state_of(page)["step"] == "5"
    assert slider(page, "a").get_attribute("aria-valuetext") == "a = −4.95, gradient 7"


def test_the_exact_field(opened: Open) -> None:
    text = "x^2/2"
    page = opened(text, at="x=1")
    for written, value in {"1/2": 0.5, "−pi/4": -math.pi / 4, "40": 40.0}.items():
        enter(page, "x", written)
        assert tile(page, ".gr") == pytest.approx(value, rel=1e-15)
    assert float(slider(page, "x").get_attribute("max")) == 50
    assert float(slider(page, "x").input_value()) == 40
    field(page, "x").press("ArrowUp")
    painted(page)
    assert tile(page, ".gr") == pytest.approx(40.5)
    holds_chainrules_numbers(page, text)
    enter(page, "x", "two")
    assert page.locator(".variables-panel [role=alert]").inner_text() == (
        "x: “two” is no number; write one such as −1.5, 1/2 or pi/4."
    )
    assert field(page, "x").get_attribute("aria-invalid") == "true"
    field(page, "x").press("Escape")
    assert field(page, "x").input_value() == "40.5"
    assert page.locator(".variables-panel [role=alert]").is_hidden()


def test_values_that_are_no_numbers_are_shown_and_explained(opened: Open) -> None:
    page = opened("log(a)*b", at="a=2,b=1", select="b")
    enter(page, "a", "-1")
    page.locator(".insp summary").click()
    assert page.locator(".insp .tile.gr b").inner_text() == "NaN"
    page.locator('.var-row [aria-label="Select a"]').click()
    enter(page, "a", "inf")
    expect(page.locator(".insp .tile b").first).to_have_text("∞")
    assert state_of(page)["at"] == "a=Infinity,b=1"
    page.reload()
    page.wait_for_selector(".insp .tile")
    assert page.locator(".insp .tile b").first.inner_text() == "∞"


def test_why_a_value_is_nan(opened: Open) -> None:
    page = opened("exp(log(a)*b)", at="a=-1,b=1", select="f")
    page.locator(".insp summary").click()
    expect(page.locator(".insp .why")).to_contain_text(
        "begins at x, log of a = −1: before it all numbers are finite"
    )


def test_reset_round_and_data(opened: Open) -> None:
    page = opened(NETWORK.text, at=at_text(dict(NETWORK.values)), select="w1")
    reset, rounds = page.locator("text=Reset"), page.locator("text=Round")
    assert reset.is_disabled()
    enter(page, "w1", "0.123456")
    rounds.click()
    assert values_at(state_of(page)["at"])["w1"] == 0.12
    reset.click()
    assert values_at(state_of(page)["at"]) == dict(NETWORK.values)
    tagged = page.locator(".var-row:has(.tag)").all()
    assert [row.get_attribute("data-name") for row in tagged] == ["x1", "x2", "y"]
    assert page.locator(".var-row .gradient.off").count() == 3
    holds_chainrules_numbers(page, NETWORK.text)


def test_paths_light_and_have_their_shares(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4", select="b")
    assert page.locator(".insp .share").all_inner_texts() == ["77.8 %", "22.2 %"]
    first = page.locator(".insp .path").first
    assert first.get_attribute("aria-label") == "Path f to x to b: 7 times 1 is 7, share 77.8 %"
    first.click()
    assert first.get_attribute("aria-pressed") == "true"
    expect(page.locator(".node.faded")).to_have_count(3)  # a, c and y
    first.click()
    expect(page.locator(".node.faded")).to_have_count(0)
    nudge = page.locator(".insp .nudge").inner_text()
    assert nudge == "Raise b by 0.01: f should rise by 0.09, and it rises by 0.0901."
    page.locator('.var-row [aria-label="Select c"]').click()
    assert page.locator(".insp .path").count() == 1
    assert page.locator(".insp .share").is_hidden()


def test_paths_that_cancel(opened: Open) -> None:
    page = opened("x*x - 3x", at="x=2")
    assert page.locator(".insp .share").all_inner_texts() == ["−42.9 %", "28.6 %", "28.6 %"]
    assert page.locator(".insp .bar-track i.neg").count() == 1
    assert "partly cancel" in page.locator(".insp").inner_text()
    assert "Paths: their products add up to 1" in page.locator(".insp").inner_text()
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
    assert f"{int(found['count']):,} paths from" in page.locator(".insp .insp-head").inner_text()
    labels = [row.get_attribute("aria-label") for row in page.locator(".insp .path").all()]
    shown = [re.search(r" is (.*), share", label)[1] for label in labels]  # pyright: ignore[reportOptionalSubscript]
    assert shown == [number_text(path["product"]) for path in found["paths"][:5]]
    rest = found["total"] - sum(path["product"] for path in found["paths"][:5])
    assert page.locator(".insp .sec > p.small:not([hidden])").first.inner_text() == (
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
    said = page.locator(".insp").inner_text()
    assert "is computed once and used 2 times: that is the dynamic programming" in said
    assert "Article 001 calls its gradient δ" in said


def test_descent_is_gradient_descent(opened: Open) -> None:
    text = "(a+b)*(b+c)"
    page = opened(text, at="a=-1,b=3,c=4", select="b", rate="0.1")
    verdict = page.locator(".verdict")
    assert verdict.inner_text() == "The tangent promises −8.1, the step delivers −7.29."
    page.locator("body").press("d")
    assert values_at(state_of(page)["at"])["b"] == 3 - 0.1 * 9
    page.emulate_media(reduced_motion="reduce")
    page.locator("text=20 steps").click()
    b = 3.0
    for _ in range(21):
        b -= 0.1 * ((b - 1) + (b + 4))
    assert values_at(state_of(page)["at"])["b"] == b
    holds_chainrules_numbers(page, text)
    assert page.locator(".plot .hop:not([visibility])").count() == 21
    page.locator(".plot-panel >> text=Back").click()
    assert values_at(state_of(page)["at"])["b"] == 3
    assert page.locator(".plot .hop:not([visibility])").count() == 0


def test_descent_that_diverges_says_so(opened: Open) -> None:
    page = opened("(4x+1)^2", at="x=1", rate="0.07")
    assert (
        "overshoots the valley. With this bend, rates below about 0.063 go down."
        in page.locator(".verdict").inner_text()
    )
    page.emulate_media(reduced_motion="reduce")
    for _ in range(12):
        page.locator("text=20 steps").click()
    assert "the learning rate is far too large" in page.locator(".verdict").inner_text()
    assert math.isfinite(values_at(state_of(page)["at"])["x"])


CURVE = "document.querySelector('.plot .curve').getAttribute('d')"


def test_zoomed_in_the_curve_is_its_tangent(opened: Open) -> None:
    page = opened("x^3 - 2x", at="x=1.3", zoom="1")
    points = [
        tuple(map(float, p.split())) for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", page.evaluate(CURVE))
    ]
    line = {k: float(page.locator(".plot .tangent").get_attribute(k)) for k in ("x1", "x2", "y1", "y2")}
    slope = (line["y2"] - line["y1"]) / (line["x2"] - line["x1"])
    misses = [abs(y - (line["y1"] + slope * (x - line["x1"]))) for x, y in points]
    assert len(points) > 80
    assert max(misses) < 2.5  # pixels
    assert "Up close a curve is its tangent" in page.locator(".verdict").inner_text()
    page.locator('[aria-label="Zoom into the point"]').focus()
    page.keyboard.press("Home")
    assert "zoom" not in state_of(page)
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
    assert 2 < values_at(state_of(page)["at"])["x"] < 3.5
    holds_chainrules_numbers(page, "x^2")


def test_modes_beside_each_other(opened: Open) -> None:
    page = opened("(a+b)*(b+c)", at="a=-1,b=3,c=4")
    forward, reverse = (page.locator(f'.mode[data-mode="{mode}"]') for mode in ("forward", "reverse"))
    assert forward.locator(".counts b").all_inner_texts() == ["3", "18"]
    assert reverse.locator(".counts b").all_inner_texts() == ["1", "6"]
    assert forward.locator(".thumb").count() == 3
    said = page.locator(".modes-panel").inner_text()
    assert "Thrice the work: 3 inputs take 3 sweeps forward against 1 in reverse" in said
    assert "Even if forward mode skips the zeros, it needs 8" in said
    assert "60,192,808" in said
    forward.click()
    assert state_of(page)["mode"] == "forward"
    assert forward.get_attribute("aria-pressed") == "true"
    page.locator("body").press("m")
    assert reverse.get_attribute("aria-pressed") == "true"
    assert page.locator(".ledger .counts b").all_inner_texts() == ["6", "8"]
    page.locator(".ledger .reuses button").first.click()
    assert state_of(page)["select"] == "y"


def test_both_orders_of_article_003(opened: Open) -> None:
    page = opened("x*y", at="x=2,y=-6")
    totals = page.locator(".layer-sums .counts b")
    assert totals.all_inner_texts() == ["104,768", "3,469,984"]
    for name, size in {"x": 1_000_000_000, "z1": 2, "z2": 3, "z3": 5}.items():
        page.locator(f'[aria-label="Size of {name}"]').fill(str(size))
    x, one, two, three = 10**9, 2, 3, 5
    loss = three * two + two * one + one * x
    start = two * one * x + three * two * x + three * x
    assert totals.all_inner_texts() == [f"{loss:,}", f"{start:,}"]
    assert f"{number_text(start / loss, 3)} times as many" in page.locator(".layer-sums").inner_text()
    assert state_of(page)["layers"] == "1000000000,2,3,5"
    page.reload()
    expect(totals.first).to_have_text(f"{loss:,}")
    page.locator('[aria-label="Size of x"]').fill("0")
    assert page.locator('[aria-label="Size of x"]').get_attribute("aria-invalid") == "true"
    assert totals.all_inner_texts() == [f"{loss:,}", f"{start:,}"]


@pytest.mark.parametrize("width", [400, 1280, 2560])
def test_no_panel_is_wider_than_its_place(opened: Open, width: int) -> None:
    page = opened(
        NETWORK.text, at=at_text(dict(NETWORK.values)), viewport={"width": width, "height": 900}, select="z3"
    )
    page.locator(".insp summary").click()
    cards = page.locator(".side .card, .lower .card")
    for card in cards.all():
        box = card.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert card.evaluate("e => e.scrollWidth <= e.clientWidth")
    small = page.evaluate(
        "[...document.querySelectorAll('.side button, .lower button, .side input, .lower input')]"
        ".filter(e => e.offsetParent && e.type !== 'range' && e.getBoundingClientRect().height < 31.5)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert small == []


def test_of_many_variables_the_selected_one_has_its_row(opened: Open) -> None:
    page = opened("+".join(f"w{i}*x{i}" for i in range(30)), select="x29")
    assert page.locator(".var-row[data-name]").count() == 41
    assert page.locator('.var-row[data-name="x29"] .name').get_attribute("aria-pressed") == "true"
    page.locator("text=Show all 60 variables").click()
    assert page.locator(".var-row[data-name]").count() == 60


@pytest.mark.parametrize("text", ["2+3", "x", "x*0 + 3", "hypot(a,b)*1e200*c^50"])
def test_formulas_at_the_edge_have_panels_too(opened: Open, text: str) -> None:
    page = opened(text)
    page.locator(".insp summary").click()
    assert page.locator(".modes-panel p").inner_text()
    assert page.locator(".plot-panel").is_visible() == bool(FormulaTrace(text).formula.variables)
