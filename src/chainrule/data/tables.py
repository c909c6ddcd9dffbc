"""Tables in text: one example on each line, one column of which says what to learn."""

from __future__ import annotations

import itertools
import math
import re
from array import array as compact
from collections.abc import Iterator, Sequence
from csv import Error as FormatError
from csv import reader
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.files import LIMIT, PathLike, as_path, damaged, named, text_lines
from chainrule.errors import ArgumentError, DataError, shown
from chainrule.primitive import Array
from chainrule.shapes import as_flag, as_sequence

_MANY = 100
"""Classes that a column of integers may have without it being said that it names classes."""
_MOST_COLUMNS = 1 << 20
_LONGEST_NAME = 200
_OF_A_LINE = 72
"""Bytes besides its features that a line takes, most of them while the parts are split off."""
_OF_A_LABEL = 200
"""Bytes besides its characters that a label takes which did not occur before."""
_LARGEST = float(np.finfo(np.float32).max)
_INTEGER = re.compile(r"\s*[+-]?\d{1,18}\s*")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def csv(
    path: PathLike,
    label: int | str = -1,
    *,
    test: Any = 0.2,
    key: Any = None,
    delimiter: str | None = None,
    header: bool | None = None,
    ignore: Sequence[int | str] = (),
    targets: str | None = None,
    standardize: bool = True,
) -> Dataset:
    """A table of numbers with a column of labels.

    Args:
        path: of a text file in UTF-8, which may be packed by gzip.
        label: the column to learn: its number, from 0, or negative from the end; or its name in the header.
        test: which share of the lines to test on, or how many; or the path of another table with the same columns.
        key: chooses what is split off; by default ``cr.random.key(0)``.
        delimiter: between fields; by default a tab in files that end in ``.tsv``, else a comma. Fields may be quoted
            with ``"``.
        header: whether the first line names the columns; by default it does unless it has numbers wherever the
            second line has them.
        ignore: columns to leave out, by number or name.
        targets: ``"classes"`` or ``"numbers"``, for a regression. By default texts and integers name classes, and
            numbers with a point do not; of more than 100 different integers it must be said.
        standardize: whether features are prepared to have mean 0 and standard deviation 1, since columns in different
            units do not train well otherwise.

    Returns:
        ``train_x`` float32, shape ``(n, features)``, or float64 where float32 would not tell the numbers of a column
        apart; either is prepared as float32. Classes in the order of their numbers, or of the alphabet.

    Raises:
        DataError: the file cannot be read, a line has another number of fields than the first, two columns have one
            name, a feature is no finite number, or all of it would take more than 4 GiB of memory.
        ArgumentError: no such column, or an argument out of range.

    Example:
        >>> from pathlib import Path
        >>> lines = ["height,width,kind", "1,2,a", "3,4,b", "5,6,a", "7,8,b"]
        >>> _ = Path("table.csv").write_text("\\n".join(lines))
        >>> data = csv("table.csv", "kind", test=0.5)
        >>> data.classes, data.features, data.train_x.shape
        (('a', 'b'), ('height', 'width'), (2, 2))
    """
    as_flag("csv", "standardize", standardize)
    if targets not in (None, "classes", "numbers"):
        raise ArgumentError(
            f'csv: targets must be "classes" or "numbers", got {shown(targets)}', fix='pass targets="numbers"'
        )
    place = as_path("csv", path)
    table = _read(place, delimiter, header, label, ignore)
    classes = in_order(table.labels) if (targets or _kind(place, table)) == "classes" else None
    part = test
    if isinstance(test, (str, Path)):
        other = _read(as_path("csv", test), delimiter, header, label, ignore)
        if other.features != table.features:
            raise damaged(
                other.path, f"other columns than {named(place)}", "use tables with the same columns"
            )
        part = (other.x(), _labels(other, classes))
    x, y = table.x(), _labels(table, classes)
    try:
        data = Dataset.from_arrays(x, y, test=part, classes=classes, key=key, features=table.features)
    except DataError as error:
        raise damaged(place, error.message, error.fix or "") from None
    return data.standardized() if standardize else data


