"""The command ``chainrule``: subcommands only, each of which hands its arguments on.

With ``--json`` a command prints exactly one JSON document on stdout, also when it fails:
``{"error": {"type", "message", "fix"}}``. Without it errors go to stderr, on one screen. The exit status
is 0, also where the reader of a pipe leaves early as ``head`` does; 2 for an error, 1 where the tour or a
benchmark finds a wrong number, and 130 after Ctrl-C, but 0 of the studio, which ends in no other way. Where the
output's encoding lacks a character, such as ∂ in ASCII, something like it is written: ``d``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.main import get_command

import chainrule
from chainrule.cli.asking import why_command
from chainrule.cli.costing import cost_command
from chainrule.cli.doctoring import doctor_command
from chainrule.cli.explaining import explain_command
from chainrule.cli.measuring import bench_command
from chainrule.cli.printing import Interrupted, cut, print_json
from chainrule.cli.stepping import step_command
from chainrule.cli.studying import studio_command
from chainrule.cli.touring import tour_command
from chainrule.cli.training import plot_command, predict_command, train_command
from chainrule.cli.wording import as_options
from chainrule.errors import ChainruleError
from chainrule.show import ascii
from chainrule.show.style import ERROR

# typer does not export the class of its own complaints about arguments.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
_LONGEST_LINE = 400
_INTERRUPTED = 130
"""The exit status after Ctrl-C, which typer gives too."""

app = typer.Typer(
    name="chainrule",
    help="Run backpropagation on any computation, and see where every gradient comes from.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(on: bool) -> None:
    if on:
        print(f"chainrule {chainrule.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run backpropagation on any computation, and see where every gradient comes from."""


app.command("explain", context_settings={"ignore_unknown_options": True})(explain_command)
app.command("step", context_settings={"ignore_unknown_options": True})(step_command)
app.command("why", context_settings={"ignore_unknown_options": True})(why_command)
app.command("doctor", context_settings={"ignore_unknown_options": True})(doctor_command)
app.command("cost", context_settings={"ignore_unknown_options": True})(cost_command)
app.command("studio", context_settings={"ignore_unknown_options": True})(studio_command)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("plot")(plot_command)
app.command("bench")(bench_command)
app.command("tour")(tour_command)


def _report(kind: str, message: str, fix: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"error": {"type": kind, "message": message, "fix": fix}})
        return
    shown = Text("error: ", style=ERROR).append(
        "\n".join(cut(line, _LONGEST_LINE) for line in message.splitlines()), "default"
    )
    if fix:
        shown.append(f"\n  Fix: {cut(fix, _LONGEST_LINE)}", "default")
    Console(stderr=True, markup=False, emoji=False, highlight=False).print(shown, soft_wrap=True)


def _close_output() -> None:
    """Let what is still to be written go nowhere: its reader has left, or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _command(arguments: Sequence[str]) -> Any:
    """The subcommand that is called, if any."""
    commands: dict[str, Any] = getattr(get_command(app), "commands", {})
    return commands.get(arguments[0]) if arguments else None


def _wants_json(arguments: Sequence[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = given.index("--") if "--" in given else len(given)
    # As an option of its own -h would also claim formulas such as -h^2.
    given[:options] = ["--help" if argument == "-h" else argument for argument in given[:options]]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ascii.HANDLER)
    as_json = _wants_json(given)
    status: Any = 2
    how_to_go_on = "run the command again"
    try:
        status = app(given, prog_name="chainrule", standalone_mode=False)
        sys.stdout.flush()
    except Interrupted as stop:
        status, how_to_go_on = _INTERRUPTED, stop.fix
    except ChainruleError as error:
        fix = error.fix and as_options(error.fix, _command(given))
        _report(type(error).__name__, error.message, fix, as_json)
    except _UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        if not message or type(error).__name__ == "NoArgsIsHelpError":
            print(message)  # the help, which was asked for by asking for nothing
        else:
            _report("UsageError", message, "chainrule --help, or chainrule COMMAND --help", as_json)
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except (BrokenPipeError, SystemExit):  # rich and typer exit where they meet a broken pipe
        _close_output()
        status = 0
    except OSError as error:
        if error.filename is not None:  # a file's, not the output's
            raise
        _close_output()
        _report(
            "OSError",
            f"the output cannot be written: {error.strerror or error}",
            "free space on the disk",
            False,
        )
    if status == _INTERRUPTED and as_json:
        _report("KeyboardInterrupt", "stopped before it was done", how_to_go_on, as_json)
    sys.exit(status if isinstance(status, int) else 0)
