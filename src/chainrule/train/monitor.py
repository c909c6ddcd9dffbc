"""A doctor beside the training: cheap signs at fixed intervals, and a examination only where one calls for it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainrule.autodiff.listening import is_listened
from chainrule.explain import Finding
from chainrule.explain.diagnosis import examine_training
from chainrule.nn import Module
from chainrule.optim import Optimizer
from chainrule.primitive import Array
from chainrule.train.events import Found
from chainrule.train.probe import Measured, Probe
from chainrule.train.state import Progress
from chainrule.train.step import with_buffers

STEPS = 2
"""Updates that an examination makes, on copies."""
LOST = 1e-4
"""A parameter whose relative pull on the loss is this much weaker than the strongest one's."""
LONG, SHORT = 0.5, 1e-8
"""Updates, as parts of what they change, that are worth a look."""
STILL = 0.98
"""A mean loss above this part of the first one has not fallen."""


class Monitor:
    """Looks at a run in training.

    Args:
        loss, optimizer: of the run.
        key: for random layers, as the steps have it.
        probe: measures gradients and updates.
        every: updates between two looks at the cheap signs; None for no monitor.
    """

    def __init__(self, loss: Any, optimizer: Optimizer, key: Any, probe: Probe, every: int | None) -> None:
        self._loss, self._optimizer, self._key = loss, optimizer, key
        # Whoever listens to the program looks for himself, and would take an examination's steps for the program's.
        self._probe, self._every = probe, None if is_listened() else every

    def begin(self, parts: Any, x: Array, y: Array, now: Progress) -> Iterator[Found]:
        """A whole examination before the first step; of a run that goes on none."""
        if self._every is not None and now.updates == 0:
            yield from self._examined(parts, x, y, now)

    def look(self, parts: Any, x: Array, y: Array, loss: float, now: Progress) -> Iterator[Found]:
        """At the right steps look at the signs, and examine if there is one.

        Args:
            parts: model, optimizer's state and buffers after the step.
            x, y: its batch.
            loss: of the step.
            now: where the run is; what is found is noted there, so that a resumed run does not find it again.
        """
        if self._every is None:
            return
        if now.updates == 1:
            now.first_loss = loss
        if now.updates % self._every or now.updates < 2 * now.examined:
            return
        measured = self._probe(parts, x, y, self._key)
        if _is_suspicious(measured) or self._is_still(now):
            yield from self._examined(parts, x, y, now)

    def _is_still(self, now: Progress) -> bool:
        """Whether the loss has not fallen since the first step."""
        assert self._every is not None
        if now.updates < 2 * self._every or not now.examples:
            return False
        return now.sums["loss"] / now.examples > STILL * now.first_loss

    def _examined(self, parts: Any, x: Array, y: Array, now: Progress) -> Iterator[Found]:
        model, state, buffers = parts
        now.examined = now.updates
        if not isinstance(model, Module):
            return
        whole = with_buffers(model, buffers)
        try:
            findings = examine_training(whole, self._loss, (x, y), self._optimizer, state, self._key, STEPS)
        except Exception as error:
            # A model of the user's may do anything; the run goes on, and raises what it has to.
            warnings.warn(f"the monitor could not examine the network: {error}", UserWarning, stacklevel=2)
            self._every = None
            return
        new = [f for f in findings if f.kind not in now.found]
        now.found |= {f.kind: now.updates for f in new}
        if new:
            yield Found(now.epoch, now.step, tuple(new))


def _is_suspicious(measured: Measured) -> bool:
    """Whether gradients or updates have sizes that healthy training does not show."""
    gradients, updates, sizes = measured
    pulls = _pulls(gradients, sizes)
    moved = [updates[path] for path in updates if sizes[path]]
    lost = bool(pulls) and min(pulls) < LOST * max(pulls)
    return lost or max(moved, default=0.0) > LONG or max(moved, default=1.0) < SHORT


def _pulls(gradients: Mapping[str, float], sizes: Mapping[str, float]) -> Sequence[float]:
    """Size of the gradient times that of the parameter, of those that are not 0 as biases at the start are."""
    return [g * sizes[path] for path, g in gradients.items() if sizes[path] and math.isfinite(g)]


def described(finding: Finding) -> str:
    """One line for a warning."""
    return f"{finding.kind} in {finding.where}: {finding.cause}. {finding.remedy[:1].upper()}{finding.remedy[1:]}"
