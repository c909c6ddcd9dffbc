"""The hidden layers start with Glorot's weights instead of normal numbers of standard deviation 1."""

import chainrule as cr

data = cr.data.digits().standardized()
keys = cr.random.split(cr.random.key(1), 4)
draw = cr.nn.glorot_normal
model = cr.nn.Sequential(
    cr.nn.Linear(64, 128, initializer=draw, key=keys[0]),
    cr.tanh,
    cr.nn.Linear(128, 128, initializer=draw, key=keys[1]),
    cr.tanh,
    cr.nn.Linear(128, 10, initializer=cr.nn.glorot_normal, key=keys[2]),
)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 4 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


finished = cr.train.fit(
    model,
    data,
    cr.nn.softmax_cross_entropy,
    cr.optim.adam(1e-3),
    epochs=12,
    batch_size=64,
    key=keys[3],
    on_event=show,
)
print(f"test accuracy {finished.test_accuracy:.1%}")
