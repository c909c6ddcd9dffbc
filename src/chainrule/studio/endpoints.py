"""What a page of the studio answers over HTTP and over a WebSocket, read by the server and by OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from chainrule.errors import ChainruleError, FormulaError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A question that a page can ask.

    Attributes:
        method: of HTTP.
        path: such as ``/api/network/{session}``; names in braces are arguments.
        summary: one sentence, for the description of the API.
        answer: takes the arguments of path, query and JSON body in one mapping, after they were validated, and
            gives JSON-ready data. A `ChainruleError` becomes status 400 with type, message and fix.
        takes: JSON Schema of the arguments, an object.
        gives: JSON Schema of the answer.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    answer: Callable[[Mapping[str, Any]], Any]
    takes: Mapping[str, Any]
    gives: Mapping[str, Any]


class Training(Protocol):
    """Something that goes on by itself, is watched, and obeys commands. Its methods are called from many threads."""

    @property
    def version(self) -> int:
        """Another number whenever there is something new to see."""
        ...

    def watch(self) -> None:
        """Somebody looks from now on."""
        ...

    def unwatch(self) -> None:
        """One of those who look has left."""
        ...

    def command(self, message: Mapping[str, Any]) -> object:
        """Do what a message says. What it returns is not sent: a change of the version is."""
        ...

    def wait(self, version: int, timeout: float) -> bool:
        """Whether the version is another than this one, after at most ``timeout`` seconds."""
        ...

    def frame(self) -> Mapping[str, Any]:
        """All that there is to see now: who reconnects needs nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Live:
    """A WebSocket on which a `Training` shows its newest frame, and takes commands.

    Attributes:
        path: such as ``/api/network/{session}/live``, with one name in braces.
        summary: one sentence, for the description of the API.
        find: the training of a session; a `ChainruleError` if there is none.
        takes: JSON Schema of a command.
        gives: JSON Schema of a frame.
    """

    path: str
    summary: str
    find: Callable[[str], Training]
    takes: Mapping[str, Any]
    gives: Mapping[str, Any]


def error_document(error: Exception) -> dict[str, Any]:
    """JSON-ready: type, message and fix, and where in the formula it is, if it is about one."""
    known = isinstance(error, ChainruleError)
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message if known else str(error) or type(error).__name__,
        "fix": error.fix if known else None,
    }
    if isinstance(error, FormulaError) and error.at is not None:
        told["at"] = error.at
    return {"error": told}
