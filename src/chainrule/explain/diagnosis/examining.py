"""All detectors over a course, and causes without their consequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.explain.diagnosis import flow, goals, leaks, rules, starts, structure, units, updates
from chainrule.explain.diagnosis.anatomy import Anatomy, Layer
from chainrule.explain.diagnosis.course import Course, Detector
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed, norm
from chainrule.explain.diagnosis.report import LayerNumbers, Noise, Report, Stretch
from chainrule.explain.numbers import root_mean_square
from chainrule.node import Node, constant
from chainrule.primitive import Array

_DETECTORS: tuple[Detector, ...] = (
    flow.not_finite,
    rules.wrong_rules,
    rules.untold_layers,
    structure.broadcast_targets,
    structure.double_softmax,
    structure.mixed_samples,
    leaks.sees_the_answer,
    structure.unreachable_targets,
    goals.uphill_loss,
    leaks.copies_its_input,
    leaks.leaked_label,
    leaks.leaked_target,
    goals.strange_labels,
    goals.moved_targets,
    goals.strange_probabilities,
    goals.ignored_examples,
    goals.deaf_examples,
    goals.averaged_twice,
    goals.sorted_batches,
    updates.gradients_accumulate,
    starts.symmetric_units,
    starts.uneven_inputs,
    starts.loud_start,
    starts.quiet_start,
    starts.loud_embedding,
    units.normalised_noise,
    units.dead_units,
    units.saturated_units,
    units.shut_gates,
    units.clamped_features,
    units.never_selected,
    flow.silent_parameters,
    flow.recurrences,
    flow.faint_layers,
    structure.no_nonlinearity,
    updates.decay_wins,
    updates.steps_too_long,
    updates.steps_too_short,
    updates.steps_that_fade,
    goals.summed_loss,
)
"""From what is certain to what might be a consequence of it."""

_EXPLAINS: dict[str, frozenset[str]] = {
    "wrong_rule": frozenset({"learning_rate_too_high", "learning_rate_too_low", "uphill"}),
    "uphill": frozenset({"learning_rate_too_high", "learning_rate_too_low", "saturated", "dead_relu"}),
    "broadcast_targets": frozenset({"uphill", "loss_summed", "learning_rate_too_low"}),
    "double_softmax": frozenset({"learning_rate_too_low", "unreachable_targets", "saturated"}),
    "unreachable_targets": frozenset({"saturated", "dead_relu", "weights_too_large", "unnormalised_inputs"}),
    "samples_mixed": frozenset({"uphill", "clipped", "learning_rate_too_low", "saturated"}),
    "weights_too_small": frozenset(
        {"learning_rate_too_low", "small_weights", "vanishing_by_depth", "rounded_away", "dead_relu"}
    ),
    "zero_weights": frozenset(
        {"times_zero", "zero", "learning_rate_too_low", "stationary_point", "dead_relu"}
    ),
    "symmetric_initialisation": frozenset(
        {
            "zero",
            "zero_weights",
            "stationary_point",
            "times_zero",
            "never_selected",
            "learning_rate_too_low",
            "dead_relu",
            "flat",
        }
    ),
    "unnormalised_inputs": frozenset(
        {
            "weights_too_large",
            "exploding_by_depth",
            "saturated",
            "dead_relu",
            "learning_rate_too_high",
            "uphill",
            "learning_rate_too_low",
            "clipped",
            "loss_summed",
        }
    ),
    "weights_too_large": frozenset({"saturated", "dead_relu", "learning_rate_too_high", "never_selected"}),
    "exploding_by_depth": frozenset(
        {"rounded_away", "weights_too_large", "saturated", "learning_rate_too_high", "dead_relu"}
    ),
    "exploding_recurrence": frozenset({"learning_rate_too_high", "saturated", "weights_too_large"}),
    "vanishing_by_depth": frozenset(
        {"rounded_away", "learning_rate_too_low", "saturated", "dead_relu", "weights_too_small"}
    ),
    "vanishing_recurrence": frozenset({"rounded_away", "learning_rate_too_low"}),
    "dead_relu": frozenset(
        {
            "rounded_away",
            "dead_relu",  # of parameters that are silent because of it
            "vanishing_by_depth",
            "learning_rate_too_low",
            "small_factor",
            "batch_norm_constant",
            "times_zero",
            "zero_weights",
        }
    ),
    "saturated": frozenset(
        {
            "rounded_away",
            "vanishing_by_depth",
            "learning_rate_too_low",
            "weights_too_large",
            "small_factor",
            "small_weights",
        }
    ),
    "batch_norm_constant": frozenset(
        {"cancelling_paths", "dead_relu", "flat", "stationary_point", "zero", "times_zero"}
    ),
    "loss_averaged_twice": frozenset({"learning_rate_too_low"}),
    "loss_summed": frozenset({"learning_rate_too_high"}),
    "gradients_accumulate": frozenset({"learning_rate_too_high", "uphill"}),
    "sorted_batches": frozenset({"learning_rate_too_high"}),
    "weight_decay_too_strong": frozenset({"learning_rate_too_high", "learning_rate_too_low", "uphill"}),
    "clipped": frozenset({"learning_rate_too_low", "dead_relu", "clipped"}),
    "no_grad": frozenset({"no_grad"}),  # one block, whatever the number of layers in it
    "cancelling_paths": frozenset({"times_zero", "small_factor"}),
    "never_selected": frozenset({"learning_rate_too_low"}),
    "wrong_targets": frozenset({"learning_rate_too_low", "uphill"}),
}
"""What a cause brings with it, and is not found beside it."""
_NOISE_EXAMPLES = 8


def examine(course: Course, seen: Callable[[str], object] = lambda name: None) -> Report:
    """Ask every detector, and keep the causes.

    Args:
        course: what was seen of the training.
        seen: called with what is looked for, before each search.
    """
    found: list[Finding] = []
    for detector in _DETECTORS:
        seen(f"looking for {detector.__name__.replace('_', ' ')}")
        found += detector(course)
    return Report(
        causes(found),
        tuple(course.losses),
        course.anatomies[0].floor if course.anatomies else None,
        tuple(_numbers(course, layer) for layer in course.anatomies[0].layers) if course.anatomies else (),
        _noise(course.anatomies[0]) if course.anatomies else None,
        _stretches(course),
        sum(n.size for n in course.first.parameters.values()),
    )


def causes(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that no other one explains, the surest first. Of two that explain each other the one found first stays."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in found:
        if not any(finding.kind in _EXPLAINS.get(other.kind, ()) for other in kept.values()):
            kept.setdefault((finding.kind, finding.where), finding)
    final = [
        finding
        for i, finding in enumerate(kept.values())
        if not any(
            finding.kind in _EXPLAINS.get(other.kind, ())
            and (j < i or other.kind not in _EXPLAINS.get(finding.kind, ()))
            for j, other in enumerate(kept.values())
        )
    ]
    return tuple(sorted(final, key=lambda f: -f.confidence))


def _numbers(course: Course, layer: Layer) -> LayerNumbers:
    observed = course.finite[0]
    gradient, delta = observed.gradients.get(layer.path), observed.deltas.get(layer.z)
    weight = root_mean_square(layer.weight.value)
    moved = None if observed.update is None else observed.update.get(layer.path)
    return LayerNumbers(
        layer.name,
        root_mean_square(layer.z.value),
        0.0 if delta is None else root_mean_square(delta),
        units.share_off(layer.a),
        0.0 if gradient is None else root_mean_square(gradient),
        weight,
        None if moved is None or not weight else root_mean_square(moved) / weight,
    )


def _stretches(course: Course) -> tuple[Stretch, ...]:
    observed = next((p for p in course.finite if p.update is not None), None)
    if observed is None or observed.update is None:
        return ()
    slope = observed.slope(observed.update)
    return tuple(
        Stretch(length, length * slope, observed.loss_along(observed.update, length) - observed.loss)
        for length in (0.1, 1.0, 10.0, 100.0)
    )


def _noise(anatomy: Anatomy) -> Noise | None:
    """From the gradients of some examples' terms of the loss; None if it has none."""
    observed, node = anatomy.observed, anatomy.examples
    n = anatomy.batch
    if node is None or n < 4 or node not in observed.deltas or sum(x.size for x in observed.order) > 5e7:
        return None
    picked = np.linspace(0, n - 1, min(n, _NOISE_EXAMPLES)).round().astype(int)
    whole = norm(observed.gradients.values())
    # of what examples bring alone: a penalty on the weights is in the gradient, and no noise
    mean = _through_examples(observed, node, observed.deltas[node])
    distances: list[float] = []
    for i in picked:
        seed = np.zeros(node.shape, node.dtype)
        seed[i] = observed.deltas[node][i] * n
        own = _through_examples(observed, node, seed)
        distances.append(norm(o - m for o, m in zip(own, mean, strict=True)))
    if not whole or not all(map(math.isfinite, distances)):
        return None
    variance = float(np.mean(np.square(distances)))
    return Noise(len(picked), math.sqrt(variance) / whole, variance / whole**2)


def _through_examples(observed: Observed, node: Node, seed: Array) -> list[Array]:
    """The gradients that such an upstream gradient of the examples' losses brings."""
    parameters = list(observed.parameters.values())
    pulled = pullback([node], [constant(seed)], parameters, record=False)
    return [
        np.zeros(p.shape, p.dtype) if g is None else g.array()
        for g, p in zip(pulled, parameters, strict=True)
    ]
