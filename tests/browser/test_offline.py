"""The exported page: opened from a disk with the network switched off, it asks for nothing, and everything moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule import studio as front
from chainrule.studio.exporting.linking import linked_styles
from chainrule.studio.formulas.examples import EXAMPLES

Opened = Callable[..., Any]
SLIDER = '.var-row[data-name="b"] input[type=range]'


@pytest.fixture
def article(tmp_path: Path) -> Path:
    return front.export("(a+b)*(b+c)", tmp_path / "page.html", a=-1, b=3, c=4)


def gradients(page: Any) -> dict[str, str]:
    rows = page.locator(".var-row[data-name]")
    return {row.get_attribute("data-name"): row.locator(".gradient").inner_text() for row in rows.all()}


def test_it_shows_the_articles_numbers(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    assert gradients(page) == {"a": "7", "b": "9", "c": "2"}
    assert page.title().endswith("chainrule studio")


def test_sliders_change_all_numbers_and_the_address_holds_them(open_file: Opened, article: Path):
    page = open_file(article)
    page.locator(SLIDER).fill("2")
    page.wait_for_function("document.querySelector('.var-row[data-name=a] .gradient').textContent === '6'")
    assert gradients(page) == {"a": "6", "b": "7", "c": "1"}
    address = page.url
    assert "b%3D2" in address
    again = open_file(article, "#" + address.partition("#")[2])
    again.wait_for_selector(SLIDER)
    assert gradients(again) == {"a": "6", "b": "7", "c": "1"}
    again.keyboard.press("Escape")


def test_both_passes_are_stepped_through(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    count = page.locator(".transport .count")
    assert count.inner_text() == "12 / 12"
    page.get_by_role("button", name="First step").click()
    assert count.inner_text() == "0 / 12"
    page.get_by_role("button", name="Step", exact=True).click()
    page.get_by_role("button", name="Step back").click()
    assert count.inner_text() == "0 / 12"
    page.get_by_role("button", name="Last step").click()
    assert count.inner_text() == "12 / 12"
    page.get_by_role("radio", name="Forward").click()
    assert "mode=forward" in page.url


def test_it_opens_at_the_step_that_was_exported(open_file: Opened, tmp_path: Path):
    path = front.export("(a+b)*(b+c)", tmp_path / "page.html", a=-1, b=3, c=4, step=5)
    page = open_file(path)
    page.wait_for_selector(SLIDER)
    assert page.locator(".transport .count").inner_text() == "5 / 12"


def test_another_formula_is_refused_with_a_way_to_it(open_file: Opened, article: Path):
    page = open_file(article)
    page.wait_for_selector(SLIDER)
    field = page.get_by_role("textbox", name="Formula")
    assert field.get_attribute("readonly") is not None
    assert 'chainrule studio "(a+b)*(b+c)"' in page.locator("body").inner_text()
    other = open_file(article, "#/formula?f=x*x")
    other.wait_for_selector("[role=alert]:not([hidden])")
    assert "chainrule studio" in other.locator("[role=alert]:not([hidden])").first.inner_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.source}-{example.name}")
def test_every_example_works_without_a_server(open_file: Opened, tmp_path: Path, example: Any):
    path = front.export(example.text, tmp_path / "page.html", example.values)
    page = open_file(path, viewport={"width": 400, "height": 800})
    page.wait_for_selector(".var-row[data-name]")
    assert page.locator(".var-row[data-name] .gradient").count() == len(example.values)


def test_without_scripts_there_is_a_figure(browser: Any, article: Path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(article.as_uri())
    assert page.locator("svg[role=img]").count() == 1
    context.close()


def test_no_rule_of_the_styles_reaches_beyond_the_studio(browser: Any):
    """In a notebook they stand beside those of others."""
    context = browser.new_context()
    page = context.new_page()
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
    context.close()
    assert loose == []
