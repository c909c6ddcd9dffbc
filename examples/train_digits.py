"""Learn to read handwritten digits in a few seconds, and look at what was learned and how.

python examples/train_digits.py
"""

import chainrule as cr

model, data, loss, optimizer, settings = cr.models.digits_classifier(seed=0)
print(model)
print(model.summary())


def show(event):
    if isinstance(event, cr.train.EpochEnded) and event.epoch % 5 == 0:
        first = event.gradients["layers.0.weight"]
        print(
            f"epoch {event.epoch:2}/{event.epochs}: training loss {event.train_loss:.4f}, "
            f"test accuracy {event.valid_accuracy:.2%}, gradient of the first weights {first:.1e}"
        )


finished = cr.train.fit(model, data, loss, optimizer, **settings, on_event=show)
print(
    f"{finished.test_accuracy:.2%} of {len(data.test_y)} test images are read correctly; rows are the truth:"
)
print("\n".join("".join(f"{n:4}" for n in row) for row in finished.confusion))

scores = finished.model.predict(data.test_x)
wrong = (scores.argmax(-1) != data.test_y).nonzero()[0][0]
print(f"test image {wrong} is a {data.test_y[wrong]}, read as {scores[wrong].argmax()}:")
for row in data.test_x[wrong].reshape(data.image_shape):
    print("".join(" .:-=+*#%@"[int(ink * 9)] * 2 for ink in row))
