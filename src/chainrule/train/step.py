"""A whole training step as machine code."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.listening import is_listened
from chainrule.compiler.budget import as_bytes
from chainrule.compiler.memory import MUCH, aligned_copy, give_back
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import Module, Training
from chainrule.nn.training import call
from chainrule.nn.watching import untold
from chainrule.node import Node, as_node, leaf
from chainrule.ops import random, stop_gradient
from chainrule.optim import Optimizer
from chainrule.primitive import Array
from chainrule.train.metrics import Metrics
from chainrule.transforms import value_and_grad
from chainrule.transforms.compiled import (
    Nesting,
    array_of,
    as_winograd,
    executable,
    in_segments_if_needed,
    is_array,
    structure_key,
    traced,
)

_NO_BATCH = object()


class EagerStep:
    """A training step through NumPy, node by node, for debugging: as `CompiledStep`, to rounding.

    Args:
        model, loss, optimizer, key, state, metrics: as for :func:`compile_step`.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        optimizer: Optimizer,
        *,
        key: Any = None,
        state: Any = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._measures, self._optimizer, self._key = (loss, dict(metrics or {})), optimizer, key
        state = optimizer.init(model) if state is None else state
        self.parts = model, state, buffers_of(model)
        self.measured: dict[str, float] = {}
        self._looked = False

    @property
    def updates(self) -> int:
        """How many steps have been made."""
        return int(self.parts[1]["updates"].item())

    def __call__(self, x: Any, y: Any) -> Any:
        """Make one step on a batch; returns the loss before the update."""
        if not self._looked:
            self._looked = True
            _warn_of_untold(*self.parts, as_node(x), self._key)
        value, measured, *changed = one_step(
            self._measures, self._optimizer, *self.parts, as_node(x), y, self._key
        )
        self.parts = changed[0], changed[1], changed[2]
        self.measured = {name: m.item() for name, m in zip(self._measures[1], measured, strict=True)}
        return value

    @property
    def model(self) -> Any:
        """The model as it is now."""
        return with_buffers(self.parts[0], self.parts[2])

    @property
    def state(self) -> Any:
        """The optimizer's state as it is now."""
        return self.parts[1]


