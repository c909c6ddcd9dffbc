"""The second score is that of the second offer."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(4)
offers = rng.normal(0, 1, (500, 6)).astype(np.float32)
worth = np.tanh(offers[:, 0] - offers[:, 1]) + 0.5 * offers[:, 2]


def pairs(n):
    i, j = rng.integers(0, 500, (2, n))
    better = worth[i] > worth[j]
    return offers[np.where(better, i, j)], offers[np.where(better, j, i)]


def ranking_loss(model, winner, loser):
    margin = model(winner) - model(loser)
    return cr.mean(cr.softplus(-margin))


first, second = cr.random.split(cr.random.key(2))
model = cr.nn.Sequential(
    cr.nn.Linear(6, 24, initializer=cr.nn.glorot_normal, key=first),
    cr.tanh,
    cr.nn.Linear(24, 1, bias=False, initializer=cr.nn.glorot_normal, key=second),
)
optimizer = cr.optim.rmsprop(3e-3)
state = optimizer.init(model)
slope = cr.compile(cr.value_and_grad(ranking_loss))
for step in range(1, 401):
    value, gradients = slope(model, *pairs(64))
    model, state = optimizer.update(gradients, state, model)
    if step % 80 == 0:
        print(f"step {step}: loss {value.item():.4f}")
winner, loser = pairs(1000)
print(f"loss {value.item():.4f}, {(model.predict(winner) > model.predict(loser)).mean():.1%} ranked right")
