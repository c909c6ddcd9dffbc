"""``chainrule explain``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from chainrule.cli.printing import Json, cut, make_console, print_json
from chainrule.errors import ArgumentError, FormulaError
from chainrule.explain import explain
from chainrule.formula import formula
from chainrule.formula.mistakes import closest
from chainrule.show import show_explanation

FormulaText = Annotated[
    str, typer.Argument(metavar="FORMULA", help='Such as "(a+b)*(b+c)".', show_default=False)
]
Values = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE...", help="A number for each variable: x=-1.5, x=1/2, x=pi."),
]
_FORMS = ("--json", "--latex", "--mathml")


def explain_command(
    text: FormulaText,
    values: Values = None,
    wrt: Annotated[
        str | None, typer.Option(help="Explain the gradient for this variable or intermediate; default: all.")
    ] = None,
    as_json: Json = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print the derivation in LaTeX.")] = False,
    as_mathml: Annotated[bool, typer.Option("--mathml", help="Print it in MathML, for web pages.")] = False,
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
    asked = [name for name, on in zip(_FORMS, (as_json, as_latex, as_mathml), strict=True) if on]
    if len(asked) > 1:
        raise ArgumentError(f"{' and '.join(asked)} exclude each other", fix="ask for one of them")
    explanation = explain(computed(text, values or ()), wrt)
    if as_json:
        print_json(explanation.to_dict())
    elif as_latex:
        print(explanation.latex)
    elif as_mathml:
        print(explanation.mathml)
    else:
        show_explanation(explanation, make_console())


def computed(text: str, values: Sequence[str]) -> Any:
    """A formula with its values, such as ``["a=-1", "b=3"]``.

    Raises:
        FormulaError, ArgumentError: it is none, or has no variable, or a value is missing or none.
    """
    read = formula(text)
    result = read(**numbers(values))
    if not read.variables:
        raise ArgumentError(
            f"{cut(text, 60)} is constant: nothing can change", fix="put a variable in it, as in 2*x"
        )
    return result


def numbers(arguments: Sequence[str], options: Sequence[str] = ("--wrt", *_FORMS)) -> dict[str, float]:
    """``["a=-1", "b=3"]`` as numbers by name.

    Args:
        arguments: as they were written.
        options: of the command, one of which may be meant by what begins with ``--``.

    Raises:
        ArgumentError: no name, no number, or a name twice.
    """
    values: dict[str, float] = {}
    for argument in arguments:
        name, sign, written = (part.strip() for part in argument.partition("="))
        if not sign or not name:
            raise ArgumentError(
                f'expected name=value, got "{cut(argument, 60)}"', fix=_fix_for(argument, options)
            )
        if name in values:
            raise ArgumentError(f"{cut(name, 60)} has two values", fix="give each variable one value")
        values[name] = _number(cut(name, 60), written)
    return values


def _number(name: str, written: str) -> float:
    """A value: a formula without variables, such as ``-1.5``, ``1/2`` or ``2pi``."""
    fix = f"write a number, or a formula of numbers: {name}=-1.5, {name}=1/2 or {name}=2e-3"
    if not written or "=" in written or ";" in written:
        raise ArgumentError(f'{name}: expected a number, got "{cut(written, 60)}"', fix=fix)
    try:
        read = formula(written)
    except FormulaError as error:
        raise FormulaError(f"{name}: {error.message}", fix=error.fix) from None
    if read.variables:
        raise ArgumentError(
            f'{name}: expected a number, got "{cut(written, 60)}", which has the variable {read.variables[0]}',
            fix=fix,
        )
    return float(read())


def _fix_for(argument: str, options: Sequence[str]) -> str:
    if argument.startswith("--"):
        meant = closest(argument, (*options, "--help"))
        return f"did you mean {meant}?" if meant else f"the options are {', '.join(options)} and --help"
    return "put the whole formula in one pair of quotes, then write a=-1 b=3"
