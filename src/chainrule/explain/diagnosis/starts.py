"""How a network begins: units that are copies of each other, weights and inputs of a wrong size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.explain.diagnosis.anatomy import Anatomy, Layer
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.numbers import count_text, number_text, root_mean_square, share_text
from chainrule.explain.reasons.zeros import are_copies
from chainrule.node import Node
from chainrule.primitive import Array

FAINT = 0.85
"""A layer that makes what it gets smaller: with weights by the number of inputs it would be 1 or more."""
HUSHED = 0.02
"""Scores so small that all classes are alike."""
WORSE = 3.0
"""A fresh network whose loss is this many times that of equal scores is worse than one that says nothing."""
CURED = 0.5
"""A counterfactual that leaves more than this part of the loss is no proof."""
LOUD = 10.0
"""Scores this much larger than they need be."""
SPREAD = 300.0
"""Ratio of feature sizes that one learning rate cannot serve: the curvature goes with its square."""
RAW = 25.0
"""A typical input this large is not normalised: weights are drawn for a size of 1."""


def symmetric_units(course: Course) -> Iterator[Finding]:
    """Layers whose units have the same weights and the same gradients, and so stay copies for ever."""
    if not course.anatomies:
        return
    first = course.anatomies[0]
    found = [layer for layer in first.layers if _is_symmetric(first, layer)]
    found = [layer for layer in found if all(_stays(a, layer) for a in course.anatomies[1:])]
    if not found:
        return
    layer = found[0]
    value = np.asarray(layer.weight.value)
    gradient = course.finite[0].gradients.get(layer.path)
    size = 0.0 if gradient is None else root_mean_square(gradient)
    evidence = [
        f"the {layer.weight.shape[-1]} columns of {layer.path} are equal, and so are those of its gradient "
        f"(typical element {number_text(size)})",
    ]
    if len(course.anatomies) > 1:
        evidence.append(f"they are still equal after {len(course.anatomies) - 1} updates")
    if len(found) > 1:
        evidence.append("the same holds for " + ", ".join(other.path for other in found[1:6]))
    nothing = not value.any()
    yield Finding(
        "symmetric_initialisation",
        layer.name,
        f"all {layer.weight.shape[-1]} units of {layer.name} have the same weights{', 0,' if nothing else ''} and "
        "the same gradient, so they stay copies of one unit",
        tuple(evidence),
        "draw the weights at random (cr.nn.he_normal, cr.nn.glorot_uniform); only biases may start equal",
        0.97,
        _broken_symmetry(course, layer, value),
        layer.product.source,
    )


def _is_symmetric(anatomy: Anatomy, layer: Layer) -> bool:
    """Whether the columns of a weight, and those of its gradient, are equal."""
    gradient = anatomy.observed.gradients.get(layer.path)
    hidden = layer is not anatomy.layers[-1]
    if layer.weight.ndim < 2 or layer.weight.shape[-1] < 2 or not hidden or layer.product.op is None:
        return False
    if layer.product.op.name not in ("matmul", "conv2d", "einsum"):
        return False
    return are_copies(layer.weight, np.zeros(layer.weight.shape) if gradient is None else gradient)


def _stays(anatomy: Anatomy, layer: Layer) -> bool:
    same = next((other for other in anatomy.layers if other.path == layer.path), None)
    return same is None or _is_symmetric(anatomy, same)


def _broken_symmetry(course: Course, layer: Layer, value: Array) -> str:
    rng = np.random.default_rng(0)
    fan = max(1, int(np.prod(layer.weight.shape[:-1])))
    drawn = (rng.standard_normal(value.shape) / math.sqrt(fan)).astype(value.dtype)
    z = course.finite[0].again({layer.weight: drawn}).get(layer.z)
    if z is None:
        return ""
    flat = z.reshape(-1, z.shape[-1]).astype(np.float64)
    spread = float(np.mean(np.ptp(flat, axis=1)))
    return f"with random weights the units differ: z of one example spreads over {number_text(spread)}"


def loud_start(course: Course) -> Iterator[Finding]:
    """A fresh network that is worse than one that says nothing, and what makes its scores so large."""
    if not course.anatomies:
        return
    anatomy, observed = course.anatomies[0], course.finite[0]
    scores, floor = anatomy.scores, anatomy.floor
    if scores is None or floor is None or not anatomy.inputs or observed is not course.first:
        return
    size = root_mean_square(scores.value)
    needed = max([1.0, *(_target_size(t) for t in anatomy.targets)])
    if not (observed.loss > WORSE * floor > 0 and size > LOUD * needed):
        return
    start = root_mean_square(anatomy.layers[0].data.value)
    gains = [(layer, _gain(layer)) for layer in anatomy.layers]
    decades = [(layer, math.log10(gain)) for layer, gain in gains if gain > 0]
    growing = [(layer, d) for layer, d in decades if d > 0.05]
    total = sum(d for _, d in growing) + max(0.0, math.log10(max(start, 1e-30)))
    seen = (
        f"the loss is {number_text(observed.loss)}, with all scores 0 it would be {number_text(floor)}; a typical "
        f"score is {number_text(size)}"
    )
    if total > 0 and math.log10(max(start, 1e-30)) > 0.5 * total:
        yield _raw(anatomy, anatomy.layers[0], seen)
    elif growing and not _blameless(observed, growing):
        heaviest, most = max(growing, key=lambda g: g[1])
        alone = most > 0.5 * total or len(growing) < 3
        yield _heavy(anatomy, heaviest, seen) if alone else _exploding(anatomy, growing, seen)


def _blameless(observed: Observed, growing: list[tuple[Layer, float]]) -> bool:
    """Whether the loss stays nearly what it is with these weights made smaller: then something else is to blame."""
    return not observed.loss_with(_tamed(growing)) < CURED * observed.loss


def _tamed(growing: list[tuple[Layer, float]]) -> dict[Node, Array]:
    """The weights made smaller by what their layers make of what they get."""
    return {layer.weight: _times(layer, 10**-decades) for layer, decades in growing}


def _times(layer: Layer, factor: float) -> Array:
    """A layer's weights, times a number."""
    value = np.asarray(layer.weight.value)
    return value * value.dtype.type(factor)


