"""Steps that are too long, too short, or in the wrong direction: the loss along the update that is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.goals import summed
from chainrule.explain.diagnosis.observed import Observed, norm
from chainrule.explain.numbers import count_text, number_text, share_text
from chainrule.node import leaf
from chainrule.optim import Optimizer, constant
from chainrule.primitive import Array

RISE = 0.02
"""A rise of the loss below this part of it is noise of an otherwise good step."""
LEAP = 1.5
"""A first update that makes the loss this many times larger is too long."""
FAR_WORSE = 5.0
"""A first update that makes the loss this many times that of equal scores, and of what it was."""
MANY = 100
"""Steps of the same kind that are looked ahead to call a step too short."""
STRAIGHT = 0.8
"""Share of the first-order prediction that must come true for a stretch to count as straight."""
FADED = 1e-3
"""Updates that are this part of the first ones."""
NOTHING = 0.05
"""A fall of the loss by less than this part of it in `MANY` steps is no learning."""
_LOOKED_AT = (*range(0, 1000, 25), 1000, 2000, 5000, 10_000)
"""Updates whose learning rates are asked for, to know the highest one: longer warm-ups are no warm-ups."""
PULL = 0.5
"""Decay that pulls with this part of the gradient's push, from the start on, takes back what is learned."""


def steps_too_long(course: Course) -> Iterator[Finding]:
    """Updates along which the loss rises, though it falls at a tenth of them; or turned the wrong way altogether."""
    moved = [p for p in course.finite if p.update is not None and any(u.any() for u in p.update.values())]
    if not course.given or not moved:
        return
    turned = [p for p in moved if p.slope(_of(p)) > 0]
    if len(turned) > 0.7 * len(moved) and _slope_is_real(turned):
        yield _uphill(turned[0])
        return
    tried = [(p, p.loss_along(_of(p), 1.0)) for p in moved]
    rising = [(p, one) for p, one in tried if not one <= p.loss + RISE * abs(p.loss)]
    falls = [(p, one, part, less) for p, one in rising for part, less in [_falling(p)] if part]
    often = len(rising) >= 0.5 * len(moved) and _end(course) >= 0.8 * course.losses[0]
    leaps = any(_leaps(course, after, p is moved[0]) for p, after in rising)
    if not (often or leaps) or not falls or (often and len(falls) < 0.5 * len(rising)):
        return
    observed, one, part, less = falls[0]
    n = course.anatomy(observed).batch
    if n >= 8:
        mean = observed.loss_along(_of(observed), 1.0 / n)
        found = summed(
            course.anatomy(observed),
            0.95,
            f"the update takes the loss from {number_text(observed.loss)} to {number_text(one)}; a step made of the "
            f"mean, {n} times shorter, to {number_text(mean)}",
        )
        if found is not None and mean < observed.loss and _goes_with_gradient(course.optimizer):
            yield found
            return
    update, weights = norm(_of(observed).values()), norm(n.value for n in observed.parameters.values())
    rate = "" if observed.rate is None else f" of {number_text(observed.rate)}"
    yield Finding(
        "learning_rate_too_high",
        "the update",
        f"with this learning rate{rate} an update takes the loss, on the very batch that it was made for, from "
        f"{number_text(observed.loss)} to {number_text(one)}",
        (
            f"it does so in {len(rising)} of {len(moved)} updates that were looked at",
            f"an update is {share_text(update / weights if weights else float('inf'))} of the parameters' norm",
            f"the loss went from {number_text(course.losses[0])} to {number_text(_end(course))} in "
            f"{count_text(len(course.losses))} passes",
        ),
        "lower the learning rate" + ("" if observed.rate is None else f": {observed.rate * part:g} or less"),
        0.93,
        f"{number_text(part)} of the same update takes the loss to {number_text(less)}",
    )


def _leaps(course: Course, after: float, is_first: bool) -> bool:
    """Whether one update does lasting harm: it leaves the network far worse than one that says nothing; or it is the
    first, makes the loss leap, and nothing is learned after it, as units that it has switched off stay so."""
    start, floor = abs(course.losses[0]), course.anatomies[0].floor
    if floor is None or not after > LEAP * start:
        return False
    nothing_learned = _end(course) >= 0.95 * min(start, floor)
    return after > FAR_WORSE * max(start, floor) or (is_first and nothing_learned)


