import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
year = rng.integers(1950, 2023, 400)
area = rng.uniform(20, 300, 400)
income = rng.lognormal(10.4, 0.5, 400)
price = 0.01 * area + 1.2e-5 * income + 0.01 * (year - 1950) + 0.1 * rng.standard_normal(400)
x = np.stack([year, area, income], 1).astype(np.float32)
y = ((price - price.mean()) / price.std()).astype(np.float32)[:, None]
keys = cr.random.split(cr.random.key(1), 2)
params = {
    "w1": cr.nn.he_normal(keys[0], (3, 32)),
    "b1": np.zeros(32, np.float32),
    "w2": cr.nn.he_normal(keys[1], (32, 1)),
    "b2": np.zeros(1, np.float32),
}


def objective(p, x, y):
    return cr.mean((cr.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"] - y) ** 2)


optimizer = cr.optim.adam(1e-3)
state = optimizer.init(params)
for i in range(120):
    at = rng.integers(0, 400, 64)
    value, gradients = cr.value_and_grad(objective)(params, x[at], y[at])
    params, state = optimizer.update(gradients, state, params)
print(value.item())
