"""Folders of pictures: a subfolder for each class."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.documents import sizes
from chainrule.data.files import LIMIT, PathLike, as_path, damaged, named, unreadable
from chainrule.data.pictures import SUFFIXES, file_name, frame_of, pixels_text, read_picture
from chainrule.errors import ArgumentError, DataError, shown
from chainrule.primitive import Array
from chainrule.shapes import Shape

T = TypeVar("T")
R = TypeVar("R")

_PART_FOLDERS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}
_MOST_CLASSES = 10_000
_OWN = ("__MACOSX", "__pycache__")
_READERS = 4
"""Threads that decode: most of the work is done outside of the interpreter's lock."""

Files = dict[str, list[Path]]
"""Pictures by the name of their class."""


def image_folder(
    path: PathLike,
    size: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    test: Any = 0.2,
    key: Any = None,
) -> Dataset:
    """Pictures in one subfolder for each class, or in ``train`` and ``test`` folders that hold such subfolders.

    Only files that end as pictures do are read (``.png``, ``.jpg`` and so on), straight in a class's folder; hidden
    ones are left alone. Links to files and folders are followed. How a picture becomes numbers,
    :mod:`chainrule.data.pictures` says.

    Args:
        path: of the folder. Next to ``train`` there may be ``test`` and ``valid`` (or ``val``), with the same classes.
        size: rows and columns that all pictures are brought to; one number for squares. None takes them as they are,
            all of one size.
        channels: 1 for grey, 3 for colour; by default 1 if all pictures are grey.
        test: which share of the pictures to split off where there is no ``test`` folder, or how many.
        key: chooses what is split off; by default ``cr.random.key(0)``.

    Returns:
        Raw uint8 images ``(n, rows, columns, channels)`` in the order of their names, prepared by division by 255.
        Classes are the names of the folders, in the order of the alphabet.

    Raises:
        DataError: the folder cannot be read, has no pictures in it, or a picture is damaged, too large, or of another
            size than the others.
        ArgumentError: an argument out of range.

    Example:
        >>> from pathlib import Path
        >>> for kind, grey in (("dark", 10), ("bright", 240)):
        ...     Path("shots", kind).mkdir(parents=True)
        ...     for number in range(5):
        ...         picture = b"P5 2 2 255 " + bytes([grey + number] * 4)
        ...         _ = Path("shots", kind, f"{number}.pgm").write_bytes(picture)
        >>> data = image_folder("shots")
        >>> data, data.classes
        (<Dataset: 8 examples to train on, 2 to test on, of shape (2, 2, 1); 2 classes>, ('bright', 'dark'))
    """
    place = as_path("image_folder", path)
    wanted = None if size is None else _size(size)
    if channels not in (None, 1, 3):
        raise ArgumentError(
            f"image_folder: channels must be 1 or 3, got {shown(channels)}", fix="pass channels=3"
        )
    parts = {part: _classes(folder) for part, folder in part_folders(place).items()}
    classes = sorted(parts["train"])
    for part, files in parts.items():
        if strange := sorted(set(files) - set(classes)):
            raise DataError(
                f"{named(place)}: {part} has the class {strange[0]!r}, which train has not",
                fix="use the same folders in both, or remove it",
            )
    shape, resize = _shape(parts, wanted, channels), wanted is not None
    loaded = {part: _load(files, classes, shape, resize) for part, files in parts.items()}
    x, y = loaded["train"]
    tested, watched = loaded.get("test", test), loaded.get("valid")
    try:
        return Dataset.from_arrays(x, y, test=tested, valid=watched, classes=classes, key=key)
    except DataError as error:
        raise damaged(place, error.message, error.fix or "") from None


