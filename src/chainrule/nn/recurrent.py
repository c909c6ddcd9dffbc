"""Recurrent layers: one cell along time, as a scan.

A cell is one step, ``cell(x, state) -> state``; a layer runs it over sequences. What a cell computes of its input
alone is one product for all times, ahead of the scan; gradients of all weights are one product each behind it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, NotSupportedError, ShapeError, StructureError
from chainrule.nn.arguments import as_features, as_floating, as_size
from chainrule.nn.init import Initializer, glorot_uniform, orthogonal
from chainrule.nn.module import Module
from chainrule.node import as_node
from chainrule.ops import random
from chainrule.ops.cast import astype
from chainrule.ops.create import zeros
from chainrule.ops.exponential import sigmoid
from chainrule.ops.join import concat, split
from chainrule.ops.matmul import matmul
from chainrule.ops.move import moveaxis
from chainrule.ops.trigonometric import tanh
from chainrule.shapes import FLOATS, DType, Shape, Spec, as_flag, float32, promote
from chainrule.tensor import Tensor, tensor
from chainrule.transforms.scan import scan


class Cell(Module):
    """One step of a recurrent layer: ``cell(x, state) -> state``.

    Args:
        in_features: size of the last axis of the input.
        features: size of the state's last axis.
        key: for the weights, from ``cr.random.key``.
        input_initializer, state_initializer: ``(key, shape, dtype) -> weights``, called for each gate.
        dtype: float32 or float64.

    Attributes:
        input_weight: shape ``(in_features, gates * features)``.
        state_weight: shape ``(features, gates * features)``.
        bias: shape ``(gates * features,)``.

    Raises:
        ArgumentError: a size below 1.
    """

    gates: ClassVar[int] = 1

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        key: Tensor,
        input_initializer: Initializer = glorot_uniform,
        state_initializer: Initializer = orthogonal,
        dtype: Any = float32,
    ) -> None:
        name = type(self).__name__
        inside = as_size(name, "in_features", in_features)
        outside = as_size(name, "features", features)
        dtype = as_floating(dtype)
        keys = random.split(key, 2 * self.gates)
        columns = [input_initializer(keys[i], (inside, outside), dtype) for i in range(self.gates)]
        rows = [state_initializer(keys[self.gates + i], (outside, outside), dtype) for i in range(self.gates)]
        self.input_weight = tensor(concat(columns, axis=1), requires_grad=True, name="input_weight")
        self.state_weight = tensor(concat(rows, axis=1), requires_grad=True, name="state_weight")
        self.bias = tensor(self._first_bias(outside, dtype), requires_grad=True, name="bias")

    def _first_bias(self, features: int, dtype: Any) -> Any:
        return np.zeros(self.gates * features, dtype)

    @property
    def in_features(self) -> int:
        """Size of the last axis of the input."""
        return self.input_weight.shape[0]

    @property
    def features(self) -> int:
        """Size of the state's last axis."""
        return self.state_weight.shape[0]

    def initial(self, batch: int) -> Any:
        """The state before the first step: zeros for ``batch`` sequences."""
        return zeros((batch, self.features), dtype=self.state_weight.dtype)

    def project(self, x: Any) -> Tensor:
        """What the gates get from the input alone: shape ``(*batch, gates * features)``."""
        return matmul(x, self.input_weight) + self.bias

    def step(self, projected: Tensor, state: Any) -> Any:
        """The next state, from the projected input of one time."""
        name = type(self).__name__
        raise NotSupportedError(
            f"{name} does not say how its state moves on", fix=f"define {name}.step(self, projected, state)"
        )

    def output(self, state: Any) -> Tensor:
        """What of the state is the layer's result."""
        return state

    def __call__(self, x: Any, state: Any = None) -> Any:
        """One step.

        Args:
            x: shape ``(batch, in_features)``, floats.
            state: as ``initial(batch)``, which is where it begins if it is left out.

        Returns:
            The next state, in the wider dtype of ``x`` and the weights.

        Raises:
            ShapeError, StructureError: an input or a state of another shape.
        """
        name = type(self).__name__
        x = as_features(name, x)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ShapeError(
                f"{name}: expected (batch, {self.in_features}), got shape {x.shape}",
                fix="give it one time step: x[:, t], or use the layer for whole sequences",
            )
        return self.step(self.project(x), self._state(name, state, x))

    def _state(self, name: str, state: Any, x: Any) -> Any:
        """The given state, checked, or the first, in the dtype that steps from ``x`` have."""
        dtype = promote(name, x.dtype, self.input_weight.dtype)
        first = trees.map_leaves(lambda s: _widened(s, dtype), self.initial(x.shape[0]))
        if state is None:
            return first
        flat, structure = trees.flatten(first)
        try:
            given = [as_node(s) for s in trees.aligned_leaves(structure, state)]
        except StructureError as error:
            raise StructureError(
                f"{name}: the state is not nested as {name}.initial gives it: {error.message}",
                fix="pass the state that the layer returned",
            ) from None
        given = [_widened(one, dtype) for one in given]
        for one, expected in zip(given, flat, strict=True):
            if one.spec != expected.spec:
                raise ShapeError(
                    f"{name}: expected a state of {Spec(expected.shape, expected.dtype)}, got {one.spec}",
                    fix="pass the state that the layer returned for a batch of this size",
                )
        return trees.unflatten(structure, given)


