"""What a stop of the tour holds, and how it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from chainrule.explain import Explanation
from chainrule.explain.numbers import count_text, json_number, number_text
from chainrule.show import show_explanation
from chainrule.show.style import ERROR, GRADIENT, QUIET, VALUE, print_paragraph


@dataclass(frozen=True)
class Check:
    """A number that chainrule computed, beside what another source says.

    Attributes:
        what: the quantity.
        source: who says so: ``article``, ``the article's formula``, ``central difference``.
        expected, computed: the numbers.
        tolerance: relative to the larger of 1 and the expected number.
    """

    what: str
    source: str
    expected: float
    computed: float
    tolerance: float = 1e-12

    @property
    def agrees(self) -> bool:
        """Whether the numbers are the same within the tolerance."""
        return math.isclose(self.expected, self.computed, rel_tol=self.tolerance, abs_tol=self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "what": self.what,
            "source": self.source,
            "expected": json_number(self.expected),
            "computed": json_number(self.computed),
            "agrees": self.agrees,
        }


@dataclass
class Stop:
    """One example.

    Attributes:
        title: what it is.
        article: which of the four articles it is from, such as ``000``.
        shows: the point, in a sentence or two.
        checks: numbers held against each other.
        lines: more to read below them.
        slip: where the article is wrong, and what is right.
        explanation: drawn where there is one.
    """

    title: str
    article: str
    shows: str
    checks: list[Check] = field(default_factory=list[Check])
    lines: list[str] = field(default_factory=list[str])
    slip: str = ""
    explanation: Explanation | None = None

    @property
    def agrees(self) -> bool:
        """Whether every check does."""
        return all(check.agrees for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "title": self.title,
            "article": self.article,
            "shows": self.shows,
            "checks": [check.to_dict() for check in self.checks],
            "lines": self.lines,
            "slip": self.slip or None,
            "agrees": self.agrees,
        }


def show_heading(title: str, article: str, number: int, count: int, console: Console) -> None:
    """A rule with the title of a stop and where it comes from."""
    console.print()
    console.rule(Text(f"{number} of {count} · {title} · article {article}", style="bold"), style=QUIET)
    console.print()


def show_stop(stop: Stop, console: Console) -> None:
    """Print a stop below its heading."""
    print_paragraph(stop.shows, console)
    console.print()
    if stop.explanation is not None:
        show_explanation(stop.explanation, console)
        console.print()
    _print_checks(stop.checks, console)
    for line in stop.lines:
        print_paragraph(line, console, indent=2)
    if stop.slip:
        print_paragraph(Text("Slip: ", style=ERROR).append(stop.slip, "not bold default"), console, indent=2)


def _number(number: float) -> str:
    return count_text(int(number)) if abs(number) >= 1e5 and number.is_integer() else number_text(number, 5)


def _print_checks(checks: list[Check], console: Console) -> None:
    """A table: the quantity, its other source, what that says, and what chainrule computes."""
    rows = [["", "source", "says", "chainrule"]]
    rows += [[check.what, check.source, _number(check.expected), _number(check.computed)] for check in checks]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *others = (
        [what.ljust(widths[0]), source.ljust(widths[1]), expected.rjust(widths[2]), computed.rjust(widths[3])]
        for what, source, expected, computed in rows
    )
    print_paragraph(Text("  " + "  ".join(head), style=QUIET), console, indent=2)
    for check, row in zip(checks, others, strict=True):
        print_paragraph(_checked(check, row), console, indent=2, hanging=2)


def _checked(check: Check, row: list[str]) -> Text:
    line = Text("✓ ") if check.agrees else Text("✗ ", ERROR)
    line.append("  ".join([*row[:-1], ""]), "not bold default")
    line.append(row[-1], GRADIENT if "∂" in check.what else VALUE)
    return line if check.agrees else line.append(" differs", ERROR)
