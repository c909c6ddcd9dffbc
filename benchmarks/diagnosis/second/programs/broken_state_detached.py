import numpy as np

import chainrule as cr

rng = np.random.default_rng(8)
x = 0.2 * rng.standard_normal((64, 12, 2))
x[:, 0, 0] = rng.choice([-1, 1], 64)
x, y = x.astype(np.float32), x[:, 0, :1].astype(np.float32)


class Tagger(cr.nn.Module):
    def __init__(self, key):
        a, b = cr.random.split(key)
        self.cell, self.out = (
            cr.nn.Linear(2 + 16, 16, key=a, initializer=cr.nn.glorot_uniform),
            cr.nn.Linear(16, 1, key=b),
        )

    def __call__(self, x):
        h = cr.zeros((x.shape[0], 16), dtype=cr.float32)
        for t in range(x.shape[1]):
            h = cr.tanh(self.cell(cr.concat([x[:, t], h.detach()], axis=1)))
        return self.out(h)


model = Tagger(cr.random.key(0))
step = cr.train.compile_step(model, cr.nn.mean_squared_error, cr.optim.adam(5e-3))
for i in range(150):
    loss = step(x, y)
print(loss.item())
