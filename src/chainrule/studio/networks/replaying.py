"""A training gone through again at some of its updates, beside the one that a person watches, which it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chainrule.studio.networks.building import Setting
from chainrule.studio.networks.descent import Descent
from chainrule.studio.networks.training import Status, View

MOST_EARLY = 24
"""Updates that are chosen before the second moment that is kept: when training begins, much happens in a few."""


class Replay:
    """The views of a training at chosen updates, dense where it begins, with the same bits as the first time.

    What was kept of the training is used: at most the updates from one kept moment to the next are made again, and
    those to where the training is and was at most.

    Args:
        setting: of the training.
        view: what is shown of it now.

    Attributes:
        updates: those that are chosen: the first, the last, the one that is shown, and more.
    """

    def __init__(self, setting: Setting, view: View) -> None:
        self.setting, self.view = setting, view
        kept, last = view.known.moments, view.known.furthest
        early = _growing(min(kept.spacing, last), MOST_EARLY)
        self.updates = sorted({*early, *(k for k in kept if k <= last), view.shot.update, last})

    def views(self) -> Iterator[tuple[int, View]]:
        """Each chosen update with what was to be seen then, at rest, in ascending order."""
        descent = Descent(self.setting, self.view.known)
        problem = self.view.status.problem
        for update in self.updates:
            if update == self.view.shot.update:
                yield update, replace(self.view, status=Status(problem=problem))
                continue
            descent.approach(update)
            while descent.update < update:
                if descent.update == update - 1:
                    descent.mark()
                descent.advance()
            shot = descent.shot()
            yield update, replace(self.view, shot=shot, now=descent.now(shot), status=Status())


def _growing(last: int, most: int) -> list[int]:
    """Whole numbers from 0 to ``last``, about so many, each step at least as long as the one before.

    Example:
        >>> _growing(6, 24), _growing(1000, 8)
        ([0, 1, 2, 3, 4, 5, 6], [0, 3, 8, 21, 55, 145, 381, 1000])
    """
    found, left = [0], most
    while found[-1] < last:
        here = found[-1]
        left -= 1
        ratio = (last / max(here, 1)) ** (1 / max(left, 1))
        found.append(min(last, max(here + 1, round(max(here, 1) * ratio))))
    return found
