"""How a run is kept: in a folder, or not at all."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.data import Dataset
from chainrule.errors import ArgumentError
from chainrule.optim import Optimizer, describe
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
        return cls(model, optimizer, folder)

    def start(self) -> tuple[Any, Any, Progress]:
        """Model, optimizer's state and progress to go on from."""
        found = None if self.folder is None else self.folder.newest()
        if found is None:
            return self._model, self._optimizer.init(self._model), Progress()
        self.last = str(found.file)
        return *self._read(found), Progress.from_dict(found.progress)

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
        if self.folder is not None:
            self.folder.begin_log(progress.log_bytes)
            if not progress.log_bytes:
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
        "loss": getattr(loss, "__name__", type(loss).__name__),
        "optimizer": describe(optimizer),
        "settings": options.to_dict(),
        **(options.about or {}),
    }


def fingerprint(data: Dataset) -> str:
    """A digest of all examples and labels."""
    found = hashlib.sha256()
    for part in data.parts:
        for array in data.part(part):
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _require_same(kept: dict[str, Any], asked: dict[str, Any]) -> None:
    free = {"epochs"}
    for part in ("data", "model", "loss", "optimizer", "settings"):
        was, now = kept.get(part), asked[part]
        if not isinstance(was, dict) or not isinstance(now, dict):
            was, now = {part: was}, {part: now}
        for name in now:
            if was.get(name) != now[name] and name not in free:
                raise ArgumentError(
                    f"resume: the run was started with another {part} ({name}: {_short(was.get(name))}, now "
                    f"{_short(now[name])})",
                    fix="pass the same as then, or train into a new folder",
                )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
