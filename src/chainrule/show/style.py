"""Colours and marks of the terminal: values are blue and travel up, gradients orange and travel down.

The hues are chosen to be legible on dark and on light backgrounds. Without colour the arrows, the places and
the minus signs carry everything; a sign is never a hue.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.text import Text

VALUE = "bold #3a8fdc"
GRADIENT = "bold #d4630f"
LOCAL = "bold"
QUIET = "dim"
EDGE = "#8b897f"
ERROR = "bold #b0459c"

UP, DOWN = "▲", "▼"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int, *, negative: bool = False) -> Text:
    """A bar of ``share`` (0 to 1) of ``width`` columns; hatched for a negative number."""
    cells = max(0.0, min(1.0, share)) * width
    if negative:
        return Text("▒" * max(round(cells), 1 if share > 0 else 0), style=GRADIENT)
    full, part = int(cells), _EIGHTHS[round((cells - int(cells)) * 8)].strip()
    return Text("█" * full + part, style=GRADIENT)


def print_paragraph(text: str | Text, console: Console, *, indent: int = 0, hanging: int = 0) -> None:
    """Print words, broken at blanks to the console's width, without blanks at the ends of lines.

    Args:
        indent: columns before every line.
        hanging: columns more before every line but the first.
    """
    words = Text(text) if isinstance(text, str) else text
    width = max(8, console.width - indent - hanging)
    first, *rest = words.wrap(console, width) or [Text()]
    for i, line in enumerate((first, *rest)):
        line.rstrip()
        console.print(Text(" " * (indent + (hanging if i else 0))) + line, highlight=False)


def print_trimmed(drawn: RenderableType, console: Console) -> None:
    """Print a table without the blanks that fill its lines."""
    for segments in console.render_lines(drawn, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        console.print(line, highlight=False, no_wrap=True, crop=True)
