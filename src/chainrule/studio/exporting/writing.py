"""Exports: a formula's trace as a web page, a figure, or plain data, by the ending of a file's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from chainrule.errors import ArgumentError, DataError
from chainrule.explain.numbers import json_number
from chainrule.studio.exporting.colours import Theme
from chainrule.studio.exporting.moments import Mode
from chainrule.studio.exporting.page import page_html
from chainrule.studio.exporting.svg import svg, title_of
from chainrule.studio.exporting.tikz import tikz
from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas.examples import EXAMPLES, presentation_of
from chainrule.train import atomic

_OURS = (b"chainrule studio", b"chainrule-trace")
"""What every file that is written here has near its beginning."""
_BEGINNING = 2048
_TITLE = 200
"""Characters of a window's title that are worth having."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a trace.

    Attributes:
        step: the place of an event; None for after both passes.
        mode: of which events.
        theme: of figures; a page has both.
    """

    step: int | None = None
    mode: Mode = "reverse"
    theme: Theme = "light"


@dataclass(frozen=True, slots=True)
class Kind:
    """A form that a trace is written in.

    Attributes:
        media: its media type.
        said: what it is, in words.
        write: makes the text.
    """

    media: str
    said: str
    write: Callable[[FormulaTrace, View], str]


def _page(found: FormulaTrace, view: View) -> str:
    trace = found.to_dict()
    text = found.formula.text
    known = next((example for example in EXAMPLES if example.text == text), None)
    names = found.formula.variables
    example = {
        "text": text,
        "name": text,
        "source": "",
        "wrt": names[0] if names else "",
        "rate": 0.1,
        **(known.to_dict() if known else {}),
        "values": {name: json_number(value) for name, value in found.values.items()},
    }
    state = {} if view.step is None else {"step": str(view.step)}
    state |= {} if view.mode == "reverse" else {"mode": view.mode}
    title = title_of(trace)
    still = f"<p>{escape(title)}</p>{_figure(found, view)}<p>Moving it needs JavaScript, which is off.</p>"
    return page_html(trace, f"{title[:_TITLE]} · chainrule studio", still, example=example, state=state)


def _figure(found: FormulaTrace, view: View) -> str:
    return svg(found.to_dict(), view.step, view.mode, view.theme)


KINDS: Mapping[str, Kind] = {
    "html": Kind("text/html", "a page that works without a server", _page),
    "svg": Kind("image/svg+xml", "a figure", _figure),
    "tex": Kind(
        "application/x-tex", "a figure in TikZ", lambda found, view: tikz(found, view.step, view.mode)
    ),
    "json": Kind(
        "application/json",
        "the trace",
        lambda found, view: json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False) + "\n",
    ),
}
"""By the ending of a file's name."""


def export(
    formula: str,
    path: str | PathLike[str],
    values: Mapping[str, float] | None = None,
    *,
    step: int | None = None,
    mode: Mode = "reverse",
    theme: Theme = "light",
    overwrite: bool = False,
    **variables: float,
) -> Path:
    """Write a formula with both its passes to a file: a page that moves, a figure for a paper, or the data.

    A page (``.html``) holds everything and asks nobody: it opens from a disk or from any server, and in it values can
    be dragged, and both passes stepped through. A figure (``.svg``, or ``.tex`` in TikZ) shows one moment. The trace
    (``.json``) is what all of them draw; ``docs/trace.md`` describes it.

    Args:
        formula: as `chainrule.formula` takes it.
        path: of the file, whose ending says what is written. What chainrule studio wrote there before is replaced.
        values: of variables, by name; what is missing gets a usual value.
        step: what is shown is the moment after this event; None for the last.
        mode: ``"reverse"`` or ``"forward"``.
        theme: ``"light"`` or ``"dark"``, of an SVG figure.
        overwrite: replace whatever file is there.
        variables: values as keywords.

    Returns:
        The path.

    Raises:
        FormulaError: the text is no formula.
        ArgumentError: the ending is none of these, there is no such step, or a value is for no variable.
        DataError: the file cannot be written, or holds something else.

    Example:
        >>> from chainrule import studio
        >>> studio.export("1/(1+e^(-x))", "sigmoid.svg", x=1).name  # doctest: +SKIP
        'sigmoid.svg'
    """
    goal = checked_path(path, overwrite)
    found = FormulaTrace(formula, {**(values or {}), **variables}, presentation_of(formula))
    return write(goal, exported(found, kind_of(goal), View(step, mode, theme)), overwrite)


def exported(found: FormulaTrace, kind: str, view: View = View()) -> str:
    """A trace in one of the `KINDS`, as text in UTF-8.

    Raises:
        ArgumentError: there is no such kind, step, mode or theme.
    """
    if kind not in KINDS:
        raise ArgumentError(f"there is no export of kind {kind!r}", fix=f"kinds are {', '.join(KINDS)}")
    return KINDS[kind].write(found, view)


def kind_of(path: Path) -> str:
    """The kind that a file's name asks for.

    Raises:
        ArgumentError: none.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise ArgumentError(
            f"{path.name} does not say what to write",
            fix=f"end its name with {', '.join('.' + one for one in KINDS)}: "
            + ", ".join(one.said for one in KINDS.values()),
        )
    return kind


def checked_path(path: str | PathLike[str], overwrite: bool) -> Path:
    """A path that can be written to, looked at before the work.

    Raises:
        ArgumentError: its ending says nothing.
        DataError: there is no such folder, or something else is there.
    """
    goal = Path(path).expanduser()
    kind_of(goal)
    if not goal.parent.is_dir():
        raise DataError(f"there is no folder {goal.parent}", fix=f"make it: mkdir -p {goal.parent}")
    if goal.is_dir():
        raise DataError(f"{goal} is a folder", fix="name a file in it")
    if goal.exists() and not overwrite and not _is_ours(goal):
        raise DataError(
            f"{goal} is there already, and chainrule studio did not write it",
            fix="choose another name, or pass overwrite=True",
        )
    return goal


def _is_ours(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return False
    return not beginning or any(mark in beginning for mark in _OURS)


def write(path: Path, text: str, overwrite: bool = False) -> Path:
    """Write a file whole or not at all.

    Raises:
        DataError: it cannot be written, or something else is there.
    """
    checked_path(path, overwrite)
    atomic.write(path, text.encode("utf-8", "backslashreplace"))
    return path


def described(path: Path, kind: str) -> dict[str, Any]:
    """What was written, JSON-ready."""
    return {"path": str(path), "kind": kind, "type": KINDS[kind].media, "bytes": path.stat().st_size}
