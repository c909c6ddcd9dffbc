"""The tour: four articles' examples reworked live, then a network that learns to read digits.

Only the inputs and what the articles state are written down; every other number is computed as you watch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from chainrule import models, train
from chainrule.show import show_training
from chainrule.show.style import ERROR, print_paragraph
from chainrule.tour import formulas, network, orders
from chainrule.tour.articles import ARTICLES, show_articles
from chainrule.tour.stop import Check, Stop, show_heading, show_stop

_STOPS: tuple[Callable[[], Stop], ...] = (
    formulas.product_of_sums,
    formulas.forward_against_reverse,
    formulas.sensitivity,
    formulas.used_twice,
    formulas.square_of_line,
    formulas.sigmoid_from_parts,
    formulas.descent,
    network.two_two_one,
    formulas.sensitivity_again,
    orders.multiplication_orders,
)
GOOD = 0.95
"""The accuracy on unseen digits that the tour expects; ten classes by chance give 0.1."""


@dataclass(frozen=True)
class Tour:
    """All stops, and what came out of training."""

    stops: tuple[Stop, ...]
    finished: train.Finished

    @property
    def agrees(self) -> bool:
        """Whether every number of every stop agrees with its other source, and the network learned."""
        return all(stop.agrees for stop in self.stops) and self.finished.test_accuracy >= GOOD

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "version": 1,
            "articles": ARTICLES,
            "stops": [stop.to_dict() for stop in self.stops],
            "training": self.finished.to_dict(),
            "agrees": self.agrees,
        }


def take_tour(console: Console | None = None) -> Tour:
    """Compute every stop, and print each as soon as it is there.

    Args:
        console: where to; None prints nothing.
    """
    stops: list[Stop] = []
    count = len(_STOPS) + 1
    if console is not None:
        show_articles(console)
    for number, make in enumerate(_STOPS, 1):
        stop = make()
        stops.append(stop)
        if console is not None:
            show_heading(stop.title, stop.article, number, count, console)
            show_stop(stop, console)
    model, data, loss, optimizer, settings = models.digits_classifier()
    events = train.run(model, data, loss, optimizer, **settings)
    if console is None:
        *_, finished = events
    else:
        show_heading("a classifier learns to read", "000", count, count, console)
        print_paragraph(
            "The same sweep, on a network: gradients of the loss for every weight, a small step against "
            "them, again and again. It has ten classes instead of the article's four animals.",
            console,
        )
        console.print()
        finished = show_training(events, console)
    assert isinstance(finished, train.Finished)
    tour = Tour(tuple(stops), finished)
    if console is not None:
        _print_end(tour, console)
    return tour


def _print_end(tour: Tour, console: Console) -> None:
    checks = [check for stop in tour.stops for check in stop.checks]
    wrong = [check for check in checks if not check.agrees]
    console.print()
    if wrong:
        console.print(Text(f"{len(wrong)} of {len(checks)} numbers differ, see ✗ above.", style=ERROR))
    else:
        console.print(Text(f"All {len(checks)} numbers agree.", style="bold"))
    console.print(Text('Go on with your own: chainrule explain "x*sin(x)" x=2'))


__all__ = ["Check", "Stop", "Tour", "take_tour"]
