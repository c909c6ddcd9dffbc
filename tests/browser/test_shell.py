"""What all pages share: tabs, undo, keys, the JSON beside each page, what a telephone has instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

OpenPage = Callable[..., Any]
FORMULA = "#/formula?f=sin(x)*y&at=x%3D0.5,y%3D3&select=x"


def test_a_tab_comes_back_to_what_was_there(open_page: OpenPage):
    page = open_page(FORMULA)
    page.wait_for_selector(".node")
    page.get_by_role("link", name="Network").click()
    expect(page.locator(".network .unit").first).to_be_visible()
    page.get_by_role("link", name="Formula", exact=True).click()
    expect(page.get_by_role("textbox", name="formula")).to_have_value("sin(x)*y")
    expect(page).to_have_url(re.compile("y%3D3"))


def test_the_json_of_a_page_is_one_click_away_at_once(open_page: OpenPage):
    page = open_page()
    link = page.get_by_role("link", name="{ } JSON")
    expect(link).to_be_visible()
    expect(link).to_have_attribute("href", re.compile("^/api/formula"))
    answer = page.request.get(page.url.partition("#")[0] + link.get_attribute("href").lstrip("/"))
    assert answer.json()["kind"] == "formula"


def test_nothing_is_to_be_undone_on_a_fresh_page(open_page: OpenPage):
    page = open_page()
    page.wait_for_selector(".node")
    expect(page.get_by_role("link", name="{ } JSON")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.get_by_role("button", name="x*x used twice").click()
    expect(page.get_by_role("textbox", name="formula")).to_have_value("x*x")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("textbox", name="formula")).to_have_value("(a+b)*(b+c)")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+y")
    expect(page.get_by_role("textbox", name="formula")).to_have_value("x*x")


def test_each_page_lists_its_own_keys(open_page: OpenPage):
    page = open_page(FORMULA)
    page.wait_for_selector(".node")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("playing stops at this node")
    expect(keys).not_to_contain_text("next example")


def test_a_telephone_has_a_menu(open_page: OpenPage):
    page = open_page(FORMULA, viewport={"width": 400, "height": 800})
    page.wait_for_selector(".node")
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("dialog", name="More").get_by_role("button", name="Export")).to_be_visible()
