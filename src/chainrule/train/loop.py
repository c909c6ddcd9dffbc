"""What happens in a run, step by step."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from chainrule import trees
from chainrule.autodiff.listening import is_listened
from chainrule.data import Batches, Dataset, prefetch
from chainrule.errors import DivergenceError
from chainrule.ops import random
from chainrule.optim import Optimizer, describe
from chainrule.primitive import Array
from chainrule.train import divergence
from chainrule.train.evaluation import Evaluator, Score, confusion
from chainrule.train.events import EpochEnded, Event, Finished, Saved, Started, Stepped
from chainrule.train.keeping import Keeper
from chainrule.train.monitor import Monitor
from chainrule.train.options import Options
from chainrule.train.probe import Probe
from chainrule.train.state import copied
from chainrule.train.step import CompiledStep, EagerStep, with_buffers

_FOR_LAYERS = 0
"""Folded into the key for random layers; epochs, from 1 on, are folded in for the order of the examples."""

_ONLY_OTHERS = "Every training step was finite, only the result on other examples is not"


_HIGH = 0.1
"""A learning rate that is worth a try, whatever the one was that made numbers infinite."""


class Loop:
    """One run. Arguments as for :func:`chainrule.train.run`, checked."""

    def __init__(self, model: Any, data: Dataset, loss: Any, optimizer: Optimizer, options: Options) -> None:
        self.began = time.perf_counter()
        self.data, self.loss, self.optimizer, self.options = data, loss, optimizer, options
        self.metrics = options.metrics_for(data)
        self.layer_key = random.fold_in(options.key, _FOR_LAYERS)
        self.batches = Batches(
            data, options.batch_size, options.key, augment=options.augment, drop_last=options.drop_last
        )
        self.steps = len(self.batches)
        self.validated_on = "valid" if "valid" in data.parts else "test"
        self.evaluator = Evaluator(loss, self.metrics, options.compile, options.threads)
        self.probe = Probe(loss, optimizer, options.compile, options.threads)
        self.monitor = Monitor(loss, optimizer, self.layer_key, self.probe, options.monitor)
        self.keeper = Keeper.of(model, data, loss, optimizer, options)
        try:
            model, state, self.progress = self.keeper.start()
            self.progress.require_within(self.steps, str(self.keeper.last))
            self.step = self.stepper(model, state)
            self.good = self.progress.epoch, self.progress.step, self.keeper.copy(self.step.parts)
        except BaseException:
            self.keeper.close()
            raise
        self.sizes = {path: p.size for path, p in zip(trees.paths(model), trees.leaves(model), strict=True)}
        self.updates: dict[str, float] = {}

    def stepper(self, model: Any, state: Any) -> CompiledStep | EagerStep:
        """What makes steps, from a model and an optimizer's state on."""
        common = {"key": self.layer_key, "state": state, "metrics": self.metrics}
        if not self.options.compile or is_listened():
            return EagerStep(model, self.loss, self.optimizer, **common)
        threads, winograd = self.options.threads, self.options.winograd
        return CompiledStep(model, self.loss, self.optimizer, threads=threads, winograd=winograd, **common)

    def events(self) -> Iterator[Event]:
        """All that happens."""
        with contextlib.closing(self.keeper):
            started = self.started()
            self.keeper.begin(self.progress, started)
            yield started
            while self.progress.epoch <= self.options.epochs and not self.is_steady():
                for event in self.epoch():
                    self.keeper.log(event)
                    yield event
            finished = self.finished("a steady loss" if self.is_steady() else "all epochs")
            self.keeper.end(finished, self.step.parts)
            yield finished

    def started(self) -> Started:
        return Started(
            self.options.epochs,
            self.steps,
            self.options.batch_size,
            len(self.data.train_y),
            len(self.data.test_y),
            sum(self.sizes.values()),
            describe(self.optimizer),
            self.progress.updates,
            self.validated_on,
            self.keeper.name,
        )

    def epoch(self) -> Iterator[Event]:
        """The rest of the epoch that is going on, and a look at it."""
        now = self.progress
        every = self.options.checkpoint_every
        work = prefetch(self.batches.epoch(now.epoch, now.step))
        with contextlib.closing(work):
            for x, y in work:
                yield from self.monitor.begin(self.step.parts, x, y, now)
                if now.step + 1 == self.steps:
                    self.look(x, y)
                stepped = self.one_step(x, y)
                yield stepped
                yield from self.monitor.look(self.step.parts, x, y, stepped.loss, now)
                if every and now.updates % every == 0 and now.step < self.steps:
                    yield from self.save()
        score = self.evaluate(self.validated_on)
        ended = self.epoch_ended(score)
        self.note(score.measured["loss"])
        now.epoch, now.step, now.sums, now.examples = now.epoch + 1, 0, {}, 0
        yield ended
        yield from self.save()

    def one_step(self, x: Array, y: Array) -> Stepped:
        now = self.progress
        loss = float(self.step(x, y))
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss}")
        now.step, now.updates, now.examples = now.step + 1, now.updates + 1, now.examples + len(x)
        for name, value in {"loss": loss, **self.step.measured}.items():
            now.sums[name] = now.sums.get(name, 0.0) + value * len(x)
        return Stepped(now.epoch, now.step, self.steps, loss)

    def look(self, x: Array, y: Array) -> None:
        """Measure the gradients and the update of the step to come."""
        self.progress.gradients, self.updates, _ = self.probe(self.step.parts, x, y, self.layer_key)
        wrong = next(
            (path for path, size in self.progress.gradients.items() if not math.isfinite(size)), None
        )
        if wrong is not None:
            raise self.diverged(f"the gradient of {wrong} is not finite")

    def evaluate(self, part: str) -> Score:
        model, _, buffers = self.step.parts
        score = self.evaluator((model, buffers), self.data, part)
        if not math.isfinite(score.measured["loss"]):
            raise self.diverged(f"the loss on the {part} examples is {score.measured['loss']}", after=True)
        return score

    def epoch_ended(self, score: Score) -> EpochEnded:
        now = self.progress
        return EpochEnded(
            now.epoch,
            self.options.epochs,
            {name: total / now.examples for name, total in now.sums.items()},
            score.measured,
            now.gradients,
            self.updates,
            self.optimizer.learning_rate_at(now.updates - 1),
            self.seconds,
        )

    def note(self, loss: float) -> None:
        """Remember whether the loss on held-out examples still falls."""
        now = self.progress
        now.waited = 0 if loss < now.best - self.options.tolerance * abs(now.best) else now.waited + 1
        if now.best == math.inf:
            now.waited = 0
        if loss < now.best:
            now.best, now.best_updates = loss, now.updates

    def is_steady(self) -> bool:
        """Whether to stop early."""
        return self.options.patience is not None and self.progress.waited >= self.options.patience

    def save(self) -> Iterator[Saved]:
        """Make what there is now the state that the run can go on from."""
        now = self.progress
        wrong = divergence.first_parameter(self.step.parts[0])
        if wrong is not None:
            raise self.diverged(f"{wrong} is not finite", after=True)
        now.seconds, was = self.seconds, now.seconds
        file = self.keeper.save(self.step.parts, now)
        now.seconds = was
        self.good = now.epoch, now.step, self.keeper.copy(self.step.parts)
        if file is not None:
            yield Saved(now.updates, file)

    def finished(self, reason: str) -> Finished:
        score, classes = self.evaluate("test"), self.data.classes or ()
        y = self.data.test_y
        found = confusion(y, score.outputs.argmax(-1), len(classes)) if classes else ()
        sizes = self.gradients_by_layer()
        epochs = self.progress.epoch - 1
        model = self.step.model
        return Finished(
            model, score.measured, classes, found, sizes, epochs, self.seconds, reason, self.keeper.name
        )

    def gradients_by_layer(self) -> dict[str, float]:
        """Root mean square over all parameters of a layer."""
        squares: dict[str, float] = {}
        counts: dict[str, int] = {}
        for path, size in self.progress.gradients.items():
            layer, n = path.rpartition(".")[0], self.sizes[path]
            squares[layer] = squares.get(layer, 0.0) + n * size * size
            counts[layer] = counts.get(layer, 0) + n
        return {layer: math.sqrt(squares[layer] / counts[layer]) for layer in squares}

    @property
    def seconds(self) -> float:
        return self.progress.seconds + time.perf_counter() - self.began

    def diverged(self, what: str, *, after: bool = False) -> DivergenceError:
        """The error for numbers that are not finite: where they began, found by making the steps again.

        Args:
            what: is not finite.
            after: whether it was found between steps.
        """
        now = self.progress
        epoch, step = now.epoch, now.step if after else now.step + 1
        if step == 0:
            epoch, step = epoch - 1, self.steps
        where, at = self.first_cause(after)
        kept = self.keeper.last
        return DivergenceError(
            f"training stopped {'after' if after else 'in'} epoch {epoch}, step {step}: {what}. "
            + ("" if at is None else f"In step {at[1]}" + (f" of epoch {at[0]} " if at[0] != epoch else " "))
            + f"{where}. "
            + (f"The last good checkpoint is {kept}" if kept else "There is no checkpoint"),
            fix=self.remedy(first=at == (1, 1)),
        )

    def remedy(self, first: bool) -> str:
        """What to do about it; ``first`` if nothing was updated yet."""
        if first:
            return (
                "nothing is updated yet: check the scale of the inputs and of the first weights, and log, sqrt or "
                "division in the loss"
            )
        rate = self.optimizer.learning_rate_at(max(self.progress.updates - 1, 0))
        if isinstance(self.optimizer.settings["learning_rate"], dict):
            return f"lower the schedule of the learning rate, which was {rate:g} in the last update"
        return f"lower the learning rate: {min(rate / 10, _HIGH):g} instead of {rate:g}"

    def first_cause(self, after: bool) -> tuple[str, tuple[int, int] | None]:
        """What was not finite first, in words; and in which epoch and step, from 1."""
        first_epoch, done, parts = self.good
        if after and (first_epoch, done) == (self.progress.epoch, self.progress.step):
            return _ONLY_OTHERS, None  # no step was made since
        model, state, buffers = self.keeper.parts(parts)
        again = self.stepper(with_buffers(model, buffers), state)
        for x, y in self.batches.epoch(first_epoch, done):
            before, done = copied(again.parts), done + 1
            loss = float(again(x, y))
            if not math.isfinite(loss) or divergence.first_parameter(again.parts[0]) is not None:
                where = divergence.first_of_step(self.loss, before, x, y, self.layer_key)
                return where, (first_epoch, done)
        return _ONLY_OTHERS, None
