"""The address of the network page, read: which network, how far it was trained, and what of it is looked at."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode

from chainrule.errors import ArgumentError, shown
from chainrule.studio.networks.choices import FIELDS, OWN, Options
from chainrule.studio.networks.examples import KITS
from chainrule.studio.networks.training import MOST_UPDATES, Selection

PAGE = "#/network"
SHOWS = ("both", "weights", "gradients")
_LONG = {"update": "at", "point": "pt", "select": "sel"}
"""What may be written for the short names of an address."""
_TABLE = ("table", "inputs", "label", "titled", "skip")
_ELSEWHERE = "own"
"""The name under which an address says that its table is too long for it."""
_VIEW = ("at", "pt", "sel", "show", "step")
_NONE = "none"
"""Instead of layers, where there are none."""
_TRUTHS = {"yes": True, "true": True, "no": False, "false": False}
LONGEST_TABLE = 4000
"""Characters of a table that an address may hold, as on the page."""
_OWN_TABLE = "table=FILE.csv"
_PLACE = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?")


@dataclass(frozen=True, eq=False)
class Address:
    """What an address of the network page says.

    Attributes:
        options: those that are given, by name.
        table: of own data, as ``POST /api/network`` takes it; None for other data.
        update: how far the network is trained.
        selection: what is looked at; None where nothing is said.
        show: what the lanes show: both, weights or gradients.
        state: all of it as it stands in an address, by short names.
    """

    options: Mapping[str, Any]
    table: Mapping[str, Any] | None
    update: int
    selection: Selection | None
    show: str
    state: Mapping[str, str]

    def require_table(self) -> None:
        """See that there is the table that an address may only name.

        Raises:
            ArgumentError: it only names it.
        """
        if _ELSEWHERE in self.state and self.table is None:
            raise ArgumentError(
                "this address is of a table that only its page has: it is too long for an address",
                fix="export it on the page, or pass table=FILE.csv and the other words of the address",
            )

    @property
    def fragment(self) -> str:
        """The part of an address from ``#`` on."""
        query = urlencode(self.state, quote_via=quote)
        return f"{PAGE}?{query}" if query else PAGE

    @property
    def page(self) -> str:
        """The same, for a browser that is opened there.

        Raises:
            ArgumentError: its table is too long for an address.
        """
        size = len(self.state.get("table", ""))
        if size > LONGEST_TABLE:
            raise ArgumentError(
                f"the table has {size:,} characters, more than the {LONGEST_TABLE:,} that an address may hold",
                fix="start chainrule studio network, and drop the file on the page; or --export it",
            )
        return self.fragment

    @property
    def command(self) -> str:
        """What shows the same in the live studio; instead of a table there is the name of a file."""
        long = {short: name for name, short in _LONG.items()}
        kept = {name: text for name, text in self.state.items() if name not in ("table", "data", _ELSEWHERE)}
        words = [f"{long.get(name, name)}={text}" for name, text in kept.items()]
        data = self.state.get("data", OWN if self.table is not None else "")
        words[:0] = [_OWN_TABLE] if data == OWN else [f"data={data}"] if data else []
        return shlex.join(("chainrule", "studio", "network", *words))


def is_address(text: str) -> bool:
    """Whether a text is the address of a network page, or its part from ``#`` on.

    Example:
        >>> is_address("http://127.0.0.1:8000/#/network?at=30"), is_address("#/model"), is_address("x*x")
        (True, False, False)
    """
    head, sign, rest = text.strip().partition("#")
    page = rest.partition("?")[0].strip("/")
    return (
        bool(sign) and page == "network" and (not head or head.startswith(("http://", "https://", "file:")))
    )


def read_address(text: str) -> Address:
    """The address of a network page.

    Args:
        text: whole, or from ``#`` on.

    Raises:
        ArgumentError: it is none, or says something that cannot be.

    Example:
        >>> found = read_address("#/network?data=circles&layers=4-2&at=30&pt=7&sel=3.1")
        >>> found.options, found.update, found.selection
        ({'data': 'circles', 'layers': [4, 2]}, 30, Selection(point=7, layer=3, unit=1, into=None))
    """
    if not is_address(text):
        raise ArgumentError(
            f"{shown(text)} is no address of the network page",
            fix="copy it from the browser, such as #/network?data=moons&at=300",
        )
    query = text.strip().partition("#")[2].partition("?")[2]
    return address_of(dict(parse_qsl(query, keep_blank_values=True)))


def address_of(given: Mapping[str, Any]) -> Address:
    """What is wanted of the network page, by the names of an address.

    Args:
        given: options such as ``data`` and ``layers``, as values or as texts; and ``update`` (or ``at``), ``point``
            (``pt``), ``select`` (``sel``: ``"3.1"``, or ``"3.1.2"`` for a weight), ``show``; of own data ``table``
            (its text), ``inputs``, ``label``, ``titled``, ``skip``.

    Raises:
        ArgumentError: a name is unknown, or a text is no such value.
    """
    state = {_LONG.get(name, name): _text(name, value) for name, value in given.items()}
    for name in state:
        _require_known(name)
    state = {name: text for name, text in state.items() if text}
    if "table" in state:
        state.setdefault("data", OWN)
    show = state.get("show", SHOWS[0])
    if show not in SHOWS:
        raise ArgumentError(f"show: there is no {shown(show)}", fix=f"choose one of {', '.join(SHOWS)}")
    update = _whole("update", state.get("at", "0"), MOST_UPDATES)
    options = {name: _option(name, state[name]) for name in FIELDS if name in state}
    return Address(options, _table(state), update, _selection(state), show, state)


