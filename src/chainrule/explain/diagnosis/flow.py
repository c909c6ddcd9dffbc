"""Gradients that do not arrive: not finite, absent, zero, ever smaller with depth or time, ever larger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.autodiff.rules import pull
from chainrule.explain.diagnosis.anatomy import Layer
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import Observed, norm
from chainrule.explain.numbers import count_text, number_text, root_mean_square
from chainrule.explain.reasons.asking import answer
from chainrule.explain.reasons.cut import cancelling
from chainrule.explain.reasons.passes import Passes
from chainrule.explain.reasons.question import about
from chainrule.explain.reasons.reason import Reason
from chainrule.explain.reasons.sizes import radius_text, verdict_on_size
from chainrule.explain.reasons.zeros import verdict_on_cancelling
from chainrule.modes import recording
from chainrule.node import Node, constant
from chainrule.primitive import Array

LOST = 1e-4
"""A layer whose relative pull on the loss is this much smaller than the strongest one's has lost it."""
LOST_BY_DEPTH = 1e-3
"""The same where many layers alike lose it step by step."""
UNMOVED = 1e-6
"""If doubling any layer changes the loss by less than this part of it, no layer matters to it."""
UNHEARD = 1e-8
"""Below the rounding of float32: beside the last steps' part of a gradient the first steps' part is lost."""
CONTRACTS = 0.5
"""A step that leaves less than half of what it gets forgets within a few steps, by its weights and not by chance."""
BLOWN = 1e4
"""Growth over a sequence that no clipping or rate of learning makes up for."""
LONG = 12
"""Steps from which a loop is a recurrence worth looking at."""
RISING = 3.0
"""A loss that has grown by more before it is no longer finite was driven there by updates."""
MOST_ASKED = 6


def not_finite(course: Course) -> Iterator[Finding]:
    """The first pass with NaN or an infinity, and why."""
    wrong = next((p for p in course.passes if not p.is_finite), None)
    if wrong is None:
        return
    reason = answer(about(wrong.result, tuple(wrong.parameters.values()), course.words_of(wrong)))
    number = list(course.passes).index(wrong)
    grown = _growth(course, number)
    if number > 0 and grown is not None:
        yield Finding(
            "learning_rate_too_high",
            "the update",
            grown,
            (f"in the end {reason.seen}: {reason.explanation}",),
            "lower the learning rate to a tenth, warm it up, or clip gradients by norm",
            0.9,
        )
        return
    yield finding_of(reason, 0.97 if reason.proof and reason.proof.cured else 0.85)


def _growth(course: Course, number: int) -> str | None:
    """How the loss has grown before it; None if it has not: then a formula is to blame."""
    first, before = course.first, course.passes[number - 1]
    if before.update is not None:
        moved, size = norm(before.update.values()), norm(n.value for n in before.parameters.values())
        if moved > size > 0:
            return (
                f"an update of norm {number_text(moved)} was added to parameters of norm {number_text(size)}"
            )
    if not np.isfinite(before.loss) or before.loss <= RISING * abs(first.loss):
        return None
    return f"updates took the loss from {number_text(first.loss)} to {number_text(before.loss)}, then it was not finite"


def finding_of(reason: Reason, confidence: float, extra: Sequence[str] = ()) -> Finding:
    """What `why` says, as a finding."""
    kind = reason.cause if reason.cause not in ("unknown", "none") else reason.symptom
    proof = f"with {reason.proof.change}: {reason.proof.after}" if reason.proof else ""
    where = reason.variable if not reason.node or reason.node == reason.variable else reason.node
    return Finding(
        kind,
        where,
        reason.explanation,
        (reason.seen, *reason.evidence, *extra),
        reason.remedy or "look at the operands above",
        confidence,
        proof,
        reason.source,
    )


def silent_parameters(course: Course) -> Iterator[Finding]:
    """Parameters without any gradient in all passes, by cause."""
    if not course.finite:
        return
    first = course.finite[0]
    silent = [path for path in first.parameters if all(_is_silent(p, path) for p in course.finite)]
    if not silent:
        return
    words = course.words_of(first)
    groups: dict[tuple[str, str], tuple[Reason, list[str]]] = {}
    rest: list[str] = []
    for path in silent:
        if len(groups) >= MOST_ASKED:
            rest.append(path)
            continue
        # alone: beside others a gradient that is absent would come before one that is zero
        asked = about(first.result, (first.parameters[path],), words, whole=True)
        reason = answer(asked)
        if _is_harmless(first, path, reason):
            continue
        key = reason.cause, reason.node if reason.cause not in ("not_used",) else ""
        groups.setdefault(key, (reason, []))[1].append(path)
    for reason, paths in groups.values():
        others = [*paths[1:], *rest]
        extra = [f"the same holds for {_some(others)}"] if others else []
        sure = reason.proof is not None and reason.proof.cured
        yield finding_of(reason, 0.95 if sure or reason.cause == "not_used" else 0.8, extra)


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:5])
    return shown + (f" and {count_text(len(paths) - 5)} more" if len(paths) > 5 else "")


