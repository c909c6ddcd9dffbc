"""Tables that people bring: text of whatever program wrote it, looked at, and turned into points."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.examples import moments
from chainrule.data.tables import in_order, is_header, is_number
from chainrule.errors import DataError, shown
from chainrule.explain.numbers import count_text, counted
from chainrule.studio.networks.examples import Examples, split

MOST_BYTES, MOST_LINES, MOST_COLUMNS, MOST_CLASSES = 1_000_000, 5_000, 200, 10
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
_SHOWN = 3
_LONGEST = 60
_MOSTLY = 0.75


@dataclass(frozen=True, slots=True)
class Column:
    """What is in a column.

    Attributes:
        name: in the header, or its number.
        numeric: whether fields are numbers, but for a few.
        counts: whether it only numbers the lines.
        different: how many different values there are.
        examples: the first few of them.
    """

    name: str
    numeric: bool
    counts: bool
    different: int
    examples: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text.

    Attributes:
        columns: what is in each.
        rows: number of the line in the file, and fields.
        titled: whether the first line names the columns.
        delimiter: between fields.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[int, list[str]]]
    titled: bool
    delimiter: str

    @property
    def suggestion(self) -> dict[str, Any]:
        """Which columns to learn from, and which to learn: texts that name classes, else the last column."""
        fit = [c for c in self.columns if 2 <= c.different <= MOST_CLASSES]
        texts = [c for c in fit if not c.numeric]
        last = self.columns[-1]
        label = (texts or ([last] if last.numeric and last.different > 1 else fit) or [last])[-1].name
        usable = [c for c in self.columns if c.numeric and c.different > 1 and c.name != label]
        inputs = [c.name for c in sorted(usable, key=lambda c: c.counts)]
        return {"inputs": inputs[:2], "label": label}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what a person chooses from."""
        return {
            "lines": len(self.rows),
            "titled": self.titled,
            "delimiter": _DELIMITERS.get(self.delimiter, "blanks"),
            "columns": [
                {"name": c.name, "numeric": c.numeric, "different": c.different, "examples": list(c.examples)}
                for c in self.columns
            ],
            "suggestion": self.suggestion,
        }


