"""The command ``chainrule``."""

from chainrule.cli.application import main

__all__ = ["main"]
