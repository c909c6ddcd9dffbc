"""A network handed on: as a program of chainrule with its data beside it."""

from __future__ import annotations

import csv
import io
from typing import Any

from chainrule.explain.numbers import counted
from chainrule.nn import Sequential
from chainrule.studio.networks.building import Setting, linears
from chainrule.studio.networks.choices import ACTIVATIONS, FIELDS, OPTIMIZERS

TABLE = "network.csv"

_READ = """\
with open({table!r}, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
x = np.array([[float(row[name]) for name in FEATURES] for row in rows])
"""
_BODY = '''
tests = np.array([row["part"] == "test" for row in rows])
train_x, train_y = x[~tests], targets[~tests]


def network(weights):
    """The network with these weights: a pair of weights and biases for each layer."""
    layers = []
    for (w, b), f in zip(weights, ACTIVATIONS, strict=True):
        rows, columns = np.shape(w)
        layer = cr.nn.Linear(rows, columns, key=cr.random.key(0), bias=b is not None, dtype=cr.float64)
        layer.weight = cr.tensor(np.array(w), requires_grad=True, name="weight")
        if b is not None:
            layer.bias = cr.tensor(np.array(b), requires_grad=True, name="bias")
        layers += [layer] if f is None else [layer, f]
    return cr.nn.Sequential(*layers)


def batches(epoch):
    """The batches of an epoch, from 0, in the order of the seed."""
    if SIZE >= len(train_x):
        return [(train_x, train_y)]
    key = cr.random.fold_in(cr.random.fold_in(cr.random.key(SEED), 3), epoch)
    return list(cr.data.batches(train_x, train_y, SIZE, key))


def train(updates):
    """The same updates as in the studio, from the first weights."""
    step = cr.train.compile_step(network(FIRST), loss, optimizer, threads=1)
    per_epoch = len(batches(0))
    for epoch in range(-(-updates // per_epoch)):
        for x, y in batches(epoch)[: updates - epoch * per_epoch]:
            step(x, y)
    return step.model


if __name__ == "__main__":
    model = network(WEIGHTS)
    print("loss", loss(model(train_x), train_y).item())
    again = train(UPDATES)
    print("loss after the same training", loss(again(train_x), train_y).item())
'''


def program(setting: Setting, model: Sequential, update: int) -> str:
    """A program that has the network as it is, and trains it again to the same bits; its data is `table`."""
    options, examples = setting.options, setting.examples
    layers = "-".join(map(str, setting.sizes))
    chosen = ", ".join(
        f"{FIELDS[name].title} {value}"
        for name, value in options.to_dict().items()
        if name not in ("data", "layers")
    )
    lines = [
        f'"""A network of chainrule studio: {layers} after {counted(update, "update")}. {TABLE} is beside this file.',
        "",
        *_wrapped(f"Chosen were {chosen}."),
        '"""',
        "",
        "import csv",
        "",
        "import numpy as np",
        "",
        "import chainrule as cr",
        "",
        f"FEATURES = {list(examples.features)!r}",
        f"ANSWER = {_answer(setting)!r}",
        f"SEED, SIZE, UPDATES = {options.seed}, {setting.batch_size}, {update}",
        f"ACTIVATIONS = [{', '.join('None' if f == 'linear' else ACTIVATIONS[f].code for f in setting.activations)}]",
        f"FIRST = {_weights(setting.model())}",
        f"WEIGHTS = {_weights(model)}",
        f"loss = cr.nn.{setting.objective.code}",
        f"optimizer = {OPTIMIZERS[options.optimizer].code}({options.rate!r}, weight_decay={options.decay!r})",
        "",
        _READ.format(table=TABLE).rstrip(),
    ]
    if examples.mean is not None and examples.deviation is not None:
        lines.append(
            f"x = (x - np.array({examples.mean.tolist()})) / np.array({examples.deviation.tolist()})"
        )
    return "\n".join([*lines, *_targets(setting)]) + _BODY


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > 110:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _weights(model: Sequential) -> str:
    """Weights and biases of every layer, in full precision."""
    pairs: list[Any] = []
    for layer in linears(model):
        pairs.append(
            (layer.weight.numpy().tolist(), None if layer.bias is None else layer.bias.numpy().tolist())
        )
    return "[" + "".join(f"\n    ({w!r}, {b!r})," for w, b in pairs) + "\n]"


def _answer(setting: Setting) -> str:
    """A name of its own for the column of answers."""
    name = setting.examples.target
    return name if name not in (*setting.examples.features, "part") else f"{name} (answer)"


def _targets(setting: Setting) -> list[str]:
    """What the loss compares with."""
    examples, objective = setting.examples, setting.objective
    if examples.kind == "numbers":
        lines = ["targets = np.array([[float(row[ANSWER])] for row in rows])"]
        if (examples.level, examples.size) != (0.0, 1.0):
            lines.append(f"targets = (targets - {examples.level!r}) / {examples.size!r}")
        return lines
    lines = [
        f"CLASSES = {list(examples.classes)!r}",
        "targets = np.array([CLASSES.index(row[ANSWER]) for row in rows])",
    ]
    if objective.outputs == 1:
        lines.append("targets = targets.astype(np.float64)[:, None]")
    if objective.code == "hinge":
        lines.append("targets = 2 * targets - 1")
    if objective.outputs > 1 and objective.code == "half_squared_error":
        lines.append("targets = np.eye(len(CLASSES))[targets]")
    return lines


def table(setting: Setting) -> str:
    """The examples as CSV: inputs as they were given, the answer, and whether it is for training or testing."""
    examples = setting.examples
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*examples.features, _answer(setting), "part"])
    numbers = examples.kind == "numbers"
    for x, y, test in zip(examples.given.tolist(), examples.y.tolist(), examples.tests.tolist(), strict=True):
        answer: str = repr(y * examples.size + examples.level) if numbers else examples.classes[int(y)]
        writer.writerow([*map(repr, x), answer, "test" if test else "train"])
    return text.getvalue()
