import numpy as np

import chainrule as cr

text = "a rose is a rose is a rose, and a thorn is a thorn is a thorn, said the gardener to the rose. " * 12
letters = sorted(set(text))
ids = np.array([letters.index(c) for c in text])
model = cr.models.char_rnn(len(letters), 32, "lstm", key=cr.random.key(17))
optimizer = cr.optim.clip_by_norm(cr.optim.adam(cr.optim.warm_up(5e-3, 10)), 1.0)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, optimizer)
rng = np.random.default_rng(17)
for number in range(60):
    windows = rng.integers(0, len(ids) - 25, (16, 1)) + np.arange(25)
    value = step(ids[windows[:, :-1]], ids[windows[:, 1:]])
    if number % 20 == 0:
        print(number, value.item())