def _is_silent(observed: Observed, path: str) -> bool:
    gradient = observed.gradients.get(path)
    return gradient is None or not gradient.any()


def _is_harmless(observed: Observed, path: str, reason: Reason) -> bool:
    """A shift that what follows takes out again, as a bias before a norm layer; or a margin that all examples keep."""
    if reason.cause == "clipped" and observed.loss == 0:
        return True
    cancels = reason.cause in ("cancelling_paths", "stationary_point", "unknown")
    return cancels and observed.parameters[path].ndim <= 1


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """How much a layer's relative change moves the loss: |gradient| times |weight|."""

    layer: Layer
    size: float


def pulls(course: Course, observed: Observed) -> list[Pull]:
    """Of each layer with a matrix or kernel, in order of computation."""
    found: list[Pull] = []
    seen: set[str] = set()
    for layer in course.anatomy(observed).layers:
        gradient = observed.gradients.get(layer.path)
        if gradient is None or layer.weight.ndim < 2 or layer.path in seen:
            continue
        seen.add(layer.path)
        found.append(Pull(layer, norm([gradient]) * norm([layer.weight.value])))
    return found


def faint_layers(course: Course) -> Iterator[Finding]:
    """Layers that the gradient hardly reaches, or reaches much too strongly, against the others."""
    if not course.finite or course.is_solved:
        return
    first = course.finite[0]
    sizes = pulls(course, first)
    strong = max((p.size for p in sizes), default=0.0)
    heard = [p for p in sizes if p.size > 0]
    if len(heard) < 2:
        return
    weakest = min(heard, key=lambda p: p.size)
    if strong < UNMOVED * abs(first.loss):
        yield from _cancelled(course, first, heard)
        return
    if weakest.size > LOST_BY_DEPTH * strong:
        return
    later = pulls(course, course.last)
    still = next((p.size for p in later if p.layer.path == weakest.layer.path), weakest.size)
    if still > LOST_BY_DEPTH * max(p.size for p in later):
        return
    words = course.words_of(first)
    passes = Passes(first.result, weakest.layer.weight)
    if passes.gradient is None:
        return
    whole = np.ones(weakest.layer.weight.shape, bool)
    cancelled = cancelling(passes, whole) if weakest.size < LOST * strong else None
    if cancelled is not None:
        verdict = verdict_on_cancelling(cancelled, words)
    else:
        verdict = verdict_on_size(passes, whole, words, True)
    by_depth = verdict.kind in ("vanishing_by_depth", "vanishing_recurrence")
    if verdict.kind == "averaged" or (not by_depth and weakest.size > LOST * strong):
        return
    where = _span(heard) if by_depth else words.name(verdict.node)
    ratio = weakest.size / strong
    seen = f"|gradient| · |weight| of {weakest.layer.path} is {number_text(ratio)} of the largest, that of "
    seen += next(p.layer.path for p in sizes if p.size == strong)
    yield Finding(
        verdict.kind,
        where,
        verdict.text,
        (seen, *verdict.evidence),
        verdict.remedy,
        0.93 if by_depth else 0.8,
        source=verdict.node.source,
    )


def _cancelled(course: Course, first: Observed, heard: Sequence[Pull]) -> Iterator[Finding]:
    """The sum in which everything cancels where no layer moves the loss; else it has found its lowest point."""
    words = course.words_of(first)
    for one in heard:
        passes, whole = Passes(first.result, one.layer.weight), np.ones(one.layer.weight.shape, bool)
        found = None if passes.gradient is None else cancelling(passes, whole)
        if found is not None:
            verdict = verdict_on_cancelling(found, words)
            yield Finding(
                verdict.kind,
                words.name(verdict.node),
                verdict.text,
                (
                    f"doubling the weights of any layer changes the loss by less than {number_text(UNMOVED)} of it",
                    *verdict.evidence,
                ),
                verdict.remedy,
                0.9,
                source=verdict.node.source,
            )
            return


