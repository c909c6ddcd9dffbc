"""The state's first weights are orthogonal, the default, instead of small normal numbers."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(1)


def sequences(n, length=20):
    x, signals = rng.normal(0, 0.1, (n, length, 4)), rng.integers(0, 4, n)
    x[np.arange(n), 0, signals] += 1.0
    return x.astype(np.float32), signals


keys = cr.random.split(cr.random.key(4))
draw = cr.nn.orthogonal
model = cr.nn.Sequential(
    cr.nn.RNN(4, 32, returns="last", state_initializer=draw, key=keys[0]),
    cr.nn.Linear(32, 4, initializer=cr.nn.lecun_normal, key=keys[1]),
)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(2e-3))
for number in range(1, 301):
    value = step(*sequences(32))
    if number % 50 == 0:
        print(f"step {number}: loss {value.item():.3f}")
x, y = sequences(500)
print(f"accuracy on new sequences {(step.model.predict(x).argmax(-1) == y).mean():.1%}")
