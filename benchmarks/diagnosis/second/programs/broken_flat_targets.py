import numpy as np

import chainrule as cr

rng = np.random.default_rng(5)
x = rng.standard_normal((300, 4)).astype(np.float32)
y = (np.sin(x[:, 0]) + x[:, 1] * 0.5).astype(np.float32)
keys = cr.random.split(cr.random.key(1), 2)
model = cr.nn.Sequential(cr.nn.Linear(4, 32, key=keys[0]), cr.tanh, cr.nn.Linear(32, 1, key=keys[1]))
opt = cr.optim.adam(5e-3)
state = opt.init(model)
for i in range(150):
    b = slice((i * 50) % 300, (i * 50) % 300 + 50)
    value, g = cr.value_and_grad(lambda m: cr.mean(cr.square(m(x[b]) - y[b])))(model)
    model, state = opt.update(g, state, model)
print(value.item())
