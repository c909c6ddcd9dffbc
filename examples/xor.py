"""XOR, which no single layer can compute, learned in two ways that give the same bits.

python examples/xor.py
"""

import numpy as np

import chainrule as cr

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)

start = cr.models.mlp((2, 8, 1), cr.tanh, key=cr.random.key(0))
optimizer = cr.optim.adam(0.05)


def loss(model, x, y):
    return cr.nn.mean_squared_error(cr.sigmoid(model(x)), y)


# Functions: a gradient is a model too, and nothing is changed in place.
model, state = start, optimizer.init(start)
for _ in range(300):
    gradients = cr.grad(loss)(model, X, Y)
    model, state = optimizer.update(gradients, state, model)

# Tensors: backward() leaves the gradients in the parameters. Updated ones start without.
other, state = start, optimizer.init(start)
for _ in range(300):
    loss(other, X, Y).backward()
    other, state = optimizer.update(other.gradients(), state, other)

for x, functional, eager in zip(X, cr.sigmoid(model(X)).tolist(), cr.sigmoid(other(X)).tolist(), strict=True):
    print(f"{x[0]:.0f} xor {x[1]:.0f} = {functional[0]:.3f}  {eager[0]:.3f}")
assert np.array_equal(model.predict(X), other.predict(X))
assert ((cr.sigmoid(model(X)).numpy() > 0.5) == (Y == 1)).all()
