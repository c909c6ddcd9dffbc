"""The loss stays at 2.30, which is ln 10, as if nothing were learned; after very many epochs it would begin to fall."""

import functools

import chainrule as cr

data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(13))
draw = functools.partial(cr.random.normal, std=0.001)
model = cr.models.mlp((64, 48, 48, 10), cr.relu, key=weights, initializer=draw)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 4 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 16, "batch_size": 64, "key": order, "on_event": show}
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1), **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
