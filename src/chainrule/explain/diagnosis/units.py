"""Units through which nothing flows: dead, saturated, normalised noise, never selected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from chainrule.explain.diagnosis.anatomy import SQUASHING, Anatomy, Layer
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.updates import steps_too_long
from chainrule.explain.numbers import count_text, counted, number_text, root_mean_square, share_text
from chainrule.explain.reasons.passes import again
from chainrule.node import Node
from chainrule.primitive import Array

MOST = 0.5
"""Share of the units of a layer that must be out of work for the layer to be broken; fewer is sparsity."""
CHANCE = 1e-4
"""Probability below which as many dead units are no chance of random weights."""
FLAT = 0.01
"""A local derivative below this part of the largest one is flat."""
FAR_OUT = 6.0
"""From here on sigmoid has less than a hundredth of its largest derivative."""
SHUT = 0.2
"""Share of the features that are far out everywhere."""
BLOCKED = 0.6
"""Share of the outputs that are clipped and from which the loss would push back."""
CLAMPED = 0.9
"""Share of the features that are clipped, and not by chance."""
NOISE = 1e-10
"""A variance below this part of the mean square is what rounding leaves of a constant."""


def dead_units(course: Course) -> Iterator[Finding]:
    """Units of relu that are off for every example of every batch, beyond what random weights would give."""
    if not course.anatomies:
        return
    nodes = _rectifiers(course.anatomies[0])
    for place, node in enumerate(nodes):
        masks = [_off(other[place]) for a in course.late if len(other := _rectifiers(a)) == len(nodes)]
        known = [m for m in masks if m is not None]
        if not known or len(known) < len(masks) or any(m.shape != known[0].shape for m in known):
            continue
        dead = np.logical_and.reduce(known)
        count, units = int(dead.sum()), dead.size
        if units < 2 or count < MOST * units:
            continue
        anatomy = course.anatomies[0]
        layer = anatomy.layer_before(node)
        expected = 0.0 if layer is None else _dead_by_chance(anatomy, layer, node)
        if _tail(count, units, max(expected, 0.01)) < CHANCE and count > 2 * expected * units:
            off = _off(node)
            if (
                off is not None
                and off.sum() < MOST * count
                and next(steps_too_long(course), None) is not None
            ):
                return  # steps that are too long killed them, which is said there
            yield _dead(course, node, layer, dead, expected)
            return  # what lies behind a dead layer is its consequence


def _rectifiers(anatomy: Anatomy) -> list[Node]:
    found = anatomy.activations({"relu", "maximum"})
    return [
        n for n in found if n.ndim > 1 and ((n.op is not None and n.op.name == "relu") or _floor_of(n) == 0)
    ]


def _floor_of(node: Node) -> float | None:
    """The number with which a maximum is taken."""
    single = [x for x in node.inputs if x.size == 1]
    return float(np.asarray(single[0].value).reshape(())) if single else None


def _before(node: Node) -> Node:
    return max(node.inputs, key=lambda x: x.size)


def _off(node: Node, value: Array | None = None) -> Array | None:
    """Which units, along the last axis, are off for all examples."""
    z = np.asarray(_before(node).value if value is None else value)
    if z.ndim < 2 or z.shape != node.shape:
        return None
    return np.asarray((z <= 0).reshape(-1, z.shape[-1]).all(axis=0))


def _dead_by_chance(anatomy: Anatomy, layer: Layer, node: Node) -> float:
    """The share of dead units if the layer's weights were drawn anew around 0, and its biases were 0."""
    rng = np.random.default_rng(0)
    values = {layer.weight: rng.standard_normal(layer.weight.shape).astype(layer.weight.dtype)}
    if layer.bias is not None:
        values[layer.bias] = np.zeros(layer.bias.shape, layer.bias.dtype)
    z = _before(node)
    found = anatomy.observed.again(values)
    mask = _off(node, found[z]) if z in found else None
    return 0.0 if mask is None else float(mask.mean())


def _tail(count: int, n: int, p: float) -> float:
    """Probability of at least ``count`` of ``n``."""
    if p >= 1:
        return 1.0
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(p)
        + (n - k) * math.log1p(-p)
        for k in range(count, n + 1)
    )
    return min(1.0, sum(math.exp(x) for x in logs))


