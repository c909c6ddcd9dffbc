"""What the library's messages say in Python, said as options of the command."""

from __future__ import annotations

import re
from typing import Any

_ARGUMENT = re.compile(r"""\b([a-z_]+)=("[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|[\w.+-]*\w)""")


def as_options(text: str, command: Any) -> str:
    """``text`` with ``epochs=10`` as ``--epochs 10``, for the arguments that are options of a command.

    Args:
        text: what to do about an error. Where it has a call of the library it is about a program, and stays as it is.
        command: of typer, or None where there is none.

    Example:
        >>> from typer.main import get_command
        >>> from chainrule.cli.application import app
        >>> command = get_command(app).commands["train"]
        >>> as_options('pass targets="numbers", or size=(48, 64)', command)
        'pass --targets numbers, or --size 48x64'
    """
    known = {
        option.name: option for option in getattr(command, "params", ()) if option.opts[0].startswith("--")
    }

    def said(match: re.Match[str]) -> str:
        option = known.get(match[1])
        if option is None:
            return match[0]
        if option.is_flag:
            return option.opts[0]
        return f"{option.opts[0]} {_value(match[2], option.metavar)}"

    return text if "cr." in text else _ARGUMENT.sub(said, text)


def _value(written: str, metavar: str | None) -> str:
    """As a person types it; ``resume=True`` is an option that takes the run."""
    if written == "True":
        return metavar or "..."
    if written[0] == "(":
        return "x".join(part.strip() for part in written.strip("()").split(","))
    return written.strip("[]").strip("\"'")
