"""The network page in a browser: what a person sees, does with a pointer or the keys, and gets from a link."""

import json
import re
import time
import urllib.parse
from pathlib import Path

import pytest
from playwright.sync_api import expect

PATIENCE = 20_000
FLOWERS = "height;width;kind\n" + "\n".join(
    f"{i / 4};{(i * 7) % 10 + (5 if i % 2 else 0)};{'tulip' if i % 2 else 'rose'}" for i in range(24)
)


def said(page):
    return page.locator(".network .said").inner_text()


def settled(page, update):
    """Wait until the page shows an update, at rest."""
    page.wait_for_function(
        "n => document.querySelector('.network .transport')?.dataset.update === n"
        " && document.querySelector('.network .play').textContent.includes('Train')",
        arg=str(update),
        timeout=PATIENCE,
    )


@pytest.fixture
def network(open_page):
    def opened(query="", update=0, **options):
        page = open_page(f"#/network{'?' + query if query else ''}", **options)
        page.locator(".unit").first.wait_for(timeout=PATIENCE)
        settled(page, update)
        return page

    return opened


def state_of(page):
    return dict(urllib.parse.parse_qsl(page.url.partition("?")[2]))


def bare(page):
    """What the drawing says, for comparing two views."""
    return page.eval_on_selector_all(".unit", "els => els.map(e => e.getAttribute('aria-label'))")


def test_a_newcomer_trains_and_sees_the_loss_fall(network):
    page = network()
    assert "epoch 0" in said(page) and page.locator(".unit").count() == 11
    page.locator(".network .play").click()
    page.wait_for_function(
        "() => document.querySelector('.network .transport input[type=range]').value > 20", timeout=PATIENCE
    )
    assert page.locator(".network .play").inner_text() == "❚❚ Pause"
    page.locator(".network .play").click()
    page.wait_for_function(
        "() => document.querySelector('.network .play').textContent.includes('Train')", timeout=PATIENCE
    )
    page.wait_for_function("() => location.hash.includes('at=')")
    at = int(state_of(page)["at"])
    assert at > 20 and f"epoch {at}" in said(page)
    assert page.locator(".plane .border").get_attribute("d")


def test_rewinding_and_a_link_show_the_same(network):
    page = network("at=60&pt=7&sel=3.2", 60)
    there = bare(page), said(page)
    page.locator(".network button[aria-label='Start over']").click()
    settled(page, 0)
    assert bare(page) != there[0]
    page.locator(".network button[aria-label='To the last update']").click()
    settled(page, 60)
    assert (bare(page), said(page)) == there
    page.locator(".network button[aria-label='One step back']").click()
    settled(page, 59)
    page.keyboard.press("Control+z")
    settled(page, 60)
    assert (bare(page), said(page)) == there
    other = network(page.url.partition("?")[2], 60)
    assert (bare(other), said(other)) == there


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
    settled(page, 60)
    page.locator(".network button[aria-label='Start over']").click()
    settled(page, 0)
    page.locator(".network button[aria-label='To the last update']").click()
    settled(page, 60)
    page.locator(".network button[aria-label='One step back']").click()
    settled(page, 59)
    for update in (60, 0, 60):
        page.keyboard.press("Control+z")
        settled(page, update)
    page.keyboard.press("Control+y")
    settled(page, 0)


