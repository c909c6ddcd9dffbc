"""Softmax regression on pictures of very different brightness: the loss falls as it should for an epoch, then it
is nan.
"""

import numpy as np

import chainrule as cr

data = cr.data.digits()
rng = np.random.default_rng(0)
images = data.train_x * rng.lognormal(0, 1.2, (len(data.train_x), 1)).astype(np.float32)
w = cr.tensor(np.zeros((64, 10), np.float32), requires_grad=True, name="w")
b = cr.tensor(np.zeros(10, np.float32), requires_grad=True, name="b")


def loss(params, x, y):
    w, b = params
    e = cr.exp(x @ w + b)
    chances = e / cr.sum(e, axis=1, keepdims=True)
    return -cr.mean(cr.log(cr.sum(chances * np.eye(10, dtype=np.float32)[y], axis=1)))


params = [w, b]
optimizer = cr.optim.adam(2e-2)
state = optimizer.init(params)
for epoch in range(1, 11):
    for x, y in cr.data.batches(images, data.train_y, 32, cr.random.key(epoch)):
        value, gradients = cr.value_and_grad(loss)(params, x, y)
        params, state = optimizer.update(gradients, state, params)
    print(f"epoch {epoch}: loss {value.item():.3f}")
scores = (data.test_x @ params[0] + params[1]).numpy()
print(f"loss {value.item():.3f}, test accuracy {(scores.argmax(1) == data.test_y).mean():.1%}")
