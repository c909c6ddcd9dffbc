"""Tables of one's own on the network page: pasted, opened as a file, learned, and refused with words."""

import pytest
from playwright.sync_api import expect

from browser.reading import at_rest, forgives, labels, state_of
from browser.waiting import eventually

FLOWERS = "height;width;kind\n" + "\n".join(
    f"{i / 4};{(i * 7) % 10 + (5 if i % 2 else 0)};{'tulip' if i % 2 else 'rose'}" for i in range(24)
)


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
