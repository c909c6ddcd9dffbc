"""The articles whose examples the tour reworks."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from chainrule.show.style import ERROR, print_paragraph

ARTICLES = {
    "000": "Breaking down Neural Networks: An intuitive approach to backprop! (Benedict Florance, 2018)",
    "001": "Backpropagation Demystified (2016)",
    "002": "A Visual Tour of Backpropagation (Jinay Jain, 2020)",
    "003": "Backpropagation",
}
"""Their titles by the numbers that the tour calls them."""


def show_articles(console: Console) -> None:
    """Print which articles there are, and how to read the stops."""
    print_paragraph("This tour reworks the examples of four articles, which it calls by number:", console)
    console.print()
    for number, title in ARTICLES.items():
        print_paragraph(f"{number}  {title}", console, indent=2, hanging=5)
    console.print()
    print_paragraph(
        "✓ marks a number on which chainrule and the source beside it agree, ✗ one on which they differ. "
        "All that chainrule says is computed now.",
        console,
    )
    line = Text("Slip:", style=ERROR).append(
        " marks a statement of an article that is wrong, and says what is right.", "not bold default"
    )
    print_paragraph(line, console)
