"""Arrays that NumPy has saved, ``.npy`` and ``.npz``, read without pickle and without trusting a header."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from chainrule.data.dataset import Dataset
from chainrule.data.files import (
    LIMIT,
    MOST_DENSE,
    PathLike,
    Source,
    as_path,
    damaged,
    is_folder,
    length,
    named,
    opened,
)
from chainrule.errors import DataError, shown
from chainrule.primitive import Array

_MOST_ARRAYS = 1000
_PARTS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "val": "valid",
    "valid": "valid",
}
_PARTS["validation"] = "valid"
_ROLES: dict[str, str] = dict.fromkeys(("x", "images", "data", "features", "inputs"), "x")
_ROLES |= dict.fromkeys(("y", "labels", "label", "target", "targets"), "y")
_CLASSES = ("classes", "class_names", "target_names")


def read_npy(path: PathLike) -> Array:
    """The array in a ``.npy`` file. It cannot be written to.

    Raises:
        DataError: the file cannot be read, is damaged, or holds Python objects.

    Example:
        >>> np.save("weights.npy", np.arange(3.0))
        >>> read_npy("weights.npy").tolist()
        [0.0, 1.0, 2.0]
    """
    place = as_path("read_npy", path)
    with opened(place) as source:
        return _array(source, "it")


def read_npz(path: PathLike) -> dict[str, Array]:
    """The arrays in a ``.npz`` file, by name. They cannot be written to.

    Raises:
        DataError: the file cannot be read, is damaged, holds Python objects, names an array twice, or names what is
            no array.

    Example:
        >>> np.savez("pair.npz", x=np.arange(3.0), y=np.array([0, 1, 1]))
        >>> {name: array.tolist() for name, array in read_npz("pair.npz").items()}
        {'x': [0.0, 1.0, 2.0], 'y': [0, 1, 1]}
    """
    place = as_path("read_npz", path)
    size = length(place)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(place) as archive:
            members = _members(place, archive, size)
            for name, info in members.items():
                with archive.open(info) as stream:
                    source = Source(place, stream, info.file_size, False)
                    arrays[name] = _array(source, name)
    except DataError:
        raise
    except (
        Exception
    ) as error:  # an archive may be damaged anywhere, and its reader has no error of its own for each
        raise damaged(place, f"damaged, or no file of arrays: {error}", "save it with np.savez") from None
    return arrays


def _members(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What the archive says it holds, if it can."""
    infos = archive.infolist()
    if len(infos) > _MOST_ARRAYS:
        raise damaged(path, f"{len(infos)} arrays, more than {_MOST_ARRAYS}", "save fewer, larger arrays")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename or not re.fullmatch(r"[^/\\:\0]{1,200}", name) or set(name) <= {"."}:
            raise damaged(path, f"{info.filename!r} is no name of an array", "save it with np.savez")
        if name in members:
            raise damaged(path, f"two arrays are called {name!r}", "save each array once")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged(path, f"{name!r} is encrypted or packed in another way", "save it with np.savez")
        members[name] = info
    packed, unpacked = sum(i.compress_size for i in infos), sum(i.file_size for i in infos)
    if packed > size or unpacked > min(size * MOST_DENSE, LIMIT):
        raise damaged(
            path,
            f"claims to hold {packed} bytes, {unpacked} unpacked, in a file of {size}",
            "use smaller files",
        )
    return members


def _array(source: Source, name: str) -> Array:
    """Read what ``np.save`` has written."""
    path = source.path
    start = bytes(source.read(8))
    if len(start) < 8 or start[:6] != npy.MAGIC_PREFIX:
        raise damaged(path, f"{name} is no array of NumPy: it begins with {start[:6].hex(' ') or 'nothing'}")
    if start[6] not in (1, 2):
        raise damaged(
            path, f"{name} is in version {start[6]} of NumPy's format, expected 1 or 2", "save plain numbers"
        )
    header = _Header(source)
    try:
        read = npy.read_array_header_1_0 if start[6] == 1 else npy.read_array_header_2_0
        shape, columns_first, dtype = read(header)
    except DataError:
        raise
    except Exception as error:  # parsing what may be anything raises anything
        raise damaged(path, f"{name} has no header of NumPy's format: {error}") from None
    if dtype.hasobject:
        raise damaged(
            path,
            f"{name} holds Python objects, as pickles: those can run any program and are not read",
            "save numbers or texts: array.astype(np.float32), or labels.astype(str)",
        )
    if dtype.kind not in "biufU" or not dtype.itemsize or not all(type(n) is int and n >= 0 for n in shape):
        raise damaged(
            path, f"{name} is of dtype {dtype} and shape {shown(shape)}", "save arrays of numbers or texts"
        )
    what = f"{name}, {dtype.name} of shape {shown(shape)},"
    array = source.numbers(what, dtype, shape, "F" if columns_first else "C")
    if dtype.kind == "U":
        _require_characters(path, name, array)
    return array


