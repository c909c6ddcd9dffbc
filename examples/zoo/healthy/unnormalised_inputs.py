"""The features are standardized."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(15)
n = 800
age, income, debts = rng.uniform(20, 70, n), rng.lognormal(10.5, 0.5, n), rng.lognormal(8, 1, n)
used, late = rng.beta(2, 5, n), rng.beta(1, 8, n)
risk = 8 * (used - 0.3) + 15 * (late - 0.1) - 0.05 * (age - 45) - np.log(income / 36000)
x = np.stack([age, income, debts, used, late], 1).astype(np.float32)
data = cr.data.Dataset.from_arrays(x, (risk > 0).astype(np.int64)).standardized()
weights, order = cr.random.split(cr.random.key(0))
model = cr.models.mlp((5, 24, 2), cr.relu, key=weights)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 5 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 30, "batch_size": 32, "key": order, "on_event": show}
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, cr.optim.adam(3e-3), **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
