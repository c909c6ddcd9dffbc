"""The hidden layer has an activation."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(16)
radius, angle = rng.uniform(0, 1, 500), rng.uniform(0, 2 * np.pi, 500)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32) * 2
outside = (radius > 0.5).astype(np.float32)[:, None]


class Net(cr.nn.Module):
    def __init__(self, key):
        first, second = cr.random.split(key)
        self.hidden = cr.nn.Linear(2, 32, key=first)
        self.head = cr.nn.Linear(32, 1, initializer=cr.nn.lecun_normal, key=second)

    def __call__(self, x):
        h = cr.tanh(self.hidden(x))
        return self.head(h)


model = Net(cr.random.key(1))
optimizer = cr.optim.adam(2e-2)
state = optimizer.init(model)
for epoch in range(1, 31):
    for x, y in cr.data.batches(points, outside, 50, cr.random.key(epoch)):
        loss = cr.nn.binary_cross_entropy(model(x), y)
        loss.backward()
        model, state = optimizer.update(model.gradients(), state, model)
    if epoch % 6 == 0:
        print(f"epoch {epoch}: loss {loss.item():.3f}")
right = (model.predict(points) > 0) == (outside > 0)
print(f"loss {loss.item():.3f}, accuracy {right.mean():.1%}")