def _widened(x: Any, dtype: DType) -> Any:
    """Floats in this dtype, or in their own if it is wider; what else a state may hold stays."""
    return astype(x, promote("state", x.dtype, dtype)) if x.dtype in FLOATS else x


class RNNCell(Cell):
    """``h = tanh(x @ input_weight + h @ state_weight + bias)``.

    Args, Attributes, Raises: as for :class:`Cell`; one gate.

    Example:
        >>> cell = RNNCell(3, 4, key=cr.random.key(0))
        >>> cell(np.ones((2, 3), np.float32)).shape
        (2, 4)

    Source: Elman, Cognitive Science 14(2), 1990, 179-211, DOI 10.1207/s15516709cog1402_1.
    """

    def step(self, projected: Tensor, state: Any) -> Any:
        return tanh(projected + matmul(state, self.state_weight))


class LSTMCell(Cell):
    """Long short-term memory: ``c = f * c + i * g``, ``h = o * tanh(c)``; the state is ``(h, c)``.

    ``i``, ``f`` and ``o`` are sigmoids and ``g`` is a tanh of what comes from ``x`` and ``h``; the weights hold them in
    the order i, f, g, o. The bias of ``f`` starts at 1, so that the memory is kept at first.

    Args, Attributes, Raises: as for :class:`Cell`; four gates.

    Example:
        >>> cell = LSTMCell(3, 4, key=cr.random.key(0))
        >>> h, c = cell(np.ones((2, 3), np.float32))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))

    Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, 1735-1780, DOI 10.1162/neco.1997.9.8.1735; with
    the forget gate of Gers, Schmidhuber and Cummins, Neural Computation 12(10), 2000, 2451-2471,
    DOI 10.1162/089976600300015015.
    """

    gates = 4

    def _first_bias(self, features: int, dtype: Any) -> Any:
        bias = np.zeros(4 * features, dtype)
        bias[features : 2 * features] = 1
        return bias

    def initial(self, batch: int) -> Any:
        return super().initial(batch), super().initial(batch)

    def step(self, projected: Tensor, state: Any) -> Any:
        h, c = state
        i, f, g, o = split(projected + matmul(h, self.state_weight), 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def output(self, state: Any) -> Tensor:
        return state[0]


class GRUCell(Cell):
    """Gated recurrent unit: ``h = (1 - z) * n + z * h``.

    ``r`` and ``z`` are sigmoids of what comes from ``x`` and ``h``; ``n = tanh(x part + r * (h part + state_bias))``.
    The weights hold them in the order r, z, n.

    Args, Raises: as for :class:`Cell`; three gates.

    Attributes:
        input_weight, state_weight, bias: as for :class:`Cell`.
        state_bias: shape ``(features,)``, added to what ``n`` gets from the state.

    Example:
        >>> cell = GRUCell(3, 4, key=cr.random.key(0))
        >>> cell(np.ones((2, 3), np.float32)).shape
        (2, 4)

    Source: Cho et al., EMNLP 2014, 1724-1734, DOI 10.3115/v1/D14-1179; with the reset behind the product, as cuDNN,
    torch and Keras compute it.
    """

    gates = 3

    def __init__(self, in_features: int, features: int, *, dtype: Any = float32, **options: Any) -> None:
        super().__init__(in_features, features, dtype=dtype, **options)
        self.state_bias = tensor(
            np.zeros(self.features, as_floating(dtype)), requires_grad=True, name="state_bias"
        )

    def step(self, projected: Tensor, state: Any) -> Any:
        n = self.features
        product = matmul(state, self.state_weight)
        both = sigmoid(projected[:, : 2 * n] + product[:, : 2 * n])
        r, z = split(both, 2, axis=-1)
        new = tanh(projected[:, 2 * n :] + r * (product[:, 2 * n :] + self.state_bias))
        return new + z * (state - new)


class Recurrent(Module):
    """A cell run over sequences of shape ``(batch, time, features)``, as torch's ``batch_first`` and Keras have them.

    Args:
        cell: such as an `LSTMCell`.
        reverse: whether to run from the last time to the first; results still belong to their times.
        returns: ``"both"`` for ``(sequence, state)``; ``"sequence"`` or ``"last"``, the output at the last time, for
            one tensor that the next layer of a `Sequential` takes.
        checkpoint: keep the state for the gradient only before each so many-th time, and compute the others again: see
            :func:`chainrule.scan`. The input is then projected step by step.

    Raises:
        ArgumentError: ``returns`` is something else, ``cell`` is no cell, or ``checkpoint`` is below 1.
    """

    def __init__(
        self, cell: Cell, *, reverse: bool = False, returns: str = "both", checkpoint: int | None = None
    ) -> None:
        name = type(self).__name__
        if not isinstance(cell, Cell):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(
                f"{name}: expected a cell, got {type(cell).__name__}",
                fix="pass cr.nn.LSTMCell(...) or another",
            )
        if returns not in ("both", "sequence", "last"):
            raise ArgumentError(
                f"{name}: returns must be 'both', 'sequence' or 'last', got {returns!r}",
                fix="'both' gives (sequence, state), the others one tensor",
            )
        self.cell = cell
        self.reverse, self.returns = as_flag(name, "reverse", reverse), returns
        self.checkpoint = None if checkpoint is None else as_size(name, "checkpoint", checkpoint)

    def __call__(self, x: Any, state: Any = None) -> Any:
        """Run over whole sequences.

        Args:
            x: shape ``(batch, time, in_features)``, floats.
            state: to begin with, as an earlier call returned it; zeros if it is left out.

        Returns:
            The outputs at all times, shape ``(batch, time, features)``, and the last state, in the wider dtype of ``x``
            and the weights; or what ``returns`` says.

        Raises:
            ShapeError, StructureError: an input or a state of another shape.
        """
        name, cell = type(self).__name__, self.cell
        x = as_features(name, x)
        if x.ndim != 3 or x.shape[2] != cell.in_features:
            raise ShapeError(
                f"{name}: expected (batch, time, {cell.in_features}), got shape {x.shape}",
                fix=_fix_for(x.shape, cell.in_features),
            )
        first = cell._state(name, state, x)  # pyright: ignore[reportPrivateUsage]
        sparse = self.checkpoint is not None

        def step(state: Any, given: Any) -> tuple[Any, Any]:
            state = cell.step(cell.project(given) if sparse else given, state)
            return state, cell.output(state)

        over_time = moveaxis(x, 1, 0)
        given = over_time if sparse else cell.project(over_time)
        last, outputs = scan(step, first, given, reverse=self.reverse, checkpoint=self.checkpoint)
        if self.returns == "last":
            return cell.output(last)
        sequence = moveaxis(outputs, 0, 1)
        return sequence if self.returns == "sequence" else (sequence, last)


class _Layer(Recurrent):
    """A recurrent layer that makes its own cell."""

    cell_class: ClassVar[type[Cell]]

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        key: Tensor,
        reverse: bool = False,
        returns: str = "both",
        checkpoint: int | None = None,
        input_initializer: Initializer = glorot_uniform,
        state_initializer: Initializer = orthogonal,
        dtype: Any = float32,
    ) -> None:
        cell = self.cell_class(
            in_features,
            features,
            key=key,
            input_initializer=input_initializer,
            state_initializer=state_initializer,
            dtype=dtype,
        )
        super().__init__(cell, reverse=reverse, returns=returns, checkpoint=checkpoint)