class _Table:
    """The numbers and labels of a file, line by line: a label that occurs again is a number, as a text takes 60 bytes.

    Attributes:
        labels: the different ones, in the order in which they first occur.
    """

    def __init__(self, path: Path, features: tuple[str, ...], label: str) -> None:
        self.path, self.features, self.label = path, features, label
        self.labels: list[str] = []
        self._codes: dict[str, int] = {}
        self._numbers, self._coded, self._lines = compact("d"), compact("i"), compact("q")
        self._room = LIMIT

    def append(self, line: int, fields: list[str], label: str) -> None:
        try:
            self._numbers.extend(_as_numbers(fields))
        except ValueError:
            wrong = next(i for i, field in enumerate(fields) if not is_number(field))
            raise self._no_number(line, self.features[wrong], fields[wrong]) from None
        code = self._codes.get(label)
        if code is None:
            code = self._new(line, label)
        self._room -= _OF_A_LINE + 8 * len(fields)
        if self._room < 0:
            what = f"takes more than {LIMIT} bytes of memory up to line {line}"
            raise damaged(self.path, what, "cut it into smaller files")
        self._coded.append(code)
        self._lines.append(line)

    def _new(self, line: int, label: str) -> int:
        """The number of a label that has not occurred yet."""
        if not 0 < len(label) <= _LONGEST_NAME:
            raise self._no_label(line, label)
        self._room -= _OF_A_LABEL + 4 * len(label)
        self._codes[label] = len(self.labels)
        self.labels.append(label)
        return self._codes[label]

    def x(self) -> Array:
        """The features, float64, shape ``(n, features)``; they cannot be written to.

        Raises:
            DataError: one is no finite number of float32.
        """
        x = np.frombuffer(self._numbers, np.float64).reshape(-1, len(self.features))
        finite = np.abs(x) <= _LARGEST
        if not finite.all():
            row, column = map(int, np.argwhere(~finite)[0])
            raise self._no_number(self._lines[row], self.features[column], str(x[row, column]))
        x.flags.writeable = False
        return x

    def numbered(self, classes: list[str]) -> Array:
        """The labels as numbers of ``classes``.

        Raises:
            DataError: one is none of them.
        """
        numbers = {name: number for number, name in enumerate(classes)}
        for label in self.labels:
            if label not in numbers:
                what = f"{self._first(label)}, which never occurs in training"
                raise damaged(self.path, what, "check how it is written, or remove the line")
        return np.array([numbers[label] for label in self.labels], np.int64)[self._coded]

    def targets(self) -> Array:
        """The labels as targets of a regression, float32.

        Raises:
            DataError: one is no finite number.
        """
        for label in self.labels:
            if not is_number(label) or not -_LARGEST <= float(label) <= _LARGEST:
                what = f"{self._first(label)}, expected a finite number of float32"
                raise damaged(self.path, what, 'mend it, or remove the line; texts need targets="classes"')
        return np.array(list(map(float, self.labels)), np.float32)[self._coded]

    def _first(self, label: str) -> str:
        """Where a label occurs first, for a message."""
        line = self._lines[self._coded.index(self._codes[label])]
        return f"line {line}: {self.label} is {shown(label)}"

    def _no_number(self, line: int, title: str, field: str) -> DataError:
        if not field.strip():
            return damaged(self.path, f"line {line}: {title} is empty", "fill it in, or remove the line")
        return damaged(
            self.path,
            f"line {line}: {title} is {shown(field)}, expected a finite number of float32",
            f"write a number, or leave the column out: ignore=[{title!r}]",
        )

    def _no_label(self, line: int, label: str) -> DataError:
        what = f"has {len(label)} characters, more than {_LONGEST_NAME}" if label else "is empty"
        return damaged(
            self.path, f"line {line}: {self.label} {what}", "write a short name, or remove the line"
        )


