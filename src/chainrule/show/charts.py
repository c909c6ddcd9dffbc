"""Charts of a run's log."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.show.canvas import BLUE, CHARCOAL, ORANGE, QUIET, rising, subplots

_MOST_LINES = 12
_MOST_NUMBERS = 20
"""Classes of a confusion table whose numbers are written out."""


def curves(events: list[dict[str, Any]]) -> Any:
    """Loss and metrics over the epochs, and the learning rate.

    Args:
        events: of the log, at least one of them an ``EpochEnded``.

    Returns:
        A matplotlib figure.
    """
    started, epochs = events[0], [e for e in events if e["event"] == "EpochEnded"]
    names = list(epochs[0]["train"])
    figure, axes = subplots(1, len(names) + 1, (3.6 * (len(names) + 1), 3), square=True)
    at = [e["epoch"] for e in epochs]
    steps = [e for e in events if e["event"] == "Stepped"]
    for axis, name in zip(axes[0], names, strict=False):
        if name == "loss":
            where = [s["epoch"] - 1 + s["step"] / s["steps"] for s in steps]
            axis.plot(where, [float(s["loss"]) for s in steps], color=BLUE, alpha=0.2, linewidth=0.7)
        axis.plot(at, [float(e["train"][name]) for e in epochs], color=BLUE, label="training")
        held = [float(e["valid"][name]) for e in epochs]
        axis.plot(
            at,
            held,
            color=ORANGE,
            linestyle="--",
            label={"valid": "validation"}.get(started["validated_on"], "test"),
        )
        axis.set_title(name.replace("_", " "))
        _along_epochs(axis)
        if name == "loss" and min(held) > 0:
            axis.set_yscale("log")
    axes[0][0].legend()
    rate = axes[0][-1]
    rate.plot(at, [e["learning_rate"] for e in epochs], color=CHARCOAL)
    rate.set_title("learning rate")
    _along_epochs(rate)
    rate.set_ylim(bottom=0)
    return figure


def gradients(events: list[dict[str, Any]]) -> Any:
    """The size of each parameter's gradient, and of its last update relative to itself, over the epochs.

    Returns:
        A matplotlib figure.
    """
    epochs = [e for e in events if e["event"] == "EpochEnded"]
    weights = [path for path in epochs[-1]["gradients"] if path.endswith("weight")] or list(
        epochs[-1]["gradients"]
    )
    chosen = [
        weights[i]
        for i in np.linspace(0, len(weights) - 1, min(len(weights), _MOST_LINES)).round().astype(int)
    ]
    figure, axes = subplots(1, 2, (10, 3.4))
    colours = rising(len(chosen))
    for axis, what, title in (
        (axes[0], "gradients", "gradient, root mean square"),
        (axes[1], "updates", "update relative to the parameter"),
    ):
        for path, colour in zip(chosen, colours, strict=True):
            sizes = np.array([float(e[what][path]) for e in epochs])
            axis.plot(
                [e["epoch"] for e in epochs], np.where(sizes > 0, sizes, np.nan), color=colour, label=path
            )
        axis.set_yscale("log")
        axis.set_title(title)
        _along_epochs(axis)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7, title="first layer to last")
    return figure


def confusion(finished: dict[str, Any]) -> Any:
    """How many test examples of each class were taken for each class.

    Args:
        finished: the log's last event.

    Returns:
        A matplotlib figure.
    """
    counts, classes = np.array(finished["confusion"]), finished["classes"]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(3.2, 0.42 * len(classes))
    figure, axis = subplots(1, 1, (size, size))
    axis.imshow(shares, cmap=_tint(), vmin=0, vmax=1)
    if len(classes) <= _MOST_NUMBERS:
        for i, j in np.ndindex(*counts.shape):
            if counts[i, j]:
                colour = "#ffffff" if shares[i, j] > 0.5 else CHARCOAL
                axis.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=7, color=colour)
    axis.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xlabel("taken for")
    axis.set_ylabel("is")
    right = counts.trace() / max(counts.sum(), 1)
    axis.set_title(f"{right:.1%} of {counts.sum():,} test examples are right", color=QUIET)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.tick_params(length=0)
    return figure


def _along_epochs(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _tint() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("counts", ["#ffffff", BLUE])
