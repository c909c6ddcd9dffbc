"""A server on this machine's own network, from its start to Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn

from chainrule.errors import ArgumentError, shown
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving.application import application
from chainrule.studio.serving.files import FOLDER
from chainrule.studio.serving.limits import Limits
from chainrule.studio.serving.security import Keys

_LOOPBACK: Final = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
_MOST_PORT = 65535


class Server:
    """The studio on a port, which is taken when this is made and served by `run`.

    Args:
        endpoints: questions, and what is live, of all pages.
        port: that is wanted; None for any that is free.
        host: an address of this machine that no other machine reaches.
        page: what the address opens first, such as ``#/formula?f=x``.
        shared: schemas that those of the endpoints refer to, by name.
        limits: of what is done for one client.
        folder: of the front end's files.

    Attributes:
        port, token: which it is served on, and what opens it.

    Raises:
        ArgumentError: the host is no loopback address, or the port is taken or cannot be.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint | Live],
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        page: str = "",
        shared: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        folder: Path = FOLDER,
    ) -> None:
        limits = limits or Limits()
        self._keys, self._page = Keys(), page
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._root = f"http://{'[::1]' if host == '::1' else '127.0.0.1'}:{self.port}/"
        try:
            inner = application(
                endpoints, port=self.port, keys=self._keys, shared=shared, limits=limits, folder=folder
            )
        except BaseException:
            self._socket.close()
            raise
        self._server = _Quiet(_configuration(inner, limits))

    @property
    def token(self) -> str:
        """What opens it, for programs."""
        return self._keys.token

    @property
    def url(self) -> str:
        """The address that opens it, as often as one likes."""
        return f"{self._root}?token={self._keys.token}{self._page}"

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Serve until Ctrl-C or `stop`.

        Args:
            started: called once requests are answered.
        """
        self._server.at_start = started
        # uvicorn stops at Ctrl-C, and passes it on when all is closed; here it is how the studio ends.
        with contextlib.closing(self._socket), contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.should_exit = True

    def open_browser(self) -> None:
        """Open the page, without waiting for the browser.

        What is on a browser's command line others on this machine can read: its address opens once.
        """
        address = f"{self._root}?ticket={self._keys.new_ticket()}{self._page}"
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


class _Quiet(uvicorn.Server):
    """Says when it has started, by a call and not in a log."""

    at_start: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.at_start is not None:
            self.at_start()


def _configuration(inner: Callable[..., object], limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        inner,  # pyright: ignore[reportArgumentType]
        # named, so that what else is installed changes nothing
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=limits.message,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=0,
    )


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens, so that who comes before the server has started waits."""
    address = _LOOPBACK.get(host)
    if address is None:
        raise ArgumentError(
            f"the studio is served to this machine alone, on 127.0.0.1, not on {shown(host)}: "
            "it runs what its user asks, and others must not ask",
            fix="from another machine: ssh -L 8000:127.0.0.1:8000 THIS_MACHINE, with port=8000 on both",
        )
    if port is not None and not 1 <= port <= _MOST_PORT:
        raise ArgumentError(
            f"port must be from 1 to {_MOST_PORT}, got {port}", fix="pass port=8000, or leave it out"
        )
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where anyone may share a port otherwise
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # pyright: ignore
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port or 0))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise _not_bound(port, error) from None
    return listening


def _not_bound(port: int | None, error: OSError) -> ArgumentError:
    if error.errno == errno.EADDRINUSE:
        why = f"port {port} is taken by another program, maybe by another studio"
    elif error.errno == errno.EACCES:
        why = f"port {port} needs rights that this user does not have"
    else:
        why = f"port {port or 'of the studio'} cannot be opened: {error.strerror}"
    return ArgumentError(why, fix="leave out port=8000 for one that is free, or pass another")
