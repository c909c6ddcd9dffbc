"""The network page in a browser: what a person sees, does with a pointer or the keys, and gets from a link."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest, labels, state_of
from browser.waiting import eventually

FLOWERS = "height;width;kind\n" + "\n".join(
    f"{i / 4};{(i * 7) % 10 + (5 if i % 2 else 0)};{'tulip' if i % 2 else 'rose'}" for i in range(24)
)


def said(page):
    return page.locator(".network .said").inner_text()


def has_state(page, **wanted):
    """Wait until the address holds this and nothing else."""
    eventually(lambda: state_of(page), wanted)


def forgives(page, status):
    """The browser tells of answers that are expected here too."""
    page.forgiven.append(f"status of {status}")


@pytest.fixture
def network(open_page):
    def opened(query="", update=0, **options):
        page = open_page(f"#/network{'?' + query if query else ''}", **options)
        expect(page.locator(".unit").first).to_be_visible()
        return at_rest(page, update)

    return opened


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


def paste(page, text):
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData('text/plain', text);
            const options = { clipboardData: data, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new ClipboardEvent('paste', options));
        }""",
        text,
    )


def test_a_pasted_table_is_learned_and_travels_in_the_link(network):
    page = network()
    paste(page, FLOWERS)
    dialog = page.locator("dialog.own-table")
    expect(dialog.get_by_text("24 examples, 3 columns, separated by semicolons")).to_be_visible()
    dialog.get_by_text("Use this table").click()
    expect(page.get_by_text("→ height")).to_be_visible()
    expect(page.locator(".network .surface")).to_contain_text("rose")
    eventually(lambda: state_of(page)["inputs"], "height|width")
    page.keyboard.press("ArrowRight")
    at_rest(page, 1)
    there = labels(page)
    eventually(lambda: state_of(page)["at"], "1")
    other = network(page.url.partition("?")[2], 1)
    eventually(lambda: labels(other), there)


def test_wrong_tables_get_words(network):
    page = network()
    forgives(page, 400)
    page.get_by_role("button", name="Own table…").click()
    dialog = page.locator("dialog.own-table")
    dialog.locator("textarea").fill("1,2,a\n3,4,b\n5,6\n7,8,b")
    expect(dialog.get_by_role("alert").filter(has_text="line 3 has 2 fields")).to_be_visible()
    dialog.locator("textarea").fill(FLOWERS.replace("1.0;", "n/a;"))
    expect(dialog.get_by_text("24 examples")).to_be_visible()
    dialog.locator("label:has-text('first input') select").select_option("height")
    expect(dialog.get_by_role("alert").filter(has_text="height is missing")).to_be_visible()
    expect(dialog.get_by_text("Use this table")).to_be_disabled()
    dialog.locator(".own-skip input").check()
    dialog.get_by_text("Use this table").click()
    expect(page.get_by_text("→ height")).to_be_visible()


def test_a_file_is_read_whatever_its_encoding(network, tmp_path):
    page = network()
    (tmp_path / "blumen.csv").write_bytes(FLOWERS.replace("rose", "Röse").encode("windows-1252"))
    page.get_by_role("button", name="Own table…").click()
    page.locator("dialog.own-table input[type=file]").set_input_files(tmp_path / "blumen.csv")
    expect(page.locator("dialog.own-table").get_by_text("24 examples")).to_be_visible()
    page.get_by_text("Use this table").click()
    expect(page.locator(".network .surface")).to_contain_text("Röse")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00" * 200_000, "this file is not a text table"),
        (b"1,2,a\n" * 200_000, "1,200,000 bytes, more than 1,000,000"),
        (b"1,2,a\n" * 6_000, "6,000 lines, more than 5,000"),
        (b"a,b,k\n" + b"".join(b"%d,%d,n%d\n" % (i, i * i, i % 15) for i in range(60)), "15 different texts"),
    ],
)
def test_files_that_cannot_be_learned_from_get_words(network, tmp_path, content, words):
    page = network()
    forgives(page, 400)
    (tmp_path / "table.csv").write_bytes(content)
    page.get_by_role("button", name="Own table…").click()
    dialog = page.locator("dialog.own-table")
    dialog.locator("input[type=file]").set_input_files(tmp_path / "table.csv")
    expect(dialog.get_by_role("alert").filter(has_text=words)).to_be_visible()
    expect(dialog.get_by_text("Use this table")).to_be_disabled()


def test_markup_in_a_table_stays_text(network):
    page = network()
    paste(page, FLOWERS.replace("rose", "<img src=x onerror=alert(1)>").replace("height", "<b>height</b>"))
    expect(page.locator("dialog.own-table").get_by_text("24 examples")).to_be_visible()
    page.get_by_text("Use this table").click()
    expect(page.get_by_text("→ <b>height</b>")).to_be_visible()
    expect(page.locator(".network .surface img, .axes b")).to_have_count(0)


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
