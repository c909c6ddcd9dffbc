"""What can be chosen for a network: one table, which the page reads too, and what is asked of each choice."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from chainrule import ops, optim
from chainrule.errors import ArgumentError, shown
from chainrule.nn import init
from chainrule.ops import relu, tanh
from chainrule.studio.networks.examples import KITS
from chainrule.studio.networks.tables import MOST_BYTES

MOST_LAYERS, WIDEST = 6, 16
OWN = "own"
"""The name of data that a person brought."""


@dataclass(frozen=True, slots=True)
class Named:
    """One of several things to choose.

    Attributes:
        title, note: for people.
        code: how a program calls it.
        make: what it is.
    """

    title: str
    note: str
    code: str
    make: Any


def _linear(z: Any) -> Any:
    return z


ACTIVATIONS: dict[str, Named] = {
    "relu": Named("relu", "max(0, z)", "cr.relu", relu),
    "tanh": Named("tanh", "from −1 to 1", "cr.tanh", tanh),
    "sigmoid": Named("sigmoid", "from 0 to 1", "cr.sigmoid", ops.sigmoid),
    "leaky_relu": Named("leaky relu", "z, or 0.01 z below 0", "cr.leaky_relu", ops.leaky_relu),
    "elu": Named("elu", "z, or eᶻ − 1 below 0", "cr.elu", ops.elu),
    "gelu": Named("gelu", "z times the share of the normal distribution below z", "cr.gelu", ops.gelu),
    "silu": Named("silu", "z·σ(z)", "cr.silu", ops.silu),
    "softplus": Named("softplus", "ln(1 + eᶻ)", "cr.softplus", ops.softplus),
    "linear": Named("none (linear)", "however many layers: one straight line", "lambda z: z", _linear),
}
OPTIMIZERS: dict[str, Named] = {
    "gradient_descent": Named("gradient descent", "w − α·g", "cr.optim.gradient_descent", optim.gradient_descent),
    "momentum": Named("momentum", "v = 0.9 v + g, w − α·v", "cr.optim.momentum", optim.momentum),
    "nesterov": Named("Nesterov", "momentum that looks ahead", "cr.optim.nesterov", optim.nesterov),
    "adagrad": Named("AdaGrad", "rate divided by the root of all squares so far", "cr.optim.adagrad", optim.adagrad),
    "rmsprop": Named("RMSProp", "rate divided by the root of recent squares", "cr.optim.rmsprop", optim.rmsprop),
    "adam": Named("Adam", "momentum and RMSProp, without bias", "cr.optim.adam", optim.adam),
}  # fmt: skip
LOSSES: dict[str, Named] = {
    "cross_entropy": Named("cross-entropy", "−ln p of the right class", "", ("classes",)),
    "squared": Named("½ (ŷ − y)²", "half the squared error", "", ("classes", "numbers")),
    "hinge": Named("hinge", "0 from a margin of 1 on the right side on", "", ("classes",)),
    "absolute": Named("|ŷ − y|", "absolute error", "", ("numbers",)),
    "huber": Named("Huber", "squared near 0, straight beyond 1", "", ("numbers",)),
}
INITS: dict[str, Named] = {
    "he_normal": Named("He", "variance 2 / inputs, for relu", "cr.nn.he_normal", init.he_normal),
    "glorot_normal": Named("Glorot", "variance 2 / (inputs + outputs)", "cr.nn.glorot_normal", init.glorot_normal),
    "lecun_normal": Named("LeCun", "variance 1 / inputs", "cr.nn.lecun_normal", init.lecun_normal),
    "orthogonal": Named("orthogonal", "keeps lengths", "cr.nn.orthogonal", init.orthogonal),
    "zeros": Named("all zero", "see why this does not work: all units of a layer stay alike", "", None),
    "article": Named("article 001", "w1 … w6 of its 2-2-1 network without biases, in numbers of chainrule's", "", None),
}  # fmt: skip
SPEEDS: dict[int, str] = {
    1: "1 a second",
    5: "5",
    30: "30",
    150: "150",
    600: "600",
    3000: "3,000",
    0: "as fast as it goes",
}
"""Updates a second; 0 for as many as fit."""
USUAL_SPEED = 30
BATCHES = (0, 1, 4, 8, 16, 32, 64, 128)
"""Usual sizes of batches; 0 is all examples."""


@dataclass(frozen=True, slots=True)
class Options:
    """All that determines a training run, besides own data."""

    data: str = "moons"
    points: int = 240
    noise: float = 0.12
    tests: float = 0.33
    layers: tuple[int, ...] = (5, 3)
    activation: str = "tanh"
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    rate: float = 0.03
    batch: int = 0
    decay: float = 0.0
    init: str = "glorot_normal"
    biases: bool = True
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Field:
    """One option: what it may be, and what is said if it is not.

    Attributes:
        title, note: for people.
        schema: JSON Schema of its values.
        named: what there is to choose, for options that are one of several.
        usual: values that the page offers.
    """

    title: str
    note: str
    schema: Mapping[str, Any]
    named: Mapping[str, Named] | None = None
    usual: Sequence[Any] = ()

    def check(self, name: str, value: Any) -> Any:
        """The value.

        Raises:
            ArgumentError: it is none of those that are possible.
        """
        return _CHECKS[self.schema["type"]](self, name, value)


def _one_of(field: Field, name: str, value: Any) -> str:
    known: Sequence[str] = field.schema["enum"]
    if isinstance(value, str) and value in known:
        return value
    close = difflib.get_close_matches(str(value), known, 1)
    raise ArgumentError(
        f"{name}: there is no {field.title} {shown(value)}",
        fix=f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}",
    )


def _number(field: Field, name: str, value: Any) -> float:
    low, high = field.schema["minimum"], field.schema["maximum"]
    whole = field.schema["type"] == "integer"
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if fits and whole and value != int(value):
        fits = False
    if not fits or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ArgumentError(
            f"{name}: the {field.title} must be {kind} from {low:g} to {high:g}, got {shown(value)}",
            fix=f"usual are {', '.join(f'{v:g}' for v in field.usual if v)}",
        )
    return int(value) if whole else float(value)


def _widths(field: Field, name: str, value: Any) -> tuple[int, ...]:
    widths = tuple(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else None
    if (
        widths is None
        or len(widths) > MOST_LAYERS
        or not all(type(n) is int and 1 <= n <= WIDEST for n in widths)
    ):
        raise ArgumentError(
            f"{name}: expected up to {MOST_LAYERS} hidden layers of 1 to {WIDEST} units, got {shown(value)}",
            fix="[5, 3] are two layers, of five units and of three; [] is none",
        )
    return widths


def _flag(field: Field, name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ArgumentError(f"{name}: expected true or false, got {shown(value)}", fix="pass true")


_CHECKS: dict[str, Callable[[Field, str, Any], Any]] = {
    "string": _one_of,
    "number": _number,
    "integer": _number,
    "array": _widths,
    "boolean": _flag,
}


def _named(title: str, note: str, named: Mapping[str, Named]) -> Field:
    return Field(title, note, {"type": "string", "enum": list(named)}, named)


_DATA = {
    **{name: Named(kit.title, kit.note, "", kit) for name, kit in KITS.items()},
    OWN: Named("own table…", "a CSV file of yours", "", None),
}
FIELDS: dict[str, Field] = {
    "data": _named("data", "what is to be learned", _DATA),
    "points": Field(
        "number of points", "of which some are for testing", {"type": "integer", "minimum": 10, "maximum": 2000},
        usual=(60, 120, 240, 400, 800),
    ),
    "noise": Field(
        "noise", "how far points stray", {"type": "number", "minimum": 0, "maximum": 0.6},
        usual=(0, 0.05, 0.12, 0.2, 0.3),
    ),
    "tests": Field(
        "share for testing", "points that are not learned from",
        {"type": "number", "minimum": 0, "maximum": 0.9}, usual=(0, 0.2, 0.33, 0.5),
    ),
    "layers": Field(
        "hidden layers", "units of each layer between inputs and output",
        {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": WIDEST}, "maxItems": MOST_LAYERS},
    ),
    "activation": _named("activation", "what each hidden unit makes of its sum z", ACTIVATIONS),
    "loss": _named("loss", "what training makes small", LOSSES),
    "optimizer": _named("optimizer", "how gradients change weights", OPTIMIZERS),
    "rate": Field(
        "learning rate", "how far each update goes", {"type": "number", "minimum": 1e-6, "maximum": 1000},
        usual=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
    ),
    "batch": Field(
        "batch", "examples in one update; 0 is all", {"type": "integer", "minimum": 0, "maximum": 2000},
        usual=BATCHES,
    ),
    "decay": Field(
        "weight decay", "how much of each weight is added to its gradient",
        {"type": "number", "minimum": 0, "maximum": 10}, usual=(0, 0.0001, 0.001, 0.01, 0.1),
    ),
    "init": _named("first weights", "what training starts from", INITS),
    "biases": Field("biases", "a number that each unit adds to its sum", {"type": "boolean"}),
    "seed": Field(
        "seed", "another one gives other points and other first weights",
        {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, usual=(0, 1, 2, 3),
    ),
}  # fmt: skip


def options_of(given: Mapping[str, Any], kind: str | None = None) -> Options:
    """Options from what was asked for; what is left out is as it suits the data.

    Args:
        given: by name.
        kind: what own data holds, classes or numbers.

    Raises:
        ArgumentError: an option is unknown or not possible, with what is.

    Example:
        >>> options_of({"data": "digits"}).layers, options_of({"layers": [4]}).layers
        ((), (4,))
    """
    for name in given:
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, 1)
            raise ArgumentError(
                f"there is no option {shown(name)}",
                fix=f"did you mean {close[0]}?" if close else f"options are {', '.join(FIELDS)}",
            )
    checked = {name: FIELDS[name].check(name, value) for name, value in given.items()}
    which = checked.get("data", Options().data)
    kit = KITS.get(which)
    usual: dict[str, Any] = dict(kit.defaults) if kit else {}
    if kind == "numbers":
        usual |= {"loss": "squared"}
    options = Options(**{**usual, **checked})
    _require_fit(options, kind or (kit.kind if kit else "classes"))
    return options


def _require_fit(options: Options, kind: str) -> None:
    """Choices that do not go together."""
    loss = LOSSES[options.loss]
    if kind not in loss.make:
        fits = ", ".join(title.title for title in LOSSES.values() if kind in title.make)
        raise ArgumentError(
            f"loss: {loss.title} is for {loss.make[0]}, and this data has {kind} to learn",
            fix=f"choose one of {fits}",
        )
    if options.init == "article" and (options.data != "article" or options.layers != (2,) or options.biases):
        raise ArgumentError(
            "first weights: those of article 001 are for its own 2-2-1 network without biases",
            fix="choose the data of article 001 with one hidden layer of 2, or other first weights",
        )


def choices() -> dict[str, Any]:
    """The table as the page reads it."""
    return {
        "fields": {
            name: {
                "title": field.title,
                "note": field.note,
                "schema": field.schema,
                "usual": list(field.usual),
                "default": _plain(getattr(_USUAL, name)),
                "named": None
                if field.named is None
                else {
                    key: {"title": one.title, "note": one.note, **_more(name, key, one)}
                    for key, one in field.named.items()
                },
            }
            for name, field in FIELDS.items()
        },
        "speeds": [{"value": value, "title": title} for value, title in SPEEDS.items()],
        "usual_speed": USUAL_SPEED,
        "most_bytes": MOST_BYTES,
    }


_USUAL = Options()


def _more(field: str, key: str, one: Named) -> dict[str, Any]:
    if field == "loss":
        return {"for": list(one.make)}
    if field != "data" or key not in KITS:
        return {}
    kit = KITS[key]
    return {
        "kind": kit.kind,
        "defaults": {name: _plain(value) for name, value in kit.defaults},
        "made": kit.make is not None,
    }
