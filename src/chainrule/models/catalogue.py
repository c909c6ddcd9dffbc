"""Models by name, from descriptions that can be kept in a file.

A description is plain data, such as ``{"name": "mlp", "input_shape": [64], "classes": 10, "hidden": [128]}``. It may
come from anywhere, so everything in it is checked before anything is made, and sizes are limited. A model does not know
its description: whoever builds it keeps that, with the parameters.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.errors import ArgumentError, ShapeError, shown
from chainrule.models.classifier import Classifier, as_image_shape, as_input_shape, cnn, lenet, linear
from chainrule.models.mlp import mlp
from chainrule.models.resnet import LARGE, SMALL, resnet
from chainrule.nn import Flatten, Module
from chainrule.nn.arguments import as_size
from chainrule.ops import elu, gelu, leaky_relu, relu, sigmoid, silu, tanh
from chainrule.shapes import Shape
from chainrule.tensor import Tensor

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "elu": elu,
    "gelu": gelu,
    "silu": silu,
}
"""What ``activation`` may be in a description."""

LARGEST = 2**28
"""Most weights of a model that is built from a description (1 GiB in float32)."""

_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of the models of one name.

    Attributes:
        make: ``(input_shape, classes, key=, **options) -> model``.
        weights: ``(input_shape, classes, **options)`` to about how many each large layer has.
        least: smallest height and width of images; None where an example may have any shape.
        options: a default for each further key.
    """

    make: Callable[..., Module]
    weights: Callable[..., Sequence[int]]
    least: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def _mlp(shape: Shape, classes: int, *, key: Tensor, hidden: Sequence[int], activation: str) -> Classifier:
    layers = mlp((math.prod(shape), *hidden, classes), ACTIVATIONS[activation], key=key).layers
    return Classifier("mlp", shape, *([Flatten()] if len(shape) > 1 else []), *layers)


def _mlp_weights(shape: Shape, classes: int, hidden: Sequence[int], activation: str) -> list[int]:
    sizes = (math.prod(shape), *hidden, classes)
    return [a * b for a, b in itertools.pairwise(sizes)]


def _resnet(depth: int, shape: Shape, classes: int, *, key: Tensor) -> Module:
    return resnet(depth, classes=classes, channels=shape[2], key=key)


def _resnet_weights(shape: Shape, classes: int) -> list[int]:
    return [49 * shape[2] * 64, 2048 * classes]


