"""Recurrent layers: cells and sequences, states that are handed on, what a bad call says, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees

KEY = cr.random.key(0)
LAYERS = [cr.nn.RNN, cr.nn.LSTM, cr.nn.GRU]
layers = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)


def close(a, b, tolerance=1e-12):
    for x, y in zip(trees.leaves(a), trees.leaves(b), strict=True):
        np.testing.assert_allclose(
            cr.asarray(x).numpy(), cr.asarray(y).numpy(), rtol=tolerance, atol=tolerance
        )


def sequences(batch=3, length=6, features=2, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, length, features))


@layers
def test_a_layer_is_its_cell_step_by_step(kind):
    layer = kind(2, 4, key=KEY, dtype=cr.float64)
    x, state, outputs = sequences(), None, []
    for t in range(x.shape[1]):
        state = layer.cell(x[:, t], state)
        outputs.append(layer.cell.output(state))
    close(layer(x), (cr.stack(outputs, axis=1), state))


@layers
def test_a_long_sequence_may_be_given_in_pieces(kind):
    layer, x = kind(2, 4, key=KEY, dtype=cr.float64), sequences()
    whole, last = layer(x)
    early, state = layer(x[:, :4])
    late, state = layer(x[:, 4:], state)
    close((cr.concat([early, late], axis=1), state), (whole, last))


@layers
def test_checkpoints_change_no_gradient(kind):
    x = sequences()
    loss = lambda layer, x: (layer(x) ** 2).sum()
    dense = kind(2, 4, key=KEY, returns="sequence", dtype=cr.float64)
    sparse = kind(2, 4, key=KEY, returns="sequence", dtype=cr.float64, checkpoint=2)
    expected = cr.value_and_grad(loss, (0, 1))(dense, x)
    close(cr.value_and_grad(loss, (0, 1))(sparse, x), expected)
    close(cr.compile(cr.value_and_grad(loss, (0, 1)))(sparse, x), expected)


@layers
@pytest.mark.parametrize("checkpoint", [None, 2])
def test_wider_input_makes_wider_results(kind, checkpoint):
    """As for other layers; and the state that comes back may be handed on."""
    layer, x = kind(2, 4, key=KEY, checkpoint=checkpoint), sequences()
    sequence, state = layer(x)
    assert {s.dtype for s in (sequence, *trees.leaves(state))} == {np.dtype(np.float64)}
    exact = kind(2, 4, key=KEY, dtype=cr.float64).with_parameters(
        {path: p.astype(cr.float64) for path, p in layer.parameters().items()}
    )
    close((sequence, state), exact(x))
    close(layer(x, layer.cell.initial(3)), exact(x))
    close(layer(x, state), exact(x, state))
    close(layer.cell(x[:, 0], state), exact.cell(x[:, 0], state))
    close(cr.compile(layer)(x, state), exact(x, state))
    narrow, _ = layer(x.astype(np.float32))
    assert narrow.dtype == cr.float32


@layers
def test_what_is_returned(kind):
    x = sequences()
    made = {r: kind(2, 4, key=KEY, returns=r, dtype=cr.float64) for r in ("both", "sequence", "last")}
    sequence, state = made["both"](x)
    close(made["sequence"](x), sequence)
    close(made["last"](x), sequence[:, -1])
    close(made["last"].cell.output(state), sequence[:, -1])


@layers
def test_backwards_is_the_reversed_sequence(kind):
    x = sequences()
    on, back = (kind(2, 4, key=KEY, returns="sequence", dtype=cr.float64, reverse=r) for r in (False, True))
    close(back(x), cr.flip(on(x[:, ::-1]), axis=1))


@layers
def test_parameters_and_their_first_values(kind):
    layer = kind(5, 8, key=KEY)
    gates = layer.cell.gates
    shapes = {path.removeprefix("cell."): p.shape for path, p in layer.parameters().items()}
    expected = {"input_weight": (5, gates * 8), "state_weight": (8, gates * 8), "bias": (gates * 8,)}
    assert shapes == ({**expected, "state_bias": (8,)} if kind is cr.nn.GRU else expected)
    assert all(p.dtype == cr.float32 for p in layer.parameters().values())
    for gate in cr.split(layer.cell.state_weight, gates, axis=1):
        np.testing.assert_allclose((gate.mT @ gate).numpy(), np.eye(8), atol=1e-5)
    bias = layer.cell.bias.numpy()
    assert bias.sum() == (8 if kind is cr.nn.LSTM else 0)
    if kind is cr.nn.LSTM:
        assert bias[8:16].tolist() == [1.0] * 8


def test_nothing_of_the_inside_is_kept_for_the_gradient():
    """Of each step the state alone, and the gradients of the gates, of which weights' gradients are one product."""
    layer, (batch, length, features) = cr.nn.LSTM(2, 32, key=KEY), (4, 50, 32)
    step = cr.train.compile_step(
        cr.nn.Sequential(cr.nn.LSTM(2, 32, key=KEY, returns="last")),
        cr.nn.mean_squared_error,
        cr.optim.adam(),
    )
    assert layer.cell.gates == 4
    step(np.zeros((batch, length, 2), np.float32), np.zeros((batch, features), np.float32))
    row = 4 * batch * features
    states, projected, gradients = 2 * (length + 1) * row, 4 * length * row, 4 * length * row
    assert step.explain().arena_bytes < 1.3 * (states + projected + gradients)


