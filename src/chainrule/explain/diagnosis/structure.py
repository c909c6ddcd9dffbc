"""Mistakes that the graph itself shows: what is put together in a way that cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from chainrule.explain.diagnosis.anatomy import Anatomy, Layer
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.numbers import number_text, shape_text, share_text
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.primitive import Array

_SOFTMAX_LOSS = {"log_softmax", "logsumexp"}
_PASSING = {
    "reshape",
    "astype",
    "identity",
    "permute_dims",
    "narrow",
    "getitem",
    "scale",
    "negative",
    "stop_gradient",
}
_AFFINE = {"reshape", "astype", "identity", "permute_dims", "add", "subtract", "flip", "concat", "sum_pool2d"}
_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softmax": (0.0, 1.0), "relu": (0.0, math.inf)}
_MIXING = {"softmax", "log_softmax", "logsumexp", "cumulative_sum", "cumulative_prod", "sort", "reshape"}
_STATISTICS = {"mean", "var", "std", "sum"}


def broadcast_targets(course: Course) -> Iterator[Finding]:
    """Outputs (n, 1) against targets (n,): every output meets every target."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    for node in anatomy.head:
        if node.op is None or len(node.inputs) != 2 or node.ndim < 2:
            continue
        a, b = node.inputs
        n = node.shape[0]
        if a.tracked == b.tracked or n < 2 or node.shape[:2] != (n, n):
            continue
        output, target = (a, b) if a.tracked else (b, a)
        if {output.shape, target.shape} != {(n, 1), (n,)} or target not in anatomy.fed:
            continue
        value = np.asarray(target.value).reshape(output.shape if output.ndim == 1 else (n, 1))
        straight = np.broadcast_to(value, (n, 1)) if output.ndim == 2 else value
        yield Finding(
            "broadcast_targets",
            "the loss",
            f"{node.op.name} of outputs {shape_text(output.shape)} and targets {shape_text(target.shape) or n} gives "
            f"{shape_text(node.shape)}: every output is compared with every target",
            (
                "the best that such a loss allows is the mean of all targets for every example",
                f"the loss is {number_text(course.finite[0].loss)}; compared one by one it would be a mean over {n} "
                f"errors, the first of them {number_text(_first_error(output, straight))}",
            ),
            "give both the same shape: output[:, 0], or target[:, None]; or use cr.nn.mean_squared_error, which checks",
            0.99,
            source=node.source,
        )
        return


def _first_error(output: Node, target: Array) -> float:
    return float(np.asarray(output.value).reshape(-1)[0] - target.reshape(-1)[0])


def double_softmax(course: Course) -> Iterator[Finding]:
    """Probabilities given to a loss that takes scores: softmax or sigmoid twice."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    for node in [*anatomy.head]:
        name = node.op.name if node.op else ""
        if name in _SOFTMAX_LOSS or name == "softmax":
            made = _behind(node.inputs[0])
            if made is not None and made.op is not None and made.op.name in ("softmax", "sigmoid"):
                yield _twice(anatomy, made, made.op.name, node.inputs[0].shape[-1])
                return
        if name in ("softplus", "log_sigmoid") and node in anatomy.fed:
            made = _behind(node.inputs[0])
            if made is not None and made.op is not None and made.op.name in ("sigmoid", "softmax"):
                yield _twice(anatomy, made, "sigmoid", 2)
                return


def _behind(node: Node) -> Node | None:
    """What made a node, through what only moves elements."""
    while node.op is not None and node.op.name in _PASSING and node.inputs:
        node = max(node.inputs, key=lambda x: x.size)
    return node


def _twice(anatomy: Anatomy, made: Node, name: str, classes: int) -> Finding:
    best = math.log1p((classes - 1) / math.e) if name == "softmax" else math.log1p(math.exp(-1))
    x = made.inputs[0]
    observed = anatomy.observed
    straight = observed.loss_with({made: np.asarray(x.value)})
    return Finding(
        "double_softmax",
        anatomy.place(made),
        f"the loss takes scores and gets what {name} made of them: probabilities between 0 and 1, squashed twice",
        (
            f"of scores that are at most 1 apart the loss cannot fall below {number_text(best)}",
            "the derivative of the first squashing multiplies every gradient once more: where the network is "
            "sure it is 0",
        ),
        f"give the scores to the loss, without {name}",
        0.97,
        f"given the scores the loss is {number_text(straight)} instead of {number_text(observed.loss)}",
        made.source,
    )


def no_nonlinearity(course: Course) -> Iterator[Finding]:
    """Two products in a row with nothing between them that is not affine: together they are one."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    by_z = {layer.product: layer for layer in anatomy.layers}
    pairs: list[tuple[Layer, Layer]] = []
    for layer in anatomy.layers:
        if (
            layer.product.op is None
            or layer.product.op.name not in ("matmul", "conv2d")
            or layer.weight.ndim < 2
        ):
            continue
        if len(anatomy.observed.users.get(layer.data, [])) > 1:
            continue
        before = _affine_source(anatomy, layer.data, by_z)
        if before is not None and _are_single(anatomy, before, layer) and _wastes(before, layer):
            pairs.append((before, layer))
    if not pairs:
        return
    before, layer = pairs[0]
    yield Finding(
        "no_nonlinearity",
        f"{before.name} and {layer.name}",
        f"what {before.name} gives goes into {layer.name} without an activation: together they are one linear map",
        (
            f"{before.weight.size + layer.weight.size:,} weights do the work of "
            f"{before.weight.shape[-2] * layer.weight.shape[-1]:,} in one product",
            *(
                [f"the same holds for {', '.join(f'{a.name} and {b.name}' for a, b in pairs[1:4])}"]
                if pairs[1:]
                else []
            ),
        ),
        f"put an activation between them: cr.relu after {before.name}",
        0.8,
        source=layer.product.source,
    )


