"""Figures as TikZ: LaTeX that compiles where there is one, with the formula's own letters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chainrule.studio.exporting.figure import figure_of
from chainrule.studio.exporting.latex import number_of
from chainrule.studio.exporting.tikz import tikz
from chainrule.studio.exporting.trained import export_network
from chainrule.studio.formulas import FormulaTrace
from studio_formulas import FORMULAS


@pytest.mark.parametrize("name", FORMULAS)
def test_braces_and_environments_are_closed(name: str):
    drawn = tikz(FORMULAS[name])
    body = re.sub(r"\\[{}]", "", drawn)
    assert body.count("{") == body.count("}")
    begun, ended = (re.findall(rf"\\{word}\{{(\w+)\}}", drawn) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert r"\class" not in drawn
    assert drawn.isascii() or not name.isascii()


def test_letters_numbers_and_places():
    drawn = tikz(FormulaTrace("(a+b)*(b+c)", {"a": -1, "b": 3, "c": 4}))
    assert r"{$f$\enspace{\small\color{cr-ink-3}$x \cdot y$}}" in drawn
    for number in ("-1", "14", "9", r"{\times}7"):
        assert f"{{${number}$}}" in drawn
    assert r"\definecolor{cr-val}{HTML}{0A5AA6}" in drawn
    figure = figure_of(FormulaTrace("(a+b)*(b+c)").to_dict())
    box = figure.cards[0].box
    assert f"({box.x * 2.54 / 96:.3f}," in drawn


def test_negative_gradients_are_dashed_and_constants_dotted():
    drawn = tikz(FormulaTrace("2x*y", {"x": -2, "y": 3}))
    assert ", negative]" in drawn and r"\draw[constant]" in drawn


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("−2.5", "-2.5"),
        ("9.77·10⁻⁵", r"9.77\cdot 10^{-5}"),
        ("= −4 ×", r"=-4{\times}"),
        ("−∞", r"-\infty "),
        ("NaN", r"\mathrm{NaN}"),
    ],
)
def test_numbers_in_latex(text: str, latex: str):
    assert number_of(text) == latex


@pytest.mark.slow
def test_every_figure_compiles(tmp_path: Path):
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("there is no pdflatex here: apt-get install texlive-pictures texlive-latex-extra")
    found = subprocess.run(["kpsewhich", "standalone.cls"], capture_output=True, text=True)
    if not found.stdout.strip():
        pytest.skip("LaTeX is here without standalone.cls: apt-get install texlive-latex-extra")
    network = export_network({"data": "digits", "layers": [3], "update": 5}, tmp_path / "network.tex")
    texts = [*map(tikz, FORMULAS.values()), network.read_text(encoding="utf-8")]
    for k, text in enumerate(texts):
        file = tmp_path / f"figure{k}.tex"
        file.write_text(text, encoding="utf-8")
        command = [latex, "-interaction=nonstopmode", "-halt-on-error", file.name]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-2000:]
        assert (tmp_path / f"figure{k}.pdf").stat().st_size > 1000
