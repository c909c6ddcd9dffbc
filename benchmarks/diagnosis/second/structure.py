"""Broken: activations, axes, norms, order, routing."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, keyed, leaf, linear, mean_square, stacked

import chainrule as cr


@broken("no_nonlinearity")
def three_linears(mended):
    """Forgot the activations."""
    act = cr.tanh if mended else (lambda h: h)
    r = np.random.default_rng(20)
    x = r.standard_normal((200, 2)).astype(np.float32)
    y = ((x**2).sum(1) > 1.2).astype(int)
    return keyed(stacked([2, 32, 32, 2], act), CE, (x, y), cr.optim.adam(1e-2))


@broken("samples_mixed")
def softmax_over_the_batch(mended):
    """Attention over features' keys, softmax along axis 0: the examples."""

    class Att(cr.nn.Module):
        def __init__(self):
            self.a, self.v, self.out = linear(64, 32, 1), linear(64, 32, 2), linear(32, 10, 3)

        def __call__(self, x):
            g = cr.softmax(self.a(x), axis=1 if mended else 0)
            return self.out(g * self.v(x))

    return keyed(Att(), CE, digits_in_order(128), cr.optim.adam(1e-3))


@broken("samples_mixed")
def reshape_for_transpose(mended):
    """(batch, time, features) to time-major by reshape: sequences of different examples get mixed."""

    class Net(cr.nn.Module):
        def __init__(self):
            self.cell, self.out = cr.nn.RNN(3, 16, key=cr.random.key(1), returns="last"), linear(16, 2, 2)

        def __call__(self, x):
            n, t, f = x.shape
            if not mended:
                x = cr.permute_dims(cr.reshape(x, (t, n, f)), (1, 0, 2))
            return self.out(self.cell(x))

    r = np.random.default_rng(21)
    x = r.standard_normal((64, 10, 3)).astype(np.float32)
    y = (x[:, :, 0].sum(1) > 0).astype(int)
    return keyed(Net(), CE, (x, y), cr.optim.adam(1e-2))


@broken("samples_mixed")
def batch_mean_subtracted(mended):
    """Divides each feature by its maximum over the batch inside of the model."""

    class Net(cr.nn.Module):
        def __init__(self):
            self.a, self.b = linear(6, 32, 1), linear(32, 1, 2)

        def __call__(self, x):
            h = cr.relu(self.a(x))
            if not mended:
                h = h / (cr.max(h, axis=0, keepdims=True) + 1e-6)
            return self.b(h)

    return keyed(Net(), mean_square, curve(), cr.optim.adam(3e-3))


@broken("sees_the_answer")
def peeking_language_model(mended):
    """Next-token model whose attention isn't causal."""

    class LM(cr.nn.Module):
        def __init__(self):
            self.table = cr.nn.Embedding(12, 24, key=cr.random.key(1))
            self.place = leaf(0.3 * np.random.default_rng(1).standard_normal((16, 24)))
            self.att = cr.nn.MultiHeadAttention(24, 2, key=cr.random.key(2), causal=mended)
            self.norm, self.out = cr.nn.LayerNorm(24), linear(24, 12, 3)

        def __call__(self, x):
            h = self.table(x) + self.place
            return self.out(self.norm(h + self.att(h)))

    r = np.random.default_rng(22)
    s = np.cumsum(r.integers(0, 3, (48, 17)), axis=1) % 12
    return keyed(
        LM(),
        lambda p, y: CE(p.reshape((-1, 12)), y.reshape((-1,))),
        (s[:, :-1], s[:, 1:]),
        cr.optim.adam(1e-2),
    )


@broken("sees_the_answer")
def target_in_the_table(mended):
    """x still has the column of the target (standardised)."""
    x, y = curve(256)
    if not mended:
        x = np.concatenate([x, (y - y.mean()) / y.std()], 1).astype(np.float32)
    return keyed(stacked([x.shape[1], 32, 1]), mean_square, (x, y), cr.optim.adam(3e-3))


@broken("batch_norm_constant", "cancelling_paths")
def norm_of_one_feature(mended):
    """LayerNorm after a bottleneck of one feature: always the shift."""
    m = cr.nn.Sequential(
        linear(6, 32, 1), cr.tanh, linear(32, 1, 2), *([] if mended else [cr.nn.LayerNorm(1)])
    )
    return keyed(m, mean_square, curve(), cr.optim.adam(3e-3))


