"""A model, a run or a program as a file: a page that one can look around in without a server, or the trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.studio.exporting.page import page_html
from chainrule.studio.exporting.recorded_models import recorded
from chainrule.studio.exporting.writing import checked_path, kind_of, write
from chainrule.studio.models import Opening

_KINDS = ("html", "json")


def export_model(
    opening: Opening,
    path: str | PathLike[str],
    *,
    command: str = "chainrule studio",
    overwrite: bool = False,
    progress: Callable[[str, float], object] = lambda doing, share: None,
) -> Path:
    """Write what the studio's page shows of a model to a file.

    A page (``.html``) holds the graph by block, the doctor's findings, the curves, and the graphs of all modules down
    to the primitives, as far as they fit; it opens from a disk and asks nobody. The trace (``.json``) is what
    ``docs/trace.md`` describes.

    Args:
        opening: from `chainrule.studio.models.examine`, or of the studio. Its work is waited for.
        path: of the file, whose ending says what is written. What chainrule studio wrote there before is replaced.
        command: what shows the same in the live studio; the page names it where an answer is not in it.
        overwrite: replace whatever file is there.
        progress: called with what is being done and the part of it that is, while answers are recorded.

    Returns:
        The path.

    Raises:
        ArgumentError: the ending is neither of these.
        DataError: the file cannot be written, or holds something else; or there is nothing to show.
        ChainruleError: the model could not be opened.

    Example:
        >>> from chainrule import studio
        >>> studio.export_model(opening, "model.html").name  # doctest: +SKIP
        'model.html'
    """
    goal = checked_model_path(path, overwrite)
    opening.wait()
    opening.check()
    trace = opening.to_dict()
    if kind_of(goal) == "json":
        return write(goal, json.dumps(trace, ensure_ascii=False, allow_nan=False) + "\n", overwrite)
    # The file is of one moment: a run that goes on does not go on in it.
    trace["running"] = False
    trace["curves"]["state"] = trace["curves"]["state"] and "ended"
    held = _recording(opening, trace, command, progress)
    title = f"{opening.name[:200]} · chainrule studio"
    return write(goal, page_html(trace, title, _still(trace), recording=held, state={}), overwrite)


def checked_model_path(path: str | PathLike[str], overwrite: bool) -> Path:
    """A path that a model can be written to, looked at before the work.

    Raises:
        ArgumentError: its ending says nothing, or something that a model is not written as.
        DataError: there is no such folder, or something else is there.
    """
    goal = checked_path(path, overwrite)
    if kind_of(goal) not in _KINDS:
        raise ArgumentError(
            f"{goal.name}: a model is no figure",
            fix="end its name with .html, a page that works without a server, or .json, the trace",
        )
    return goal


def _recording(
    opening: Opening, trace: Mapping[str, Any], command: str, progress: Callable[[str, float], object]
) -> dict[str, Any]:
    """The answers, and what the page says of them."""
    if trace["overview"] is None:
        said = f"This file holds the curves. The live studio: {command}"
        return {"command": command, "said": said, "packed": "", "names": []}
    found, whole = recorded(
        opening, tell=lambda count, part: progress(f"recording answers for the page: {count:,}", part)
    )
    depth = "down to its primitives" if whole else "as far down as fits in it"
    said = (
        f"This file holds one pass, {depth}; modules open one at a time. "
        f"For all else, such as why a gradient is as it is: {command}"
    )
    return {"command": command, "said": said, "packed": found.packed, "names": opening.view.names()}


def _still(trace: Mapping[str, Any]) -> str:
    """What is known, in words, for browsers without scripts."""
    head = trace["head"]
    facts = [f"{head['parameters']:,} parameters, loss {head['loss']}."] if head else []
    findings = [
        f"<li>{escape(' '.join(found[part] for part in ('title', 'where', 'cause', 'remedy')))}</li>"
        for found in trace["doctor_says"]["findings"]
    ]
    said = [f"<h1>{escape(trace['name'])}</h1>", *(f"<p>{fact}</p>" for fact in facts)]
    listed = ["<h2>Findings</h2><ol>", *findings, "</ol>"] if findings else []
    return "\n".join([*said, *listed, "<p>The graph needs JavaScript, which is off.</p>"])
