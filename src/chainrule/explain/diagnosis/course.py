"""What is known of a network in training: some passes with their graphs, all losses, and what updates it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.reasons.words import Words
from chainrule.optim import Optimizer
from chainrule.primitive import Array


@dataclass
class Course:
    """The course of a training.

    Attributes:
        passes: those that were seen in full, the first one first, with updates between them.
        losses: of all passes, seen in full or not.
        optimizer: what makes the updates, if it is known.
        labels: the targets of consecutive batches, as far as they were seen.
        untold: layers that must know that they are trained, and are not told: path and kind.
        drops: whether something is dropped at random also where the model is not trained.
        stale: buffers that training should have moved and did not, by path.
        numbers: which of all passes those seen in full are; by default they are all.
        twice: updates before which the same loss was differentiated more than once.
        updates: how many there were.
        given: whether the updates are the user's own, so that something can be said about their size.
    """

    passes: Sequence[Observed]
    losses: Sequence[float]
    optimizer: Optimizer | None = None
    labels: Sequence[Array] = ()
    untold: Sequence[str] = ()
    stale: Sequence[str] = ()
    drops: bool = False
    numbers: Mapping[Observed, int] = field(default_factory=dict[Observed, int])
    twice: int = 0
    updates: int = 0
    given: bool = True
    _anatomies: dict[Observed, Anatomy] = field(default_factory=dict[Observed, Anatomy])

    @property
    def first(self) -> Observed:
        """The first pass."""
        return self.passes[0]

    @property
    def last(self) -> Observed:
        """The last one whose numbers are finite; the first if none are."""
        return next((p for p in reversed(self.passes) if p.is_finite), self.first)

    def anatomy(self, observed: Observed) -> Anatomy:
        """The parts of a pass."""
        if observed not in self._anatomies:
            self._anatomies[observed] = Anatomy(observed)
        return self._anatomies[observed]

    @cached_property
    def finite(self) -> list[Observed]:
        """The passes whose numbers are finite."""
        return [p for p in self.passes if p.is_finite]

    @cached_property
    def anatomies(self) -> list[Anatomy]:
        """Of the passes whose numbers are finite."""
        return [self.anatomy(p) for p in self.finite]

    def words_of(self, observed: Observed) -> Words:
        """Names for the nodes of a pass."""
        return Words(observed.result, {node: path for path, node in observed.parameters.items()})

    def number_of(self, observed: Observed) -> int:
        """Which of all passes one is, from 0."""
        return self.numbers.get(observed, list(self.passes).index(observed))

    @cached_property
    def early(self) -> list[Anatomy]:
        """Of the first few passes: how the network began."""
        return self.anatomies[:EARLY]

    @cached_property
    def late(self) -> list[Anatomy]:
        """Of the second half of the passes: what has become of the network."""
        return self.anatomies[len(self.anatomies) // 2 :]

    @cached_property
    def is_solved(self) -> bool:
        """Whether the loss is in the end a small part of that of a network that says nothing."""
        return self._is_solved(self.last)

    @cached_property
    def began_solved(self) -> bool:
        """The same of the first pass: the network was trained before."""
        return self._is_solved(self.first)

    def _is_solved(self, observed: Observed) -> bool:
        floor = self.anatomy(observed).floor
        return floor is not None and observed.loss < SOLVED * floor


SOLVED = 0.1
"""A loss below this part of that of equal scores: most has been learned, and gradients are small for a good reason."""
EARLY = 6

Detector: TypeAlias = Callable[[Course], Iterator[Finding]]
