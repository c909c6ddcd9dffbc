"""Why, asked of a whole program: every backward pass that it makes is looked at, up to the first that goes wrong."""

from __future__ import annotations

import builtins
import contextlib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.listening import listening
from chainrule.errors import ArgumentError, DataError
from chainrule.explain.reasons.asking import answer
from chainrule.explain.reasons.question import about
from chainrule.explain.reasons.reason import Reason
from chainrule.explain.reasons.words import Words
from chainrule.formula.mistakes import closest
from chainrule.nn import Module
from chainrule.node import Node, by_index

LARGEST = 1 << 24
"""Bytes of a program's text."""


class _Found(BaseException):
    """A backward pass with numbers that are not finite. No handler of the program's own is to catch it."""


class _Watch:
    """Looks at backward passes, and keeps the last."""

    def __init__(self, space: Mapping[str, Any]) -> None:
        self.space, self.passes = space, 0
        self.last: tuple[Node, tuple[Node, ...], dict[Node, str]] | None = None

    def __call__(
        self, result: Node, wrt: Sequence[Node], gradients: Sequence[Node | None], labels: Sequence[str]
    ) -> None:
        if result.size != 1:
            return
        self.passes += 1
        names = dict(zip(wrt, labels, strict=True)) if labels else _names(self.space)
        self.last = result, tuple(sorted(wrt, key=by_index)), names
        for x in (result, *gradients):
            if x is not None and not np.isfinite(np.asarray(x.value)).all():
                raise _Found


def why_program(path: str, arguments: Sequence[str] = (), wrt: str | None = None) -> tuple[Reason, int]:
    """Run a program until a backward pass gives what is not finite, and say why; else ask about the last pass.

    Nothing is compiled meanwhile, as a compiled pass cannot be looked into.

    Args:
        path: of a Python file. It runs as a program of its own, in this process.
        arguments: what it finds behind its name in ``sys.argv``.
        wrt: a variable by its name; without it the one whose gradient is worst.

    Returns:
        The reason, and in which backward pass, from 1.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ArgumentError: it is no Python, makes no backward pass of one number, or has no such variable. What it raises
            itself is passed on.
    """
    code = _code(path)
    program = types.ModuleType("__main__")
    program.__dict__.update(__file__=path, __builtins__=builtins)
    watch = _Watch(program.__dict__)
    with _as_program(program, path, arguments), listening(watch), contextlib.suppress(_Found, SystemExit):
        exec(code, program.__dict__)
    if watch.last is None:
        raise ArgumentError(
            f"{path} makes no backward pass of one number",
            fix="call loss.backward(), or what cr.value_and_grad gives, in it",
        )
    result, variables, names = watch.last
    words = Words(result, names)
    if wrt is not None:
        variables = _named(wrt, variables, words)
    return answer(about(result, variables, words)), watch.passes


def _code(path: str) -> types.CodeType:
    file = Path(path)
    try:
        if file.stat().st_size > LARGEST:
            raise DataError(f"{path} is larger than {LARGEST >> 20} MiB", fix="pass a Python file")
        text = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", fix="pass the path of a Python file"
        ) from None
    try:
        return compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else path
        raise ArgumentError(
            f"{where} is no Python: {error.args[0]}", fix="mend it, or pass another file"
        ) from None


@contextlib.contextmanager
def _as_program(program: types.ModuleType, path: str, arguments: Sequence[str]) -> Iterator[None]:
    """Let a module be what Python takes for the program that runs."""
    before = sys.argv, sys.modules["__main__"]
    sys.argv = [path, *arguments]
    sys.modules["__main__"] = program
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        yield
    finally:
        sys.path.pop(0)
        sys.argv, sys.modules["__main__"] = before


def _names(space: Mapping[str, Any]) -> dict[Node, str]:
    """What the program calls its tensors, and the parameters of its models."""
    names: dict[Node, str] = {}
    for name, value in space.items():
        if isinstance(value, Module):
            pairs = zip(trees.paths(value), trees.leaves(value), strict=True)
            names |= {leaf: f"{name}.{path}" for path, leaf in pairs if isinstance(leaf, Node)}
        elif isinstance(value, Node):
            names.setdefault(value, value.name or name)
    return names


def _named(wrt: str, variables: tuple[Node, ...], words: Words) -> tuple[Node, ...]:
    known = {words.names.get(v, ""): v for v in variables}
    if wrt not in known:
        near = closest(wrt, list(known))
        fix = f"did you mean {near}?" if near else f"one of: {', '.join(list(known)[:12])}"
        raise ArgumentError(f"no variable is called {wrt!r}", fix=fix)
    return (known[wrt],)