def _span(heard: Sequence[Pull]) -> str:
    return f"{heard[0].layer.name} to {heard[-1].layer.name}"


def recurrences(course: Course) -> Iterator[Finding]:
    """Loops whose steps shrink or stretch what flows back through them, by the same factor again and again."""
    for observed in course.finite[:1]:
        for name, sizes, radius, node in _over_time(course, observed):
            finding = _course_of(name, sizes, radius, node)
            if finding is not None:
                yield finding
                return


def _over_time(course: Course, observed: Observed) -> Iterator[tuple[str, Array, tuple[str, ...], Node]]:
    """For each recurrence: name, size of the upstream gradient at each step, a note on its matrix, the node."""
    anatomy = course.anatomy(observed)
    for node in observed.order:
        if node.op is not None and node.op.name == "scan" and node in observed.deltas:
            sizes = _scan_sizes(node, observed.deltas[node])
            if sizes is not None:
                own = [x for x in node.inputs if x in anatomy.pure]
                name = anatomy.pure[own[0]].rpartition(".")[0] if own else "scan"
                yield name or "scan", sizes, radius_text(own), node
    uses: dict[str, list[Layer]] = {}
    for layer in anatomy.layers:
        uses.setdefault(layer.path, []).append(layer)
    for path, found in uses.items():
        if len(found) < LONG or not _is_chained(observed, found):
            continue
        deltas = [observed.deltas.get(layer.z, observed.deltas.get(layer.product)) for layer in found]
        sizes = np.array([0.0 if d is None else root_mean_square(d) for d in deltas])
        yield path, sizes, radius_text([found[0].weight]), found[0].product


def _is_chained(observed: Observed, found: Sequence[Layer]) -> bool:
    reached = {found[0].product, *observed.behind([found[0].product])}
    return all(layer.data in reached for layer in found[1:])


def _scan_sizes(node: Node, delta: Array) -> Array | None:
    """Size of what flows back to each step's own input."""
    length = int(node.params.get("length", 0))
    wanted = [x.ndim > 1 and x.shape[0] == length and x.dtype.kind == "f" for x in node.inputs]
    if length < LONG or not any(wanted):
        return None
    with recording(False):
        pulled = pull(node, constant(delta), wanted)
    found = [p.array() for p, w in zip(pulled, wanted, strict=True) if w and p is not None]
    if not found:
        return None
    return np.sqrt(sum(np.mean(np.square(f.astype(np.float64)).reshape(length, -1), axis=1) for f in found))


def _course_of(name: str, sizes: Array, radius: tuple[str, ...], node: Node) -> Finding | None:
    steps = len(sizes)
    if steps < LONG or not np.isfinite(sizes).all() or not sizes.any():
        return None
    half = sizes[: steps // 2]
    strongest = int(sizes.argmax())
    live = np.flatnonzero(sizes > 0)
    slope = float(np.polyfit(live, np.log10(sizes[live]), 1)[0]) if live.size > 2 else 0.0
    each = 10**-slope
    evidence = [
        f"from the last step to the first the gradient goes from {number_text(float(sizes[-1]))} to "
        f"{number_text(float(sizes[0]))}"
    ]
    evidence += radius
    if strongest < steps // 4 and sizes[strongest] > BLOWN * float(np.median(sizes[-max(3, steps // 8) :])):
        return Finding(
            "exploding_recurrence",
            name,
            f"each of {steps} steps of {name} multiplies the gradient by about {number_text(each, 3)}",
            tuple(evidence),
            "clip gradients by norm (cr.optim.clip_by_norm), start from an orthogonal matrix, use cr.nn.LSTM or "
            "GRU, or shorter sequences",
            0.93,
            source=node.source,
        )
    first = float(sizes[:2].max())
    contracts = each < CONTRACTS and first < UNHEARD * float(sizes.max())
    if contracts or (steps >= 2 * LONG and float(half.max()) < UNHEARD * float(sizes.max())):
        return Finding(
            "vanishing_recurrence",
            name,
            f"each of {steps} steps of {name} multiplies the gradient by about {number_text(each, 3)}: the first "
            "steps are not heard at all",
            (
                *evidence,
                f"the first step's part is {number_text(first / float(sizes.max()))} of the largest, less than "
                "float32 keeps when it adds them",
            ),
            "use cr.nn.LSTM or GRU with a forget bias of 1, start from an orthogonal matrix, or let the loss look "
            "at more than the last step",
            0.85,
            source=node.source,
        )
    return None