class CompiledStep:
    """A training step in one native call: forward, backward and update; made by :func:`compile_step`.

    It owns copies of the parameters, of the model's buffers and of the optimizer's state, and changes them in place.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        optimizer: Optimizer,
        *,
        key: Any = None,
        state: Any = None,
        metrics: Metrics | None = None,
        threads: int | None = None,
        denormals: bool = False,
        winograd: int = 2,
        memory: int | None = None,
    ) -> None:
        self._memory = memory
        self._loss, self._optimizer, self._metrics = loss, optimizer, dict(metrics or {})
        self._threads, self._denormals, self._winograd = threads, denormals, winograd
        self._key = () if key is None else (key,)
        self._adopt(model, optimizer.init(model) if state is None else state)
        if sum(x.nbytes for x in self._owned) >= MUCH:
            give_back()  # what is left of a fresh optimizer's state
        self._versions: dict[Any, Any] = {}
        self._plain: dict[Any, Any] = {}  # the same for batches of two arrays, by their shapes and dtypes
        self._nesting = Nesting("the training step")
        self._bound: Any = None
        self._run: Any = None
        self._runs: dict[Any, Any] = {}  # what runs each of the versions
        self._x = self._y = _NO_BATCH
        self._binding = threading.RLock()  # threads that meet a new batch at once would compile two versions

    def _adopt(self, model: Any, state: Any) -> None:
        """Copy the arrays that steps change. Of what is given nothing is kept: its memory may be let go."""
        given, structure = trees.flatten((model, state, buffers_of(model)))
        nodes = [as_node(x) for x in given]
        self._marks = [(x.tracked, x.name) for x in nodes]
        self._owned = [aligned_copy(array_of(x)) for x in nodes]
        self._structure = trees.flatten(trees.unflatten(structure, self._owned))[1]
        self._count = self.parts[1]["updates"]

    @property
    def updates(self) -> int:
        """How many steps have been made."""
        return int(self._count.item())

    def __call__(self, x: Any, y: Any) -> Any:
        """Make one step.

        Args:
            x, y: a batch, nested as the model and the loss take it. Other shapes or dtypes than before compile
                another version of the step, which shares the parameters.

        Returns:
            The loss before the update, a tensor.
        """
        if x is not self._x or y is not self._y:
            with self._binding:
                self._bind(x, y)
        return self._run()

    def _bind(self, x: Any, y: Any) -> None:
        """Point the version for these shapes at these arrays."""
        a, b = _plain_array(x), _plain_array(y)
        plain = None if a is None or b is None else (a.shape, a.dtype, b.shape, b.dtype)
        bound = self._plain.get(plain)
        if bound is not None:
            bound.replace(len(self._owned), a)
            bound.replace(len(self._owned) + 1, b)
        else:
            bound = self._found(x, y)
            if plain is not None and array_of(a) is a and array_of(b) is b:
                self._plain[plain] = bound
        if bound is not self._bound:
            if bound not in self._runs:
                self._runs[bound] = bound.single(0)
            self._bound, self._run = bound, self._runs[bound]
        # Only what is read where it is may change and come again; of all else the step has read a copy.
        self._x, self._y = (x, y) if plain in self._plain else (_NO_BATCH, _NO_BATCH)

    def _found(self, x: Any, y: Any) -> Any:
        """The version for these shapes, on these arrays."""
        given, structure = trees.flatten((x, y, self._key))
        arrays = [array_of(v if is_array(v) else as_node(v)) for v in given]
        key = (structure_key(structure), *((a.shape, a.dtype) for a in arrays))
        bound = self._versions.get(key)
        if bound is None:
            self._nesting.require({"x": x, "y": y})
            bound = self._versions[key] = self._compile(x, y).bound([*self._owned, *arrays])
        else:
            for number, array in enumerate(arrays, len(self._owned)):
                bound.replace(number, array)
        return bound

    def _compile(self, x: Any, y: Any) -> Any:
        def step(owned: Any, x: Any, y: Any, key: Any) -> Any:
            model, state, buffers = owned
            if not self._versions:
                _warn_of_untold(model, state, buffers, x, *key)
            both = self._loss, self._metrics
            value, measured, *changed = one_step(both, self._optimizer, model, state, buffers, x, y, *key)
            return value, measured, changed

        owned = trees.unflatten(self._structure, self._owned)
        first = 1 + len(self._metrics)
        donated = {first + i: i for i in range(len(self._owned))}

        def prepare() -> Any:
            graph, _ = traced(step, (owned, x, y, self._key), {})
            return executable(graph, self._threads, donated, self._denormals, self._winograd, self._memory)

        return in_segments_if_needed(prepare)

    @property
    def measured(self) -> dict[str, float]:
        """The metrics of the last batch, before the update."""
        return {name: float(self._bound.result(1 + i)) for i, name in enumerate(self._metrics)}

    @property
    def parts(self) -> tuple[Any, Any, dict[str, Any]]:
        """Parameters, the optimizer's state, and buffers as they are now: arrays that the next step changes."""
        return trees.unflatten(self._structure, self._owned)

    def moment(self) -> tuple[Array, ...]:
        """A copy of all that steps change, for :meth:`rewind`."""
        return tuple(x.copy() for x in self._owned)

    def rewind(self, moment: tuple[Array, ...]) -> None:
        """Go back, or forth, to a :meth:`moment` of this step: what follows are the same bits as the first time.

        Example:
            >>> import chainrule as cr
            >>> model = cr.nn.Linear(2, 1, key=cr.random.key(0))
            >>> step = CompiledStep(model, cr.nn.mean_squared_error, cr.optim.adam(0.1))
            >>> x, y = np.eye(2, dtype=np.float32), np.ones((2, 1), np.float32)
            >>> start, first = step.moment(), [step(x, y).item() for _ in range(3)]
            >>> step.rewind(start)
            >>> [step(x, y).item() for _ in range(3)] == first, step.updates
            (True, 3)
        """
        for mine, then in zip(self._owned, moment, strict=True):
            np.copyto(mine, then)

    @property
    def model(self) -> Any:
        """The model as it is now, with parameters and buffers of its own."""
        model, _, buffers = self._now()
        return with_buffers(model, buffers)

    @property
    def state(self) -> Any:
        """The optimizer's state as it is now."""
        return self._now()[1]

    def _now(self) -> Any:
        fresh = [
            leaf(array, tracked=tracked, name=name)
            for array, (tracked, name) in zip(self._owned, self._marks, strict=True)
        ]
        return trees.unflatten(self._structure, fresh)

    def explain(self) -> Any:
        """What became of every node of the step that ran last; print it.

        Raises:
            ArgumentError: no step was made yet.
        """
        if self._bound is None:
            raise ArgumentError("explain: no step was made yet", fix="call step(x, y) first")
        return self._bound.explain()


def one_step(
    measures: tuple[Any, Metrics],
    optimizer: Optimizer,
    model: Any,
    state: Any,
    buffers: dict[str, Any],
    x: Any,
    y: Any,
    key: Any = None,
) -> tuple[Any, list[Any], Any, Any, dict[str, Any]]:
    """Forward, backward and update, on numbers or traced.

    Args:
        measures: the loss and the metrics, ``(model(x), y) -> one number``.
        optimizer, state: what updates.
        buffers: the model's, by path.
        key: for random layers; each update gets its own out of it.

    Returns:
        The loss and the metrics before the update; then model, state and buffers after it.
    """
    (value, (kept, measured)), gradients = both_ways(measures, model, state, buffers, x, y, key)
    return value, measured, *optimizer.update(gradients, state, model), kept


