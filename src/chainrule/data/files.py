"""Files that others wrote: read with limits, so that none can claim more than it holds, and named in every error.

Nothing here unpickles, follows what a file says to other places, or trusts a size that a header states.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from chainrule.errors import DataError, shown
from chainrule.primitive import Array
from chainrule.shapes import DType

PathLike: TypeAlias = "str | Path"

LIMIT = 4 << 30
"""Bytes that an array from a file, or all pictures of a folder, may take."""
MOST_UNPACKED = 1 << 30
"""Bytes that a gzip file may unpack to."""
MOST_DENSE = 1032
"""Times its length that the deflate format can unpack to, at most."""
_MOST_AXES = 64
"""Of NumPy's arrays."""
_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 24
_MOST_NAMES = 10_000
_TEXT = "save it as text in UTF-8, or pass the right file"
_NAMES = "write each class once, on a line of its own"
_GZIP = b"\x1f\x8b"
_OTHER_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def exists(path: Path) -> bool:
    """Whether there is something at a path; no if the system does not tell."""
    return os.path.exists(path)


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path; no if the system does not tell."""
    return os.path.isdir(path)


def named(path: PathLike) -> str:
    """A path or a name for a message: on one line, whatever bytes it has."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def as_path(what: str, value: Any) -> Path:
    """A path that a user gave, its ``~`` expanded.

    Raises:
        DataError: it is no path.
    """
    if isinstance(value, Path) or (isinstance(value, str) and value and "\0" not in value):
        with contextlib.suppress(RuntimeError):  # no home: the path is what it says
            return Path(value).expanduser()
        return Path(value)
    raise DataError(f"{what}: expected a path, got {value!r}", fix='pass a text such as "data/mnist"')


def length(path: Path) -> int:
    """The length of a file in bytes.

    Raises:
        DataError: it cannot be read, or is no file but a folder, a pipe, a device.
    """
    try:
        about = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if not stat.S_ISREG(about.st_mode):
        kind = next((name for test, name in _OTHER_KINDS if test(about.st_mode)), "something else")
        raise DataError(f"{named(path)} is {kind}, expected a file", fix="pass the path of a file")
    return about.st_size


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that the system does not give."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        reason = "the link leads nowhere"
    return DataError(f"{named(path)} cannot be read: {reason}", fix="check the path and its permissions")


def damaged(path: Path, what: str, fix: str = "get the file again") -> DataError:
    """The error for a file that is not what it claims to be."""
    return DataError(f"{named(path)}: {what}", fix=fix)


class Source:
    """An open file, unpacked on the way if it is gzip.

    Attributes:
        path: of the file.
        most: bytes that can come out of it: its length, or what a gzip file of that length can unpack to.
        packed: whether it is gzip.
    """

    def __init__(self, path: Path, stream: IO[bytes] | gzip.GzipFile, size: int, packed: bool) -> None:
        self.path, self._stream, self.packed = path, stream, packed
        self.most = min(size * MOST_DENSE, MOST_UNPACKED) if packed else size

    def read(self, count: int) -> bytearray:
        """The next ``count`` bytes, fewer at the end. Memory grows with what is there, not with ``count``.

        Raises:
            DataError: the file is damaged.
        """
        content = bytearray()
        while len(content) < count:
            try:
                chunk = self._stream.read(min(_CHUNK, count - len(content)))
            except (OSError, EOFError, zlib.error) as error:
                raise damaged(self.path, f"damaged or cut off: {error}") from None
            if not chunk:
                break
            content += chunk
        return content

    def exactly(self, count: int, what: str) -> bytearray:
        """The next ``count`` bytes; ``what`` they are is told if there are fewer.

        Raises:
            DataError: there are fewer bytes, or the file is damaged.
        """
        if count > self.most:
            fix = (
                "unpack it with gunzip"
                if self.packed and self.most == MOST_UNPACKED
                else "get the file again"
            )
            raise damaged(
                self.path, f"{what} would take {count} bytes, but there can be no more than {self.most}", fix
            )
        content = self.read(count)
        if len(content) < count:
            raise damaged(self.path, f"cut off: {what} should take {count} bytes, found {len(content)}")
        return content

    def numbers(self, what: str, dtype: DType, shape: Sequence[int], order: Literal["C", "F"] = "C") -> Array:
        """An array, which is all that is left.

        Args:
            what: it is, with its dtype and shape, for messages.
            dtype: in which it is written.
            shape: that a header states, sizes of 0 or more; nothing else need be known of it.
            order: whether the last axis runs fastest, or the first.

        Returns:
            In the byte order of this machine. It cannot be written to.

        Raises:
            DataError: the shape is none that NumPy has, or takes more than ``LIMIT`` bytes; there are fewer bytes or
                more; or the file is damaged.
        """
        size = math.prod(shape) * dtype.itemsize
        if size > LIMIT:
            raise damaged(self.path, f"{what} would take {shown(size)} bytes, more than {LIMIT}")
        # Empty arrays take no bytes, but NumPy multiplies their other sizes.
        if len(shape) > _MOST_AXES or math.prod(n for n in shape if n) > LIMIT:
            raise damaged(self.path, f"{what} can be no array of NumPy", "save one of a smaller shape")
        content = self.exactly(size, what)
        self.end()
        array = np.frombuffer(content, dtype).reshape(tuple(shape), order=order)
        array = array.astype(dtype.newbyteorder("="), copy=False)
        array.flags.writeable = False
        return array

    def end(self) -> None:
        """Nothing may follow.

        Raises:
            DataError: something does.
        """
        if self.read(1):
            raise damaged(self.path, "longer than its header says")