def _dead(course: Course, node: Node, layer: Layer | None, dead: Array, expected: float) -> Finding:
    anatomy = course.anatomies[0]
    off = _off(node)
    first = int(dead.sum()) if off is None else int((off & dead).sum())
    z = np.asarray(_before(node).value)
    examples = sum(p.batch for p in course.late)
    evidence = [
        f"z there: {number_text(float(z[..., dead].min()))} to {number_text(float(z[..., dead].max()))}; relu and its "
        "derivative are 0 for all of it, so what goes in gets no gradient",
        f"with weights drawn anew and biases 0, {share_text(expected)} of the units would be off",
    ]
    if first < MOST * dead.sum():
        evidence.append(
            f"in the first pass {first} were off: updates switched off the others, so the steps are too large"
        )
    proof = ""
    if layer is not None and layer.bias is not None:
        moved = anatomy.observed.again({layer.bias: np.zeros(layer.bias.shape, layer.bias.dtype)})
        alive = _off(node, moved[_before(node)]) if _before(node) in moved else None
        if alive is not None and alive.sum() < dead.sum():
            proof = f"with the biases of {layer.name} at 0, {counted(int(alive.sum()), 'unit')} would be off"
    where = anatomy.place(node) if layer is None else layer.name
    return Finding(
        "dead_relu",
        where,
        f"{count_text(int(dead.sum()))} of {counted(dead.size, 'unit')} of {anatomy.place(node)} are off for every "
        f"example of {counted(len(course.late), 'pass')}"
        + (f" ({count_text(examples)} examples)" if examples else ""),
        tuple(evidence),
        "start biases at 0 and weights with cr.nn.he_normal, normalise what goes in, lower the learning rate; or use "
        "cr.leaky_relu, which is never flat",
        0.95 if dead.all() or proof else 0.85,
        proof,
        node.source,
    )


def share_off(node: Node) -> float | None:
    """The share of the units behind an activation that are flat for every example; None for other nodes."""
    name = node.op.name if node.op else ""
    if node.ndim < 2 or (name not in SQUASHING and name not in ("relu", "maximum")):
        return None
    flat = _slopes(node) < FLAT if name in SQUASHING else np.asarray(node.value) <= 0
    return float(flat.reshape(-1, node.shape[-1]).all(axis=0).mean())


def saturated_units(course: Course) -> Iterator[Finding]:
    """Sigmoids and tanhs that are flat for most examples, while there is still much to learn."""
    if not course.anatomies or course.began_solved:
        return
    flat: list[tuple[float, Node]] = []
    head = set(course.anatomies[0].head)
    lists = [_squashing(a) for a in course.early]
    for place, node in enumerate(lists[0]):
        same = [nodes[place] for nodes in lists if len(nodes) == len(lists[0])]
        share = min(_flat_share(n) for n in same)
        if node.size > 1 and share >= MOST and (node not in head or _is_wrong(course.anatomies[0], node)):
            flat.append((share, node))
    if not flat:
        return
    share, node = flat[0]
    yield _saturated(course, node, share, len(flat))


def _squashing(anatomy: Anatomy) -> list[Node]:
    return anatomy.activations(SQUASHING)


def _slopes(node: Node) -> Array:
    assert node.op is not None
    y = np.asarray(node.value, np.float64)
    return (1 - y * y) if node.op.name == "tanh" else 4 * y * (1 - y)


def _flat_share(node: Node) -> float:
    return float(np.mean(_slopes(node) < FLAT))


def _is_wrong(anatomy: Anatomy, node: Node) -> bool:
    """Whether a flat output is far from its target in most places: else it is sure, and right."""
    y = np.asarray(node.value)
    for target in anatomy.targets:
        t = np.asarray(target.value)
        if t.shape == y.shape and t.dtype.kind == "f":
            return float(np.mean(np.abs(y - t)[_slopes(node) < FLAT] > 0.5)) > 0.25
    return True


def _saturated(course: Course, node: Node, share: float, layers: int) -> Finding:
    anatomy, observed = course.anatomies[0], course.finite[0]
    assert node.op is not None
    z = node.inputs[0]
    size = root_mean_square(z.value)
    evidence = [
        f"z is {number_text(size)} in a typical element; {node.op.name} is flat from about "
        f"{'5.3' if node.op.name == 'tanh' else '6'} on: z of 1 would be usual"
    ]
    layer = anatomy.layer_before(node)
    proof = ""
    if layer is not None:
        weight = root_mean_square(layer.weight.value)
        fan = _fan_in(layer)
        evidence.append(
            f"a typical weight of {layer.name} is {number_text(weight)}; cr.nn.glorot_uniform would draw "
            f"{number_text(1 / math.sqrt(fan))}; a typical input is {number_text(root_mean_square(layer.data.value))}"
        )
        smaller = np.asarray(z.value) / z.dtype.type(max(size, 1e-30))
        before = observed.gradients.get(layer.path)
        _, after = again(observed.result, layer.weight, values={z: smaller})
        if before is not None and after is not None:
            proof = (
                f"with z brought to a typical size of 1, the gradient of {layer.path} goes from "
                f"{number_text(root_mean_square(before))} to {number_text(root_mean_square(after))} before what the "
                "smaller z itself would bring"
            )
    if layers > 1:
        evidence.append(f"{layers} activations of the network are as flat")
    return Finding(
        "saturated",
        anatomy.place(node),
        f"{share_text(share)} of {anatomy.place(node)} is flat: the local derivative is below "
        f"{share_text(FLAT)} of its largest",
        tuple(evidence),
        "normalise what goes in, draw weights with cr.nn.glorot_uniform, put a norm layer before; for a last layer use "
        "a loss of the scores",
        0.9,
        proof,
        node.source,
    )


