"""The weight decay is 1e-4 instead of 0.5."""

import chainrule as cr

data = cr.data.digits().as_images()
weights, order = cr.random.split(cr.random.key(4))
model = cr.models.cnn((8, 8, 1), 10, key=weights)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 2 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 6, "batch_size": 64, "key": order, "on_event": show}
optimizer = cr.optim.momentum(0.02, weight_decay=1e-4)
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, optimizer, **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
