"""A network, its optimizer and its batches, as options say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import data
from chainrule.nn import Linear, Sequential, init
from chainrule.ops import random
from chainrule.optim import Optimizer
from chainrule.primitive import Array
from chainrule.shapes import float64
from chainrule.studio.networks.choices import ACTIVATIONS, INITS, OPTIMIZERS, Options
from chainrule.studio.networks.examples import Examples
from chainrule.studio.networks.objectives import Objective, objective_of
from chainrule.tensor import no_grad, tensor
from chainrule.tour.network import VALUES


@dataclass(frozen=True, eq=False)
class Setting:
    """All that a training run needs besides its numbers.

    Attributes:
        options: what was chosen.
        examples: what is learned from.
        objective: what is made small.
    """

    options: Options
    examples: Examples
    objective: Objective

    @classmethod
    def of(cls, options: Options, examples: Examples) -> Setting:
        """The setting for some examples."""
        return cls(options, examples, objective_of(options, examples))

    @cached_property
    def sizes(self) -> list[int]:
        """Units of every layer, from the input on."""
        return [self.examples.x.shape[1], *self.options.layers, self.objective.outputs]

    @cached_property
    def activations(self) -> list[str]:
        """What each layer from the second on makes of its sums; ``linear`` for nothing."""
        return [self.options.activation] * len(self.options.layers) + [self.objective.last or "linear"]

    @cached_property
    def optimizer(self) -> Optimizer:
        """The optimizer that was chosen."""
        return OPTIMIZERS[self.options.optimizer].make(self.options.rate, weight_decay=self.options.decay)

    def model(self) -> Sequential:
        """A network with its first weights."""
        key = random.fold_in(random.key(self.options.seed), 2)
        initializer = INITS[self.options.init].make or init.glorot_normal
        layers: list[Any] = []
        keys = random.split(key, len(self.sizes) - 1)
        for fan_in, fan_out, own, f in zip(self.sizes, self.sizes[1:], keys, self.activations, strict=False):
            layers.append(
                Linear(
                    fan_in, fan_out, key=own, bias=self.options.biases, initializer=initializer, dtype=float64
                )
            )
            if f != "linear":
                layers.append(ACTIVATIONS[f].make)
        model = Sequential(*layers)
        return with_weights(model, self._given_weights()) if INITS[self.options.init].make is None else model

    def _given_weights(self) -> list[Array]:
        if self.options.init == "article":
            v = VALUES
            first = np.array([[v["w1"], v["w2"]], [v["w3"], v["w4"]]])
            return [first, np.array([[v["w5"]], [v["w6"]]])]
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return [np.zeros(shape) for shape in pairs]

    @cached_property
    def train(self) -> tuple[Array, Array, Array]:
        """Inputs, answers and the loss's targets of the part to train on."""
        return self._part(False)

    @cached_property
    def test(self) -> tuple[Array, Array, Array]:
        """The same of the part to test on."""
        return self._part(True)

    def _part(self, tests: bool) -> tuple[Array, Array, Array]:
        x, y = self.examples.part(tests)
        return np.ascontiguousarray(x), y, np.ascontiguousarray(self.objective.targets(y))

    @property
    def batch_size(self) -> int:
        """Examples in an update."""
        n = len(self.train[0])
        return min(self.options.batch or n, n)

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch."""
        return -(-len(self.train[0]) // self.batch_size)

    def batches(self, epoch: int) -> list[tuple[Array, Array]]:
        """The batches of an epoch, from 0, in the order that the seed gives."""
        x, _, targets = self.train
        if self.per_epoch == 1:
            return [(x, targets)]
        key = random.fold_in(random.fold_in(random.key(self.options.seed), 3), epoch)
        return list(data.batches(x, targets, self.batch_size, key))


def linears(model: Sequential) -> list[Linear]:
    """The layers of a network that have weights."""
    return [layer for layer in model.layers if isinstance(layer, Linear)]


def with_weights(model: Sequential, weights: Sequence[Array]) -> Sequential:
    """The network, whose weights become these numbers."""
    for layer, numbers in zip(linears(model), weights, strict=True):
        layer.weight = tensor(numbers, dtype=float64, requires_grad=True, name="weight")
    return model


def passed(model: Sequential, x: Array) -> list[Array]:
    """What goes into the first layer and what comes out of every layer, behind its activation; shape ``(n, units)``."""
    found: list[Array] = [x]
    with no_grad():
        h: Any = tensor(x)
        for i, layer in enumerate(model.layers):
            h = layer(h)
            following: Callable[..., Any] | None = model.layers[i + 1] if i + 1 < len(model.layers) else None
            if following is None or isinstance(following, Linear):
                found.append(h.numpy())
    return found
