"""A network and its loss, to be run on a batch with the graph remembered."""

from __future__ import annotations

import inspect
import random as _random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, GradientError, OperandError, StructureError
from chainrule.explain import mistakes
from chainrule.explain.diagnosis.observed import Observed
from chainrule.modes import remembering
from chainrule.nn import Module, Training
from chainrule.nn.training import call, takes_training
from chainrule.nn.watching import located, untold
from chainrule.node import Node, ancestors, as_node, leaf
from chainrule.ops import random
from chainrule.primitive import Array

MOST_NUMBERS = 30_000_000
"""At most so many numbers in the graph of one pass: of a large batch some examples are looked at."""
FEWEST = 16
"""Examples that are looked at, however large the network."""


class Subject:
    """A model and its loss, to be run on a batch with its graph remembered."""

    def __init__(self, model: Any, loss: Callable[..., Any], key: Any) -> None:
        self.loss, self.key = loss, random.key(0) if key is None else key
        self.takes_model = required(loss) == 3
        leaves, self.structure = trees.flatten(model)
        self.paths = trees.paths(model)
        if not leaves:
            raise ArgumentError(
                f"diagnose: {type(model).__name__} has no parameters",
                fix="pass a module with floating tensors",
            )
        if not callable(model) and not self.takes_model:
            raise OperandError(
                f"diagnose: the model is {type(model).__name__}, which cannot be called",
                fix="pass a module, or a loss of (model, x, y)",
            )
        if len(set(self.paths)) < len(self.paths):
            twice = next(path for path in self.paths if self.paths.count(path) > 1)
            raise StructureError(
                f"diagnose: two parameters have the path {twice!r}", fix="use dictionary keys without dots"
            )
        self.values = [np.asarray(as_node(v).value) for v in leaves]
        self.buffers: dict[str, Any] = model.buffers() if isinstance(model, Module) else {}

    def model(self, values: Sequence[Any]) -> tuple[Any, dict[str, Node]]:
        """The model with these numbers, in fresh variables named by their paths."""
        same: dict[int, Node] = {}
        nodes = [
            same.setdefault(id(v), leaf(v, tracked=True, name=p))
            for v, p in zip(values, self.paths, strict=True)
        ]
        model = trees.unflatten(self.structure, nodes)
        return model.with_buffers(self.buffers) if self.buffers else model, dict(
            zip(self.paths, nodes, strict=True)
        )

    def run(
        self,
        values: Sequence[Any],
        x: Any,
        y: Any,
        step: int,
        watch: Callable[[Any], Any] = lambda model: model,
    ) -> tuple[Observed, dict[str, Any]]:
        """One pass, and the buffers that it leaves; with the copy of the model that ``watch`` makes of it."""
        model, parameters = self.model(values)
        training = Training(random.fold_in(self.key, step))
        with remembering():
            result = self._result(watch(model), training, x, y)
        kept = training.buffers_of(model) if self.buffers else {}
        return Observed(result, parameters), {path: leaf(np.asarray(b.value)) for path, b in kept.items()}

    def _result(self, model: Any, training: Training, x: Any, y: Any) -> Node:
        if self.takes_model:
            result = self.loss(model, _nodes(x), y)
        else:
            whole = located(model) if isinstance(model, Module) else model
            result = self.loss(call(whole, _nodes(x), training), y)
        if result is None:
            raise GradientError("diagnose: loss returns None", fix="return the loss, one number")
        return mistakes.check_result(
            as_node(result) if not isinstance(result, Node) else result, "diagnose", tracked=False
        )

    def untold(self, x: Any) -> list[str]:
        """Layers that must know that they are trained, and are not told."""
        model, _ = self.model(self.values)
        if self.takes_model or not isinstance(model, Module):
            return []
        if not any(m.trains_differently for m in model.named_modules().values()):
            return []
        return untold(model, lambda copy: call(copy, _nodes(x), Training(self.key)))

    def drops(self, x: Any) -> bool:
        """Whether something is dropped at random although the model is not trained: called without a training pass."""
        model, _ = self.model(self.values)
        if self.takes_model or not isinstance(model, Module) or not takes_training(model):
            return False
        with remembering():
            results = [r for r in trees.leaves(model(_nodes(x))) if isinstance(r, Node)]
        order = ancestors(results)
        drawn = {n for n in order if n.op is not None and n.op.name in ("random_bits", "random_uniform")}
        compared = {
            n for n in order if n.op is not None and n.dtype.kind == "b" and any(i in drawn for i in n.inputs)
        }
        return any(n.op is not None and n.op.name == "where" and n.inputs[0] in compared for n in order)


def _nodes(x: Any) -> Any:
    """What the model is given: arrays as tensors, nested as they come."""
    return trees.map_leaves(lambda v: as_node(v) if isinstance(v, (np.ndarray, Node)) else v, x)


def required(function: Callable[..., Any]) -> int:
    """How many arguments a function needs."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def some_of(
    x: Any, y: Any, subject: Subject, most: int | None = None, fewest: int = FEWEST
) -> tuple[Any, Any]:
    """The batch, or some of its examples if its graph would be too large; two None if ``most`` is still exceeded.

    Args:
        x, y: the batch.
        subject: what is run on it.
        most: numbers in the graph; None for `MOST_NUMBERS`, or what the fewest examples need.
        fewest: examples that are taken at least.
    """
    rows = rows_of(x)
    if not rows or rows != rows_of(y) or rows <= fewest:
        return x, y
    few = _picked(rows, 2)
    try:
        observed, _ = subject.run(subject.values, _taken(x, few), _taken(y, few), 0)
    except Exception:
        return x, y  # a model that takes batches of one size; the whole batch will show what else is wrong
    each = sum(n.size for n in observed.order if n.ndim and n.shape[0] == 2) / 2
    if most is not None and fewest * each > most:
        return None, None
    count = max(fewest, int((most or MOST_NUMBERS) / max(each, 1)))
    if rows <= count:
        return x, y
    picked = _picked(rows, count)
    return _taken(x, picked), _taken(y, picked)


def rows_of(value: Any) -> int:
    """How many examples there are; 0 if what is nested in a batch does not agree."""
    shapes = {np.shape(v.value if isinstance(v, Node) else v)[:1] for v in trees.leaves(value)}
    return shapes.pop()[0] if len(shapes) == 1 and () not in shapes else 0


def _picked(rows: int, count: int) -> Array:
    return np.linspace(0, rows - 1, count).round().astype(int)


def _taken(value: Any, picked: Array) -> Any:
    return trees.map_leaves(lambda v: np.asarray(v.value if isinstance(v, Node) else v)[picked], value)


@contextmanager
def untouched() -> Iterator[None]:
    """Leave the random numbers of NumPy and Python as they are, whatever the model draws."""
    legacy, own = np.random.get_state(), _random.getstate()
    try:
        yield
    finally:
        np.random.set_state(legacy)
        _random.setstate(own)
