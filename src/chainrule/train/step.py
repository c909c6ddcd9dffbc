"""A whole training step as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import trees
from chainrule.compiler.memory import aligned_copy
from chainrule.errors import ArgumentError
from chainrule.nn import Module, Training
from chainrule.nn.training import call
from chainrule.node import Node, as_node, holding, leaf
from chainrule.ops import random
from chainrule.optim import Optimizer
from chainrule.primitive import Array
from chainrule.transforms import value_and_grad
from chainrule.transforms.compiled import (
    Nesting,
    array_of,
    as_winograd,
    executable,
    is_array,
    structure_key,
    traced,
)


class CompiledStep:
    """A training step in one native call: forward, backward and update; made by :func:`compile_step`.

    It owns copies of the parameters, of the model's buffers and of the optimizer's state, and changes them in place.

    Attributes:
        updates: how many steps have been made.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        optimizer: Optimizer,
        *,
        key: Any = None,
        state: Any = None,
        threads: int | None = None,
        denormals: bool = False,
        winograd: int = 2,
    ) -> None:
        self._loss, self._optimizer = loss, optimizer
        self._threads, self._denormals, self._winograd = threads, denormals, winograd
        self._key = () if key is None else (key,)
        state = optimizer.init(model) if state is None else state
        given, structure = trees.flatten((model, state, buffers_of(model)))
        nodes = [as_node(x) for x in given]
        self._marks = [(x.tracked, x.name) for x in nodes]
        self._owned = [aligned_copy(array_of(x)) for x in nodes]
        # Of what was given nothing is kept: whoever lets go of the model has its memory back.
        self._structure = trees.flatten(trees.unflatten(structure, self._owned))[1]
        self._versions: dict[Any, Any] = {}
        self._plain: dict[Any, Any] = {}  # the same for batches of two arrays, by their shapes and dtypes
        self._nesting = Nesting("the training step")
        self._bound: Any = None
        self._run: Any = None
        self._value: Any = None
        self._x = self._y = self._versions  # which no batch is
        self.updates = int(as_node(state["updates"]).item())

    def __call__(self, x: Any, y: Any) -> Any:
        """Make one step.

        Args:
            x, y: a batch, nested as the model and the loss take it. Other shapes or dtypes than before compile
                another version of the step, which shares the parameters.

        Returns:
            The loss before the update, a tensor.
        """
        if x is not self._x or y is not self._y:
            self._bind(x, y)
        self._run()
        self.updates += 1
        return holding(self._value[()])

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
            self._bound, self._run, self._value = bound, bound.run, bound.result(0)
        self._x, self._y = (x, y) if plain else (None, None)

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
            value, *changed = one_step(self._loss, self._optimizer, model, state, buffers, x, y, *key)
            return value, changed

        owned = trees.unflatten(self._structure, self._owned)
        graph, _ = traced(step, (owned, x, y, self._key), {})
        donated = {1 + i: i for i in range(len(self._owned))}
        return executable(graph, self._threads, donated, self._denormals, self._winograd)

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
    loss: Any,
    optimizer: Optimizer,
    model: Any,
    state: Any,
    buffers: dict[str, Any],
    x: Any,
    y: Any,
    key: Any = None,
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Forward, backward and update, on numbers or traced.

    Args:
        loss: ``(model(x), y) -> one number``.
        buffers: the model's, by path.
        key: for random layers; each update gets its own out of it.

    Returns:
        The loss before the update; then model, state and buffers after it.
    """

    def objective(model: Any) -> Any:
        whole = with_buffers(model, buffers)
        training = Training(None if key is None else random.fold_in(key, state["updates"]))
        value = loss(call(whole, x, training), y)
        return value, training.buffers_of(whole) if buffers else {}

    (value, kept), gradients = value_and_grad(objective, has_aux=True)(model)
    return value, *optimizer.update(gradients, state, model), kept


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
    threads: int | None = None,
    denormals: bool = False,
    winograd: int = 2,
) -> CompiledStep:
    """Compile forward, backward and the optimizer's update into one native call.

    Args:
        model: a module; its parameters and buffers are copied. It is called with a :class:`chainrule.nn.Training`, so
            that dropout drops and batch normalization uses the batch.
        loss: ``(model(x), y) -> one number``.
        optimizer: from ``cr.optim``.
        key: for models with random layers, from ``cr.random.key``; each update gets its own numbers out of it.
        state: the optimizer's, to go on from; None for a fresh one.
        threads: how many run it, at most; by default ``CHAINRULE_THREADS``, or all processors.
        denormals: whether to compute with numbers below the smallest normal one (1.2e-38 in float32), as NumPy
            does, or take them for zero, as jax does. They come from moments of units whose gradient stays zero, and
            each costs a processor many times what a usual number does.
        winograd: 0, 2 or 4, as for :func:`chainrule.compile`: 4 makes convolutions of 3 × 3 faster and less exact.

    Returns:
        ``step(x, y) -> loss``, with ``step.model`` and ``step.state`` as they are after the last call.

    Raises:
        ArgumentError: ``winograd`` is not 0, 2 or 4.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Linear(2, 1, key=cr.random.key(0))
        >>> step = compile_step(model, cr.nn.mean_squared_error, cr.optim.gradient_descent(0.1))
        >>> x, y = np.eye(2, dtype=np.float32), np.ones((2, 1), np.float32)
        >>> losses = [step(x, y).item() for _ in range(100)]
        >>> losses[-1] < 1e-3 < losses[0]
        True
    """
    return CompiledStep(
        model,
        loss,
        optimizer,
        key=key,
        state=state,
        threads=threads,
        denormals=denormals,
        winograd=as_winograd("compile_step", winograd),
    )
