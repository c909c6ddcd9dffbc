"""The recurrent weights start at the identity instead of 1.3 times the identity."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
STEPS, UNITS = 30, 24


def sequences(n):
    values, marks = rng.uniform(0, 1, (n, STEPS)), rng.uniform(0, 1, (n, STEPS)) < 0.15
    return np.stack([values, marks], -1).astype(np.float32), (values * marks).sum(1).astype(np.float32)


def parameter(array):
    return cr.tensor(np.asarray(array, np.float32), requires_grad=True)


inward = parameter(rng.normal(0, 0.2, (2, UNITS)))
around = parameter(np.eye(UNITS))
bias, outward = parameter(np.zeros(UNITS)), parameter(rng.normal(0, 0.2, UNITS))
params = [inward, around, bias, outward]


def forward(params, x):
    inward, around, bias, outward = params
    h = cr.zeros((len(x), UNITS), dtype=cr.float32)
    for t in range(STEPS):
        h = cr.relu(x[:, t] @ inward + h @ around + bias)
    return h @ outward


def loss(params, x, y):
    return cr.mean((forward(params, x) - y) ** 2)


optimizer = cr.optim.adam(2e-3)
state = optimizer.init(params)
for step in range(1, 301):
    value, gradients = cr.value_and_grad(loss)(params, *sequences(32))
    params, state = optimizer.update(gradients, state, params)
    if step in (1, 2) or step % 60 == 0:
        print(f"step {step}: loss {value.item():.3g}")
x, y = sequences(200)
print(f"mean squared error {loss(params, x, y).item():.3g}, variance {y.var():.3g}")
