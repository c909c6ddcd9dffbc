"""The loss is computed from the scores in one piece, which needs no logarithm of a probability."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 400).astype(np.float32)
x = rng.normal(0, 1, (400, 5)).astype(np.float32) + np.float32([2, 2, -2, 1, 4]) * (labels[:, None] - 0.5)
w = cr.tensor(np.zeros(5, np.float32), requires_grad=True, name="w")
b = cr.tensor(np.float32(0.0), requires_grad=True, name="b")


def cross_entropy(scores, labels):
    return cr.nn.binary_cross_entropy(scores, labels)


for step in range(1, 301):
    loss = cross_entropy(x @ w + b, labels)
    loss.backward()
    with cr.no_grad():
        w = (w - 1.0 * w.grad).requires_grad_()
        b = (b - 1.0 * b.grad).requires_grad_()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.4f}")
print(f"loss {loss.item():.4f}")
