"""A table of one's own, from whatever Python has of it, as the network page has it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeAlias

from chainrule.errors import ArgumentError, shown
from chainrule.studio.networks.tables import text_of_file

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
        return {"text": text_of_file(given)}
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
    # That the first line is no title has to be said; that no lines are left out goes without saying.
    return {
        name: one
        for name, one in given.items()
        if one is not None and (name == "titled" or one not in ([], "", False))
    }
