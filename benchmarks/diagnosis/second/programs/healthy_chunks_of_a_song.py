import numpy as np

import chainrule as cr

# Truncated backpropagation through time: the state goes on from chunk to chunk, its gradient does not.
rng = np.random.default_rng(1)
t = np.arange(2000)
s = (np.sin(t / 5) + 0.5 * np.sin(t / 13) + 0.02 * rng.standard_normal(2000)).astype(np.float32)
k = cr.random.split(cr.random.key(3), 2)
model = {"cell": cr.nn.GRU(1, 16, key=k[0]), "out": cr.nn.Linear(16, 1, key=k[1])}
rows = s[:1920].reshape(8, 240)[:, :, None]
opt = cr.optim.clip_by_norm(cr.optim.adam(1e-2), 1.0)
state = opt.init(model)


def objective(m, h, x, y):
    out, h = m["cell"](x, h) if h is not None else m["cell"](x)
    return cr.mean((m["out"](out) - y) ** 2)


for epoch in range(10):
    for c in range(0, 220, 20):
        value, g = cr.value_and_grad(objective)(model, None, rows[:, c : c + 20], rows[:, c + 1 : c + 21])
        model, state = opt.update(g, state, model)
print(value.item())
