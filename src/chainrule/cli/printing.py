"""What all subcommands print with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from chainrule.errors import DataError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


class Interrupted(Exception):
    """Ctrl-C, with ``fix``: how to go on."""

    def __init__(self, fix: str) -> None:
        self.fix = fix
        super().__init__(fix)


def make_console() -> Console:
    """Where a person reads."""
    # What a user wrote is shown as it is: no markup, no emoji codes.
    return Console(markup=False, emoji=False, highlight=False)


def print_json(document: Any) -> None:
    """The one document of ``--json``."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(document, indent=2, ensure_ascii=plain, allow_nan=False), flush=True)


class Written:
    """A file for an option such as ``--svg``, looked at before the work that is to fill it.

    Raises:
        DataError: it cannot be written.
    """

    def __init__(self, file: Path, option: str) -> None:
        self._file, self._option = file, option
        if file.is_dir() or not file.resolve().parent.is_dir():
            raise self._not_written("is a folder" if file.is_dir() else "is in a folder that does not exist")

    def write(self, text: str) -> None:
        """Write the file."""
        try:
            self._file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._not_written(f"cannot be written: {error.strerror}") from None

    def _not_written(self, why: str) -> DataError:
        return DataError(
            f"{self._file} {why}", fix=f"{self._option} FILE, in a folder that can be written to"
        )


class Page(Written):
    """A file for ``--html``."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, "--html")

    def write(self, text: str) -> None:
        """Write a whole page around what is to be shown."""
        super().write(f"<!doctype html>\n<meta charset=utf-8>\n{text}\n")


def cut(text: str, most: int) -> str:
    """``text`` with its middle left out where it is too long for a screen."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"
