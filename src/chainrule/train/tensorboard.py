"""A run's log as an event file for TensorBoard, by tensorboardX."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chainrule.errors import DataError
from chainrule.train.folder import RunFolder

_FOLDER = "tensorboard"


def export_tensorboard(run: str | os.PathLike[str], into: str | os.PathLike[str] | None = None) -> Path:
    """Write a run's losses, metrics, learning rates, and sizes of gradients and updates as TensorBoard scalars.

    Steps carry the loss under ``step/loss``; epochs all else, under ``train/``, ``valid/``, ``gradient/`` and
    ``update/``, all by the number of updates.

    Args:
        run: folder of a run.
        into: folder for the event file; None for ``tensorboard`` in the run. What it held of chainrule's is replaced.

    Returns:
        That folder, for ``tensorboard --logdir``.

    Raises:
        DataError: it is no run, or tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(
            "writing for TensorBoard needs tensorboardX", fix="pip install 'chainrule[tensorboard]'"
        ) from None
    folder = RunFolder.open(run)
    target = Path(into) if into is not None else folder.path / _FOLDER
    if target.is_dir():
        for old in target.glob("events.out.tfevents.*.chainrule"):
            old.unlink()
    with SummaryWriter(str(target), filename_suffix=".chainrule") as writer:
        steps = 1
        for event in folder.events():
            if event["event"] == "Started":
                steps = event["steps"]
            elif event["event"] == "Stepped":
                updates = (event["epoch"] - 1) * steps + event["step"]
                writer.add_scalar("step/loss", float(event["loss"]), updates)
            elif event["event"] == "EpochEnded":
                for name, value in _scalars(event).items():
                    writer.add_scalar(name, value, event["epoch"] * steps)
    return target


def _scalars(event: dict[str, Any]) -> dict[str, float]:
    groups = {"train": "train", "valid": "valid", "gradients": "gradient", "updates": "update"}
    found = {
        f"{group}/{name}": float(value)
        for part, group in groups.items()
        for name, value in event[part].items()
    }
    return {**found, "learning_rate": float(event["learning_rate"])}
