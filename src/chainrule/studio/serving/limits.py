"""How much the server does for one client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, with a message, instead of filling the memory or the processors.

    Attributes:
        seconds: the most that one answer may take.
        answers: so many are worked out at a time; others wait, ``seconds`` at most.
        body: bytes of a request.
        message: bytes of a message on a WebSocket.
        sockets: WebSockets that are open at a time.
        frames: a second, on each of them.
        fields: in a query.
    """

    seconds: float = 60.0
    answers: int = 8
    body: int = 8 * 2**20
    message: int = 2**20
    sockets: int = 32
    frames: float = 30.0
    fields: int = 200