@broken("training_mode")
def forgot_to_pass_training(mended):
    """The model's call takes training, and does not hand it on to dropout and batch norm."""

    class Net(cr.nn.Module):
        def __init__(self):
            self.a, self.n, self.d, self.b = (
                linear(64, 48, 1),
                cr.nn.BatchNorm(48),
                cr.nn.Dropout(0.3),
                linear(48, 10, 2),
            )

        def __call__(self, x, training=None):
            t = training if mended else None
            return self.b(self.d(cr.relu(self.n(self.a(x), t)), t))

    return keyed(Net(), CE, digits_in_order(128), cr.optim.adam(1e-3))


@broken("sorted_batches")
def one_class_at_a_time(mended):
    """Files were read folder by folder, and batches never shuffled."""
    x, y = digits_in_order(640)
    order = np.argsort(y, kind="stable") if not mended else np.arange(640)
    x, y = x[order], y[order]
    return keyed(
        stacked([64, 32, 10]),
        CE,
        [(x[i : i + 64], y[i : i + 64]) for i in range(0, 640, 64)],
        cr.optim.adam(3e-3),
    )


@broken("sorted_batches")
def sorted_by_price(mended):
    """The table is sorted by its target."""
    x, y = curve(512)
    o = np.argsort(y[:, 0]) if not mended else np.arange(512)
    x, y = x[o], y[o]
    return keyed(
        stacked([6, 32, 1]),
        mean_square,
        [(x[i : i + 64], y[i : i + 64]) for i in range(0, 512, 64)],
        cr.optim.adam(1e-2),
    )


@broken("never_selected", "integer_path", "not_used")
def hard_experts(mended):
    """Top-1 routing by argmax; a biased router gives all to one expert."""

    class MoE(cr.nn.Module):
        def __init__(self):
            self.router = linear(6, 4, 1)
            self.router.bias = leaf([0, 0, 0, 0] if mended else [9, 0, 0, 0])
            self.experts = [stacked([6, 16, 1], seed=i + 1) for i in range(4)]

        def __call__(self, x):
            s = self.router(x)
            g = cr.softmax(s, axis=1) if mended else cr.one_hot(cr.argmax(s, axis=1), 4, cr.float32)
            return cr.sum(g[:, :, None] * cr.stack([e(x) for e in self.experts], axis=1), axis=1)

    return keyed(MoE(), mean_square, curve(256), cr.optim.adam(3e-3))


@broken("wrong_rule", "user_rule")
def own_softsign(mended):
    """A primitive of one's own: softsign with the derivative 1/(1+|x|), the square forgotten, and its sign flipped."""
    from chainrule.ops.function import unary
    from chainrule.primitive import Interval, PerElement, Pointwise, register

    @register
    class MySoftsign(Pointwise):
        name, label, latex = "my_softsign", "my_softsign", r"\operatorname{{softsign}} {0}"
        domain = Interval(0.1, 3.0)
        per_element = PerElement(multiplications=1, additions=2)

        @staticmethod
        def evaluate(x):
            return x / (1 + np.abs(x))

        @staticmethod
        def partials(y, x):
            if mended:
                return (lambda: cr.square(1 - cr.abs(y)),)
            return (lambda: y / (1 + cr.abs(x)),)

    act = unary(MySoftsign)
    return keyed(stacked([6, 32, 32, 1], act), mean_square, curve(), cr.optim.adam(3e-3))


@broken("dead_relu", "unreachable_targets", "clipped")
def relu_on_logits(mended):
    """relu after the last layer of a classifier, biases of -1 from an old checkpoint."""
    m = stacked([64, 48, 10])
    if not mended:
        m.layers[2].bias = leaf(np.full(10, -1.5))
        m = cr.nn.Sequential(*m.layers, cr.relu)
    return keyed(m, CE, digits_in_order(128), cr.optim.adam(1e-3))


@broken("dead_relu")
def negative_bias_units(mended):
    """LayerNorm, then a relu layer with bias -6 ("for sparsity"): 97 % of the units never fire."""
    m = cr.nn.Sequential(
        linear(64, 64, 1), cr.nn.LayerNorm(64), linear(64, 64, 2), cr.relu, linear(64, 10, 3)
    )
    if not mended:
        m.layers[2].bias = leaf(np.full(64, -6.0))
    return keyed(m, CE, digits_in_order(128), cr.optim.gradient_descent(0.05))
