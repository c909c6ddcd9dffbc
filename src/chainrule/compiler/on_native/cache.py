"""Compiled objects on disk, so that a program starts at once the second time.

One file for each object, named by a digest of everything that it depends on. Files are written aside and
renamed, so a reader sees a whole file or none; each begins with a checksum, so a damaged one is a miss. Whatever
goes wrong on disk, the worst that happens is that code is compiled again. ``CHAINRULE_CACHE`` names another
directory, or ``off``. The oldest files go when the directory grows beyond `LIMIT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from functools import lru_cache
from pathlib import Path

import llvmlite  # pyright: ignore[reportMissingTypeStubs]
import platformdirs

LIMIT = 256 << 20
"""Bytes of all files together. Half of it is freed when they are more."""
_FORMAT = b"chainrule object 2\n"
_SUFFIX = ".object"
_room: dict[Path, int] = {}
"""Bytes that this process may still write into a directory before it looks through it again: thousands of files."""


def directory() -> Path | None:
    """Where objects are kept; None if ``CHAINRULE_CACHE`` is ``off``."""
    named = os.environ.get("CHAINRULE_CACHE", "").strip()
    if named.lower() in ("off", "0", "none"):
        return None
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("chainrule")) / "objects"


@lru_cache(maxsize=1)
def _versions() -> str:
    return f"{llvmlite.__version__} {platform.machine()} {platform.system()}"


def key_of(text: str, target: str, level: int) -> str:
    """The name under which the object for a module is kept."""
    whole = "\n".join((_versions(), target, str(level), text))
    return hashlib.sha256(whole.encode()).hexdigest()


def read(key: str) -> bytes | None:
    """The object, or None if it is not there or damaged."""
    place = directory()
    if place is None:
        return None
    path = place / (key + _SUFFIX)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head, checksum, code = content[: len(_FORMAT)], content[len(_FORMAT) :][:32], content[len(_FORMAT) + 32 :]
    if head != _FORMAT or hashlib.sha256(code).digest() != checksum:
        forget(key)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used again: the last to go
    return code


def write(key: str, code: bytes) -> bool:
    """Keep an object. Returns whether that was possible; a full or read-only disk is no error."""
    place = directory()
    if place is None:
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=place, suffix=".part")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_FORMAT + hashlib.sha256(code).digest() + code)
        os.replace(aside, place / (key + _SUFFIX))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        return False
    left = _room.get(place, 0) - len(_FORMAT) - 32 - len(code)
    if left < 0:  # others write too: a look at every eighth of the limit
        left = min(LIMIT - _shrink(place), LIMIT // 8)
    _room[place] = left
    return True


def forget(key: str) -> None:
    """Remove an object, if it is there."""
    place = directory()
    if place is not None:
        with contextlib.suppress(OSError):
            (place / (key + _SUFFIX)).unlink()


def _shrink(place: Path) -> int:
    """Remove the files that were not used for the longest time, if all together are too large; gives what is left."""
    sizes: list[tuple[float, int, Path]] = []
    try:
        for path in place.iterdir():
            with contextlib.suppress(OSError):  # another process may have removed it just now
                about = path.stat()
                sizes.append((about.st_mtime, about.st_size, path))
    except OSError:
        return LIMIT
    total = sum(size for _, size, _ in sizes)
    if total <= LIMIT:
        return total
    for _, size, path in sorted(sizes):
        if total <= LIMIT // 2:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
    return total
