"""The numbers of one pass: how large each node's value and gradient are, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.explain.diagnosis.anatomy import ACTIVATIONS
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.numbers import root_mean_square
from chainrule.node import Node, constant
from chainrule.primitive import Array

_FLAT = ACTIVATIONS - {"softmax"}


@dataclass(frozen=True, slots=True)
class Size:
    """An array in a few numbers.

    Attributes:
        rms: root mean square of its elements.
        mean: of its elements.
        zeros: how many are exactly 0.
        nan, inf: how many are not finite.
    """

    rms: float
    mean: float
    zeros: int
    nan: int
    inf: int


@dataclass(slots=True)
class Numbers:
    """What is known of a node after both passes.

    Attributes:
        value: its size.
        gradient: that of the loss for it; None where no derivative leads to it.
        units, dead: of an activation, how many units it has, and how many are 0 for the whole batch.
        flops, bytes: work of its evaluation, and memory of its value.
        added: for each input, the root mean square of what this use adds to its gradient; None for none.
        masked: whether the infinities of its value come from a constant that is infinite, as a mask is.
    """

    value: Size
    gradient: Size | None = None
    units: int = 0
    dead: int = 0
    flops: int = 0
    bytes: int = 0
    added: tuple[float | None, ...] = ()
    masked: bool = False

    @property
    def strange(self) -> int:
        """How many elements of the value are NaN, or infinite and not so on purpose."""
        return self.value.nan + (0 if self.masked else self.value.inf)


def size_of(array: Array) -> Size:
    """The size of an array."""
    if not array.size:
        return Size(0.0, 0.0, 0, 0, 0)
    rms = root_mean_square(array)
    strange = not np.isfinite(rms)
    return Size(
        rms,
        float(np.mean(array, dtype=np.float64)),
        int(array.size - np.count_nonzero(array)),
        int(np.count_nonzero(np.isnan(array))) if strange else 0,
        int(np.count_nonzero(np.isinf(array))) if strange else 0,
    )


def measured(
    observed: Observed, progress: Callable[[float], object] = lambda share: None
) -> dict[Node, Numbers]:
    """The numbers of all nodes of a pass. Each gradient is forgotten once it is measured.

    Args:
        observed: the pass.
        progress: called with the part that is done, from 0 to 1, now and then.
    """
    found: dict[Node, Numbers] = {}
    total, done = 2 * len(observed.order), 0

    def told() -> None:
        nonlocal done
        done += 1
        if done % 64 == 0:
            progress(done / total)

    with np.errstate(all="ignore"):
        for node in observed.order:
            found[node] = _forward(node)
            if found[node].value.inf:
                found[node].masked = any(found[x].masked or _is_mask(x, found[x]) for x in node.inputs)
            told()
        several = {node for node, users in observed.users.items() if _uses(node, users) > 1}

        def see(node: Node, delta: Node, contributions: list[Node | None]) -> None:
            numbers = found[node]
            numbers.gradient = size_of(delta.array())
            numbers.added = tuple(
                None if c is None else root_mean_square(c.value) if x in several else float("nan")
                for x, c in zip(node.inputs, contributions, strict=True)
            )
            told()

        nodes = [n for n in observed.order if n.tracked and not n.inputs]
        nodes += [n for n in observed.parameters.values() if n.inputs and n in found]
        seed = constant(np.ones(observed.result.shape, observed.result.dtype))
        pulled = pullback([observed.result], [seed], nodes, record=False, visit=see)
        for node, gradient in zip(nodes, pulled, strict=True):
            found[node].gradient = None if gradient is None else size_of(gradient.array())
    for node in observed.order:  # what one use alone adds is all of the gradient
        numbers = found[node]
        numbers.added = tuple(
            _only(found[x]) if a is not None and np.isnan(a) and x not in several else a
            for x, a in zip(node.inputs, numbers.added, strict=False)
        )
    return found


def _is_mask(node: Node, numbers: Numbers) -> bool:
    return node.op is None and not node.tracked and numbers.value.inf > 0


def _only(numbers: Numbers) -> float | None:
    return None if numbers.gradient is None else numbers.gradient.rms


def _uses(node: Node, users: list[Node]) -> int:
    """How often a node is used; twice in ``x * x``."""
    return sum(sum(x is node for x in user.inputs) for user in users)


def _forward(node: Node) -> Numbers:
    value = np.asarray(node.value)
    numbers = Numbers(size_of(value), bytes=value.nbytes)
    if node.op is None:
        return numbers
    numbers.flops = node.op.cost(node.inputs, node.shape, node.dtype, **node.params).flops
    if node.op.name in _FLAT and node.ndim > 1 and node.tracked:
        on = np.any(value != 0, axis=tuple(range(node.ndim - 1)))
        numbers.units, numbers.dead = int(on.size), int(on.size - np.count_nonzero(on))
    return numbers
