import numpy as np

import chainrule as cr

rng = np.random.default_rng(9)
counts = rng.poisson(3.0, (200, 10)).astype(np.float32)
y = np.log1p(counts.sum(1, keepdims=True)).astype(np.float32)


class Net(cr.nn.Module):
    def __init__(self, key):
        a, b = cr.random.split(key)
        self.a, self.b = cr.nn.Linear(10, 24, key=a), cr.nn.Linear(24, 1, key=b)

    def __call__(self, x):
        return self.b(cr.tanh(self.a(cr.log(x))))


model, opt = Net(cr.random.key(0)), cr.optim.adam(1e-2)
state = opt.init(model)
for i in range(40):
    value, g = cr.value_and_grad(lambda m: cr.nn.mean_squared_error(m(counts), y))(model)
    model, state = opt.update(g, state, model)
print(value.item())
