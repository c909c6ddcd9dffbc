"""Answers about a model, asked beforehand: what a page without a server needs for going into its blocks."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.errors import ChainruleError
from chainrule.studio.models import Opening

MOST_BYTES = 4_400_000
"""Of the answers as they stand in the file; with script and styles that is a file of about 5 MB."""
_GZIP = 31
"""What `zlib` calls gzip, which every browser unpacks."""

Opened = tuple[str, ...]
"""Modules that are shown as what is in them, each within the one before."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Answers, packed.

    Attributes:
        packed: lines of question, tab and answer, both JSON; in gzip and base64.
        answers: how many.
        whole: whether each column can be opened down to the primitives.
    """

    packed: str
    answers: int
    whole: bool


class _Full(Exception):
    """The next answer has no place."""


class _Recorder:
    """Asks, and keeps the answers."""

    def __init__(self, opening: Opening, most: int, tell: Callable[[int, float], object]) -> None:
        self.opening, self.most, self.tell = opening, most, tell
        self._packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        self._pieces: list[bytes] = []
        self._known: set[tuple[str, ...]] = set()
        self._next: dict[tuple[str, ...], list[Opened]] = {}
        self._lines: list[str] = []
        self._answers = self._size = 0

    def graph(self, root: str, opened: Opened) -> Sequence[Opened]:
        """Ask for the graph of a module, and for all that its cards say; what can be opened in it next."""
        question = ("graph", root, ",".join(opened))
        found = self._ask(question, lambda: self.opening.view.graph(root, opened))
        if found:
            for at in [root, *(item["id"] for item in found["items"])]:
                self.numbers(at)
            # Beside what was opened last, all was to be opened before it.
            inside = f"{opened[-1]}." if opened else ""
            cards = [item["id"] for item in found["items"] if item["opens"] and not item["outside"]]
            self._next[question] = [(*opened, card) for card in cards if card.startswith(inside)]
            self.pack()
        return self._next.get(question, ())

    def numbers(self, at: str) -> None:
        """All numbers of a place."""
        self._ask(("at", at), lambda: self.opening.at(at))

    def why(self, at: str) -> None:
        """Why a gradient is as it is, and the numbers there."""
        self.numbers(at)
        self._ask(("why", at, "why"), lambda: self.opening.view.ask(at, "why"))
        self.pack()

    def _ask(self, question: tuple[str, ...], answer: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        if question in self._known:
            return None
        self._known.add(question)
        try:
            found = answer()
        except (
            ChainruleError
        ):  # it is too much to draw, or cannot be asked there: nor has the live page an answer
            return None
        pair = (json.dumps(part, ensure_ascii=False, separators=(",", ":")) for part in (question, found))
        self._lines.append("\t".join(pair) + "\n")
        return found

    def pack(self) -> None:
        """Pack what was answered; flushed, so that its size is known, while what came before still helps."""
        text = "".join(self._lines).encode("utf-8", "backslashreplace")
        self._answers += len(self._lines)
        self._lines.clear()
        self._pieces.append(self._packer.compress(text) + self._packer.flush(zlib.Z_SYNC_FLUSH))
        self._size += len(self._pieces[-1])
        part = self._size * 4 / 3 / self.most  # base64 makes four signs of three bytes
        self.tell(self._answers, part)
        if part > 1:
            raise _Full

    def packed(self, whole: bool) -> Recording:
        """All of it."""
        data = b"".join([*self._pieces, self._packer.flush()])
        return Recording(base64.b64encode(data).decode("ascii"), self._answers, whole)


def recorded(
    opening: Opening, most: int = MOST_BYTES, tell: Callable[[int, float], object] = lambda count, part: None
) -> Recording:
    """Ask all that leads into a model, what is nearest first, until the answers are too large.

    Each column is asked for its graph; then its modules are opened, one level after another; then everything that a
    page can look into on its own. A module is opened by itself, with those that it is in: all combinations would be
    too many.

    Args:
        opening: whose work has ended, with a graph.
        most: bytes of the answers, packed.
        tell: called with the number of answers so far, and the part of the room that they take.
    """
    recorder, whole = _Recorder(opening, most, tell), False
    try:
        _ask_for_columns(recorder)
        whole = True
        _open(recorder, opening.view.tree.groups)
    except _Full:
        pass
    return recorder.packed(whole)


def _ask_for_columns(recorder: _Recorder) -> None:
    view = recorder.opening.view
    columns: list[str] = [column["id"] for column in view.overview()["columns"]]
    for root in (*columns, ""):
        recorder.graph(root, ())
    for finding in recorder.opening.says()["findings"]:
        for at in [*finding["nodes"], *finding["groups"]][:1]:
            recorder.why(at)
    _open(recorder, columns)
    for path, _, _ in view.names():
        recorder.numbers(path)
    recorder.pack()


def _open(recorder: _Recorder, roots: Iterable[str]) -> None:
    """Look into modules, and open what is in them, one level after another."""
    level: list[tuple[str, Opened]] = [(root, ()) for root in roots]
    while level:
        level = [(root, more) for root, opened in level for more in recorder.graph(root, opened)]
