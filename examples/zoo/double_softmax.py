"""A convolutional classifier trains slowly, and its loss does not get below 1.46, however many digits are right."""

import chainrule as cr

data = cr.data.digits().as_images()
keys = cr.random.split(cr.random.key(2), 3)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 12, 3, padding="same", key=keys[0]),
    cr.relu,
    cr.nn.MaxPool2d(2),
    cr.nn.Flatten(),
    cr.nn.Linear(192, 10, initializer=cr.nn.lecun_normal, key=keys[1]),
    cr.softmax,
)


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 3 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.3f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 15, "batch_size": 64, "key": keys[2], "on_event": show}
finished = cr.train.fit(model, data, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1), **settings)
print(f"test loss {finished.test_loss:.3f}, test accuracy {finished.test_accuracy:.1%}")
