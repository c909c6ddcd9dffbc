"""The folder of a run, which a person can read::

runs/digits-mlp-1/
  run.json            what was asked for: data, model, loss, optimizer, settings
  log.jsonl           an event a line: steps, epochs, the end
  epochs.csv          a row an epoch
  checkpoints/        the last two, and the best; see `chainrule.train.checkpoint`
  model.safetensors   the trained parameters and buffers, once the run has ended, until it goes on
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chainrule.data.files import length
from chainrule.errors import ArgumentError, DataError
from chainrule.primitive import Array
from chainrule.train import atomic, checkpoint

VERSION = 2
ABOUT, LOG, TABLE, WEIGHTS, CHECKPOINTS, LOCK = (
    "run.json",
    "log.jsonl",
    "epochs.csv",
    "model.safetensors",
    "checkpoints",
    ".lock",
)
KEPT = 2
"""Checkpoints that are kept beside the best: if the newest is damaged there is one before it."""
_LONGEST = 1 << 20
"""Bytes of a line of the log that is read."""


class RunFolder:
    """A run on disk; made by :meth:`create` or :meth:`open`.

    Attributes:
        path: the folder.
        about: what ``run.json`` says.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self._log: io.BufferedWriter | None = None
        self._lock: Any = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], about: Mapping[str, Any]) -> RunFolder:
        """A new folder, claimed for this process.

        Args:
            path: must not exist, or be empty.
            about: JSON-ready: what was asked for.

        Raises:
            ArgumentError: ``about`` is not JSON-ready.
            DataError: there is something already, the folder cannot be made, or another process makes a run of it.
        """
        made = cls(Path(path), {"version": VERSION, **about})
        content = _json(made.about)
        _require_empty(made.path)
        make_folder(made.path)
        made.claim()
        try:
            _require_empty(made.path)  # another process may have been faster, and have ended
            atomic.write(made.path / ABOUT, content)
        except DataError:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """A folder that is there.

        Raises:
            DataError: it is no run, or one of another version.
        """
        folder = resolved(Path(path))
        if not (folder / ABOUT).is_file():
            raise DataError(
                f"{folder} is no run: it has no {ABOUT}", fix="pass the folder that chainrule train has named"
            )
        about = checkpoint.read_json(folder / ABOUT)
        if about.get("version") != VERSION:
            raise DataError(
                f"{folder} is a run of version {about.get('version')!r}, this chainrule reads {VERSION}",
                fix="use the chainrule that made it",
            )
        return cls(folder, about)

    def note(self, about: Mapping[str, Any]) -> None:
        """Write down what is new: a run may go on for more epochs, or with data that were moved."""
        if any(name not in self.about or self.about[name] != value for name, value in about.items()):
            self.about = {**self.about, **about}
            atomic.write(self.path / ABOUT, _json(self.about))

    def claim(self) -> None:
        """Keep other processes from writing here, until :meth:`close` or the end of this one; tidy up.

        Raises:
            DataError: another process trains into this folder, or it cannot be written to.
        """
        from filelock import FileLock, Timeout  # which only those need who train

        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
            self._lock = lock
            for place in (self.path, self.path / CHECKPOINTS):
                for left in filter(atomic.is_temporary, place.iterdir() if place.exists() else ()):
                    left.unlink()
        except Timeout:
            raise DataError(
                f"another process trains into {self.path}", fix="wait for it, or choose another folder"
            ) from None
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written to: {error.strerror or error}",
                fix="go on as a user who may write there, or with a copy of the folder",
            ) from None

    def close(self) -> None:
        """Let go of the folder.

        Raises:
            DataError: the last lines of the log cannot be written.
        """
        log, lock, self._log, self._lock = self._log, self._lock, None, None
        try:
            if log is not None:
                with self._writing_log():
                    log.close()
        finally:
            if lock is not None:
                lock.release()

    def begin_log(self, size: int) -> bool:
        """Write after the first ``size`` bytes of the log; what came later is not part of the run any more.

        Returns:
            Whether it is empty: at the start, or because someone has removed it.

        Raises:
            DataError: the log cannot be written, as in all methods that write it.
        """
        with self._writing_log():
            self._log = file = open(self.path / LOG, "ab")  # noqa: SIM115 - open while the run goes on
            if file.tell() > size:
                file.truncate(size)
                file.seek(0, os.SEEK_END)  # where the next flush finds it, perhaps before a line is written
            return min(file.tell(), size) == 0

    def write_log(self, event: Mapping[str, Any]) -> None:
        """Add a line."""
        assert self._log is not None
        with self._writing_log():
            self._log.write((json.dumps(event, allow_nan=False) + "\n").encode())

    def flush_log(self) -> int:
        """Have all lines on the disk; returns their bytes."""
        assert self._log is not None
        with self._writing_log():
            self._log.flush()
            os.fsync(self._log.fileno())
            return self._log.tell()

    @contextlib.contextmanager
    def _writing_log(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise atomic.unwritable(self.path / LOG, error) from None

    def events(self) -> Iterator[dict[str, Any]]:
        """The log's events; a last line that was cut off is left out.

        Raises:
            DataError: a line is not what the log has.
        """
        return (event for _, event in self.lines())

    def lines(self, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """The log's events from a byte on, each with the byte behind it, from which one may go on later.

        Args:
            start: 0, or what came with an event; 0 also where the log has become shorter.

        Raises:
            DataError: a line is not what the log has.
        """
        path = self.path / LOG
        if not path.exists():
            return
        size = length(path)  # of a file: a pipe may never end
        with open(path, "rb") as file:
            file.seek(start if start <= size else 0)
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    event = json.loads(line)
                except ValueError:
                    event = None
                if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                    where = f"line {number}" if not start else f"line {number} behind byte {start}"
                    raise DataError(f"{path}: {where} is no event", fix="remove the line")
                yield file.tell(), event

    def write_table(self) -> None:
        """``epochs.csv`` anew, out of the log."""
        epochs = [event for event in self.events() if event["event"] == "EpochEnded"]
        rows = [
            {
                "epoch": e["epoch"],
                **{f"{part}_{name}": v for part in ("train", "valid") for name, v in e[part].items()},
                "learning_rate": e["learning_rate"],
                "seconds": e["seconds"],
            }
            for e in epochs
        ]
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]) if rows else ["epoch"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        atomic.write(self.path / TABLE, text.getvalue().encode())

    def save(self, updates: int, arrays: Mapping[str, Array], progress: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are not needed any more.

        The parameters of an earlier end go first: the newest checkpoint there has the same.
        """
        (self.path / WEIGHTS).unlink(missing_ok=True)
        folder = self.path / CHECKPOINTS
        folder.mkdir(exist_ok=True)
        written = checkpoint.save(folder, updates, arrays, progress)
        best = f"step-{progress.get('best_updates', -1):08d}.json"
        for old in checkpoint.found(folder)[:-KEPT]:
            if old.name != best:
                old.unlink()
                old.with_suffix(".safetensors").unlink(missing_ok=True)
        return written

    def write_weights(self, arrays: Mapping[str, Array]) -> None:
        """``model.safetensors``: what a trained model is made of."""
        atomic.write(self.path / WEIGHTS, checkpoint.packed(arrays))

    def newest(self) -> checkpoint.Checkpoint | None:
        """The last checkpoint that is whole; warns of those that are not. None if there is none at all.

        Raises:
            DataError: there are some, and none is whole.
        """
        error: DataError | None = None
        for path in reversed(checkpoint.found(self.path / CHECKPOINTS)):
            try:
                return checkpoint.load(path)
            except DataError as wrong:
                error = wrong
                warnings.warn(f"{wrong.message}; going on from an earlier one", UserWarning, stacklevel=3)
        if error is not None:
            raise error
        return None

    def weights(self) -> dict[str, Array]:
        """Parameters and buffers by name: of the end, or, of a run that has not ended, of the newest checkpoint.

        Raises:
            DataError: there are none yet, or they are damaged.
        """
        path = self.path / WEIGHTS
        if path.exists():
            return checkpoint.read_arrays(path)
        newest = self.newest()
        if newest is None:
            raise DataError(f"{self.path} has no parameters yet", fix="train until the first epoch has ended")
        return newest.arrays


def make_folder(path: Path) -> bool:
    """Make a folder, and those that it is to be in; returns whether it was not there yet.

    Raises:
        DataError: it cannot be made.
    """
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise DataError(
            f"{path} cannot be made: {error.strerror or error}", fix="choose a folder that can be written to"
        ) from None
    return True


def _json(about: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(about, indent=2, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"what a run's folder says about it must be JSON-ready: {error}",
            fix="pass numbers and texts of Python, finite, in lists and dicts",
        ) from None


def _require_empty(folder: Path) -> None:
    """Nothing may be there but what a start leaves that was killed."""
    if not folder.exists() or (
        folder.is_dir() and all(atomic.is_temporary(path) or path.name == LOCK for path in folder.iterdir())
    ):
        return
    what = "a run" if (folder / ABOUT).exists() else "something else"
    raise DataError(
        f"{folder} holds {what} already",
        fix="choose another folder" + (", or go on with that run: resume=True" if what == "a run" else ""),
    )


def resolved(path: Path) -> Path:
    """The folder that ``latest`` stands for, where links cannot be made and it is a file with a name.

    Raises:
        DataError: it is a file that holds no text.
    """
    if path.is_file() and path.name == "latest":
        try:
            name = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path} does not name a run: {error}", fix="remove it, and name the run's folder"
            ) from None
        if name and Path(name).name == name:
            return path.with_name(name)
    return path


def point_latest(folder: Path) -> None:
    """Let ``latest`` beside a run's folder stand for it; not if that is something of the user's, which is said."""
    link, temporary = folder.with_name("latest"), folder.with_name(f".latest-{os.getpid()}")
    if not _is_latest(link):
        warnings.warn(f"{link} is no link to a run and is left as it is; this run is {folder}", stacklevel=3)
        return
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed, and had this number
        temporary.symlink_to(folder.name, target_is_directory=True)
        os.replace(temporary, link)
    except OSError:
        temporary.unlink(missing_ok=True)
        if not link.is_symlink():
            atomic.write(link, f"{folder.name}\n".encode())


def _is_latest(link: Path) -> bool:
    """Whether a link, or the file that takes its place, is one of ours, or nothing is there."""
    if link.is_symlink() or not link.exists():
        return True
    return link.is_file() and re.fullmatch(rb"[^/\\\s]+-\d+\r?\n", link.read_bytes()[:300]) is not None