def test_the_slider_rewinds(network):
    page = network("at=40", 40)
    slider = page.locator(".network .transport input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    settled(page, 39)
    assert slider.get_attribute("aria-valuetext") == "update 39 of 40, epoch 39"
    page.keyboard.press("Home")
    settled(page, 0)


def test_keys(network):
    page = network()
    page.keyboard.press("ArrowRight")
    settled(page, 1)
    page.keyboard.press("ArrowRight")
    settled(page, 2)
    page.keyboard.press("ArrowLeft")
    settled(page, 1)
    page.keyboard.press("n")
    page.wait_for_function(
        "() => document.querySelector('.network .sample h2').textContent.startsWith('Example 2 ')"
    )
    page.evaluate(  # faster than frames come
        """() => {
          const unit = document.querySelector('.network .unit');
          for (const key of 'nnnp') unit.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        }"""
    )
    expect(page.locator(".network .sample h2")).to_have_text(re.compile("^Example 4 "))
    page.keyboard.press("g")
    assert page.locator("[data-shows=weights][aria-checked=true]").count() == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("unit 2 of layer 2")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("unit 1 of layer 3")
    assert state_of(page)["sel"] == "3.1" and state_of(page)["show"] == "weights"
    assert page.locator(".unit[tabindex='0']").count() == 1


def test_a_unit_and_a_weight_are_explained(network):
    page = network("data=article")
    inspector = page.locator(".network .insp")
    assert inspector.locator(".tile b").all_inner_texts() == ["−0.1", "0.475", "−0.029"]
    assert "0.4" in inspector.locator(".sec").first.inner_text()
    inspector.locator("tbody button").first.click()
    page.get_by_text("weight from x₁ to unit 1 of layer 2").wait_for()
    assert "The next update" in inspector.inner_text() and state_of(page)["sel"] == "2.1.1"
    inspector.get_by_text("← its unit").click()
    page.get_by_text("unit 1 of layer 2", exact=True).wait_for()


def test_a_road_can_be_clicked(network):
    page = network("layers=2&biases=no")
    box = page.locator(".network .roads").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 10)
    found = None
    for down in range(20, int(box["height"]), 3):
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + down)
        found = page.locator(".hover").inner_text()
        if found:
            page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + down)
            break
    assert found and found.startswith("weight from input")
    page.wait_for_function("() => location.hash.includes('sel=2.')")


def test_options_start_over_and_undo_brings_the_training_back(network):
    page = network("at=30", 30)
    there = bare(page)
    page.locator(".network .knob-activation select").select_option("relu")
    settled(page, 0)
    assert state_of(page) == {"activation": "relu"}
    page.locator(".network button[aria-label='One unit more in layer 2']").click()
    page.wait_for_function("() => document.querySelectorAll('.unit').length == 12")
    assert state_of(page)["layers"] == "6-3"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    settled(page, 30)
    assert bare(page) == there
    page.keyboard.press("Control+Shift+z")
    page.wait_for_function("() => document.querySelector('.network .knob-activation select').value == 'relu'")


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
    page = open_page(f"#/network?{query}")
    page.get_by_role("alert").filter(has_text=words).wait_for(timeout=PATIENCE)
    settled(page, 0)
    for name, value in shown.items():
        assert page.locator(f".network .knob-{name} select").input_value() == value
    page.keyboard.press("ArrowRight")
    settled(page, 1)
    page.problems[:] = [p for p in page.problems if "400" not in p]
    page.goto(page.url.partition("#")[0] + "#/network?data=xor")
    settled(page, 0)
    assert page.get_by_role("alert").count() == 0


def test_where_no_network_can_be_made_one_button_starts_again(open_page):
    page = open_page("#/formula")
    page.route("**/api/network", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(page.url.partition("#")[0] + "#/network?seed=5")
    again = page.get_by_role("button", name="Start with the usual options")
    again.wait_for(timeout=PATIENCE)
    assert page.locator(".network :is(.unit, .play, select, .ring):visible").count() == 0
    page.unroute("**/api/network")
    again.click()
    settled(page, 0)
    assert page.locator(".network .unit").count() == 11 and not again.is_visible()
    page.problems[:] = [p for p in page.problems if "500" not in p]


def test_a_late_answer_of_another_page_does_not_write_the_address(open_page):
    page = open_page("#/formula")
    page.goto(page.url.partition("#")[0] + "#/network")
    page.locator(".network .unit").first.wait_for(timeout=PATIENCE)
    page.wait_for_timeout(500)
    assert page.url.endswith("#/network") or page.url.endswith("#/network?")


def test_another_page_and_back(network):
    page = network("layers=4&at=9", 9)
    there = bare(page)
    page.locator(".tabs a").filter(has_text="Formula").click()
    page.locator(".network").wait_for(state="hidden")
    page.locator(".tabs a").filter(has_text="Network").click()
    settled(page, 9)
    assert bare(page) == there and state_of(page) == {"layers": "4", "at": "9"}


def test_the_article_s_network_can_be_widened(network):
    page = network("data=article")
    page.locator(".network button[aria-label='One unit more in layer 2']").click()
    page.wait_for_function("() => document.querySelectorAll('.unit').length == 6")
    assert state_of(page) == {"data": "article", "layers": "3", "init": "glorot_normal"}


def test_points_are_chosen_with_pointer_and_keys(network):
    page = network()
    plane = page.locator(".plane")
    box = plane.bounding_box()
    plane.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.5})
    page.wait_for_function("() => location.hash.includes('pt=')")
    first = state_of(page)["pt"]
    plane.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("pt => !location.hash.includes(`pt=${pt}`)", arg=first)
    assert "loss is" in page.locator(".network .sample").inner_text()


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
    dialog.get_by_text("24 examples, 3 columns, separated by semicolons").wait_for()
    dialog.get_by_text("Use this table").click()
    page.get_by_text("→ height").wait_for()
    assert (
        "rose" in page.locator(".network .surface").inner_text()
        and state_of(page)["inputs"] == "height|width"
    )
    page.keyboard.press("ArrowRight")
    settled(page, 1)
    there = bare(page)
    other = network(page.url.partition("?")[2], 1)
    assert bare(other) == there


