"""The network ends with its weighted sums: no sigmoid holds them between 0 and 1."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(11)
taste, film = rng.normal(0, 1, (2, 600, 3))
stars = np.clip(np.round(3 + (taste * film).sum(1) * 0.8 + rng.normal(0, 0.3, 600)), 1, 5)
x = np.concatenate([taste, film, taste * film], 1).astype(np.float32)
data = cr.data.Dataset.from_arrays(x, stars.astype(np.float32)[:, None])
first, second, order = cr.random.split(cr.random.key(3), 3)
model = cr.nn.Sequential(
    cr.nn.Linear(9, 24, key=first),
    cr.relu,
    cr.nn.Linear(24, 1, initializer=cr.nn.lecun_normal, key=second),
)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 10 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}")


settings = {"epochs": 40, "batch_size": 40, "key": order, "on_event": show}
finished = cr.train.fit(model, data, cr.nn.mean_squared_error, cr.optim.adam(1e-2), **settings)
print(f"mean squared error on new ratings {finished.test_loss:.3f}")
