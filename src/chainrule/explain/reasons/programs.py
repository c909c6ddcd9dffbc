"""Why, asked of a whole program: every backward pass that it makes is looked at, up to the first that goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.listening import listening
from chainrule.autodiff.opening import opened
from chainrule.errors import ArgumentError
from chainrule.explain.reasons.asking import answer
from chainrule.explain.reasons.question import about
from chainrule.explain.reasons.reason import Reason
from chainrule.explain.reasons.words import Words
from chainrule.explain.running import Program, names_in
from chainrule.formula.mistakes import closest
from chainrule.node import Node, by_index


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
        names = dict(zip(wrt, labels, strict=True)) if labels else names_in(self.space)
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
    program = Program(path, arguments)
    watch = _Watch(program.space)
    with listening(watch), contextlib.suppress(_Found):
        program.run()
    if watch.last is None:
        raise ArgumentError(
            f"{path} makes no backward pass of one number",
            fix="call loss.backward(), or what cr.value_and_grad gives, in it",
        )
    last, variables, names = watch.last
    at = opened(last, until=set(variables))
    result, names = at[last], {at.get(node, node): name for node, name in names.items()}
    words = Words(result, names)
    if wrt is not None:
        variables = _named(wrt, variables, words)
    return answer(about(result, variables, words)), watch.passes


def _named(wrt: str, variables: tuple[Node, ...], words: Words) -> tuple[Node, ...]:
    known = {words.names.get(v, ""): v for v in variables}
    if wrt not in known:
        near = closest(wrt, list(known))
        fix = f"did you mean {near}?" if near else f"one of: {', '.join(list(known)[:12])}"
        raise ArgumentError(f"no variable is called {wrt!r}", fix=fix)
    return (known[wrt],)
