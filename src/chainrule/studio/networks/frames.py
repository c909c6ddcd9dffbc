"""One picture of a network in training: everything that the page draws, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.explain.numbers import json_number
from chainrule.nn import Sequential
from chainrule.primitive import Array
from chainrule.studio.networks.building import Setting, linears, passed
from chainrule.studio.networks.descent import Measured, in_words
from chainrule.studio.networks.examples import bounds
from chainrule.studio.networks.inspecting import Sample, inspected
from chainrule.studio.networks.schema import FORMAT, VERSION
from chainrule.studio.networks.training import View

GRID, SMALL, SMALLER, MANY = 84, 3, 4, 50
"""Points of the surface along each axis; each unit's picture has every third of them, of many units every fourth."""
CURVE = 160
"""Points of a curve over one input."""
MOST_WRONG = 24
SATURATED = 0.999


def frame_of(setting: Setting, view: View) -> dict[str, Any]:
    """The frame of a view.

    Example:
        >>> from chainrule.studio.networks.choices import options_of
        >>> from chainrule.studio.networks.examples import examples_of
        >>> from chainrule.studio.networks.training import Training
        >>> options = options_of({"layers": [2]})
        >>> examples = examples_of("moons", 20, 0.1, 0.5, 0)
        >>> frame = Training(Setting.of(options, examples), frame_of).frame()
        >>> frame["kind"], frame["sizes"], len(frame["sample"]["layers"])
        ('network', [2, 2, 1], 2)
    """
    sample = Sample(setting, view.shot.model, view.selection.point)
    after, at = of_update(setting, view), of_point(setting, sample)
    pairs = zip(after["weights"], at["gradients"], strict=True)
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": "network",
        "number": view.version,
        "sizes": setting.sizes,
        "activations": setting.activations,
        **after,
        "losses": losses_of(view),
        "sample": at["sample"],
        "weights": [{**weights, **gradients} for weights, gradients in pairs],
        "selected": inspected(sample, view.selection),
    }


def of_update(setting: Setting, view: View) -> dict[str, Any]:
    """The part of a frame that depends on the update alone."""
    model = view.shot.model
    return {
        "status": _status(setting, view),
        "pictures": _pictures(setting, model),
        "states": _states(setting, model),
        "weights": [
            {
                "w": _numbers(layer.weight.numpy()),
                "b": None if layer.bias is None else _numbers(layer.bias.numpy()),
            }
            for layer in linears(model)
        ],
        "moved": _numbers(view.shot.moved),
    }


def of_point(setting: Setting, sample: Sample) -> dict[str, Any]:
    """The part of a frame that depends on the example too: what it is, and the gradients of its loss."""
    return {
        "sample": _sample(setting, sample),
        "gradients": [
            {"gw": _numbers(to_weights), "gb": None if to_biases is None else _numbers(to_biases)}
            for to_weights, to_biases in sample.gradients()
        ],
    }


def _numbers(values: Any) -> Any:
    """Nested lists of numbers, of which JSON has names for those that are not finite."""
    array = np.asarray(values, np.float64)
    if np.isfinite(array).all():
        return array.tolist()
    if array.ndim == 0:
        return json_number(float(array))
    return [_numbers(part) for part in array]


def _bytes(values: Array) -> str:
    """Numbers from −1 to 1 as bytes from 0 to 255, in base64."""
    scaled = np.nan_to_num(np.clip(values, -1, 1), nan=0.0)
    return base64.b64encode(np.rint((scaled + 1) * 127.5).astype(np.uint8).tobytes()).decode("ascii")


def _fine_bytes(values: Array) -> str:
    """Numbers from −1 to 1 as whole numbers of 16 bits, in base64: a border between two halves stays a smooth line."""
    scaled = np.nan_to_num(np.clip(values, -1, 1), nan=0.0)
    return base64.b64encode(np.rint(scaled * 32767).astype("<i2").tobytes()).decode("ascii")


def _status(setting: Setting, view: View) -> dict[str, Any]:
    status, problem = view.status, view.status.problem
    return {
        "running": status.running,
        "speed": status.speed,
        "goal": status.goal,
        "problem": None if problem is None else {"message": problem[0], "fix": problem[1]},
        "update": view.shot.update,
        "epoch": view.shot.update / setting.per_epoch,
        "said": in_words(setting, view.shot.update),
        "per_epoch": setting.per_epoch,
        "furthest": view.known.furthest,
        "moments": list(view.known.moments),
        "now": _measured(view.now),
        "examples": {"train": len(setting.train[0]), "test": len(setting.test[0])},
    }


def _measured(m: Measured) -> dict[str, Any]:
    return {
        "train": json_number(m.train),
        "test": None if m.test is None else json_number(m.test),
        "train_right": m.train_right,
        "test_right": m.test_right,
    }


def losses_of(view: View) -> dict[str, Any]:
    """The part of a frame that is the same wherever training is rewound to."""

    def column(values: Sequence[float | None]) -> list[Any]:
        return [None if v is None else _short(v) for v in values]

    measured = [view.known.measured[k] for k in view.known.measured]
    return {
        "updates": list(view.known.measured),
        "train": column([m.train for m in measured]),
        "test": column([m.test for m in measured]),
        "train_right": [m.train_right for m in measured],
        "test_right": [m.test_right for m in measured],
    }


def _short(value: float) -> float | str:
    """Enough digits for a curve."""
    found = json_number(value)
    return float(f"{found:.6g}") if isinstance(found, float) else found


