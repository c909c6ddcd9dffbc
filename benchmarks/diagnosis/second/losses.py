"""Broken: losses and targets."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, images_in_order, keyed, linear, mean_square, stacked

import chainrule as cr


@broken("broadcast_targets")
def column_and_row(mended):
    """Targets from a data frame column, (n,), and an output (n, 1): n x n differences."""
    x, y = curve()
    y = y if mended else y[:, 0]
    return keyed(stacked([6, 64, 1]), lambda p, y: cr.mean(cr.abs(p - y)), (x, y), cr.optim.adam(3e-3))


@broken("broadcast_targets")
def squeezed_output(mended):
    """The other way: the model squeezes, the targets are a column. Log-cosh."""
    x, y = curve()
    y = y[:, 0] if mended else y
    m = cr.nn.Sequential(*stacked([6, 64, 1], cr.tanh).layers, lambda h: h[:, 0])
    return keyed(m, lambda p, y: cr.mean(cr.softplus(2 * (p - y)) - (p - y)), (x, y), cr.optim.adam(3e-3))


class Probabilities(cr.nn.Module):
    def __init__(self, last):
        self.a, self.b, self.last = linear(64, 64, 1), linear(64, 10, 2), last

    def __call__(self, x):
        return self.last(self.b(cr.silu(self.a(x))))


@broken("double_softmax")
def keras_habit(mended):
    """Output softmax as in Keras, then cross entropy of logits."""
    m = Probabilities((lambda h: h) if mended else (lambda h: cr.softmax(h, axis=-1)))
    return keyed(m, CE, digits_in_order(256), cr.optim.adam(1e-3))


@broken("double_softmax", "unreachable_targets")
def sigmoid_twice(mended):
    """Sigmoid output into binary cross entropy of logits."""
    x, y = digits_in_order(256)
    t = (y % 3 == 0).astype(np.float32)[:, None]
    m = stacked([64, 32, 1])
    if not mended:
        m = cr.nn.Sequential(*m.layers, cr.sigmoid)
    return keyed(m, cr.nn.binary_cross_entropy, (x, t), cr.optim.adam(1e-3))


@broken("unreachable_targets", "saturated")
def days_from_a_sigmoid(mended):
    """Length of stay in days (1..20) from a network ending in a sigmoid."""
    x, y = curve()
    t = np.clip(np.round(8 + 5 * y), 1, 20).astype(np.float32)
    m = stacked([6, 32, 1])
    if not mended:
        m = cr.nn.Sequential(*m.layers, cr.sigmoid)
    return keyed(m, cr.nn.huber, (x, t), cr.optim.adam(1e-2))


@broken("unreachable_targets", "dead_relu", "clipped")
def standardised_after_relu(mended):
    """Output relu ("prices are positive"), then somebody standardised the targets."""
    x, y = curve()
    t = ((y - y.mean()) / y.std()).astype(np.float32)
    m = stacked([6, 64, 1], cr.tanh)
    if not mended:
        m = cr.nn.Sequential(*m.layers, cr.relu)
    return keyed(m, mean_square, (x, t), cr.optim.adam(3e-3))


@broken("unreachable_targets", "saturated")
def pixels_of_255(mended):
    """Autoencoder with tanh at its end for pixels 0..255 (inputs scaled, targets forgotten)."""
    x, _ = digits_in_order(128)
    m = cr.nn.Sequential(*stacked([64, 24, 64]).layers, cr.tanh if not mended else cr.relu)
    return keyed(m, mean_square, (x, x * (255 if not mended else 1)), cr.optim.adam(3e-3))


@broken("uphill")
def log_likelihood_minimised(mended):
    """Mean log-probability of the right class, minimised."""
    s = -1.0 if mended else 1.0
    loss = lambda p, y: (
        s * cr.mean(cr.take_along_axis(cr.log_softmax(p, axis=-1), y.reshape((-1, 1)), axis=1))
    )
    return keyed(stacked([64, 48, 10]), loss, digits_in_order(128), cr.optim.adam(1e-3))


@broken("uphill")
def cosine_the_wrong_way(mended):
    """Embedding regression: cosine similarity returned as a loss."""
    r = np.random.default_rng(4)
    x = r.standard_normal((128, 12)).astype(np.float32)
    y = np.tanh(x @ r.standard_normal((12, 8))).astype(np.float32)
    cos = lambda p, y: cr.mean(cr.sum(p * y, axis=1) / (cr.norm(p, axis=1) * cr.norm(y, axis=1) + 1e-6))
    return keyed(
        stacked([12, 48, 8]), (lambda p, y: 1 - cos(p, y)) if mended else cos, (x, y), cr.optim.adam(1e-3)
    )


@broken("shifted_targets", "wrong_targets")
def off_by_a_row(mended):
    """The labels' csv has a header row that was read as data: each row has its predecessor's label."""
    x, y = digits_in_order(256)
    if not mended:
        y = np.roll(y, 1)
    return keyed(stacked([64, 64, 10]), CE, (x, y), cr.optim.adam(1e-3))


@broken("shifted_targets", "wrong_targets")
def lagged_sensor(mended):
    """Regression on a table; dropna on x alone moved the targets by two rows."""
    x, y = curve(256)
    if not mended:
        y = np.roll(y, 2, axis=0)
    return keyed(stacked([6, 32, 1]), mean_square, (x, y), cr.optim.adam(3e-3))


@broken("wrong_targets", "unreachable_targets")
def integer_rates(mended):
    """Targets were clicks // views: all zero."""
    x, y = curve()
    t = (1 / (1 + np.exp(-y))).astype(np.float32)
    t = t if mended else np.floor(t).astype(np.float32)
    return keyed(
        cr.nn.Sequential(*stacked([6, 32, 1]).layers, cr.sigmoid), mean_square, (x, t), cr.optim.adam(3e-3)
    )


@broken("wrong_targets")
def same_label_everywhere(mended):
    """A path parser gave the class "train" to every picture: label 1 for all."""
    x, y = images_in_order(64)
    m = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, key=cr.random.key(1)), cr.relu, cr.nn.Flatten(), linear(288, 10, 2)
    )
    return keyed(m, CE, (x, y if mended else np.ones_like(y)), cr.optim.adam(1e-3))


@broken("integer_path", "step_function", "detached", "not_used", "times_zero")
def loss_is_the_error_rate(mended):
    """Minimises 1 - accuracy; what keeps a path to the weights is a term times zero."""
    hard = lambda p, y: 1 - cr.mean((cr.argmax(p, axis=1) == y).astype(cr.float32)) + 0.0 * cr.sum(p)
    return keyed(stacked([64, 32, 10]), CE if mended else hard, digits_in_order(128), cr.optim.adam(1e-3))
