"""Modules as trees, and layers of weighted sums."""

from __future__ import annotations

import copy
import json
import pickle
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, trees
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    GradientError,
    NotSupportedError,
    ShapeError,
    StructureError,
)

KEY = cr.random.key(0)
ONES = np.ones((5, 2), np.float32)

Pair = namedtuple("Pair", "left right")


def says(error: type[ChainruleError], text: str):
    """The error is raised, and its text with the fix contains this one."""
    return pytest.raises(error, match=text)


class Everything(nn.Module):
    """Parameters and modules in every kind of place, and static attributes beside them."""

    def __init__(self):
        self.scale = cr.tensor(2.0, requires_grad=True)
        self.parts = [nn.Linear(2, 3, key=KEY), cr.tanh, {"out": nn.Linear(3, 1, key=KEY, bias=False)}]
        self.pair = Pair(cr.tensor([1.0]), "static")
        self.labels = cr.tensor([1, 2])
        self.size, self.activation, self.nothing = 3, cr.relu, None

    def __call__(self, x):
        first, tanh, rest = self.parts
        return self.activation(self.scale * rest["out"](tanh(first(x))) + self.pair.left)


def test_parameters_have_paths():
    assert list(Everything().parameters()) == [
        "scale",
        "parts.0.weight",
        "parts.0.bias",
        "parts.2.out.weight",
        "pair.left",
    ]


def test_a_rebuilt_module_keeps_what_is_static():
    model = Everything()
    doubled = trees.map_leaves(lambda p: p * 2, model)
    assert type(doubled) is Everything and type(doubled.pair) is Pair
    assert doubled.scale.item() == 4 and model.scale.item() == 2
    assert doubled.parts is not model.parts and doubled.parts[1] is cr.tanh
    assert (doubled.size, doubled.activation, doubled.nothing) == (3, cr.relu, None)
    assert doubled.labels is model.labels and doubled.pair.right == "static"


def test_anything_may_take_the_place_of_parameters():
    model = Everything()
    sizes = trees.map_leaves(lambda p: p.size, model)
    assert sizes.parts[0].weight == 6
    assert trees.paths(sizes) == trees.paths(model)
    summed = trees.map_leaves(lambda size, p: cr.zeros_like(p) + size, sizes, model)
    assert summed.parts[0].weight.tolist() == [[6.0] * 3] * 2
    assert "_replaced" not in vars(summed.parts[0])
    with says(StructureError, "structure differs"):
        trees.map_leaves(lambda a, b: a, nn.Linear(2, 3, key=KEY), nn.Linear(2, 3, key=KEY, bias=False))


def test_both_ways_to_the_gradient_agree():
    model = Everything()
    loss = lambda model, x: (model(x) ** 2).sum()
    value, functional = cr.value_and_grad(loss)(model, ONES)
    eager = loss(model, ONES)
    eager.backward()
    assert type(functional) is Everything and value.item() == eager.item()
    gradients = model.gradients()
    for path, gradient in functional.parameters().items():
        assert gradient.dtype == model.parameters()[path].dtype
        if path != "pair.left":  # it does not ask for gradients
            np.testing.assert_array_equal(gradient.numpy(), gradients.parameters()[path].numpy())
    assert not gradients.pair.left.numpy().any() and functional.pair.left.numpy().any()


def test_gradients_need_a_backward_pass():
    with says(GradientError, "no parameter of this Linear has a gradient"):
        nn.Linear(2, 3, key=KEY).gradients()


def test_modules_by_path():
    model = Everything()
    assert {path: type(m).__name__ for path, m in model.named_modules().items()} == {
        "": "Everything",
        "parts.0": "Linear",
        "parts.2.out": "Linear",
    }
    assert model.named_modules()["parts.0"] is model.parts[0]


def test_paths_that_collide_are_refused():
    class Odd(nn.Module):
        def __init__(self):
            self.parts = {"a.b": cr.tensor(1.0), "a": {"b": cr.tensor(2.0)}}

    with says(StructureError, "two parameters have the path 'parts.a.b'"):
        Odd().parameters()


def test_summary_and_repr():
    model = nn.Sequential(nn.Linear(64, 1000, key=KEY), cr.tanh)
    assert model.summary().text.splitlines() == [
        "parameter        of      shape       dtype     count",
        "layers.0.weight  Linear  (64, 1000)  float32  64,000",
        "layers.0.bias    Linear  (1000,)     float32   1,000",
        "total                                         65,000",
    ]
    assert json.loads(json.dumps(model.summary().to_dict()))["total"] == 65_000
    assert model.summary()._repr_html_().startswith("<pre>parameter")
    assert repr(model.layers[0]) == "Linear(weight=float32[64, 1000], bias=float32[1000])"
    assert repr(model).splitlines() == [
        "Sequential(",
        "    layers=[",
        "        Linear(weight=float32[64, 1000], bias=float32[1000]),",
        "        tanh,",
        "    ],",
        ")",
    ]


def test_modules_are_copied_and_pickled():
    model = cr.models.mlp((2, 4, 1), cr.tanh, key=KEY)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(ONES), model.predict(ONES))
        assert all(p.requires_grad for p in twin.parameters().values())
        assert twin.layers[0].weight is not model.layers[0].weight


def test_a_module_without_call_says_what_to_define():
    class Torchlike(nn.Module):
        def forward(self, x):
            return x

    with says(NotSupportedError, r"define Torchlike.__call__\(self, x\), which is forward"):
        Torchlike()(1.0)


