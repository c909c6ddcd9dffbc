"""A classifier of digits hardly learns: the loss comes down to 1.8, the accuracy is poor, and the weights of
the hidden layer look as they did at the start, but for those of two units.
"""

import numpy as np

import chainrule as cr


class Net(cr.nn.Module):
    def __init__(self, key):
        first, second = cr.random.split(key)
        self.hidden = cr.nn.Linear(64, 64, key=first)
        self.hidden.bias = cr.tensor(np.full(64, -2.5, np.float32), requires_grad=True)
        self.head = cr.nn.Linear(64, 10, key=second)

    def __call__(self, x):
        return self.head(cr.relu(self.hidden(x)))


def loss(model, x, y):
    return cr.nn.softmax_cross_entropy(model(x), y)


data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(0))
model = Net(weights)
optimizer = cr.optim.momentum(0.05)
state = optimizer.init(model)
for epoch in range(1, 9):
    for x, y in cr.data.batches(data.train_x, data.train_y, 64, cr.random.fold_in(order, epoch)):
        value, gradients = cr.value_and_grad(loss)(model, x, y)
        model, state = optimizer.update(gradients, state, model)
    print(f"epoch {epoch}: loss {value.item():.3f}")
right = model.predict(data.test_x).argmax(-1) == data.test_y
print(f"test accuracy {right.mean():.1%}")
