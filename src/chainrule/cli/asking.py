"""``chainrule why``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.printing import Json, Page, print_json
from chainrule.explain import why_program


def why_command(
    script: Annotated[
        str, typer.Argument(metavar="SCRIPT.py", help="A program that trains.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENTS...", help="For the script.")
    ] = None,
    wrt: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ask about this variable; default: the worst gradient.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the reason as HTML too.")] = None,
    as_json: Json = False,
) -> None:
    """Run a script up to its first gradient that is NaN or infinite, and say why it is; else ask about the last pass.

    Names the node, the script's line, the numbers and a remedy, and proves the cause by changing just that.
    What the script prints goes to stderr.

    For example: chainrule why train.py --wrt model.layers.0.weight
    """
    page = None if html is None else Page(html)
    with contextlib.redirect_stdout(sys.stderr):
        reason, number = why_program(script, arguments or (), wrt)
    if page is not None:
        page.write(reason._repr_html_())
    if as_json:
        print_json(reason.to_dict() | {"backward_pass": number})
    else:
        print(f"In backward pass {number}:\n{reason.text}")
