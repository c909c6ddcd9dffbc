"""``chainrule cost``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chainrule.cli.explaining import numbers
from chainrule.cli.printing import Json, Written, cut, print_json
from chainrule.errors import ArgumentError
from chainrule.explain import CostLedger, GraphLedger, cost, cost_function, cost_graph, cost_program
from chainrule.formula import formula

_OPTIONS = ("--json", "--svg", "--theme", "--top", "--seconds", "--budgets")
_FUNCTION = re.compile(r"(?P<where>.+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")
"""``examples/roe_flux.py:roe_flux`` or ``package.module:function``."""


class _Asked(NamedTuple):
    """Options that ``cr.cost`` takes as they are; None for what is not given."""

    seconds: float | None
    budgets: str | None

    def options(self) -> dict[str, Any]:
        """As ``cr.cost`` takes them."""
        several = self.budgets if self.budgets in (None, "auto") else self.budgets.split(",")
        given = {"seconds": self.seconds, "budgets": several}
        return {name: value for name, value in given.items() if value is not None}


def cost_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="SCRIPT.py|FORMULA|MODULE:FUNCTION|GRAPH.json",
            help='A program that calls cr.cost; such as "(a+b)*(b+c)"; a function of a module or a .py file; '
            "a graph of vertex elimination.",
            show_default=False,
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS...", help="For a script; of a function or a formula NAME=VALUE."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Show so many steps, the costliest.")] = 10,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the picture too, of the last ledger.", show_default=False),
    ] = None,
    theme: Annotated[str, typer.Option(help="With --svg: light or dark.")] = "light",
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Of a function, formula or graph: search so long for an order.",
            show_default=False,
        ),
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            metavar="auto|BYTES,...",
            help="Of a function or formula: memory against recomputation, for such as 1GB,256MiB.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Count what a function and its derivative cost, before computing anything.

    FLOPs, bytes and memory of the function, of reverse and of forward mode, of its local Jacobians as a chain, and of
    vertex elimination in the cheapest order that is found; step by step, and beside the cheap-gradient bound. What a
    script prints goes to stderr.

    For example: chainrule cost examples/roe_flux.py; chainrule cost "(a+b)*(b+c)"; chainrule cost model.py:loss

    Of a graph of vertex elimination in a JSON file: the multiplications that its Jacobian takes in each order.

    Arguments of a function that are not given have their defaults, or are what its module calls by their names.
    """
    page = None if svg is None else Written(svg, "--svg")
    if theme not in ("light", "dark"):
        raise ArgumentError(f"there is no theme {cut(theme, 60)}", fix="--theme light or --theme dark")
    if what.endswith(".json"):
        graph = _of_graph(what, arguments or (), seconds, {"--svg": svg, "--budgets": budgets})
        print_json(graph.to_dict()) if as_json else print(graph.text())
        return
    with _waiting(what), contextlib.redirect_stdout(sys.stderr):
        ledgers = _ledgers(what, arguments or (), _Asked(seconds, budgets))
    if page is not None:
        page.write(ledgers[-1].svg("light" if theme == "light" else "dark", top))
    if as_json:
        documents = [ledger.to_dict() for ledger in ledgers]
        print_json(documents[0] if len(documents) == 1 else {"ledgers": documents})
    else:
        print("\n\n".join(ledger.text_of(top) for ledger in ledgers))


def _ledgers(what: str, arguments: Sequence[str], asked: _Asked) -> tuple[CostLedger, ...]:
    function = _FUNCTION.fullmatch(what)
    if function:
        given = numbers(arguments, _OPTIONS)
        return (cost_function(function["where"], function["name"], given, **asked.options()),)
    if what.endswith(".py") or Path(what).is_file():
        if not what.endswith(".py"):
            raise ArgumentError(
                f"{cut(what, 60)} is a file, but no Python program",
                fix="pass a formula, a .py file, or a graph as .json",
            )
        for name, value in asked._asdict().items():
            if value is not None:
                raise ArgumentError(
                    f"--{name} is for functions and formulas",
                    fix=f"pass cr.cost(..., {name}=...) in the script",
                )
        return cost_program(what, arguments)
    return (_of_formula(what, arguments, asked),)


def _of_graph(
    what: str, arguments: Sequence[str], seconds: float | None, others: Mapping[str, object]
) -> GraphLedger:
    for option, value in others.items():
        if value is not None:
            raise ArgumentError(
                f"{option} is for functions: a graph in a file has neither steps nor sizes",
                fix=f"leave out {option}, or pass the function itself",
            )
    if arguments:
        raise ArgumentError(
            f"a graph takes no arguments, got {cut(arguments[0], 60)}", fix="pass the path of the file alone"
        )
    with _waiting(what):
        return cost_graph(what) if seconds is None else cost_graph(what, seconds=seconds)


def _of_formula(text: str, arguments: Sequence[str], asked: _Asked) -> CostLedger:
    read = formula(text)
    values = numbers(arguments, _OPTIONS)
    if not read.variables:
        raise ArgumentError(
            f"{cut(text, 60)} is constant: nothing can change", fix="put a variable in it, as in 2*x"
        )
    unknown = [name for name in values if name not in read.variables]
    if unknown:
        raise ArgumentError(
            f"the formula has no variable {cut(unknown[0], 60)}",
            fix=f"its variables are: {', '.join(read.variables)}; values do not change the cost",
        )
    given = (values.get(name, 1.0) for name in read.variables)
    return cost(read, *given, argnums=range(len(read.variables)), **asked.options())


@contextlib.contextmanager
def _waiting(what: str) -> Iterator[None]:
    """Say on a terminal what is done, and for how long, while it lasts."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(f"counting {cut(what, 40)}")
        yield
