"""Visitors a day are to be predicted, whole numbers. The loss is the same in every step, to the last digit."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(3)
x = rng.normal(0, 1, (300, 4)).astype(np.float32)
visitors = np.round(20 + x @ np.float32([3, -2, 0.5, 4]) + rng.normal(0, 0.5, 300)).astype(np.float32)
params = {
    "w": cr.tensor(np.zeros(4, np.float32), requires_grad=True),
    "b": cr.tensor(np.float32(15.0), requires_grad=True),
}


def loss(p):
    predicted = cr.round(x @ p["w"] + p["b"])
    return cr.mean((predicted - visitors) ** 2)


optimizer = cr.optim.gradient_descent(0.1)
state = optimizer.init(params)
for step in range(1, 101):
    value, gradients = cr.value_and_grad(loss)(params)
    params, state = optimizer.update(gradients, state, params)
    if step % 20 == 0:
        print(f"step {step}: loss {value.item():.3f}")
print(f"mean squared error {loss(params).item():.3f}")
