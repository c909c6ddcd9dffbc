"""Recurrent layers against torch: outputs, last states, and the gradients of everything, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import chainrule as cr

LAYERS = {
    "RNN": (cr.nn.RNN, torch.nn.RNN),
    "LSTM": (cr.nn.LSTM, torch.nn.LSTM),
    "GRU": (cr.nn.GRU, torch.nn.GRU),
}


def made(name, inside, features, seed):
    """A layer and torch's, with the same weights."""
    ours, theirs = LAYERS[name]
    layer = ours(inside, features, key=cr.random.key(seed), dtype=cr.float64)
    torch.manual_seed(seed)
    other = theirs(inside, features, batch_first=True, dtype=torch.float64)
    weights = {n: p.detach().numpy() for n, p in other.named_parameters()}
    both = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    cell = layer.cell
    cell.input_weight = cr.tensor(weights["weight_ih_l0"].T, requires_grad=True)
    cell.state_weight = cr.tensor(weights["weight_hh_l0"].T, requires_grad=True)
    if name == "GRU":
        cell.state_bias = cr.tensor(weights["bias_hh_l0"][2 * features :], requires_grad=True)
        both[2 * features :] = weights["bias_ih_l0"][2 * features :]
    cell.bias = cr.tensor(both, requires_grad=True)
    return layer, other


def expected_gradients(name, other, features):
    g = {n: p.grad.numpy() for n, p in other.named_parameters()}
    found = {
        "cell.input_weight": g["weight_ih_l0"].T,
        "cell.state_weight": g["weight_hh_l0"].T,
        "cell.bias": g["bias_ih_l0"],
    }
    return {**found, "cell.state_bias": g["bias_hh_l0"][2 * features :]} if name == "GRU" else found


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("batch", "length", "inside", "features"), [(1, 1, 1, 1), (3, 7, 5, 4), (4, 20, 6, 17)]
)
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_all_gradients(name, batch, length, inside, features, compiled):
    layer, other = made(name, inside, features, seed=length)
    rng = np.random.default_rng(length)
    x, h, c = (rng.normal(size=s) for s in ((batch, length, inside), (batch, features), (batch, features)))
    seeds = [rng.normal(size=s) for s in ((batch, length, features), (batch, features), (batch, features))]
    first = (h, c) if name == "LSTM" else h

    def weighted(layer, x, first):
        sequence, last = layer(x, first)
        parts = [sequence, *(last if name == "LSTM" else [last])]
        return sum((p * s).sum() for p, s in zip(parts, seeds, strict=False)), parts

    run = cr.value_and_grad(weighted, (0, 1, 2), has_aux=True)
    (value, parts), (for_layer, for_x, for_first) = (cr.compile(run) if compiled else run)(layer, x, first)

    theirs = [torch.tensor(a[None], requires_grad=True) for a in ((h, c) if name == "LSTM" else (h,))]
    their_x = torch.tensor(x, requires_grad=True)
    sequence, last = other(their_x, tuple(theirs) if name == "LSTM" else theirs[0])
    outputs = [sequence, *(last if name == "LSTM" else [last])]
    total = sum((p.reshape(s.shape) * torch.tensor(s)).sum() for p, s in zip(outputs, seeds, strict=False))
    total.backward()

    def same(ours, torchs):
        np.testing.assert_allclose(ours.numpy(), torchs.reshape(ours.shape), rtol=1e-10, atol=1e-10)

    assert abs(value.item() - total.item()) < 1e-10 * max(1, abs(total.item()))
    for ours, their in zip(parts, outputs, strict=True):
        same(ours, their.detach().numpy())
    gradients = for_layer.parameters()
    expected = expected_gradients(name, other, features)
    assert set(gradients) == set(expected)
    for path, gradient in expected.items():
        same(gradients[path], gradient)
    same(for_x, their_x.grad.numpy())
    for ours, their in zip(for_first if name == "LSTM" else [for_first], theirs, strict=True):
        same(ours, their.grad.numpy())


@pytest.mark.parametrize("name", LAYERS)
def test_backwards_in_time_as_the_second_direction_of_torch(name):
    theirs = LAYERS[name][1]
    layer, _ = made(name, 3, 4, seed=1)
    layer.reverse = True
    other = theirs(3, 4, batch_first=True, bidirectional=True, dtype=torch.float64)
    torch.manual_seed(1)
    forward = theirs(3, 4, batch_first=True, dtype=torch.float64)
    for n, p in forward.named_parameters():
        getattr(other, f"{n}_reverse").data = p.data
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    expected = other(torch.tensor(x))[0].detach().numpy()[..., 4:]
    np.testing.assert_allclose(layer(x)[0].numpy(), expected, rtol=1e-12, atol=1e-12)
