"""Each batch holds readings of several machines, so that what the norm layer looks at varies."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(14)
design = rng.normal(0, 1, (16, 6))


def measure(n):
    machine = np.repeat(np.arange(16), n)
    readings = rng.normal(0, 1, (machine.size, 4))
    wear = design[machine, 0] - design[machine, 1] * design[machine, 2] + readings @ [0.5, -0.3, 0.2, 0.1]
    return np.concatenate([design[machine], readings], 1).astype(np.float32), wear.astype(np.float32)[:, None]


x, y = measure(32)
keys = cr.random.split(cr.random.key(0), 3)
model = cr.nn.Sequential(
    cr.nn.BatchNorm(10),
    cr.nn.Linear(10, 32, key=keys[0]),
    cr.relu,
    cr.nn.Linear(32, 1, key=keys[1]),
)
step = cr.train.compile_step(model, cr.nn.mean_squared_error, cr.optim.adam(5e-3))
for epoch in range(1, 61):
    order = rng.permutation(512)
    for rows in order.reshape(-1, 32):
        value = step(x[rows], y[rows])
    if epoch % 15 == 0:
        print(f"epoch {epoch}: loss {value.item():.4f}")
new, truth = measure(32)
error = np.mean((step.model.predict(new) - truth) ** 2)
print(f"mean squared error {error:.3f} on new readings, whose variance is {truth.var():.3f}")
