"""The first loss of a deep network is in the thousands. It falls for a long time and never gets near 0."""

import functools

import chainrule as cr

data = cr.data.digits()
keys = cr.random.split(cr.random.key(3), 12)
draw = functools.partial(cr.random.normal, std=0.5)
layers = []
for i in range(9):
    layers += [cr.nn.Linear(64, 64, initializer=draw, key=keys[i]), cr.relu]
model = cr.nn.Sequential(*layers, cr.nn.Linear(64, 10, initializer=cr.nn.lecun_normal, key=keys[10]))
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(5e-4))
for epoch in range(1, 17):
    for x, y in cr.data.batches(data.train_x, data.train_y, 64, cr.random.fold_in(keys[11], epoch)):
        value = step(x, y).item()
        if step.updates in (1, 10, 100):
            print(f"step {step.updates}: loss {value:.3f}")
final = cr.nn.softmax_cross_entropy(step.model(data.test_x), data.test_y).item()
print(f"test loss {final:.3f}")
