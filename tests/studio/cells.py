"""Pages in a cell, for tests of widgets: what the kernel is asked, and what it answers."""

from __future__ import annotations

import importlib.util
import itertools
import json
import queue
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

needs_anywidget = pytest.mark.skipif(
    importlib.util.find_spec("anywidget") is None,
    reason="anywidget is not installed: pip install -e '.[notebook]'",
)
PATIENCE = 60  # seconds


class Page:
    """A page in a cell: sends what it sends, and hears what is sent to it."""

    def __init__(self, widget: Any, slow: bool = False) -> None:
        self.widget, self.slow = widget, slow
        self.closed: set[str] = set()
        self._names = map(str, itertools.count())
        self._heard: dict[str, queue.Queue[Any]] = {}
        widget.send = self._hear

    def _hear(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        kinds = ("answer", "opened", "told", "shut", "there", "here")
        (name,) = (message[kind] for kind in kinds if kind in message)
        if "there" in message:
            if name not in self.closed:
                self.tell({"seen": name})
            return
        body = json.loads(buffers[0], parse_constant=pytest.fail) if buffers else None
        if name in self._heard:
            self._heard[name].put((message, body))

    def _listen(self, message: dict[str, Any], kind: str) -> str:
        name = next(self._names)
        self._heard[name] = queue.Queue()
        self.tell({kind: name, **message})
        return name

    def tell(self, message: Any) -> None:
        self.widget._asked(self.widget, message, [])

    def hear(self, name: str, timeout: float = PATIENCE) -> Any:
        return self._heard[name].get(timeout=timeout)

    def asked(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer to a question, or the error."""
        told = {"query": urlencode(arguments)} if method == "GET" else {"body": json.dumps(arguments)}
        message, body = self.hear(self._listen({"method": method, "path": path, **told}, "ask"))
        assert message["status"] == 200 or body["error"]["message"]
        return body

    def live(self, session: str) -> str:
        """A socket that is open."""
        name = self._listen({"path": f"/api/network/{session}/live"}, "open")
        assert "opened" in self.hear(name)[0]
        return name

    def frame(self, name: str, timeout: float = PATIENCE) -> Any:
        """The next frame, which is seen."""
        message, body = self.hear(name, timeout)
        assert "told" in message
        self.tell({"seen": name})
        return body


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
