"""Layers: normalization, embedding, maxout and attention, by what they are defined as."""

from __future__ import annotations

import functools
import pickle
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import habits, nn
from chainrule.errors import (
    ArgumentError,
    AxisError,
    ChainruleError,
    DTypeError,
    NotSupportedError,
    ShapeError,
)

KEY = cr.random.key(0)


def says(error: type[ChainruleError], text: str):
    """The error is raised, and its text with the fix contains this one."""
    return pytest.raises(error, match=text)


def with_random_parameters(layer, rng: np.random.Generator):
    """So that scales, shifts and biases are not what they start at."""
    return layer.with_parameters({path: rng.normal(size=p.shape) for path, p in layer.parameters().items()})


# Normalization


def test_layer_norm_is_over_the_features_of_one_example(rng: np.random.Generator):
    layer = with_random_parameters(nn.LayerNorm(6, epsilon=1e-3, dtype=cr.float64), rng)
    x = rng.normal(3.0, 2.0, (4, 5, 6))
    scale, shift = (p.numpy() for p in layer.parameters().values())
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + shift
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(layer(x[0, 0]).numpy(), expected[0, 0], rtol=1e-12)
    assert layer(np.ones((0, 6))).shape == (0, 6)
    assert nn.LayerNorm(6)(x.astype(np.float32)).dtype == cr.float32


def test_group_norm_is_over_an_image_and_some_channels(rng: np.random.Generator):
    layer = with_random_parameters(nn.GroupNorm(2, 6, dtype=cr.float64), rng)
    x = rng.normal(3.0, 2.0, (4, 5, 3, 6))
    scale, shift = (p.numpy() for p in layer.parameters().values())
    expected = np.empty_like(x)
    for part in (slice(0, 3), slice(3, 6)):
        values = x[..., part]
        mean, var = values.mean((1, 2, 3), keepdims=True), values.var((1, 2, 3), keepdims=True)
        expected[..., part] = (values - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(layer(x).numpy(), expected * scale + shift, rtol=1e-12)


def test_group_norm_has_layer_and_instance_norm_as_its_ends(rng: np.random.Generator):
    x = rng.normal(size=(4, 5, 3, 6))
    np.testing.assert_allclose(
        nn.GroupNorm(1, 6, dtype=cr.float64)(x).numpy().reshape(4, -1),
        nn.LayerNorm(90, dtype=cr.float64)(x.reshape(4, -1)).numpy(),
        rtol=1e-12,
    )
    each = nn.GroupNorm(6, 6, dtype=cr.float64)(x).numpy()
    np.testing.assert_allclose(each.mean((1, 2)), 0, atol=1e-14)
    rows = nn.GroupNorm(3, 6, dtype=cr.float64)(x[:, 0, 0]).numpy()
    np.testing.assert_allclose(rows.reshape(4, 3, 2).mean(-1), 0, atol=1e-14)


def test_normalization_refuses_what_does_not_fit():
    with says(ShapeError, r"LayerNorm: expected 6 features on the last axis, got shape \(2, 5\)"):
        nn.LayerNorm(6)(np.ones((2, 5), np.float32))
    with says(ShapeError, r"GroupNorm: expected 6 channels on the last axis, got shape \(2, 6, 4, 4\)"):
        nn.GroupNorm(2, 6)(np.ones((2, 6, 4, 4), np.float32))
    with says(ShapeError, r"GroupNorm: expected \(N, \*space, channels\), got shape \(6,\)"):
        nn.GroupNorm(2, 6)(np.ones(6, np.float32))
    with says(ArgumentError, "4 groups do not divide 6 channels\n  Fix: .* such as 2"):
        nn.GroupNorm(4, 6)
    for make in (nn.LayerNorm, lambda size, **options: nn.GroupNorm(1, size, **options)):
        with says(ArgumentError, "epsilon must be above 0"):
            make(6, epsilon=0.0)
        with says(ArgumentError, "must be at least 1, got 0"):
            make(0)
        with says(DTypeError, "expected floats, got int64"):
            make(6)(np.ones((2, 6), np.int64))


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(3), nn.GroupNorm(3, 3)], ids=lambda layer: type(layer).__name__
)
def test_a_nan_stays_where_it_is_seen(layer):
    x = np.ones((2, 4, 3), np.float32)
    x[0, 0, 0] = np.nan
    y = layer(x).numpy()
    assert np.isnan(y[0, 0, 0]) and np.isfinite(y[1]).all()


