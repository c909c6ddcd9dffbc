"""Arguments of a question: read from path, query and body, merged, and held against their schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from chainrule.errors import ArgumentError, shown
from chainrule.studio.serving.schemas import Schema, too_deep

_ESCAPED = re.compile(r"\\u(?:0000|[dD][89abAB])")
"""In JSON: what may stand for a character that no text has."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def merged(schema: Schema, path: Mapping[str, str], query: bytes, body: bytes, fields: int) -> dict[str, Any]:
    """The arguments of a request, checked.

    Args:
        schema: of the question.
        path: what stands in the places of names in braces.
        query: what follows the question mark.
        body: JSON, or empty.
        fields: the most that a query may have.

    Raises:
        ArgumentError: they cannot be read, or are not what the schema says.
    """
    arguments: dict[str, Any] = {name: _read(schema, name, written) for name, written in path.items()}
    in_query = _in_query(query, fields)
    for name, written in in_query:
        _add(arguments, name, _read(schema, name, written))
    if body:
        document = parse(body)
        if not isinstance(document, dict):
            raise ArgumentError(
                f"the body must be a JSON object, got {shown(document)}", fix='write {"name": value}'
            )
        for name, value in document.items():  # pyright: ignore[reportUnknownVariableType]
            _add(arguments, str(name), value)  # pyright: ignore[reportUnknownArgumentType]
    for text in (*path.values(), *(written for _, written in in_query)):
        if _NO_TEXT.search(text):
            raise _no_text("an argument")
    schema.check(arguments)
    return arguments


def parse(text: bytes | str) -> Any:
    """A JSON document in UTF-8, without the NaN and Infinity that JSON does not have.

    Raises:
        ArgumentError: it is none, or is nested too deeply, or has a character that no text has.
    """
    try:
        written = text if isinstance(text, str) else text.decode("utf-8")
        document = json.loads(written, parse_constant=_refuse, parse_float=_finite)
        if _ESCAPED.search(written) and any(_NO_TEXT.search(text) for text in _texts(document)):
            raise _no_text("the body")
    except ArgumentError:
        raise
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"the body is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}",
            fix="encode it as UTF-8",
        ) from None
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as error:
        raise ArgumentError(
            f"the body is no JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            fix='write {"name": value, ...}, with double quotes around names and text',
        ) from None
    except ValueError:  # an integer of thousands of digits
        raise ArgumentError(
            "the body is no JSON: a number has too many digits", fix="write it as 1e300"
        ) from None
    return document


def _in_query(query: bytes, fields: int) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=fields
        )
    except UnicodeError:
        raise ArgumentError("the query is not UTF-8", fix="encode it: %C3%A9 is é") from None
    except ValueError:
        raise ArgumentError(
            f"the query has more than {fields} arguments", fix="send them as JSON in a POST"
        ) from None


def _texts(document: Any) -> Iterator[str]:
    """All text in a document, names too."""
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += (*one.keys(), *one.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(one, list):
            waiting += one


def _add(arguments: dict[str, Any], name: str, value: Any) -> None:
    if name in arguments:
        raise ArgumentError(f"{shown(name)} is given twice", fix="give each argument once")
    arguments[name] = value


def _refuse(constant: str) -> Any:
    raise ArgumentError(f"JSON has no {constant}", fix=f'write it as text: "{constant}"')


def _finite(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        short = written if len(written) <= 24 else f"{written[:20]}..."
        raise ArgumentError(f"{short} is beyond the numbers of 64 bits", fix='write "Infinity", or a number')
    return number


def _number(written: str) -> float:
    number = float(written)
    if not math.isfinite(number) or "_" in written:
        raise ValueError
    return number


def _integer(written: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", written):
        raise ValueError
    return int(written)


def _null(written: str) -> None:
    if written != "null":
        raise ValueError


_READ = {
    "integer": _integer,
    "number": _number,
    "boolean": {"true": True, "false": False}.__getitem__,
    "null": _null,
    "array": parse,
    "object": parse,
    "string": str,
}
"""From the text of a path or query, by JSON's type."""


def _read(schema: Schema, name: str, written: str) -> Any:
    """An argument of path or query, which is text there, as the kind that the schema says.

    What is not of that kind stays text, which the schema then refuses.
    """
    for kind in schema.kinds(name):
        try:
            return _READ[kind](written)
        except (KeyError, ValueError):
            continue
    return written


def _no_text(where: str) -> ArgumentError:
    return ArgumentError(
        f"{where} has a character that no text has: NUL, or half of a pair of UTF-16",
        fix="leave it out",
    )
