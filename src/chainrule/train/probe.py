"""The size of gradients and updates, by parameter: what one step would do, without doing it."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from chainrule import trees
from chainrule.ops import stack, sum
from chainrule.optim import Optimizer
from chainrule.tensor import no_grad
from chainrule.train.step import both_ways
from chainrule.transforms import compile as compiled

Measured: TypeAlias = tuple[dict[str, float], dict[str, float], dict[str, float]]


class Probe:
    """Measures gradients and updates on one batch.

    Args:
        loss: ``(model(x), y) -> one number``.
        optimizer: whose update is measured.
        compile: whether as machine code; else through NumPy.
        threads: how many run it.
    """

    def __init__(self, loss: Any, optimizer: Optimizer, compile: bool, threads: int | None) -> None:
        def measure(parts: Any, x: Any, y: Any, key: Any) -> Any:
            return _sizes(loss, optimizer, parts, x, y, key)

        self._shapes: tuple[list[str], list[int]] | None = None
        self._run = compiled(measure, threads=threads) if compile else measure

    def __call__(self, parts: Any, x: Any, y: Any, key: Any) -> Measured:
        """Measure.

        Args:
            parts: model, optimizer's state and buffers.
            x, y: a batch.
            key: for random layers, or None.

        Returns:
            By path, the root mean square of the gradient; that of the update over that of the new parameter; and that
            of the new parameter.
        """
        if self._shapes is None:
            self._shapes = trees.paths(parts[0]), [leaf.size for leaf in trees.leaves(parts[0])]
        paths, sizes = self._shapes
        with no_grad():
            squares, moved, reached = (s.tolist() for s in self._run(parts, x, y, key))
        gradients = {path: math.sqrt(s / n) for path, s, n in zip(paths, squares, sizes, strict=True)}
        updates = {
            path: math.sqrt(m / r) if r else 0.0 for path, m, r in zip(paths, moved, reached, strict=True)
        }
        reach = {path: math.sqrt(r / n) for path, r, n in zip(paths, reached, sizes, strict=True)}
        return gradients, updates, reach


def _sizes(loss: Any, optimizer: Optimizer, parts: Any, x: Any, y: Any, key: Any) -> list[Any]:
    """Sums of squares of gradients, updates and new parameters, each a vector with an element for each parameter."""
    model, state, buffers = parts
    _, gradients = both_ways((loss, {}), model, state, buffers, x, y, key)
    after, _ = optimizer.update(gradients, state, model)
    old, new = trees.leaves(model), trees.leaves(after)
    moved = [b - a for a, b in zip(old, new, strict=True)]
    return [stack([sum(v * v) for v in values]) for values in (trees.leaves(gradients), moved, new)]
