"""Gradients of four small batches are added on purpose, each a quarter of the loss, before one update."""

import numpy as np

import chainrule as cr

x, y = cr.data.digits().prepared("train")
model = cr.models.mlp((64, 64, 10), cr.gelu, key=cr.random.key(15))
optimizer = cr.optim.adam(2e-3)
state = optimizer.init(model)
rng = np.random.default_rng(15)
for number in range(40):
    total = 0.0
    for _ in range(4):
        pick = rng.choice(len(x), 32, replace=False)
        loss = cr.nn.softmax_cross_entropy(model(x[pick]), y[pick]) / 4
        loss.backward()
        total += loss.item()
    model, state = optimizer.update(model.gradients(), state, model)
    if number % 10 == 0:
        print(number, total)
