"""The error itself is not clipped; Huber's loss bounds the gradient of large errors instead."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
GAMMA, ROOMS = 0.9, 12
reward = np.zeros((ROOMS, 2), np.float32)
reward[ROOMS - 2, 1] = 10.0


def play(n):
    room, action = rng.integers(0, ROOMS - 1, n), rng.integers(0, 2, n)
    arrived = np.clip(room + 2 * action - 1, 0, ROOMS - 1)
    return np.eye(ROOMS, dtype=np.float32)[room], action, reward[room, action], arrived


def loss(q, room, action, target):
    value = cr.sum(q(room) * cr.one_hot(action, 2, cr.float32), axis=1)
    return cr.nn.huber(value, target)


q = cr.models.mlp((ROOMS, 32, 2), cr.relu, key=cr.random.key(1))
optimizer = cr.optim.adam(5e-3)
state = optimizer.init(q)
slope = cr.compile(cr.value_and_grad(loss))
for step in range(1, 1201):
    if step % 40 == 1:
        later = q.predict(np.eye(ROOMS, dtype=np.float32)).max(1)
        later[-1] = 0.0
    room, action, gained, arrived = play(64)
    value, gradients = slope(q, room, action, gained + np.float32(GAMMA) * later[arrived])
    q, state = optimizer.update(gradients, state, q)
    if step % 200 == 0:
        print(f"step {step}: loss {value.item():.4f}")
truth = 10.0 * GAMMA ** np.arange(ROOMS - 2, -1, -1)
values = q.predict(np.eye(ROOMS, dtype=np.float32)[:-1]).max(1)
print(f"mean error of the values {np.abs(values - truth).mean():.2f}")
