"""IDX files, the format of MNIST and of those that followed it.

Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998, "File formats for the MNIST
database": two zero bytes, one for the dtype, one for the number of axes; the sizes, then the numbers, all with the
most significant byte first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.files import PathLike, as_path, damaged, exists, lines, named, opened
from chainrule.data.pictures import pixels_text
from chainrule.data.preparation import Preparation
from chainrule.errors import DataError
from chainrule.primitive import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 8
_LAYOUT = {"train": "train", "test": "t10k"}
"""How the names of the files begin, for each part."""
CLASSES_FILE = "classes.txt"


def read_idx(path: PathLike) -> Array:
    """The array in an IDX file, which may be packed by gzip.

    Args:
        path: of the file.

    Returns:
        In the byte order of this machine. It cannot be written to.

    Raises:
        DataError: the file cannot be read, is no IDX file, or holds less or more than its header says.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx("labels-idx1-ubyte").tolist()
        [7, 2, 1]
    """
    place = as_path("read_idx", path)
    with opened(place) as source:
        start = bytes(source.read(4))
        if (
            len(start) < 4
            or start[:2] != b"\0\0"
            or start[2] not in _DTYPES
            or not 1 <= start[3] <= _MOST_AXES
        ):
            raise damaged(
                place, f"no IDX file: it begins with {start.hex(' ') or 'nothing'}", "pass an IDX file"
            )
        dtype, rank = np.dtype(_DTYPES[start[2]]), start[3]
        sizes = [int(n) for n in np.frombuffer(source.exactly(4 * rank, "the header"), ">u4")]
        return source.numbers(f"{dtype.name} numbers of shape {tuple(sizes)}", dtype, sizes)


def idx_files(folder: Path) -> dict[str, Path]:
    """The four files of a folder, by ``train_x``, ``train_y``, ``test_x``, ``test_y``, as far as they are there.

    Packed or not, and with a point instead of the first hyphen as some copies have it; what is not packed wins.
    """
    found = {}
    for part, prefix in _LAYOUT.items():
        for kind, role, rank in (("x", "images", 3), ("y", "labels", 1)):
            for joint in "-.":
                for suffix in ("", ".gz"):
                    path = folder / f"{prefix}-{role}{joint}idx{rank}-ubyte{suffix}"
                    if f"{part}_{kind}" not in found and exists(path):
                        found[f"{part}_{kind}"] = path
    return found


def missing_idx_files(folder: Path) -> list[str]:
    """Names of the files that :func:`idx_folder` needs and does not find."""
    there = idx_files(folder)
    return [
        f"{prefix}-{role}-idx{rank}-ubyte"
        for part, prefix in _LAYOUT.items()
        for kind, role, rank in (("x", "images", 3), ("y", "labels", 1))
        if f"{part}_{kind}" not in there
    ]


def idx_folder(
    folder: PathLike, classes: tuple[str, ...] | None = None, image_shape: tuple[int, int] | None = None
) -> Dataset:
    """A folder of four IDX files, ``train-images-idx3-ubyte`` and its like, each perhaps with ``.gz``.

    Args:
        folder: that has them.
        classes: their names; by default the lines of its file ``classes.txt``, or else the numbers from 0 up to the
            largest label.
        image_shape: that images must have; None for any.

    Returns:
        Raw uint8 images ``(n, rows, columns, 1)``, prepared by division by 255.

    Raises:
        DataError: a file is missing or damaged, or is not what it should be.
    """
    place = as_path("idx_folder", folder)
    if missing := missing_idx_files(place):
        raise DataError(
            f"{named(place)} lacks {', '.join(missing)} (or the same with .gz)",
            fix="get all four files: train-images, train-labels, t10k-images, t10k-labels",
        )
    paths = idx_files(place)
    arrays = {name: read_idx(path) for name, path in paths.items()}
    for part in _LAYOUT:
        _require_pair(paths, arrays, part, image_shape)
    names = classes or _names(place, arrays["train_y"])
    for part in _LAYOUT:
        require_known(paths[f"{part}_y"], arrays[f"{part}_y"], names)
    return Dataset(
        arrays["train_x"][..., None],
        arrays["train_y"].astype(np.int64),
        arrays["test_x"][..., None],
        arrays["test_y"].astype(np.int64),
        names,
        preparation=Preparation(scale=255),
    )


def _names(folder: Path, labels: Array) -> tuple[str, ...]:
    path = folder / CLASSES_FILE
    return lines(path) if exists(path) else tuple(map(str, range(int(labels.max()) + 1)))


def require_known(path: Path, labels: Array, classes: tuple[str, ...]) -> None:
    """Check that the labels of a file, uint8, are numbers of ``classes``.

    Raises:
        DataError: one is not.
    """
    wrong = np.flatnonzero(labels >= len(classes))
    if wrong.size:
        raise damaged(
            path,
            f"label {labels[wrong[0]]} in row {wrong[0]}, but there are {len(classes)} classes, numbered from 0",
            f"get the right file, or name all classes in {CLASSES_FILE} or batches.meta.txt",
        )


def _require_pair(
    paths: dict[str, Path], arrays: dict[str, Array], part: str, image_shape: tuple[int, int] | None
) -> None:
    """Images and labels of one part must belong together."""
    (x_path, x), (y_path, y) = ((paths[f"{part}_{kind}"], arrays[f"{part}_{kind}"]) for kind in "xy")
    for path, array, rank in ((x_path, x, 3), (y_path, y, 1)):
        if array.ndim != rank or array.dtype != np.uint8 or not array.size:
            what = f"{array.dtype.name} numbers of shape {array.shape}"
            wanted = "images of bytes, (n, rows, columns)" if rank == 3 else "labels of bytes, (n,)"
            raise damaged(path, f"{what}, expected {wanted}")
    if len(x) != len(y):
        raise damaged(
            x_path, f"{len(x)} images, but {named(y_path)} has {len(y)} labels", "get both files again"
        )
    if image_shape is not None and x.shape[1:] != image_shape:
        rows, columns = image_shape
        raise damaged(
            x_path,
            f"images of {pixels_text(*x.shape[1:])}, expected {columns} × {rows}",
            "load another size by its path: cr.data.load(folder)",
        )
