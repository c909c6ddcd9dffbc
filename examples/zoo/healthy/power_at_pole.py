"""A small constant keeps black pixels off the power's pole at 0."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(2)
scene = np.clip(rng.normal(0.4, 0.3, (16, 16, 3)), 0, 1).astype(np.float32)
true_gain = np.array([1.3, 0.8, 1.1], np.float32)
photo = (true_gain * scene) ** 0.45 + rng.normal(0, 0.01, scene.shape).astype(np.float32)

gain = cr.tensor(np.ones(3, np.float32), requires_grad=True, name="gain")
for step in range(1, 61):
    developed = (gain * scene + 1e-5) ** 0.45
    loss = cr.mean((developed - photo) ** 2)
    loss.backward()
    with cr.no_grad():
        gain = (gain - 2.0 * gain.grad).requires_grad_()
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.5f}")
print(f"loss {loss.item():.5f}, gain {np.round(gain.numpy(), 2)}, truth {true_gain}")
