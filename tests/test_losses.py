"""Losses: values, gradients at extremes, reductions, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, AxisError, ChainruleError, DTypeError, ShapeError


def says(error: type[ChainruleError], text: str):
    """The error is raised, and its text with the fix contains this one."""
    return pytest.raises(error, match=text)


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


def test_label_smoothing(rng: np.random.Generator):
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    soft = 0.2 / 4 + 0.8 * np.eye(4)[labels]
    expected = -(soft * cr.log_softmax(logits).numpy()).sum(-1)
    loss = lambda z: nn.softmax_cross_entropy(z, labels, label_smoothing=0.2, reduction="none")
    np.testing.assert_allclose(loss(logits).numpy(), expected)
    assert cr.check(loss, logits).ok
    for wrong in (1.0, -0.1, float("nan")):
        with says(
            ArgumentError, r"label_smoothing must lie in \[0, 1\), got .*\n  Fix: pass label_smoothing=0.1"
        ):
            nn.softmax_cross_entropy(logits, labels, label_smoothing=wrong)
    with says(ArgumentError, "label_smoothing must be a number, got str"):
        nn.softmax_cross_entropy(logits, labels, label_smoothing="0.1")


def test_a_negative_label_is_refused_in_a_compiled_step_too():
    """There it is not known before the step runs, and an index of -1 would be the last class."""
    model = nn.Linear(3, 4, key=cr.random.key(0))
    step = cr.train.compile_step(model, nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1))
    x = np.ones((2, 3), np.float32)
    step(x, np.array([0, 3]))
    before = step.model.weight.numpy()
    for wrong in (-1, -5, 4):
        with pytest.raises(
            AxisError, match=f"label {wrong} is not one of 4 classes\n  Fix: number the classes"
        ):
            step(x, np.array([0, wrong]))
    np.testing.assert_array_equal(step.model.weight.numpy(), before)


def test_absolute_error(rng: np.random.Generator):
    p, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(nn.absolute_error(p, t).item(), abs(p - t).mean())
    np.testing.assert_allclose(nn.absolute_error(p, t, reduction="none").numpy(), abs(p - t))
    gradient = cr.grad(lambda p: nn.absolute_error(p, [0.0, 0.0, 0.0], reduction="sum"))(
        np.array([-2.0, 0.0, 1.0])
    )
    assert gradient.tolist() == [-1, 0, 1]


def test_huber_is_a_parabola_between_lines():
    errors = np.array([-3.0, -2.0, -0.5, 0.0, 2.0, 5.0])
    loss = lambda p: nn.huber(p, np.zeros(6), delta=2.0, reduction="sum")
    losses = nn.huber(errors, np.zeros(6), delta=2.0, reduction="none")
    assert losses.tolist() == [4.0, 2.0, 0.125, 0.0, 2.0, 8.0]
    assert cr.grad(loss)(errors).tolist() == [-2.0, -2.0, -0.5, 0.0, 2.0, 2.0]
    assert cr.check(loss, errors + 0.01).ok
    assert cr.grad(loss)(np.array([np.inf, -np.inf, 0, 0, 0, 0])).tolist()[:2] == [2.0, -2.0]
    for wrong in (0, -1.0, np.inf):
        with says(ArgumentError, "delta must be above 0 and finite"):
            nn.huber(errors, errors, delta=wrong)
    with says(ArgumentError, "delta must be a number, got str\n  Fix: pass delta=1.0"):
        nn.huber(errors, errors, delta="1")


EXTREMES = np.array([-np.inf, -1e4, -50.0, -1e-3, 0.0, 1e-3, 50.0, 1e4, np.inf])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_at_extremes(dtype):
    """Relative to what is exact: -log of a probability next to 1 is that next to 0."""
    z = EXTREMES.astype(dtype)
    wide = np.clip(z.astype(np.float64), -700, 700)
    exact = np.where(np.abs(z) < 700, np.log1p(np.exp(wide)), np.maximum(z, 0))
    for label, sign in ((0, 1), (1, -1)):
        losses = nn.binary_cross_entropy(sign * z, np.full(9, label), reduction="none")
        assert losses.dtype == dtype
        np.testing.assert_allclose(losses.numpy(), exact, rtol=4 * np.finfo(dtype).eps)
        gradient = cr.grad(lambda z, y=label: nn.binary_cross_entropy(z, np.full(9, y), reduction="sum"))
        probability = 1 / (1 + np.exp(-wide)) * (np.abs(z) < 700) + (z > 700)
        np.testing.assert_allclose(
            gradient(sign * z).numpy(), sign * probability, rtol=1e-5 if dtype is np.float32 else 1e-14
        )


def test_binary_cross_entropy(rng: np.random.Generator):
    logits, soft = rng.normal(size=(4, 3)), rng.uniform(size=(4, 3))
    p = 1 / (1 + np.exp(-logits))
    expected = -(soft * np.log(p) + (1 - soft) * np.log1p(-p))
    np.testing.assert_allclose(nn.binary_cross_entropy(logits, soft).item(), expected.mean())
    np.testing.assert_allclose(nn.binary_cross_entropy(logits, soft, reduction="none").numpy(), expected)
    assert cr.check(lambda z, y: nn.binary_cross_entropy(z, y), logits, soft).ok
    hard = soft > 0.5
    for labels in (hard, hard.astype(np.int64), hard.astype(np.float32)):
        loss = nn.binary_cross_entropy(logits.astype(np.float32), labels)
        assert loss.dtype == cr.float32
        np.testing.assert_allclose(loss.item(), -np.log(np.where(hard, p, 1 - p)).mean(), rtol=1e-6)
    np.testing.assert_allclose(nn.binary_cross_entropy(logits, 1).item(), -np.log(p).mean())


def test_hinge():
    scores, labels = np.array([2.0, 0.5, 0.5, -3.0, 1.0]), np.array([1, 1, -1, -1, 1])
    loss = lambda s: nn.hinge(s, labels, reduction="sum")
    assert nn.hinge(scores, labels, reduction="none").tolist() == [0.0, 0.5, 1.5, 0.0, 0.0]
    assert cr.grad(loss)(scores).tolist() == [0, -1, 1, 0, 0]
    assert nn.hinge(scores.astype(np.float32), labels.astype(np.float64)).dtype == cr.float32


def test_multiclass_hinge(rng: np.random.Generator):
    scores, labels = rng.normal(size=(5, 4)), rng.integers(0, 4, 5)
    rows = np.arange(5)
    over = np.maximum(0, scores - scores[rows, labels][:, None] + 1.5)
    over[rows, labels] = 0
    loss = lambda s, **options: nn.multiclass_hinge(s, labels, margin=1.5, **options)
    np.testing.assert_allclose(loss(scores, reduction="none").numpy(), over.sum(1))
    np.testing.assert_allclose(loss(scores).item(), over.sum(1).mean())
    assert cr.check(loss, scores).ok
    good = 9 * np.eye(4)[labels]
    assert loss(good).item() == 0 and not cr.grad(loss)(good).numpy().any()
    with says(AxisError, "multiclass_hinge: label 4 is not one of 4 classes"):
        nn.multiclass_hinge(scores, labels * 0 + 4)
    with says(ArgumentError, "margin must be above 0"):
        nn.multiclass_hinge(scores, labels, margin=0.0)


def test_kl_divergence(rng: np.random.Generator):
    z, t = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    p, q = cr.softmax(t).numpy(), cr.softmax(z).numpy()
    expected = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(nn.kl_divergence(z, t, reduction="none").numpy(), expected)
    np.testing.assert_allclose(nn.kl_divergence(z, np.log(p)).item(), expected.mean())
    assert abs(nn.kl_divergence(t, t + 3.0).item()) < 1e-15
    assert cr.check(lambda z, t: nn.kl_divergence(z, t), z, t).ok
    np.testing.assert_allclose(cr.grad(lambda z: nn.kl_divergence(z, t))(z).numpy(), (q - p) / 5, atol=1e-15)


def test_kl_divergence_of_impossible_classes():
    """What the target rules out costs nothing, whatever the prediction says; the reverse costs everything."""
    target = np.array([[0.0, -np.inf, 0.0]])
    same = lambda z, t: nn.kl_divergence(z, t)
    for prediction in (target, np.zeros((1, 3)), np.array([[0.0, 1e4, 0.0]])):
        gradients = cr.grad(same, argnums=(0, 1))(prediction, target)
        assert np.isfinite(same(prediction, target).item())
        assert all(np.isfinite(g.numpy()).all() for g in gradients)
    assert same(target, target).item() == 0
    assert same(target, np.zeros((1, 3))).item() == np.inf


LOSSES = {
    "half_squared_error": ((4,), (4,)),
    "mean_squared_error": ((4,), (4,)),
    "absolute_error": ((4,), (4,)),
    "huber": ((4,), (4,)),
    "softmax_cross_entropy": ((4, 3), None),
    "multiclass_hinge": ((4, 3), None),
    "binary_cross_entropy": ((4,), (4,)),
    "hinge": ((4,), (4,)),
    "kl_divergence": ((4, 3), (4, 3)),
}


def arguments(name: str, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    scores, target = LOSSES[name]
    labels = np.zeros(n, np.int64) if target is None else np.ones((n, *target[1:]))
    return np.linspace(0.1, 0.9, n * int(np.prod(scores[1:]))).reshape(n, *scores[1:]), labels


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name: str):
    """Reductions, an empty batch, nan, and the same in a compiled function."""
    loss, (z, y) = getattr(nn, name), arguments(name)
    each = loss(z, y, reduction="none")
    assert each.shape == (4,)
    np.testing.assert_allclose(loss(z, y, reduction="sum").item(), each.numpy().sum())
    np.testing.assert_allclose(loss(z, y).item(), each.numpy().mean())
    with says(ArgumentError, f"{name}: unknown reduction 'avg'\n  Fix: choose"):
        loss(z, y, reduction="avg")
    with says(ShapeError, f"{name}: the mean of no losses"):
        loss(*arguments(name, 0))
    assert loss(*arguments(name, 0), reduction="sum").item() == 0
    hidden = z.copy()
    hidden.flat[0] = np.nan
    assert np.isnan(loss(hidden, y).item())
    with says(DTypeError, "must be floats, got int64"):
        loss(z.astype(np.int64), y)
    value, gradient = cr.compile(cr.value_and_grad(loss))(z, y)
    np.testing.assert_allclose(value.item(), loss(z, y).item(), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(gradient.numpy(), cr.grad(loss)(z, y).numpy(), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize(
    ("loss", "label", "text", "fix"),
    [
        (nn.binary_cross_entropy, -1, "label -1 is not from 0 to 1", r"\(labels \+ 1\) / 2"),
        (nn.binary_cross_entropy, 1.5, "label 1.5 is not from 0 to 1", "softmax_cross_entropy"),
        (nn.binary_cross_entropy, np.nan, "label nan is not from 0 to 1", "softmax_cross_entropy"),
        (nn.hinge, 0, "label 0 is not -1 or 1", r"2 \* labels - 1"),
        (nn.hinge, 2, "label 2 is not -1 or 1", "multiclass_hinge"),
    ],
)
def test_labels_that_mean_nothing(loss, label, text, fix):
    labels = np.array([1, 1, label])
    with says(ArgumentError, rf"{loss.__name__}: {text}\n  Fix: .*{fix}"):
        loss(np.zeros(3), labels)
    compiled = cr.compile(cr.value_and_grad(loss))
    value, gradient = compiled(np.zeros(3), labels.astype(np.float64))
    assert np.isnan(value.item()) and np.isnan(gradient.numpy()[2])
    assert np.isfinite(compiled(np.zeros(3), np.ones(3))[0].item())


def test_scores_and_labels_of_other_shapes():
    for loss in (nn.binary_cross_entropy, nn.hinge):
        with says(ShapeError, r"has shape \(4, 1\), labels \(4,\)\n  Fix: reshape the labels to \(4, 1\)"):
            loss(np.zeros((4, 1)), np.ones(4))
        with says(ShapeError, r"has shape \(4,\), labels \(3,\)\n  Fix: pass labels of shape \(4,\)"):
            loss(np.zeros(4), np.ones(3))
    with says(ShapeError, r"logits have shape \(2, 3\), target_logits \(3,\)"):
        nn.kl_divergence(np.zeros((2, 3)), np.zeros(3))
    with says(ShapeError, r"expected logits \(\*batch, classes\), got \(\)"):
        nn.kl_divergence(0.0, 0.0)