class RNN(_Layer):
    """An `RNNCell` over sequences.

    Args, Raises: those of :class:`RNNCell` and :class:`Recurrent`.

    Example:
        >>> layer = RNN(3, 4, key=cr.random.key(0))
        >>> sequence, state = layer(np.ones((2, 5, 3), np.float32))
        >>> sequence.shape, state.shape
        ((2, 5, 4), (2, 4))
    """

    cell_class = RNNCell


class LSTM(_Layer):
    """An `LSTMCell` over sequences; the state is ``(h, c)``.

    Args, Raises: those of :class:`LSTMCell` and :class:`Recurrent`.

    Example:
        >>> layer = LSTM(3, 4, key=cr.random.key(0))
        >>> sequence, (h, c) = layer(np.ones((2, 5, 3), np.float32))
        >>> sequence.shape, h.shape, c.shape
        ((2, 5, 4), (2, 4), (2, 4))
    """

    cell_class = LSTMCell


class GRU(_Layer):
    """A `GRUCell` over sequences.

    Args, Raises: those of :class:`GRUCell` and :class:`Recurrent`.

    Example:
        >>> model = cr.nn.Sequential(
        ...     GRU(3, 4, returns="last", key=cr.random.key(0)), cr.nn.Linear(4, 1, key=cr.random.key(1))
        ... )
        >>> model(np.ones((2, 5, 3), np.float32)).shape
        (2, 1)
    """

    cell_class = GRUCell


def _fix_for(shape: Shape, features: int) -> str:
    """What makes ``(batch, time, features)`` of an input that is something else."""
    if len(shape) == 2 and shape[1] == features:
        return "one sequence is a batch of one: x[None]"
    if len(shape) == 2 and features == 1:
        return "sequences of numbers have one feature: x[..., None]"
    if len(shape) == 3:
        return (
            f"give it {features} features at each time, or make the layer for {shape[2]}: its first argument"
        )
    return "give it an axis for the sequences, one for the time and one for the features"