def both_ways(
    measures: tuple[Any, Metrics], model: Any, state: Any, buffers: dict[str, Any], x: Any, y: Any, key: Any
) -> Any:
    """Forward and backward: ``((loss, (buffers, metrics)), gradients)``. Arguments as for :func:`one_step`."""
    loss, metrics = measures

    def objective(model: Any) -> Any:
        whole = with_buffers(model, buffers)
        output, training = call_in_training(whole, state, x, key)
        kept = training.buffers_of(whole) if buffers else {}
        return loss(output, y), (kept, [_measured(name, f, output, y) for name, f in metrics.items()])

    return value_and_grad(objective, has_aux=True)(model)


def _measured(name: str, metric: Any, output: Any, y: Any) -> Any:
    value = stop_gradient(metric(output, y))
    if value.shape:
        raise ShapeError(
            f"the metric {name!r} gives shape {value.shape}, expected one number",
            fix="reduce what it gives: cr.mean(...)",
        )
    return value


def call_in_training(model: Any, state: Any, x: Any, key: Any) -> tuple[Any, Training]:
    """A model's output while it is trained, and the pass that it was given."""
    training = Training(None if key is None else random.fold_in(key, state["updates"]))
    return call(model, x, training), training


def _warn_of_untold(model: Any, state: Any, buffers: dict[str, Any], x: Any, key: Any = None) -> None:
    """Say which layers must know that they are trained, and are not told: the model may mean it, or have forgotten."""
    whole = with_buffers(model, buffers)
    if not isinstance(whole, Module) or not any(m.trains_differently for m in whole.named_modules().values()):
        return
    found = untold(whole, lambda copy: call_in_training(copy, state, x, key))
    if found:
        warnings.warn(
            f"{type(whole).__name__} is trained, and {', '.join(found)} is called as if it were not: pass training on, "
            "layer(x, training)",
            UserWarning,
            stacklevel=2,
        )


def buffers_of(model: Any) -> dict[str, Any]:
    """What is not trained but belongs to a model; nothing for parameters that are not in a module."""
    return model.buffers() if isinstance(model, Module) else {}


def with_buffers(model: Any, buffers: dict[str, Any]) -> Any:
    """The model with these buffers."""
    return model.with_buffers(buffers) if buffers else model


def _plain_array(x: Any) -> Array | None:
    """The numbers of an array or a tensor as they are; None if there is more to look at."""
    array: Any = x.value if isinstance(x, Node) else x
    return array if array.__class__ is np.ndarray and array.flags.c_contiguous else None


def compile_step(
    model: Any,
    loss: Any,
    optimizer: Optimizer,
    *,
    key: Any = None,
    state: Any = None,
    metrics: Metrics | None = None,
    threads: int | None = None,
    denormals: bool = False,
    winograd: int = 2,
    memory: float | str | None = None,
) -> CompiledStep | EagerStep:
    """Compile forward, backward and the optimizer's update into one native call.

    Args:
        model: a module; its parameters and buffers are copied. It is called with a :class:`chainrule.nn.Training`, so
            that dropout drops and batch normalization uses the batch.
        loss: ``(model(x), y) -> one number``.
        optimizer: from ``cr.optim``.
        key: for models with random layers, from ``cr.random.key``; each update gets its own numbers out of it.
        state: the optimizer's, to go on from; None for a fresh one.
        metrics: what else to measure, by name, ``(model(x), y) -> one number``; ``step.measured`` has the numbers.
        threads: how many run it, at most; by default ``CHAINRULE_THREADS``, or all processors.
        denormals: whether to compute with numbers below the smallest normal one (1.2e-38 in float32), as NumPy
            does, or take them for zero, as jax does. They come from moments of units whose gradient stays zero, and
            each costs a processor many times what a usual number does.
        winograd: 0, 2 or 4, as for :func:`chainrule.compile`: 4 makes convolutions of 3 × 3 faster and less exact.
        memory: bytes for intermediate results, at most, as for :func:`chainrule.compile`: ``"2GB"``. Parameters, the
            optimizer's state and the batch are not counted.

    Returns:
        ``step(x, y) -> loss``, with ``step.model`` and ``step.state`` as they are after the last call.

    Raises:
        ArgumentError: ``winograd`` is not 0, 2 or 4, or ``memory`` is not a number of bytes.
        BudgetError: in a step, if ``memory`` is below what can be reached.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Linear(2, 1, key=cr.random.key(0))
        >>> step = compile_step(model, cr.nn.mean_squared_error, cr.optim.gradient_descent(0.1))
        >>> x, y = np.eye(2, dtype=np.float32), np.ones((2, 1), np.float32)
        >>> losses = [step(x, y).item() for _ in range(100)]
        >>> losses[-1] < 1e-3 < losses[0]
        True
    """
    budget = as_bytes("compile_step", memory)
    if is_listened():
        return EagerStep(model, loss, optimizer, key=key, state=state, metrics=metrics)
    return CompiledStep(
        model,
        loss,
        optimizer,
        key=key,
        state=state,
        metrics=metrics,
        threads=threads,
        denormals=denormals,
        winograd=as_winograd("compile_step", winograd),
        memory=budget,
    )
