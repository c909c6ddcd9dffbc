"""Where NaN and infinities begin: the node that makes them out of finite numbers, forward or backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from chainrule.explain.reasons.passes import Passes, is_elementwise
from chainrule.node import Node
from chainrule.primitive import Array

_MOVING = {"getitem", "narrow", "reshape", "permute_dims", "astype", "identity", "broadcast_to", "sum_to"}

Direction = Literal["forward", "backward", "given"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where it begins.

    Attributes:
        direction: whether a node's value is the first, or what an edge adds on the way back; ``given`` for a leaf.
        node: whose value, or whose local derivative.
        slot: the input of ``node`` to which the edge leads; -1 going forward.
        strange: which elements are not finite, of the value or of what the edge adds.
    """

    direction: Direction
    node: Node
    slot: int
    strange: Array

    @property
    def first(self) -> tuple[int, ...]:
        """The index of the first element that is not finite."""
        return tuple(int(i) for i in np.argwhere(self.strange)[0])


def origin_of(passes: Passes) -> Origin | None:
    """The first thing, in the order of execution, that makes the gradient other than finite; None if nothing does."""
    if not _finite(passes.result.value):
        return forward_origin(passes.result)
    for node in reversed(passes.order):
        if node not in passes.added or not _finite(passes.deltas[node]):
            continue
        for slot, added in enumerate(passes.added[node]):
            if added is not None and not _finite(added):
                return _edge(node, slot, ~np.isfinite(added))
    return None


def forward_origin(node: Node) -> Origin:
    """From a value that is not finite back to the first that is not.

    A NaN comes of a NaN where there is one, else of an infinity. Constants such as the -inf of a mask are no mistake
    while they give finite numbers: a NaN made of nothing but these begins where it is made.
    """
    strange = ~np.isfinite(node.value)
    met: Origin | None = None
    while True:
        undefined = bool((np.isnan(node.value) & strange).any())
        wrong = np.isnan(node.value) & strange if undefined else strange
        causes = [(x, part) for x in node.inputs if (part := _cause(node, x, wrong)) is not None]
        with_nan = [(x, np.isnan(x.value) & part) for x, part in causes if (np.isnan(x.value) & part).any()]
        found = (with_nan if undefined else []) or causes
        made = [(x, part) for x, part in found if x.inputs]
        if not found:
            hidden = _hidden(node)
            if hidden is not None:
                node, strange = hidden, ~np.isfinite(hidden.value)
                continue
            given = not node.inputs
            if given and met is not None and not np.isnan(node.value).any():
                return met
            return Origin("given" if given else "forward", node, -1, wrong)
        if undefined and not with_nan:
            met = Origin("forward", node, -1, wrong)
        node, strange = min(made or found, key=lambda pair: pair[0].index)


def _hidden(node: Node) -> Node | None:
    """What made an operand zero by dividing by infinity: the infinity itself, which zero does not show."""
    for x in node.inputs:
        maker = behind(x)
        for v in maker.inputs if maker.op is not None and maker.op.name in ("divide", "reciprocal") else ():
            if v.inputs and not _finite(v.value):
                return v
    return None


def behind(x: Node) -> Node:
    """The node that computed what ``x`` only picks, moves or reshapes."""
    while x.op is not None and x.op.name in _MOVING:
        x = x.inputs[0]
    return x


def _cause(node: Node, x: Node, wrong: Array) -> Array | None:
    """Which elements of an input are not finite and may have made ``wrong`` ones; None for none."""
    strange = ~np.isfinite(x.value)
    if is_elementwise(node) and x.size:
        strange = strange & shrink(wrong, x.shape)
    return strange if strange.any() else None


def shrink(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask of a result as one of an operand that was broadcast to it: where any of its copies is meant."""
    mask = np.asarray(mask)
    extra = mask.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1)
    return np.asarray(mask.any(axis=axes, keepdims=True)).reshape(shape)


def _edge(node: Node, slot: int, strange: Array) -> Origin:
    """The edge itself, or what made its operands infinite in the forward pass."""
    for x in (*node.inputs, node):
        if not _finite(x.value) and x.inputs:
            return forward_origin(x)
    return Origin("backward", node, slot, strange)


def _finite(value: object) -> bool:
    return bool(np.isfinite(np.asarray(value)).all())
