"""Sales are forecast, and judged by the relative error. The loss is infinite in the first step and nan
afterwards.
"""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(12)
weekday, price = rng.integers(0, 7, 500), rng.uniform(-1, 1, 500)
x = np.concatenate([np.eye(7)[weekday], price[:, None]], 1).astype(np.float32)
rates = np.array([0.5, 2, 3, 3, 4, 8, 6])[weekday] * np.exp(-0.7 * price)
sold = rng.poisson(rates).astype(np.float32)[:, None]


def relative_error(output, sold):
    pieces = cr.exp(output)
    return cr.mean(cr.abs(pieces - sold) / sold)


model = cr.models.mlp((8, 16, 1), cr.tanh, key=cr.random.key(2), initializer=cr.nn.glorot_normal)
step = cr.train.compile_step(model, relative_error, cr.optim.adam(3e-3))
for epoch in range(1, 21):
    losses = [step(a, b).item() for a, b in cr.data.batches(x, sold, 50, cr.random.key(epoch))]
    if epoch % 4 == 0:
        print(f"epoch {epoch}: relative error {np.mean(losses):.3f}")
pieces = np.exp(step.model.predict(x))
print(f"mean absolute error {np.abs(pieces - sold).mean():.2f} pieces")