@contextlib.contextmanager
def opened(path: Path, unpack: bool = True) -> Iterator[Source]:
    """Open a file for reading.

    Args:
        path: of the file.
        unpack: whether it may be gzip, as its first bytes say, not its name. A format that can begin in the same way
            needs False.

    Raises:
        DataError: it cannot be read.
    """
    size = length(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None
    with file:
        packed = unpack and file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield Source(path, unpacked, size, True)
        else:
            yield Source(path, file, size, False)


class _Stream(io.RawIOBase):
    """A source as a stream that ends with an error where it goes on beyond a limit."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source, self._left, self._limit = source, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._source.read(len(buffer))
        self._left -= len(found)
        if self._left < 0:
            raise damaged(
                self._source.path, f"holds more than {self._limit} bytes", "cut it into smaller files"
            )
        buffer[: len(found)] = found
        return len(found)


def text_lines(path: Path, limit: int = MOST_UNPACKED) -> Iterator[str]:
    """The lines of a text file in UTF-8, unpacked on the way, with their ends.

    Args:
        path: of the file.
        limit: bytes that it may unpack to; one that is not packed may be as long as it is.

    Raises:
        DataError: it cannot be read, unpacks to more than ``limit`` bytes, is not UTF-8, or has a line that is no line.
    """
    with opened(path) as source:
        most = limit if source.packed else max(limit, source.most)
        stream = io.TextIOWrapper(io.BufferedReader(_Stream(source, most), _CHUNK), "utf-8-sig", newline="")
        number = 0
        try:
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise damaged(path, f"line {number} has more than {_LONGEST_LINE} characters", _TEXT)
                yield line
        except UnicodeDecodeError as error:
            before = error.object[: error.start] + b"."  # what was decoded so far ends within the next line
            wrong = number + len(before.splitlines())
            raise damaged(path, f"line {wrong} is not UTF-8", _TEXT) from None


def lines(path: Path) -> tuple[str, ...]:
    """Names, one on each line, as ``batches.meta.txt`` and ``classes.txt`` hold them; empty lines are left out.

    Raises:
        DataError: it cannot be read, is not text, has too many names, or a name twice.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(text_lines(path, 1 << 20), 1):
        name = named(line.strip())
        if name in found:
            raise damaged(path, f"{name!r} is in line {found[name]} and again in line {number}", _NAMES)
        if name:
            found[name] = number
        if len(found) > _MOST_NAMES:
            raise damaged(path, f"more than {_MOST_NAMES} names", _NAMES)
    if not found:
        raise damaged(path, "no names", _NAMES)
    return tuple(found)
