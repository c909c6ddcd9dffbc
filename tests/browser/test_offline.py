"""The exported page: opened from a disk with the network switched off, it asks for nothing, and everything moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.waiting import eventually
from chainrule import studio as front
from chainrule.studio.exporting.linking import linked_styles
from chainrule.studio.formulas.examples import EXAMPLES

Opened = Callable[..., Any]
SLIDER = '.var-row[data-name="b"] input[type=range]'


@pytest.fixture
def article(tmp_path: Path) -> Path:
    return front.export("(a+b)*(b+c)", tmp_path / "page.html", a=-1, b=3, c=4)


def has_gradients(page: Any, **wanted: str) -> None:
    """Wait until the variables have these gradients."""
    read = "all => all.map(row => [row.dataset.name, row.querySelector('.gradient').textContent])"
    eventually(lambda: dict(page.locator(".var-row[data-name]").evaluate_all(read)), wanted)


def test_it_shows_the_articles_numbers(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    has_gradients(page, a="7", b="9", c="2")
    expect(page).to_have_title(re.compile("chainrule studio$"))


def test_sliders_change_all_numbers_and_the_address_holds_them(open_file: Opened, article: Path):
    page = open_file(article)
    page.locator(SLIDER).fill("2")
    has_gradients(page, a="6", b="7", c="1")
    expect(page).to_have_url(re.compile("b%3D2"))
    again = open_file(article, "#" + page.url.partition("#")[2])
    has_gradients(again, a="6", b="7", c="1")


def test_both_passes_are_stepped_through(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    count = page.locator(".transport .count")
    expect(count).to_have_text("12 / 12")
    page.get_by_role("button", name="First step").click()
    expect(count).to_have_text("0 / 12")
    page.get_by_role("button", name="Step", exact=True).click()
    page.get_by_role("button", name="Step back").click()
    expect(count).to_have_text("0 / 12")
    page.get_by_role("button", name="Last step").click()
    expect(count).to_have_text("12 / 12")
    page.get_by_role("radio", name="Forward").click()
    expect(page).to_have_url(re.compile("mode=forward"))


def test_it_opens_at_the_step_that_was_exported(open_file: Opened, tmp_path: Path):
    path = front.export("(a+b)*(b+c)", tmp_path / "page.html", a=-1, b=3, c=4, step=5)
    page = open_file(path)
    page.wait_for_selector(SLIDER)
    expect(page.locator(".transport .count")).to_have_text("5 / 12")


def test_another_formula_is_refused_with_a_way_to_it(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    field = page.get_by_role("textbox", name="Formula")
    expect(field).not_to_be_editable()
    expect(page.locator("body")).to_contain_text('chainrule studio "(a+b)*(b+c)"', use_inner_text=True)
    other = open_file(article, "#/formula?f=x*x")
    expect(other.locator("[role=alert]:not([hidden])").first).to_contain_text("chainrule studio")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.source}-{example.name}")
def test_every_example_works_without_a_server(open_file: Opened, tmp_path: Path, example: Any):
    path = front.export(example.text, tmp_path / "page.html", example.values)
    page = open_file(path, viewport={"width": 400, "height": 800})
    expect(page.locator(".var-row[data-name] .gradient")).to_have_count(len(example.values))


def test_without_scripts_there_is_a_figure(new_page: Opened, article: Path):
    page = new_page(java_script_enabled=False)
    page.goto(article.as_uri())
    expect(page.locator("svg[role=img]")).to_have_count(1)


def test_no_rule_of_the_styles_reaches_beyond_the_studio(new_page: Opened):
    """In a notebook they stand beside those of others."""
    page = new_page()
    loose = page.evaluate(
        """css => {
          const sheet = new CSSStyleSheet(), loose = [];
          sheet.replaceSync(css);
          const walk = rules => {
            for (const rule of rules) {
              if (rule instanceof CSSStyleRule) {
                const parts = rule.selectorText.split(/,(?![^(]*\\))/);
                if (!parts.every(one => one.includes('.chainrule'))) loose.push(rule.selectorText);
              } else if (rule.cssRules && !(rule instanceof CSSKeyframesRule)) walk(rule.cssRules);
            }
          };
          walk(sheet.cssRules);
          return loose;
        }""",
        linked_styles(),
    )
    assert loose == []