@pytest.mark.parametrize("kind", [cr.nn.LSTM, cr.nn.GRU])
def test_a_gated_network_remembers(kind):
    """The first of twenty numbers, behind noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 20, 2)).astype(np.float32)
    x[:, 1:, 0] = 0
    y = x[:, :1, 0]
    keys = cr.random.split(KEY)
    model = cr.nn.Sequential(kind(2, 16, key=keys[0], returns="last"), cr.nn.Linear(16, 1, key=keys[1]))
    step = cr.train.compile_step(model, cr.nn.mean_squared_error, cr.optim.adam(1e-2))
    losses = [step(x, y).item() for _ in range(300)]
    assert losses[-1] < 0.05 < 0.5 < losses[0]


WRONG = {
    "one sequence": (
        lambda: cr.nn.LSTM(2, 4, key=KEY)(np.ones((6, 2), np.float32)),
        cr.errors.ShapeError,
        "LSTM: expected (batch, time, 2), got shape (6, 2)",
        "one sequence is a batch of one: x[None]",
    ),
    "features": (
        lambda: cr.nn.GRU(2, 4, key=KEY)(np.ones((1, 6, 3), np.float32)),
        cr.errors.ShapeError,
        "GRU: expected (batch, time, 2), got shape (1, 6, 3)",
        "give it 2 features at each time, or make the layer for 3: its first argument",
    ),
    "numbers": (
        lambda: cr.nn.RNN(1, 4, key=KEY)(np.ones((5, 6), np.float32)),
        cr.errors.ShapeError,
        "RNN: expected (batch, time, 1), got shape (5, 6)",
        "sequences of numbers have one feature: x[..., None]",
    ),
    "cell": (
        lambda: cr.nn.RNNCell(2, 4, key=KEY)(np.ones((1, 6, 2), np.float32)),
        cr.errors.ShapeError,
        "RNNCell: expected (batch, 2), got shape (1, 6, 2)",
        "give it one time step: x[:, t], or use the layer for whole sequences",
    ),
    "state": (
        lambda: cr.nn.RNN(2, 4, key=KEY)(np.ones((3, 6, 2), np.float32), np.zeros((2, 4), np.float32)),
        cr.errors.ShapeError,
        "RNN: expected a state of float32[3, 4], got float32[2, 4]",
        "pass the state that the layer returned for a batch of this size",
    ),
    "half a state": (
        lambda: cr.nn.LSTM(2, 4, key=KEY)(np.ones((3, 6, 2), np.float32), np.zeros((3, 4), np.float32)),
        cr.errors.StructureError,
        "LSTM: the state is not nested as LSTM.initial gives it: structure differs at the top: expected tuple of "
        "length 2, got a leaf",
        "pass the state that the layer returned",
    ),
    "tokens": (
        lambda: cr.nn.LSTM(2, 4, key=KEY)(np.ones((3, 6, 2), int)),
        cr.errors.DTypeError,
        "LSTM: expected floats, got int64[3, 6, 2]",
        "convert the input: x.astype(np.float32), scaled to about -1 .. 1",
    ),
    "returns": (
        lambda: cr.nn.LSTM(2, 4, key=KEY, returns="all"),
        cr.errors.ArgumentError,
        "LSTM: returns must be 'both', 'sequence' or 'last', got 'all'",
        "'both' gives (sequence, state), the others one tensor",
    ),
    "no cell": (
        lambda: cr.nn.Recurrent(cr.tanh),
        cr.errors.ArgumentError,
        "Recurrent: expected a cell, got function",
        "pass cr.nn.LSTMCell(...) or another",
    ),
    "checkpoint": (
        lambda: cr.nn.GRU(2, 4, key=KEY, checkpoint=0),
        cr.errors.ArgumentError,
        "GRU: checkpoint must be at least 1, got 0",
        "pass a positive int",
    ),
    "a state too exact": (
        lambda: cr.nn.RNN(2, 4, key=KEY)(np.ones((3, 6, 2), np.float32), np.zeros((3, 4))),
        cr.errors.ShapeError,
        "RNN: expected a state of float32[3, 4], got float64[3, 4]",
        "pass the state that the layer returned for a batch of this size",
    ),
    "no features": (
        lambda: cr.nn.GRU(2, 0, key=KEY),
        cr.errors.ArgumentError,
        "GRUCell: features must be at least 1, got 0",
        "pass a positive int",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_said_of_a_bad_call(case):
    call, kind, message, fix = WRONG[case]
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.message, caught.value.fix) == (message, fix)
