import numpy as np

import chainrule as cr

t = np.linspace(0, 5, 100, dtype=np.float32)
y = (2.0 * np.exp(-0.7 * t) + 0.3).astype(np.float32) + 0.02 * np.random.default_rng(16).normal(
    size=100
).astype(np.float32)
params = {"height": np.float32(1.0), "rate": np.float32(0.3), "floor": np.float32(0.0)}


def misfit(p):
    return cr.mean((p["height"] * cr.exp(-p["rate"] * t) + p["floor"] - y) ** 2)


slope = cr.compile(cr.value_and_grad(misfit))
optimizer = cr.optim.adam(3e-2)
state = optimizer.init(params)
for number in range(300):
    value, gradients = slope(params)
    params, state = optimizer.update(gradients, state, params)
print(
    value.item(),
    {name: float(np.asarray(p)) if isinstance(p, np.generic) else p.item() for name, p in params.items()},
)
