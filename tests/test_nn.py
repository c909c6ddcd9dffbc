"""Modules as trees, layers, initializers and losses."""

from __future__ import annotations

import copy
import json
import pickle
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, nn, trees
from chainrule.errors import (
    ArgumentError,
    AxisError,
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
    model = models.mlp((2, 4, 1), cr.tanh, key=KEY)
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


def test_mlp():
    model = models.mlp((2, 8, 8, 1), cr.tanh, key=KEY, dtype=cr.float64)
    assert [getattr(f, "__name__", "Linear") for f in model.layers] == ["Linear", "tanh"] * 2 + ["Linear"]
    weights = [model.layers[0].weight, model.layers[2].weight]
    assert weights[0].dtype == cr.float64 and weights[0][0, 0].item() != weights[1][0, 0].item()
    with says(ArgumentError, r"mlp: expected .* got \(64,\)"):
        models.mlp((64,), cr.tanh, key=KEY)


# Initializers


def test_initializers_have_the_spread_of_their_papers():
    he = nn.he_normal(KEY, (500, 300)).numpy()
    assert he.dtype == np.float32 and he.shape == (500, 300)
    np.testing.assert_allclose(he.std(), np.sqrt(2 / 500), rtol=0.01)
    np.testing.assert_allclose(he.mean(), 0, atol=5e-4)
    kernel = nn.he_normal(KEY, (3, 3, 64, 128), cr.float64).numpy()
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 64)), rtol=0.01)
    glorot = nn.glorot_uniform(KEY, (500, 300)).numpy()
    assert glorot.dtype == np.float32
    np.testing.assert_allclose(abs(glorot).max(), np.sqrt(6 / 800), rtol=1e-3)
    np.testing.assert_allclose(glorot.var(), 2 / 800, rtol=0.01)


def test_initializers_depend_on_the_key_alone():
    for initializer in (nn.he_normal, nn.glorot_uniform):
        a, b = initializer(KEY, (4, 3)), initializer(cr.random.key(1), (4, 3))
        np.testing.assert_array_equal(a.numpy(), initializer(cr.random.key(0), (4, 3)).numpy())
        assert (a.numpy() != b.numpy()).all()
        with says(ShapeError, r"expected the shape of a weight, .* got \(3,\)"):
            initializer(KEY, (3,))
        with says(ShapeError, r"got \(0, 3\)"):
            initializer(KEY, (0, 3))


# Losses


def test_half_squared_error_has_the_error_as_its_gradient():
    gradient = cr.grad(lambda p: nn.half_squared_error(p, 0.25))(1.0)
    assert gradient.item() == 0.75


def test_squared_errors(rng: np.random.Generator):
    p, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    square = (p - t) ** 2
    np.testing.assert_allclose(nn.mean_squared_error(p, t).item(), square.mean())
    np.testing.assert_allclose(nn.half_squared_error(p, t).item(), square.mean() / 2)
    np.testing.assert_allclose(nn.half_squared_error(p, t, reduction="sum").item(), square.sum() / 2)
    np.testing.assert_allclose(nn.mean_squared_error(p, t, reduction="none").numpy(), square)
    assert nn.mean_squared_error(p.astype(np.float32), 1.0).dtype == cr.float32


def test_squared_errors_do_not_broadcast_by_accident():
    with says(
        ShapeError, r"prediction has shape \(4, 1\), target \(4,\)\n  Fix: reshape the target to \(4, 1\)"
    ):
        nn.mean_squared_error(np.ones((4, 1)), np.ones(4))
    with says(DTypeError, r"target must be floats, got int64\[2\]"):
        nn.half_squared_error([1.0, 2.0], [1, 2])
    with says(ArgumentError, "unknown reduction 'avg'"):
        nn.mean_squared_error([1.0], [1.0], reduction="avg")
    with says(ShapeError, "mean of no losses"):
        nn.mean_squared_error(np.ones(0), np.ones(0))


def test_softmax_cross_entropy(rng: np.random.Generator):
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(probabilities[np.arange(6), labels])
    loss = lambda z, **options: nn.softmax_cross_entropy(z, labels, **options)
    np.testing.assert_allclose(loss(logits).item(), expected.mean())
    np.testing.assert_allclose(loss(logits, reduction="none").numpy(), expected)
    one_hot = np.eye(4)[labels]
    np.testing.assert_allclose(cr.grad(loss)(logits).numpy(), (probabilities - one_hot) / 6, atol=1e-15)
    assert cr.check(loss, logits).ok
    stacked = nn.softmax_cross_entropy(logits.reshape(2, 3, 4), labels.reshape(2, 3), reduction="none")
    np.testing.assert_allclose(stacked.numpy(), expected.reshape(2, 3))


def test_softmax_cross_entropy_is_stable():
    logits = np.array([[1e4, 0.0], [0.0, -1e4], [40.0, 0.0]], np.float32)
    losses = nn.softmax_cross_entropy(logits, [1, 0, 0], reduction="none")
    assert losses.dtype == cr.float32
    np.testing.assert_allclose(losses.numpy(), [1e4, 0.0, 0.0], atol=1e-6)
    gradient = cr.grad(lambda z: nn.softmax_cross_entropy(z, [1, 0, 0]))(logits)
    assert np.isfinite(gradient.numpy()).all()


def test_softmax_cross_entropy_refuses_what_does_not_fit():
    loss, logits = nn.softmax_cross_entropy, np.zeros((3, 4))
    with says(
        AxisError, r"label 4 is not one of 4 classes\n  Fix: number the classes 0 .. 3, or give the model 5"
    ):
        loss(logits, [0, 4, 1])
    with says(AxisError, "label -1 is not one of 4 classes"):
        loss(logits, [0, -1, 1])
    with says(DTypeError, r"logits must be floats, got int64\[3, 4\]"):
        loss(logits.astype(np.int64), [0, 1, 2])
    with says(DTypeError, r"labels must be integers, got float64\[3\]"):
        loss(logits, [0.0, 1.0, 2.0])
    with says(ShapeError, r"labels of shape \(3,\), got \(2,\)"):
        loss(logits, [0, 1])
    with says(ShapeError, r"one-hot: labels.argmax\(-1\)"):
        loss(logits, np.eye(4)[:3])
    with says(ShapeError, r"expected logits \(\*batch, classes\), got \(\)"):
        loss(1.0, 0)
    with says(ShapeError, "mean of no losses"):
        loss(np.zeros((0, 4)), np.zeros(0, np.int64))
