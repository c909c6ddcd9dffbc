"""While it is trained this network is nearly perfect. Asked about the same digits afterwards, it misreads
half of them.
"""

import numpy as np

import chainrule as cr

data = cr.data.digits().as_images()
keys = cr.random.split(cr.random.key(12), 4)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 8, 3, padding="same", bias=False, key=keys[0]),
    cr.nn.BatchNorm(8),
    cr.relu,
    cr.nn.Conv2d(8, 16, 3, stride=2, bias=False, key=keys[1]),
    cr.nn.BatchNorm(16),
    cr.relu,
    cr.nn.Flatten(),
    cr.nn.Linear(144, 10, key=keys[2]),
)


def objective(model, x, y):
    training = cr.nn.Training()
    scores = model(x, training)
    return cr.nn.softmax_cross_entropy(scores, y), training.buffers_of(model)


optimizer = cr.optim.momentum(0.03)
state = optimizer.init(model)
images, labels = data.prepared("train")
for epoch in range(1, 6):
    for x, y in cr.data.batches(images, labels, 64, cr.random.fold_in(keys[3], epoch)):
        (value, _), gradients = cr.value_and_grad(objective, has_aux=True)(model, x, y)
        model, state = optimizer.update(gradients, state, model)
    print(f"epoch {epoch}: loss {value.item():.3f}")
for part in ("train", "test"):
    x, y = data.prepared(part)
    print(f"{part} accuracy {np.mean(model.predict(x).argmax(-1) == y):.1%}")