def _are_single(anatomy: Anatomy, *layers: Layer) -> bool:
    """Whether each weight belongs to its layer alone, and the first is no table of embeddings: both are meant so."""
    looked_up = _behind(layers[0].data)
    if looked_up is not None and looked_up.op is not None and looked_up.op.name == "softmax":
        return False  # a mean of rows of a table, as an embedding is one row
    paths = [layer.path for layer in layers]
    uses = [len(anatomy.observed.users.get(layer.weight, [])) for layer in layers]
    return len(set(paths)) == len(paths) and max(uses) == 1


def _affine_source(anatomy: Anatomy, node: Node, products: dict[Node, Layer]) -> Layer | None:
    """The layer whose product a node is an affine function of; None if something else is on the way."""
    for _ in range(20):
        if node in products:
            found = products[node]
            named = found.product.op.name if found.product.op else ""
            return found if named in ("matmul", "conv2d") and found.weight.ndim >= 2 else None
        if node.op is None or node.op.name not in _AFFINE:
            return None
        varying = [x for x in node.inputs if x in anatomy.fed]
        if len(varying) != 1 or len(anatomy.observed.users.get(varying[0], [])) != 1:
            return None
        node = varying[0]
    return None


def _wastes(before: Layer, layer: Layer) -> bool:
    """Whether the middle is no bottleneck on purpose: a narrow one saves weights, and projects."""
    into, middle = before.weight.shape[-2], before.weight.shape[-1]
    out = layer.weight.shape[-1]
    return middle > min(into, out) or middle == into == out


