"""The vectors of the positions are added to those of the symbols."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(2)
LENGTH = 10


def sequences(n):
    x = rng.integers(2, 8, (n, LENGTH))
    places = np.stack([rng.permutation(LENGTH)[:2] for _ in range(n)])
    x[np.arange(n), places[:, 0]], x[np.arange(n), places[:, 1]] = 0, 1
    return x, (places[:, 0] < places[:, 1]).astype(np.int64)


class Order(cr.nn.Module):
    def __init__(self, key):
        keys = cr.random.split(key, 5)
        self.symbols = cr.nn.Embedding(8, 32, key=keys[0])
        self.positions = cr.nn.Embedding(LENGTH, 32, key=keys[1])
        self.attention = cr.nn.MultiHeadAttention(32, 4, key=keys[2])
        self.hidden = cr.nn.Linear(32, 64, key=keys[3])
        self.head = cr.nn.Linear(64, 2, initializer=cr.nn.lecun_normal, key=keys[4])

    def __call__(self, ids):
        x = self.symbols(ids) + self.positions.weight
        x = x + self.attention(x)
        return self.head(cr.mean(cr.relu(self.hidden(x)), axis=1))


step = cr.train.compile_step(Order(cr.random.key(0)), cr.nn.softmax_cross_entropy, cr.optim.adam(3e-3))
for number in range(1, 301):
    value = step(*sequences(32))
    if number % 60 == 0:
        print(f"step {number}: loss {value.item():.3f}")
x, y = sequences(500)
print(f"accuracy {(step.model.predict(x).argmax(1) == y).mean():.1%}")