# Embedding


def test_embedding_looks_up_rows():
    layer = nn.Embedding(5, 3, key=KEY)
    ids = np.array([[4, 0], [2, 2]])
    np.testing.assert_array_equal(layer(ids).numpy(), layer.weight.numpy()[ids])
    assert layer(3).shape == (3,) and layer(np.zeros((0, 2), np.int32)).shape == (0, 2, 3)
    gradient = cr.grad(lambda layer: layer(ids).sum())(layer).weight
    assert gradient.tolist() == [[1.0] * 3, [0.0] * 3, [2.0] * 3, [0.0] * 3, [1.0] * 3]
    assert nn.Embedding(1000, 50, key=KEY, dtype=cr.float64).weight.numpy().std() == pytest.approx(
        1, rel=0.01
    )


def test_embedding_refuses_what_does_not_fit():
    layer = nn.Embedding(5, 3, key=KEY)
    for look_up in (layer, cr.compile(layer)):
        with says(AxisError, r"Embedding: id 5 is not one of 5\n  Fix: .* 0 .. 4, .* vocabulary=6"):
            look_up(np.array([0, 5]))
        with says(AxisError, r"Embedding: id -6 is not one of 5\n  Fix: number them 0 .. 4\n"):
            look_up(np.array([0, -6]))
    with says(DTypeError, r"Embedding: ids must be integers, got float64\[2\]\n  Fix: convert: ids.astype"):
        layer([0.0, 1.0])
    with says(ArgumentError, "vocabulary must be at least 1, got 0"):
        nn.Embedding(0, 3, key=KEY)


def test_embedding_in_native_code_refuses_negative_ids_too():
    layer = nn.Embedding(5, 3, key=KEY)
    look_up = cr.compile(lambda layer, ids: layer(ids))
    np.testing.assert_array_equal(look_up(layer, np.array([4, 0])).numpy(), layer.weight.numpy()[[4, 0]])
    for wrong in (-1, -5, 5):
        with says(AxisError, f"id {wrong} is not one of 5"):
            look_up(layer, np.array([wrong, 0]))


# Maxout


def test_maxout_is_the_largest_of_its_pieces(rng: np.random.Generator):
    layer = with_random_parameters(nn.Maxout(4, 3, 2, key=KEY, dtype=cr.float64), rng)
    x = rng.normal(size=(6, 4))
    pieces = x @ layer.weight.numpy() + layer.bias.numpy()
    np.testing.assert_allclose(layer(x).numpy(), np.maximum(pieces[:, :3], pieces[:, 3:]), rtol=1e-12)
    assert (layer.in_features, layer.out_features) == (4, 3)
    assert cr.check(lambda layer, x: layer(x), layer, x).ok


def test_maxout_can_be_relu_and_absolute_value():
    layer = nn.Maxout(1, 1, 2, key=KEY, bias=False)
    x = np.array([[-2.0], [3.0]], np.float32)
    for second, function in ((0.0, np.maximum(x, 0)), (-1.0, abs(x))):
        assert layer.with_parameters({"weight": [[1.0, second]]})(x).tolist() == function.tolist()


def test_maxout_refuses_what_does_not_fit():
    with says(ShapeError, r"Maxout: expected 4 features on the last axis, got shape \(2, 5\)"):
        nn.Maxout(4, 3, 2, key=KEY)(np.ones((2, 5), np.float32))
    with says(ArgumentError, "Maxout: pieces must be at least 1, got 0"):
        nn.Maxout(4, 3, 0, key=KEY)


# Attention


def expected_attention(layer: nn.MultiHeadAttention, x, memory, seen):
    """By the definition, head by head and query by query; ``seen`` are booleans ``(queries, keys)``."""
    q, k, v = (
        of @ part.weight.numpy() + part.bias.numpy()
        for part, of in ((layer.queries, x), (layer.keys, memory), (layer.values, memory))
    )
    size = q.shape[-1] // layer.heads
    result = np.zeros_like(q)
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        for i, query in enumerate(q[:, part]):
            if not seen[i].any():
                continue
            scores = (k[:, part] @ query / np.sqrt(size))[seen[i]]
            weights = np.exp(scores - scores.max())
            result[i, part] = weights / weights.sum() @ v[seen[i], part]
    return result @ layer.output.weight.numpy() + layer.output.bias.numpy()