def with_view(address: Address, options: Options, update: int, selection: Selection) -> Address:
    """The same network with the options that it has, where something else of it is looked at.

    Args:
        address: of the network; its table and what its lanes show stay.
        options: all of them. What suits the data is left out, as the page leaves it out.
        update, selection: what is looked at.
    """
    kit = KITS.get(options.data)
    usual_options = {**Options().to_dict(), **(dict(kit.defaults) if kit else {}), "data": Options().data}
    chosen = {name: _text(name, value) for name, value in options.to_dict().items()}
    differing = {name: text for name, text in chosen.items() if text != _text(name, usual_options[name])}
    layer, unit, into = selection.layer, selection.unit, selection.into
    place = ".".join(map(str, (layer, unit) if into is None else (layer, unit, into)))
    view = {"at": str(update), "pt": str(selection.point), "sel": place}
    usual = {"at": "0", "pt": "0", "sel": "2.1"}
    kept = {name: text for name, text in address.state.items() if name not in (*usual, *FIELDS)}
    if len(kept.get("table", "")) > LONGEST_TABLE:
        del kept["table"]
    state = {**differing, **kept, **{name: text for name, text in view.items() if text != usual[name]}}
    return Address(address.options, address.table, update, selection, address.show, state)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        parts = map(str, cast("Sequence[Any]", value))
        return ("-".join(parts) or _NONE) if name == "layers" else "|".join(parts)
    return "" if value is None else str(value)


def _require_known(name: str) -> None:
    known = (*FIELDS, *_VIEW, *_LONG, *_TABLE, _ELSEWHERE)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        raise ArgumentError(
            f"a network has no {shown(name)}",
            fix=f"did you mean {close[0]}?"
            if close
            else f"there are {', '.join((*FIELDS, *_LONG, *_TABLE))}",
        )


def _option(name: str, text: str) -> Any:
    """The value that a text stands for; what is none stays a text, which the check of options refuses in words."""
    kind = FIELDS[name].schema["type"]
    if kind == "string":
        return text
    if kind == "boolean":
        return _TRUTHS.get(text, text)
    if kind == "array":
        return _widths(name, text)
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _widths(name: str, text: str) -> list[int]:
    if text == _NONE:
        return []
    try:
        return [int(part) for part in text.split("-")]
    except ValueError:
        raise ArgumentError(
            f"{name}: expected the units of each hidden layer, got {shown(text)}",
            fix=f"{name}=8-4 are two layers, of 8 units and of 4; {name}={_NONE} is none",
        ) from None


def _truth(name: str, text: str) -> bool:
    if text not in _TRUTHS:
        raise ArgumentError(f"{name}: expected yes or no, got {shown(text)}", fix=f"pass {name}=yes")
    return _TRUTHS[text]


def _whole(name: str, text: str, most: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and int(text) <= most:
        return int(text)
    raise ArgumentError(
        f"{name}: expected a whole number from 0 to {most}, got {shown(text)}", fix=f"pass {name}=300"
    )


def _selection(state: Mapping[str, str]) -> Selection | None:
    if "pt" not in state and "sel" not in state:
        return None
    text = state.get("sel", "2.1")
    if not _PLACE.fullmatch(text):
        raise ArgumentError(
            f"select: expected layer.unit or layer.unit.input, got {shown(text)}",
            fix="select=3.1 is the first unit of layer 3, select=3.1.2 its weight from unit 2 of layer 2",
        )
    layer, unit, *into = map(int, text.split("."))
    point = _whole("point", state.get("pt", "0"), MOST_UPDATES)
    return Selection(point, layer, unit, into[0] if into else None)


def _table(state: Mapping[str, str]) -> Mapping[str, Any] | None:
    if "table" not in state:
        if stray := [name for name in _TABLE if name in state and state.get("data") != OWN]:
            raise ArgumentError(f"{stray[0]}: there is no table", fix="pass table=FILE.csv")
        return None
    if state.get("data", OWN) != OWN:
        raise ArgumentError(
            f"table: the data is {shown(state['data'])}, which needs none", fix="leave out data, or table"
        )
    inputs = [name for name in state.get("inputs", "").split("|") if name]
    found: dict[str, Any] = {"text": state["table"], "skip": _truth("skip", state.get("skip", "no"))}
    if inputs:
        found["inputs"] = inputs
    if "label" in state:
        found["label"] = state["label"]
    if "titled" in state:
        found["titled"] = _truth("titled", state["titled"])
    return found
