import numpy as np

import chainrule as cr


class Net(cr.nn.Module):
    def __init__(self, key):
        k = cr.random.split(key, 4)
        self.numbers = cr.nn.Linear(5, 16, key=k[0])
        self.kinds = cr.nn.Embedding(12, 8, key=k[1])
        self.join = cr.nn.Linear(16, 16, key=k[2])
        self.head = cr.nn.Linear(16, 1, key=k[3])

    def __call__(self, numbers, kinds):
        left = cr.relu(self.numbers(numbers))
        right = self.kinds(kinds)  # noqa: F841
        return self.head(cr.relu(self.join(left)))


rng = np.random.default_rng(10)
numbers = rng.normal(size=(128, 5)).astype(np.float32)
kinds = rng.integers(0, 12, 128)
y = (numbers[:, :1] + rng.normal(size=12)[kinds][:, None]).astype(np.float32)
model = Net(cr.random.key(10))
optimizer = cr.optim.adam(3e-3)
state = optimizer.init(model)
for number in range(100):
    value, gradients = cr.value_and_grad(lambda m: cr.nn.mean_squared_error(m(numbers, kinds), y))(model)
    model, state = optimizer.update(gradients, state, model)
    if number % 20 == 0:
        print(number, value.item())
