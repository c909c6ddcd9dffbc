"""The network page in a browser: what a person sees, and does with a pointer or the keys."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest, has_state, state_of
from browser.waiting import eventually


def test_a_newcomer_trains_and_sees_the_loss_fall(network):
    page = network()
    expect(page.locator(".network .said")).to_contain_text("epoch 0")
    expect(page.locator(".unit")).to_have_count(11)
    play = page.locator(".network .play")
    play.click()
    expect(play).to_have_text("❚❚ Pause")
    slider = page.locator(".network .transport input[type=range]")
    eventually(lambda: int(slider.input_value()), lambda update: update > 20)
    expect(play).to_have_text("❚❚ Pause")
    play.click()
    expect(play).to_have_text("▶ Train")
    at = int(page.locator(".network .transport").get_attribute("data-update"))
    assert at > 20
    eventually(lambda: state_of(page)["at"], str(at))
    expect(page.locator(".network .said")).to_contain_text(f"epoch {at}")
    expect(page.locator(".plane .border")).to_have_attribute("d", re.compile("^M"))


def test_the_slider_rewinds(network):
    page = network("at=40", 40)
    slider = page.locator(".network .transport input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    at_rest(page, 39)
    expect(slider).to_have_attribute("aria-valuetext", "update 39 of 40, epoch 39")
    page.keyboard.press("Home")
    at_rest(page, 0)


def test_keys(network):
    page = network()
    page.keyboard.press("ArrowRight")
    at_rest(page, 1)
    page.keyboard.press("ArrowRight")
    at_rest(page, 2)
    page.keyboard.press("ArrowLeft")
    at_rest(page, 1)
    page.keyboard.press("n")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 2 "))
    page.evaluate(  # faster than frames come
        """() => {
          const unit = document.querySelector('.network .unit');
          for (const key of 'nnnp') unit.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        }"""
    )
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 4 "))
    page.keyboard.press("g")
    expect(page.locator("button[data-shows=weights]")).to_have_attribute("aria-checked", "true")
    focused = page.locator(".unit:focus")
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_attribute("aria-label", re.compile("^unit 2 of layer 2"))
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-label", re.compile("^unit 1 of layer 3"))
    has_state(page, at="1", pt="3", sel="3.1", show="weights")
    expect(page.locator(".unit[tabindex='0']")).to_have_count(1)


def test_a_unit_and_a_weight_are_explained(network):
    page = network("data=article")
    inspector = page.locator(".network .insp")
    expect(inspector.locator(".tile b")).to_have_text(["−0.1", "0.475", "−0.029"])
    expect(inspector.locator(".sec").first).to_contain_text("0.4")
    inspector.locator("tbody button").first.click()
    expect(inspector.get_by_text("weight from x₁ to unit 1 of layer 2")).to_be_visible()
    expect(inspector).to_contain_text("The next update")
    eventually(lambda: state_of(page)["sel"], "2.1.1")
    inspector.get_by_text("← its unit").click()
    expect(inspector.get_by_text("unit 1 of layer 2", exact=True)).to_be_visible()


def test_a_road_can_be_clicked(network):
    page = network("layers=2&biases=no")
    box = page.locator(".network .roads").bounding_box()
    x = box["x"] + box["width"] * 0.25
    page.mouse.move(box["x"] + 90, box["y"] + 10)
    for down in range(20, int(box["height"]), 3):
        page.mouse.move(x, box["y"] + down)
        if page.locator(".network .roads.over").count():
            break
    expect(page.locator(".network .hover")).to_have_text(re.compile("^weight from input"))
    page.mouse.down()
    page.mouse.up()
    eventually(lambda: state_of(page)["sel"], lambda sel: sel.startswith("2."))


def test_the_article_s_network_can_be_widened(network):
    page = network("data=article")
    page.locator(".network button[aria-label='One unit more in layer 2']").click()
    expect(page.locator(".unit")).to_have_count(6)
    has_state(page, data="article", layers="3", init="glorot_normal")


def test_points_are_chosen_with_pointer_and_keys(network):
    page = network()
    plane = page.locator(".plane")
    box = plane.bounding_box()
    plane.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.5})
    first = eventually(lambda: state_of(page)["pt"], str.isdecimal)
    sample = page.locator(".network .sample")
    expect(sample).to_contain_text(f"Example {int(first) + 1} of")
    plane.focus()
    page.keyboard.press("ArrowLeft")
    second = eventually(lambda: state_of(page).get("pt", "0"), lambda point: point != first)
    expect(sample).to_contain_text(f"Example {int(second) + 1} of")
    expect(sample).to_contain_text("loss is")


def test_digits_show_templates_and_gradients(network):
    page = network("data=digits&at=40", 40)
    digits = page.locator(".digits")
    expect(digits.locator(".digit-grid canvas")).to_have_count(20)
    wrong = digits.locator(".picks .wrong")
    wrong.first.click()
    expect(page.locator(".digit-now p")).to_contain_text("its true class gets")
    expect(page.locator(".network .surface-card")).to_be_hidden()


def test_divergence_is_told(network):
    page = network("data=waves&activation=relu&optimizer=gradient_descent&rate=1000")
    page.locator(".network .play").click()
    alert = (
        page.locator(".network .transport")
        .get_by_role("alert")
        .filter(has_text="does not give finite numbers")
    )
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("100")
    expect(page.locator(".network .play")).to_have_text("▶ Train")


def test_what_is_taken_along(network):
    page = network("layers=2&at=5", 5)
    page.locator(".network .handing summary").click()
    expect(page.locator(".network .whole math").first).to_be_visible()
    with page.expect_download() as program:
        page.get_by_text("Python program").click()
    assert "import chainrule as cr" in Path(program.value.path()).read_text(encoding="utf-8")
    with page.expect_download() as table:
        page.get_by_text("Data as CSV").click()
    assert Path(table.value.path()).read_text(encoding="utf-8").startswith("x1,x2,y,part\n")


@pytest.mark.parametrize("width", [400, 700, 1000, 2560])
@pytest.mark.parametrize("query", ["", "data=digits", "layers=16-16-16-16-16-16"])
def test_nothing_is_cut_off(network, width, query):
    page = network(query, viewport={"width": width, "height": 900})
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth"), lambda wide: wide <= width)


def test_the_buttons_stay_in_reach_on_a_phone(network):
    page = network(viewport={"width": 400, "height": 800})
    expect(page.locator(".network .buttons.docked")).to_be_visible()
    reached = 0
    for down in (0, 900, 3000):
        page.mouse.wheel(0, down)
        if down:
            reached = eventually(lambda: page.evaluate("scrollY"), lambda y, before=reached: y > before)
        eventually(lambda: page.locator(".network .play").bounding_box()["y"], lambda y: 700 < y < 800)


def test_dark_and_reduced_motion(network):
    page = network("at=20", 20, color_scheme="dark", reduced_motion="reduce")
    card = page.locator(".network .card").first
    expect(card).to_have_css("background-color", "rgb(23, 27, 32)")
    page.keyboard.press("t")
    expect(card).to_have_css("background-color", "rgb(255, 255, 255)")


def test_everything_has_a_name_and_room_for_a_finger(network):
    page = network("data=digits", viewport={"width": 400, "height": 900})
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.network :is(button, select, input, a, summary)')]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
    small = """() => [...document.querySelectorAll('.network :is(.btn:not(.seg .btn), select, summary, .picks button)')]
        .filter(e => e.checkVisibility())
        .map(e => [e.textContent, e.getBoundingClientRect().height])
        .filter(([, height]) => height < 31.5)"""
    eventually(lambda: page.evaluate(small), [])
