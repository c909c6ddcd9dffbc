"""Drawing in the terminal. Nothing here computes: it reads explanations and events."""

from chainrule.show.explanation import show_explanation

__all__ = ["show_explanation"]
