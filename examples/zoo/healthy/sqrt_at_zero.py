"""The amplitude of a line is the root of its intensity and a little more: its derivative stays finite at 0."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(5)
truth = np.maximum(rng.normal(1.0, 1.5, 24), 0.0)
line = np.repeat(np.arange(24), 40)
measured = (np.sqrt(truth)[line] + rng.normal(0, 0.1, line.size)).astype(np.float32)
intensity = cr.tensor(np.ones(24, np.float32), requires_grad=True, name="intensity")
for step in range(1, 201):
    amplitude = cr.sqrt(intensity + 0.01)
    loss = cr.mean((amplitude[line] - measured) ** 2)
    loss.backward()
    with cr.no_grad():
        intensity = cr.maximum(intensity - 8.0 * intensity.grad, 0.0).requires_grad_()
    if step % 40 == 0:
        print(f"step {step}: loss {loss.item():.4f}")
error = np.abs(np.sqrt(intensity.numpy()) - np.sqrt(truth)).mean()
print(f"mean error of the amplitudes {error:.3f}")
