"""What the page in a cell asks, as messages of Jupyter: the same application answers that serves the live page.

A question is ``{"ask": id, "method": "GET", "path": "/api/x", "query": "a=b", "body": ""}``, its answer
``{"answer": id, "status": 200}`` with the body as a buffer. A socket is opened with ``{"open": id, "path": "/api/x"}``.
Then go ``{"say": id, "text": "..."}`` and ``{"seen": id}`` from the page, ``{"opened": id}`` and ``{"told": id}`` with
a buffer to it, and ``{"shut": id}`` both ways. Either may ask whether the other is still there: ``{"there": id}`` of a
socket, which its page has then ``seen``, and ``{"there": name}`` to the kernel, which answers ``{"here": name}``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from chainrule.studio.notebooks.busy import is_busy
from chainrule.studio.serving.answering import LOG

Send: TypeAlias = Callable[[Mapping[str, Any], Sequence[bytes]], object]
"""Brings a message with its buffers to the page."""

MOST_AHEAD = 2
"""Frames under way to a page that has not said yet that it has seen them: a slow page gets fewer, not late ones."""
PATIENCE = 0.5
"""Seconds after which a frame is sent all the same while a cell runs: meanwhile the kernel does not hear the page."""
MOST_UNHEARD = 120
"""Frames that are sent that way."""
SILENCE = 20.0
"""Seconds after which a page that does not say that it has seen what was sent is gone, as when its tab was closed."""
MOST_WAITING = 1000
"""Commands of a page that wait for their turn."""
LEFT, TOO_MANY, TOO_LONG = 1001, 1008, 1009
"""Codes with which a socket is closed: the page is gone; it sends faster than it is obeyed; a message is too long."""


class Messages:
    """Brings what one widget's pages ask to an application, and what that says back.

    Args:
        application: answers as a server's would.
        send: brings messages to the pages; called in a thread of its own.
        longest: characters of a command; what questions may have the application knows.
    """

    def __init__(self, application: ASGIApp, send: Send, longest: int) -> None:
        self._application, self._send, self._longest = application, send, longest
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Any) -> None:
        """A message has come from a page. In the kernel's thread, which goes on at once."""
        _loop().call_soon_threadsafe(self._take, message)

    def close(self) -> None:
        """Hang up on all pages."""
        if self._lines:  # else there may be no loop, and no way any more to make one
            _loop().call_soon_threadsafe(self._hang_up)

    # All else is in the thread of the loop.

    def _take(self, message: Any) -> None:
        texts = {name: one for name, one in message.items() if isinstance(one, str)} if message else {}
        if "ask" in texts:
            self._begin(self._answer(texts))
        elif "open" in texts:
            self._open(texts["open"], texts.get("path", ""))
        elif "there" in texts:
            self._send({"here": texts["there"]}, [])
        else:
            for what in ("say", "seen", "shut"):
                if what in texts:
                    self._pass_on(what, texts[what], texts.get("text", ""))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hang_up(self) -> None:
        for line in list(self._lines.values()):
            line.hang_up(LEFT)

    async def _answer(self, texts: Mapping[str, str]) -> None:
        body = texts.get("body", "").encode("utf-8", "surrogatepass")
        scope = {
            **_scope("http", texts.get("path", ""), texts.get("query", "")),
            "method": texts.get("method", "GET"),
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await self._application(scope, receive, send)
        except Exception:  # it was answered with status 500
            LOG.exception("%s", scope["path"])
        status = next((one["status"] for one in sent if one["type"] == "http.response.start"), 500)
        answer = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
        self._send({"answer": texts["ask"], "status": status}, [answer])

    def _open(self, name: str, path: str) -> None:
        if name in self._lines:
            return
        # A tab that was closed has not hung up; and where nothing changes, nothing is sent that it could leave unseen.
        for other in self._lines.values():
            self._begin(other.check())
        line = self._lines[name] = _Line(name, self._send)
        self._begin(self._serve(line, path))

    async def _serve(self, line: _Line, path: str) -> None:
        try:
            await self._application(_scope("websocket", path, ""), line.receive, line.send)
        except Exception:
            LOG.exception("%s", path)
        finally:
            line.hang_up(LEFT)
            del self._lines[line.name]

    def _pass_on(self, what: str, name: str, text: str) -> None:
        line = self._lines.get(name)
        if line is None:  # hung up on, which the page has not heard
            if what != "shut":
                self._send({"shut": name, "code": LEFT}, [])
        elif what == "say":
            line.say(text) if len(text) <= self._longest else line.hang_up(TOO_LONG)
        elif what == "seen":
            line.seen()
        else:
            line.left()


class _Line:
    """A socket of a page. In the thread of the loop."""

    def __init__(self, name: str, send: Send) -> None:
        self.name, self._send = name, send
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._arrived.put_nowait({"type": "websocket.connect"})
        self._changed = asyncio.Event()
        self._ahead, self._heard = 0, 0
        self._is_open = True

    # From the page.

    def say(self, text: str) -> None:
        if self._arrived.qsize() >= MOST_WAITING:
            self.hang_up(TOO_MANY)
        else:
            self._arrived.put_nowait({"type": "websocket.receive", "text": text})

    def seen(self) -> None:
        self._ahead = max(0, self._ahead - 1)
        self._heard += 1
        self._changed.set()

    def left(self) -> None:
        if self._is_open:
            self._is_open = False
            self._arrived.put_nowait({"type": "websocket.disconnect", "code": LEFT})
            self._changed.set()

    def hang_up(self, code: int) -> None:
        if self._is_open:
            self.left()
            self._send({"shut": self.name, "code": code}, [])

    # Of the application, as ASGI has it.

    async def receive(self) -> Message:
        return await self._arrived.get()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self._wait_for_page()
        if not self._is_open:
            raise OSError("the page has left")
        if message["type"] == "websocket.accept":
            self._send({"opened": self.name}, [])
        elif message["type"] == "websocket.send":
            self._ahead += 1
            self._send({"told": self.name}, [message["text"].encode("utf-8", "backslashreplace")])
        else:
            self.hang_up(message.get("code", LEFT))

    async def _wait_for_page(self) -> None:
        """Until it has seen what was sent before."""
        await self._until(lambda: self._ahead < MOST_AHEAD, MOST_UNHEARD)

    async def check(self) -> None:
        """Hang up if the page is gone."""
        before = self._heard
        self._ahead += 1
        self._send({"there": self.name}, [])
        await self._until(lambda: self._heard > before)

    async def _until(self, is_heard: Callable[[], bool], unheard: int = 0) -> None:
        """Until the page has said enough of what it has seen, or is gone.

        Args:
            is_heard: whether it has.
            unheard: while a cell runs, it is waited for only if so many are under way.
        """
        silent = 0.0
        while self._is_open and not is_heard():
            self._changed.clear()
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._changed.wait()
                silent = 0.0
            except TimeoutError:
                if is_busy():
                    if self._ahead < unheard:
                        return
                    continue
                silent += time.monotonic() - began
                if silent >= SILENCE:
                    self.hang_up(LEFT)


def _scope(kind: str, path: str, query: str) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": unquote(path),
        "raw_path": path.encode("utf-8", "backslashreplace"),
        "root_path": "",
        "query_string": query.encode("utf-8", "backslashreplace"),
        "headers": [],
        "subprotocols": [],
        "client": None,
        "server": None,
    }


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Of all widgets, in a thread that lives as long as the kernel."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="chainrule-notebook", daemon=True).start()
    return loop
