"""Exports: what is written, what is never lost, and that a page in one file is safe and whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from chainrule import studio
from chainrule.cli import main
from chainrule.errors import ArgumentError, DataError, FormulaError
from chainrule.studio.exporting import endpoints
from chainrule.studio.exporting.page import json_in_html
from chainrule.studio.exporting.writing import KINDS
from chainrule.studio.formulas import FORMULA_TRACE

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 & \ud800"


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="chainrule-trace">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_each_ending_has_its_form(tmp_path: Path):
    for kind in KINDS:
        path = studio.export("(a+b)*(b+c)", tmp_path / f"figure.{kind}", a=-1, b=3, c=4)
        assert path.read_text(encoding="utf-8")
    trace = json.loads((tmp_path / "figure.json").read_text())
    jsonschema.validate(trace, FORMULA_TRACE)
    assert data_of((tmp_path / "figure.html").read_text(encoding="utf-8"))["trace"] == trace
    ElementTree.parse(tmp_path / "figure.svg")
    assert (tmp_path / "figure.tex").read_text().endswith("\\end{document}\n")


def test_a_page_allows_its_own_script_and_sheet_and_nothing_else(tmp_path: Path):
    page = studio.export("x*x", tmp_path / "page.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None and policy[1].startswith("default-src 'none'; ")
    for tag, kind in (("script", 'type="module"'), ("style", "")):
        found = re.search(rf"<{tag} ?{kind}>(.*?)</{tag}>", page, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    outside = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!data:)', outside)
    assert "unsafe" not in policy[1]


def test_a_page_opens_at_the_step_that_was_asked_for(tmp_path: Path):
    page = studio.export("x*x", tmp_path / "page.html", x=3, step=2, mode="forward")
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["state"] == {"step": "2", "mode": "forward"}
    example = data["example"]
    assert isinstance(example, dict) and example["values"] == {"x": 3}


def test_no_text_ends_the_script_that_holds_it():
    held = json_in_html({"text": HOSTILE})
    assert not set(held) & {"<", ">", "&", "\u2028", "\ud800"}
    assert json.loads(held)["text"] == HOSTILE


def test_values_that_are_no_numbers_of_json_survive(tmp_path: Path):
    page = studio.export("log(x)/y", tmp_path / "page.html", x=float("inf"), y=float("nan"))
    example = data_of(page.read_text(encoding="utf-8"))["example"]
    assert isinstance(example, dict) and example["values"] == {"x": "Infinity", "y": "NaN"}


def test_what_chainrule_wrote_is_replaced_and_nothing_else_is(tmp_path: Path):
    for kind in KINDS:
        path = tmp_path / f"mine.{kind}"
        studio.export("x*x", path, x=1)
        before = path.read_bytes()
        studio.export("x*x", path, x=2)
        assert path.read_bytes() != before
        path.write_text("a year of work")
        with pytest.raises(DataError, match="did not write it"):
            studio.export("x*x", path)
        assert path.read_text() == "a year of work"
        studio.export("x*x", path, overwrite=True)
    assert {file.suffix.removeprefix(".") for file in tmp_path.iterdir()} == set(KINDS)


@pytest.mark.parametrize(
    ("name", "problem", "message"),
    [
        ("figure.pdf", ArgumentError, "figure.pdf does not say what to write"),
        ("figure", ArgumentError, "figure does not say what to write"),
        ("nowhere/figure.svg", DataError, "there is no folder"),
        ("folder.svg", DataError, "is a folder"),
    ],
)
def test_a_path_that_cannot_be_is_told_before_the_work(
    name: str, problem: type[Exception], message: str, tmp_path: Path
):
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(problem, match=message) as caught:
        studio.export("x*x", tmp_path / name)
    assert getattr(caught.value, "fix", None)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.svg"]


def test_mistakes_write_nothing(tmp_path: Path):
    with pytest.raises(FormulaError):
        studio.export("x*", tmp_path / "figure.svg")
    with pytest.raises(ArgumentError):
        studio.export("x*x", tmp_path / "figure.svg", y=3)
    with pytest.raises(ArgumentError):
        studio.export("x*x", tmp_path / "figure.html", step=99)
    assert not list(tmp_path.iterdir())


def test_a_question_gives_the_same_as_the_file(tmp_path: Path):
    ask = next(one for one in endpoints() if one.path == "/api/formula/export")
    for kind, known in KINDS.items():
        given = ask.answer({"text": "1/(1+e^(-x))", "at": "x=1", "as": kind})
        jsonschema.validate(given, ask.gives)
        assert given["name"] == f"1-1-e-x.{kind}" and given["type"] == known.media
        path = studio.export("1/(1+e^(-x))", tmp_path / f"figure.{kind}", x=1)
        assert given["content"] == path.read_text(encoding="utf-8")


def test_the_command_writes_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run("studio", "--export", "out.html", "1/(1+e^(-x))", "x=1") == 0
    size = (tmp_path / "out.html").stat().st_size
    assert capsys.readouterr().out == f"Wrote out.html, {size:,} bytes.\n"
    assert run("studio", "--export", "out.svg", "x*x", "x=3", "--theme", "dark", "--step", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    size = (tmp_path / "out.svg").stat().st_size
    assert told == {"path": "out.svg", "kind": "svg", "type": "image/svg+xml", "bytes": size}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--export", "out.html"], "--export needs a formula, a network, a run or a program"),
        (["--export", "out.html", "x*x", "y=1"], "the formula has no variable y"),
        (["--export", "out.png", "x*x"], "out.png does not say what to write"),
        (["--export", "out.svg", "."], "out.svg: a model is no figure"),
        (["--export", "out.html", ".", "more"], 'expected no more than a run, got "more"'),
        (["--export", "out.html", ".", "--step", "3"], "--step and --theme are for formulas"),
    ],
)
def test_the_command_refuses(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert run("studio", *arguments, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == message
    assert not list(tmp_path.iterdir())