@pytest.fixture
def attention(rng: np.random.Generator):
    return with_random_parameters(nn.MultiHeadAttention(6, 2, key=KEY, dtype=cr.float64), rng)


def test_attention_by_definition(attention, rng: np.random.Generator):
    x, memory = rng.normal(size=(3, 5, 6)), rng.normal(size=(3, 4, 6))
    mask = rng.uniform(size=(5, 4)) > 0.4
    mask[2] = False
    for i in range(3):
        np.testing.assert_allclose(
            attention(x).numpy()[i],
            expected_attention(attention, x[i], x[i], np.ones((5, 5), bool)),
            rtol=1e-10,
        )
        np.testing.assert_allclose(
            attention(x, memory=memory, mask=mask).numpy()[i],
            expected_attention(attention, x[i], memory[i], mask),
            rtol=1e-10,
        )
    one = attention(x[0]).numpy()
    np.testing.assert_allclose(one, attention(x).numpy()[0], rtol=1e-12)


def test_masks_of_each_sequence(attention, rng: np.random.Generator):
    """A mask (N, 1, keys) hides the end of short sequences: what stands there does not matter."""
    x = rng.normal(size=(2, 5, 6))
    lengths = np.array([3, 5])
    mask = (np.arange(5) < lengths[:, None])[:, None]
    y = attention(x, mask=mask).numpy()
    np.testing.assert_allclose(y[0, :3], attention(x[0, :3]).numpy(), rtol=1e-10)
    np.testing.assert_allclose(y[1], attention(x[1]).numpy(), rtol=1e-10)
    changed = x.copy()
    changed[0, 3:] = 1e3
    np.testing.assert_allclose(attention(changed, mask=mask).numpy()[0, :3], y[0, :3], rtol=1e-12)


def test_causal_attention_does_not_look_ahead(rng: np.random.Generator):
    layer = with_random_parameters(nn.MultiHeadAttention(6, 3, causal=True, key=KEY, dtype=cr.float64), rng)
    x = rng.normal(size=(2, 5, 6))
    y = layer(x).numpy()
    for t in range(1, 6):
        np.testing.assert_allclose(layer(x[:, :t]).numpy(), y[:, :t], rtol=1e-10)
    jacobian = cr.jacobian(lambda x: layer(x).sum(axis=-1))(x[0]).numpy()  # (time, time, features)
    assert not jacobian[~np.tri(5, dtype=bool)].any() and jacobian[np.tri(5, dtype=bool)].any(axis=-1).all()


def test_a_query_that_may_look_nowhere_gets_zeros(rng: np.random.Generator):
    query, key = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    mask = np.array([[True, True, False], [False] * 3, [False, False, True]])
    weights = lambda q, k: nn.attention_weights(q, k, mask=mask)
    assert weights(query, key).numpy()[1:].tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert cr.check(weights, query, key).ok
    # With causal the first query sees only the first key, and with this mask not even that.
    both = nn.attention_weights(query, key, causal=True, mask=np.array([False, True, True]))
    assert both.numpy()[0].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(both.numpy().sum(-1), [0, 1, 1])
    gradient = cr.grad(lambda q: nn.attention_weights(q, key, mask=np.zeros((3, 3), bool)).sum())(query)
    assert not gradient.numpy().any()


def test_attention_to_large_scores(rng: np.random.Generator):
    query = np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32)
    weights = nn.attention_weights(query, query)
    assert weights.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert np.isfinite(cr.grad(lambda q: (nn.attention_weights(q, query) ** 2).sum())(query).numpy()).all()


def test_attention_drops_weights_in_training_alone(rng: np.random.Generator):
    layer, x = (
        nn.MultiHeadAttention(6, 2, dropout=0.5, key=KEY),
        rng.normal(size=(2, 5, 6)).astype(np.float32),
    )
    np.testing.assert_array_equal(layer(x).numpy(), nn.MultiHeadAttention(6, 2, key=KEY)(x).numpy())
    first, second = (layer(x, nn.Training(cr.random.key(i))).numpy() for i in (1, 2))
    assert (first != second).any() and (first != layer(x).numpy()).any()
    np.testing.assert_array_equal(first, layer(x, nn.Training(cr.random.key(1))).numpy())


