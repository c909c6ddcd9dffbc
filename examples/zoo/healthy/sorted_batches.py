"""The batches are drawn in a random order."""

import numpy as np

import chainrule as cr

data = cr.data.digits()
rows = np.argsort(data.train_y, kind="stable")  # as in the file
images, labels = data.train_x[rows], data.train_y[rows]
weights, order = cr.random.split(cr.random.key(3))
model = cr.models.mlp((64, 64, 10), cr.relu, key=weights)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.momentum(0.01))
for epoch in range(1, 6):
    for x, y in cr.data.batches(images, labels, 16, cr.random.fold_in(order, epoch)):
        value = step(x, y)
        if epoch == 3 and step.updates % 3 == 0:
            print(f"epoch {epoch}, step {step.updates}: loss {value.item():.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"test accuracy {right.mean():.1%}")
