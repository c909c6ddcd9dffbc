"""What a model needs while it is trained is passed on: random numbers, running averages, and no global mode."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, train
from chainrule.errors import ArgumentError, NotSupportedError, ShapeError, StructureError

KEY = cr.random.key(0)
X = np.random.default_rng(0).normal(2.0, 3.0, (8, 4)).astype(np.float32)


class Net(nn.Module):
    """Dropout and batch norm in a dictionary, a list and a layer of their own."""

    def __init__(self):
        self.parts = {"norm": nn.BatchNorm(4), "rest": [nn.Dropout(0.5), nn.Linear(4, 2, key=KEY)]}
        self.last = nn.BatchNorm(2)

    def __call__(self, x, training=None):
        y = self.parts["norm"](x, training)
        for layer in self.parts["rest"]:
            y = nn.training.call(layer, y, training)
        return self.last(y, training)


def test_buffers_have_paths_and_are_no_parameters():
    model = Net()
    assert set(model.buffers()) == {f"{p}.{n}" for p in ("parts.norm", "last") for n in ("mean", "variance")}
    assert not [path for path in model.parameters() if "mean" in path or "variance" in path]


def test_with_buffers_changes_a_copy():
    model = Net()
    values = {path: np.full(b.shape, 3.0, np.float32) for path, b in model.buffers().items()}
    changed = model.with_buffers(values)
    assert all((b.numpy() == 3).all() for b in changed.buffers().values())
    assert (model.buffers()["last.mean"].numpy() == 0).all()
    assert changed.parameters()["parts.rest.1.weight"] is model.parameters()["parts.rest.1.weight"]


def test_with_buffers_of_another_model():
    with pytest.raises(StructureError, match=r"'last\.mean' is missing"):
        Net().with_buffers({})
    with pytest.raises(StructureError, match="'more' is no buffer of this model"):
        Net().with_buffers({**Net().buffers(), "more": 1.0})
    wrong = {**Net().buffers(), "last.mean": np.zeros(3, np.float32)}
    with pytest.raises(ShapeError, match=r"last.mean has shape \(2,\), got \(3,\)"):
        Net().with_buffers(wrong)


def test_batch_norm_uses_the_batch_in_training_and_averages_otherwise():
    layer = nn.BatchNorm(4, decay=0.75)
    training = nn.Training()
    y = layer(X, training).numpy()
    np.testing.assert_allclose(y, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5), atol=1e-5)
    found = training.buffers_of(layer)
    np.testing.assert_allclose(found["mean"].numpy(), 0.25 * X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["variance"].numpy(), 0.75 + 0.25 * X.var(0, ddof=1), rtol=1e-5)
    after = layer.with_buffers(found)
    mean, variance = (found[name].numpy() for name in ("mean", "variance"))
    np.testing.assert_allclose(after(X).numpy(), (X - mean) / np.sqrt(variance + 1e-5), rtol=1e-5)
    np.testing.assert_array_equal(layer(X).numpy(), X / np.sqrt(np.float32(1 + 1e-5)))


def test_a_layer_used_twice_in_one_pass_averages_twice():
    layer, training = nn.BatchNorm(4, decay=0.5), nn.Training()
    layer(X, training)
    layer(X + 1, training)
    np.testing.assert_allclose(
        training.buffers_of(layer)["mean"].numpy(), 0.25 * X.mean(0) + 0.5 * (X.mean(0) + 1), rtol=1e-5
    )


def test_wider_input_leaves_averages_as_wide_as_they_were():
    """Or a checkpoint of theirs would not fit the model."""
    layer, x = cr.nn.BatchNorm(3), np.random.default_rng(0).normal(5, 2, (20, 3))
    training = cr.nn.Training()
    assert layer(layer(x, training), training).dtype == cr.float64
    kept, narrow = training.buffers_of(layer), cr.nn.Training()
    layer(layer(x.astype(np.float32), narrow), narrow)
    for path, average in narrow.buffers_of(layer).items():
        assert kept[path].dtype == average.dtype == cr.float32
        np.testing.assert_allclose(kept[path].numpy(), average.numpy(), rtol=1e-5, atol=1e-6)


def test_averages_carry_no_gradient():
    layer = nn.BatchNorm(4)

    def loss(x):
        training = nn.Training()
        layer(x, training)
        return training.buffers_of(layer)["mean"].sum() + 0.0 * x.sum()

    assert (cr.grad(loss)(X).numpy() == 0).all()


def test_dropout_draws_other_numbers_for_each_layer_and_key():
    layer, x = nn.Dropout(0.5), np.ones(1000, np.float32)
    training = nn.Training(KEY)
    first, second = layer(x, training).numpy(), layer(x, training).numpy()
    assert (first != second).mean() > 0.3
    np.testing.assert_array_equal(first, layer(x, nn.Training(KEY)).numpy())
    assert set(np.unique(first)) == {0.0, 2.0} and 0.4 < (first == 0).mean() < 0.6
    np.testing.assert_array_equal(layer(x).numpy(), x)


def test_dropout_without_a_key():
    with pytest.raises(
        ArgumentError, match="Dropout draws random numbers, and this training pass has no key"
    ):
        nn.Sequential(nn.Dropout(0.5))(X, nn.Training())


def test_a_module_that_does_not_pass_it_on():
    class Forgets(nn.Module):
        def __init__(self):
            self.inner = [nn.BatchNorm(4)]

        def __call__(self, x):
            return self.inner[0](x)

    with pytest.raises(
        NotSupportedError, match="Forgets holds a BatchNorm, which must know when it is trained"
    ):
        nn.Sequential(Forgets())(X, nn.Training())
    nn.Sequential(Forgets())(X)


def test_one_number_has_no_variance():
    with pytest.raises(ShapeError, match=r"more than one number for each channel, got \(1, 4\)"):
        nn.BatchNorm(4)(X[:1], nn.Training())


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_steps_are_eager_steps(threads: int):
    """Dropout's masks, running averages and parameters after three steps, compiled and by hand."""
    model, target = Net(), np.zeros((8, 2), np.float32)
    optimizer = cr.optim.momentum(0.1)
    step = cr.train.compile_step(model, nn.mean_squared_error, optimizer, key=KEY, threads=threads)
    state, by_hand = optimizer.init(model), model
    for number in range(3):

        def loss(m, number=number):
            training = nn.Training(cr.random.fold_in(KEY, number))
            return nn.mean_squared_error(m(X, training), target), training.buffers_of(m)

        (value, buffers), gradients = cr.value_and_grad(loss, has_aux=True)(by_hand)
        by_hand, state = optimizer.update(gradients, state, by_hand)
        by_hand = by_hand.with_buffers(buffers)
        assert step(X, target).item() == pytest.approx(value.item(), rel=1e-5)
    for found, expected in (
        (step.model.parameters(), by_hand.parameters()),
        (step.model.buffers(), by_hand.buffers()),
    ):
        assert list(found) == list(expected)
        for path, value in expected.items():
            np.testing.assert_allclose(found[path].numpy(), value.numpy(), rtol=1e-4, atol=1e-6, err_msg=path)


