"""The learning rate is 5e-3 instead of 1e-6."""

import chainrule as cr

data = cr.data.digits().as_images()
keys = cr.random.split(cr.random.key(9), 3)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 8, 3, padding="same", key=keys[0]),
    cr.relu,
    cr.nn.MaxPool2d(2),
    cr.nn.Flatten(),
    cr.nn.Linear(128, 10, initializer=cr.nn.lecun_normal, key=keys[1]),
)


def show(event):
    if isinstance(event, cr.train.EpochEnded):
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 6, "batch_size": 64, "key": keys[2], "on_event": show}
optimizer = cr.optim.adam(5e-3)
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, optimizer, **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