def test_attention_refuses_what_does_not_fit(attention):
    x = np.ones((2, 5, 6))
    with says(ArgumentError, "4 heads do not divide 6 features\n  Fix: .* such as 2"):
        nn.MultiHeadAttention(6, 4, key=KEY)
    with says(ArgumentError, r"dropout must lie in \[0, 1\), got 1.0"):
        nn.MultiHeadAttention(6, 2, dropout=1.0, key=KEY)
    with says(ShapeError, r"MultiHeadAttention: expected \(\*batch, time, features\), got shape \(6,\)"):
        attention(x[0, 0])
    with says(ShapeError, "Linear: expected 6 features"):
        attention(x[..., :5])
    with says(
        ShapeError, r"a mask of shape \(4,\) does not broadcast to \(2, 2, 5, 5\)\n  Fix: its last axes"
    ):
        attention(x, mask=np.ones(4, bool))
    with says(DTypeError, r"mask must hold booleans, got float64\[5, 5\]\n  Fix: .*mask != 0"):
        attention(x, mask=np.ones((5, 5)))
    with says(ShapeError, "causal needs as many keys as queries, got 5 queries and 4 keys"):
        nn.attention_weights(x, x[:, :4], causal=True)
    with says(ArgumentError, "causal must be True or False, got 'no'"):
        nn.MultiHeadAttention(6, 2, causal="no", key=KEY)
    with says(ShapeError, r"got \(2, 5, 6\) and \(2, 5, 5\)"):
        nn.attention_weights(x, x[..., :5])


# Arranging


def test_flatten_knows_its_features_without_examples():
    assert nn.Flatten()(np.ones((0, 4, 5), np.float32)).shape == (0, 20)
    assert nn.Flatten()(np.ones((2, 0, 5), np.float32)).shape == (2, 0)
    assert nn.Flatten()(np.ones(3, np.float32)).shape == (3, 1)


@pytest.mark.parametrize(
    "activation",
    [
        cr.sigmoid,
        cr.tanh,
        cr.relu,
        functools.partial(cr.leaky_relu, negative_slope=0.2),
        nn.Maxout(4, 4, 2, key=KEY),
    ],
    ids=["sigmoid", "tanh", "relu", "leaky_relu", "maxout"],
)
def test_common_activations_are_layers(activation, rng: np.random.Generator):
    """Those that the introduction to networks names; each in a model that is trained and copied."""
    model = nn.Sequential(nn.Linear(3, 4, key=KEY), activation, nn.Linear(4, 1, key=cr.random.key(1)))
    x, y = rng.normal(size=(16, 3)).astype(np.float32), rng.normal(size=(16, 1)).astype(np.float32)
    step = cr.train.compile_step(model, nn.mean_squared_error, cr.optim.adam(1e-2))
    losses = [step(x, y).item() for _ in range(100)]
    assert losses[-1] < 0.8 * losses[0]
    twin = pickle.loads(pickle.dumps(step.model))
    np.testing.assert_array_equal(twin.predict(x), step.model.predict(x))


# What holds for all