def test_a_module_is_traced_like_any_argument():
    graph = cr.trace(lambda model, x: model(x), nn.Linear(2, 3, key=KEY), ONES)
    assert [n.name for n in graph.inputs] == ["model.weight", "model.bias", "x"]


# Layers


def test_linear_is_a_weighted_sum():
    layer = nn.Linear(2, 3, key=KEY)
    assert (layer.in_features, layer.out_features) == (2, 3)
    assert layer.weight.shape == (2, 3) and layer.bias.tolist() == [0, 0, 0]
    assert layer.weight.requires_grad and layer.weight.dtype == layer(ONES).dtype == cr.float32
    np.testing.assert_allclose(layer(ONES).numpy(), ONES @ layer.weight.numpy(), rtol=1e-6)
    assert layer(np.ones((7, 5, 2), np.float32)).shape == (7, 5, 3)
    assert layer(ONES[0]).shape == (3,)
    assert layer(np.ones((0, 2), np.float32)).shape == (0, 3)
    assert nn.Linear(2, 3, key=KEY, dtype=cr.float64).weight.dtype == cr.float64
    assert nn.Linear(2, 3, key=KEY, bias=False).bias is None


def test_linear_refuses_what_does_not_fit():
    layer = nn.Linear(2, 3, key=KEY)
    with says(ShapeError, r"Linear: expected 2 features on the last axis, got shape \(2, 5\)\n  Fix: .*x.mT"):
        layer(ONES.T)
    with says(ShapeError, r"reshape\(-1, 2\)"):
        layer(np.ones((4, 2, 1), np.float32))
    with says(ShapeError, "in_features=7"):
        layer(np.ones((4, 7), np.float32))
    with says(ShapeError, "got one number"):
        layer(1.0)
    with says(DTypeError, r"Linear: expected floats, got int64\[5, 2\]"):
        layer(np.ones((5, 2), np.int64))
    with says(ArgumentError, "in_features must be at least 1, got 0"):
        nn.Linear(0, 3, key=KEY)
    with says(ArgumentError, "out_features must be an integer"):
        nn.Linear(2, 3.0, key=KEY)
    with says(DTypeError, "int64"):
        nn.Linear(2, 3, key=KEY, dtype=cr.int64)


def test_dense_learns_its_input_size():
    layer = nn.Dense(3, cr.tanh, key=KEY)
    assert repr(layer) == "Dense(waits for its first input, out_features=3)"
    twin = copy.deepcopy(layer)
    y = layer(ONES)
    linear = nn.Linear(2, 3, key=KEY)
    np.testing.assert_array_equal(y.numpy(), cr.tanh(linear(ONES)).numpy())
    assert list(layer.parameters()) == ["weight", "bias"]
    assert repr(layer) == "Dense(activation=tanh, weight=float32[2, 3], bias=float32[3])"
    with says(ShapeError, "Dense: expected 2 features"):
        layer(np.ones((5, 4), np.float32))
    assert twin(np.ones((5, 4), np.float32)).shape == (5, 3)
    assert layer.in_features == 2


def test_dense_without_parameters_is_not_differentiated_silently():
    model = nn.Sequential(nn.Linear(2, 4, key=KEY), nn.Dense(1, key=KEY))
    loss = lambda model, x: model(x).sum()
    with says(GradientError, r"no parameters yet.*\n  Fix: call the model once"):
        cr.grad(loss)(model, ONES)
    model(ONES)
    assert cr.grad(loss)(model, ONES).layers[1].weight.shape == (4, 1)


def test_dense_refuses_what_does_not_fit():
    with says(ArgumentError, "activation must be a function"):
        nn.Dense(3, "tanh", key=KEY)
    with says(ArgumentError, "out_features must be at least 1"):
        nn.Dense(0, key=KEY)
    with says(ArgumentError, "its first input must be at least 1, got 0"):
        nn.Dense(3, key=KEY)(np.ones((5, 0), np.float32))


def test_sequential_as_in_keras():
    keys = cr.random.split(KEY, 3)
    model = nn.Sequential()
    model.add(nn.Dense(16, cr.relu, key=keys[0]))
    model.add(nn.Dense(16, cr.relu, key=keys[1]))
    model.add(nn.Dense(10, key=keys[2]))
    y = model.predict(ONES)
    assert isinstance(y, np.ndarray) and y.shape == (5, 10) and y.dtype == np.float32
    assert model.summary().total == 2 * 16 + 16 + 16 * 16 + 16 + 160 + 10
    np.testing.assert_array_equal(nn.Sequential().predict(ONES), ONES)


def test_every_module_predicts():
    class Both(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 3, key=KEY)

        def __call__(self, x):
            y = self.layer(x)
            return {"scores": y, "best": y.argmax(axis=-1)}

    found = Both().predict(ONES)
    assert all(type(part) is np.ndarray for part in found.values())
    np.testing.assert_array_equal(found["best"], found["scores"].argmax(-1))


def test_sequential_refuses_what_is_no_layer():
    with says(ArgumentError, "got the class Dense"):
        nn.Sequential(nn.Dense)
    with says(ArgumentError, "got 3"):
        nn.Sequential().add(3)


def test_sequential_says_in_which_layer():
    model = nn.Sequential(nn.Linear(2, 4, key=KEY), cr.tanh, nn.Linear(3, 1, key=KEY))
    with says(ShapeError, "expected 3 features") as caught:
        model(ONES)
    assert caught.value.__notes__ == ["  In:  layer 2 of 3: Linear(weight=float32[3, 1], bias=float32[1])"]
