"""The weights start at random, as is the default, not all at 0.1."""

import chainrule as cr

data = cr.data.digits()
draw = cr.nn.glorot_uniform
weights, order = cr.random.split(cr.random.key(0))
model = cr.models.mlp((64, 32, 10), cr.tanh, key=weights, initializer=draw)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 4 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 20, "batch_size": 64, "key": order}
finished = cr.train.fit(
    model, data, cr.nn.softmax_cross_entropy, cr.optim.momentum(0.05), **settings, on_event=show
)
print(f"test accuracy {finished.test_accuracy:.1%}")
