"""The command ``chainrule``: subcommands only, each of which hands its arguments on.

With ``--json`` a command prints exactly one JSON document on stdout, also when it fails:
``{"error": {"type", "message", "fix"}}``. Without it errors go to stderr, on one screen. The exit status
is 0, also where the reader of a pipe leaves early as ``head`` does; 2 for an error, 1 where the tour or a
benchmark finds a wrong number, and 130 after Ctrl-C. Where the output's encoding lacks a character, such as ∂
in ASCII, something like it is written: ``d``.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

import chainrule
from chainrule import bench, models, optim, train
from chainrule.errors import ArgumentError, ChainruleError, FormulaError
from chainrule.explain import explain
from chainrule.formula import formula
from chainrule.formula.mistakes import closest
from chainrule.show import ascii, show_benchmarks, show_explanation, show_training, show_workloads
from chainrule.show.style import ERROR
from chainrule.tour import take_tour

# typer does not export the class of its own complaints about arguments.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
_LONGEST_LINE = 400

app = typer.Typer(
    name="chainrule",
    help="Run backpropagation on any computation, and see where every gradient comes from.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


class Data(StrEnum):
    """Data sets that travel with the package."""

    digits = "digits"


class OptimizerName(StrEnum):
    """Optimizers, by their names in ``cr.optim``."""

    adam = "adam"
    adamw = "adamw"
    rmsprop = "rmsprop"
    adagrad = "adagrad"
    momentum = "momentum"
    nesterov = "nesterov"
    gradient_descent = "gradient_descent"


_LEARNING_RATES = {
    OptimizerName.adam: 3e-3,
    OptimizerName.adamw: 3e-3,
    OptimizerName.rmsprop: 1e-3,
    OptimizerName.adagrad: 3e-2,
    OptimizerName.momentum: 3e-2,
    OptimizerName.nesterov: 3e-2,
    OptimizerName.gradient_descent: 2e-1,
}


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


@app.command("explain", context_settings={"ignore_unknown_options": True})
def explain_command(
    text: Annotated[
        str, typer.Argument(metavar="FORMULA", help='Such as "(a+b)*(b+c)".', show_default=False)
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="A number for each variable: x=-1.5, x=1/2, x=pi."),
    ] = None,
    wrt: Annotated[
        str | None, typer.Option(help="Explain the gradient for this variable or intermediate; default: all.")
    ] = None,
    as_json: Json = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print the derivation in LaTeX.")] = False,
) -> None:
    """Show where each gradient of a formula comes from.

    Both passes, the chain rule with numbers, and every path from the result.

    For example: chainrule explain "(a+b)*(b+c)" a=-1 b=3 c=4 --wrt b

    Formulas have + - * / and ^ (powers from the right, and before the minus sign: -x^2 is -(x^2)); products
    without a sign, as in 2x, 3(x+1) and x y, which bind as * does: 1/2x is (1/2)*x; the constants e and pi;
    functions with parentheses: exp, log, sqrt, sin, cos, tan, tanh, sigmoid, relu, abs, max, min and others.
    Several lines, separated by ";", name values: "z = w*x + b; sigmoid(z)". More in docs/formulas.md.

    A formula that begins with a name of an option, such as -h, stands behind --.
    """
    if as_json and as_latex:
        raise ArgumentError("--json and --latex exclude each other", fix="ask for one of them")
    read = formula(text)
    result = read(**_numbers(values or ()))
    if not read.variables:
        raise ArgumentError(
            f"{_cut(text, 60)} is constant: nothing can change", fix="put a variable in it, as in 2*x"
        )
    explanation = explain(result, wrt)
    if as_json:
        _print_json(explanation.to_dict())
    elif as_latex:
        print(explanation.latex)
    else:
        show_explanation(explanation, _console())


@app.command("train")
def train_command(
    data: Annotated[Data, typer.Argument(help="What to learn.", show_default=False)],
    epochs: Annotated[int, typer.Option(help="How often each example is used.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Examples in a step.")] = 64,
    learning_rate: Annotated[
        float | None, typer.Option(help="Length of a step; default: one that suits the optimizer.")
    ] = None,
    optimizer: Annotated[
        OptimizerName, typer.Option(help="How a gradient becomes a step.")
    ] = OptimizerName.adam,
    seed: Annotated[int, typer.Option(help="Of the first weights and the order of the examples.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a small network and show what it learned."""
    recipe = models.digits_classifier(seed)
    rate = _LEARNING_RATES[optimizer] if learning_rate is None else learning_rate
    stepper = getattr(optim, optimizer.value)(learning_rate=rate)
    settings = {**recipe.settings, "epochs": epochs, "batch_size": batch_size}
    events = train.run(recipe.model, recipe.data, recipe.loss, stepper, **settings)
    if as_json:
        shown = [event.to_dict() for event in events if not isinstance(event, train.Stepped)]
        started, *ended, finished = shown
        _print_json(
            {"version": 1, "data": data.value, "started": started, "epochs": ended, "finished": finished}
        )
    else:
        show_training(events, _console())


