"""A transmitter's place is fitted to measured distances. The loss is smooth and the gradient right, and yet the
place does not move at all.
"""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(19)
FLOAT = np.float32
origin, transmitter = np.array([4_468_000.0, 5_333_000.0]), np.array([4_468_013.0, 5_332_982.0])
stations = (origin + rng.uniform(-300, 300, (40, 2))).astype(FLOAT)
measured = np.hypot(*(stations - transmitter).T).astype(FLOAT)

place = cr.tensor(origin.astype(FLOAT), requires_grad=True, name="place")
optimizer = cr.optim.adam(0.1)
state = optimizer.init(place)


def loss(place):
    distance = cr.sqrt(cr.sum((stations - place) ** 2, axis=1))
    return cr.mean((distance - measured) ** 2)


for step in range(1, 501):
    value, gradient = cr.value_and_grad(loss)(place)
    place, state = optimizer.update(gradient, state, place)
    if step % 100 == 0:
        print(f"step {step}: loss {value.item():.4f}")
print(f"{np.hypot(*(place.numpy() - transmitter)):.2f} m off")
