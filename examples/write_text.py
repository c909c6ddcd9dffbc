"""A recurrent network learns a text character by character, then writes in its manner.

python examples/write_text.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np

import chainrule as cr

LENGTH, BATCH, STEPS = 64, 32, 200

path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "conventions.md"
characters, ids = np.unique(list(path.read_text(encoding="utf-8")), return_inverse=True)
weights, order, drawing = cr.random.split(cr.random.key(0), 3)

model = cr.models.char_rnn(len(characters), 96, "lstm", key=weights)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(5e-3))
starts = cr.random.randint(order, (STEPS, BATCH, 1), 0, len(ids) - LENGTH).numpy()
loss = float("inf")
for number, start in enumerate(starts, 1):
    windows = start + np.arange(LENGTH + 1)
    loss = step(ids[windows[:, :-1]], ids[windows[:, 1:]]).item()
    if number % 50 == 0:
        print(f"step {number}: {loss / np.log(2):.2f} bits a character")
assert loss < 1.5

# The state is all that the network remembers of what it has written.
model, state = step.model, None
drawn = [int(ids[0])]
with cr.no_grad():
    for key in cr.random.split(drawing, 400):
        scores, state = model.run(np.array([[drawn[-1]]]), state)
        shares = cr.softmax(scores[0, 0]).numpy().cumsum()
        drawn.append(min(int(np.searchsorted(shares, cr.random.uniform(key).item())), len(shares) - 1))
print("".join(characters[drawn]))
