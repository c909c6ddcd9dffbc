"""Where data sets that have a name may lie on this machine. Nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from chainrule.data.files import PathLike, as_path, is_folder, named
from chainrule.errors import DataError

VARIABLE = "CHAINRULE_DATA"
SYSTEM = Path("/usr/share/datasets")
"""Where Debian's packages of data sets put them."""


def own_folder() -> Path:
    """The folder for a user's data sets.

    Example:
        >>> own_folder().parts[-2:]
        ('chainrule', 'datasets')
    """
    return Path(platformdirs.user_data_dir("chainrule", appauthor=False)) / "datasets"


def roots() -> list[Path]:
    """Folders that may have data sets in them: what ``CHAINRULE_DATA`` names, the user's, the system's, Keras's, and
    ``data`` in the folder at work, which torch's examples fill."""
    listed = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part.strip()]
    return [
        *(as_path(VARIABLE, part) for part in listed),
        own_folder(),
        SYSTEM,
        as_path("Keras's folder", "~/.keras/datasets"),
        Path("data"),
    ]


def located(
    name: str, folder: PathLike | None, within: tuple[str, ...], lacks: Callable[[Path], list[str]], get: str
) -> Path:
    """The folder, or the one file, that has a data set.

    Args:
        name: of the data set.
        folder: that the user gave: it, or one of ``within`` in it. None to look in all :func:`roots`.
        within: how its folder is called, by those who put it there.
        lacks: names of the files that are missing in a place; those of an empty place are all.
        get: where to get the files.

    Raises:
        DataError: no place has all of them; it tells where it looked, what is missing where some are there, and what
            to do.
    """
    searched = roots() if folder is None else [as_path(name, folder)]
    beside = () if folder is None else (".", "raw")
    candidates = [root / sub for root in searched for sub in (*beside, *within)]
    for candidate in candidates:
        if not lacks(candidate):
            return candidate
    where = "on this machine" if folder is None else f"in {named(searched[0])}"
    looked = "\n    ".join((f"looked for {', '.join(within)} in", *map(named, searched)))
    raise DataError(
        f"{name} is not {where}{_partly(candidates, lacks)}; {looked}",
        fix=f"{get}; put it into {named(own_folder() / within[0])}, or pass the path of its folder, "
        f"or name the folder above that in {VARIABLE}",
    )


def _partly(candidates: list[Path], lacks: Callable[[Path], list[str]]) -> str:
    """What is missing where some of the files are."""
    for path in candidates:
        missing = lacks(path)
        if is_folder(path) and len(missing) < len(lacks(path / "nothing")):
            return f": {named(path)} lacks {', '.join(missing)}"
    return ""
