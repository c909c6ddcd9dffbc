"""``chainrule doctor``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chainrule.cli.printing import Json, Page, print_json
from chainrule.explain import MOST_PASSES, diagnose_program


def doctor_command(
    script: Annotated[
        str, typer.Argument(metavar="SCRIPT.py", help="A program that trains.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENTS...", help="For the script.")
    ] = None,
    passes: Annotated[int, typer.Option(help="Stop the script after so many backward passes.")] = MOST_PASSES,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as HTML too.")] = None,
    as_json: Json = False,
) -> None:
    """Run a script for some training steps, and say what is wrong with its network: cause, place, evidence, remedy.

    A healthy one gets no finding. The exit status is 1 if there are findings. What the script prints goes to stderr.

    For example: chainrule doctor train.py
    """
    page = None if html is None else Page(html)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        contextlib.redirect_stdout(sys.stderr),
    ):
        task = progress.add_task("looking at backward pass", total=passes)
        report = diagnose_program(
            script,
            arguments or (),
            passes,
            lambda count: progress.update(task, completed=count),
            lambda doing: progress.update(task, description=doing),
        )
    if page is not None:
        page.write(report._repr_html_())
    if as_json:
        print_json(report.to_dict())
    else:
        print(report.text)
    if report.findings:
        raise typer.Exit(1)
