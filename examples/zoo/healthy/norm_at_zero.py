"""A small number is added to the length by which a vector is divided."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(5)
WORDS, TOPICS = 60, 4


def texts(n):
    topics = rng.integers(0, TOPICS, n)
    chance = np.where(np.arange(WORDS) % TOPICS == topics[:, None], 0.3, 0.05)
    counts = (rng.random((n, WORDS)) < chance).astype(np.float32)
    counts[rng.random(n) < 0.01] = 0.0
    return counts, topics


def unit(v):
    return v / (cr.linalg.vector_norm(v, axis=-1, keepdims=True) + 1e-6)


class Topics(cr.nn.Module):
    def __init__(self, key):
        words, topics = cr.random.split(key)
        self.words = cr.nn.Linear(WORDS, 16, bias=False, initializer=cr.nn.glorot_normal, key=words)
        self.topics = cr.tensor(cr.random.normal(topics, (TOPICS, 16), cr.float32), requires_grad=True)

    def __call__(self, counts):
        return 5.0 * unit(self.words(counts)) @ unit(self.topics).T


step = cr.train.compile_step(Topics(cr.random.key(0)), cr.nn.softmax_cross_entropy, cr.optim.adam(5e-3))
for number in range(1, 201):
    value = step(*texts(32))
    if number % 40 == 0:
        print(f"step {number}: loss {value.item():.3f}")
x, y = texts(400)
print(f"loss {value.item():.3f}, accuracy {(step.model.predict(x).argmax(1) == y).mean():.1%}")
