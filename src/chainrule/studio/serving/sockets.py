"""WebSockets on which a training shows its newest frame, and takes commands."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from chainrule.errors import ArgumentError, ChainruleError, shown
from chainrule.studio.endpoints import Live, Training
from chainrule.studio.serving.answering import LOG, error_document, to_json, too_long
from chainrule.studio.serving.arguments import parse
from chainrule.studio.serving.limits import Limits
from chainrule.studio.serving.schemas import Schema
from chainrule.studio.serving.workers import TookTooLong, Workers

GONE, BUSY, BROKEN = 4404, 1013, 1011
"""Codes with which a socket is closed: there is no such session; too many are open; a defect."""
_PATIENCE = 0.25
"""Seconds after which a thread that waits for a new version looks whether the client is still there."""


class Sockets:
    """Answers the WebSockets of one `Live`.

    Args:
        live: what is shown.
        workers: in which commands are obeyed.
        limits: of the server.
        seats: of all WebSockets of the server together.
    """

    def __init__(self, live: Live, workers: Workers, limits: Limits, seats: threading.Semaphore) -> None:
        self._live, self._workers, self._limits, self._seats = live, workers, limits, seats
        self._schema = Schema(live.takes)

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one client until it leaves."""
        await socket.accept()
        if not self._seats.acquire(blocking=False):
            await _tell(socket, _busy(self._limits.sockets))
            await socket.close(BUSY)
            return
        try:
            (session,) = socket.path_params.values()
            try:
                training = await self._workers.run(partial(self._live.find, session))
            except Exception as error:
                await _tell(socket, self._explained(error))
                await socket.close(GONE if isinstance(error, ChainruleError) else BROKEN)
                return
            feed = _Feed(training, _sender(socket), 1 / self._limits.frames)
            feed.start()
            try:
                await self._listen(socket, training)
            finally:
                feed.stop()
        except (WebSocketDisconnect, RuntimeError):  # starlette raises either if the client has left
            return
        finally:
            self._seats.release()

    async def _listen(self, socket: WebSocket, training: Training) -> None:
        """Obey one command after the other; who sends faster waits."""
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                await self._workers.run(partial(self._obey, training, message.get("text")))
            except Exception as error:
                await _tell(socket, self._explained(error))

    def _obey(self, training: Training, text: str | None) -> None:
        if text is None:
            raise ArgumentError("the message is binary", fix="send JSON as text")
        command = parse(text)
        if not isinstance(command, dict):
            raise ArgumentError(
                f"the message must be a JSON object, got {shown(command)}", fix='send {"name": value}'
            )
        self._schema.check(command)  # pyright: ignore[reportUnknownArgumentType]
        training.command(command)  # pyright: ignore[reportUnknownArgumentType]

    def _explained(self, error: Exception) -> Mapping[str, Any]:
        if isinstance(error, TookTooLong):
            error = too_long(error, self._workers)
        elif not isinstance(error, ChainruleError):
            LOG.error("%s", self._live.path, exc_info=error)
        return error_document(error)


class _Feed(threading.Thread):
    """Sends the newest frame whenever there is another, as fast as the client takes them and no faster than allowed."""

    def __init__(self, training: Training, send: Callable[[bytes], bool], pause: float) -> None:
        super().__init__(name="chainrule-studio-feed", daemon=True)
        self._training, self._send, self._pause = training, send, pause
        self._stopped = threading.Event()

    def stop(self) -> None:
        """The client has left."""
        self._stopped.set()

    def run(self) -> None:
        """Watch until then."""
        try:
            self._training.watch()
            try:
                self._show()
            finally:
                self._training.unwatch()
        except Exception as error:
            LOG.exception("a training that is watched")
            self._send(to_json(error_document(error)))

    def _show(self) -> None:
        version: int | None = None
        while not self._stopped.is_set():
            if version is not None and not self._training.wait(version, _PATIENCE):
                continue
            began = time.monotonic()
            version = self._training.version  # before the frame, which may be newer but is never older
            try:
                frame = to_json(self._training.frame())
            except ChainruleError as error:
                frame = to_json(error_document(error))
            if not self._send(frame):
                return
            self._stopped.wait(self._pause - (time.monotonic() - began))


def _sender(socket: WebSocket) -> Callable[[bytes], bool]:
    """What sends a message from another thread, waits until it is under way, and says whether it is."""
    loop = asyncio.get_running_loop()

    def send(message: bytes) -> bool:
        sending = socket.send_text(message.decode())
        try:
            asyncio.run_coroutine_threadsafe(sending, loop).result()
        except (WebSocketDisconnect, RuntimeError, CancelledError):
            sending.close()  # where the loop has ended it was never begun
            return False
        return True

    return send


async def _tell(socket: WebSocket, document: Mapping[str, Any]) -> None:
    await socket.send_text(to_json(document).decode())


def _busy(most: int) -> Mapping[str, Any]:
    return error_document(
        ArgumentError(
            f"{most} pages are connected already", fix="close tabs of the studio that are not needed"
        )
    )