KINDS: dict[str, Kind] = {
    "linear": Kind(linear, lambda shape, classes: [math.prod(shape) * classes]),
    "mlp": Kind(_mlp, _mlp_weights, options={"hidden": [128], "activation": "relu"}),
    "cnn": Kind(cnn, lambda s, n: [9 * s[2] * 32, (s[0] // 4) * (s[1] // 4) * 64 * 128, 128 * n], 4),
    "lenet": Kind(lenet, lambda s, n: [25 * s[2] * 6, (s[0] // 4) * (s[1] // 4) * 16 * 120, 84 * n], 12),
    **{
        f"resnet{depth}": Kind(functools.partial(_resnet, depth), _resnet_weights, 1)
        for depth in (*SMALL, *LARGE)
    },
}

NAMES = tuple(KINDS)
"""What a description may have as its name."""


def build(description: Mapping[str, Any], *, key: Tensor) -> Module:
    """A model from its description.

    Args:
        description: what :func:`full_description` takes.
        key: for the weights.

    Returns:
        Maps ``(N, *input_shape)`` to scores ``(N, classes)``.

    Raises:
        ArgumentError, ShapeError: as for :func:`full_description`.

    Example:
        >>> model = build(
        ...     {"name": "resnet20", "input_shape": [32, 32, 3], "classes": 4}, key=cr.random.key(0)
        ... )
        >>> model(np.ones((2, 32, 32, 3), np.float32)).shape
        (2, 4)
    """
    full = full_description(description)
    name, shape, classes = (full.pop(what) for what in ("name", "input_shape", "classes"))
    return KINDS[name].make(tuple(shape), classes, key=key, **full)


def full_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description, checked, with a value for every option, so that later defaults do not change what it means.

    Args:
        description: ``name``, one of :data:`NAMES`; ``input_shape`` of one example, ``[H, W, C]`` for images or, for
            ``linear`` and ``mlp``, any other such as ``[n]``; ``classes``, the number of scores; and for ``mlp``
            ``hidden``, the sizes of its hidden layers, and ``activation``.

    Returns:
        JSON-ready.

    Raises:
        ArgumentError: a name or key that is unknown or missing, or a value that is not what it should be or too large.
        ShapeError: an ``input_shape`` that does not suit the model.

    Example:
        >>> full_description({"name": "mlp", "input_shape": [64], "classes": 10})["hidden"]
        [128]
    """
    if not isinstance(description, Mapping):
        raise ArgumentError(
            f"model: expected a description, got {shown(description)}",
            fix='pass {"name": "mlp", "input_shape": [64], "classes": 10}',
        )
    name = _known_name(description)
    kind = KINDS[name]
    known = {"name": None, "input_shape": None, "classes": None, **kind.options}
    for key in description:
        if key not in known:
            raise ArgumentError(
                f"{name}: unknown key {shown(key)} in the description", fix=_nearest(key, tuple(known))
            )
    for key in ("input_shape", "classes"):
        if key not in description:
            raise ArgumentError(
                f"{name}: the description lacks {key!r}", fix=f"its keys are {', '.join(known)}"
            )
    shape = _input_shape(name, description["input_shape"], kind.least)
    classes = as_size(name, "classes", description["classes"])
    options = {
        key: _OPTIONS[key](name, description.get(key, default)) for key, default in kind.options.items()
    }
    weights = sum(kind.weights(shape, classes, **options))
    if weights > LARGEST:
        raise ArgumentError(
            f"{name}: the model would have {shown(weights)} weights, the most is {LARGEST}",
            fix="choose smaller sizes, or build it in Python: cr.nn.Sequential(...)",
        )
    return {"name": name, "input_shape": list(shape), "classes": classes, **options}


def _known_name(description: Mapping[str, Any]) -> str:
    name = description.get("name")
    if isinstance(name, str) and name in KINDS:
        return name
    what = f"unknown name {shown(name)}" if "name" in description else "the description lacks 'name'"
    raise ArgumentError(f"model: {what}", fix=_nearest(name, NAMES))


def _nearest(wrong: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong[:100], known, n=1) if isinstance(wrong, str) else []
    return (f"did you mean {close[0]!r}? " if close else "") + f"choose from {', '.join(known)}"


def _input_shape(name: str, value: Any, least: int | None) -> Shape:
    if not isinstance(value, (list, tuple)) or len(value) > 8:
        raise ShapeError(
            f"{name}: input_shape must be a list of sizes, got {shown(value)}",
            fix='"input_shape": [28, 28, 1]',
        )
    return as_input_shape(name, value) if least is None else as_image_shape(name, value, least)


def _hidden(name: str, value: Any) -> list[int]:
    if not isinstance(value, (list, tuple)) or len(value) > _DEEPEST:
        raise ArgumentError(
            f"{name}: hidden must be a list of at most {_DEEPEST} sizes, got {shown(value)}",
            fix='"hidden": [128, 64]',
        )
    return [as_size(name, "each size of hidden", size) for size in value]


def _activation(name: str, value: Any) -> str:
    if isinstance(value, str) and value in ACTIVATIONS:
        return value
    raise ArgumentError(f"{name}: unknown activation {shown(value)}", fix=_nearest(value, tuple(ACTIVATIONS)))


_OPTIONS: dict[str, Callable[[str, Any], Any]] = {"hidden": _hidden, "activation": _activation}
