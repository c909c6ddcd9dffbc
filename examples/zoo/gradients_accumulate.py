"""Gradients of four small batches are added up to one step. The loss falls at first, then swings wider and wider."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(13)
x = rng.normal(0, 1, (512, 5)).astype(np.float32)
y = np.tanh(x @ rng.normal(0, 1, (5, 1))).astype(np.float32)
model = cr.models.mlp((5, 24, 1), cr.tanh, key=cr.random.key(6), initializer=cr.nn.glorot_normal)
params = list(model.parameters().values())
totals = [np.zeros(p.shape, np.float32) for p in params]
for step in range(1, 201):
    losses = []
    for rows in rng.integers(0, len(x), (4, 16)):
        loss = cr.nn.mean_squared_error(model(x[rows]), y[rows])
        loss.backward()
        losses.append(loss.item())
        totals = [t + p.grad.numpy() / 4 for t, p in zip(totals, params, strict=True)]
        for p in params:
            p.grad = None
    changed = [p.numpy() - 0.1 * t for p, t in zip(params, totals, strict=True)]
    model = model.with_parameters(dict(zip(model.parameters(), changed, strict=True)))
    params = list(model.parameters().values())
    if step % 40 == 0:
        print(f"step {step}: loss {np.mean(losses):.4f}")
print(f"mean squared error {np.mean((model.predict(x) - y) ** 2):.4f}, variance {y.var():.4f}")
