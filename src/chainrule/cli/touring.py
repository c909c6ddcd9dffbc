"""``chainrule tour``."""

from __future__ import annotations

import typer

from chainrule.cli.printing import Json, make_console, print_json
from chainrule.tour import take_tour


def tour_command(as_json: Json = False) -> None:
    """Rework four articles' examples, then train."""
    report = take_tour(None if as_json else make_console())
    if as_json:
        print_json(report.to_dict())
    if not report.agrees:
        raise typer.Exit(1)
