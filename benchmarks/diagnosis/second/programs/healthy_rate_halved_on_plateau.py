import numpy as np

import chainrule as cr

rng = np.random.default_rng(2)
x = rng.uniform(-2, 2, (256, 2)).astype(np.float32)
y = (np.sin(2 * x[:, :1]) * x[:, 1:]).astype(np.float32)
k = cr.random.split(cr.random.key(0), 3)
model = cr.nn.Sequential(
    cr.nn.Linear(2, 48, key=k[0]),
    cr.tanh,
    cr.nn.Linear(48, 48, key=k[1]),
    cr.tanh,
    cr.nn.Linear(48, 1, key=k[2]),
)
rate, best, waited = 1e-2, np.inf, 0
state = cr.optim.adam(rate).init(model)
for i in range(300):
    value, g = cr.value_and_grad(lambda m: cr.nn.mean_squared_error(m(x), y))(model)
    model, state = cr.optim.adam(rate).update(g, state, model)
    if value.item() < best - 1e-4:
        best, waited = value.item(), 0
    else:
        waited += 1
        if waited > 15:
            rate, waited = rate / 2, 0
print(value.item(), rate)
