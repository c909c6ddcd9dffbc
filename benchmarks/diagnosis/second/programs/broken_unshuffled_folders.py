import numpy as np

import chainrule as cr

data = cr.data.digits()
order = np.argsort(data.train_y, kind="stable")  # as the folders lie on the disk
x, y = data.train_x[order], data.train_y[order]
keys = cr.random.split(cr.random.key(1), 2)
model = cr.nn.Sequential(cr.nn.Linear(64, 48, key=keys[0]), cr.relu, cr.nn.Linear(48, 10, key=keys[1]))
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(3e-3))
for epoch in range(6):
    for i in range(0, 1408, 32):
        loss = step(x[i : i + 32], y[i : i + 32])
print(np.mean(np.argmax(step.model.predict(data.test_x), 1) == data.test_y))