def unreachable_targets(course: Course) -> Iterator[Finding]:
    """Targets outside of the range that the last activation gives."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    for node in anatomy.head:
        name = node.op.name if node.op else ""
        if name != "subtract" and name != "not_equal":
            continue
        tracked = [x for x in node.inputs if x.tracked]
        fixed = [x for x in node.inputs if not x.tracked and x in anatomy.fed]
        if len(tracked) != 1 or len(fixed) != 1 or fixed[0].dtype.kind != "f":
            continue
        made = _behind(tracked[0])
        if made is None or made.op is None or made.op.name not in _RANGES or made not in set(anatomy.head):
            continue
        low, high = _RANGES[made.op.name]
        target = np.asarray(fixed[0].value, np.float64)
        if target.shape != tracked[0].shape:
            continue
        outside = (target < low - 1e-3) | (target > high + 1e-3)
        if outside.mean() < 0.05:
            continue
        best = float(np.mean(np.square(target - np.clip(target, low, high))))
        yield Finding(
            "unreachable_targets",
            anatomy.place(made),
            f"{share_text(float(outside.mean()))} of the targets lie outside of what {made.op.name} can give, "
            f"{number_text(low)} to {'∞' if high == math.inf else number_text(high)}",
            (
                f"targets: {number_text(float(target.min()))} to {number_text(float(target.max()))}",
                f"the mean squared error cannot fall below {number_text(best)}; to come near it the activation "
                "saturates",
            ),
            "leave the last activation out, or bring the targets into its range",
            0.95,
            source=made.source,
        )
        return


def mixed_samples(course: Course) -> Iterator[Finding]:
    """An example's scores that depend on another example, not through the statistics of a norm layer."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    observed, n = anatomy.observed, anatomy.batch
    last = anatomy.outputs
    inputs = [x for x in anatomy.inputs if x.ndim > 1 and x.shape[0] == n] if n > 2 else []
    targets = [t for t in anatomy.targets if t.ndim and t.shape[0] == n]
    if last is None or not inputs or not targets:
        return
    x = inputs[0]
    value = np.array(x.value)
    other = next((i for i in range(1, n) if not np.array_equal(value[i], value[0])), None)
    if other is None:
        return
    value[0] = value[other]
    moved: dict[Node, Array] = {x: value}
    culprits: dict[Node, Node] = {}
    for node in observed.behind([x]):
        reached = [y for y in node.inputs if y in moved]
        if not reached or node.index > last.index or node.op is None or _is_statistic(node, n):
            continue
        new = _evaluated(node, moved)
        changed = new != np.asarray(node.value)
        if not changed.any():
            continue
        moved[node] = new
        if not _is_confined(changed, n):
            culprits[node] = next((culprits[y] for y in reached if y in culprits), node)
    culprit = culprits.get(last)
    if culprit is not None and _may_not_mix(anatomy, culprit, moved, x):
        yield _mixed(anatomy, culprit, moved[culprit] != np.asarray(culprit.value))


def _is_statistic(node: Node, n: int) -> bool:
    """Whether a node is a statistic over the batch."""
    x = node.inputs[0]
    return (
        node.op is not None
        and node.op.name in _STATISTICS
        and x.ndim > 1
        and (
            (node.ndim < x.ndim and (not node.ndim or node.shape[0] != n))
            or (bool(node.ndim) and node.shape[0] == 1)
        )
    )


def _evaluated(node: Node, moved: dict[Node, Array]) -> Array:
    assert node.op is not None
    inputs = [moved.get(x, x.value) for x in node.inputs]
    return np.asarray(silently(node.op.evaluate, *inputs, **node.params))


def _is_confined(changed: Array, n: int) -> bool:
    """Whether what has changed lies in one of n equal parts along some axis: in one example."""
    for axis, size in enumerate(changed.shape):
        if size % n:
            continue
        others = tuple(i for i in range(changed.ndim) if i != axis)
        part = np.flatnonzero(changed.any(axis=others)) // (size // n)
        if part[0] == part[-1]:
            return True
    return False


def _may_not_mix(anatomy: Anatomy, node: Node, moved: Mapping[Node, Array], x: Node) -> bool:
    """Whether nobody means a node to work along the batch.

    So it is with what is elementwise in examples or only moves elements, with products with a weight, and with
    attention where each example has tokens of its own. Products with data, such as a graph's edges, are meant so.
    """
    assert node.op is not None
    if node.op.name in _MIXING:
        return True
    reached = [y for y in node.inputs if y in moved]
    if node.op.name not in ("matmul", "einsum"):
        return False
    weighed = len(reached) == 1 and any(y in anatomy.pure for y in node.inputs)
    return weighed or (x.ndim > 2 and len(reached) == 2 and all(y.tracked for y in reached))


def _mixed(anatomy: Anatomy, node: Node, changed: Array) -> Finding:
    assert node.op is not None
    product = node.op.name in ("matmul", "einsum")
    how = "adds up elements of different examples" if product else "works along the batch"
    how = "puts elements of different examples into one row" if node.op.name == "reshape" else how
    return Finding(
        "samples_mixed",
        anatomy.place(node),
        f"{node.op.name} {how}: with another first example, {share_text(float(changed.mean()))} of what it "
        "gives changes",
        ("an example's prediction must not depend on what else is in its batch",),
        "keep examples along the first axis: move axes with permute_dims, not with reshape; softmax and its like take "
        "axis=-1",
        0.95,
        "only the first example was changed, everything else was held",
        node.source,
    )
