"""Broken: learning rates, decay, clipping, and the scale of the loss."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, keyed, mean_square, stacked

import chainrule as cr


@broken("dead_relu", "weights_too_large")
def fine_tune_after_crash(mended):
    """A first run with lr 3 killed the relus; the student resumed from its checkpoint with a sane rate."""
    x, y = digits_in_order(128)
    m = stacked([64, 48, 48, 10])
    if not mended:
        step = cr.train.compile_step(m, CE, cr.optim.gradient_descent(6.0))
        for _ in range(25):
            step(x, y)
        m = step.model
    return keyed(m, CE, (x, y), cr.optim.adam(1e-3))


@broken("learning_rate_too_high", "dead_relu")
def adam_at_sgd_rate(mended):
    """Swapped SGD for Adam, kept 0.2."""
    return keyed(stacked([64, 64, 64, 10]), CE, digits_in_order(128), cr.optim.adam(1e-3 if mended else 0.2))


@broken("learning_rate_too_high")
def momentum_doubling(mended):
    """Rate of plain SGD kept when momentum 0.99 was added: effective rate 100 times."""
    x, y = curve()
    return keyed(
        stacked([6, 48, 48, 1], cr.tanh),
        mean_square,
        (x, y),
        cr.optim.momentum(0.2 if not mended else 0.005, decay=0.98 if not mended else 0.9),
    )


@broken("learning_rate_too_low")
def millionth_warm_up(mended):
    """Warm-up counted in examples, not in updates."""
    rate = cr.optim.warm_up(1e-3, updates=20 if mended else 500_000)
    return keyed(stacked([64, 64, 10]), CE, digits_in_order(128), cr.optim.adam(rate))


@broken("learning_rate_too_low")
def sgd_at_adam_rate(mended):
    """SGD with 3e-5, as the tutorial for fine-tuning a transformer said (for Adam)."""
    return keyed(
        stacked([64, 64, 10]), CE, digits_in_order(128), cr.optim.gradient_descent(0.3 if mended else 3e-5)
    )


@broken("learning_rate_too_low", "unreachable_targets", "wrong_targets")
def prices_in_dollars(mended):
    """Targets around 250,000 with a linear output and Adam 1e-3: would take ages."""
    x, y = curve()
    t = (250_000 + 80_000 * y).astype(np.float32)
    if mended:
        t = y
    return keyed(stacked([6, 64, 64, 1]), mean_square, (x, t), cr.optim.adam(1e-3))


@broken("loss_summed", "learning_rate_too_high")
def sum_over_batch(mended):
    """Loss summed over 512 examples, with SGD 0.1 tuned for the mean."""
    loss = CE if mended else (lambda p, y: CE(p, y, reduction="sum"))
    return keyed(stacked([64, 64, 10]), loss, digits_in_order(512), cr.optim.gradient_descent(0.1))


@broken("loss_summed", "learning_rate_too_high")
def sum_over_time_and_batch(mended):
    """Squared error summed over a forecast horizon and batch, momentum."""
    r = np.random.default_rng(3)
    t = r.uniform(0, 6, (96, 1)) + np.arange(36) * 0.2
    s = np.sin(t).astype(np.float32) + 0.05 * r.standard_normal(t.shape).astype(np.float32)
    loss = mean_square if mended else (lambda p, y: cr.sum((p - y) ** 2))
    return keyed(stacked([24, 64, 12], cr.tanh), loss, (s[:, :24], s[:, 24:]), cr.optim.momentum(0.02))


@broken("loss_averaged_twice", "learning_rate_too_low")
def mean_then_batch_size(mended):
    """mean() and then / len(x), with SGD."""
    loss = CE if mended else (lambda p, y: CE(p, y) / p.shape[0])
    return keyed(stacked([64, 64, 10]), loss, digits_in_order(256), cr.optim.gradient_descent(0.2))


@broken("loss_averaged_twice", "learning_rate_too_low")
def mean_of_means(mended):
    """Mean over pixels, then divided by the number of pixels and by the batch, in an autoencoder with SGD."""
    x, _ = digits_in_order(128)
    loss = (
        mean_square
        if mended
        else (lambda p, y: cr.sum(cr.mean((p - y) ** 2, axis=1)) / p.shape[0] / p.shape[1] / p.shape[0])
    )
    return keyed(stacked([64, 32, 64]), loss, (x, x), cr.optim.momentum(0.3))


@broken("weight_decay_too_strong")
def l2_of_the_paper(mended):
    """weight decay 0.3 as L2 in SGD with momentum: "0.3 worked in AdamW"."""
    return keyed(
        stacked([64, 64, 10]),
        CE,
        digits_in_order(256),
        cr.optim.momentum(0.05, weight_decay=1e-4 if mended else 0.3),
    )


@broken("weight_decay_too_strong")
def lambda_in_the_loss(mended):
    """AdamW with decay 30 at rate 3e-3."""
    x, y = curve()
    return keyed(
        stacked([6, 64, 1]), mean_square, (x, y), cr.optim.adamw(3e-3, weight_decay=0.01 if mended else 60.0)
    )


@broken("clipping_too_tight", "learning_rate_too_low")
def clip_one_thousandth(mended):
    """Clipped to norm 1e-3 with SGD 0.1 after reading of exploding gradients."""
    return keyed(
        stacked([64, 64, 10]),
        CE,
        digits_in_order(128),
        cr.optim.clip_by_norm(cr.optim.gradient_descent(0.2), 5.0 if mended else 1e-3),
    )


@broken("clipping_too_tight", "learning_rate_too_low")
def clip_each_element(mended):
    """clip_by_value 1e-5 with momentum."""
    x, y = curve()
    return keyed(
        stacked([6, 64, 1], cr.tanh),
        mean_square,
        (x, y),
        cr.optim.clip_by_value(cr.optim.momentum(0.02), 1.0 if mended else 1e-5),
    )
