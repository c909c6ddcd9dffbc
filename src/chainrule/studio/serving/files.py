"""The front end's files: those in one folder of the package, and no others."""

from __future__ import annotations

import hashlib
import re
import stat
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER: Final = Path(str(files("chainrule.studio"))) / "static"

_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Of files and folders that are served: no hidden ones, none above, no separators, no drives, no NUL."""


class Files:
    """Answers with files.

    Args:
        folder: whose files these are.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    async def __call__(self, request: Request) -> Response:
        """The file of the request's path, or 304 if the client has it."""
        found = self._read(request.url.path.removeprefix("/") or "index.html")
        if found is None:
            raise HTTPException(404)
        content, kind = found
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        known = [
            one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
        ]
        if tag in known or "*" in known:
            return Response(None, 304, headers)
        return Response(content, 200, {**headers, "content-type": kind})

    def _read(self, path: str) -> tuple[bytes, str] | None:
        """Content and type of a plain file that is reached through plain folders."""
        parts = path.split("/")
        kind = _KINDS.get(Path(parts[-1]).suffix)
        if kind is None or not all(_NAME.fullmatch(part) for part in parts):
            return None
        place = self._folder.joinpath(*parts)
        try:
            folders = [self._folder.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
            if not all(stat.S_ISDIR(folder.lstat().st_mode) for folder in folders):  # a link is none
                return None
            return (place.read_bytes(), kind) if stat.S_ISREG(place.lstat().st_mode) else None
        except OSError:
            return None
