"""Answers, asked beforehand: what a page without a server plays back, as much as has room in its file."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from chainrule.errors import ChainruleError

MOST_BYTES = 4_400_000
"""Of the answers as they stand in the file; with script and styles that is a file of about 5 MB."""
_GZIP = 31
"""What `zlib` calls gzip, which every browser unpacks."""
Question = tuple[Any, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recording:
    """Answers.

    Attributes:
        lines: question, tab and answer, both JSON.
        packed: the same in gzip and base64; empty where that was not wanted.
    """

    lines: tuple[str, ...]
    packed: str

    @property
    def answers(self) -> int:
        """How many."""
        return len(self.lines)

    @property
    def pairs(self) -> list[list[Any]]:
        """Questions and answers as data."""
        return [[json.loads(part) for part in line.split("\t")] for line in self.lines]


class Full(Exception):
    """The next answer has no place."""


class Recorder:
    """Asks, and keeps the answers.

    Args:
        most: bytes that they may take.
        tell: called with the number of answers so far, and the part of the room that they take.
        packs: whether the room is that of packed answers, or of plain ones.
        count: answers that are enough, however small they are.
    """

    def __init__(
        self,
        most: int,
        tell: Callable[[int, float], object],
        packs: bool = True,
        count: int | None = None,
    ) -> None:
        self._most, self._tell, self._packs, self._count = max(1, most), tell, packs, count
        self._packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        self._pieces: list[bytes] = []
        self._known: set[Question] = set()
        self._waiting: list[str] = []
        self._lines: list[str] = []
        self._size = 0

    @property
    def part(self) -> float:
        """Of the room, how much is taken by what is kept."""
        part = self._size / self._most
        return part if self._count is None else max(part, len(self._lines) / self._count)

    def ask(self, question: Question, answer: Callable[[], T]) -> T | None:
        """Keep what a question is answered; None where it was asked already, or has no answer."""
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
        self._waiting.append("\t".join(pair))
        return found

    def keep(self) -> None:
        """Keep what was answered; flushed, so that its size is known, while what came before still helps.

        Raises:
            Full: there is no more room.
        """
        text = "".join(f"{line}\n" for line in self._waiting).encode("utf-8", "backslashreplace")
        if self._packs:
            self._pieces.append(self._packer.compress(text) + self._packer.flush(zlib.Z_SYNC_FLUSH))
            self._size += -(-len(self._pieces[-1]) * 4 // 3)  # base64 makes four signs of three bytes
        else:
            self._size += len(text)
        self._lines += self._waiting
        self._waiting.clear()
        self._tell(len(self._lines), self.part)
        if self.part > 1:
            raise Full

    def recording(self) -> Recording:
        """All of it."""
        data = b"".join([*self._pieces, self._packer.flush()]) if self._packs else b""
        return Recording(tuple(self._lines), base64.b64encode(data).decode("ascii"))