def _require_characters(path: Path, name: str, texts: Array) -> None:
    """Check what NumPy only finds when it makes a text of it, and then raises a `SystemError`."""
    codes = texts.ravel("K").view(np.uint32)
    wrong = (codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))
    if wrong.any():
        code = int(codes[wrong.argmax()])
        raise damaged(path, f"{name} has a text with {code:#x} in it, which is no character")


class _Header:
    """A source as the stream that NumPy's reader of headers wants; it ends where no header is as long."""

    def __init__(self, source: Source) -> None:
        self._source, self._left = source, 1 << 16

    def read(self, length: int = 1 << 16, /) -> bytes:
        found = bytes(self._source.read(min(length, self._left)))
        self._left -= len(found)
        return found


def npz(path: PathLike, *, test: Any = 0.2, key: Any = None) -> Dataset:
    """A data set from a ``.npz`` file, or from a folder of ``.npy`` files.

    Args:
        path: of the file or folder. Its arrays are called ``train_x``, ``train_y``, ``test_x``, ``test_y`` and perhaps
            ``valid_x``, ``valid_y``, or ``x`` and ``y`` alone; ``images``, ``data``, ``features`` or ``inputs`` may
            stand for x, ``labels`` or ``targets`` for y, ``val`` for valid, in any order and case, such as
            ``x_train``. ``classes`` may name the classes. Others are left alone.
        test: which share of the examples to split off where there are none to test on, or how many.
        key: chooses what is split off; by default ``cr.random.key(0)``.

    Returns:
        As :meth:`Dataset.from_arrays` makes it of them.

    Raises:
        DataError: the file cannot be read, or does not hold these arrays, or they do not fit each other.

    Example:
        >>> np.savez("points.npz", x=np.eye(4), y=np.array([0, 1, 0, 1]))
        >>> npz("points.npz", test=1)
        <Dataset: 3 examples to train on, 1 to test on, of shape (4,); 2 classes>
    """
    place = as_path("npz", path)
    if is_folder(place):
        found = {file.stem: read_npy(file) for file in sorted(place.glob("*.npy"))[:_MOST_ARRAYS]}
    else:
        found = read_npz(place)
    parts: dict[str, Array] = {}
    for name, array in found.items():
        part = _part(name)
        if part in parts:
            raise damaged(place, f"two arrays are {part}; one of them is {name!r}", "keep one of them")
        if part is not None:
            parts[part] = array
    _require_pairs(place, parts, found)
    names = _class_names(place, found)
    given = {
        part: (parts[f"{part}_x"], parts[f"{part}_y"]) for part in ("test", "valid") if f"{part}_x" in parts
    }
    try:
        return Dataset.from_arrays(
            parts["train_x"], parts["train_y"], **{"test": test, **given}, classes=names, key=key
        )
    except DataError as error:
        raise damaged(place, error.message, error.fix or "") from None


def _class_names(path: Path, found: dict[str, Array]) -> list[Any] | None:
    name = next((name for name in _CLASSES if name in found), None)
    if name is None:
        return None
    if found[name].ndim != 1:
        what = f"{name} has shape {found[name].shape}, expected (classes,): a name for each class"
        raise damaged(path, what, f'save {name}=np.array(["cat", "dog"])')
    return found[name].tolist()


def _part(name: str) -> str | None:
    """Such as ``train_x`` for an array called ``X_train``; None for what is something else."""
    words = name.lower().split("_")
    roles = [_ROLES[word] for word in words if word in _ROLES]
    parts = [_PARTS[word] for word in words if word in _PARTS]
    if len(roles) != 1 or len(parts) > 1 or len(roles) + len(parts) != len(words):
        return None
    return f"{(*parts, 'train')[0]}_{roles[0]}"


def _require_pairs(path: Path, parts: dict[str, Array], found: dict[str, Array]) -> None:
    names = ", ".join(sorted(found)) or "nothing"
    for part in ("train", "test", "valid"):
        there = [kind for kind in "xy" if f"{part}_{kind}" in parts]
        if len(there) == 1 or (part == "train" and not there):
            missing = f"{part}_{'y' if there == ['x'] else 'x'}"
            raise DataError(
                f"{named(path)} has no array {missing}; it has {names}",
                fix="name the arrays train_x, train_y, test_x, test_y, or x and y",
            )
