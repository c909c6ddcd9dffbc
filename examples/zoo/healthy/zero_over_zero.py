"""The ratio has a small constant in its denominator."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(8)
red, infrared = rng.uniform(0, 1, (2, 300)).astype(np.float32)
night = rng.random(300) < 0.05
red[night] = infrared[night] = 0.0
cover = (0.2 + 0.7 * (infrared - 0.8 * red) / (infrared + 0.8 * red + 1e-3)).astype(np.float32)
cover += rng.normal(0, 0.01, 300).astype(np.float32)

params = {name: cr.tensor(np.float32(1.0), requires_grad=True) for name in ("gain", "slope", "offset")}


def predict(p):
    light = p["gain"] * red
    index = (infrared - light) / (infrared + light + 1e-3)
    return p["offset"] + p["slope"] * index


optimizer = cr.optim.momentum(0.05)
state = optimizer.init(params)
for step in range(1, 301):
    value, gradients = cr.value_and_grad(lambda p: cr.nn.mean_squared_error(predict(p), cover))(params)
    params, state = optimizer.update(gradients, state, params)
    if step % 60 == 0:
        print(f"step {step}: loss {value.item():.5f}")
print(
    f"mean squared error {value.item():.5f}, " + ", ".join(f"{k} {v.item():.2f}" for k, v in params.items())
)
