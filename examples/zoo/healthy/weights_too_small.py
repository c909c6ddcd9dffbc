"""The weights start with He's standard deviation, the default, instead of 0.001."""

import chainrule as cr

data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(13))
draw = cr.nn.he_normal
model = cr.models.mlp((64, 48, 48, 10), cr.relu, key=weights, initializer=draw)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 4 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 16, "batch_size": 64, "key": order, "on_event": show}
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1), **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
