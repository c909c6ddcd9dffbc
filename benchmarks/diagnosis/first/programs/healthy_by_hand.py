import numpy as np

import chainrule as cr

rng = np.random.default_rng(13)
x = rng.normal(size=(128, 6)).astype(np.float32)
y = (np.tanh(x[:, :1]) + 0.5 * x[:, 1:2]).astype(np.float32)
layer = cr.nn.Linear(6, 24, key=cr.random.key(13), initializer=cr.nn.glorot_normal)
out = cr.nn.Linear(24, 1, key=cr.random.key(14), initializer=cr.nn.lecun_normal)
for number in range(150):
    loss = cr.mean((out(cr.tanh(layer(x))) - y) ** 2)
    loss.backward()
    with cr.no_grad():
        for part in (layer, out):
            part.weight = (part.weight - 0.05 * part.weight.grad).requires_grad_()
            part.bias = (part.bias - 0.05 * part.bias.grad).requires_grad_()
    if number % 30 == 0:
        print(number, loss.item())
