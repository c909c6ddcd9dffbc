"""The loss printed is small from the first step on, and falls so slowly that after twenty epochs nearly half of
the digits are misread.
"""

import chainrule as cr


class Net(cr.nn.Module):
    def __init__(self, key):
        first, second = cr.random.split(key)
        self.conv = cr.nn.Conv2d(1, 8, 3, padding="same", key=first)
        self.head = cr.nn.Linear(128, 10, key=second)

    def __call__(self, x):
        y = cr.max_pool2d(cr.relu(self.conv(x)), 2)
        return self.head(y.reshape((len(x), 128)))


def loss(scores, labels):
    return cr.nn.softmax_cross_entropy(scores, labels) / len(labels)


data = cr.data.digits().as_images()
weights, order = cr.random.split(cr.random.key(1))


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 5 == 0:
        print(f"epoch {event.epoch}: loss {event.train_loss:.4f}, accuracy {event.valid_accuracy:.1%}")


settings = {"epochs": 20, "batch_size": 64, "key": order, "on_event": show}
finished = cr.train.fit(Net(weights), data, loss, cr.optim.gradient_descent(0.2), **settings)
print(f"test accuracy {finished.test_accuracy:.1%}")