def _fan_in(layer: Layer) -> int:
    shape = layer.weight.shape
    return max(1, int(np.prod(shape[:-1]))) if len(shape) > 1 else 1


def normalised_noise(course: Course) -> Iterator[Finding]:
    """Batch statistics of something that hardly varies: what is left after normalising is rounding noise."""
    if not course.anatomies:
        return
    anatomy = course.anatomies[0]
    for node in anatomy.observed.order:
        if node.op is None or node.op.name != "var" or node not in anatomy.fed:
            continue
        x = node.inputs[0]
        if (
            not (node.ndim == x.ndim and node.shape[0] == 1 and x.shape[-1] == node.shape[-1])
            and node.shape != x.shape[-1:]
        ):
            continue
        size = np.mean(np.square(np.asarray(x.value, np.float64)), axis=tuple(range(x.ndim - 1)))
        constant = np.asarray(node.value, np.float64).reshape(-1) <= NOISE * size
        single = int(np.prod(x.shape[:-1])) == 1
        variance = np.asarray(node.value, np.float64).reshape(-1)
        amplified = constant & (variance > _epsilon(anatomy, node) / 100) & (variance > 0)
        if not single and not amplified.any() and (constant.mean() < MOST or not size.any()):
            continue
        rows = int(np.prod(x.shape[:-1]))
        what = "a batch of one example" if single else f"{count_text(rows)} rows that are all alike"
        where = anatomy.place(x)
        largest = float(np.asarray(node.value).reshape(-1)[constant].max(initial=0.0))
        yield Finding(
            "batch_norm_constant",
            where,
            f"the statistics behind {where} are of {what}: the variance is 0 or rounding in "
            f"{count_text(int(constant.sum()))} of {counted(constant.size, 'feature')}",
            (
                f"the largest of these variances is {number_text(largest)}, "
                f"the mean square {number_text(float(np.max(size)))}",
                "x − mean is 0 there whatever the weights before are, so they get no gradient",
            ),
            "use batches of several different examples; leave out the norm layer where its input cannot vary, or use "
            "cr.nn.LayerNorm, which looks along the features",
            0.9,
            source=node.source,
        )
        return


def _epsilon(anatomy: Anatomy, node: Node) -> float:
    """What is added to a variance before its root is taken."""
    added = [
        float(np.asarray(x.value).reshape(()))
        for user in anatomy.observed.users.get(node, [])
        if user.op is not None and user.op.name == "add"
        for x in user.inputs
        if x.size == 1 and not x.tracked
    ]
    return max(added, default=0.0)


def shut_gates(course: Course) -> Iterator[Finding]:
    """What goes into a recurrence lies far out on the flat ends of its gates, at every step of every example."""
    if not course.early or course.began_solved:
        return
    for layer, x in _gate_inputs(course.early[0]):
        z = np.abs(np.asarray(x.value, np.float64).reshape(-1, x.shape[-1]))
        always = float(np.mean(z.min(axis=0) > FAR_OUT))
        mostly = float(np.mean(z > 2 * FAR_OUT))
        if always < SHUT and mostly < MOST:
            continue
        yield Finding(
            "saturated",
            layer.name,
            f"{share_text(mostly)} of what goes into the steps of {layer.name} is beyond {number_text(2 * FAR_OUT)}: "
            f"sigmoid and tanh are flat from about {number_text(FAR_OUT)} on",
            (
                f"{share_text(always)} of its features are flat at every step of every example",
                f"a typical element is {number_text(root_mean_square(x.value))}; about 1 would be usual",
            ),
            "start gate biases at 0, a forget gate's at 1; normalise what goes in; draw weights with "
            "cr.nn.glorot_uniform",
            0.88,
            source=layer.product.source,
        )
        return