def part_folders(folder: Path) -> dict[str, Path]:
    """Where the pictures of each part are: in folders ``train``, ``test`` and so on, or else all here.

    A folder that is called train is a class like any other where it stands beside other classes, such as ship, or has
    no folders in it.
    """
    there = {path.name.lower(): path for path in subfolders(folder)}
    found = {part: there[name] for part, names in _PART_FOLDERS.items() for name in names if name in there}
    if "train" in found and len(found) == len(there) and subfolders(found["train"]):
        return found
    return {"train": folder}


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones and those of tools are left out.

    Raises:
        DataError: it cannot be read.
    """
    entries = _entries(folder)
    try:
        return [p for p in entries if p.is_dir() and p.name not in _OWN and not p.name.startswith(".")]
    except OSError as error:
        raise unreadable(folder, error) from None


def _entries(folder: Path) -> list[Path]:
    try:
        # Sorted by bytes, which is the same everywhere.
        return sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name))
    except OSError as error:
        raise unreadable(folder, error) from None


def _classes(folder: Path) -> Files:
    """The pictures of each class; a folder without pictures is an error, since its class could not be learned."""
    files: Files = {}
    for sub in subfolders(folder):
        # Systems differ in how they write letters with accents; what looks the same is the same class.
        name = unicodedata.normalize("NFC", named(sub.name))
        if name in files:
            raise damaged(folder, f"two folders are called {name!r}", "give each class one folder")
        files[name] = [path for path in _entries(sub) if is_picture(path)]
        if not files[name]:
            inner = subfolders(sub)
            what = f"no pictures, but the folder {inner[0].name!r}" if inner else "no pictures"
            raise damaged(
                sub, f"{what} in it", f"put the pictures of a class straight into its folder: {_ENDINGS}"
            )
        if len(files) > _MOST_CLASSES:
            raise damaged(
                folder, f"more than {_MOST_CLASSES} folders", "pass the folder whose subfolders are classes"
            )
    if not files:
        raise damaged(folder, "no folders in it", "put the pictures of each class into a folder of its own")
    return files


_ENDINGS = ", ".join(SUFFIXES)


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _size(size: Any) -> tuple[int, int]:
    both = sizes("size", (size, size) if isinstance(size, int) else size)
    if len(both) != 2:
        raise ArgumentError(
            f"image_folder: size must be (rows, columns), got {shown(size)}", fix="pass size=32"
        )
    return both[0], both[1]


def _shape(parts: dict[str, Files], size: tuple[int, int] | None, channels: int | None) -> Shape:
    """What all pictures become, from what their heads say."""
    paths = [path for files in parts.values() for of_class in files.values() for path in of_class]
    frames = _each(frame_of, paths)
    first = frames[0]
    if size is None:
        for path, frame in zip(paths, frames, strict=True):
            if frame[:2] != first[:2]:
                raise damaged(
                    path,
                    f"wrong image size: {pixels_text(*frame[:2])}, but {file_name(paths[0])} has "
                    f"{pixels_text(*first[:2])}",
                    f"bring all to one size, for example size=({min(first.rows, 64)}, {min(first.columns, 64)}), "
                    "rows and columns",
                )
        size = first.rows, first.columns
    colour = 3 in (frame.channels for frame in frames) if channels is None else channels == 3
    total = len(paths) * size[0] * size[1] * (3 if colour else 1)
    if total > LIMIT:
        raise ArgumentError(
            f"image_folder: {len(paths)} pictures of {pixels_text(*size)} take {total} bytes, "
            f"more than {LIMIT}",
            fix="pass a smaller size: size=64",
        )
    return (*size, 3) if colour else size


def _load(files: Files, classes: list[str], shape: Shape, resize: bool) -> tuple[Array, Array]:
    """All pictures and their labels."""
    pairs = [(path, label) for label, name in enumerate(classes) for path in files.get(name, [])]
    images = np.empty((len(pairs), *shape[:2], 3 if len(shape) == 3 else 1), np.uint8)

    def load(number: int) -> None:
        images[number] = read_picture(pairs[number][0], shape, resize=resize).reshape(images.shape[1:])

    _each(load, range(len(pairs)))
    return images, np.array([label for _, label in pairs], np.int64)


def _each(function: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """What a function gives for each argument, by several threads."""
    from concurrent.futures import ThreadPoolExecutor  # here, since it takes 7 ms

    with ThreadPoolExecutor(_READERS) as readers:
        try:
            return list(readers.map(function, arguments))
        except DataError as error:  # once more, from here: a thread does not know the user's line
            raise DataError(error.message, fix=error.fix) from None