def _target_size(target: Node) -> float:
    return root_mean_square(target.value) if target.dtype.kind == "f" else 1.0


def _gain(layer: Layer) -> float:
    before = root_mean_square(layer.data.value) if layer.data.dtype.kind == "f" else 1.0
    return root_mean_square(layer.z.value) / before if before else 0.0


def _usual(layer: Layer) -> float:
    return math.sqrt(1.0 / max(1, int(np.prod(layer.weight.shape[:-1]))))


def quiet_start(course: Course) -> Iterator[Finding]:
    """Layers whose weights are so small that nothing of the input is left in the scores."""
    if not course.anatomies or course.finite[0] is not course.first:
        return
    anatomy, scores = course.anatomies[0], course.anatomies[0].scores
    faint = [
        (layer, gain)
        for layer in anatomy.layers
        if layer.weight.ndim > 1 and layer.data.dtype.kind == "f" and not _is_normed_next(anatomy, layer)
        if 0 < (gain := _gain(layer)) < FAINT
    ]
    last = course.early[-1].scores
    if len(faint) < 2 or scores is None or last is None or anatomy.floor is None:
        return
    inside = [gain for layer, gain in faint if layer is not anatomy.layers[-1]]
    if max(_spread(scores), _spread(last)) > HUSHED or math.prod(inside) > HUSHED:
        return
    steepest = min(math.log(gain) for _, gain in faint)
    deep = len(faint) > 3 and steepest > 0.5 * sum(math.log(gain) for _, gain in faint)
    yield _hushed(anatomy, scores, faint, deep)


def _hushed(anatomy: Anatomy, scores: Node, faint: list[tuple[Layer, float]], deep: bool) -> Finding:
    layer, gain = min(faint, key=lambda f: f[1])
    product = math.prod(g for _, g in faint)
    values = {
        other.weight: _times(other, _usual(other) * math.sqrt(2) / root_mean_square(other.weight.value))
        for other, _ in faint
    }
    spread = anatomy.observed.again(values).get(scores)
    each = f"each, {number_text(gain, 3)} at the least" if deep else f"{number_text(product, 3)} in all"
    return Finding(
        "vanishing_by_depth" if deep else "weights_too_small",
        f"{faint[0][0].name} to {faint[-1][0].name}" if deep else layer.path,
        f"{len(faint)} layers make what passes smaller, {each}: scores of different examples differ by "
        f"{number_text(_spread(scores))}",
        (
            f"a typical weight of {layer.path} is {number_text(root_mean_square(layer.weight.value))}; for its "
            f"number of inputs cr.nn.he_normal would draw {number_text(_usual(layer) * math.sqrt(2))}",
            "the gradient of each layer has the others as factors: all are tiny, and the loss stays at "
            f"{number_text(anatomy.observed.loss)}, that of equal scores",
        ),
        "draw weights by their number of inputs: cr.nn.he_normal, cr.nn.glorot_uniform; only the last layer may start "
        "small",
        0.93,
        ""
        if spread is None
        else f"with weights of that size a typical score is {number_text(root_mean_square(spread))}",
        layer.product.source,
    )