LAYERS = {
    "Maxout": (lambda dtype: nn.Maxout(6, 4, 3, key=KEY, dtype=dtype), (4, 6)),
    "BatchNorm": (lambda dtype: nn.BatchNorm(6, dtype=dtype), (4, 6)),
    "LayerNorm": (lambda dtype: nn.LayerNorm(6, dtype=dtype), (4, 6)),
    "GroupNorm": (lambda dtype: nn.GroupNorm(3, 6, dtype=dtype), (2, 3, 3, 6)),
    "Conv2d": (lambda dtype: nn.Conv2d(6, 4, 3, padding="same", key=KEY, dtype=dtype), (2, 4, 4, 6)),
    "MultiHeadAttention": (
        lambda dtype: nn.MultiHeadAttention(6, 2, causal=True, key=KEY, dtype=dtype),
        (2, 3, 6),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch(name: str):
    make, shape = LAYERS[name]
    layer, x = make(cr.float32), np.ones((0, *shape[1:]), np.float32)
    assert layer(x).shape[0] == 0
    assert cr.grad(lambda layer: layer(x).sum())(layer).summary().total == layer.summary().total


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_and_native_code(name: str, rng: np.random.Generator):
    make, shape = LAYERS[name]
    layer, x = with_random_parameters(make(cr.float64), rng), rng.normal(size=shape)
    loss = lambda layer, x: (layer(x) ** 2).mean()
    assert cr.check(loss, layer, x).ok
    compiled = cr.compile(cr.value_and_grad(loss, argnums=(0, 1)))
    value, gradients = compiled(layer, x)
    expected, by_hand = cr.value_and_grad(loss, argnums=(0, 1))(layer, x)
    np.testing.assert_allclose(value.item(), expected.item(), rtol=1e-12)
    for path, g in by_hand[0].parameters().items():
        np.testing.assert_allclose(gradients[0].parameters()[path].numpy(), g.numpy(), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(gradients[1].numpy(), by_hand[1].numpy(), rtol=1e-9, atol=1e-13)
    single = make(cr.float32)
    assert single(x.astype(np.float32)).dtype == cr.float32
    with says(DTypeError, "int64"):
        make(cr.int64)


def test_a_module_that_hides_a_layer_that_must_know():
    """However deep it sits, and whatever takes a training pass on the way to it."""

    class Forgets(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential(nn.Linear(4, 4, key=KEY), nn.Sequential(nn.BatchNorm(4)))

        def __call__(self, x):
            return self.inner(x)

    with says(NotSupportedError, "Forgets holds a BatchNorm, which must know when it is trained"):
        nn.Sequential(Forgets())(np.ones((3, 4), np.float32), nn.Training())


def test_with_parameters():
    model = nn.Sequential(nn.Linear(2, 3, key=KEY), nn.BatchNorm(3))
    values = {path: np.full(p.shape, 2.0) for path, p in model.parameters().items()}
    changed = model.with_parameters(values)
    for path, p in changed.parameters().items():
        assert p.dtype == cr.float32 and p.requires_grad and p.name == path.rpartition(".")[2]
        assert (p.numpy() == 2).all()
    assert changed.layers[1].mean is model.layers[1].mean
    assert (model.layers[0].bias.numpy() == 0).all()
    slopes = cr.grad(
        lambda values: model.with_parameters(values).layers[0](np.ones((4, 2), np.float32)).sum()
    )(values)
    assert slopes["layers.0.bias"].tolist() == [4.0] * 3
    with says(cr.errors.StructureError, "with_parameters: 'layers.0.bias' is missing"):
        model.with_parameters({path: v for path, v in values.items() if path != "layers.0.bias"})
    with says(ShapeError, r"with_parameters: layers.0.weight has shape \(2, 3\), got \(3, 2\)"):
        model.with_parameters({**values, "layers.0.weight": np.ones((3, 2))})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("train", r"cr.nn.Training\(key\)"),
        ("eval", "there is no mode to switch"),
        ("state_dict", r"model.parameters\(\) and model.buffers\(\)"),
        ("load_state_dict", "with_parameters"),
        ("forward", r"model\(x\)"),
        ("named_parameters", r"model.parameters\(\).items\(\)"),
        ("fit", "cr.train.fit"),
    ],
)
def test_habits_of_modules_are_answered(name, instead):
    with pytest.raises(AttributeError, match=f"Linear has no .{name}: write .*{instead}"):
        getattr(nn.Linear(2, 3, key=KEY), name)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Conv2D", "cr.nn.Conv2d"),
        ("BatchNorm2d", "cr.nn.BatchNorm"),
        ("MaxPool2D", "cr.nn.MaxPool2d"),
        ("Softmax", "cr.softmax"),
        ("NLLLoss", "softmax_cross_entropy"),
        ("BCEWithLogitsLoss", "binary_cross_entropy"),
        ("L1Loss", "absolute_error"),
        ("SmoothL1Loss", "huber"),
        ("LeakyReLU", "cr.leaky_relu"),
        ("MultiheadAttention", "MultiHeadAttention"),
        ("xavier_uniform_", "glorot_uniform"),
    ],
)
def test_habits_of_layers_are_answered(name, instead):
    with pytest.raises(AttributeError, match=f"cr.nn has no .{name}: write .*{instead}"):
        getattr(nn, name)


def test_what_habits_name_exists():
    """Every cr.name and cr.module.name that an answer recommends."""
    for table in (habits.NN, habits.MODULE):
        for answer in table.values():
            for path in re.findall(r"\bcr\.([a-z_0-9]+(?:\.[A-Za-z_0-9]+)?)", answer):
                found = cr
                for part in path.split("."):
                    found = getattr(found, part)
