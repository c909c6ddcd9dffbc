"""The exported page of a model, from a disk without a network: blocks open, findings lead to their place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.waiting import eventually
from chainrule import studio as front
from chainrule.studio.models import Opened
from chainrule.train.folder import ABOUT
from chainrule.train.plan import Plan
from chainrule.train.starting import begin
from shared_run import made_once

Opening = Callable[..., Any]
BOXES = ".node-card:not(.outside)"
ZOO = Path(__file__).parents[2] / "examples" / "zoo"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes of a program with a fault."""

    def export(path: Path) -> None:
        command = [sys.executable, "-m", "chainrule", "studio", "--export", str(path), "--json"]
        done = subprocess.run(
            [*command, "examples/zoo/dead_relu.py"],
            cwd=ZOO.parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout)["bytes"] == path.stat().st_size

    return made_once(tmp_path_factory, "program/page.html", export)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:

    def export(path: Path) -> None:
        front.export_model(Opened().example("resnet20"), path, command="chainrule studio runs/latest")

    return made_once(tmp_path_factory, "resnet/page.html", export)


def ready(page: Any) -> Any:
    expect(page.locator(".node-card").first).to_be_visible()
    return page


def trace_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition('id="chainrule-trace">')[2].partition("</script>")[0]


def test_a_program_shows_its_findings_and_leads_to_them(open_file: Opening, program: Path):
    page = ready(open_file(program))
    expect(page.locator(".facts h1")).to_have_text("dead_relu.py")
    finding = page.locator(".finding").first
    expect(finding).to_contain_text("Remedy")
    finding.locator("button.where").click()
    expect(finding).to_have_class("finding current")
    expect(page.locator(".place .registers")).to_be_visible()
    expect(page.locator(".curves-card")).to_be_visible()
    page.get_by_role("radio", name="Why?").click()
    expect(page.locator(".answer h3")).to_be_visible()
    expect(page.locator(".answer .error")).to_have_count(0)


def test_columns_and_blocks_open_and_close(open_file: Opening, resnet: Path):
    page = ready(open_file(resnet))
    expect(page.locator(".strip-column")).to_have_count(15)
    page.get_by_role("button", name="Next block").click()
    page.get_by_role("button", name="Open stages.0.1.layers.0", exact=True).click()
    expect(page.get_by_role("button", name="Close stages.0.1.layers.0")).to_be_visible()
    page.get_by_role("button", name="Open stages.0.1.layers.1", exact=True).click()
    expect(page.get_by_role("button", name="Close stages.0.1.layers.1")).to_be_visible()
    expect(page.get_by_role("button", name="Close stages.0.1.layers.0")).to_have_count(0)
    before = page.locator(BOXES).count()
    page.get_by_role("button", name="Close stages.0.1.layers.1").click()
    expect(page.locator(".hull-close")).to_have_count(0)
    eventually(page.locator(BOXES).count, lambda count: count < before)
    page.get_by_role("button", name="all blocks").click()
    expect(page.locator(".node-card[data-id='stages.2.0']")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.locator(".trail h2")).to_have_text("1")


def test_every_block_is_there(open_file: Opening, resnet: Path):
    page = ready(open_file(resnet))
    names = [column["id"] for column in json.loads(trace_of(resnet))["trace"]["overview"]["columns"]]
    for column, name in zip(page.locator(".strip-column").all(), names, strict=True):
        column.click()
        expect(page.locator(".place-name")).to_have_text(name)
        expect(page.locator(".node-card").first).to_be_visible()
    expect(page.locator(".notice")).to_be_hidden()


def test_what_is_searched_for_is_found_within_its_block(open_file: Opening, resnet: Path):
    page = ready(open_file(resnet))
    page.get_by_role("combobox").fill("stages.1.0.layers.1.conv.w")
    expect(page.locator("[role=option]").first).to_contain_text("stages.1.0.layers.1.conv.weight")
    page.get_by_role("combobox").press("Enter")
    expect(page.locator(".place-name")).to_have_text("stages.1.0.layers.1.conv.weight")
    expect(page.locator(".node-card[aria-pressed=true]")).to_be_visible()


def test_what_was_not_recorded_names_the_live_command(open_file: Opening, resnet: Path):
    page = ready(open_file(resnet, viewport={"width": 400, "height": 800}))
    expect(page.locator(".facts")).to_contain_text("chainrule studio runs/latest")
    page.get_by_role("radio", name="Layers").click()
    expect(page.locator(".answer .error")).to_contain_text("run: chainrule studio runs/latest")
    expect(page.get_by_role("button", name="Open …")).to_have_count(0)


def test_a_run_of_a_program_has_its_curves(open_file: Opening, tmp_path: Path):
    folder = tmp_path / "first"
    for _ in begin(Plan("digits", epochs=1), folder):
        pass
    about = json.loads((folder / ABOUT).read_text())
    del about["plan"]
    (folder / ABOUT).write_text(json.dumps(about))
    opening = Opened().run(folder)
    page = open_file(
        front.export_model(opening, tmp_path / "page.html", command="chainrule studio runs/first")
    )
    expect(page.locator(".curve").first).to_be_attached()
    expect(page.locator(".error")).to_contain_text("its curves are known, its model is not")
    expect(page.locator(".model-page")).to_contain_text("The live studio: chainrule studio runs/first")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_without_scripts_there_are_the_findings(new_page: Opening, program: Path):
    page = new_page(java_script_enabled=False)
    page.goto(program.as_uri())
    expect(page.locator("ol li").first).to_contain_text("relu")
