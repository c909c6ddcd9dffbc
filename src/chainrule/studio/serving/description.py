"""The API in OpenAPI 3.1, from the same endpoints that answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving.schemas import closed

_NAMES = re.compile(r"\{(\w+)\}")
_ERRORS = {
    "400": "An argument is not as described, or the question has no answer.",
    "401": "There is no token.",
    "403": "A page of another site asks.",
    "421": "The header Host is not the studio's.",
    "500": "A defect: the server goes on.",
    "503": "It took too long, or the server is busy.",
}
_OF_BODIES = {
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message", "fix"],
            "properties": {
                "type": {"type": "string", "description": "The class of the error."},
                "message": {"type": "string", "description": "What was got and what was expected."},
                "fix": {"type": ["string", "null"], "description": "What to do instead."},
                "at": {
                    "type": "integer",
                    "description": "The place in the formula's text, in characters from 0.",
                },
            },
        }
    },
}


def names_in(path: str) -> tuple[str, ...]:
    """The names in braces.

    Example:
        >>> names_in("/api/network/{session}/unit")
        ('session',)
    """
    return tuple(_NAMES.findall(path))


def describe(
    endpoints: Iterable[Endpoint | Live], version: str, shared: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The document of ``/api/openapi.json``.

    Args:
        endpoints: what is described.
        version: of chainrule.
        shared: schemas that those of the endpoints refer to, as ``#/components/schemas/NAME``.
    """
    components: dict[str, Any] = {"Error": _ERROR, **(shared or {})}
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        method = one.method.lower() if isinstance(one, Endpoint) else "get"
        operation = _of_live(one, components) if isinstance(one, Live) else _of_endpoint(one, components)
        paths.setdefault(one.path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chainrule studio",
            "version": version,
            "description": "What the pages of chainrule studio ask. Numbers that are not finite are the texts NaN, "
            "Infinity and -Infinity.",
        },
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "As the terminal printed it."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "chainrule_studio_PORT"},
            },
        },
    }


def _of_endpoint(endpoint: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    name = _operation(endpoint.method.lower(), endpoint.path)
    takes = _hoisted(closed(endpoint.takes), f"{name}_arguments", components)
    gives = _hoisted(endpoint.gives, f"{name}_answer", components)
    in_path = names_in(endpoint.path)
    has_body = endpoint.method == "POST"
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": endpoint.summary,
        "parameters": _parameters(takes, in_path, only_path=has_body),
        "responses": {"200": {"description": "The answer.", "content": _json(gives)}},
    }
    if has_body:
        operation["requestBody"] = {
            "required": bool(set(takes.get("required", ())) - set(in_path)),
            "content": _json(_without(takes, in_path)),
        }
    for status, words in {**_ERRORS, **(_OF_BODIES if has_body else {})}.items():
        operation["responses"][status] = {"description": words, "content": _error_of(status)}
    return operation


def _of_live(live: Live, components: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI has no word for WebSockets: a GET that switches protocols, with the two kinds of message beside it."""
    name = _operation("live", live.path)
    takes = _hoisted(closed(live.takes), f"{name}_command", components)
    gives = _hoisted(live.gives, f"{name}_frame", components)
    path = {"properties": {part: {"type": "string"} for part in names_in(live.path)}}
    refused = ("401", "403", "421")
    return {
        "operationId": name,
        "summary": live.summary,
        "description": "A WebSocket. The server sends a frame, or an Error, as JSON; the client sends commands.",
        "parameters": _parameters(path, names_in(live.path), only_path=True),
        "responses": {
            "101": {"description": "The connection is a WebSocket from now on."},
            **{status: {"description": _ERRORS[status], "content": _error_of(status)} for status in refused},
        },
        "x-websocket": {"command": takes, "frame": gives},
    }


def _operation(method: str, path: str) -> str:
    return "_".join([method, *re.findall(r"\w+", path.removeprefix("/api"))])


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _error_of(status: str) -> dict[str, Any]:
    del status
    return _json({"$ref": "#/components/schemas/Error"})


def _parameters(takes: Mapping[str, Any], in_path: tuple[str, ...], only_path: bool) -> list[dict[str, Any]]:
    required = takes.get("required", ())
    found: list[dict[str, Any]] = []
    for name, schema in takes.get("properties", {}).items():
        if name in in_path or not only_path:
            place = "path" if name in in_path else "query"
            parameter = {"name": name, "in": place, "required": place == "path" or name in required}
            if "description" in schema:
                parameter["description"] = schema["description"]
            found.append({**parameter, "schema": schema})
    return found


def _without(takes: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    rest = dict(takes)
    rest["properties"] = {n: schema for n, schema in takes.get("properties", {}).items() if n not in names}
    if "required" in takes:
        rest["required"] = [name for name in takes["required"] if name not in names]
    return rest


def _hoisted(schema: Mapping[str, Any], name: str, components: dict[str, Any]) -> dict[str, Any]:
    """A schema whose own definitions are among the components: its references then hold in this document too."""
    own = {"$defs", "$id", "$schema"}
    plain = {key: value for key, value in schema.items() if key not in own}
    for inner, definition in schema.get("$defs", {}).items():
        components[f"{name}.{inner}"] = _redirected(definition, name)
    found = _redirected(plain, name)
    if _refers_to_itself(schema):
        components[name] = found
    return found


def _redirected(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _target(one, name) if key == "$ref" and isinstance(one, str) else _redirected(one, name)
            for key, one in value.items()  # pyright: ignore[reportUnknownVariableType]
        }
    if isinstance(value, (list, tuple)):
        return [_redirected(one, name) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _target(reference: str, name: str) -> str:
    if reference == "#":
        return f"#/components/schemas/{name}"
    return re.sub(r"^#/\$defs/", f"#/components/schemas/{name}.", reference)


def _refers_to_itself(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("$ref") == "#" or any(_refers_to_itself(one) for one in value.values())  # pyright: ignore
    return isinstance(value, (list, tuple)) and any(_refers_to_itself(one) for one in value)  # pyright: ignore
