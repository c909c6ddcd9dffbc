"""Every public function is compared with torch, or is said not to be there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import chainrule as cr

NOT_IN_TORCH = {"linalg", "random", "linalg.SlogDet"}
"""Two modules, whose functions are compared or draw other numbers than torch, and a class of results."""


def compared() -> Iterator[str]:
    """What the tests of this folder call as ``cr.name``, or list by name in a table."""
    for file in Path(__file__).parent.glob("test_parity*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("cr."):
                yield ast.unparse(node).removeprefix("cr.").removeprefix("linalg.")
            elif isinstance(node, (ast.Dict, ast.List)):
                names = node.keys if isinstance(node, ast.Dict) else node.elts
                yield from (
                    n.value for n in names if isinstance(n, ast.Constant) and isinstance(n.value, str)
                )


def test_every_public_function_is_compared():
    public = {*cr.ops.__all__, *(f"linalg.{name}" for name in cr.linalg.__all__)}
    known = set(compared())
    assert not {name for name in public - NOT_IN_TORCH if name.removeprefix("linalg.") not in known}
    assert public >= NOT_IN_TORCH
