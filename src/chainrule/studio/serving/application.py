"""The ASGI application: pages, their questions, and what is live, behind the guard."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

import chainrule
from chainrule.errors import ArgumentError
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving.answering import (
    LOG,
    Answering,
    Refusal,
    as_response,
    error_document,
    handler,
    to_json,
)
from chainrule.studio.serving.description import describe, names_in
from chainrule.studio.serving.files import FOLDER, Files
from chainrule.studio.serving.limits import Limits
from chainrule.studio.serving.security import Guard, Keys
from chainrule.studio.serving.sockets import Sockets
from chainrule.studio.serving.workers import Workers


def application(
    endpoints: Sequence[Endpoint | Live],
    *,
    port: int,
    keys: Keys,
    shared: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    folder: Path = FOLDER,
) -> ASGIApp:
    """Everything that is served on a port, to who has the keys.

    Args:
        endpoints: questions, and what is live, of all pages.
        port: on which it is served, which guards against names of others that lead here.
        keys: that open it.
        shared: schemas that those of the endpoints refer to, by name.
        limits: of what is done for one client.
        folder: of the front end's files.

    Raises:
        ArgumentError: two endpoints are the same, or one has a path or a schema that cannot be.
    """
    described = to_json(describe(endpoints, chainrule.__version__, shared))
    listed = json.dumps(_listed(endpoints), indent=2, ensure_ascii=False).encode()
    more = [
        Route("/api", partial(_fixed, listed)),
        Route("/api/openapi.json", partial(_fixed, described)),
        Route("/{path:path}", Files(folder).__call__),
    ]
    return Guard(answering(endpoints, limits, more), port, keys)


def answering(
    endpoints: Sequence[Endpoint | Live], limits: Limits | None = None, more: Sequence[BaseRoute] = ()
) -> ASGIApp:
    """What answers questions, without a guard: for whom they come from is known to who calls it.

    Args:
        endpoints: questions, and what is live.
        limits: of what is done for one client.
        more: that is served beside them.

    Raises:
        ArgumentError: two endpoints are the same, or one has a path or a schema that cannot be.
    """
    limits = limits or Limits()
    _check(endpoints)
    workers = Workers(limits.answers, limits.seconds)
    seats = threading.Semaphore(limits.sockets)
    routes: list[BaseRoute] = [*more]
    by_path: dict[str, dict[str, Answering]] = {}
    for one in endpoints:
        if isinstance(one, Live):
            routes.append(WebSocketRoute(one.path, Sockets(one, workers, limits, seats).__call__))
        else:
            by_path.setdefault(one.path, {})[one.method] = handler(one, workers, limits)
    for path, ways in by_path.items():
        routes.append(Route(path, partial(_by_method, ways), methods=list(ways)))
    handlers = {HTTPException: _refused, Exception: _failed}
    return Starlette(routes=_most_particular_first(routes), exception_handlers=handlers)


async def _fixed(body: bytes, request: Request) -> Response:
    return as_response(body)


async def _by_method(ways: Mapping[str, Answering], request: Request) -> Response:
    return await ways["GET" if request.method == "HEAD" else request.method](request)


def _listed(endpoints: Sequence[Endpoint | Live]) -> dict[str, object]:
    """The API for a person."""
    return {
        "name": "chainrule studio",
        "version": chainrule.__version__,
        "openapi": "/api/openapi.json",
        "endpoints": [
            {
                "method": one.method if isinstance(one, Endpoint) else "WebSocket",
                "path": one.path,
                "summary": one.summary,
                "takes": list(one.takes.get("properties", ())),
            }
            for one in endpoints
        ],
    }


def _check(endpoints: Sequence[Endpoint | Live]) -> None:
    seen: set[tuple[str, str]] = set()
    for one in endpoints:
        method = one.method if isinstance(one, Endpoint) else "GET"
        if not one.path.startswith("/api/") or (method, one.path) in seen:
            problem = "is there twice" if (method, one.path) in seen else "does not begin with /api/"
            raise ArgumentError(f"endpoint {method} {one.path} {problem}", fix="give each a path of its own")
        seen.add((method, one.path))
        known = one.takes.get("properties", {}) if isinstance(one, Endpoint) else names_in(one.path)
        unknown = [name for name in names_in(one.path) if name not in known]
        if unknown or (isinstance(one, Live) and len(known) != 1):
            raise ArgumentError(
                f"endpoint {method} {one.path}: the names in its path are not those that it takes",
                fix=f"describe {unknown[0]} in takes" if unknown else "a live one has one name: {session}",
            )


def _most_particular_first(routes: list[BaseRoute]) -> list[BaseRoute]:
    """``/api/network/names`` before ``/api/network/{session}``, in whatever order the endpoints came."""

    def rank(route: BaseRoute) -> tuple[bool, int]:
        path = str(getattr(route, "path", ""))
        return ":path}" in path, path.count("{")

    return sorted(routes, key=rank)


async def _refused(request: Request, error: Exception) -> Response:
    """What starlette refuses: no such path, or not with that method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:  # made from a set
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    if not request.url.path.startswith("/api"):
        return PlainTextResponse(f"{error.status_code}: {error.detail}.\n", error.status_code, headers)
    message = f"{request.method} {request.url.path[:100]}: {error.detail}"
    fix = f"use {headers['Allow']}" if "Allow" in headers else "see /api, which lists what there is"
    response = Refusal(error.status_code, message, fix).response()
    response.headers.update(headers)
    return response


async def _failed(request: Request, error: Exception) -> Response:
    LOG.error("%s", request.url.path, exc_info=error)
    return as_response(to_json(error_document(error)), 500)
