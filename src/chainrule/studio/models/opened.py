"""All models that a studio has opened, and the runs that it may open."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chainrule.errors import ArgumentError, DataError
from chainrule.optim import Optimizer
from chainrule.studio.models.opening import Opening
from chainrule.studio.models.sources import (
    EXAMPLES,
    Task,
    catalogue_task,
    checked_run,
    python_task,
    run_task,
    script_task,
)
from chainrule.train.folder import ABOUT
from chainrule.train.starting import RUNS

MOST_OPEN = 6
"""Models that are kept; the one that was opened first goes."""
MOST_LISTED = 200
_UNTIL_ENDED = 2.0
"""Seconds in which a program that was stopped is to end."""


class Opened:
    """The models of a studio.

    Args:
        root: the folder with runs that a page may open by name; by default ``runs`` of the working directory.
    """

    def __init__(self, root: str | os.PathLike[str] = RUNS) -> None:
        self.root = Path(root)
        self._openings: dict[str, Opening] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def model(
        self,
        model: Any,
        loss: Callable[..., Any],
        batch: tuple[Any, Any],
        optimizer: Optimizer | None = None,
        *,
        key: Any = None,
        name: str = "",
    ) -> Opening:
        """Open a model with its loss and a batch."""
        task = python_task(model, loss, batch, optimizer, key)
        return self._open(name or type(model).__name__, {"kind": "python"}, task)

    def script(self, path: str, arguments: Sequence[str] = ()) -> Opening:
        """Run a program, and open its network. Only who starts the studio can do that, no page."""
        return self._open(Path(path).name, {"kind": "script", "path": path}, script_task(path, arguments))

    def run(self, folder: str | os.PathLike[str]) -> Opening:
        """Open a run by its folder.

        Raises:
            DataError: it is no run.
        """
        run = checked_run(folder)
        path = run.path.resolve()
        return self._open(path.name, {"kind": "run", "path": str(run.path)}, run_task(run.path))

    def hold(self, opening: Opening) -> Opening:
        """Keep a model that was opened elsewhere among these."""
        with self._lock:
            self._openings[opening.key] = opening
        return opening

    def run_called(self, name: str) -> Opening:
        """Open a run by its name in the folder with runs.

        Raises:
            DataError: there is none, or its name leads elsewhere.
        """
        folder = self.root / name
        try:
            inside = folder.resolve().parent == self.root.resolve() and Path(name).name == name
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            raise DataError(
                f"{name[:100]!r} is no run in {self.root}",
                fix="choose one of the list, or name it when starting",
            )
        return self.run(folder)

    def example(self, name: str) -> Opening:
        """Open an example by name.

        Raises:
            ArgumentError: there is none.
        """
        if name not in EXAMPLES:
            raise ArgumentError(f"there is no example {name[:100]!r}", fix=f"one of {', '.join(EXAMPLES)}")
        return self._open(name, {"kind": "example", "path": name}, catalogue_task(name))

    def again(self, key: str) -> Opening:
        """Open the same once more, such as a run that has newer weights by now, or a program that was stopped.

        A program is the one that the studio was started with, with the same arguments: a page can name no other.

        Raises:
            ArgumentError: there is no such model, it was handed over in Python, or its program still runs.
        """
        old = self.get(key)
        if old.source["kind"] == "run":
            return self.run(old.source["path"])
        if old.source["kind"] == "example":
            return self.example(old.source["path"])
        if old.source["kind"] == "script":
            # Two at once would share standard output and the arguments.
            if not old.wait(_UNTIL_ENDED):
                raise ArgumentError(f"{old.name} still runs", fix="stop it first")
            return self._open(old.name, old.source, old.work)
        raise ArgumentError(f"{old.name} was handed over in Python", fix="start the studio with it again")

    def get(self, key: str) -> Opening:
        """A model by its key.

        Raises:
            ArgumentError: there is none.
        """
        with self._lock:
            found = self._openings.get(key)
        if found is None:
            raise ArgumentError(f"no model is open as {key[:40]!r}", fix="open it again")
        return found

    @property
    def openings(self) -> list[Opening]:
        """All of them, the newest last."""
        with self._lock:
            return list(self._openings.values())

    def runs(self) -> list[dict[str, Any]]:
        """The runs that a page may open, the newest first."""
        try:
            folders = [f for f in self.root.iterdir() if f.is_dir() and not f.is_symlink()]
            known = [
                (f.joinpath(ABOUT).stat().st_mtime, f.name) for f in folders if f.joinpath(ABOUT).is_file()
            ]
        except OSError:
            return []
        return [{"name": name, "begun": begun} for begun, name in sorted(known, reverse=True)[:MOST_LISTED]]

    def close(self) -> None:
        """End all work."""
        for opening in self.openings:
            opening.stop()

    def _open(self, name: str, source: dict[str, Any], task: Task) -> Opening:
        with self._lock:
            key = next(key for n in self._numbers if (key := f"m{n}") not in self._openings)
            opening = Opening(key, name, source, task)
            self._openings[opening.key] = opening
            gone = list(self._openings.values())[:-MOST_OPEN]
            for old in gone:
                del self._openings[old.key]
        for old in gone:
            old.stop()
        return opening.start()


def examine(
    model: Any, loss: Callable[..., Any], *batch: Any, optimizer: Optimizer | None = None, key: Any = None
) -> Opening:
    """Look at a model: one pass forward and back with all numbers, and what the doctor says.

    Args:
        model: a module, or parameters nested in dict, list and tuple if ``loss`` takes ``(model, x, y)``. It stays
            as it is.
        loss: ``(model(x), y) -> one number``, or ``(model, x, y) -> one number``.
        batch: ``x`` and ``y``.
        optimizer: what updates, for the doctor.
        key: from ``cr.random.key``, for dropout and its like.

    Returns:
        An `Opening`, which works in a thread: ``wait()`` for it, then read ``view``, ``says()`` or ``to_dict()``.

    Raises:
        ArgumentError: the batch is no pair.

    Example:
        >>> import numpy as np
        >>> import chainrule as cr
        >>> model = cr.models.mlp((2, 8, 2), cr.tanh, key=cr.random.key(0))
        >>> x = np.random.default_rng(0).standard_normal((16, 2)).astype("f")
        >>> opening = examine(model, cr.nn.softmax_cross_entropy, x, np.arange(16) % 2)
        >>> opening.wait()
        True
        >>> [column["id"] for column in opening.to_dict()["overview"]["columns"]]
        ['input', 'layers.0', 'layers.1', 'layers.2', 'loss']
    """
    if len(batch) != 2:
        raise ArgumentError(
            f"examine: a batch is x and y, got {len(batch)} things", fix="examine(model, loss, x, y)"
        )
    return Opened().model(model, loss, (batch[0], batch[1]), optimizer, key=key)
