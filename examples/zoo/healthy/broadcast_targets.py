"""The targets have the shape of the predictions, (n, 1), not (n,)."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(10)
x = rng.uniform(-1, 1, (400, 3)).astype(np.float32)
y = (np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]).astype(np.float32)
model = cr.models.mlp((3, 32, 1), cr.tanh, key=cr.random.key(4), initializer=cr.nn.glorot_normal)


def squared_error(model, x, y):
    return cr.mean((model(x) - y[:, None]) ** 2)


optimizer = cr.optim.adam(2e-2)
state = optimizer.init(model)
for epoch in range(1, 61):
    for a, b in cr.data.batches(x, y, 50, cr.random.key(epoch)):
        value, gradients = cr.value_and_grad(squared_error)(model, a, b)
        model, state = optimizer.update(gradients, state, model)
    if epoch % 10 == 0:
        print(f"epoch {epoch}: loss {value.item():.4f}")
error = np.mean((model.predict(x)[:, 0] - y) ** 2)
print(f"mean squared error {error:.4f}, variance of the targets {y.var():.4f}")
