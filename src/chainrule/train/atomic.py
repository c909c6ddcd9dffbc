"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from chainrule.errors import DataError

_TEMPORARY = ".unfinished-"


def write(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is either what was there before, or all of ``content``.

    A temporary file beside it is written and flushed to the disk, takes the name, and the folder is flushed.

    Raises:
        DataError: the disk is full, or the folder cannot be written to.
    """
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, suffix=path.suffix, dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}",
            fix="free space on the disk, or choose a folder that can be written to",
        ) from None


def is_temporary(path: Path) -> bool:
    """Whether a file is one that :func:`write` did not finish."""
    return path.name.startswith(_TEMPORARY)


def flush_folder(folder: Path) -> None:
    """Have the disk remember which files a folder holds; Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
