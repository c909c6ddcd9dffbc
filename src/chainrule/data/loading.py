"""A data set from a name or a path, whatever it is."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainrule.data.archives import npz
from chainrule.data.cifar import cifar_folder, missing_cifar_files
from chainrule.data.dataset import Dataset
from chainrule.data.files import PathLike, as_path, is_folder, named, unreadable
from chainrule.data.folders import image_folder, is_picture, subfolders
from chainrule.data.idx import idx_files, idx_folder
from chainrule.data.known import cifar10, fashion_mnist, mnist
from chainrule.data.packaged import digits
from chainrule.data.tables import csv
from chainrule.errors import ArgumentError, DataError
from chainrule.formula.mistakes import closest

NAMED: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
}
"""Data sets that have a name."""

_TABLES = (".csv", ".tsv")
_PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def load(where: PathLike, **options: Any) -> Dataset:
    """A data set from its name or its place.

    Args:
        where: ``"digits"``, ``"mnist"``, ``"fashion-mnist"`` or ``"cifar10"``; or the path of

            - a folder of IDX files (:func:`mnist`; of Fashion-MNIST if ``fashion`` is in its name), of CIFAR-10's
              binary files (:func:`cifar10`), of pictures in a subfolder for each class (:func:`image_folder`), or of
              ``.npy`` files (:func:`npz`);
            - a ``.csv`` or ``.tsv`` file, perhaps with ``.gz`` (:func:`csv`), or an ``.npz`` file (:func:`npz`).

            A name wins over a path: write ``./digits``, or pass a ``Path``, for a folder of that name.
        options: what the function that loads it takes, such as ``size=32`` for pictures, ``label="kind"`` for tables,
            ``test=0.1`` where the data has no part to test on.

    Raises:
        DataError: there is no such data set, or it is missing, damaged, or not what it should be.
        ArgumentError: an option that does not apply, or is out of range.

    Example:
        >>> load("digits")
        <Dataset: 1437 examples to train on, 360 to test on, of shape (64,); 10 classes>
    """
    name = known_name(where)
    if name is not None:
        return _call(NAMED[name], (), options, f"the data set {name}")
    path = as_path("load", where)
    loader = _loader(path)
    return _call(loader, (path,), options, named(path))


def known_name(where: PathLike) -> str | None:
    """The name in `NAMED` of the data set that a text names, in whatever case; None for a path."""
    if not isinstance(where, str):
        return None
    name = where.lower().replace("_", "-")
    name = {"fashionmnist": "fashion-mnist", "cifar-10": "cifar10"}.get(name, name)
    return name if name in NAMED else None


def _call(
    loader: Callable[..., Dataset], given: tuple[Any, ...], options: dict[str, Any], what: str
) -> Dataset:
    known = list(inspect.signature(loader).parameters)[len(given) :]
    for name in options:
        if name not in known:
            takes = ", ".join(known) or "no options"
            raise ArgumentError(f"load: {what} takes no option {name}", fix=f"it takes {takes}")
    return loader(*given, **options)


def _loader(path: Path) -> Callable[..., Dataset]:
    """Which function loads what is there."""
    if is_folder(path):
        return _loader_of_folder(path)
    if not os.path.lexists(path):
        guess = closest(str(path), NAMED)
        fix = f"did you mean {guess}?" if guess else f"pass a path, or one of {', '.join(NAMED)}"
        raise DataError(f"{named(path)} is neither a data set's name nor a path", fix=fix)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if last in _TABLES or (last == ".gz" and suffixes[-2:-1] and suffixes[-2] in _TABLES):
        return csv
    if last == ".npz":
        return npz
    raise DataError(f"{named(path)} is not known to be a data set", fix=_fix_for(path, last))


def _fix_for(path: Path, suffix: str) -> str:
    if suffix == ".npy":
        return "save examples and labels together: np.savez(path, x=x, y=y)"
    if suffix in _PICKLES:
        return "pickles can run any program and are not read: save arrays with np.savez(path, x=x, y=y)"
    if suffix in _PACKED:
        return "unpack it, and pass the folder"
    if is_picture(path):
        return "pass the folder that has a subfolder for each class"
    return "pass a .csv, .tsv or .npz file, or a folder"


def _loader_of_folder(path: Path) -> Callable[..., Dataset]:
    for place in (path, path / "raw"):
        if idx_files(place):
            return _fashion_or(place)
    if len(missing_cifar_files(path)) < 2:
        return cifar_folder
    if any(path.glob("*.npy")):
        return npz
    if subfolders(path):
        return image_folder
    try:
        there = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise unreadable(path, error) from None
    raise DataError(
        f"{named(path)} has {_listed(there)}: no IDX files, CIFAR-10 batches, .npy files or folders of pictures",
        fix="pass the folder that has them, or a file",
    )


def _fashion_or(place: Path) -> Callable[..., Dataset]:
    """Fashion-MNIST has the files of MNIST, and only the name of its folder tells them apart."""
    folder = place.parent if place.name == "raw" else place
    fashion = "fashion" in folder.absolute().name.lower()
    return lambda path: fashion_mnist(place) if fashion else idx_folder(place)


def _listed(names: list[str]) -> str:
    shown = ", ".join(named(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "nothing in it"
