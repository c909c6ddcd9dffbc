"""From the losses of a batch to one number, and what all losses ask of their arguments."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.node import Node
from chainrule.ops import mean, sum
from chainrule.shapes import FLOATS

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def reduced(name: str, losses: Any, reduction: str) -> Any:
    """The losses of a batch as ``reduction`` says.

    Raises:
        ArgumentError: an unknown reduction.
        ShapeError: the mean of nothing.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    if reduction != "mean":
        raise ArgumentError(f"{name}: unknown reduction {reduction!r}", fix='choose "mean", "sum" or "none"')
    if not losses.size:
        raise ShapeError(
            f"{name}: the mean of no losses, shape {losses.shape}", fix="pass at least one example"
        )
    return mean(losses)


def require_floats(name: str, what: str, node: Node) -> None:
    """Raise a DTypeError unless an argument holds floats."""
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{name}: {what} must be floats, got {node.spec}", fix=f"convert: {what}.astype(np.float32)"
        )


def require_alike(name: str, what: str, prediction: Node, others: str, target: Node) -> None:
    """Raise a ShapeError unless there is one target for each prediction, or one for all.

    Args:
        what, others: names of the two arguments.
    """
    if prediction.shape == target.shape or not target.shape:
        return
    shape = prediction.shape
    raise ShapeError(
        f"{name}: {what} has shape {shape}, {others} {target.shape}",
        fix=f"reshape the {others} to {shape}"
        if prediction.size == target.size
        else f"pass {others} of shape {shape}, or one number",
    )
