"""The networks that are open: each under a random name, so many at most."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from chainrule.errors import ArgumentError, shown
from chainrule.studio.networks.training import Training

MOST = 36
"""More than may be watched at a time: where one had to go that is watched, its page would open it again, and so on."""


class Sessions:
    """Trainings by name; the one that was not asked for the longest goes first.

    Args:
        most: how many there may be.

    Example:
        >>> sessions = Sessions(most=1)
        >>> sessions.find("abc") is None
        True
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: OrderedDict[str, Training] = OrderedDict()
        self._changing = threading.Lock()

    def add(self, training: Training) -> str:
        """Keep a training; returns its name."""
        name = secrets.token_urlsafe(12)
        with self._changing:
            self._open[name] = training
            while len(self._open) > self._most:
                others = [(n, t) for n, t in self._open.items() if n != name]
                idle = next((n for n, t in others if not t.watched), others[0][0])
                dropped = self._open.pop(idle)
                dropped.command({"do": "pause"})
        return name

    def find(self, name: str) -> Training | None:
        """The training of that name, as sockets ask for it; None if there is none any more."""
        with self._changing:
            found = self._open.get(name)
            if found is not None:
                self._open.move_to_end(name)
            return found

    def get(self, name: str) -> Training:
        """The training of that name.

        Raises:
            ArgumentError: there is none, or no longer.
        """
        found = self.find(name)
        if found is None:
            raise ArgumentError(
                f"there is no network {shown(name)}: it was closed, or the studio was started anew",
                fix="open it again: POST /api/network",
            )
        return found

    def close(self, name: str) -> None:
        """Forget a training and stop it."""
        with self._changing:
            found = self._open.pop(name, None)
        if found is not None:
            found.command({"do": "pause"})

    def close_all(self) -> None:
        """Forget all and stop them."""
        for name in list(self._open):
            self.close(name)

    def __len__(self) -> int:
        return len(self._open)
