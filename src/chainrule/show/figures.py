"""Pictures of a run: what its log, its parameters and its data say, drawn by matplotlib into PNG files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule import train
from chainrule.data import Dataset
from chainrule.errors import DataError
from chainrule.show import charts, weights
from chainrule.train.plan import examples_of

INK, QUIET, PAPER, LINE = "#1a1c1f", "#686c71", "#ffffff", "#dfdcd3"
_STYLE: Any = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "font.size": 9,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
}
_FOLDER = "figures"
_SIGNATURE = "chainrule"
"""Written into each picture, so that it is known again."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn.

    Attributes:
        files: pictures by name.
        left_out: why others were not drawn, by name.
    """

    files: dict[str, Path]
    left_out: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"files": {name: str(path) for name, path in self.files.items()}, "left_out": self.left_out}


def draw_run(run: Path, into: Path | None = None) -> Drawn:
    """Draw all that a run can tell.

    Args:
        run: its folder.
        into: folder for the pictures; None for ``figures`` in the run.

    Raises:
        DataError: it is no run, has not begun, or the folder cannot be written to, or has a file of another origin
            where a picture would be.
    """
    folder = train.RunFolder.open(run)
    events = list(folder.events())
    if not any(event["event"] == "EpochEnded" for event in events):
        raise DataError(f"{folder.path} has no finished epoch yet", fix="wait for one, or train again")
    if events[0]["event"] != "Started":
        raise DataError(
            f"{folder.path}: the log does not say how the run began", fix="bring the log back as it was"
        )
    target = into or folder.path / _FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{target} cannot be made: {error.strerror}", fix="name another folder with --into"
        ) from None
    left_out: dict[str, str] = {}
    files: dict[str, Path] = {}
    from matplotlib import rc_context  # which takes a second to load

    pictures = list(_pictures(folder, events, left_out))
    for name, _ in pictures:
        files[name] = target / f"{name}.png"
        _require_ours(files[name])
    for name, draw in pictures:
        with rc_context(_STYLE):
            draw().savefig(files[name], metadata={"Software": _SIGNATURE})
    return Drawn(files, left_out)


def _require_ours(file: Path) -> None:
    """A picture is drawn anew, and what someone else made is left alone."""
    from PIL import Image

    if not os.path.lexists(file):
        return
    try:
        with Image.open(file) as picture:
            ours = picture.info.get("Software") == _SIGNATURE
    except OSError:  # it is no picture
        ours = False
    if not ours:
        raise DataError(
            f"{file} is there already, and was not drawn here", fix="name another folder with --into"
        )


def _pictures(
    folder: train.RunFolder, events: list[dict[str, Any]], left_out: dict[str, str]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names, and functions that draw; what cannot be drawn is noted instead."""
    yield "curves", lambda: charts.curves(events)
    yield "gradients", lambda: charts.gradients(events)
    if events[-1]["event"] == "Finished" and events[-1]["confusion"]:
        yield "confusion", lambda: charts.confusion(events[-1])
    else:
        left_out["confusion"] = "the run has not ended" if events[-1]["event"] != "Finished" else "no classes"
    try:
        trained = train.load(folder.path)
        data = examples_of(trained.plan) if trained.plan else None
    except DataError as error:
        left_out["templates, filters, activations"] = error.message
        return
    if data is None or trained.description.image_shape is None:
        left_out["templates, filters, activations"] = "the examples are no pictures"
        return
    yield from _of_weights(trained, data, left_out)


def _of_weights(
    trained: train.Trained, data: Dataset, left_out: dict[str, str]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    if data.classes is not None:
        yield "templates", lambda: weights.templates(trained, data)
    for name, draw, kind in (
        ("weights", weights.first_units, "no linear layer sees the picture"),
        ("filters", weights.filters, "there is no convolution"),
        ("activations", weights.activations, "no layer gives images"),
    ):
        figure: Callable[[], Any] | None = draw(trained, data)
        if figure is None:
            left_out[name] = kind
        else:
            yield name, figure
