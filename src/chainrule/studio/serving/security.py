"""Who may ask: one process's user, in pages of ours, and nobody else. Stands before everything that is served."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), serial=(), usb=()",
    ),
)
"""On every answer."""

_ANSWERS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_OURS = ("same-origin", "none")
"""Of ``Sec-Fetch-Site``: what a page of ours asks for, and what a person types."""
_TICKET = "ticket"
_TOKEN = "token"


class Keys:
    """What opens the studio: three secrets of 32 random bytes, so that none gives another away.

    Attributes:
        token: in the printed address, and for programs in ``Authorization: Bearer``.
        cookie: what a browser keeps of having shown one of the others.
    """

    def __init__(self) -> None:
        self.token: str = secrets.token_urlsafe(32)
        self.cookie: str = secrets.token_urlsafe(32)
        self._ticket: str | None = None

    def new_ticket(self) -> str:
        """A secret that opens once: on a command line, as that of a browser, others on the machine can read it."""
        self._ticket = secrets.token_urlsafe(32)
        return self._ticket

    def opens(self, query: Mapping[str, Iterable[str]]) -> bool:
        """Whether a query has the token, or the ticket, which is void then."""
        if any(_same(one, self.token) for one in query.get(_TOKEN, ())):
            return True
        ticket = self._ticket
        if ticket is not None and any(_same(one, ticket) for one in query.get(_TICKET, ())):
            self._ticket = None
            return True
        return False


def authorities(port: int) -> frozenset[str]:
    """What ``Host`` may be."""
    hosts = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(f"{host}:{port}" for host in hosts) | frozenset(hosts if port == 80 else ())


class Guard:
    """An ASGI application before another, which lets through what its user asks, over HTTP and WebSockets.

    Args:
        inner: what is guarded.
        port: that is served.
        keys: that open it.
    """

    def __init__(self, inner: ASGIApp, port: int, keys: Keys) -> None:
        self._inner, self._port, self._keys = inner, port, keys
        self._hosts = authorities(port)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._cookie_name = f"chainrule_studio_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand on."""
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._foreign(scope, headers)
        if refusal is None and _asks_to_enter(scope):
            if self._enters(scope, headers):
                await _answer(scope, with_headers, *self._welcome(headers))
                return
        elif refusal is None and self._knows(headers):
            await self._inner(scope, receive, with_headers)
            return
        await _refuse(scope, with_headers, *(refusal or _LOCKED))

    def _foreign(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        """Why a request does not come from a page of ours or a person, if so."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return (
                421,
                "this address is not the studio's",
                f"open the address that the terminal printed, which begins with http://127.0.0.1:{self._port}/",
            )
        if any(origin.lower() not in self._origins for origin in headers.getlist("origin")):
            return 403, "a page of another origin asks", _FROM_THE_STUDIO
        if any(site.lower() not in _OURS for site in headers.getlist("sec-fetch-site")):
            # A link to the studio may stand anywhere; what its page needs is then asked for by a page of ours.
            root = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
            opened = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
            if not root or opened != ("navigate", "document"):
                return 403, "a page of another site asks", _FROM_THE_STUDIO
        return None

    def _knows(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return _same(given.strip(), self._keys.token)
        pairs = (one.partition("=") for line in headers.getlist("cookie") for one in line.split(";"))
        return any(
            _same(value.strip(), self._keys.cookie)
            for name, _, value in pairs
            if name.strip() == self._cookie_name
        )

    def _enters(self, scope: Scope, headers: Headers) -> bool:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        # Who is in already may have opened the browser's address twice, whose ticket is void.
        return self._keys.opens(query) or self._knows(headers)

    def _welcome(self, headers: Headers) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """Hand out the cookie, and lead to the same page without the token."""
        cookie = f"{self._cookie_name}={self._keys.cookie}; Path=/; HttpOnly; SameSite=Strict"
        kept = [(b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]
        if headers.get("sec-fetch-site", "none").lower() in _OURS:
            return 303, b"", [*kept, (b"location", b"/")]
        # A browser would follow a redirect from another site's link without a strict cookie.
        page = (
            b'<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>chainrule studio</title>\n'
        )
        return 200, page, [*kept, (b"content-type", b"text/html; charset=utf-8")]


_FROM_THE_STUDIO = "ask from the studio's own page"
_LOCKED = (
    401,
    "the studio is open only for who has its token",
    "open the address that the terminal printed, which has it; programs send it as Authorization: Bearer TOKEN",
)


def _same(given: str, secret: str) -> bool:
    """Compared in a time that says nothing about where they differ."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _asks_to_enter(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
        return False
    query = scope["query_string"]
    return any(part.startswith((b"token=", b"ticket=")) for part in query.split(b"&"))


async def _refuse(scope: Scope, send: Send, status: int, message: str, fix: str) -> None:
    if scope["path"] == "/api" or scope["path"].startswith("/api/"):
        error = {"error": {"type": "RequestError", "message": message, "fix": fix}}
        body, kind = json.dumps(error).encode(), b"application/json"
    else:
        text = f"{status} {HTTPStatus(status).phrase}: {message}.\n  Fix: {fix}.\n"
        body, kind = text.encode(), b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await _answer(scope, send, status, body, headers)


async def _answer(
    scope: Scope, send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else body})
