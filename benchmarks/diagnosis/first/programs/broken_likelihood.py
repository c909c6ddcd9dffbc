import numpy as np

import chainrule as cr

rng = np.random.default_rng(8)
x = rng.normal(size=(200, 4)).astype(np.float32) * 5
y = (x.sum(1, keepdims=True) > 0).astype(np.float32)
model = cr.models.mlp((4, 32, 1), cr.relu, key=cr.random.key(8))
optimizer = cr.optim.adam(5e-2)
state = optimizer.init(model)
for number in range(150):
    p = cr.sigmoid(model(x))
    loss = -cr.mean(y * cr.log(p) + (1 - y) * cr.log(1 - p))
    loss.backward()
    model, state = optimizer.update(model.gradients(), state, model)
    if number % 10 == 0:
        print(number, loss.item())
