"""The way in: a network, its loss and a batch, looked at through some training steps."""

from __future__ import annotations

import inspect
import random as _random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.data import Dataset
from chainrule.errors import ArgumentError, GradientError, OperandError, StructureError
from chainrule.explain import mistakes
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.examining import examine
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.diagnosis.report import Report
from chainrule.modes import remembering
from chainrule.nn import Module, Training
from chainrule.nn.training import call, takes_training
from chainrule.nn.watching import located, untold
from chainrule.node import Node, ancestors, as_node, leaf
from chainrule.ops import random
from chainrule.optim import Optimizer, adam
from chainrule.primitive import Array
from chainrule.shapes import as_int

MOST_NUMBERS = 30_000_000
"""At most so many numbers in the graph of one pass: of a large batch some examples are looked at."""
QUICK_NUMBERS = 40_000_000
"""The same for a look in the midst of training, which does without larger ones."""
FEWEST = 16
"""Examples that are looked at, however large the network."""


def diagnose(
    model: Any,
    loss: Callable[..., Any],
    batch: Any,
    optimizer: Optimizer | None = None,
    *,
    key: Any = None,
    steps: int = 6,
    progress: Callable[[str], object] = lambda doing: None,
) -> Report:
    """Examine a network in training: forward, backward, and a few steps; say what is broken, with evidence.

    Every finding has a mechanism with its numbers, and where it can be tried a counterfactual: just the cause is
    changed, and the pass is run again. Of several findings the causes are kept. A healthy network has none.

    Args:
        model: a module, or parameters nested in dict, list and tuple if ``loss`` takes ``(model, x, y)``. It stays as
            it is, and so do its buffers and the state of NumPy's and Python's random numbers.
        loss: ``(model(x), y) -> one number``, as for :func:`chainrule.train.compile_step`; or ``(model, x, y) -> one
            number``.
        batch: ``(x, y)``, arrays with one row for each example; several of them in a list, which are then used one
            after the other; or a data set, whose training examples are taken in batches of 64.
        optimizer: what updates. Without it steps are made with ``cr.optim.adam(1e-3)``, and nothing is said about them.
        key: from ``cr.random.key``, for dropout and its like; by default ``cr.random.key(0)``.
        steps: how many updates are made, on copies, at least 1.
        progress: called with what is being done, in words, such as ``print``; a large network takes seconds.

    Returns:
        A `Report`: ``print`` it, or read ``.findings``, ``.layers``, ``.noise``, ``.to_dict()``.

    Raises:
        ArgumentError: the model has no parameters, a batch is no pair, or ``steps`` is below 1.
        OperandError: ``loss`` or ``optimizer`` is not what it should be.
        StructureError: two parameters have the same path.
        GradientError: the loss is not one floating number; or it is another one each time, for the same numbers.
        ChainruleError: the model raises in its forward pass; the layer and what it was given are named.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Sequential(
        ...     cr.nn.Linear(4, 8, key=cr.random.key(0)), cr.relu, cr.nn.Linear(8, 3, key=cr.random.key(1))
        ... )
        >>> x, y = np.random.default_rng(0).standard_normal((32, 4)).astype("f"), np.arange(32) % 3
        >>> report = diagnose(model, cr.nn.softmax_cross_entropy, (x, y), cr.optim.gradient_descent(1000.0))
        >>> [finding.kind for finding in report.findings]
        ['learning_rate_too_high']
    """
    if as_int("diagnose", "steps", steps) < 1:
        raise ArgumentError(
            f"diagnose: steps must be at least 1, got {steps}", fix="leave it out: 6 are made"
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OperandError(
            f"diagnose: optimizer is {type(optimizer).__name__}, expected one of cr.optim",
            fix="cr.optim.adam(1e-3)",
        )
    if not callable(loss):
        raise OperandError(
            f"diagnose: loss is {type(loss).__name__}, expected a function", fix="cr.nn.softmax_cross_entropy"
        )
    if not _takes_two_or_three(loss):
        raise OperandError(
            "diagnose: loss is called as (model(x), y), or as (model, x, y) if it needs three arguments, and it takes "
            "neither",
            fix="lambda model, x, y: ...",
        )
    with _untouched():
        subject, batches = _Subject(model, loss, key), _batches(batch)
        small = [_some(x, y, subject) for x, y in batches]
        course = _course(subject, small, optimizer, steps, batches=batches, progress=progress)
        return examine(course, progress)


def examine_training(
    model: Any, loss: Any, batch: tuple[Any, Any], optimizer: Optimizer, state: Any, key: Any, steps: int
) -> tuple[Finding, ...]:
    """What is wrong with a network while it is trained: :func:`diagnose` from the optimizer's state on.

    Nothing is said of a network that is too large to be run node by node.
    """
    with _untouched():
        subject = _Subject(model, loss, key)
        x, y = _some(*batch, subject, most=QUICK_NUMBERS)
        if x is None:
            return ()
        return examine(_course(subject, [(x, y)], optimizer, steps, state)).findings


class _Subject:
    """A model and its loss, to be run on a batch with its graph remembered."""

    def __init__(self, model: Any, loss: Callable[..., Any], key: Any) -> None:
        self.loss, self.key = loss, random.key(0) if key is None else key
        self.takes_model = _required(loss) == 3
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

    def run(self, values: Sequence[Any], x: Any, y: Any, step: int) -> tuple[Observed, dict[str, Any]]:
        """One pass, and the buffers that it leaves."""
        model, parameters = self.model(values)
        training = Training(random.fold_in(self.key, step))
        with remembering():
            result = self._result(model, training, x, y)
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


def _course(
    subject: _Subject,
    small: Sequence[tuple[Any, Any]],
    optimizer: Optimizer | None,
    steps: int,
    state: Any = None,
    batches: Sequence[tuple[Any, Any]] = (),
    progress: Callable[[str], object] = lambda doing: None,
) -> Course:
    passes: list[Observed] = []
    for observed in _trained(subject, small, optimizer or adam(1e-3), steps, state):
        passes.append(observed)
        progress(f"backward pass {len(passes)} of {steps + 1}")
    labels = [
        np.asarray(y)
        for _, y in batches
        if isinstance(y, (np.ndarray, Node, list, tuple)) and len(batches) > 1
    ]
    return Course(
        passes,
        [p.loss for p in passes],
        optimizer,
        labels,
        subject.untold(small[0][0]),
        drops=subject.drops(small[0][0]),
        given=optimizer is not None,
    )


def _trained(
    subject: _Subject, batches: Sequence[tuple[Any, Any]], optimizer: Optimizer, steps: int, state: Any
) -> Iterator[Observed]:
    """The passes of some training steps, each with its update."""
    values: Sequence[Any] = subject.values
    first = subject.run(values, *batches[0], 0)
    _require_repeatable(first[0], subject.run(values, *batches[0], 0)[0])
    for step in range(steps + 1):
        observed, kept = subject.run(values, *batches[step % len(batches)], step) if step else first
        if step == steps or not observed.is_finite:
            yield observed
            return
        params = dict(observed.parameters)
        state = optimizer.init(params) if state is None else state
        gradients = {
            p: np.zeros(n.shape, n.dtype) if (g := observed.gradients[p]) is None else g
            for p, n in params.items()
        }
        observed.rate = optimizer.learning_rate_at(state["updates"])
        after, state = optimizer.update(gradients, state, params)
        observed.after = {path: after[path].numpy() for path in params}
        yield observed
        values = [observed.after[path] for path in subject.paths]
        subject.buffers = kept or subject.buffers


def _require_repeatable(first: Observed, second: Observed) -> None:
    if first.loss != second.loss and not (np.isnan(first.loss) and np.isnan(second.loss)):
        raise GradientError(
            f"diagnose: the loss is {first.loss:.9g} and then {second.loss:.9g} for the same numbers: something in "
            "it is random, so that nothing can be said of what a change does",
            fix="draw random numbers by cr.random with the key of the training pass, training.next_key(...)",
        )


def _nodes(x: Any) -> Any:
    """What the model is given: arrays as tensors, nested as they come."""
    return trees.map_leaves(lambda v: as_node(v) if isinstance(v, (np.ndarray, Node)) else v, x)


def _required(function: Callable[..., Any]) -> int:
    """How many arguments a function needs."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _takes_two_or_three(function: Callable[..., Any]) -> bool:
    """Whether it can be called with two or with three arguments; yes if that cannot be told."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    for given in ((None, None), (None, None, None)):
        with suppress(TypeError):
            signature.bind(*given)
            return True
    return False


def _batches(batch: Any) -> list[tuple[Any, Any]]:
    if isinstance(batch, Dataset):
        return _of_dataset(batch)
    several = (
        isinstance(batch, list) and batch and all(isinstance(b, (tuple, list)) and len(b) == 2 for b in batch)
    )
    found: list[Any] = list(batch) if several else [batch]
    for one in found:
        if not isinstance(one, (tuple, list)) or len(one) != 2:
            got = f"{len(one)} things" if isinstance(one, (tuple, list)) else type(one).__name__
            raise ArgumentError(
                f"diagnose: a batch is a pair (x, y), got {got}", fix="cr.diagnose(model, loss, (x, y))"
            )
    return [(one[0], one[1]) for one in found]


def _of_dataset(data: Dataset) -> list[tuple[Any, Any]]:
    order = np.random.default_rng(0).permutation(len(data.train_y))[: 64 * 6]
    return [
        (data.preparation(data.train_x[part]), data.train_y[part])
        for part in np.array_split(order, max(1, len(order) // 64))
    ]


def _some(x: Any, y: Any, subject: _Subject, most: int | None = None) -> tuple[Any, Any]:
    """The batch, or some of its examples if its graph would be too large; two None if ``most`` is still exceeded."""
    rows = _rows(x)
    if not rows or rows != _rows(y) or rows <= FEWEST:
        return x, y
    few = _picked(rows, 2)
    try:
        observed, _ = subject.run(subject.values, _taken(x, few), _taken(y, few), 0)
    except Exception:
        return x, y  # a model that takes batches of one size; the whole batch will show what else is wrong
    each = sum(n.size for n in observed.order if n.ndim and n.shape[0] == 2) / 2
    if most is not None and FEWEST * each > most:
        return None, None
    count = max(FEWEST, int((most or MOST_NUMBERS) / max(each, 1)))
    if rows <= count:
        return x, y
    picked = _picked(rows, count)
    return _taken(x, picked), _taken(y, picked)


def _rows(value: Any) -> int:
    """How many examples there are; 0 if what is nested in a batch does not agree."""
    shapes = {np.shape(v.value if isinstance(v, Node) else v)[:1] for v in trees.leaves(value)}
    return shapes.pop()[0] if len(shapes) == 1 and () not in shapes else 0


def _picked(rows: int, count: int) -> Array:
    return np.linspace(0, rows - 1, count).round().astype(int)


def _taken(value: Any, picked: Array) -> Any:
    return trees.map_leaves(lambda v: np.asarray(v.value if isinstance(v, Node) else v)[picked], value)


@contextmanager
def _untouched() -> Iterator[None]:
    """Leave the random numbers of NumPy and Python as they are, whatever the model draws."""
    legacy, own = np.random.get_state(), _random.getstate()
    try:
        yield
    finally:
        np.random.set_state(legacy)
        _random.setstate(own)
