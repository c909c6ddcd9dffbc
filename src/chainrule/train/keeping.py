"""How a run is kept: in a folder, or not at all."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.data import Dataset
from chainrule.errors import ArgumentError
from chainrule.node import Node, as_node
from chainrule.optim import Optimizer, describe
from chainrule.primitive import Array
from chainrule.train.checkpoint import Checkpoint
from chainrule.train.events import Event, Saved, Started
from chainrule.train.folder import ABOUT, RunFolder
from chainrule.train.options import Options
from chainrule.train.state import Progress, arrays_of, copied, model_from, state_from
from chainrule.train.step import buffers_of

_MOST_STEPS = 1000
"""Steps of an epoch that are logged, at most."""


class Keeper:
    """Keeps what a run needs to go on; made by :meth:`of`.

    Attributes:
        folder: where, or None.
        name: the folder as text.
        last: the file of the newest checkpoint.
    """

    def __init__(self, model: Any, optimizer: Optimizer, folder: RunFolder | None) -> None:
        self._model, self._optimizer, self.folder = model, optimizer, folder
        self.name = None if folder is None else str(folder.path)
        self.last: str | None = None

    @classmethod
    def of(cls, model: Any, data: Dataset, loss: Any, optimizer: Optimizer, options: Options) -> Keeper:
        """What the options ask for; a folder is claimed for this process.

        Raises:
            ArgumentError: the run to resume was another one.
            DataError: the folder holds something else, or cannot be used.
        """
        if options.folder is None:
            return cls(model, optimizer, None)
        about = described(model, data, loss, optimizer, options)
        if options.resume and (Path(options.folder) / ABOUT).exists():
            folder = RunFolder.open(options.folder)
            _require_same(folder.about, about)
            folder.claim()
        else:
            folder = RunFolder.create(options.folder, about)
        folder.note({"settings": about["settings"], **(options.about or {})})
        return cls(model, optimizer, folder)

    def start(self) -> tuple[Any, Any, Progress]:
        """Model, optimizer's state and progress to go on from."""
        found = None if self.folder is None else self.folder.newest()
        if found is None:
            return self._model, self._optimizer.init(self._model), Progress()
        self.last = str(found.file)
        return *self._read(found), Progress.from_dict(found.progress, self.last)

    def copy(self, parts: Any) -> Any:
        """What :meth:`parts` needs to give these parts again; None if they are on disk, or are those of the start."""
        return copied(parts) if self.folder is None else None

    def parts(self, copy: Any) -> Any:
        """Model, optimizer's state and buffers as they were when they were copied."""
        if copy is not None:
            return copied(copy)
        model, state, _ = self.start()
        return model, state, buffers_of(model)

    def _read(self, found: Checkpoint) -> tuple[Any, Any]:
        model = model_from(found.arrays, self._model, str(found.file))
        return model, state_from(found.arrays, self._optimizer.init(model), str(found.file))

    def begin(self, progress: Progress, started: Started) -> None:
        """Go on with the log where the progress is."""
        if self.folder is not None and self.folder.begin_log(progress.log_bytes):
            self.folder.write_log(started.to_dict())

    def log(self, event: Event) -> None:
        """Write an event down; of the steps of a long epoch only some, and of checkpoints nothing.

        What is written before a checkpoint is part of it, so that a resumed run's log is that of a whole one.
        """
        if self.folder is None or isinstance(event, Saved):
            return
        step, steps = getattr(event, "step", 0), getattr(event, "steps", 1)
        if step % max(1, -(-steps // _MOST_STEPS)) == 0:
            self.folder.write_log(event.to_dict())

    def save(self, parts: Any, progress: Progress) -> str | None:
        """Make this the state to go on from; returns its file."""
        if self.folder is None:
            return None
        progress.log_bytes = self.folder.flush_log()
        file = self.folder.save(progress.updates, arrays_of(parts), progress.to_dict())
        self.folder.write_table()
        self.last = str(file)
        return self.last

    def end(self, finished: Event, parts: Any) -> None:
        """Write down the end, and the trained parameters."""
        if self.folder is not None:
            self.folder.write_log({**finished.to_dict(), "model": None})
            self.folder.flush_log()
            self.folder.write_weights({n: a for n, a in arrays_of(parts).items() if "optimizer/" not in n})

    def close(self) -> None:
        """Let go of the folder."""
        if self.folder is not None:
            self.folder.close()


def described(model: Any, data: Dataset, loss: Any, optimizer: Optimizer, options: Options) -> dict[str, Any]:
    """What is asked for, JSON-ready."""
    return {
        "chainrule": version("chainrule"),
        "data": {
            "sizes": {part: len(data.part(part)[1]) for part in data.parts},
            "sha256": fingerprint(data),
            **data.description.to_dict(),
        },
        "model": {
            "class": type(model).__name__,
            "parameters": {
                p: list(x.shape) for p, x in zip(trees.paths(model), trees.leaves(model), strict=True)
            },
        },
        "loss": function_name(loss),
        "metrics": {name: function_name(f) for name, f in options.metrics_for(data).items()},
        "optimizer": describe(optimizer),
        "settings": options.to_dict(),
        **(options.about or {}),
    }


def function_name(f: Any) -> Any:
    """What a run's folder says of a function, JSON-ready: its name, and what ``functools.partial`` gave it.

    What its code computes is not compared when a run goes on: the same code differs from one Python to the next.
    """
    if isinstance(f, functools.partial):
        return {
            "function": function_name(f.func),
            "arguments": [_plain(value) for value in f.args],
            "keywords": {name: _plain(value) for name, value in f.keywords.items()},
        }
    return getattr(f, "__name__", type(f).__name__)


def _plain(value: Any) -> Any:
    """A function's argument, or what stands for it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (np.ndarray, Node)):
        array = as_node(value).array()
        return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": _digest([array])}
    return function_name(value)


def fingerprint(data: Dataset) -> str:
    """A digest of all examples and labels."""
    return _digest([array for part in data.parts for array in data.part(part)])


def _digest(arrays: Sequence[Array]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _require_same(kept: dict[str, Any], asked: dict[str, Any]) -> None:
    for part in ("data", "model", "loss", "metrics", "optimizer", "settings"):
        was, now = kept.get(part), asked[part]
        if not isinstance(was, dict) or not isinstance(now, dict):
            was, now = {part: was}, {part: now}
        for name in [*now, *(name for name in was if name not in now)]:
            if was.get(name) != now.get(name) and (part, name) != ("settings", "epochs"):
                what = f"{name}: {_short(was.get(name))}, now {_short(now.get(name))}"
                raise ArgumentError(
                    f"resume: the run was started with another {part} ({what})",
                    fix="pass the same as then, or train into a new folder",
                )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