@app.command("bench")
def bench_command(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="WORKLOAD...", help="Some of --list; default: all.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the workloads, and run none.")] = False,
    threads: Annotated[int, typer.Option(help="So many for each library.")] = 2,
    seconds: Annotated[float, typer.Option(help="For the timing of each workload.")] = 3.0,
    without: Annotated[
        list[str] | None, typer.Option(metavar="LIBRARY", help="Leave a library out; may be repeated.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Compare parameters with float64 after so many; default: 20, 1 for resnet20."),
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory of training steps too.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Run each once and check its numbers, untimed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure against other libraries, on the same work.

    Training steps and functions of arrays in chainrule, torch, jax, NumPy and micrograd, as far as they are
    installed: pip install 'chainrule[bench]'. All take turns in one run; medians are compared. What each
    computes is compared with float64.

    For example: chainrule bench 784-128-10 sgemm-512
    """
    if listed:
        if as_json:
            _print_json({name: {"summary": w.summary, "goal": w.goal} for name, w in bench.WORKLOADS.items()})
        else:
            show_workloads(_console())
        return
    events = bench.run(
        workloads or (),
        threads=threads,
        seconds=seconds,
        without=without or (),
        steps=steps,
        memory=memory,
        once=once,
    )
    if as_json:
        *_, finished = events
        assert isinstance(finished, bench.Finished)
        _print_json(finished.to_dict())
    else:
        finished = show_benchmarks(events, _console())
    if finished.failed:
        raise typer.Exit(1)


@app.command("tour")
def tour_command(as_json: Json = False) -> None:
    """Rework four articles' examples, then train."""
    report = take_tour(None if as_json else _console())
    if as_json:
        _print_json(report.to_dict())
    if not report.agrees:
        raise typer.Exit(1)


def _numbers(arguments: Sequence[str]) -> dict[str, float]:
    """``["a=-1", "b=3"]`` as numbers by name.

    Raises:
        ArgumentError: no name, no number, or a name twice.
    """
    values: dict[str, float] = {}
    for argument in arguments:
        name, sign, written = (part.strip() for part in argument.partition("="))
        if not sign or not name:
            raise ArgumentError(f'expected name=value, got "{_cut(argument, 60)}"', fix=_fix_for(argument))
        if name in values:
            raise ArgumentError(f"{_cut(name, 60)} has two values", fix="give each variable one value")
        values[name] = _number(_cut(name, 60), written)
    return values


def _number(name: str, written: str) -> float:
    """A value: a formula without variables, such as ``-1.5``, ``1/2`` or ``2pi``."""
    fix = f"write a number, or a formula of numbers: {name}=-1.5, {name}=1/2 or {name}=2e-3"
    if not written or "=" in written or ";" in written:
        raise ArgumentError(f'{name}: expected a number, got "{_cut(written, 60)}"', fix=fix)
    try:
        read = formula(written)
    except FormulaError as error:
        raise FormulaError(f"{name}: {error.message}", fix=error.fix) from None
    if read.variables:
        raise ArgumentError(
            f'{name}: expected a number, got "{_cut(written, 60)}", which has the variable {read.variables[0]}',
            fix=fix,
        )
    return float(read())


def _fix_for(argument: str) -> str:
    if argument.startswith("--"):
        meant = closest(argument, ("--wrt", "--json", "--latex", "--help"))
        return f"did you mean {meant}?" if meant else "the options are --wrt, --json, --latex and --help"
    return "put the whole formula in one pair of quotes, then write a=-1 b=3"


def _console() -> Console:
    # What a user wrote is shown as it is: no markup, no emoji codes.
    return Console(markup=False, emoji=False, highlight=False)


def _print_json(document: Any) -> None:
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(document, indent=2, ensure_ascii=plain, allow_nan=False), flush=True)


def _cut(text: str, most: int) -> str:
    """``text`` with its middle left out where it is too long for a screen."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


def _report(kind: str, message: str, fix: str | None, as_json: bool) -> None:
    if as_json:
        _print_json({"error": {"type": kind, "message": message, "fix": fix}})
        return
    shown = Text("error: ", style=ERROR).append(
        "\n".join(_cut(line, _LONGEST_LINE) for line in message.splitlines()), "default"
    )
    if fix:
        shown.append(f"\n  Fix: {_cut(fix, _LONGEST_LINE)}", "default")
    Console(stderr=True, markup=False, emoji=False, highlight=False).print(shown, soft_wrap=True)


def _close_output() -> None:
    """Let what is still to be written go nowhere: its reader has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


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
    try:
        status = app(given, prog_name="chainrule", standalone_mode=False)
        sys.stdout.flush()
    except ChainruleError as error:
        _report(type(error).__name__, error.message, error.fix, as_json)
    except _UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        if not message or type(error).__name__ == "NoArgsIsHelpError":
            print(message)  # the help, which was asked for by asking for nothing
        else:
            _report("UsageError", message, "chainrule --help, or chainrule COMMAND --help", as_json)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except (BrokenPipeError, SystemExit):  # rich and typer exit where they meet a broken pipe
        _close_output()
        status = 0
    sys.exit(status if isinstance(status, int) else 0)
