"""The loss of a linear prediction rises from step to step, by about the same factor, until it is astronomic."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(1)
t = np.arange(400)
signal = np.sin(t / 5) + 0.5 * np.sin(t / 3) + rng.normal(0, 0.1, 400)
x = np.stack([signal[i : i + 390] for i in range(8)], 1).astype(np.float32)
y = signal[8:398].astype(np.float32)
rate = 0.3
w = cr.tensor(np.zeros(8, np.float32), requires_grad=True, name="w")
for step in range(1, 61):
    loss = cr.mean((x @ w - y) ** 2)
    loss.backward()
    with cr.no_grad():
        w = (w - rate * w.grad).requires_grad_()
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.4g}")
print(f"mean squared error {loss.item():.4g}, variance of the signal {y.var():.4g}")