def loud_embedding(course: Course) -> Iterator[Finding]:
    """Embeddings so large that whatever reads them saturates."""
    if not course.early or course.began_solved:
        return
    anatomy = course.early[0]
    for layer in anatomy.layers:
        if layer.product.op is None or layer.product.op.name != "getitem" or _is_normed_next(anatomy, layer):
            continue
        size = root_mean_square(layer.z.value)
        if size < LOUD:
            continue
        small = _times(layer, 1 / size)
        yield Finding(
            "weights_too_large",
            layer.path,
            f"a typical embedding of {layer.name} is {number_text(size)}: the layers that read it are made for "
            "a size of 1",
            (f"the loss is {number_text(anatomy.observed.loss)}",),
            "draw embeddings with a deviation of 1 or less",
            0.88,
            "with embeddings of a size of 1 the loss is "
            f"{number_text(anatomy.observed.loss_with({layer.weight: small}))}",
            layer.product.source,
        )
        return


def _spread(scores: Node) -> float:
    """How much scores differ from example to example."""
    value = np.asarray(scores.value, np.float64)
    return root_mean_square(value - value.mean(axis=0, keepdims=True)) if value.ndim else 0.0


def _heavy(anatomy: Anatomy, layer: Layer, seen: str) -> Finding:
    observed = anatomy.observed
    weight, usual = root_mean_square(layer.weight.value), _usual(layer)
    gain = _gain(layer)
    after = observed.loss_with({layer.weight: _times(layer, usual / max(weight, 1e-30))})
    return Finding(
        "weights_too_large",
        layer.path,
        f"{layer.name} makes what it gets {number_text(gain, 3)} times as large: {seen}",
        (
            f"a typical weight is {number_text(weight)}; for its number of inputs {number_text(usual)} would be usual",
        ),
        "draw weights by their number of inputs: cr.nn.he_normal, cr.nn.glorot_uniform",
        0.92,
        f"with the weights of {layer.name} at that size the loss is {number_text(after)}",
        layer.product.source,
    )


def _exploding(anatomy: Anatomy, growing: list[tuple[Layer, float]], seen: str) -> Finding:
    observed = anatomy.observed
    each = 10 ** (sum(d for _, d in growing) / len(growing))
    again = len({layer.path for layer, _ in growing}) <= len(growing) // 2
    after = observed.loss_with(_tamed(growing))
    layer = growing[0][0]
    return Finding(
        "exploding_recurrence" if again else "exploding_by_depth",
        growing[-1][0].name if again else f"{layer.name} to {growing[-1][0].name}",
        f"{len(growing)} {'steps' if again else 'layers'} make what passes {number_text(each, 3)} times as "
        f"large each: {seen}",
        (
            f"a typical weight of {layer.name} is {number_text(root_mean_square(layer.weight.value))}; "
            f"cr.nn.he_normal would draw {number_text(_usual(layer) * math.sqrt(2))}",
            f"the gradient of {layer.path} is {number_text(_gradient_size(observed, layer))} in a typical element",
        ),
        "initialise so that layers keep the size of what passes: cr.nn.he_normal before relu, cr.nn.glorot_uniform "
        "before tanh; put norm layers between, and start residual branches small",
        0.95,
        f"with each of these weights made smaller by that factor the loss is {number_text(after)}",
        layer.product.source,
    )


def _gradient_size(observed: Observed, layer: Layer) -> float:
    gradient = observed.gradients.get(layer.path)
    return 0.0 if gradient is None else root_mean_square(gradient)


