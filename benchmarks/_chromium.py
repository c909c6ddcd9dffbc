"""Chromium for the benchmarks that measure pages: without a GPU, and quiet."""

from __future__ import annotations

import shutil
from typing import Any

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)


def launched(playwright: Any) -> Any:
    """A browser that is started."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
