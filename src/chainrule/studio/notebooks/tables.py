"""A table of one's own, from whatever Python has of it, as the network page has it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from chainrule.errors import ArgumentError, DataError, shown
from chainrule.studio.networks.tables import MOST_BYTES

Table: TypeAlias = Mapping[str, Any]
"""``text``, and perhaps ``inputs``, ``label``, ``titled``, ``skip``."""

_NAMES = ("text", "inputs", "label", "titled", "skip")


def table_of(given: str | PathLike[str] | Table | None) -> dict[str, Any] | None:
    """A table from its text, its file, or both with names of columns.

    Raises:
        ArgumentError: it is none of these.
        DataError: the file cannot be read, or is too large.

    Example:
        >>> table_of("x,y\\n1,2\\n"), table_of({"text": "x,y\\n1,2", "label": "y", "inputs": []})
        ({'text': 'x,y\\n1,2\\n'}, {'text': 'x,y\\n1,2', 'label': 'y'})
    """
    if isinstance(given, str) and "\n" in given:
        return {"text": given}
    if isinstance(given, (str, PathLike)):
        return {"text": _text_of(Path(given).expanduser())}
    if given is not None and not _is_table(given):
        raise ArgumentError(
            f"table: expected text, inputs and label, got {shown(given)}",
            fix="pass the path of a CSV file, or {'text': 'x1,x2,label\\n...'}",
        )
    return plain_table(given)


def _is_table(given: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("text"), str) and set(given) <= set(_NAMES)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def plain_table(given: Table | None) -> dict[str, Any] | None:
    """The same without what says nothing."""
    if given is None:
        return None
    return {name: one for name, one in given.items() if one is not None and one not in ([], "", False)}


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > 2 * MOST_BYTES:
            raise DataError(f"{path} is too large for a table", fix=f"bring at most {MOST_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="correct its path") from None
    for encoding in ("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path} is no text", fix="save the table as CSV, in UTF-8")