def _read(path: Path, delimiter: Any, header: bool | None, label: Any, ignore: Any) -> _Table:
    separator = _delimiter(path, delimiter)
    rows = _rows(path, separator)
    first, second = next(rows, None), next(rows, None)
    if first is None or second is None:
        raise damaged(path, "no examples", "write one example on each line")
    titled = is_header(first[1], second[1]) if header is None else as_flag("csv", "header", header)
    names = [name.strip() for name in first[1]] if titled else None
    width = len(first[1])
    if width < 2:
        raise damaged(
            path, f"a single column: {shown(first[1][0])}", _other_delimiter(first[1][0], separator)
        )
    at = _column(path, label, names, width)
    left_out = {at, *(_column(path, one, names, width) for one in as_sequence(ignore))}
    kept = [i for i in range(width) if i not in left_out]
    if not kept:
        raise ArgumentError(
            f"csv: no column of {named(path)} is left to learn from", fix="ignore fewer columns"
        )
    if names and (twice := next((name for name in names if name and names.count(name) > 1), None)):
        raise damaged(path, f"two columns are called {shown(twice)}", "give each column a name of its own")
    titles = names or [f"column {i}" for i in range(width)]
    table = _Table(path, tuple(titles[i] for i in kept), titles[at])
    for line, fields in itertools.chain((second,) if titled else (first, second), rows):
        if len(fields) != width:
            what = f"line {line} has {len(fields)} fields, expected {width}"
            raise damaged(path, what, "mend the line, or remove it")
        table.append(line, [fields[i] for i in kept], fields[at].strip())
    return table


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not empty."""
    lines = reader(text_lines(path), delimiter=delimiter, strict=True)
    try:
        for fields in lines:
            if len(fields) > _MOST_COLUMNS:
                raise damaged(
                    path, f"line {lines.line_num} has {len(fields)} fields, more than {_MOST_COLUMNS}"
                )
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield lines.line_num, fields
    except FormatError as error:
        raise damaged(path, f"line {lines.line_num}: {error}", "mend the quotes in this line") from None


def _delimiter(path: Path, given: Any) -> str:
    if given is None:
        return "\t" if ".tsv" in path.suffixes[-2:] else ","
    if not isinstance(given, str) or len(given) != 1 or given in '"\r\n':
        raise ArgumentError(
            f"csv: delimiter must be one character, got {shown(given)}", fix='pass delimiter=";"'
        )
    return given


def _other_delimiter(field: str, used: str) -> str:
    other = next((d for d in _DELIMITERS if d in field and d != used), None)
    return f"pass delimiter={other!r}" if other else "write the features and then the label on each line"


def _as_numbers(fields: list[str]) -> list[float]:
    """What fields say; a ValueError if one is no number. Python reads 1_0 as 10, and no writer of tables means that."""
    if "_" in "".join(fields):
        raise ValueError
    return list(map(float, fields))


def is_number(field: str) -> bool:
    """Whether a field of a table is a number."""
    try:
        _as_numbers([field])
    except ValueError:
        return False
    return True


def is_header(first: list[str], second: list[str]) -> bool:
    """Whether the first line lacks a number somewhere where the second has one."""
    return any(is_number(b) and not is_number(a) for a, b in zip(first, second, strict=False))


def _column(path: Path, wanted: Any, names: list[str] | None, width: int) -> int:
    if isinstance(wanted, str):
        if names is None or names.count(wanted) != 1:
            what = "has no header" if names is None else "names columns " + ", ".join(map(repr, names[:20]))
            raise ArgumentError(
                f"csv: no column {shown(wanted)}: {named(path)} {what}", fix="pass its number, from 0"
            )
        return names.index(wanted)
    if type(wanted) is not int or not -width <= wanted < width:
        raise ArgumentError(
            f"csv: no column {shown(wanted)}: {named(path)} has {width} columns",
            fix="pass label=-1 for the last",
        )
    return wanted % width


def _kind(path: Path, table: _Table) -> str:
    """Whether labels name classes or are numbers."""
    if all(map(_INTEGER.fullmatch, table.labels)):
        if len(table.labels) > _MANY:
            raise damaged(
                path,
                f"{table.label} has {len(table.labels)} different integers: are they classes, or numbers to predict?",
                'pass targets="numbers", or targets="classes"',
            )
        return "classes"
    return "numbers" if all(map(is_number, table.labels)) else "classes"


def _labels(table: _Table, classes: list[str] | None) -> Array:
    return table.targets() if classes is None else table.numbered(classes)


def in_order(labels: list[str]) -> list[str]:
    """Different labels: numbers by their size, texts by the alphabet."""
    if all(is_number(label) and math.isfinite(float(label)) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)
