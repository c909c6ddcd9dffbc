"""What all subcommands print with."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

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


def cut(text: str, most: int) -> str:
    """``text`` with its middle left out where it is too long for a screen."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"
