import numpy as np

import chainrule as cr

rng = np.random.default_rng(3)
data = cr.data.digits()
x, y = data.train_x.copy(), data.train_y.copy()
rng.shuffle(x)
rng.shuffle(y)
keys = cr.random.split(cr.random.key(1), 2)
net = cr.nn.Sequential(cr.nn.Linear(64, 64, key=keys[0]), cr.relu, cr.nn.Linear(64, 10, key=keys[1]))
step = cr.train.compile_step(net, cr.nn.softmax_cross_entropy, cr.optim.adam(1e-3))
for epoch in range(8):
    for i in range(0, 1408, 64):
        loss = step(x[i : i + 64], y[i : i + 64])
print(loss.item())
