import numpy as np

import chainrule as cr

rng = np.random.default_rng(11)
x = rng.normal(size=(160, 6)).astype(np.float32)
y = (x[:, 0] - 0.5 * x[:, 1] ** 2).astype(np.float32)
params = {
    "w1": (0.4 * rng.normal(size=(6, 32))).astype(np.float32),
    "b1": np.zeros(32, np.float32),
    "w2": (0.2 * rng.normal(size=(32, 1))).astype(np.float32),
}


def objective(p, x, y):
    prediction = cr.relu(x @ p["w1"] + p["b1"]) @ p["w2"]
    return cr.mean((prediction - y) ** 2)


optimizer = cr.optim.adam(5e-3)
state = optimizer.init(params)
for number in range(150):
    value, gradients = cr.value_and_grad(objective)(params, x, y)
    params, state = optimizer.update(gradients, state, params)
    if number % 30 == 0:
        print(number, value.item())