def test_a_step_goes_on_from_a_state():
    target = np.zeros((8, 2), np.float32)
    start = lambda model, state=None: cr.train.compile_step(
        model, nn.mean_squared_error, cr.optim.adam(0.1), key=KEY, state=state
    )
    whole, half = start(Net()), start(Net())
    for _ in range(2):
        half(X, target)
    rest = start(half.model, half.state)
    for _ in range(4):
        whole(X, target)
    for _ in range(2):
        rest(X, target)
    assert rest.updates == whole.updates == 4
    for path, value in whole.model.parameters().items():
        np.testing.assert_array_equal(rest.model.parameters()[path].numpy(), value.numpy())


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_a_batch_that_changes_in_place_is_read_anew(dtype: str):
    """Also one in the byte order of another machine, of which a step reads a copy."""
    model = nn.Linear(2, 1, key=KEY)
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), dtype)
    step = cr.train.compile_step(model, nn.mean_squared_error, cr.optim.gradient_descent(1e-9))
    for value in (0.0, 5.0):
        y[...] = value
        expected = nn.mean_squared_error(model(x), y.astype(np.float32)).item()
        assert step(x, y).item() == pytest.approx(expected, rel=1e-4)


class Forgetful(nn.Module):
    """Takes the training pass, and hands it on to one of two layers."""

    def __init__(self):
        self.norm, self.drop, self.head = nn.BatchNorm(4), nn.Dropout(0.5), nn.Linear(4, 2, key=KEY)

    def __call__(self, x, training=None):
        return self.head(self.drop(self.norm(x), training=training))


@pytest.mark.parametrize("kind", [train.EagerStep, train.compile_step])
def test_a_layer_that_is_not_told_is_named_once(kind):
    x, y = X, np.zeros(8, np.int64)
    step = kind(Forgetful(), nn.softmax_cross_entropy, cr.optim.adam(0.01), key=KEY)
    said = r"^Forgetful is trained, and norm \(BatchNorm\) is called as if it were not"
    with pytest.warns(UserWarning, match=said):
        step(x, y)
    step(x[:5], y[:5])
    told = kind(Net(), nn.softmax_cross_entropy, cr.optim.adam(0.01), key=KEY)
    told(x, y)  # every layer is told, and nothing is said
