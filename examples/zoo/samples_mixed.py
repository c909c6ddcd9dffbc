"""A convolutional network made by hand does not get beyond the accuracy of guessing."""

import numpy as np

import chainrule as cr

data = cr.data.digits().as_images()
images, labels = data.prepared("train")
keys = cr.random.split(cr.random.key(7), 3)
params = {
    "kernel": cr.tensor(cr.nn.he_normal(keys[0], (3, 3, 1, 8)), requires_grad=True),
    "weight": cr.tensor(cr.nn.lecun_normal(keys[1], (128, 10)), requires_grad=True),
    "bias": cr.tensor(np.zeros(10, np.float32), requires_grad=True),
}


def scores(p, x):
    features = cr.max_pool2d(cr.relu(cr.conv2d(x, p["kernel"], padding="same")), 2)
    rows = features.reshape((128, -1)).T
    return rows @ p["weight"] + p["bias"]


def loss(p, x, y):
    return cr.nn.softmax_cross_entropy(scores(p, x), y)


optimizer = cr.optim.adagrad(0.05)
state = optimizer.init(params)
slope = cr.compile(cr.value_and_grad(loss))
for epoch in range(1, 13):
    for x, y in cr.data.batches(images, labels, 64, cr.random.fold_in(keys[2], epoch)):
        value, gradients = slope(params, x, y)
        params, state = optimizer.update(gradients, state, params)
    if epoch % 3 == 0:
        print(f"epoch {epoch}: loss {value.item():.3f}")
x, y = data.prepared("test")
print(f"test accuracy {(scores(params, x).numpy().argmax(1) == y).mean():.1%}")
