import numpy as np

import chainrule as cr

x, y = cr.data.digits().prepared("train")
order = np.argsort(y, kind="stable")
x, y = x[order], y[order]
model = cr.models.mlp((64, 32, 10), cr.relu, key=cr.random.key(9))
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1))
for epoch in range(3):
    total = 0.0
    for start in range(0, len(x) - 63, 64):
        total += step(x[start : start + 64], y[start : start + 64]).item()
    print(epoch, total / (len(x) // 64))
