"""The gradients' norm is limited to 1 instead of 1e-4."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(20)


def series(n):
    fast, phase = rng.integers(0, 2, n), rng.uniform(0, 2 * np.pi, n)
    angle = np.where(fast, 1.8, 0.6)[:, None] * np.arange(12) + phase[:, None]
    x = np.sin(angle) + rng.normal(0, 0.1, (n, 12))
    return x.astype(np.float32)[..., None], fast.astype(np.float32)[:, None]


keys = cr.random.split(cr.random.key(15))
model = cr.nn.Sequential(
    cr.nn.GRU(1, 16, returns="last", key=keys[0]),
    cr.nn.Linear(16, 1, initializer=cr.nn.lecun_normal, key=keys[1]),
)
optimizer = cr.optim.clip_by_norm(cr.optim.gradient_descent(0.3), 1.0)
step = cr.train.compile_step(model, cr.nn.binary_cross_entropy, optimizer)
for number in range(1, 301):
    value = step(*series(32))
    if number % 60 == 0:
        print(f"step {number}: loss {value.item():.4f}")
x, y = series(500)
print(f"loss {value.item():.4f}, accuracy {((step.model.predict(x) > 0) == (y > 0)).mean():.1%}")
