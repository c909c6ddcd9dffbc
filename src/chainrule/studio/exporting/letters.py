"""Formulas as runs of text, for figures that every program reads: slanted letters, raised and lowered parts.

What needs two dimensions is written in one line, as people do within a line: fractions with a slash, roots with a sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.studio.drawing.mathtree import Tree

_SCRIPT, _RISE, _DROP = 0.7, 0.42, 0.22
"""How large raised and lowered parts are, and how far from the line, in ems of what they belong to."""
_HAT = "\u0302"
_APPLIED, _THIN = "\u2061", "\u2009"
_CLOSE = set("()[]|,;!‖⌊⌋⌈⌉′∂√")
"""Signs that stand close to what is beside them."""
_NARROW, _WIDE = set("ijltfrI,.;:'|()[]!\u2009"), set("mwMW=+−×∂∞→≤≥")


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text.

    Attributes:
        text: what is written.
        slanted: whether its letters are.
        scale: its size, 1 on the line.
        rise: how far above the line, in ems of the line.
        back: how far to the left it begins, in ems of the line: a lower index stands below an upper one.
    """

    text: str
    slanted: bool = False
    scale: float = 1.0
    rise: float = 0.0
    back: float = 0.0

    @property
    def width(self) -> float:
        """About how wide it is, in ems of the line."""
        text = self.text.replace(_HAT, "")
        ems = sum(0.31 if c in _NARROW else 0.72 if c in _WIDE else 0.53 for c in text)
        return ems * self.scale - self.back


def width_of(runs: Iterable[Run]) -> float:
    """About how wide runs beside each other are, in ems."""
    return sum(run.width for run in runs)


def runs_of(tree: Tree, number: Callable[[str], str] = str) -> list[Run]:
    """A formula, in one line.

    Args:
        tree: as `chainrule.studio.drawing.mathtree.tree` gives it.
        number: the text of a live number, such as that of ``v3``.

    Example:
        >>> from chainrule.studio.drawing.mathtree import tree
        >>> "".join(run.text for run in runs_of(tree(r"\\frac{x_1}{a + b}"))).replace("\u2009", " ")
        'x1/(a + b)'
    """
    if isinstance(tree, str):
        return [Run(tree)]
    tag, kids = tree[0], [kid for kid in tree[1:] if not isinstance(kid, dict)]
    if tag == "num":
        return [Run(number(str(kids[0])))]
    if tag in ("mi", "mn", "mo", "mtext"):
        return [_token(tag, "".join(map(str, kids)))]
    if tag in _SHAPES:
        return _SHAPES[tag]([runs_of(kid, number) for kid in kids])
    if tag == "mspace":
        return [Run(_THIN)]
    return _row(kids[1:] if tag == "node" else kids, number)


def _token(tag: str, text: str) -> Run:
    letter = tag == "mi" and len(text) == 1 and text.isalpha()
    return Run("" if text == _APPLIED else text, slanted=letter)


def _row(kids: Sequence[Any], number: Callable[[str], str]) -> list[Run]:
    found: list[Run] = []
    for k, kid in enumerate(kids):
        runs = runs_of(kid, number)
        if isinstance(kid, list) and kid[0] == "mo":
            (run,) = runs
            binary = run.text and run.text not in _CLOSE and 0 < k < len(kids) - 1
            runs = [replace(run, text=f"{_THIN}{run.text}{_THIN}")] if binary else runs
        elif k and isinstance(kids[k - 1], list) and kids[k - 1] == ["mo", _APPLIED]:
            runs = runs if runs and runs[0].text.startswith("(") else [Run(_THIN), *runs]
        found += runs
    return [run for run in found if run.text]


def _script(base: Sequence[Run], index: Sequence[Run], rise: float, back: float = 0.0) -> list[Run]:
    size = base[-1].scale if base else 1.0
    low = base[-1].rise if base else 0.0
    moved = [
        replace(run, scale=run.scale * size * _SCRIPT, rise=low + size * (rise + run.rise * _SCRIPT))
        for run in index
    ]
    return [
        replace(run, back=run.back * size * _SCRIPT + (back if k == 0 else 0.0))
        for k, run in enumerate(moved)
    ]


def _lowered(parts: Sequence[Sequence[Run]]) -> list[Run]:
    return [*parts[0], *_script(parts[0], parts[1], -_DROP)]


def _raised(parts: Sequence[Sequence[Run]]) -> list[Run]:
    return [*parts[0], *_script(parts[0], parts[1], _RISE)]


def _both(parts: Sequence[Sequence[Run]]) -> list[Run]:
    below = _script(parts[0], parts[1], -_DROP)
    return [*parts[0], *below, *_script(parts[0], parts[2], _RISE, back=width_of(below))]


def _fraction(parts: Sequence[Sequence[Run]]) -> list[Run]:
    return [*_closed(parts[0]), Run("/"), *_closed(parts[1])]


def _root(parts: Sequence[Sequence[Run]]) -> list[Run]:
    inside = [run for part in parts for run in part]
    return [Run("√"), *_closed(inside)]


def _nth_root(parts: Sequence[Sequence[Run]]) -> list[Run]:
    return [*_script([], parts[1], _RISE), Run("√"), *_closed(parts[0])]


def _hatted(parts: Sequence[Sequence[Run]]) -> list[Run]:
    """With the hat of ŷ, the only sign that stands above another here."""
    *rest, last = parts[0]
    return [*rest, replace(last, text=last.text + _HAT)]


def _table(parts: Sequence[Sequence[Run]]) -> list[Run]:
    return [run for k, part in enumerate(parts) for run in ([Run("; ")] if k else []) + list(part)]


_SHAPES: dict[str, Callable[[Sequence[Sequence[Run]]], list[Run]]] = {
    "msub": _lowered,
    "msup": _raised,
    "msubsup": _both,
    "mover": _hatted,
    "mfrac": _fraction,
    "msqrt": _root,
    "mroot": _nth_root,
    "mtable": _table,
}


def _closed(runs: Sequence[Run]) -> list[Run]:
    """In parentheses, if it has an operator on the line."""
    signs = any(not run.slanted and _THIN in run.text and run.rise == 0 for run in runs)
    return [Run("("), *runs, Run(")")] if signs else list(runs)
