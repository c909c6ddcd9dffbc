import numpy as np

import chainrule as cr

rng = np.random.default_rng(6)
x = rng.standard_normal((300, 5)).astype(np.float32)
t = (x @ np.array([1.0, -2.0, 0.5, 0, 0]) + 0.5 * rng.standard_normal(300) > 0.3).astype(np.float32)
p = {"w": np.zeros(5, np.float32), "b": np.zeros((), np.float32)}


def objective(p):
    z = x @ p["w"] + p["b"]
    return cr.mean(cr.softplus(z) - t * z) + 0.005 * cr.sum(p["w"] ** 2)


for i in range(80):
    value, g = cr.value_and_grad(objective)(p)
    p = {name: p[name] - 0.8 * g[name].numpy() for name in p}
print(value.item())
