"""The way in: a network, its loss and a batch, looked at through some training steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from chainrule.data import Dataset
from chainrule.errors import ArgumentError, GradientError, OperandError
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.examining import examine
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.diagnosis.report import Report
from chainrule.explain.diagnosis.subject import Subject, some_of, untouched
from chainrule.node import Node
from chainrule.optim import Optimizer, adam
from chainrule.shapes import as_int

QUICK_NUMBERS = 40_000_000
"""Numbers in the graph of one pass, at most, for a look in the midst of training, which does without larger ones."""


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
    with untouched():
        subject, batches = Subject(model, loss, key), _batches(batch)
        small = [some_of(x, y, subject) for x, y in batches]
        course = _course(subject, small, optimizer, steps, batches=batches, progress=progress)
        return examine(course, progress)


def examine_training(
    model: Any, loss: Any, batch: tuple[Any, Any], optimizer: Optimizer, state: Any, key: Any, steps: int
) -> tuple[Finding, ...]:
    """What is wrong with a network while it is trained: :func:`diagnose` from the optimizer's state on.

    Nothing is said of a network that is too large to be run node by node.
    """
    with untouched():
        subject = Subject(model, loss, key)
        x, y = some_of(*batch, subject, most=QUICK_NUMBERS)
        if x is None:
            return ()
        return examine(_course(subject, [(x, y)], optimizer, steps, state)).findings


def _course(
    subject: Subject,
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
    subject: Subject, batches: Sequence[tuple[Any, Any]], optimizer: Optimizer, steps: int, state: Any
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
