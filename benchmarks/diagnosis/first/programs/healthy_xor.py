import numpy as np

import chainrule as cr

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)
model = cr.models.mlp((2, 8, 1), cr.tanh, key=cr.random.key(0))
optimizer = cr.optim.adam(0.05)
state = optimizer.init(model)
for _ in range(200):
    value, gradients = cr.value_and_grad(lambda m: cr.nn.binary_cross_entropy(m(X), Y))(model)
    model, state = optimizer.update(gradients, state, model)
print(value.item(), cr.sigmoid(model(X)).tolist())
