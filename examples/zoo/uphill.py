"""The loss rises with every step, first slowly, then fast, with each learning rate that is tried."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(17)
x = rng.normal(0, 1, (200, 3)).astype(np.float32)
y = x @ np.float32([1.5, -2.0, 0.5]) + 3.0 + rng.normal(0, 0.1, 200).astype(np.float32)
w = cr.tensor(np.zeros(3, np.float32), requires_grad=True, name="w")
b = cr.tensor(np.float32(0.0), requires_grad=True, name="b")
for step in range(1, 51):
    loss = cr.nn.mean_squared_error(x @ w + b, y)
    loss.backward()
    with cr.no_grad():
        w = (w + 0.05 * w.grad).requires_grad_()
        b = (b + 0.05 * b.grad).requires_grad_()
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.4g}")
print(f"mean squared error {loss.item():.4g}, w {np.round(w.numpy(), 2)}, b {b.item():.2f}")
