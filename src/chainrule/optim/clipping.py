"""Gradients that are made smaller before an optimizer sees them, all together or number by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.errors import ArgumentError, DTypeError, OperandError
from chainrule.node import as_node
from chainrule.optim import hyperparameters as hyper
from chainrule.optim.optimizer import Optimizer
from chainrule.shapes import FLOATS, as_above_zero, float64


@dataclass(frozen=True, slots=True)
class Clipping:
    """What is done to all gradients before the update.

    Attributes:
        by: ``"norm"`` or ``"value"``.
        limit: above 0, in units of the gradients.
    """

    by: str
    limit: float

    def applied(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients, arrays or traced tensors, of the dtypes that they had."""
        if self.by == "value":
            return [np.clip(g, -self.limit, self.limit) for g in gradients]
        norm = _norm(gradients)
        # An infinite norm would divide everything else down to 0, and the update would look harmless.
        factor = np.where(norm < np.inf, self.limit / np.maximum(norm, self.limit), np.nan)
        return [hyper.beside(g, factor) * g for g in gradients]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"by": self.by, "limit": self.limit}


def clip_by_norm(optimizer: Optimizer, limit: float) -> Optimizer:
    """An optimizer for gradients whose norm, that of all parameters together, is at most ``limit``.

    With n the Euclidean norm of all gradients as one vector, each g becomes ``g limit / n`` where n is above
    ``limit``. Squares are added in float64, so gradients of float32 never overflow. If n is infinite or nan, as a
    gradient is, all parameters become nan: the update shows it.

    Args:
        optimizer: from ``cr.optim``; if it clips already, that comes after.
        limit: above 0, in units of the gradients.

    Returns:
        The same optimizer but for the clipping; states fit both.

    Raises:
        ArgumentError, OperandError: an argument is not what it should be.

    Example:
        >>> optimizer = clip_by_norm(cr.optim.gradient_descent(1.0), 5.0)
        >>> params = {"a": 0.0, "b": 0.0}
        >>> params, state = optimizer.update({"a": 6.0, "b": 8.0}, optimizer.init(params), params)
        >>> print(params["a"], params["b"])
        tensor(-3.0) tensor(-4.0)

    Source: Pascanu, Mikolov and Bengio, ICML 2013, PMLR 28(3), 1310-1318, algorithm 1.
    """
    return _clipped("clip_by_norm", optimizer, "norm", limit)


def clip_by_value(optimizer: Optimizer, limit: float) -> Optimizer:
    """An optimizer for gradients each number of which is moved into [-limit, limit]; nan stays nan.

    Args:
        optimizer: from ``cr.optim``; if it clips already, that comes after.
        limit: above 0, in units of the gradients.

    Returns:
        The same optimizer but for the clipping; states fit both.

    Raises:
        ArgumentError, OperandError: an argument is not what it should be.

    Example:
        >>> optimizer = clip_by_value(cr.optim.gradient_descent(1.0), 0.5)
        >>> params, _ = optimizer.update([3.0, -0.1], optimizer.init([0.0, 0.0]), [0.0, 0.0])
        >>> print(*params)
        tensor(-0.5) tensor(0.1)

    Source: Mikolov, Statistical Language Models Based on Neural Networks, Brno University of Technology, 2012,
    section 3.2.2.
    """
    return _clipped("clip_by_value", optimizer, "value", limit)


def global_norm(gradients: Any) -> Any:
    """The Euclidean norm of all gradients as one vector, which :func:`clip_by_norm` limits.

    Args:
        gradients: floating tensors or arrays, nested as you like.

    Returns:
        A tensor of shape () and dtype float64.

    Raises:
        ArgumentError: there are no gradients.
        DTypeError: a gradient is not floating.

    Example:
        >>> global_norm({"a": 3.0, "b": [4.0]}).item()
        5.0
    """
    leaves = [as_node(g) for g in trees.leaves(gradients)]
    if not leaves:
        raise ArgumentError("global_norm: there are no gradients", fix="pass what cr.grad gives")
    for i, g in enumerate(leaves):
        if g.dtype not in FLOATS:
            where = trees.paths(gradients)[i] or "the gradient"
            raise DTypeError(
                f"global_norm: {where} is {g.spec}: expected floats", fix="pass what cr.grad gives"
            )
    return _norm(leaves)


def _norm(gradients: Sequence[Any]) -> Any:
    wide = [hyper.of_dtype(g, float64) for g in gradients]
    total = (wide[0] * wide[0]).sum()
    for g in wide[1:]:
        total = total + (g * g).sum()
    return np.sqrt(total)


def _clipped(name: str, optimizer: Any, by: str, limit: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise OperandError(
            f"{name}: expected an optimizer, got {type(optimizer).__name__}",
            fix=f"wrap the optimizer, which then clips in each update: cr.optim.{name}(cr.optim.adam(0.001), 1.0)",
        )
    new = Clipping(by, as_above_zero(name, "limit", limit, "1.0"))
    clipping = (new, *optimizer.clipping)
    settings = {**optimizer.settings, "clipping": [clip.to_dict() for clip in clipping]}
    return replace(optimizer, clipping=clipping, settings=settings)