def test_wrong_tables_get_words(network):
    page = network()
    page.get_by_role("button", name="Own table…").click()
    dialog = page.locator("dialog.own-table")
    dialog.locator("textarea").fill("1,2,a\n3,4,b\n5,6\n7,8,b")
    dialog.get_by_role("alert").filter(has_text="line 3 has 2 fields").wait_for()
    dialog.locator("textarea").fill(FLOWERS.replace("1.0;", "n/a;"))
    dialog.get_by_text("24 examples").wait_for()
    dialog.locator("label:has-text('first input') select").select_option("height")
    dialog.get_by_role("alert").filter(has_text="height is missing").wait_for()
    assert dialog.get_by_text("Use this table").is_disabled()
    dialog.locator(".own-skip input").check()
    dialog.get_by_text("Use this table").click()
    page.get_by_text("→ height").wait_for()
    page.problems[:] = [p for p in page.problems if "400" not in p]


def test_a_file_is_read_whatever_its_encoding(network, tmp_path):
    page = network()
    (tmp_path / "blumen.csv").write_bytes(FLOWERS.replace("rose", "Röse").encode("windows-1252"))
    page.get_by_role("button", name="Own table…").click()
    page.locator("dialog.own-table input[type=file]").set_input_files(tmp_path / "blumen.csv")
    page.locator("dialog.own-table").get_by_text("24 examples").wait_for()
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
    (tmp_path / "table.csv").write_bytes(content)
    page.get_by_role("button", name="Own table…").click()
    dialog = page.locator("dialog.own-table")
    dialog.locator("input[type=file]").set_input_files(tmp_path / "table.csv")
    dialog.get_by_role("alert").filter(has_text=words).wait_for()
    assert dialog.get_by_text("Use this table").is_disabled()
    page.problems[:] = [p for p in page.problems if "400" not in p]


def test_markup_in_a_table_stays_text(network):
    page = network()
    paste(page, FLOWERS.replace("rose", "<img src=x onerror=alert(1)>").replace("height", "<b>height</b>"))
    page.locator("dialog.own-table").get_by_text("24 examples").wait_for()
    page.get_by_text("Use this table").click()
    page.get_by_text("→ <b>height</b>").wait_for()
    assert page.locator(".network .surface img, .axes b").count() == 0


def test_digits_show_templates_and_gradients(network):
    page = network("data=digits&at=40", 40)
    digits = page.locator(".digits")
    assert digits.locator(".digit-grid canvas").count() == 20
    wrong = digits.locator(".picks .wrong")
    wrong.first.click()
    page.wait_for_function(
        "() => document.querySelector('.digit-now p').textContent.includes('its true class gets')"
    )
    assert page.locator(".network .surface-card").is_hidden()


def test_divergence_is_told(network):
    page = network("data=waves&activation=relu&optimizer=gradient_descent&rate=1000")
    page.locator(".network .play").click()
    alert = (
        page.locator(".network .transport")
        .get_by_role("alert")
        .filter(has_text="does not give finite numbers")
    )
    alert.wait_for(timeout=PATIENCE)
    assert "100" in alert.inner_text()
    assert page.locator(".network .play").inner_text() == "▶ Train"


