import numpy as np

import chainrule as cr

data = cr.data.digits().as_images()
x, y = data.prepared("train")
k = cr.random.split(cr.random.key(5), 3)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 8, 3, key=k[0]),
    cr.relu,
    cr.nn.MaxPool2d(2),
    cr.nn.Flatten(),
    cr.nn.Linear(72, 10, key=k[1]),
)


def loss(scores, labels):
    return cr.nn.softmax_cross_entropy(scores, labels, reduction="sum")


step = cr.train.compile_step(model, loss, cr.optim.gradient_descent(0.1))
rng = np.random.default_rng(5)
for number in range(60):
    pick = rng.choice(len(x), 128, replace=False)
    value = step(x[pick], y[pick])
    if number % 10 == 0:
        print(number, value.item())
