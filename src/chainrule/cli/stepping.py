"""``chainrule step``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from chainrule.cli.explaining import FormulaText, Values, computed
from chainrule.cli.printing import Json, print_json
from chainrule.explain import obey, steps


def step_command(
    text: FormulaText,
    values: Values = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="W", help="Run to a node, or a comparison as 'abs(delta) < 1e-8', first."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk through the forward and the backward pass of a formula, in both directions.

    At each edge stand the upstream gradient, the local derivative, their product and the sum it is added to.
    Commands are read line by line: n steps on, b back, r runs, h lists all.

    For example: chainrule step "(a+b)*(b+c)" a=-1 b=3 c=4 --until b
    """
    walk = steps(computed(text, values or ()), lines=False)
    if until is not None:
        walk.run(until)
    if as_json:
        print_json(walk.to_dict())
        return
    print(walk.text)
    for said in obey(walk, _typed()):
        print(said)


def _typed() -> Iterator[str]:
    """What a person types, or what is piped in."""
    asks = sys.stdin.isatty()
    while True:
        if asks:
            print("n, b, r, h or q > ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line