def _gate_inputs(anatomy: Anatomy) -> Iterator[tuple[Layer, Node]]:
    """What is given to each scan step by step, weights applied."""
    for layer in anatomy.layers:
        node = layer.product
        if node.op is not None and node.op.name == "scan":
            steps = int(node.params.get("length", 0))
            for x in node.inputs:
                if x in anatomy.fed and x.tracked and x.ndim > 1 and x.shape[0] == steps:
                    yield layer, x


def clamped_features(course: Course) -> Iterator[Finding]:
    """Features inside of the network that are clipped nearly everywhere, so that no gradient gets through."""
    if not course.early:
        return
    anatomy = course.early[0]
    head = set(anatomy.head)
    for node in anatomy.activations({"clip", "minimum", "maximum"}):
        before = [x for x in node.inputs if x.tracked and x.ndim > 1]
        if len(before) != 1 or node.op is None:
            continue
        start, delta = _unclipped(before[0]), anatomy.observed.deltas.get(node)
        lost = anatomy.observed.deltas.get(start)
        if lost is None or delta is None or (node.op.name == "maximum" and _floor_of(node) == 0):
            continue
        share, alive = float(np.mean((lost == 0) & (delta != 0))), float(np.mean(delta != 0))
        if (
            share < (BLOCKED if node in head else CLAMPED)
            or alive < MOST
            or (node in head and course.began_solved)
        ):
            continue
        z = np.asarray(start.value)
        yield Finding(
            "clipped",
            anatomy.place(node),
            f"{share_text(share)} of the features behind {anatomy.place(start)} are clipped by {node.op.name}: what is "
            "before gets no gradient from them",
            (
                f"they go from {number_text(float(z.min()))} to {number_text(float(z.max()))}, and what is left of "
                f"them from {number_text(float(np.min(node.value)))} to {number_text(float(np.max(node.value)))}",
                f"the gradient behind the clipping is not 0 in {share_text(alive)} of its elements",
            ),
            "widen the limits, or use a smooth activation such as cr.tanh",
            0.9,
            source=node.source,
        )
        return


def _unclipped(node: Node) -> Node:
    """What a chain of clippings begins with."""
    while node.op is not None and node.op.name in ("clip", "minimum", "maximum"):
        before = [x for x in node.inputs if x.tracked and x.ndim > 1]
        if len(before) != 1:
            break
        node = before[0]
    return node


def never_selected(course: Course) -> Iterator[Finding]:
    """A maximum over branches that all have parameters, in which the same one wins for every example."""
    if not course.anatomies:
        return
    lists = [_selections(a) for a in course.late]
    for place, node in enumerate(lists[0]):
        same = [nodes[place] for nodes in lists if len(nodes) == len(lists[0])]
        winners = [_winner(n) for n in same]
        if winners[0] is None or len(set(winners)) > 1:
            continue
        axis = _axis(node) or 0
        x = node.inputs[0]
        anatomy = course.anatomies[0]
        yield Finding(
            "never_selected",
            anatomy.place(node),
            f"{anatomy.place(node)} takes number {winners[0]} of {x.shape[axis]} for every example of every pass",
            (
                f"{count_text(node.size)} choices in each of {counted(len(same), 'pass')}, all the same",
                "the derivative of a maximum goes to what was chosen: the others get exactly 0 and cannot catch up",
            ),
            "start the branches alike in size, use a soft choice (softmax-weighted sum, cr.logsumexp), or add noise to "
            "the choice",
            0.85,
            source=node.source,
        )
        return


def _selections(anatomy: Anatomy) -> list[Node]:
    found = [n for n in anatomy.activations({"max", "min"}) if n.size >= 16 and _axis(n) is not None]
    return [n for n in found if n.inputs[0].tracked and _starves(anatomy, n)]


def _starves(anatomy: Anatomy, node: Node) -> bool:
    """Whether what is not chosen gets no gradient on another way either, as scores do from their labels."""
    delta = anatomy.observed.deltas.get(node.inputs[0])
    axis = _axis(node)
    return delta is not None and axis is not None and bool((np.count_nonzero(delta, axis=axis) <= 1).all())


def _axis(node: Node) -> int | None:
    axis = node.params.get("axis", node.params.get("axes"))
    if isinstance(axis, Sequence) and len(axis) == 1:
        axis = axis[0]
    return axis if isinstance(axis, int) else None


def _winner(node: Node) -> int | None:
    assert node.op is not None
    x, axis = np.asarray(node.inputs[0].value), _axis(node)
    if axis is None or x.shape[axis] < 2:
        return None
    picked = x.argmax(axis) if node.op.name == "max" else x.argmin(axis)
    first = int(picked.reshape(-1)[0])
    return first if bool((picked == first).all()) else None