def _raw(anatomy: Anatomy, layer: Layer, seen: str) -> Finding:
    x = layer.data
    value = np.asarray(x.value)
    after = anatomy.observed.loss_with({x: _standardised(value)}) if x.dtype.kind == "f" else math.nan
    return Finding(
        "unnormalised_inputs",
        f"input of {layer.name}",
        f"a typical input is {number_text(root_mean_square(value))}, and weights are drawn for inputs of a size of 1",
        (seen, f"the inputs: {number_text(float(value.min()))} to {number_text(float(value.max()))}"),
        "bring each feature to mean 0 and deviation 1 with the training data's numbers, pixels to 0 ... 1",
        0.93,
        f"with each feature at mean 0 and deviation 1 the loss is {number_text(after)}",
        layer.product.source,
    )


def _standardised(value: Array) -> Array:
    """Each feature at mean 0 and deviation 1; those that do not vary at 0."""
    axes = tuple(range(value.ndim - 1))
    centred = value - value.mean(axis=axes, keepdims=True)
    deviation = value.std(axis=axes, keepdims=True)
    return np.where(deviation > 0, centred / np.where(deviation > 0, deviation, 1), 0).astype(value.dtype)


def uneven_inputs(course: Course) -> Iterator[Finding]:
    """Features of very different size that a product adds up: one rate of learning cannot serve them."""
    if not course.anatomies:
        return
    anatomy = course.anatomies[0]
    for layer in anatomy.layers:
        x = layer.data
        if x.inputs or x.dtype.kind != "f" or x.ndim < 2 or layer.product.op is None:
            continue
        if layer.product.op.name not in ("matmul", "conv2d", "einsum", "scan"):
            continue
        value = np.asarray(x.value, np.float64)
        if _is_normed_next(anatomy, layer) or value.shape[-1] < 1:
            continue
        sizes = np.sqrt(np.mean(np.square(value.reshape(-1, value.shape[-1])), axis=0))
        used = sizes[sizes > 0]
        if used.size and float(np.median(used)) > RAW and root_mean_square(value) > RAW:
            size = number_text(_gradient_size(anatomy.observed, layer))
            seen = f"the gradient of {layer.path} grows with them: {size}"
            yield _raw(anatomy, layer, seen)
            return
        finding = _dominated(anatomy, layer, value, sizes) if used.size > 1 else None
        if finding is not None:
            yield finding
            return


def _is_normed_next(anatomy: Anatomy, layer: Layer) -> bool:
    """Whether what the layer gives is normalised before anything else is done with it."""
    users = anatomy.observed.users.get(layer.z, [])
    return any(u.op is not None and u.op.name in ("var", "std") for u in users)


def _dominated(anatomy: Anatomy, layer: Layer, value: Array, sizes: Array) -> Finding | None:
    gradient = anatomy.observed.gradients.get(layer.path)
    if gradient is None or gradient.ndim != 2 or gradient.shape[0] != sizes.size:
        return None
    used = np.flatnonzero(sizes > 0)
    order = used[np.argsort(sizes[used])]
    largest, middle = float(sizes[order[-1]]), float(np.median(sizes[used]))
    smallest = float(sizes[order[0]])
    rows = np.sum(np.square(gradient.astype(np.float64)), axis=1)
    top = order[sizes[order] > largest / 10]
    share = float(rows[top].sum() / rows.sum()) if rows.sum() else 0.0
    rare = np.mean(value.reshape(-1, value.shape[-1]) != 0, axis=0)[order[0]] < 0.05
    reference = middle if top.size * 2 <= used.size and not rare else smallest
    if (
        largest / reference < SPREAD
        or share < 0.99
        or top.size == used.size
        or (rare and middle > largest / SPREAD)
    ):
        return None
    return Finding(
        "unnormalised_inputs",
        f"input of {layer.name}",
        f"feature {int(order[-1])} is {number_text(largest / reference, 3)} times as large as "
        + ("others" if reference == middle else f"feature {int(order[0])}"),
        (
            f"{share_text(share)} of the gradient of {layer.path} belongs to {count_text(top.size)} of "
            f"{count_text(used.size)} features",
            "the curvature goes with the square of these sizes: the step that the large ones allow does not move the "
            "others",
        ),
        "bring each feature to mean 0 and deviation 1 with the training data's numbers",
        0.9,
        source=layer.product.source,
    )
