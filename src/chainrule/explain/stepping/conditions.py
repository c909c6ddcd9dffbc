"""Where to stop: the name of a node, a line, a layer, a function, or a comparison such as ``abs(delta) < 1e-8``.

Comparisons are read with Python's grammar and worked out here, name by name; nothing is ever run as a program.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.explain.stepping.events import Event
from chainrule.formula.mistakes import closest

Condition = Callable[[Event], bool]

NAMES: dict[str, Callable[[Event], Any]] = {
    "value": lambda e: e.value,
    "delta": lambda e: e.after if e.kind == "edge" else e.delta,
    "grad": lambda e: e.after if e.kind == "edge" else e.delta,
    "upstream": lambda e: e.delta if e.kind == "edge" else None,
    "local": lambda e: e.local,
    "contribution": lambda e: e.contribution,
}
"""What a comparison can mention; at an edge ``delta`` is the sum that has arrived at its input."""
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "any": np.any,
    "all": np.all,
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
    "norm": lambda x: np.linalg.norm(np.ravel(x)),
}
"""May be written before, as in ``abs(delta)``, or behind, as in ``delta.isnan()``."""
LONGEST = 200
"""Characters of a comparison."""
LARGEST = 1e300
"""Numbers in one are smaller."""
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_LINE = re.compile(r"^(?P<file>[^()<>=]*):(?P<line>\d+)$")
_EXAMPLES = "a node's name, 'file.py:41', a layer such as 'layers.0', 'delta.isnan()', 'abs(delta) < 1e-8'"


def condition(where: str | Condition, known: frozenset[str]) -> Condition:
    """What ``where`` means.

    Args:
        where: see the module.
        known: names of all nodes.

    Raises:
        ArgumentError: it means nothing, with what is near to it.
    """
    if callable(where):
        return where
    text = where.strip()
    if text in known:
        return lambda e: text in (e.name, e.input_name)
    line = _LINE.match(text)
    if line:
        return _at_line(line["file"], int(line["line"]))
    if any(name.startswith(f"{text}.") for name in known):
        return lambda e: e.name.startswith(f"{text}.") or e.input_name.startswith(f"{text}.")
    return _comparison(text, known)


def _at_line(file: str, number: int) -> Condition:
    def at(event: Event) -> bool:
        source = event.source
        return source is not None and source.line == number and source.file.replace("\\", "/").endswith(file)

    return at


def _comparison(text: str, known: frozenset[str]) -> Condition:
    try:
        if len(text) > LONGEST:
            raise ValueError
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ArgumentError(f"breakpoint {text[:60]!r} cannot be read", fix=f"write {_EXAMPLES}") from None
    if isinstance(tree, (ast.Name, ast.Attribute)) and ast.unparse(tree) not in NAMES:
        near = closest(text, sorted(known))
        fix = f"did you mean {near}?" if near else f"write {_EXAMPLES}"
        raise ArgumentError(f"breakpoint: no node is called {text[:60]!r}", fix=fix)
    _require_known(tree, text)

    def holds(event: Event) -> bool:
        try:
            with np.errstate(all="ignore"):
                return bool(np.any(_evaluate(tree, event)))
        except _Missing:
            return False

    return holds


class _Missing(Exception):
    """An event does not have what is compared."""


def _require_known(tree: ast.expr, text: str) -> None:
    for part in ast.walk(tree):
        fine = isinstance(
            part,
            (
                ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Call, ast.Name, ast.Constant, ast.Attribute,
                ast.boolop, ast.unaryop, ast.cmpop, ast.operator, ast.expr_context,
            ),
        )  # fmt: skip
        if isinstance(part, ast.Constant):
            fine = isinstance(part.value, (int, float)) and abs(part.value) < LARGEST
        elif isinstance(part, ast.Name):
            fine = part.id in NAMES or part.id in FUNCTIONS
        elif isinstance(part, ast.Attribute):
            fine = part.attr in FUNCTIONS
        elif isinstance(part, ast.Call):
            fine = not part.keywords and len(part.args) == isinstance(part.func, ast.Name)
        elif isinstance(part, ast.cmpop):
            fine = type(part) in _COMPARISONS
        elif isinstance(part, ast.operator):
            fine = type(part) in _ARITHMETIC
        if not fine:
            shown = ast.unparse(part) if isinstance(part, ast.expr) else type(part).__name__
            raise ArgumentError(
                f"breakpoint {text[:60]!r}: {shown[:40]!r} means nothing here",
                fix=f"compare {', '.join(NAMES)} with numbers; functions are {', '.join(FUNCTIONS)}",
            )


def _evaluate(tree: ast.expr, event: Event) -> Any:
    """The value of a comparison that was found to be well formed; its depth is that of what a person wrote."""
    if isinstance(tree, ast.Constant):
        return np.float64(tree.value)  # pyright: ignore[reportArgumentType]
    if isinstance(tree, ast.Name):
        found = NAMES[tree.id](event)
        if found is None:
            raise _Missing
        return np.asarray(found)
    if isinstance(tree, ast.Call):
        if isinstance(tree.func, ast.Name):
            return FUNCTIONS[tree.func.id](_evaluate(tree.args[0], event))
        assert isinstance(tree.func, ast.Attribute)
        return FUNCTIONS[tree.func.attr](_evaluate(tree.func.value, event))
    if isinstance(tree, ast.UnaryOp):
        inner = _evaluate(tree.operand, event)
        if isinstance(tree.op, ast.Not):
            return not np.any(inner)
        return -inner if isinstance(tree.op, ast.USub) else inner
    if isinstance(tree, ast.BoolOp):
        parts = [bool(np.any(_evaluate(part, event))) for part in tree.values]
        return all(parts) if isinstance(tree.op, ast.And) else any(parts)
    if isinstance(tree, ast.BinOp):
        return _ARITHMETIC[type(tree.op)](_evaluate(tree.left, event), _evaluate(tree.right, event))
    assert isinstance(tree, ast.Compare)
    values = [_evaluate(part, event) for part in (tree.left, *tree.comparators)]
    results = [_COMPARISONS[type(op)](a, b) for op, a, b in zip(tree.ops, values, values[1:])]  # noqa: B905
    return np.logical_and.reduce(results)
