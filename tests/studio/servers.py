"""A studio on a free port in a thread, and clients for it that send exactly what a test says."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import ClientConnection, connect

from chainrule.studio.serving import Server


class Answer:
    """Of HTTP: status, headers with names in lower case, and body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        """The body, in which JSON's own tokens alone are allowed."""
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


class Client:
    """Asks a server, with its token unless told otherwise."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host = f"127.0.0.1:{server.port}"

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        timeout: float = 20,
    ) -> Answer:
        """An answer. A header that is None is left out; a body that is not bytes is sent as JSON."""
        sent = {"Host": self.host, "Authorization": f"Bearer {self.server.token}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None and "Content-Length" not in sent:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            return Answer(connection.getresponse())

    def get(self, path: str, headers: dict[str, str | None] | None = None) -> Answer:
        return self("GET", path, headers=headers)

    def post(self, path: str, body: Any, headers: dict[str, str | None] | None = None) -> Answer:
        return self("POST", path, body, headers)

    def raw(self, request: bytes) -> bytes:
        """What a server says to bytes that need not be HTTP, before it ends the connection.

        If it has not read them all by then, the system ends it with a reset.
        """
        said = b""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    said += part
            return said

    def live(self, path: str, headers: dict[str, str] | None = None, **options: Any) -> ClientConnection:
        """A WebSocket, with the token unless other headers are given."""
        sent = {"Authorization": f"Bearer {self.server.token}"} if headers is None else headers
        return connect(
            f"ws://{self.host}{path}", additional_headers=sent, proxy=None, max_size=None, **options
        )


@contextlib.contextmanager
def running(endpoints: Any, **options: Any) -> Iterator[Client]:
    """A client for a server that runs meanwhile."""
    server = Server(endpoints, **options)
    started = threading.Event()
    thread = threading.Thread(target=server.run, args=(started.set,))
    thread.start()
    try:
        assert started.wait(20)
        yield Client(server)
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
