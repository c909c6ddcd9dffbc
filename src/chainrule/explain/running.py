"""Run a program of the user's in this process, as Python would, and know what it calls its tensors."""

from __future__ import annotations

import builtins
import contextlib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule import trees
from chainrule.errors import ArgumentError, DataError
from chainrule.nn import Module
from chainrule.node import Node

LARGEST = 1 << 24
"""Bytes of a program's text."""


class Program:
    """A Python file that is to run as a program of its own.

    Args:
        path: of the file.
        arguments: what it finds behind its name in ``sys.argv``.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ArgumentError: it is no Python.
    """

    def __init__(self, path: str, arguments: Sequence[str] = ()) -> None:
        self.path, self.arguments = path, arguments
        self._code = _code(path)
        self._module = types.ModuleType("__main__")
        self._module.__dict__.update(__file__=path, __builtins__=builtins)

    @property
    def space(self) -> dict[str, Any]:
        """Its global names."""
        return self._module.__dict__

    def run(self) -> None:
        """Run it. What it raises is passed on, ``SystemExit`` excepted."""
        with _as_program(self._module, self.path, self.arguments), contextlib.suppress(SystemExit):
            exec(self._code, self._module.__dict__)


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


def names_in(space: Mapping[str, Any]) -> dict[Node, str]:
    """What the program calls its tensors, and the parameters of its models."""
    names: dict[Node, str] = {}
    for name, value in space.items():
        if isinstance(value, Module):
            pairs = zip(trees.paths(value), trees.leaves(value), strict=True)
            names |= {leaf: f"{name}.{path}" for path, leaf in pairs if isinstance(leaf, Node)}
        elif isinstance(value, Node):
            names.setdefault(value, value.name or name)
    return names
