import numpy as np

import chainrule as cr

rng = np.random.default_rng(6)
x = rng.standard_normal((200, 3)).astype(np.float32)
t = (x @ np.array([1.0, -2.0, 0.5]) > 0.3).astype(np.float32)
w, c, rate = np.zeros(3, np.float32), np.float32(0), 0.1


def objective(p):
    z = x @ p[0] + p[1]
    return cr.mean(cr.softplus(z) - t * z)


for i in range(60):
    value, (gw, gc) = cr.value_and_grad(objective)((w, c))
    w, c = w + rate * gw.numpy(), c + rate * gc.numpy()
print(value.item())