def _falling(observed: Observed) -> tuple[float, float]:
    """The largest part of the update along which the loss falls, and where to; 0 if it falls along none."""
    for part in (0.1, 0.01, 0.001):
        less = observed.loss_along(_of(observed), part)
        if less < observed.loss:
            return part, less
    return 0.0, observed.loss


def _of(observed: Observed) -> Mapping[str, Array]:
    assert observed.update is not None
    return observed.update


def _end(course: Course) -> float:
    """The loss in the end: the median of the last few passes."""
    return float(np.median(course.losses[-max(1, min(5, len(course.losses) // 2)) :]))


def _goes_with_gradient(optimizer: Optimizer | None) -> bool:
    """Whether a larger gradient makes a larger step."""
    return optimizer is None or optimizer.name in ("gradient_descent", "momentum", "nesterov")


def _slope_is_real(turned: list[Observed]) -> bool:
    """Whether the update points up the slope clearly, not by the momentum of a moment."""
    cosines = []
    for p in turned:
        size = norm(p.gradients.values()) * norm(_of(p).values())
        cosines.append(p.slope(_of(p)) / size if size else 0.0)
    return float(np.median(cosines)) > 0.05


def _uphill(observed: Observed) -> Finding:
    up = observed.loss_along(_of(observed), 0.1)
    return Finding(
        "uphill",
        "the update",
        "updates go up the slope: each is added along the gradient instead of against it",
        (
            f"gradient times update is {number_text(observed.slope(_of(observed)))}, and should be negative",
            f"a tenth of the update takes the loss from {number_text(observed.loss, 6)} to {number_text(up, 6)}",
        ),
        "subtract: parameter - learning_rate * gradient; and minimise the loss, not its negative",
        0.96,
        f"a tenth of the update turned round takes it to {number_text(observed.loss_along(_of(observed), -0.1), 6)}",
    )


def steps_too_short(course: Course) -> Iterator[Finding]:
    """Updates so short that the loss would still fall in a straight line after a hundred of them, and by nothing."""
    moved = [p for p in course.finite if p.update is not None and p.rate != 0]
    if not course.given or not moved or course.is_solved:
        return
    observed = moved[0]
    steps = [_at_full_rate(course, p) for p in moved]
    rounded = _rounded_away(course, moved)
    if rounded is not None and course.optimizer is not None:
        exact = [_exact(course.optimizer, p) for p in moved]
        if _is_short(observed, exact[0]):
            rounded, steps = None, exact  # nothing would be learned if all digits were kept
        elif observed.rate is not None and observed.rate < 0.1 * _peak(course.optimizer):
            return  # a warm-up, whose first steps are lost and no later ones
    if rounded is not None:
        yield rounded
        return
    step = steps[0]
    if not any(u.any() for u in step.values()) or observed.loss <= 0:
        return
    if not all(_is_short(p, one) for p, one in zip(moved, steps, strict=True)):
        return
    predicted = -MANY * observed.slope(step)
    actual = observed.loss - observed.loss_along(step, MANY)
    free = _without_clipping(course.optimizer, observed)
    if free is not None and not _is_short(observed, free):
        yield _clipped(course, observed, step, free)
        return
    longer = _longer(observed, step)
    if not longer:
        return  # steps ten times as long as those hundred would overshoot: the rate has its order of magnitude
    rate = "" if observed.rate is None else f" of {number_text(observed.rate)}"
    update, weights = norm(step.values()), norm(n.value for n in observed.parameters.values())
    yield Finding(
        "learning_rate_too_low",
        "the update",
        f"with this learning rate{rate} {MANY} updates would lower the loss of {number_text(observed.loss)} by "
        f"{number_text(actual)}",
        (
            f"the first-order prediction is {number_text(predicted)}: after {MANY} steps the loss still falls in a "
            "straight line, so steps could be longer",
            f"an update is {number_text(update / weights if weights else 0.0)} of the parameters' norm; about "
            "0.001 is usual",
        ),
        "raise the learning rate tenfold, until the loss no longer falls as predicted",
        0.9,
        longer,
    )


def steps_that_fade(course: Course) -> Iterator[Finding]:
    """Updates that have become nothing long before anything was learned: a schedule that falls too fast."""
    moved = [p for p in course.finite if p.update is not None]
    if not course.given or len(course.losses) < 40 or len(moved) < 8 or course.is_solved:
        return
    sizes = [norm(_of(p).values()) for p in moved]
    # of the passes that were kept most are early ones: half of the way in time is not far from their end
    half = next((i for i, p in enumerate(moved) if course.number_of(p) >= len(course.losses) // 2), None)
    if (
        half is None
        or not max(sizes[:3])
        or max(sizes[half:]) > FADED * max(sizes[:3])
        or _end(course) < 0.5 * course.losses[0]
    ):
        return
    late = moved[half]
    rate = "" if late.rate is None else f" The learning rate was {number_text(late.rate)} there."
    yield Finding(
        "learning_rate_too_low",
        "the update",
        f"updates fade: half of the way they are {number_text(sizes[half] / max(sizes[:3]))} of the first ones, and "
        f"the loss is still {number_text(late.loss)}",
        (
            f"the norm of an update goes from {number_text(sizes[0])} to {number_text(sizes[-1])}.{rate}",
            f"the norm of the gradient is {number_text(norm(late.gradients.values()))}: there is something to learn",
        ),
        "let the learning rate fall more slowly: by epochs and not by steps, or with cr.optim.cosine over all updates",
        0.85,
    )


def _is_short(observed: Observed, step: Mapping[str, Array]) -> bool:
    predicted = -MANY * observed.slope(step)
    if not 0 <= predicted < NOTHING * abs(observed.loss):
        return False
    actual = observed.loss - observed.loss_along(step, MANY)
    resolution = 1e-6 * abs(observed.loss)
    return actual >= STRAIGHT * predicted - resolution


def _longer(observed: Observed, step: Mapping[str, Array]) -> str:
    tried = [(k * MANY, observed.loss_along(step, k * MANY)) for k in (10, 100, 1000)]
    best = min((t for t in tried if np.isfinite(t[1])), key=lambda t: t[1], default=None)
    if best is None or best[1] >= observed.loss_along(step, MANY):
        return ""
    return f"one step {count_text(best[0])} times as long takes the loss to {number_text(best[1])}"


def _at_full_rate(course: Course, observed: Observed) -> Mapping[str, Array]:
    """The update as it would be at the highest rate of the schedule: a warm-up begins with almost nothing."""
    optimizer, rate = course.optimizer, observed.rate
    if optimizer is None or not rate:
        return _of(observed)
    peak = _peak(optimizer)
    return {path: u * (peak / rate) for path, u in _of(observed).items()} if peak > rate else _of(observed)


def _peak(optimizer: Optimizer) -> float:
    """The highest learning rate of its schedule, as far as it is looked at."""
    return max(optimizer.learning_rate_at(u) for u in _LOOKED_AT)


def _exact(optimizer: Optimizer, observed: Observed) -> Mapping[str, Array]:
    """What a fresh optimizer would add at its highest rate, with nothing rounded."""
    return _fresh(dataclasses.replace(optimizer, schedule=constant(_peak(optimizer))), observed)


def _without_clipping(optimizer: Optimizer | None, observed: Observed) -> Mapping[str, Array] | None:
    return (
        None
        if optimizer is None or not optimizer.clipping
        else _fresh(dataclasses.replace(optimizer, clipping=()), observed)
    )


def _fresh(optimizer: Optimizer, observed: Observed) -> Mapping[str, Array]:
    """What a fresh optimizer would add to the parameters, in float64, which rounds none of it away."""
    values = {path: leaf(np.asarray(node.value, np.float64)) for path, node in observed.parameters.items()}
    gradients: dict[str, Any] = {
        path: np.zeros(node.shape) if (g := observed.gradients[path]) is None else g.astype(np.float64)
        for path, node in observed.parameters.items()
    }
    after, _ = optimizer.update(gradients, optimizer.init(values), values)
    return {
        path: after[path].numpy() - np.asarray(node.value, np.float64)
        for path, node in observed.parameters.items()
    }


def _clipped(
    course: Course, observed: Observed, step: Mapping[str, Array], free: Mapping[str, Array]
) -> Finding:
    assert course.optimizer is not None
    shorter = norm(free.values()) / max(norm(step.values()), 1e-30)
    limits = ", ".join(f"by {c.by} to {number_text(c.limit)}" for c in course.optimizer.clipping)
    return Finding(
        "clipping_too_tight",
        "the update",
        f"gradients of norm {number_text(norm(observed.gradients.values()))} are clipped {limits}: updates are "
        f"{number_text(shorter, 3)} times shorter than the learning rate says",
        (
            f"{MANY} of these updates would lower the loss of {number_text(observed.loss)} by "
            f"{number_text(observed.loss - observed.loss_along(step, MANY))}",
        ),
        "clip at a few times the usual norm of the gradient, so that only outliers are cut",
        0.93,
        f"one update without clipping takes the loss to {number_text(observed.loss_along(free, 1.0))}",
    )


def _rounded_away(course: Course, moved: list[Observed]) -> Finding | None:
    """Parameters that do not move at all, since the update is less than the spacing of their numbers."""
    for path, node in moved[0].parameters.items():
        lost: list[float] = []
        for p in moved:
            gradient, update = p.gradients.get(path), _of(p).get(path)
            if gradient is None or update is None or not gradient.any() or p.rate == 0:
                break
            lost.append(float(np.mean(update[gradient != 0] == 0)))
        if len(lost) < len(moved) or min(lost, default=0.0) < 0.9:
            continue
        gradient = moved[0].gradients[path]
        assert gradient is not None
        steep = float(np.median(np.abs(gradient[gradient != 0])))
        value = np.asarray(node.value)
        spacing = float(np.median(np.spacing(np.abs(value))))
        if min(lost) == 1 and _expected(course, moved[0], steep) > spacing:
            continue  # it is not among what the program updates
        return Finding(
            "rounded_away",
            path,
            f"{share_text(min(lost))} of {path} does not move: an update is less than the spacing of {node.dtype.name} "
            "there",
            (
                f"a typical value is {number_text(float(np.median(np.abs(value))))}, the next number lies "
                f"{number_text(spacing)} away",
                f"its gradient is not 0: {number_text(steep)} in a typical element",
            ),
            "subtract what is large and known from the data and learn the rest, use float64 for this parameter, or "
            "a larger learning rate",
            0.93,
        )
    return None


def _expected(course: Course, observed: Observed, steep: float) -> float:
    """The update of an element with such a derivative if it were treated as those of other parameters are."""
    updates = {path: u for path, u in _of(observed).items() if u.any()}
    size = norm(updates.values())
    if not _goes_with_gradient(course.optimizer):
        return size / np.sqrt(sum(u.size for u in updates.values())) if updates else 0.0
    steepness = norm(observed.gradients[path] for path in updates)
    return steep * size / steepness if steepness else 0.0


def decay_wins(course: Course) -> Iterator[Finding]:
    """Weight decay that pulls harder than the gradient pushes, in the optimizer or as a penalty in the loss."""
    if not course.finite or course.is_solved:
        return
    observed, optimizer = course.finite[0], course.optimizer
    if course.given and optimizer is not None and optimizer.weight_decay.amount > 0:
        plain = dataclasses.replace(
            optimizer, weight_decay=dataclasses.replace(optimizer.weight_decay, amount=0.0)
        )
        pairs = [_pull_and_push(optimizer, plain, p) for p in (course.first, course.last)]
        sizes = [norm(n.value for n in p.parameters.values()) for p in (course.first, course.last)]
        wins = [pull > PULL * push > 0 for pull, push in pairs]
        if wins[0] and (wins[1] or sizes[1] < 0.5 * sizes[0]):
            what = f"weight_decay of {number_text(optimizer.weight_decay.amount)}"
            yield _decays("the optimizer", what, *pairs[0])
            return
    yield from _penalty(course, observed)


def _pull_and_push(optimizer: Optimizer, plain: Optimizer, observed: Observed) -> tuple[float, float]:
    """How strongly decay pulls and the gradient pushes: as parts of an update if decay is one, else of the gradient."""
    decay = optimizer.weight_decay
    if decay.decoupled:
        both, alone = _fresh(optimizer, observed), _fresh(plain, observed)
        return norm(both[path] - step for path, step in alone.items()), norm(alone.values())
    chosen = decay.chosen(list(observed.parameters), len(observed.parameters))
    values = zip(observed.parameters.values(), chosen, strict=True)
    return decay.amount * norm(n.value for n, on in values if on), norm(observed.gradients.values())


def _decays(where: str, what: str, pull: float, push: float) -> Finding:
    return Finding(
        "weight_decay_too_strong",
        where,
        f"the {what} pulls the parameters to 0 with {number_text(pull)}, the gradient pushes with {number_text(push)}",
        (
            f"the pull is {number_text(pull / push, 3)} times as strong: weights shrink until nothing is left "
            "to learn with",
        ),
        "lower it a hundredfold: 5e-4 with gradient descent, 0.01 with adamw are usual",
        0.9,
    )


def _penalty(course: Course, observed: Observed) -> Iterator[Finding]:
    """A term of the loss that depends on parameters alone, against the rest."""
    anatomy = course.anatomy(observed)
    terms = [
        n for n in observed.order if n.size == 1 and n.tracked and n in anatomy.pure and n.op is not None
    ]
    joined = [
        (term, user)
        for term in terms
        for user in observed.users.get(term, [])
        if user in anatomy.fed
        and user.op is not None
        and user.op.name in ("add", "subtract")
        and user.size == 1
    ]
    if not joined:
        return
    term, user = joined[-1]
    delta = float(np.asarray(observed.deltas[user]).reshape(-1)[0]) if user in observed.deltas else 0.0
    alone = Observed(term, observed.parameters)
    own = {path: delta * g.astype(np.float64) for path, g in alone.gradients.items() if g is not None}
    rest = {
        path: g.astype(np.float64) - own.get(path, 0.0)
        for path, g in observed.gradients.items()
        if g is not None
    }
    pull, push = norm(own.values()), norm(rest.values())
    size = float(np.asarray(term.value).reshape(-1)[0])
    if pull > PULL * push > 0 and abs(size) > 0.5 * abs(observed.loss):
        yield _decays(
            "the loss", f"penalty, {number_text(size)} of a loss of {number_text(observed.loss)},", pull, push
        )


def gradients_accumulate(course: Course) -> Iterator[Finding]:
    """Updates made of the sum of all gradients so far instead of the newest."""
    if course.twice > 1 and course.twice > 0.5 * course.updates:
        yield Finding(
            "gradients_accumulate",
            "the update",
            f"backward was called more than once on the same loss before {course.twice} of {course.updates} updates: "
            "its gradients add up in .grad",
            (
                "each further call adds the same gradient again, and whatever else was differentiated in between",
            ),
            "call backward once for each update, and begin with x.grad = None",
            0.9,
        )
        return
    known = [p for p in course.passes if p.own and (p.used is not None or p.update is not None)][:6]
    if len(known) < 4 or known[0] is not course.passes[0]:
        return
    by_hand = any(p.used is None for p in known)
    if by_hand and course.optimizer is not None:
        return
    running: dict[str, Array] = {}
    factors: list[float] = []
    fresh = 0
    for p in known:
        own = {path: g.astype(np.float64) for path, g in (p.own or {}).items()}
        running = {path: running.get(path, 0.0) + g for path, g in own.items()}
        made_of = _of(p) if by_hand else p.used or {}
        factor = _multiple(made_of, running)
        if factor is None:
            return
        factors.append(factor)
        fresh += _multiple(made_of, own) is not None
    if fresh > 1 or max(factors) - min(factors) > 0.01 * max(map(abs, factors)):
        return
    yield Finding(
        "gradients_accumulate",
        "the update",
        f"each of {len(known)} updates was made of the sum of all gradients since the first pass, not of the newest",
        (
            f"after {len(known)} updates the newest gradient has norm "
            f"{number_text(norm((known[-1].own or {}).values()))}, "
            f"the sum that the update was made of {number_text(norm(running.values()))}",
        ),
        "begin each update with fresh gradients: x.grad = None, totals at 0; or use what cr.value_and_grad returns",
        0.97,
    )


def _multiple(a: Mapping[str, Array], b: Mapping[str, Array]) -> float | None:
    """By which number ``b`` must be multiplied to give ``a``; None if none does."""
    shared = [path for path in a if path in b]
    size = sum(float(np.vdot(b[path], b[path])) for path in shared)
    if not size:
        return None
    factor = sum(float(np.vdot(b[path], a[path])) for path in shared) / size
    rest = norm(a[path] - factor * b[path] for path in shared)
    return factor if factor and rest <= 2e-3 * norm(a[path] for path in shared) else None
