"""The numbers of a training run: updates made one after the other, measured, kept, and rewound to the bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.explain.numbers import number_text
from chainrule.nn import Sequential
from chainrule.primitive import Array
from chainrule.studio.networks.building import Setting, linears, passed
from chainrule.studio.networks.moments import Thinned
from chainrule.tensor import no_grad, tensor
from chainrule.train.divergence import first_of_step, first_parameter
from chainrule.train.step import CompiledStep

MOST_MOMENTS, MOST_MEASURED = 48, 240
BYTES_OF_MOMENTS = 32_000_000
MUCH_TO_MEASURE = 20_000
"""Numbers in the examples from which on losses are not measured after each update even at first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How well a network does.

    Attributes:
        train, test: the mean loss; None without examples for testing.
        train_right, test_right: how many classes are recognized; None for numbers.
    """

    train: float
    test: float | None
    train_right: int | None
    test_right: int | None


@dataclass(frozen=True, eq=False)
class Shot:
    """The network after some updates, with parameters of its own.

    Attributes:
        update: how many were made.
        model: the network.
        moved: for each layer the root mean square of the last change of its weights.
    """

    update: int
    model: Sequential
    moved: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a descent. Nothing of it changes.

    Attributes:
        moments: all that updates change, after some of them.
        measured: losses by number of updates.
        furthest: the most updates that were ever made.
    """

    moments: Thinned[tuple[Array, ...]]
    measured: Thinned[Measured]
    furthest: int


class Descent:
    """Updates of one network. Not for several threads at once.

    Args:
        setting: what is trained on what.
        known: of another descent of the same setting: what it kept, measured, and how far it went. This one uses it,
            and changes nothing of it.

    Attributes:
        update: how many updates were made.
        furthest: the most that were ever made.
        measured: losses by number of updates.
        batch_loss: of the last update's batch, before it.
    """

    def __init__(self, setting: Setting, known: Known | None = None) -> None:
        self.setting = setting
        self._model = setting.model()
        self._step = CompiledStep(self._model, setting.objective.loss, setting.optimizer, threads=1)
        first = self._step.moment()
        size = sum(x.nbytes for x in first)
        many = setting.examples.x.size // MUCH_TO_MEASURE
        if known is None:
            most = max(8, min(MOST_MOMENTS, BYTES_OF_MOMENTS // max(size, 1)))
            known = Known(Thinned(most), Thinned(MOST_MEASURED, 1 << many.bit_length()), 0)
        self._kept, self.measured = known.moments.copy(), known.measured.copy()
        self.update, self.furthest = 0, known.furthest
        self.batch_loss = math.nan
        self._before: list[Array] = []
        self._epoch: tuple[int, list[tuple[Array, Array]]] = -1, []
        self._keep()

    # Updates.

    def advance(self) -> bool:
        """Make one update.

        Returns:
            Whether its loss was finite; if not, the update was made, and :meth:`explain_divergence` goes back.
        """
        x, y = self._batch(self.update)
        self.batch_loss = float(self._step(x, y).item())
        self.update += 1
        if not math.isfinite(self.batch_loss):
            return False
        self.furthest = max(self.furthest, self.update)
        self._keep()
        return True

    def mark(self) -> None:
        """Remember the weights, so that the next shot says how far they moved."""
        parameters = self._step.parts[0]
        self._before = [np.asarray(layer.weight).copy() for layer in linears(parameters)]

    def _batch(self, update: int) -> tuple[Array, Array]:
        epoch, at = divmod(update, self.setting.per_epoch)
        known = epoch if self.setting.per_epoch > 1 else 0
        if self._epoch[0] != known:
            self._epoch = known, self.setting.batches(known)
        return self._epoch[1][at]

    def _keep(self) -> None:
        if self._kept.wants(self.update):
            self._kept.add(self.update, self._step.moment())
        if self.measured.wants(self.update):
            self.measured.add(self.update, self.measure(self._step.model))

    def approach(self, update: int) -> None:
        """Go to where the fewest updates lead to ``update``: a kept moment, or here."""
        at, moment = self._kept.nearest(update)
        if not at <= self.update <= update:
            self._rewind(at, moment)

    def _rewind(self, at: int, moment: tuple[Array, ...]) -> None:
        self._step.rewind(moment)
        self.update, self._before = at, []

    @property
    def known(self) -> Known:
        """What is known by now."""
        return Known(self._kept.copy(), self.measured.copy(), self.furthest)

    # What is shown.

    def shot(self) -> Shot:
        """The network as it is now."""
        model = self._step.model
        moved: tuple[float, ...] = ()
        if self._before:
            pairs = zip(linears(model), self._before, strict=True)
            with np.errstate(all="ignore"):
                moved = tuple(float(np.sqrt(np.mean((n.weight.numpy() - w) ** 2))) for n, w in pairs)
        return Shot(self.update, model, moved)

    def now(self, shot: Shot) -> Measured:
        """How well a network does after so many updates."""
        return self.measured[shot.update] if shot.update in self.measured else self.measure(shot.model)

    def measure(self, model: Sequential) -> Measured:
        """Losses and recognized classes of both parts."""
        train = self._of_part(model, self.setting.train)
        test = self._of_part(model, self.setting.test) if len(self.setting.test[0]) else (None, None)
        return Measured(train[0], test[0], train[1], test[1])

    def _of_part(self, model: Sequential, part: tuple[Array, Array, Array]) -> tuple[float, int | None]:
        x, y, targets = part
        outputs = passed(model, x)[-1]
        with no_grad():
            loss = float(self.setting.objective.loss(tensor(outputs), targets).item())
        classes = self.setting.examples.kind == "classes"
        return loss, self.setting.objective.right(outputs, y) if classes else None

    # What went wrong.

    def explain_divergence(self) -> tuple[str, str]:
        """Go back to before the update that made numbers infinite or NaN, and say what happened and what to do."""
        at = self.update - 1
        self._back_to(at)
        while at and first_parameter(self._step.model) is not None:
            at -= 1
            self._back_to(at)
        x, y = self._batch(at)
        model, state, buffers = self._step.model, self._step.state, {}
        said = first_of_step(self.setting.objective.loss, (model, state, buffers), x, y, None)
        losses = [self.measured[k].train for k in self.measured if k <= at]
        losses = [loss for loss in losses if math.isfinite(loss)] or [math.nan]
        low, high = min(losses), max(losses)
        grown = (
            f" The loss had grown from {number_text(low)} to {number_text(high)}."
            if high > 2 * low > 0
            else ""
        )
        if said == "all of this step is finite":
            said = "its gradients are finite, and the step along them overflows"
        rate = self.setting.options.rate
        fix = f"a smaller learning rate, such as {number_text(rate / 10, 2)} in place of {number_text(rate)}"
        return f"Update {at + 1} does not give finite numbers: {said}.{grown}", fix

    def _back_to(self, update: int) -> None:
        self.approach(update)
        while self.update < update:
            self._step(*self._batch(self.update))
            self.update += 1

    def warm_up(self) -> None:
        """Compile the update, so that the first one does not wait for it."""
        if not self.update:
            self._step(*self._batch(0))
            self._rewind(*self._kept.nearest(0))


def in_words(setting: Setting, update: int) -> str:
    """``epoch 3`` or ``epoch 3, batch 2 of 5``."""
    epoch, at = divmod(update, setting.per_epoch)
    return f"epoch {epoch}" if not at else f"epoch {epoch}, batch {at} of {setting.per_epoch}"
