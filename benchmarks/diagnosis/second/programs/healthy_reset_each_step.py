import numpy as np

import chainrule as cr

data = cr.data.digits()
a, b = cr.random.split(cr.random.key(0))
net = cr.nn.Sequential(cr.nn.Linear(64, 40, key=a), cr.tanh, cr.nn.Linear(40, 10, key=b))
for i in range(150):
    at = np.random.default_rng(i).integers(0, len(data.train_x), 64)
    loss = cr.nn.softmax_cross_entropy(net(data.train_x[at]), data.train_y[at])
    loss.backward()
    with cr.no_grad():
        for layer in (net.layers[0], net.layers[2]):
            layer.weight = (layer.weight - 0.2 * layer.weight.grad).requires_grad_()
            layer.bias = (layer.bias - 0.2 * layer.bias.grad).requires_grad_()
print(loss.item())
