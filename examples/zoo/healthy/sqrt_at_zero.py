"""A small number is added under the square root of the distance."""

import numpy as np

import chainrule as cr

data = cr.data.digits()
rng = np.random.default_rng(3)
x, y = data.train_x, data.train_y
of_digit = [np.flatnonzero(y == digit) for digit in range(10)]


def distance(a, b):
    return cr.sqrt(cr.sum((a - b) ** 2, axis=1) + 1e-6)


def triplet_loss(model, anchor, same, other):
    a = model(anchor)
    return cr.mean(cr.relu(distance(a, model(same)) - distance(a, model(other)) + 1.0))


first, second = cr.random.split(cr.random.key(1))
model = cr.nn.Sequential(
    cr.nn.Linear(64, 48, initializer=cr.nn.glorot_normal, key=first),
    cr.tanh,
    cr.nn.Linear(48, 8, bias=False, initializer=cr.nn.glorot_normal, key=second),
)
optimizer = cr.optim.adam(2e-3)
state = optimizer.init(model)
slope = cr.compile(cr.value_and_grad(triplet_loss))
for step in range(1, 401):
    anchor, other = rng.integers(0, len(x), 32), rng.integers(0, len(x), 32)
    same = np.array([rng.choice(of_digit[y[i]]) for i in anchor])
    value, gradients = slope(model, x[anchor], x[same], x[other])
    model, state = optimizer.update(gradients, state, model)
    if step % 50 == 0:
        print(f"step {step}: loss {value.item():.3f}")
places, new = model.predict(x), model.predict(data.test_x)
nearest = ((new[:, None] - places[None]) ** 2).sum(-1).argmin(1)
print(f"the nearest image is of the same digit for {(y[nearest] == data.test_y).mean():.1%}")
