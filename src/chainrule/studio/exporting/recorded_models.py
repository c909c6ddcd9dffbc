"""Answers about a model, asked beforehand: what a page without a server needs for going into its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.studio.exporting.recording import MOST_BYTES, Full, Recorder, Recording
from chainrule.studio.models import Opening

Opened = tuple[str, ...]
"""Modules that are shown as what is in them, each within the one before."""


class _Asking:
    """Questions about a model."""

    def __init__(self, opening: Opening, recorder: Recorder) -> None:
        self.opening, self._recorder = opening, recorder
        self.keep = recorder.keep
        self._next: dict[tuple[str, ...], list[Opened]] = {}

    def graph(self, root: str, opened: Opened) -> Sequence[Opened]:
        """Ask for the graph of a module, and for all that its cards say; what can be opened in it next."""
        question = ("graph", root, ",".join(opened))
        found = self._recorder.ask(question, lambda: self.opening.view.graph(root, opened))
        if found:
            for at in [root, *(item["id"] for item in found["items"])]:
                self.numbers(at)
            # Beside what was opened last, all was to be opened before it.
            inside = f"{opened[-1]}." if opened else ""
            cards = [item["id"] for item in found["items"] if item["opens"] and not item["outside"]]
            self._next[question] = [(*opened, card) for card in cards if card.startswith(inside)]
            self.keep()
        return self._next.get(question, ())

    def numbers(self, at: str) -> None:
        """All numbers of a place."""
        self._recorder.ask(("at", at), lambda: self.opening.at(at))

    def why(self, at: str) -> None:
        """Why a gradient is as it is, and the numbers there."""
        self.numbers(at)
        self._recorder.ask(("why", at, "why"), lambda: self.opening.view.ask(at, "why"))
        self.keep()


def recorded(
    opening: Opening, most: int = MOST_BYTES, tell: Callable[[int, float], object] = lambda count, part: None
) -> tuple[Recording, bool]:
    """Ask all that leads into a model, what is nearest first, until the answers are too large.

    Each column is asked for its graph; then its modules are opened, one level after another; then everything that a
    page can look into on its own. A module is opened by itself, with those that it is in: all combinations would be
    too many.

    Args:
        opening: whose work has ended, with a graph.
        most: bytes of the answers, packed.
        tell: called with the number of answers so far, and the part of the room that they take.

    Returns:
        The answers, and whether each column can be opened down to the primitives.
    """
    recorder, whole = Recorder(most, tell), False
    asking = _Asking(opening, recorder)
    try:
        _ask_for_columns(asking)
        whole = True
        _open(asking, opening.view.tree.groups)
    except Full:
        pass
    return recorder.recording(), whole


def _ask_for_columns(asking: _Asking) -> None:
    view = asking.opening.view
    columns: list[str] = [column["id"] for column in view.overview()["columns"]]
    for root in (*columns, ""):
        asking.graph(root, ())
    for finding in asking.opening.says()["findings"]:
        for at in [*finding["nodes"], *finding["groups"]][:1]:
            asking.why(at)
    _open(asking, columns)
    for path, _, _ in view.names():
        asking.numbers(path)
    asking.keep()


def _open(asking: _Asking, roots: Iterable[str]) -> None:
    """Look into modules, and open what is in them, one level after another."""
    level: list[tuple[str, Opened]] = [(root, ()) for root in roots]
    while level:
        level = [(root, more) for root, opened in level for more in asking.graph(root, opened)]
