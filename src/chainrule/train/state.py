"""What training changes: arrays by name, and where in the run it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import DataError, shown
from chainrule.node import as_node
from chainrule.primitive import Array
from chainrule.tensor import tensor
from chainrule.train.step import buffers_of, with_buffers

PARAMETERS, BUFFERS, OPTIMIZER = "parameters/", "buffers/", "optimizer/"


@dataclass(slots=True)
class Progress:
    """Where a run is.

    Attributes:
        epoch: the one that is going on, from 1.
        step: how many of its steps are done.
        updates: how many are done in all.
        sums: over the epoch's examples so far, of loss and metrics by name.
        examples: how many they are.
        best, best_updates: the least loss on held-out examples, and after how many updates.
        waited: epochs since it last fell by more than the tolerance.
        gradients: root mean square of each parameter's gradient in the last step of the last whole epoch, by path.
        seconds: that earlier parts of the run took.
        log_bytes: size of the log.
        first_loss: of the first step; nan before it.
        examined: after how many updates the monitor last examined the network.
        found: what it has found, by kind, and after how many updates.
    """

    epoch: int = 1
    step: int = 0
    updates: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    examples: int = 0
    best: float = math.inf
    best_updates: int = -1
    waited: int = 0
    gradients: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    log_bytes: int = 0
    first_loss: float = math.nan
    examined: int = 0
    found: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready and exact: what JSON has no number for is text."""
        return {f.name: _exact(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str) -> Progress:
        """What :meth:`to_dict` wrote.

        Args:
            where: it comes from, for messages.

        Raises:
            DataError: it did not write this.
        """
        known = {f.name for f in fields(cls)}
        document = {
            "first_loss": "nan",
            "examined": 0,
            "found": {},
            **document,
        }  # of runs before there was a monitor
        if set(document) != known:
            strange = sorted(set(document) ^ known)[0]
            raise _no_progress(where, f"{strange[:60]!r} is missing or unknown")
        return cls(**{name: _read(name, value, where) for name, value in document.items()})

    def require_within(self, steps: int, where: str) -> None:
        """Check that this can be reached in a run.

        Args:
            steps: of an epoch.
            where: it comes from, for messages.

        Raises:
            DataError: it cannot.
        """
        if self.step >= steps or self.updates != (self.epoch - 1) * steps + self.step:
            what = f"{self.updates} updates do not lead to epoch {self.epoch}, step {self.step} of {steps}"
            raise _no_progress(where, what)


_LEAST = {
    "epoch": 1,
    **dict.fromkeys(("step", "updates", "examples", "waited", "log_bytes", "examined"), 0),
    "best_updates": -1,
}
"""Of the numbers that are integers."""
_BY_NAME = ("sums", "gradients", "found")


def _read(name: str, value: Any, where: str) -> Any:
    """An entry of a progress as it was before it was written down."""
    if name in _LEAST:
        if type(value) is not int or value < _LEAST[name]:
            raise _no_progress(where, f"{name} is {shown(value)}, expected an integer from {_LEAST[name]} on")
        return value
    if (name in _BY_NAME) != isinstance(value, dict):
        raise _no_progress(where, f"{name} is {shown(value)}")
    try:
        return {key: float(item) for key, item in value.items()} if name in _BY_NAME else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _no_progress(where, f"{name} is {shown(value)}, expected numbers") from None


def _no_progress(where: str, what: str) -> DataError:
    return DataError(
        f"{where}: its progress is none: {what}", fix="use an earlier checkpoint of the same run"
    )


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def arrays_of(parts: Any) -> dict[str, Array]:
    """Model, optimizer's state and buffers as arrays by name."""
    model, state, buffers = parts
    found = {PARAMETERS + path: value for path, value in _leaves(model)}
    found |= {BUFFERS + path: value for path, value in buffers.items()}
    found |= {OPTIMIZER + path: value for path, value in _leaves(state)}
    return {name: as_node(value).array() for name, value in found.items()}


def model_from(arrays: Mapping[str, Array], model: Any, where: str) -> Any:
    """The model with the parameters and buffers among these arrays.

    Args:
        arrays: by name, as :func:`arrays_of` gives them.
        model: of the same kind.
        where: what they come from, for messages.

    Raises:
        DataError: some are missing, are too many, or have another shape or dtype.
    """
    kept = {name: value for name, value in arrays.items() if not name.startswith(OPTIMIZER)}
    expected = {PARAMETERS + path: value for path, value in _leaves(model)}
    expected |= {BUFFERS + path: value for path, value in buffers_of(model).items()}
    _require_same(kept, expected, where)
    parameters = {path: kept[PARAMETERS + path] for path, _ in _leaves(model)}
    return with_buffers(
        model.with_parameters(parameters), {path: kept[BUFFERS + path] for path in buffers_of(model)}
    )


def state_from(arrays: Mapping[str, Array], fresh: Any, where: str) -> Any:
    """The optimizer's state among these arrays, nested as a fresh one.

    Raises:
        DataError: some are missing, are too many, or have another shape or dtype.
    """
    kept = {name: value for name, value in arrays.items() if name.startswith(OPTIMIZER)}
    pairs = _leaves(fresh)
    _require_same(kept, {OPTIMIZER + path: value for path, value in pairs}, where)
    return trees.unflatten(trees.flatten(fresh)[1], [tensor(kept[OPTIMIZER + path]) for path, _ in pairs])


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    return list(zip(trees.paths(tree), trees.leaves(tree), strict=True))


def _require_same(found: Mapping[str, Array], expected: Mapping[str, Any], where: str) -> None:
    fix = "load it into the model that was trained, with the same optimizer"
    for name in sorted(set(found) ^ set(expected)):
        what = "lacks" if name in expected else "also has"
        raise DataError(f"{where} does not belong to this model: it {what} {name}", fix=fix)
    for name, value in expected.items():
        got, wanted = found[name], as_node(value).spec
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise DataError(
                f"{where} does not belong to this model: {name} is {got.dtype}{list(got.shape)}, expected {wanted}",
                fix=fix,
            )


def copied(parts: Any) -> Any:
    """The same with memory of its own."""
    leaves, structure = trees.flatten(parts)
    return trees.unflatten(structure, [tensor(np.array(as_node(leaf).array())) for leaf in leaves])