def text_of_file(name: str | PathLike[str]) -> str:
    """The text of a table in a file. What is no UTF-8 is read as Windows writes it, as on the page.

    Raises:
        DataError: there is no such file, or it is too large for a table.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataError(
            f"table: there is no file {shown(str(name))}",
            fix="pass the name of a CSV file, such as table=flowers.csv",
        )
    try:
        with open(path, "rb") as file:
            found = file.read(2 * MOST_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"table: {shown(str(name))} cannot be read: {error}", fix="see whether it opens elsewhere"
        ) from None
    if found.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return found.decode("utf-16", "replace")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError:
        return found.decode("cp1252", "replace")


def read_table(text: str, titled: bool | None = None) -> Table:
    """Read a table, whatever its fields are separated by.

    Args:
        text: with a line for each example. Fields may be quoted with ``"``; decimal commas are understood where
            commas do not separate.
        titled: whether the first line names the columns; by default it does if numbers stand below what is none.

    Raises:
        DataError: it is no table, or too large; with the line and what to do.

    Example:
        >>> found = read_table("height;width;kind\\n1,5;2;a\\n3;4,25;b\\n1;1;a\\n2;3;b")
        >>> found.delimiter, found.suggestion["inputs"], found.rows[0]
        (';', ['height', 'width'], (2, ['1.5', '2', 'a']))
    """
    text = _checked(text)
    delimiter = _delimiter(text)
    rows = list(_rows(text, delimiter))
    if not rows:
        raise DataError("the table is empty", fix="write one example on each line: x1, x2, label")
    if delimiter != ",":
        rows = [(line, [_pointed(field) for field in fields]) for line, fields in rows]
    width = _width(rows, delimiter)
    has_title = titled if titled is not None else len(rows) > 1 and is_header(rows[0][1], rows[1][1])
    if titled is None and len(rows) > 1 and not any(map(is_number, rows[0][1])):
        has_title = has_title or not any(map(is_number, rows[1][1]))
    names = _names(rows[0][1] if has_title else [""] * width)
    body = rows[1:] if has_title else rows
    if len(body) > MOST_LINES:
        raise DataError(
            f"the table has {count_text(len(body))} lines, more than {count_text(MOST_LINES)}",
            fix="bring fewer: some hundred are enough to see a small network learn",
        )
    if len(body) < 4:
        raise DataError(
            f"the table has {counted(len(body), 'example')}", fix="bring at least 4 lines of data"
        )
    columns = tuple(_column(name, [fields[i] for _, fields in body]) for i, name in enumerate(names))
    return Table(columns, body, has_title, delimiter)


def _checked(text: str) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size > MOST_BYTES:
        raise DataError(
            f"the table has {count_text(size)} bytes, more than {count_text(MOST_BYTES)}",
            fix="bring fewer lines: some hundred are enough to see a small network learn",
        )
    if "\0" in text or text.startswith(("PK\x03", "%PDF", "\x89PNG")):
        raise DataError(
            "this file is not a text table", fix="save the table as CSV: text with one example on each line"
        )
    return text.removeprefix("\ufeff")


def _delimiter(text: str) -> str:
    """What separates fields: what occurs in most lines equally often; blanks if nothing else does."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    found: list[tuple[int, int, str]] = []
    for delimiter in _DELIMITERS:
        counts = Counter(len(fields) for _, fields in _rows("\n".join(lines), delimiter, strict=False))
        fields, times = max(counts.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        if fields > 1:
            found.append((times, -"\t;|,".index(delimiter), delimiter))
    return max(found)[2] if found else " "


def _rows(text: str, delimiter: str, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line that is not empty."""
    if delimiter == " ":
        rows = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
        yield from ((number, fields) for number, fields in rows if fields)
        return
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=strict, skipinitialspace=True
    )
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: {error}", fix="mend the quotes in this line") from None


def _pointed(field: str) -> str:
    return field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field


def _width(rows: Sequence[tuple[int, list[str]]], delimiter: str) -> int:
    """How many fields a line has."""
    width = Counter(len(fields) for _, fields in rows).most_common(1)[0][0]
    if width < 2:
        raise DataError(
            f"line {rows[0][0]}: there is a single column: {shown(rows[0][1][0])}",
            fix="write inputs and label on each line, separated by commas: 0.5, -1, yes",
        )
    if width > MOST_COLUMNS:
        raise DataError(f"the table has {width} columns, more than {MOST_COLUMNS}", fix="leave some out")
    for line, fields in rows:
        if len(fields) != width:
            raise DataError(
                f"line {line} has {counted(len(fields), 'field')}, the others {width}, separated by "
                f"{_DELIMITERS.get(delimiter, 'blanks')}",
                fix="mend the line, or remove it",
            )
    return width


def _names(given: list[str]) -> list[str]:
    """A name of its own for each column."""
    names: list[str] = []
    for i, name in enumerate(given, 1):
        short = " ".join(name.split())[:_LONGEST] or f"column {i}"
        names.append(short if short not in names else f"{short} ({i})")
    return names


def _is_missing(field: str) -> bool:
    return field.strip().lower() in _MISSING


def _column(name: str, fields: list[str]) -> Column:
    present = [field for field in fields if not _is_missing(field)]
    different = list(dict.fromkeys(present))
    numbers = sum(map(is_number, present))
    numeric = bool(present) and numbers >= _MOSTLY * len(present)
    examples = tuple(text[:_LONGEST] for text in different[:_SHOWN])
    return Column(name, numeric, _is_count(fields), len(different), examples)


def _is_count(fields: list[str]) -> bool:
    """Whether a column only numbers the lines."""
    return fields in ([str(i) for i in range(start, start + len(fields))] for start in (0, 1))


def points_of(
    table: Table, inputs: Sequence[str], label: str, tests: float, seed: int, skip: bool = False
) -> Examples:
    """The points of a table, standardized to mean 0 and standard deviation 1.

    Args:
        table: see :func:`read_table`.
        inputs: names of one or two columns of numbers.
        label: name of the column to learn: texts and up to ten different whole numbers name classes.
        tests: which share is for testing.
        seed: decides which.
        skip: leave out lines in which something is missing or no number.

    Raises:
        DataError: a column does not exist or is not fit, or a line is not; with the line and what to do.
    """
    places = {c.name: i for i, c in enumerate(table.columns)}
    for name in (*inputs, label):
        if name not in places:
            raise DataError(
                f"there is no column {shown(name)}", fix=f"columns are {', '.join(list(places)[:20])}"
            )
    if not 1 <= len(set(inputs)) == len(inputs) <= 2 or label in inputs:
        raise DataError(
            f"inputs are {', '.join(inputs) or 'none'}, and the label is {label}",
            fix="choose one or two columns as inputs, and another one as label",
        )
    rows = _usable(table, [places[name] for name in inputs], places[label], skip)
    given = np.array([[float(fields[places[name]]) for name in inputs] for _, fields in rows])
    for i, name in enumerate(inputs):
        if given[:, i].min() == given[:, i].max():
            raise DataError(f"{name} is {given[0, i]:g} in every line", fix="choose another column as input")
    y, classes = _labels([fields[places[label]] for _, fields in rows], label)
    mean, deviation = moments(given, given.shape[1])
    level, size = (0.0, 1.0) if classes else (float(y.mean()), float(y.std()) or 1.0)
    return Examples(
        "classes" if classes else "numbers", (given - mean) / deviation, y if classes else (y - level) / size,
        split(y, tests, seed, classes), classes, tuple(inputs), label, given, mean, deviation, level, size,
    )  # fmt: skip


def _usable(table: Table, inputs: list[int], label: int, skip: bool) -> list[tuple[int, list[str]]]:
    """Lines whose fields are what they should be."""
    fit: list[tuple[int, list[str]]] = []
    wrong: list[tuple[int, str]] = []
    for line, fields in table.rows:
        what = _wrong(table, fields, inputs, label)
        if what:
            wrong.append((line, what))
        else:
            fit.append((line, fields))
    if wrong and not skip:
        line, what = wrong[0]
        more = f", and {counted(len(wrong) - 1, 'more line')} cannot be used" if len(wrong) > 1 else ""
        raise DataError(f"line {line}: {what}{more}", fix="mend the table, or leave out such lines (skip)")
    if len(fit) < 4:
        raise DataError(
            f"only {counted(len(fit), 'line')} can be used", fix="choose other columns, or bring more lines"
        )
    return fit


def _wrong(table: Table, fields: list[str], inputs: list[int], label: int) -> str | None:
    """What is wrong with the fields of a line that are used."""
    for i in inputs:
        if _is_missing(fields[i]):
            return f"{table.columns[i].name} is missing"
        if not is_number(fields[i]):
            return f"{table.columns[i].name} is {shown(fields[i])}, expected a number"
        if not abs(float(fields[i])) < 1e30:
            return f"{table.columns[i].name} is {fields[i]}, which is beyond all measure"
    return f"{table.columns[label].name} is missing" if _is_missing(fields[label]) else None


def _labels(texts: list[str], label: str) -> tuple[Any, tuple[str, ...]]:
    """Numbers of classes and their names; or numbers to learn, and no names."""
    different = list(dict.fromkeys(texts))
    numeric = all(map(is_number, different))
    if numeric and (len(different) > MOST_CLASSES or not all(float(text).is_integer() for text in different)):
        numbers = np.array([float(text) for text in texts])
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e30:
            raise DataError(f"{label} holds a number that is not finite", fix="mend the table")
        return numbers, ()
    if len(different) > MOST_CLASSES:
        raise DataError(
            f"{label} has {len(different)} different texts, more than {MOST_CLASSES} classes",
            fix="choose another column as label",
        )
    if len(different) < 2:
        raise DataError(
            f"{label} is {shown(different[0])} in every line: there is nothing to tell apart",
            fix="choose another column as label",
        )
    names = in_order(different)
    numbers = {name: i for i, name in enumerate(names)}
    y = np.array([numbers[text] for text in texts], np.int64)
    if np.bincount(y).min() < 2:
        rare = names[int(np.argmin(np.bincount(y)))]
        raise DataError(
            f"there is a single line of {label} {shown(rare)}", fix="bring two of each, or remove it"
        )
    return y, tuple(name[:_LONGEST] for name in names)
