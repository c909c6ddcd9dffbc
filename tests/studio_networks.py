"""Questions about networks of the studio, asked as its page asks them."""

import subprocess
import sys

from chainrule.studio.networks import endpoints


def asked(sessions, path, method="GET", **given):
    """The answer of an endpoint."""
    (found,) = [e for e in endpoints(sessions) if e.path == path and getattr(e, "method", "") == method]
    return found.answer(given)


def run_program(found, folder, frame):
    """Run a program that was handed on: it has the loss of the frame, and so has the network that it trains."""
    for part in ("program", "table"):
        (folder / found[part]["name"]).write_text(found[part]["text"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, found["program"]["name"]], cwd=folder, capture_output=True, text=True, check=True
    )
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert losses == [frame["status"]["now"]["train"]] * 2
