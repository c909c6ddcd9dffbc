"""From a request to an endpoint's answer, as JSON."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chainrule.errors import ChainruleError
from chainrule.explain.numbers import json_number
from chainrule.studio import endpoints
from chainrule.studio.endpoints import Endpoint
from chainrule.studio.serving.arguments import merged
from chainrule.studio.serving.limits import Limits
from chainrule.studio.serving.schemas import Schema
from chainrule.studio.serving.workers import TookTooLong, Workers

Answering: TypeAlias = Callable[[Request], Awaitable[Response]]
"""What answers requests."""

LOG = logging.getLogger("chainrule.studio")
_LARGE = 512 * 1024
"""Answers of more bytes are compressed, for who accepts that: within a machine smaller ones arrive sooner as is."""

_DISCARDED = 8
"""A body up to so many times too large is read to its end: most clients listen to the answer only then."""


class Refusal(Exception):
    """A request that is answered with a status of its own.

    Attributes:
        status: of HTTP.
        message, fix: as those of a `ChainruleError`.
        hang_up: the connection is of no use any more.
    """

    def __init__(self, status: int, message: str, fix: str, hang_up: bool = False) -> None:
        self.status, self.message, self.fix, self.hang_up = status, message, fix, hang_up
        super().__init__(message)

    def response(self) -> Response:
        """The answer that says so."""
        headers = {"connection": "close"} if self.hang_up else {}
        return as_response(to_json(error_document(self)), self.status, headers=headers)


def error_document(error: Exception) -> dict[str, Any]:
    """JSON-ready: an error, or a refusal, as pages read it."""
    if isinstance(error, Refusal):
        return {"error": {"type": "RequestError", "message": error.message, "fix": error.fix}}
    return endpoints.error_document(error)


def to_json(document: Any) -> bytes:
    """JSON in UTF-8. What JSON has no number for is text: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # not finite; or a circle, which the second attempt finds
        text = json.dumps(_finite(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def as_response(
    body: bytes, status: int = 200, compressed: bool = False, headers: dict[str, str] | None = None
) -> Response:
    """An answer in JSON, which nothing keeps."""
    said = {"cache-control": "no-store", "vary": "accept-encoding", **(headers or {})}
    if compressed:
        said["content-encoding"] = "gzip"
    return Response(body, status, said, "application/json")


def handler(endpoint: Endpoint, workers: Workers, limits: Limits) -> Answering:
    """What answers requests to an endpoint."""
    schema = Schema(endpoint.takes)

    def work(request: Request, body: bytes) -> Response:
        """In a thread of its own, with reading and writing, which take long for much data."""
        status = 200
        try:
            arguments = merged(
                schema, request.path_params, request.scope["query_string"], body, limits.fields
            )
            document = endpoint.answer(arguments)
            written = to_json(document)
        except ChainruleError as error:
            status, written = 400, to_json(error_document(error))
        except Exception as error:
            LOG.exception("%s %s", endpoint.method, endpoint.path)
            status, written = 500, to_json(error_document(error))
        if len(written) > _LARGE and _accepts_gzip(request):
            return as_response(gzip.compress(written, 1), status, compressed=True)
        return as_response(written, status)

    async def answer(request: Request) -> Response:
        try:
            body = await _body(request, limits) if endpoint.method == "POST" else b""
            return await workers.run(lambda: work(request, body))
        except Refusal as refusal:
            return refusal.response()
        except TookTooLong as late:
            return too_long(late, workers).response()

    return answer


def too_long(late: TookTooLong, workers: Workers) -> Refusal:
    """Work that was given up."""
    if late.began:
        message = f"there was no answer within {workers.seconds:g} seconds; it is not worked on any more"
        return Refusal(503, message, "ask for less: a smaller formula, network or batch")
    return Refusal(
        503, "all threads are busy with other answers", "wait until these are there, and ask again"
    )


async def _body(request: Request, limits: Limits) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # which no page of another origin can send without being asked first
        got = f", got {kind[:60]}" if kind else ""
        raise Refusal(
            415, f"the body must be application/json{got}", "send the header Content-Type: application/json"
        )
    too_large = Refusal(
        413,
        f"the body must have at most {limits.body / 2**20:.3g} MiB",
        "send less, such as fewer rows",
        hang_up=True,
    )
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:20]) > _DISCARDED * limits.body:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limits.body:
                    parts.append(part)
                elif size > _DISCARDED * limits.body:
                    raise too_large
    except TimeoutError:
        raise Refusal(408, "the body did not arrive in time", "send it again", hang_up=True) from None
    except ClientDisconnect:
        raise Refusal(400, "the connection was lost", "send it again", hang_up=True) from None
    if size > limits.body:
        raise too_large
    return b"".join(parts)


def _accepts_gzip(request: Request) -> bool:
    offers = (one.partition(";") for one in request.headers.get("accept-encoding", "").lower().split(","))
    return any(
        name.strip() == "gzip" and weight.strip() not in ("q=0", "q=0.0") for name, _, weight in offers
    )
