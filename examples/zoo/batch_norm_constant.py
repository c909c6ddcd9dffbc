"""Yields of a chemical plant are predicted from four sensors that matter and forty that stand still. Training ends
with an error near 0; on new data it is many times as large.
"""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(14)


def measure(n):
    moving, still = rng.normal(0, 1, (n, 4)), 0.3 + 1e-3 * rng.normal(0, 1, (n, 40))
    target = moving @ [1.0, -0.5, 0.8, 0.3] + 0.5 * moving[:, 0] * moving[:, 1]
    return np.concatenate([moving, still], 1).astype(np.float32), target.astype(np.float32)[:, None]


x, y = measure(120)
keys = cr.random.split(cr.random.key(0), 3)
model = cr.nn.Sequential(
    cr.nn.BatchNorm(44, epsilon=1e-8),
    cr.nn.Linear(44, 32, key=keys[0]),
    cr.relu,
    cr.nn.Linear(32, 1, key=keys[1]),
)
step = cr.train.compile_step(model, cr.nn.mean_squared_error, cr.optim.adam(5e-3))
for epoch in range(1, 101):
    for a, b in cr.data.batches(x, y, 40, cr.random.fold_in(keys[2], epoch)):
        value = step(a, b)
    if epoch % 20 == 0:
        print(f"epoch {epoch}: loss {value.item():.4f}")
new, truth = measure(500)
error = np.mean((step.model.predict(new) - truth) ** 2)
print(f"mean squared error on new data {error:.3f}, variance {truth.var():.3f}")
