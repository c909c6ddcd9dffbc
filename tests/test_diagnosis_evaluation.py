"""The evaluation of the diagnosis counts all of its programs, and tells found, quiet and failed from one another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "diagnosis"


def evaluated(place: Path, *arguments: str) -> tuple[dict[tuple[str, str], dict], str]:
    """Rows by group and name, and what was printed."""
    file = place / "found.json"
    command = [sys.executable, str(FOLDER / "evaluate.py"), "--json", str(file), *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = json.loads(file.read_text(encoding="utf-8"))
    return {(row["group"], row["name"]): row for row in rows}, run.stdout


@pytest.mark.parametrize("folder", ["first", "second"])
def test_every_program_has_its_expectation(folder):
    programs = FOLDER / folder / "programs"
    expected = json.loads((programs / "expected.json").read_text(encoding="utf-8"))
    assert set(expected) == {file.name for file in programs.glob("*.py")}
    assert all(bool(kinds) == name.startswith("broken_") for name, kinds in expected.items())


def test_broken_mended_and_programs_are_judged(tmp_path):
    rows, said = evaluated(tmp_path, "--only", "dead_bottleneck", "broken_columns", "healthy_xor")
    assert {name: row["verdict"] for name, row in rows.items()} == {
        ("broken", "first.signals.dead_bottleneck"): "found",
        ("mended", "first.signals.dead_bottleneck"): "quiet",
        ("programs", "first.programs.broken_columns"): "found",
        ("programs", "first.programs.healthy_xor"): "quiet",
    }
    assert "Not right: 0 of 4" in said
    assert "found 1 of 1 = 100.0%" in said


def test_a_case_that_takes_too_long_is_an_error(tmp_path):
    rows, said = evaluated(tmp_path, "--only", "healthy_xor", "--limit", "0.01")
    (row,) = rows.values()
    assert row["verdict"] == "error" and row["error"] == "not done after 0.01 s"
    assert "Not right: 1 of 1" in said and "errors 1" in said