def _pictures(setting: Setting, model: Sequential) -> dict[str, Any]:
    """What the network and each of its units compute over the inputs."""
    if setting.examples.picture is not None:
        return _templates(setting, model)
    if setting.sizes[0] == 1:
        return _curve(setting, model)
    (low, high), (bottom, top) = bounds(setting.examples)
    across, up = np.linspace(low, high, GRID), np.linspace(top, bottom, GRID)
    x = np.stack([np.tile(across, GRID), np.repeat(up, GRID)], 1)
    layers = passed(model, x)
    every = SMALLER if sum(setting.sizes) > MANY else SMALL
    maps, sizes = zip(*(_maps(layer, setting, i, every) for i, layer in enumerate(layers)), strict=True)
    return {
        "kind": "plane",
        "bounds": [[low, high], [bottom, top]],
        "grid": GRID,
        "small": -(-GRID // every),
        "surface": _surface(setting, layers[-1]),
        "units": list(maps),
        "scales": [_numbers(size) for size in sizes],
    }


def _maps(layer: Array, setting: Setting, i: int, every: int) -> tuple[list[str], Array]:
    """The picture of each unit, and by what its numbers are divided."""
    if i == len(setting.sizes) - 1 and setting.sizes[-1] == 1:
        layer = setting.objective.shares(layer)[:, None] if setting.examples.kind == "classes" else layer
    size = np.abs(layer).max(0)
    size = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    if 0 < i < len(setting.sizes) - 1 and setting.activations[i - 1] in ("tanh", "sigmoid"):
        size = np.ones_like(size)
    square = (layer / size).reshape(GRID, GRID, -1)[::every, ::every]
    return [_bytes(square[:, :, unit]) for unit in range(square.shape[2])], size


def _surface(setting: Setting, outputs: Array) -> dict[str, Any]:
    shares = setting.objective.shares(outputs)
    if shares.ndim == 1:
        if setting.examples.kind == "numbers":
            size = float(np.abs(setting.examples.y).max()) or 1.0
            return {"values": _fine_bytes(shares / size), "scale": size}
        return {"values": _fine_bytes(shares), "scale": 1.0}
    chosen = setting.objective.chosen(outputs)
    sure = shares.max(-1)
    return {
        "classes": base64.b64encode(chosen.astype(np.uint8).tobytes()).decode("ascii"),
        "values": _fine_bytes(sure),
        "scale": 1.0,
    }


def _curve(setting: Setting, model: Sequential) -> dict[str, Any]:
    ((low, high),) = bounds(setting.examples)
    x = np.linspace(low, high, CURVE)[:, None]
    layers = passed(model, x)
    y = setting.examples.y
    edge = 0.15 * float(y.max() - y.min() or 1.0)
    return {
        "kind": "curve",
        "bounds": [[low, high], [float(y.min()) - edge, float(y.max()) + edge]],
        "x": _numbers(x[:, 0]),
        "y": [_short(v) for v in layers[-1][:, 0].tolist()],
        "units": [[_row(layer[:, unit]) for unit in range(layer.shape[1])] for layer in layers],
    }


def _row(values: Array) -> dict[str, Any]:
    size = float(np.nan_to_num(np.abs(values).max())) or 1.0
    return {"scale": size, "values": _bytes(values[::4] / size)}


def _templates(setting: Setting, model: Sequential) -> dict[str, Any]:
    """Weights of the first layer as pictures are in the weights; which test images are read wrongly."""
    x, y, _ = setting.test
    outputs = passed(model, x)[-1]
    first = len(setting.train[0])
    wrong = np.flatnonzero(setting.objective.chosen(outputs) != y)
    return {
        "kind": "picture",
        "shape": list(setting.examples.picture or ()),
        "wrong": [first + int(i) for i in wrong[:MOST_WRONG]],
        "wrong_count": len(wrong),
    }


def _states(setting: Setting, model: Sequential) -> list[list[str]]:
    """Units that no example of the training part gets a gradient through: ``dead`` relus, ``saturated`` others."""
    layers = passed(model, setting.train[0])[1:-1]
    return [
        [_state(setting.activations[i], a[:, u]) for u in range(a.shape[1])] for i, a in enumerate(layers)
    ]


def _state(activation: str, a: Array) -> str:
    if activation == "relu" and len(a) > 1 and not a.any():
        return "dead"
    if activation == "tanh" and len(a) > 1 and (np.abs(a) > SATURATED).all():
        return "saturated"
    if activation == "sigmoid" and len(a) > 1 and (np.abs(2 * a - 1) > SATURATED).all():
        return "saturated"
    return ""


def _sample(setting: Setting, sample: Sample) -> dict[str, Any]:
    examples, point = setting.examples, sample.point
    outputs = sample.rows[-1]["a"][None]
    word, said = setting.objective.said(outputs)
    y = examples.y[point]
    known = examples.kind == "classes"
    chosen = setting.objective.chosen(outputs)[0]
    return {
        "point": point,
        "test": bool(examples.tests[point]),
        "x": _numbers(sample.x),
        "given": _numbers(examples.given[point]),
        "y": examples.classes[int(y)] if known else json_number(float(y)),
        "target": _numbers(setting.objective.targets(examples.y[point : point + 1])[0]),
        "chosen": examples.classes[int(chosen)] if known else None,
        "right": bool(chosen == y) if known else None,
        "output": {"name": word, "values": _numbers(said[0])},
        "loss": json_number(sample.loss),
        "gradient": _numbers(sample.to_input),
        "layers": [{key: _numbers(values) for key, values in row.items()} for row in sample.rows],
    }
