"""A pair of pure functions for each optimizer: the state of a fresh one, and one update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from chainrule import habits, trees
from chainrule.autodiff.listening import tell_of_update
from chainrule.errors import ArgumentError, DTypeError, ShapeError, StructureError
from chainrule.modes import on_bare_values, recording
from chainrule.node import Node, as_node, holding, leaf
from chainrule.optim.hyperparameters import of_dtype
from chainrule.optim.schedules import Schedule
from chainrule.optim.weight_decay import WeightDecay
from chainrule.shapes import FLOATS, int64

if TYPE_CHECKING:
    from chainrule.optim.clipping import Clipping

State: TypeAlias = "dict[str, Any]"
"""``updates``, their number so far, and for each quantity that is kept one tensor for each path."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimizer:
    """A pair of pure functions, ``init`` and ``update``; made by ``cr.optim.adam`` and its like.

    Attributes:
        name: such as ``"adam"``.
        settings: all that it was given by name, JSON-ready; see :func:`chainrule.optim.describe`.
        kept: names of the quantities kept for each parameter.
        formula: ``(t, rate, parameter, gradient, *kept) -> (parameter, *kept)`` in operators and functions of
            NumPy, hence for arrays and for tensors that are only traced.
        schedule: the learning rate for each update.
        weight_decay: what each update takes away of the parameters.
        clipping: what is done to the gradients, in this order.

    Example:
        >>> optimizer = cr.optim.gradient_descent(0.1)
        >>> params = {"x": cr.tensor(3.0, requires_grad=True)}
        >>> state = optimizer.init(params)
        >>> for _ in range(100):
        ...     gradients = cr.grad(lambda params: (params["x"] - 1) ** 2)(params)
        ...     params, state = optimizer.update(gradients, state, params)
        >>> round(params["x"].item(), 6)
        1.0
    """

    name: str
    settings: dict[str, Any]
    kept: tuple[str, ...]
    formula: Callable[..., tuple[Any, ...]] = field(repr=False)
    schedule: Schedule = field(repr=False)
    weight_decay: WeightDecay = field(repr=False)
    clipping: tuple[Clipping, ...] = field(default=(), repr=False)

    def learning_rate_at(self, update: Any) -> float:
        """The learning rate of one update, such as for a log.

        Args:
            update: how many updates were made before; ``state["updates"]`` asks for the next one.

        Raises:
            ArgumentError: ``update`` is no integer of at least 0.

        Example:
            >>> optimizer = cr.optim.adam(cr.optim.warm_up(1e-3, updates=10))
            >>> optimizer.learning_rate_at(5), optimizer.learning_rate_at(100)
            (0.0005, 0.001)
        """
        return self.schedule(update)

    def init(self, params: Any) -> State:
        """The state before the first update.

        Args:
            params: floating tensors or arrays, nested as you like.

        Raises:
            ArgumentError: there are no parameters, or a pattern of ``decays`` fits none.
            StructureError: one tensor is in two places, or two places have the same path.
            DTypeError: a parameter is not floating.
        """
        leaves, paths = trees.leaves(params), trees.paths(params)
        _require_distinct(self.name, leaves, paths)
        self.weight_decay.require_matches(self.name, paths)
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
        paths = trees.paths(params) if self.kept or self.weight_decay.needs_paths else []
        kept = self._columns(state, paths, len(leaves))
        given = trees.aligned_leaves(structure, gradients)
        nodes, gradient_nodes = [as_node(p) for p in leaves], [as_node(g) for g in given]
        for i, (p, g) in enumerate(zip(nodes, gradient_nodes, strict=True)):
            if p.shape != g.shape or p.dtype not in FLOATS or g.dtype not in FLOATS:
                raise _misfit(self.name, trees.paths(params)[i], p, g)
        rows = list(zip(nodes, gradient_nodes, *(map(as_node, c.values()) for c in kept), strict=True))
        if self.kept and any(node.shape != row[0].shape for row in rows for node in row[2:]):
            raise self._foreign("arrays of other shapes than the parameters")
        decayed = self.weight_decay.chosen(paths, len(rows))
        updates, moved = self._apply(as_node(state["updates"]), rows, decayed)
        fresh = {
            name: dict(zip(column, (row[i] for row in moved), strict=True))
            for i, (name, column) in enumerate(zip(self.kept, kept, strict=True), start=1)
        }
        after = trees.unflatten(structure, [row[0] for row in moved])
        tell_of_update(self, gradients, params, after, lambda: int(as_node(state["updates"]).value))
        return after, {"updates": updates, **fresh}

    def __getattr__(self, name: str) -> Any:
        raise habits.missing("an optimizer", name, habits.OPTIMIZER)

    def _columns(self, state: State, paths: list[str], count: int) -> list[dict[str, Any]]:
        names = {"updates", *self.kept}
        if not isinstance(state, dict) or set(state) != names:  # pyright: ignore[reportUnnecessaryIsInstance]
            got = sorted(state) if isinstance(state, dict) else type(state).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._foreign(f"{got} where {sorted(names)} are expected")
        columns = [state[kept] for kept in self.kept]
        if any(len(column) != count for column in columns):
            raise self._foreign(f"{len(columns[0])} parameters where there are {count}")
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

    def _apply(
        self, updates: Any, rows: Sequence[tuple[Any, ...]], decayed: Sequence[bool]
    ) -> tuple[Any, list[list[Any]]]:
        """The update of each row of nodes: on their arrays, unless they are only traced."""
        if updates.value is None or any(node.value is None for row in rows for node in row):
            with recording(False):
                t = updates + 1
                moved = self._moved(t, self.schedule(updates), rows, decayed)
                return t, [
                    [of_dtype(value, row[0].dtype) for value in new]
                    for row, new in zip(rows, moved, strict=True)
                ]
        made = int(updates.value)
        given = made + 1, self.schedule.after(made), rows, decayed
        results: list[list[Any]] = []
        for row, (new, *kept) in zip(rows, on_bare_values(self._on_arrays, *given), strict=True):
            p = row[0]
            parameter = holding(of_dtype(new, p.dtype), tracked=p.tracked, name=p.name)
            results.append([parameter, *[holding(of_dtype(value, p.dtype)) for value in kept]])
        return holding(np.int64(made + 1)), results

    def _on_arrays(self, t: int, rate: float, rows: Sequence[tuple[Any, ...]], decayed: Any) -> list[Any]:
        return self._moved(t, rate, [[node.value for node in row] for row in rows], decayed)

    def _moved(self, t: Any, rate: Any, rows: Sequence[Any], decayed: Sequence[bool]) -> list[Any]:
        """Clipping, weight decay and formula for each row, of arrays or of tensors."""
        if self.clipping or True in decayed:
            rows = self._prepared(rate, rows, decayed)
        return [self.formula(t, rate, *row) for row in rows]

    def _prepared(self, rate: Any, rows: Sequence[Any], decayed: Sequence[bool]) -> list[Any]:
        gradients: Sequence[Any] = [row[1] for row in rows]
        for clip in self.clipping:
            gradients = clip.applied(gradients)
        shrink = self.weight_decay.applied
        return [
            (*(shrink(rate, p, g) if decays else (p, g)), *kept)
            for (p, _, *kept), g, decays in zip(rows, gradients, decayed, strict=True)
        ]


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
