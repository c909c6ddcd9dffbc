"""A small network in training as a file: a page on which one rewinds it without a server, a figure, or the trace."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, shown
from chainrule.explain.numbers import counted, number_text
from chainrule.studio.exporting.colours import Theme
from chainrule.studio.exporting.network_figure import NetworkFigure, network_figure
from chainrule.studio.exporting.network_svg import network_svg
from chainrule.studio.exporting.network_tikz import network_tikz
from chainrule.studio.exporting.page import page_html
from chainrule.studio.exporting.recorded_networks import MOST_ANSWERS, training_trace
from chainrule.studio.exporting.recording import MOST_BYTES
from chainrule.studio.exporting.writing import KINDS, checked_path, kind_of, write
from chainrule.studio.networks.addresses import Address, address_of, read_address
from chainrule.studio.networks.building import Setting
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.inspecting import require_place
from chainrule.studio.networks.questions import setting_of
from chainrule.studio.networks.training import Training, View

Progress = Callable[[str, float], object]
_OFTEN = 0.1
"""Seconds between two looks at how far training is."""


def _silent(doing: str, share: float) -> None:
    return None


def export_network(
    network: str | Mapping[str, Any] | Address,
    path: str | PathLike[str],
    *,
    theme: Theme = "light",
    width: float | None = None,
    overwrite: bool = False,
    progress: Progress = _silent,
) -> Path:
    """Train a small network, and write what the studio's page shows of it to a file.

    A page (``.html``) holds the training at up to some seventy updates, many at its beginning and fewer later, with
    what is said of units and weights there, as far as it fits; it opens from a disk and asks nobody. A figure
    (``.svg``, or ``.tex`` in TikZ) shows the network at the update. The trace (``.json``) is what ``docs/trace.md``
    describes.

    Args:
        network: the address of the page (``"#/network?data=moons&at=300"``), or what it says, by name: options such as
            ``data``, ``layers`` and ``rate``, ``update``, ``point`` (from 0), ``select`` (``"3.1"``), ``show``, and of
            own data ``table``, its text.
        path: of the file, whose ending says what is written. What chainrule studio wrote there before is replaced.
        theme: ``"light"`` or ``"dark"``, of an SVG figure.
        width: of a figure, in pixels; by what is in it if left out.
        overwrite: replace whatever file is there.
        progress: called with what is being done and the part of it that is.

    Returns:
        The path.

    Raises:
        ArgumentError: the ending is none of these, or an option, the update or the selection is not possible.
        DataError: the file cannot be written, or holds something else; or the table cannot be used.

    Warns:
        UserWarning: numbers are not finite before that update; the file shows the last one where they are.

    Example:
        >>> from chainrule import studio
        >>> network = {"data": "moons", "layers": [8, 8], "update": 300}
        >>> studio.export_network(network, "net.html").name  # doctest: +SKIP
        'net.html'
    """
    goal = checked_path(path, overwrite)
    address = network if isinstance(network, Address) else _address(network)
    address.require_table()
    setting = setting_of(address.options, address.table)
    if address.selection:
        require_place(setting, address.selection)
    view = _trained(setting, address, progress)
    if problem := view.status.problem:
        said, fix = problem
        warnings.warn(
            f"the file shows update {view.shot.update}, not {address.update}. {said} Try {fix}.",
            UserWarning,
            stacklevel=2,
        )

    def tell(count: int, part: float) -> None:
        progress(f"recording answers for the page: {count:,}", part)

    text = exported_network(setting, view, address, kind_of(goal), theme=theme, width=width, tell=tell)
    return write(goal, text, overwrite)


def _address(network: str | Mapping[str, Any]) -> Address:
    return read_address(network) if isinstance(network, str) else address_of(network)


def _trained(setting: Setting, address: Address, progress: Progress) -> View:
    """What is to be seen after training as far as an address says, or as far as it goes."""
    training = Training(setting, frame_of)
    if chosen := address.selection:
        training.command({"do": "select", **asdict(chosen)})
    training.command({"do": "seek", "update": address.update})
    while not training.rest(_OFTEN):
        progress("training", training.view().shot.update / max(1, address.update))
    return training.view()


def exported_network(
    setting: Setting,
    view: View,
    address: Address,
    kind: str,
    *,
    theme: Theme = "light",
    width: float | None = None,
    answers: int = MOST_ANSWERS,
    tell: Callable[[int, float], object] = lambda count, part: None,
) -> str:
    """A training in one of the `KINDS`, as text in UTF-8; nothing of it changes.

    Args:
        setting, view: of the training; the view is what is shown.
        address: says what the lanes show, and which options were given.
        kind: of the file.
        theme, width: of a figure.
        answers: how many may be recorded.
        tell: called with the number of answers so far, and the part of the room that they take.

    Raises:
        ArgumentError: there is no such kind, theme or width.
    """
    if kind not in KINDS:
        raise ArgumentError(f"there is no export of kind {shown(kind)}", fix=f"kinds are {', '.join(KINDS)}")
    # A file is of one moment: a training that goes on does not go on in it.
    still = replace(view, status=replace(view.status, running=False, goal=None))
    title = title_of(setting, still)
    if kind == "json":
        trace = training_trace(setting, still, address, packs=False, answers=answers, tell=tell)
        return json.dumps(trace, ensure_ascii=False, allow_nan=False) + "\n"
    if kind == "html":
        words = _still(setting, still)
        room = MOST_BYTES - len(words)
        trace = training_trace(setting, still, address, packs=True, most=room, answers=answers, tell=tell)
        return page_html(trace, f"{title} · chainrule studio", words)
    figure = _figure(setting, still, address.show, width)
    return network_tikz(figure, title) if kind == "tex" else network_svg(figure, title, theme)


def _figure(setting: Setting, view: View, show: str, width: float | None) -> NetworkFigure:
    with np.errstate(all="ignore"):  # what overflows is shown
        return network_figure(frame_of(setting, view), show, width)


def picture(setting: Setting, view: View, theme: Theme = "light") -> str:
    """What is to be seen of a training, as SVG."""
    return network_svg(_figure(setting, view, "both", None), title_of(setting, view), theme)


def title_of(setting: Setting, view: View) -> str:
    """The network in a line: ``2-5-3-1 on moons after 300 updates``."""
    layers = "-".join(map(str, setting.sizes))
    return f"{layers} on {setting.options.data} after {counted(view.shot.update, 'update')}"


def _still(setting: Setting, view: View) -> str:
    """What is known, in words and as a figure, for browsers without scripts."""
    loss = f"The loss is {number_text(view.now.train)}."
    said = f"{title_of(setting, view)}. {loss}"
    return f"<p>{escape(said)}</p>{picture(setting, view)}<p>Rewinding the training needs JavaScript, which is off.</p>"
