"""Optimizers: from gradients to better parameters, as pure functions.

``init`` gives the state of a fresh optimizer, ``update`` new parameters and a new state; nothing is changed
in place::

    optimizer = cr.optim.adam(1e-3)
    state = optimizer.init(params)
    gradients = cr.grad(loss)(params, x, y)
    params, state = optimizer.update(gradients, state, params)

``params`` may be anything nested: a module, dictionaries, lists, tuples, one tensor. The state does not
depend on the hyperparameters, so the next update may come from an optimizer with another learning rate.

In the formulas p is a parameter, g the gradient of the loss for it, t counts the updates from 1; what an
optimizer keeps starts at zero, and all operations are elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from chainrule import habits, trees
from chainrule.errors import ArgumentError, DTypeError, ShapeError, StructureError
from chainrule.modes import on_bare_values, recording
from chainrule.node import Node, as_node, holding, leaf
from chainrule.shapes import FLOATS, DType, float64, int64

State: TypeAlias = "dict[str, Any]"
"""``updates``, their number so far, and for each quantity that is kept one tensor for each path."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimizer:
    """A pair of pure functions, ``init`` and ``update``; made by :func:`adam` and its like.

    Attributes:
        name: such as ``"adam"``.
        settings: hyperparameters by name.
        kept: names of the quantities kept for each parameter.
        formula: ``(t, parameter, gradient, *kept) -> (parameter, *kept)`` in operators and functions of
            NumPy, hence for arrays and for tensors that are only traced.

    Example:
        >>> optimizer = gradient_descent(0.1)
        >>> params = {"x": cr.tensor(3.0, requires_grad=True)}
        >>> state = optimizer.init(params)
        >>> for _ in range(100):
        ...     gradients = cr.grad(lambda params: (params["x"] - 1) ** 2)(params)
        ...     params, state = optimizer.update(gradients, state, params)
        >>> round(params["x"].item(), 6)
        1.0
    """

    name: str
    settings: dict[str, float]
    kept: tuple[str, ...]
    formula: Callable[..., tuple[Any, ...]] = field(repr=False)

    def init(self, params: Any) -> State:
        """The state before the first update.

        Args:
            params: floating tensors or arrays, nested as you like.

        Raises:
            ArgumentError: there are no parameters.
            StructureError: one tensor is in two places, or two places have the same path.
            DTypeError: a parameter is not floating.
        """
        leaves, paths = trees.leaves(params), trees.paths(params)
        _require_distinct(self.name, leaves, paths)
        nodes = [_floating(self.name, value, path) for value, path in zip(leaves, paths, strict=True)]
        zeros = {
            kept: {path: leaf(np.zeros(p.shape, p.dtype)) for path, p in zip(paths, nodes, strict=True)}
            for kept in self.kept
        }
        return {"updates": leaf(0, dtype=int64), **zeros}

    def update(self, gradients: Any, state: State, params: Any) -> tuple[Any, State]:
        """One step. Nothing is recorded, and nothing is changed in place.

        Args:
            gradients: ∂loss/∂p for each parameter, nested and shaped as ``params``.
            state: from ``init`` or the last ``update``.
            params: the parameters.

        Returns:
            ``(params, state)`` after the step. Parameters keep dtype and name, and are leaves that require
            a gradient if they did before.

        Raises:
            StructureError: ``gradients`` or ``state`` do not belong to ``params``.
            ShapeError: a gradient has another shape than its parameter.
            DTypeError: a parameter or a gradient is not floating.
        """
        leaves, structure = trees.flatten(params)
        kept = self._columns(state, params, len(leaves))
        given = trees.aligned_leaves(structure, gradients)
        nodes, gradient_nodes = [as_node(p) for p in leaves], [as_node(g) for g in given]
        for i, (p, g) in enumerate(zip(nodes, gradient_nodes, strict=True)):
            if p.shape != g.shape or p.dtype not in FLOATS or g.dtype not in FLOATS:
                raise _misfit(self.name, trees.paths(params)[i], p, g)
        rows = list(zip(nodes, gradient_nodes, *(map(as_node, c.values()) for c in kept), strict=True))
        if self.kept and any(node.shape != row[0].shape for row in rows for node in row[2:]):
            raise self._foreign("arrays of other shapes than the parameters")
        updates, moved = self._apply(as_node(state["updates"]), rows)
        fresh = {
            name: dict(zip(column, (row[i] for row in moved), strict=True))
            for i, (name, column) in enumerate(zip(self.kept, kept, strict=True), start=1)
        }
        return trees.unflatten(structure, [row[0] for row in moved]), {"updates": updates, **fresh}

    def _columns(self, state: State, params: Any, count: int) -> list[dict[str, Any]]:
        names = {"updates", *self.kept}
        if not isinstance(state, dict) or set(state) != names:  # pyright: ignore[reportUnnecessaryIsInstance]
            got = sorted(state) if isinstance(state, dict) else type(state).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._foreign(f"{got} where {sorted(names)} are expected")
        columns = [state[kept] for kept in self.kept]
        if any(len(column) != count for column in columns):
            raise self._foreign(f"{len(columns[0])} parameters where there are {count}")
        paths = trees.paths(params) if columns else []
        known = set(paths)
        for column in columns:
            strange = next((path for path in column if path not in known), None)
            if strange is not None:
                raise self._foreign(f"{strange!r}, which is no parameter")
        return [{path: column[path] for path in paths} for column in columns]

    def _foreign(self, what: str) -> StructureError:
        return StructureError(
            f"{self.name}: the state does not belong to these parameters: it holds {what}",
            fix="make it for them, state = optimizer.init(params); update takes (gradients, state, params)",
        )

    def _apply(self, updates: Any, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, list[list[Any]]]:
        """The formula for each row of nodes: on their arrays, unless they are only traced."""
        if updates.value is None or any(node.value is None for row in rows for node in row):
            with recording(False):
                t = updates + 1
                return t, [list(self.formula(t, *row)) for row in rows]
        t = int(updates.value) + 1
        moved: list[list[Any]] = []
        for row, (new, *kept) in zip(rows, on_bare_values(self._on_arrays, t, rows), strict=True):
            p = row[0]
            parameter = holding(_of_dtype(new, p.dtype), tracked=p.tracked, name=p.name)
            moved.append([parameter, *[holding(_of_dtype(value, p.dtype)) for value in kept]])
        return holding(np.int64(t)), moved

    def _on_arrays(self, t: int, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [self.formula(t, *[node.value for node in row]) for row in rows]


def _of_dtype(value: Any, dtype: DType) -> Any:
    """``value`` in the dtype of its parameter, where a gradient of another dtype has changed it."""
    return value if value.dtype is dtype else value.astype(dtype)


def gradient_descent(learning_rate: float) -> Optimizer:
    """``p - learning_rate g``.

    Args:
        learning_rate: above 0, in units of p squared per unit of the loss.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Robbins and Monro, Annals of Mathematical Statistics 22(3), 1951, 400-407,
    DOI 10.1214/aoms/1177729586.
    """
    rate = _above_zero("gradient_descent", "learning_rate", learning_rate)

    def formula(t: Any, p: Any, g: Any) -> tuple[Any, ...]:
        return (p - rate * g,)

    return Optimizer("gradient_descent", {"learning_rate": rate}, (), formula)


def momentum(learning_rate: float, *, decay: float = 0.9) -> Optimizer:
    """``v = decay v + g``, then ``p - learning_rate v``.

    Args:
        learning_rate: above 0.
        decay: share of the velocity that stays, in [0, 1).

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Polyak, USSR Computational Mathematics and Mathematical Physics 4(5), 1964, 1-17,
    DOI 10.1016/0041-5553(64)90137-5.
    """
    rate = _above_zero("momentum", "learning_rate", learning_rate)
    mu = _share("momentum", "decay", decay)

    def formula(t: Any, p: Any, g: Any, velocity: Any) -> tuple[Any, ...]:
        velocity = mu * velocity + g
        return p - rate * velocity, velocity

    return Optimizer("momentum", {"learning_rate": rate, "decay": mu}, ("velocity",), formula)


def adagrad(learning_rate: float = 1e-2, *, epsilon: float = 1e-10) -> Optimizer:
    """``s = s + g²``, then ``p - learning_rate g / (sqrt(s) + epsilon)``.

    Args:
        learning_rate: above 0, in units of p.
        epsilon: above 0, in units of g; keeps the quotient finite where g has always been 0.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Duchi, Hazan and Singer, Journal of Machine Learning Research 12, 2011, 2121-2159.
    """
    rate = _above_zero("adagrad", "learning_rate", learning_rate)
    eps = _above_zero("adagrad", "epsilon", epsilon)

    def formula(t: Any, p: Any, g: Any, square: Any) -> tuple[Any, ...]:
        square = square + g * g
        return p - rate * g / (np.sqrt(square) + eps), square

    return Optimizer("adagrad", {"learning_rate": rate, "epsilon": eps}, ("square",), formula)


def rmsprop(learning_rate: float = 1e-3, *, decay: float = 0.9, epsilon: float = 1e-8) -> Optimizer:
    """``s = decay s + (1 - decay) g²``, then ``p - learning_rate g / (sqrt(s) + epsilon)``.

    Args:
        learning_rate: above 0, in units of p.
        decay: share of the mean square that stays, in [0, 1).
        epsilon: above 0, in units of g.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, Coursera, 2012.
    """
    rate = _above_zero("rmsprop", "learning_rate", learning_rate)
    rho = _share("rmsprop", "decay", decay)
    eps = _above_zero("rmsprop", "epsilon", epsilon)

    def formula(t: Any, p: Any, g: Any, square: Any) -> tuple[Any, ...]:
        square = rho * square + (1 - rho) * (g * g)
        return p - rate * g / (np.sqrt(square) + eps), square

    settings = {"learning_rate": rate, "decay": rho, "epsilon": eps}
    return Optimizer("rmsprop", settings, ("square",), formula)


def adam(
    learning_rate: float = 1e-3, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Optimizer:
    """Moments ``m = beta1 m + (1 - beta1) g`` and ``s = beta2 s + (1 - beta2) g²``, which start at 0 and are
    corrected for it: ``p - learning_rate m' / (sqrt(s') + epsilon)`` with ``m' = m / (1 - beta1^t)`` and
    ``s' = s / (1 - beta2^t)``.

    Args:
        learning_rate: above 0, in units of p; no step is much larger.
        beta1, beta2: shares of the moments that stay, in [0, 1).
        epsilon: above 0, in units of g.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Kingma and Ba, ICLR 2015, DOI 10.48550/arXiv.1412.6980.
    """
    rate = _above_zero("adam", "learning_rate", learning_rate)
    b1, b2 = _share("adam", "beta1", beta1), _share("adam", "beta2", beta2)
    eps = _above_zero("adam", "epsilon", epsilon)

    def formula(t: Any, p: Any, g: Any, mean: Any, square: Any) -> tuple[Any, ...]:
        mean = b1 * mean + (1 - b1) * g
        square = b2 * square + (1 - b2) * (g * g)
        # The order of section 2 of the paper: no division by 1 - beta2^t for each parameter.
        share = _unbiased(b2, t)
        root = math.sqrt(share) if isinstance(share, float) else np.sqrt(share)
        steps = _like(p, rate * root / _unbiased(b1, t)) * mean
        return p - steps / (np.sqrt(square) + _like(p, eps * root)), mean, square

    settings = {"learning_rate": rate, "beta1": b1, "beta2": b2, "epsilon": eps}
    return Optimizer("adam", settings, ("mean", "square"), formula)


def _unbiased(beta: float, t: Any) -> Any:
    """``1 - beta^t``, in float64: near 1 float32 has few digits left."""
    return 1 - beta**t if isinstance(t, int) else 1 - beta ** t.astype(float64)


def _like(p: Any, number: Any) -> Any:
    """A number in the dtype of ``p``."""
    return number if isinstance(number, float) else number.astype(p.dtype)


def _above_zero(name: str, what: str, value: Any) -> float:
    number = _number(name, what, value)
    if not 0 < number < math.inf:
        raise ArgumentError(
            f"{name}: {what} must be above 0 and finite, got {value!r}", fix=f"pass {what}=0.001"
        )
    return number


def _share(name: str, what: str, value: Any) -> float:
    number = _number(name, what, value)
    if not 0 <= number < 1:
        raise ArgumentError(f"{name}: {what} must lie in [0, 1), got {value!r}", fix=f"pass {what}=0.9")
    return number


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return float(value)
    raise ArgumentError(
        f"{name}: {what} must be a number, got {type(value).__name__}",
        fix="parameters are passed to init and update, not to the optimizer",
    )


def _require_distinct(name: str, leaves: Sequence[Any], paths: Sequence[str]) -> None:
    if not leaves:
        raise ArgumentError(f"{name}: there are no parameters", fix="pass the model, or nested tensors")
    places: dict[int, str] = {}
    for value, path in zip(leaves, paths, strict=True):
        if isinstance(value, Node) and id(value) in places:
            raise StructureError(
                f"{name}: {path} is the same tensor as {places[id(value)]}; an update would part them",
                fix="keep a shared parameter in one place and use it from there",
            )
        places[id(value)] = path
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise StructureError(f"{name}: two parameters have the path {twice!r}", fix="use keys without dots")


def _floating(name: str, value: Any, path: str) -> Node:
    node = as_node(value)
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{name}: {path or 'the parameter'} is {node.spec}: expected floats",
            fix="keep what is not trained outside the parameters, or convert it to cr.float32",
        )
    return node


def _misfit(name: str, path: str, p: Node, g: Node) -> ShapeError | DTypeError:
    """The error for a parameter and a gradient that are not floats of one shape."""
    where = path or "the parameter"
    if p.dtype in FLOATS and g.dtype in FLOATS:
        return ShapeError(
            f"{name}: the gradient for {where} has shape {g.shape}, expected {p.shape}",
            fix="pass the gradients that cr.grad gives for these very parameters",
        )
    return DTypeError(
        f"{name}: {where} is {p.spec} and its gradient {g.spec}: expected floats",
        fix="keep what is not trained outside the parameters, or convert it to cr.float32",
    )


def __getattr__(name: str) -> object:
    raise habits.missing("cr.optim", name, habits.OPTIM)
