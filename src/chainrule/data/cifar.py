"""CIFAR-10's binary layout, with all of its classes or some.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "Binary version" at
https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte and 3,072 pixel bytes, the red, green and blue
planes of 32 × 32 pixels one after another.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.files import LIMIT, PathLike, as_path, damaged, exists, length, lines, named, opened
from chainrule.data.idx import require_known
from chainrule.data.preparation import Preparation
from chainrule.errors import DataError
from chainrule.primitive import Array

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAMES_FILE = "batches.meta.txt"
TEST_FILE = "test_batch.bin"
_BATCH = re.compile(r"data_batch_(\d{1,4})\.bin")
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE


def cifar_batches(folder: Path) -> dict[int, Path]:
    """The files of a folder that hold training images, by their numbers, in this order."""
    try:
        found = [(int(m[1]), path) for path in folder.iterdir() if (m := _BATCH.fullmatch(path.name))]
    except OSError:
        return {}
    return dict(sorted(found))


def missing_cifar_files(folder: Path) -> list[str]:
    """Names of the files without which a folder is none for :func:`cifar_folder`."""
    first = [] if cifar_batches(folder) else ["data_batch_1.bin"]
    return first if exists(folder / TEST_FILE) else [*first, TEST_FILE]


def cifar_folder(folder: PathLike) -> Dataset:
    """A folder of ``data_batch_1.bin`` and so on, ``test_batch.bin``, and ``batches.meta.txt`` with the classes' names.

    Args:
        folder: that has them. Any number of training files, numbered from 1 without gaps, of any length; without the
            file of names the classes are those of CIFAR-10.

    Returns:
        Raw uint8 images ``(n, 32, 32, 3)``, prepared by division by 255.

    Raises:
        DataError: a file is missing or damaged, or is not what it should be.
    """
    place = as_path("cifar_folder", folder)
    batches = cifar_batches(place)
    gap = next((n for n in range(1, max(batches, default=0)) if n not in batches), None)
    missing = missing_cifar_files(place) + ([] if gap is None else [f"data_batch_{gap}.bin"])
    if missing:
        raise DataError(f"{named(place)} lacks {', '.join(missing)}", fix=_FIX)
    classes = lines(place / NAMES_FILE) if exists(place / NAMES_FILE) else CIFAR10_CLASSES
    train_x, train_y = _records(list(batches.values()), classes)
    test_x, test_y = _records([place / TEST_FILE], classes)
    return Dataset(train_x, train_y, test_x, test_y, classes, preparation=Preparation(scale=255))


_FIX = (
    "get the binary version of CIFAR-10, cifar-10-binary.tar.gz, and unpack it; the Python version is pickles, "
    "which can run any program, and is not read"
)


def _records(paths: list[Path], classes: tuple[str, ...]) -> tuple[Array, Array]:
    """Images and labels of some files, one after another. They cannot be written to."""
    counts = []
    for path in paths:
        size = length(path)
        if size % _RECORD or not size:
            raise damaged(path, f"{size} bytes, expected a multiple of {_RECORD}: cut off, or another layout")
        counts.append(size // _RECORD)
    if sum(counts) * _RECORD > LIMIT:
        raise damaged(
            paths[0], f"this and its like have {sum(counts) * _RECORD} bytes, more than {LIMIT}", "use fewer"
        )
    images = np.empty((sum(counts), _SIDE, _SIDE, 3), np.uint8)
    labels = np.empty(sum(counts), np.int64)
    first = 0
    for path, n in zip(paths, counts, strict=True):
        with opened(path, unpack=False) as source:  # label 31 and pixel 139 are how gzip begins
            records = np.frombuffer(source.exactly(n * _RECORD, f"{n} records"), np.uint8).reshape(n, _RECORD)
        require_known(path, records[:, 0], classes)
        labels[first : first + n] = records[:, 0]
        planes = records[:, 1:].reshape(n, 3, _SIDE, _SIDE)
        images[first : first + n] = planes.transpose(0, 2, 3, 1)
        first += n
    for array in (images, labels):
        array.flags.writeable = False
    return images, labels
