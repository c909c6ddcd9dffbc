"""The learning rate is 3e-3 instead of 1e-6."""

import chainrule as cr

data = cr.data.digits().as_images()
weights, order = cr.random.split(cr.random.key(9))
model = cr.models.cnn((8, 8, 1), 10, key=weights)


def show(event):
    if isinstance(event, cr.train.EpochEnded):
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 6, "batch_size": 64, "key": order, "on_event": show}
optimizer = cr.optim.adam(3e-3)
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, optimizer, **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
