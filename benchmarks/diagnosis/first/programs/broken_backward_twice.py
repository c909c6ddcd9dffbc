import numpy as np

import chainrule as cr

data = cr.data.digits()
x, y = data.prepared("train")
model = cr.models.mlp((64, 48, 10), cr.relu, key=cr.random.key(1))
optimizer = cr.optim.momentum(0.05)
state = optimizer.init(model)
rng = np.random.default_rng(1)

for number in range(80):
    pick = rng.choice(len(x), 64, replace=False)
    loss = cr.nn.softmax_cross_entropy(model(x[pick]), y[pick])
    loss.backward()
    size = cr.optim.global_norm(model.gradients())
    print(number, loss.item(), size.item())
    check = rng.choice(len(x), 256, replace=False)
    held = cr.nn.softmax_cross_entropy(model(x[check]), y[check])
    held.backward()
    loss.backward()
    model, state = optimizer.update(model.gradients(), state, model)
