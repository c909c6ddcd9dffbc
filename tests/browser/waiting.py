"""How tests wait. A page answers a click in a later frame, a server when its turn comes, and nobody knows how late.

So nothing is read once and compared: ``expect(...)`` of Playwright waits for what a page shows, and ``eventually`` for
everything else. Before it is said that something has not changed, a test waits for a sign that the page has handled
what could have changed it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

SLOWER = float(os.environ.get("CHAINRULE_SLOW_BROWSER") or 1)
"""By how much pages are slowed down on purpose, to find what does not wait."""
PATIENCE = 60.0 * max(1.0, SLOWER / 2)
"""Seconds that are waited at most, for anything: many times what a loaded machine takes."""


def eventually(read: Callable[[], Any], expected: Any) -> Any:
    """Read again and again until it is what is expected, which is a value or a function that says yes; gives it.

    What cannot be read yet, as a part of an address that is not written, is waited for too. ``read`` has to ask the
    browser, not the copy that Playwright keeps (``page.url``, what listeners have gathered): that is brought up to date
    only while something is asked.
    """
    until = time.monotonic() + PATIENCE
    while True:
        is_last = time.monotonic() > until
        try:
            found = read()
        except (LookupError, TypeError, ValueError, AttributeError):
            if is_last:
                raise
        else:
            if _is(found, expected):
                return found
            assert not is_last, f"after {PATIENCE:g} s there is {found!r} instead of {expected!r}"
        time.sleep(0.02)


def _is(found: Any, expected: Any) -> bool:
    return bool(expected(found)) if callable(expected) else bool(found == expected)


LATE = """
by => {
  const later = f => (...given) => setTimeout(() => f(...given), by);
  const frame = requestAnimationFrame.bind(window), idle = requestIdleCallback.bind(window), ask = fetch.bind(window);
  const waiting = new Set();
  let last = 0;
  window.requestAnimationFrame = f => {
    const id = (last += 1);
    waiting.add(id);
    setTimeout(() => frame(now => waiting.delete(id) && f(now)), by);
    return id;
  };
  window.cancelAnimationFrame = id => waiting.delete(id);
  window.requestIdleCallback = (f, options) => setTimeout(() => idle(f, options), by);
  window.fetch = async (...given) => {
    try {
      return await ask(...given);
    } finally {
      await new Promise(resolve => setTimeout(resolve, by));
    }
  };
  window.WebSocket = class extends WebSocket {
    addEventListener(kind, f, ...options) {
      super.addEventListener(kind, later(f), ...options);
    }
  };
  window.ResizeObserver = class extends ResizeObserver {
    constructor(f) {
      super(later(f));
    }
  };
}
"""
"""Frames, answers, messages and sizes reach a page's own scripts this many milliseconds late; Playwright's do not."""


def slowed(page: Any) -> Any:
    """The page, slowed down where that is wanted."""
    if SLOWER > 1:
        page.add_init_script(f"({LATE.strip()})({25 * SLOWER:g})")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    return page
