"""Healthy: converged and reused networks, fits of formulas, tasks that compare examples."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, digits, healthy, keys, leaf, mlp, normal, spirals, table, train

import chainrule as cr


@healthy
def converged_to_almost_nothing():
    x, y = digits(96, seed=17)
    model = train(mlp(64, 64, 10, seed=17), CE, cr.optim.adam(3e-3), x, y, 1500, 96)
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def regression_fitted_exactly():
    rng = np.random.default_rng(18)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    y = (x @ np.float32([[1], [-2], [0.5], [0]]) + 1).astype(np.float32)
    model = cr.nn.Linear(4, 1, key=cr.random.key(18), initializer=cr.nn.lecun_normal)
    model = train(model, MSE, cr.optim.gradient_descent(0.1), x, y, 800, 64)
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.gradient_descent(0.1))


@healthy
def trained_to_its_noise_with_a_falling_rate():
    x, y = table(512, seed=19)
    rate = cr.optim.cosine(5e-3, updates=500, final=1e-4)
    model = train(mlp(8, 24, 1, act=cr.gelu, seed=19), MSE, cr.optim.adam(rate), x, y, 500)
    return Case(model=model, loss=MSE, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(5e-3))


@healthy
def new_head_on_a_trained_body():
    x, y = digits(800, seed=20)
    body = train(mlp(64, 64, 32, 10, seed=20), CE, cr.optim.adam(2e-3), x, y, 300)
    head = cr.nn.Linear(32, 2, key=cr.random.key(20), initializer=cr.nn.lecun_normal)
    model = cr.nn.Sequential(*body.layers[:-1], head)
    return Case(
        model=model, loss=CE, batch=(x[:128], (y[:128] > 4).astype(np.int64)), optimizer=cr.optim.adam(5e-4)
    )


@healthy
def zero_last_layer():
    net = mlp(64, 64, 10, seed=21)
    net.layers[-1].weight = leaf(np.zeros((64, 10)))
    return Case(model=net, loss=CE, batch=digits(128, seed=21), optimizer=cr.optim.adam(1e-3))


@healthy
def frozen_body_as_buffers():
    """A trained body whose weights are declared to be no parameters, under a fresh head."""
    x, y = digits(800, seed=22)
    body = train(mlp(64, 48, 10, seed=22), CE, cr.optim.adam(2e-3), x, y, 200)
    w, b = (cr.nn.Buffer(v.detach()) for v in (body.layers[0].weight, body.layers[0].bias))
    model = Apply(
        lambda self, x: self.head(cr.relu(x @ self.w.value + self.b.value)),
        w=w,
        b=b,
        head=cr.nn.Linear(48, 2, key=cr.random.key(22), initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(x[:128], (y[:128] % 2)), optimizer=cr.optim.adam(3e-3))


@healthy
def random_fourier_features():
    x, y = spirals(160, seed=23)
    rng = np.random.default_rng(23)
    frequencies = rng.normal(0, 2.0, (2, 64)).astype(np.float32)
    phases = rng.uniform(0, 6.28, 64).astype(np.float32)
    head = cr.nn.Linear(64, 3, key=cr.random.key(23), initializer=cr.nn.lecun_normal)
    model = cr.nn.Sequential(lambda x: cr.cos(x @ frequencies + phases), head)
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@healthy
def damped_oscillator():
    t = np.linspace(0, 6, 80, dtype=np.float32)
    y = (1.3 * np.exp(-0.4 * t) * np.cos(2.1 * t + 0.3)).astype(np.float32)
    model = Apply(
        lambda self, t: self.height * cr.exp(-self.damping * t) * cr.cos(self.pace * t + self.phase),
        height=leaf(1.0),
        damping=leaf(0.25),
        pace=leaf(1.9),
        phase=leaf(0.0),
    )
    return Case(model=model, loss=MSE, batch=(t, y), optimizer=cr.optim.adam(2e-2))


@healthy
def saturating_growth_fit():
    rng = np.random.default_rng(25)
    dose = rng.uniform(0, 4, (64, 1)).astype(np.float32)
    y = (2.5 * dose / (0.8 + dose) + 0.05 * rng.normal(size=(64, 1))).astype(np.float32)
    model = Apply(lambda self, d: self.top * d / (cr.softplus(self.half) + d), top=leaf(1.0), half=leaf(0.5))
    return Case(model=model, loss=MSE, batch=(dose, y), optimizer=cr.optim.gradient_descent(0.1))


@healthy
def positive_outputs_by_softplus():
    x, y = table(128, seed=26)
    y = np.log1p(np.exp(y))
    net = mlp(8, 32, 1, seed=26)
    return Case(
        model=cr.nn.Sequential(*net.layers, cr.softplus),
        loss=MSE,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def shares_by_sigmoid_and_squared_error():
    x, y = table(128, seed=27)
    y = (1 / (1 + np.exp(-y))).astype(np.float32)
    net = mlp(8, 32, 1, act=cr.tanh, seed=27, initializer=cr.nn.glorot_uniform)
    return Case(
        model=cr.nn.Sequential(*net.layers, cr.sigmoid), loss=MSE, batch=(x, y), optimizer=cr.optim.adam(1e-2)
    )


@healthy
def pictures_by_sigmoid_trained():
    x, _ = digits(600, seed=28)
    net = mlp(64, 32, 12, 32, 64, act=cr.leaky_relu, seed=28)
    model = cr.nn.Sequential(*net.layers, cr.sigmoid)
    model = train(model, MSE, cr.optim.adam(3e-3), x, x, 400)
    return Case(model=model, loss=MSE, batch=(x[:128], x[:128]), optimizer=cr.optim.adam(3e-3))


@healthy
def mean_and_variance_learned():
    x, y = table(128, seed=29)
    net = mlp(8, 32, 2, seed=29, initializer=cr.nn.lecun_normal)

    def loss(out, y):
        mean, log_variance = out[:, :1], out[:, 1:]
        return cr.mean(0.5 * log_variance + 0.5 * (y - mean) ** 2 * cr.exp(-log_variance))

    return Case(model=net, loss=loss, batch=(x, y), optimizer=cr.optim.adam(2e-3))


class Variational(cr.nn.Module):
    def __init__(self, seed):
        k = keys(seed)
        self.enter = cr.nn.Linear(64, 48, key=k[0])
        self.code = cr.nn.Linear(48, 12, key=k[1], initializer=cr.nn.lecun_normal)
        self.first = cr.nn.Linear(6, 48, key=k[2])
        self.leave = cr.nn.Linear(48, 64, key=k[3], initializer=cr.nn.lecun_normal)

    def __call__(self, x, training=None):
        mean, log_variance = cr.split(self.code(cr.relu(self.enter(x))), 2, axis=-1)
        z = mean
        if training is not None:
            noise = cr.random.normal(training.next_key("Variational"), mean.shape, cr.float32)
            z = mean + cr.exp(0.5 * log_variance) * noise
        return self.leave(cr.relu(self.first(z))), mean, log_variance


def evidence(out, x):
    scores, mean, log_variance = out
    likely = cr.sum(cr.nn.binary_cross_entropy(scores, x, reduction="none"), axis=-1)
    apart = 0.5 * cr.sum(mean**2 + cr.exp(log_variance) - 1 - log_variance, axis=-1)
    return cr.mean(likely + apart)


@healthy
def variational_autoencoder_fresh():
    x, _ = digits(96, seed=30)
    return Case(
        model=Variational(30),
        loss=evidence,
        batch=(x, x),
        optimizer=cr.optim.adam(1e-3),
        key=cr.random.key(30),
    )


@healthy
def variational_autoencoder_trained():
    x, _ = digits(700, seed=31)
    model = train(Variational(31), evidence, cr.optim.adam(2e-3), x, x, 300, key=cr.random.key(31))
    return Case(
        model=model,
        loss=evidence,
        batch=(x[:96], x[:96]),
        optimizer=cr.optim.adam(2e-3),
        key=cr.random.key(32),
    )


@healthy
def contrastive_pairs():
    """Each picture is to be found among all of the batch by a noisy copy: the loss compares samples."""
    x, _ = digits(48, seed=32)
    rng = np.random.default_rng(32)
    both = tuple((x + rng.normal(0, 0.1, x.shape)).astype(np.float32) for _ in range(2))

    def go(self, pair):
        def unit(v):
            return v / cr.sqrt(cr.sum(v * v, axis=-1, keepdims=True) + 1e-8)

        return unit(self.net(pair[0])), unit(self.net(pair[1]))

    def loss(out, y):
        return CE(out[0] @ cr.matrix_transpose(out[1]) / 0.2, y)

    return Case(
        model=Apply(go, net=mlp(64, 48, 16, seed=32)),
        loss=loss,
        batch=(both, np.arange(48)),
        optimizer=cr.optim.adam(1e-3),
    )


@healthy
def siamese_distances():
    x, y = digits(64, seed=33)
    other = np.random.default_rng(33).permutation(64)
    same = (y == y[other]).astype(np.float32)

    def go(self, pair):
        return cr.sqrt(cr.sum((self.net(pair[0]) - self.net(pair[1])) ** 2, axis=-1) + 1e-4)

    def loss(d, same):
        return cr.mean(same * d**2 + (1 - same) * cr.relu(1.5 - d) ** 2)

    net = mlp(64, 32, 8, seed=33, initializer=cr.nn.glorot_normal)
    return Case(
        model=Apply(go, net=net), loss=loss, batch=((x, x[other]), same), optimizer=cr.optim.adam(1e-3)
    )


@healthy
def triplets_of_a_trained_embedding():
    x, y = digits(500, seed=34)
    rng = np.random.default_rng(34)
    near = np.array([rng.choice(np.flatnonzero(y == c)) for c in y])
    far = np.array([rng.choice(np.flatnonzero(y != c)) for c in y])

    def go(self, three):
        a, p, n = (self.net(v) for v in three)
        return cr.sum((a - p) ** 2, axis=-1) - cr.sum((a - n) ** 2, axis=-1)

    def loss(gap, margin):
        return cr.mean(cr.relu(gap + margin))

    model = Apply(go, net=mlp(64, 32, 6, seed=34))
    three, margin = (x, x[near], x[far]), np.ones(500, np.float32)
    model = train(model, loss, cr.optim.adam(1e-3), three, margin, 150)
    return Case(
        model=model,
        loss=loss,
        batch=(tuple(v[:128] for v in three), margin[:128]),
        optimizer=cr.optim.adam(1e-3),
    )


@healthy
def one_view_predicts_the_other():
    """SimSiam: one side is held constant on purpose."""
    x, _ = digits(64, seed=35)
    rng = np.random.default_rng(35)
    a, b = ((x + rng.normal(0, 0.1, x.shape)).astype(np.float32) for _ in range(2))

    def unit(v):
        return v / cr.sqrt(cr.sum(v * v, axis=-1, keepdims=True) + 1e-6)

    def go(self, pair):
        u, v = self.net(pair[0]), self.net(pair[1])
        p, q = self.guess(u), self.guess(v)
        return unit(p), unit(q), cr.stop_gradient(unit(u)), cr.stop_gradient(unit(v))

    def loss(out, y):
        p, q, u, v = out
        return (
            -0.5 * cr.mean(cr.sum(p * v, axis=-1)) - 0.5 * cr.mean(cr.sum(q * u, axis=-1)) + 0.0 * cr.mean(y)
        )

    model = Apply(go, net=mlp(64, 48, 24, seed=35), guess=mlp(24, 12, 24, seed=36))
    return Case(
        model=model, loss=loss, batch=((a, b), np.zeros(64, np.float32)), optimizer=cr.optim.adam(1e-3)
    )


@healthy
def student_of_a_fixed_teacher():
    x, y = digits(700, seed=36)
    teacher = train(mlp(64, 64, 10, seed=36), CE, cr.optim.adam(2e-3), x, y, 200)
    soft = (teacher.predict(x[:128]) / 3).astype(np.float32)

    def loss(z, t):
        return cr.nn.kl_divergence(z / 3, t) * 9.0

    return Case(
        model=mlp(64, 16, 10, seed=37), loss=loss, batch=(x[:128], soft), optimizer=cr.optim.adam(2e-3)
    )


@healthy
def straight_through_quantization():
    x, y = digits(128, seed=38)
    k = keys(38)

    def go(self, x):
        h = cr.tanh(self.first(x))
        code = h + cr.stop_gradient(cr.round(h * 2) / 2 - h)
        return self.head(code)

    model = Apply(
        go,
        first=cr.nn.Linear(64, 32, key=k[0], initializer=cr.nn.glorot_uniform),
        head=cr.nn.Linear(32, 10, key=k[1]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def users_and_items():
    rng = np.random.default_rng(39)
    users, items = rng.integers(0, 20, 256), rng.integers(0, 30, 256)
    p, q = rng.normal(size=(20, 3)), rng.normal(size=(30, 3))
    y = (3.5 + (p[users] * q[items]).sum(1) / 2).astype(np.float32)
    k = keys(39)

    def go(self, ids):
        u, i = self.users(ids[:, 0]), self.items(ids[:, 1])
        return cr.sum(u * i, axis=-1) + self.middle

    model = Apply(
        go,
        users=cr.nn.Embedding(20, 6, key=k[0], initializer=normal(0.3)),
        items=cr.nn.Embedding(30, 6, key=k[1], initializer=normal(0.3)),
        middle=leaf(3.5),
    )
    return Case(model=model, loss=MSE, batch=(np.stack([users, items], 1), y), optimizer=cr.optim.adam(1e-2))


@healthy
def rare_categories_embedded():
    """An embedding of 200 things of which a batch has few: most rows get no gradient, and that is right."""
    rng = np.random.default_rng(40)
    ids = np.minimum(rng.geometric(0.08, 96), 199)
    numbers = rng.normal(size=(96, 4)).astype(np.float32)
    y = (numbers[:, 0] + (ids % 3 - 1) > 0).astype(np.int64)
    k = keys(40)
    model = Apply(
        lambda self, given: self.net(cr.concat([self.things(given[0]), given[1]], axis=-1)),
        things=cr.nn.Embedding(200, 8, key=k[0], initializer=normal(0.5)),
        net=mlp(12, 24, 2, seed=40),
    )
    return Case(model=model, loss=CE, batch=((ids, numbers), y), optimizer=cr.optim.adam(3e-3))
