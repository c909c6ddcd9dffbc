import numpy as np

import chainrule as cr

data = cr.data.digits()
a, b = cr.random.split(cr.random.key(0))
net = cr.nn.Sequential(cr.nn.Linear(64, 40, key=a), cr.tanh, cr.nn.Linear(40, 10, key=b))
for i in range(150):
    at = np.random.default_rng(i).integers(0, len(data.train_x), 64)
    loss = cr.nn.softmax_cross_entropy(net(data.train_x[at]), data.train_y[at])
    loss.backward()
    for layer in (net.layers[0], net.layers[2]):
        gw, gb = layer.weight.grad, layer.bias.grad
        with cr.no_grad():
            w, b = (layer.weight - 0.6 * gw).requires_grad_(), (layer.bias - 0.6 * gb).requires_grad_()
        w.grad, b.grad = gw, gb  # "keep the optimizer's state"
        layer.weight, layer.bias = w, b
print(loss.item())
