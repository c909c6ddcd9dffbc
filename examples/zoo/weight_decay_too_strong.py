"""The loss goes to 2.30, which is ln 10, and stays: whatever the network learns in a step is gone after some more."""

import chainrule as cr

data = cr.data.digits().as_images()
keys = cr.random.split(cr.random.key(4), 4)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 8, 3, stride=2, padding="same", key=keys[0]),
    cr.relu,
    cr.nn.Flatten(),
    cr.nn.Linear(128, 32, key=keys[1]),
    cr.relu,
    cr.nn.Linear(32, 10, initializer=cr.nn.lecun_normal, key=keys[2]),
)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 2 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 8, "batch_size": 64, "key": keys[3], "on_event": show}
optimizer = cr.optim.momentum(0.02, weight_decay=0.5)
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, optimizer, **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
