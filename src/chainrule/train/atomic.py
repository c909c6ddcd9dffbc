"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from chainrule.errors import DataError

_TEMPORARY = ".unfinished-"
_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that do not flush folders: some of those on other machines."""


def write(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is either what was there before, or all of ``content``.

    A temporary file beside it is written and flushed to the disk, takes the name, and the folder is flushed. Who may
    read it is as for every file that the process makes.

    Raises:
        DataError: the disk is full, or the folder cannot be written to.
    """
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        if temporary.exists():
            temporary.unlink()
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system does not take."""
    return DataError(
        f"{path} cannot be written: {error.strerror or error}",
        fix="free space on the disk, or choose a folder that can be written to",
    )


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
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)