def test_what_is_taken_along(network):
    page = network("layers=2&at=5", 5)
    page.locator(".network .handing summary").click()
    page.locator(".network .whole math").first.wait_for()
    with page.expect_download() as program:
        page.get_by_text("Python program").click()
    assert "import chainrule as cr" in Path(program.value.path()).read_text(encoding="utf-8")
    with page.expect_download() as table:
        page.get_by_text("Data as CSV").click()
    assert Path(table.value.path()).read_text(encoding="utf-8").startswith("x1,x2,y,part\n")


def held(page):
    """Sockets to the server pass through here, so that a test can cut them."""
    sockets = []

    def pass_on(socket):
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket("**/live", pass_on)
    page.reload()
    settled(page, int(state_of(page).get("at", "0")))
    return sockets


@pytest.mark.parametrize(("wanted", "shown"), [("-5", 1), ("1e9", 240), ("x", 1), ("3.7", 4)])
def test_a_link_to_an_example_that_is_not_there_shows_one_that_is(network, wanted, shown):
    page = network(f"pt={wanted}")
    expect(page.locator(".network .sample h2")).to_have_text(re.compile(f"^Example {shown} of 240"))
    expect(page.locator(".notice")).to_be_hidden()


def test_a_lost_connection_is_told_and_resumes(network):
    page = network("at=4", 4)
    sockets = held(page)
    sockets[-1].close(code=1011)
    page.locator(".network .lost").wait_for()
    page.keyboard.press("ArrowRight")
    settled(page, 5)
    assert page.locator(".network .lost").is_hidden() and len(sockets) == 2


def test_a_network_that_the_studio_forgot_is_made_again(network):
    page = network("at=12&pt=3", 12)
    sockets = held(page)
    there = bare(page)
    session = page.evaluate(
        "[...document.querySelectorAll('.actions a')].map(a => a.href).find(a => a.includes('/frame'))"
    )
    page.request.delete(session.removesuffix("/frame"))
    sockets[-1].close(code=1011)
    page.wait_for_function(
        "old => [...document.querySelectorAll('.actions a')].every(a => a.href !== old)", arg=session
    )
    settled(page, 12)
    assert bare(page) == there


def test_leaving_the_page_stops_the_training(network):
    page = network()
    twin = page.evaluate(
        "[...document.querySelectorAll('.actions a')].map(a => a.href).find(a => a.includes('/frame'))"
    )
    page.locator(".network .play").click()
    page.wait_for_function(
        "() => document.querySelector('.network .transport input[type=range]').value > 3", timeout=PATIENCE
    )
    page.locator(".tabs a").filter(has_text="Formula").click()
    until = time.monotonic() + 20
    while page.request.get(twin).json()["status"]["running"]:
        assert time.monotonic() < until
        time.sleep(0.3)


@pytest.mark.parametrize("width", [400, 700, 1000, 2560])
@pytest.mark.parametrize("query", ["", "data=digits", "layers=16-16-16-16-16-16"])
def test_nothing_is_cut_off(network, width, query):
    page = network(query, viewport={"width": width, "height": 900})
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


def test_the_buttons_stay_in_reach_on_a_phone(network):
    page = network(viewport={"width": 400, "height": 800})
    for down in (0, 900, 3000):
        page.mouse.wheel(0, down)
        box = page.locator(".network .play").bounding_box()
        assert 700 < box["y"] < 800


def test_dark_and_reduced_motion(network):
    page = network("at=20", 20, color_scheme="dark", reduced_motion="reduce")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
        == "rgb(23, 27, 32)"
    )
    page.keyboard.press("t")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
        == "rgb(255, 255, 255)"
    )


def test_everything_has_a_name_and_room_for_a_finger(network):
    page = network("data=digits", viewport={"width": 400, "height": 900})
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.network :is(button, select, input, a, summary)')]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
    small = page.evaluate(
        """() => [...document.querySelectorAll('.network :is(.btn:not(.seg .btn), select, summary, .picks button)')]
            .filter(e => e.checkVisibility())
            .map(e => [e.textContent, e.getBoundingClientRect().height])
            .filter(([, height]) => height < 31.5)"""
    )
    assert small == []
