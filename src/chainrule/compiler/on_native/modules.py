"""Functions put together as modules: what LLVM compiles at once.

A program's functions are spread over several modules, which are compiled side by side. No optimisation passes run, so
the machine code of a function does not depend on what else is in its module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from chainrule.compiler.on_native.ir import Function
from chainrule.errors import GraphError

PARTS = 4
"""Modules of a program at most."""
LEAST = 1 << 16
"""Characters of a module for which a second one is worth while: some 10 ms of compiling."""
_SYMBOL = re.compile(r"@([-\w.$]+)")


def module(functions: Iterable[Function]) -> str:
    """The text of one module; functions of equal names, which several kernels call, are written once.

    Raises:
        GraphError: functions of equal names differ, which is a defect of chainrule.
    """
    made, texts = _written(functions, exported=False)
    return _joined(list(made.values()), texts, {})


def modules(functions: Iterable[Function]) -> list[str]:
    """The texts of modules that are linked together: the larger the functions, the more, up to `PARTS`.

    Raises:
        GraphError: as for `module`.
    """
    functions = list(functions)
    made, texts = _written(functions, exported=True)
    count = min(PARTS, sum(map(len, texts.values())) // LEAST)
    if count < 2:
        return [module(functions)]
    parts: list[list[Function]] = [[] for _ in range(count)]
    sizes = [0] * count
    for f in sorted(made.values(), key=lambda f: -len(texts[f.name])):
        least = sizes.index(min(sizes))
        parts[least].append(f)
        sizes[least] += len(texts[f.name])
    return [_joined(part, texts, made) for part in parts]


def _written(functions: Iterable[Function], exported: bool) -> tuple[dict[str, Function], dict[str, str]]:
    """Functions and their texts by name."""
    made: dict[str, Function] = {}
    texts: dict[str, str] = {}
    for f in functions:
        known = made.setdefault(f.name, f)
        if f.name not in texts:
            texts[f.name] = f.text(exported)
        elif known is not f and f.text(exported) != texts[f.name]:
            raise GraphError(f"native code: two kernels need different functions, both named {f.name}")
    return made, texts


def _joined(part: Sequence[Function], texts: Mapping[str, str], elsewhere: Mapping[str, Function]) -> str:
    """A module of some functions, which may call others that are ``elsewhere``."""
    here = {f.name for f in part}
    called = {name for f in part for name in _SYMBOL.findall(texts[f.name])} - here
    declared = {elsewhere[name].declaration for name in called if name in elsewhere}
    # What functions declare themselves may have been made for this program too.
    foreign = {d: _SYMBOL.findall(d)[0] for f in part for d in f.declarations}
    declared |= {d for d, name in foreign.items() if name not in here and name not in elsewhere}
    return "\n".join((*sorted(declared), "", *(texts[f.name] for f in part)))
