import numpy as np

import chainrule as cr

x, y = cr.data.digits().prepared("train")
model = cr.models.mlp((64, 48, 10), cr.relu, key=cr.random.key(12))
optimizer = cr.optim.momentum(0.05)
state = optimizer.init(model)
rng = np.random.default_rng(12)
for number in range(80):
    pick = rng.choice(len(x), 64, replace=False)
    loss = cr.nn.softmax_cross_entropy(model(x[pick]), y[pick])
    loss.backward()
    model, state = optimizer.update(model.gradients(), state, model)
    if number % 20 == 0:
        with cr.no_grad():
            print(number, loss.item(), (model(x).numpy().argmax(1) == y).mean())
