"""A classifier on top of an embedding is trained. Its loss hardly falls; the vectors of the embedding never
change.
"""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(7)
mood = rng.normal(0, 1, 300)
reviews = rng.integers(0, 300, (2400, 12))
liked = (mood[reviews].mean(1) > 0).astype(np.float32)[:, None]


class Classifier(cr.nn.Module):
    def __init__(self, key):
        first, second, third = cr.random.split(key, 3)
        self.words = cr.nn.Embedding(300, 8, key=first)
        self.hidden = cr.nn.Linear(8, 16, key=second)
        self.head = cr.nn.Linear(16, 1, key=third)

    def __call__(self, ids):
        with cr.no_grad():
            vectors = cr.mean(self.words(ids), axis=1)
        return self.head(cr.relu(self.hidden(vectors)))


model = Classifier(cr.random.key(5))
optimizer = cr.optim.adam(1e-2)
state = optimizer.init(model)
for epoch in range(1, 16):
    for ids, marks in cr.data.batches(reviews[:2000], liked[:2000], 50, cr.random.key(epoch)):
        loss = cr.nn.binary_cross_entropy(model(ids), marks)
        loss.backward()
        model, state = optimizer.update(model.gradients(), state, model)
    if epoch % 3 == 0:
        print(f"epoch {epoch}: loss {loss.item():.3f}")
right = (model.predict(reviews[2000:]) > 0) == (liked[2000:] > 0)
print(f"loss {loss.item():.3f}, accuracy on new reviews {right.mean():.1%}")
