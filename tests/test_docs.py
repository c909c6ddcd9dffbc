"""Every block in README and docs runs, and the output it shows is what is really printed.

- ``python`` blocks run in order, in one namespace and one empty folder for each file;
- an ``output`` block is what the ``python`` block before it printed;
- ``pycon`` blocks are doctests in the same namespace;
- in ``console`` blocks (``sh``, ``bash``, ``shell`` too), each line that starts with ``$`` runs on a terminal
  of 100 columns without colour, and what follows it is its output;
- ``<!-- not run: reason -->`` on the line above a block leaves it alone.

``CHAINRULE_UPDATE_DOCS=1`` writes the real output into the files instead of comparing.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
UPDATE = os.environ.get("CHAINRULE_UPDATE_DOCS") == "1"

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\w*)[^\n`]*\n(?P<body>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- *not run(?P<reason>(?:(?!-->).)*)--> *\n\Z", re.DOTALL)
SHELL = {"console", "sh", "bash", "shell"}


class Page:
    """Runs the blocks of one Markdown file; what they print replaces what the file shows."""

    def __init__(self, path: Path, text: str, folder: Path):
        self.path, self.text, self.folder = path, text, folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""

    def run(self) -> str:
        """Return the text of the file as it ought to be."""
        return FENCE.sub(self._block, self.text)

    def _block(self, fence: re.Match[str]) -> str:
        body, language = textwrap.dedent(fence["body"]), fence["language"]
        line = self.text.count("\n", 0, fence.start("body"))
        excuse = NOT_RUN.search(self.text, 0, fence.start())
        if excuse:
            reason = excuse["reason"].lstrip(":").strip()
            assert reason, f"{self.path.name}:{line}: give a reason: <!-- not run: reason -->"
            return fence[0]
        if language == "python" and not body.startswith(">>> "):
            self._python(body, line)
        elif language in {"python", "pycon"}:
            self._doctest(body, line)
        elif language == "output":
            return _with_body(fence, self.printed)
        elif language in SHELL and body.startswith("$ "):
            return _with_body(fence, self._console(body, line))
        return fence[0]

    def _python(self, body: str, line: int) -> None:
        printed = io.StringIO()
        # Blank lines before the code give a traceback, and chainrule's messages, the line in the page.
        code = compile("\n" * line + body, str(self.path), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(printed):
            exec(code, self.namespace)
        self.printed = _tidy(printed.getvalue())

    def _doctest(self, body: str, line: int) -> None:
        test = doctest.DocTestParser().get_doctest(body, self.namespace, self.path.name, str(self.path), line)
        report = io.StringIO()
        doctest.DocTestRunner(verbose=False).run(test, out=report.write, clear_globs=False)
        assert report.getvalue() == "", report.getvalue()
        self.namespace.update(test.globs)

    def _console(self, body: str, line: int) -> str:
        real = ""
        for command in re.findall(r"^\$ ((?:.*\\\n)*.*)$", body, re.MULTILINE):
            known = command.startswith(("chainrule ", "python "))
            assert known, f"{self.path.name}:{line}: `{command}` is not run here: <!-- not run: reason -->"
            real += f"$ {command}\n{_tidy(self._shell(command))}"
        return real

    def _shell(self, command: str) -> str:
        here = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
        environment |= {"PATH": os.pathsep.join(here), "COLUMNS": "100", "NO_COLOR": "1", "PYTHONUTF8": "1"}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
        ).stdout


def _with_body(fence: re.Match[str], body: str) -> str:
    opening, closing = fence[0].partition("\n")[0], fence["indent"] + fence["ticks"]
    return f"{opening}\n{textwrap.indent(body, fence['indent'])}{closing}"


def _tidy(printed: str) -> str:
    """Without blanks at the ends of lines and blank lines at the end, which Markdown does not show."""
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_blocks(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shown = path.read_text(encoding="utf-8")
    real = Page(path, shown, tmp_path).run()
    if UPDATE:
        path.write_text(real, encoding="utf-8")
    else:
        assert shown == real


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_files_lead_somewhere(path: Path):
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose)
    missing = [to for to in targets if not re.match(r"\w+:", to) and not (path.parent / to).exists()]
    assert missing == []


def test_ci_runs_every_command_of_contributing():
    """CONTRIBUTING promises no command that CI does not run."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = FENCE.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    commands = [line for block in blocks for line in block["body"].splitlines()]
    assert len(commands) > 3
    assert [command for command in commands if not re.search(rf"{re.escape(command)}$", ci, re.M)] == []


def page(text: str, folder: Path) -> str:
    return Page(folder / "page.md", textwrap.dedent(text), folder).run()


def test_a_wrong_output_is_corrected(tmp_path: Path):
    shown = "```python\nprint(1 + 1)\n```\n\n```output\n3\n```\n"
    assert page(shown, tmp_path) == shown.replace("3\n", "2\n")
    shown = "```console\n$ python -c 'print(1)' | \\\n  cat\n0\n```\n"
    assert page(shown, tmp_path) == shown.replace("0\n", "1\n")


def test_a_wrong_doctest_fails(tmp_path: Path):
    with pytest.raises(AssertionError, match="Expected"):
        page("```python\nx = 1\n```\n```pycon\n>>> x\n2\n```\n", tmp_path)


def test_a_block_may_be_left_alone_only_with_a_reason(tmp_path: Path):
    block = "```python\n1 / 0\n```\n"
    assert block in page("<!-- not run: it would fail -->\n" + block, tmp_path)
    with pytest.raises(AssertionError, match=r"page\.md:2: give a reason"):
        page("<!-- not run -->\n" + block, tmp_path)
    for between in ("\ntext\n", "<!-- another comment -->\n"):
        with pytest.raises(ZeroDivisionError):
            page(f"<!-- not run: this speaks of another block -->\n{between}{block}", tmp_path)


def test_a_foreign_command_needs_a_reason(tmp_path: Path):
    with pytest.raises(AssertionError, match="`make all` is not run here"):
        page("```sh\n$ make all\n```\n", tmp_path)
