"""A curved surface is fitted by the largest of eight planes. The fit is that of a single plane."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(9)
x = rng.uniform(-1, 1, (400, 2)).astype(np.float32)
height = (x**2).sum(1) * 2 - 1
slopes = rng.normal(0, 0.1, (2, 8)) + np.stack([np.cos(np.arange(8)), np.sin(np.arange(8))])
planes = cr.tensor(slopes.astype(np.float32), requires_grad=True, name="planes")
offsets = cr.tensor(np.float32([0, *[-20] * 7]), requires_grad=True, name="offsets")
for step in range(1, 601):
    surface = cr.max(x @ planes + offsets, axis=1)
    loss = cr.mean((surface - height) ** 2)
    loss.backward()
    with cr.no_grad():
        planes = (planes - 0.3 * planes.grad).requires_grad_()
        offsets = (offsets - 0.3 * offsets.grad).requires_grad_()
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.4f}")
print(f"mean squared error {loss.item():.4f}, variance of the heights {height.var():.4f}")
