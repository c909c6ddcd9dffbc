import numpy as np

import chainrule as cr

# Gradients of four small batches are added on purpose, each divided by four.
data = cr.data.digits()
a, b = cr.random.split(cr.random.key(0))
net = cr.nn.Sequential(cr.nn.Linear(64, 40, key=a), cr.relu, cr.nn.Linear(40, 10, key=b))
opt = cr.optim.adam(3e-3)
state = opt.init(net)
order = np.random.default_rng(0).permutation(1408)
for i in range(80):
    for p in net.parameters().values():
        p.grad = None
    for k in range(4):
        at = order[(i * 64 + k * 16) % 1408 :][:16]
        loss = cr.nn.softmax_cross_entropy(net(data.train_x[at]), data.train_y[at]) / 4
        loss.backward()
    net, state = opt.update(net.gradients(), state, net)
print(4 * loss.item())
