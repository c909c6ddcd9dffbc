import numpy as np

import chainrule as cr

rng = np.random.default_rng(2)
x = rng.normal(size=(128, 10)).astype(np.float32)
y = (np.abs(x[:, 0]) + x[:, 1] > 1).astype(np.int64)
k = cr.random.split(cr.random.key(2))
params = {
    "w1": cr.nn.he_normal(k[0], (10, 64)),
    "b1": np.zeros(64, np.float32),
    "w2": cr.nn.he_normal(k[1], (64, 2)),
    "b2": np.zeros(2, np.float32),
}


def loss(p):
    return cr.nn.softmax_cross_entropy(cr.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"], y)


slope = cr.value_and_grad(loss)
for number in range(100):
    value, gradients = slope(params)
    params = {name: params[name] - 8.0 * gradients[name] for name in params}
    if number % 10 == 0:
        print(number, value.item())
