"""Costs of functions that stand in a program of the user's, or in a module."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.explain.costs.counting import cost, heard
from chainrule.explain.costs.ledger import CostLedger
from chainrule.explain.running import Program
from chainrule.formula.mistakes import closest
from chainrule.node import as_array
from chainrule.shapes import FLOATS


def cost_program(path: str, arguments: Sequence[str] = ()) -> tuple[CostLedger, ...]:
    """Run a program, and return the ledgers that it asks for with ``cr.cost``, in order.

    Args:
        path: of a Python file. It runs as a program of its own, in this process.
        arguments: what it finds behind its name in ``sys.argv``.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ArgumentError: it is no Python, or never calls ``cr.cost``. What it raises itself is passed on.
    """
    program = Program(path, arguments)
    ledgers: list[CostLedger] = []
    token = heard.set(ledgers)
    try:
        program.run()
    finally:
        heard.reset(token)
    if not ledgers:
        names = [n for n, v in program.space.items() if inspect.isfunction(v) and v.__module__ == "__main__"]
        example = f"{path}:{names[0]}" if names else f"{path}:FUNCTION"
        raise ArgumentError(
            f"{path} does not call cr.cost",
            fix=f"call cr.cost(f, *arguments) in it, or name a function of it: {example}",
        )
    return tuple(ledgers)


def cost_function(
    where: str,
    name: str,
    given: Mapping[str, Any],
    arguments: Sequence[str] = (),
    **options: Any,
) -> CostLedger:
    """The cost of a function of a module or a Python file.

    Its arguments are those that are given; for the rest the defaults, and what the module itself calls by the name of
    the parameter. It is differentiated for all that are floating.

    Args:
        where: a module, as in ``import``, or the path of a Python file, which runs as a program.
        name: of the function.
        given: arguments by name.
        arguments: what a file finds behind its name in ``sys.argv``.
        options: of :func:`cost`.

    Raises:
        DataError, ArgumentError: there is no such file, module or function, or an argument has no value. What the
            program raises itself is passed on.
    """
    space = _space(where, arguments)
    f = space.get(name)
    if not callable(f):
        near = closest(name, [n for n, v in space.items() if callable(v) and not n.startswith("_")])
        what = f"{name} in {where} is no function" if name in space else f"{where} has no function {name}"
        raise ArgumentError(what, fix=f"did you mean {near}?" if near else "name a function that it defines")
    args = _arguments(f, name, where, space, given)
    floating = [i for i, value in enumerate(args) if _is_floating(value)]
    if not floating:
        raise ArgumentError(
            f"{name} has no floating argument", fix="give it arrays of float32 or float64 as arguments"
        )
    return cost(f, *args, argnums=tuple(floating), **options)


def _space(where: str, arguments: Sequence[str]) -> Mapping[str, Any]:
    if where.endswith(".py"):
        program = Program(where, arguments)
        program.run()
        return program.space
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return vars(importlib.import_module(where))
    except ModuleNotFoundError as error:
        if error.name is None or not (where == error.name or where.startswith(f"{error.name}.")):
            raise
        raise ArgumentError(
            f"there is no module {error.name}",
            fix="pass one that Python can import here, or a file: FILE.py:FUNCTION",
        ) from None
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _arguments(
    f: Any, name: str, where: str, space: Mapping[str, Any], given: Mapping[str, Any]
) -> list[Any]:
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{name} does not say what its arguments are", fix="wrap it in a function"
        ) from None
    needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if needed:
        raise ArgumentError(
            f"{name}: {needed[0]} is passed by keyword alone and has no default",
            fix=f"give it one, or wrap the function: lambda x: {name}(x, {needed[0]}=...)",
        )
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    unknown = sorted(set(given) - {p.name for p in positional})
    if unknown:
        known = ", ".join(p.name for p in positional) or "none"
        raise ArgumentError(f"{name} has no argument {unknown[0]}", fix=f"its arguments are: {known}")
    args: list[Any] = []
    for p in positional:
        if p.name in given:
            args.append(given[p.name])
        elif p.default is not p.empty:
            args.append(p.default)
        elif p.name in space:
            args.append(space[p.name])
        else:
            raise ArgumentError(
                f"{name}: the argument {p.name} has no value",
                fix=f"define {p.name} in {where} beside the function, give it a default, or write {p.name}=1.5",
            )
    return args


def _is_floating(value: Any) -> bool:
    """Whether all arrays of an argument are floating, and there is one."""
    try:
        leaves = [as_array(x.value if hasattr(x, "op") else x, None, copy=False) for x in trees.leaves(value)]
    except ChainruleError:
        return False
    return bool(leaves) and all(np.asarray(x).dtype in FLOATS for x in leaves)
