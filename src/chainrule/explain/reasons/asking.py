"""The way in: why a gradient is zero, NaN, infinite, very small, very large or absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.explain.numbers import count_text, number_text, root_mean_square
from chainrule.explain.reasons.absence import verdict_on_absence
from chainrule.explain.reasons.cut import cancelling, cuts
from chainrule.explain.reasons.origin import origin_of
from chainrule.explain.reasons.passes import Passes, again, gradients_of, rebuilt
from chainrule.explain.reasons.poles import verdict_on
from chainrule.explain.reasons.question import Question, questions
from chainrule.explain.reasons.reason import Proof, Reason
from chainrule.explain.reasons.sizes import unremarkable, verdict_on_size
from chainrule.explain.reasons.verdict import Change, Verdict, merged, together
from chainrule.explain.reasons.zeros import are_copies, verdict_on_cancelling, verdict_on_cut
from chainrule.node import Node
from chainrule.primitive import Array

MOST_ORIGINS = 5
"""Causes of one symptom that are looked for, one behind the other."""
FAR = 1e5
"""How much smaller than the largest of other variables, or larger than their median or than the variable itself, a
gradient must be to be called so: layers of healthy networks, whatever their kind, lie within some hundreds of each
other, and a step of a thousandth of a gradient leaves most of the weights as they were."""
SMALL = 1e-3
"""What a lone variable's gradient is compared with."""
_GRAVEST = ("nan", "infinite", "absent", "zero", "tiny", "huge", "none")


def why(y: Any, wrt: Any = None) -> Reason:
    """Say why a gradient is zero, NaN, infinite, very small, very large or absent, and prove it.

    The factors of the chain rule are followed from the symptom to the first node that explains it. Then just that
    is changed, both passes are run again, and the reason says what the gradient becomes. Nothing of the user's is
    changed: no tensor, no buffer, no random state.

    Args:
        y: a tensor with one element, such as a loss; it may be NaN. Or a function without arguments that computes
            it: then what derivatives do not flow through, such as ``detach()``, is seen as well.
        wrt: a tensor, the name of one, or one of its elements, as ``("w", 3, 7)``; a model for the parameter whose
            gradient is worst; without it the worst of all variables.

    Returns:
        A `Reason`: ``print`` it, or read ``.cause``, ``.node``, ``.source``, ``.proof``, ``.to_dict()``.

    Raises:
        OperandError: ``y`` is not a tensor, or ``wrt`` neither a tensor, a name, an element nor a model.
        GradientError: ``y`` is not one floating number.
        ArgumentError: no tensor of that name, or no such element.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([0.0, 3.0, 4.0], requires_grad=True, name="x")
        >>> reason = cr.why(cr.sum(cr.sqrt(x)), x)
        >>> reason.cause, reason.proof.cured
        ('sqrt_at_zero', True)
    """
    return answer(questions(y, wrt))


def answer(asked: Sequence[Question]) -> Reason:
    """The reason for the worst of several gradients."""
    question = _worst(asked) if len(asked) > 1 else asked[0]
    passes = Passes(question.result, question.variable)
    others = _others(question)
    symptom = _symptom(question, passes.gradient, others)
    if symptom == "absent":
        return _absent(question)
    if symptom in ("nan", "infinite"):
        return _not_finite(question, passes, symptom, others)
    if symptom == "zero":
        return _zero(question, passes, others)
    if symptom in ("tiny", "huge"):
        return _sized(question, passes, symptom, others)
    if are_copies(question.variable, passes.gradient):
        return _alike(question)
    seen = f"∂{_result(question)}/∂{question.label} = {_shown(question, passes.gradient)}: nothing is wrong with it"
    return _reason(question, "none", seen, None, unremarkable(passes, question.chosen, question.words))


def _alike(question: Question) -> Reason:
    """Units that have the same weights and the same gradient: each is right, and together they are one unit."""
    units = question.variable.shape[-1]
    label = question.label
    seen = f"∂{_result(question)}/∂{label} is the same in all {units} columns, and so is {label} itself"
    remedy = "draw the weights at random (cr.nn.he_normal, cr.nn.glorot_uniform); only biases may start equal"
    verdict = Verdict(
        "symmetric_initialisation",
        question.variable,
        f"all {units} units start as copies of one and get the same updates, so they stay copies",
        (),
        remedy,
        None,
    )
    return _reason(question, "alike", seen, verdict)


def _result(question: Question) -> str:
    return question.words.names[question.result]


def _shown(question: Question, gradient: Array | None) -> str:
    """The gradient in the elements that are asked about."""
    if gradient is None:
        return "none"
    part = gradient[question.chosen]
    if part.size == 1:
        return number_text(float(part[0]))
    finite = part[np.isfinite(part)]
    strange = count_text(part.size - finite.size)
    if not finite.size:
        return f"not finite in all {count_text(part.size)} elements"
    note = (
        f", and {strange} of {count_text(part.size)} elements not finite" if finite.size < part.size else ""
    )
    low, high = number_text(float(finite.min())), number_text(float(finite.max()))
    if low == high:
        return f"{low}{note or ' in all elements'}"
    return f"{low} to {high}{note}"


def _symptom(question: Question, gradient: Array | None, others: Sequence[float], value: Any = None) -> str:
    value = question.result.value if value is None else value
    if not np.isfinite(value).all():
        return "nan" if np.isnan(value).any() else "infinite"
    if gradient is None or not question.variable.tracked:
        return "absent"
    part = gradient[question.chosen]
    if not np.isfinite(part).all():
        return "nan" if np.isnan(part).any() else "infinite"
    size = root_mean_square(part)
    if size == 0:
        return "zero"
    if size * FAR < max(others, default=SMALL):
        return "tiny"
    weights = root_mean_square(question.variable.array()[question.chosen])
    large = size > FAR * weights > 0 or (bool(others) and size > FAR * float(np.median(others)))
    return "huge" if large else "none"


def _others(question: Question) -> list[float]:
    """The sizes of the gradients of all other variables that are neither zero nor infinite."""
    others = [n for n in question.variables if n is not question.variable]
    return _sizes(gradients_of(question.result, others))


def _sizes(gradients: Sequence[Array | None]) -> list[float]:
    """The typical size of an element of each gradient that is neither zero nor infinite."""
    sizes = (0.0 if g is None else root_mean_square(g) for g in gradients)
    return [s for s in sizes if s and np.isfinite(s)]


def _worst(asked: Sequence[Question]) -> Question:
    """The question whose answer matters most: what is not finite before what is absent, zero or of another size."""
    gradients = gradients_of(asked[0].result, [q.variable for q in asked])
    known = _sizes(gradients)
    symptoms = [_symptom(q, g, known) for q, g in zip(asked, gradients, strict=True)]
    first = min(range(len(asked)), key=lambda i: (_GRAVEST.index(symptoms[i]), i))
    return asked[first]


def _absent(question: Question) -> Reason:
    verdict, proof = verdict_on_absence(question)
    seen = f"no derivative flows from {_result(question)} back to {question.label}"
    return _reason(question, "absent", seen, verdict, proof=proof)


def _not_finite(question: Question, passes: Passes, symptom: str, others: Sequence[float]) -> Reason:
    """Causes one behind the other: each is put right before the next is looked for."""
    seen = f"∂{_result(question)}/∂{question.label} is {_shown(question, passes.gradient)}"
    if not np.isfinite(question.result.value).all():
        seen = f"{_result(question)} itself is {number_text(float(np.asarray(question.result.value).reshape(-1)[0]))}"
    found: list[Verdict] = []
    values: dict[Node, Array] = {}
    while len(found) < MOST_ORIGINS:
        new, old = rebuilt(question.result, values)
        origin = origin_of(Passes(new[question.result], question.variable)) if values else origin_of(passes)
        if origin is None or (found and origin.node not in old):
            break
        verdict = verdict_on(replace(origin, node=old[origin.node]), question.words)
        found.append(verdict)
        changed = merged(values, verdict.change.values) if verdict.change else values
        if all(node in values and np.array_equal(values[node], changed[node]) for node in changed):
            break
        values = changed
    return _best(question, symptom, seen, found, passes.gradient, others, origin=True)


def _zero(question: Question, passes: Passes, others: Sequence[float]) -> Reason:
    seen = f"∂{_result(question)}/∂{question.label} is exactly 0"
    if np.count_nonzero(question.chosen) > 1:
        seen += f" in all {count_text(int(np.count_nonzero(question.chosen)))} elements"
    ends = cuts(passes, question.chosen)[:MOST_ORIGINS]
    found = [verdict_on_cut(cut, question.words) for cut in ends]
    if not found:
        cancelled = cancelling(passes, question.chosen)
        verdict = None if cancelled is None else verdict_on_cancelling(cancelled, question.words)
        return _reason(question, "zero", seen, verdict)
    first = ends[0].count == ends[0].reached
    return _best(question, "zero", seen, found, passes.gradient, others, origin=first)


def _best(
    question: Question,
    symptom: str,
    seen: str,
    found: Sequence[Verdict],
    before: Array | None,
    others: Sequence[float],
    origin: bool = False,
) -> Reason:
    """The cause that cures the gradient when it alone is put right; else all of them together.

    One that could be tested and cures nothing is not shown, unless it is the ``origin`` of what is not finite, or ends
    all influence: that it is the first is a fact, whatever comes behind it.
    """
    proofs = [_proof(question, before, v.change, others) for v in found]
    best = next((i for i, p in enumerate(proofs) if p and p.cured), None)
    if best is None:
        changes = [v.change for v in found if v.change]
        joint = _proof(question, before, together(changes), others) if len(changes) > 1 else None
        best = next((i for i, p in enumerate(proofs) if p is None), 0)
        if (
            joint and joint.cured
        ):  # at a stationary point nothing need be wrong, unless something else put it there
            best = next((i for i, v in enumerate(found) if v.kind != "stationary_point"), best)
        if joint and joint.cured:
            proofs = [joint] * len(found)
        elif origin:
            best, proofs = 0, [None] * len(found)
        elif proofs[best] is not None:
            return _reason(question, symptom, seen, None, tuple(v.text for v in found))
    rest = tuple(v.text for i, v in enumerate(found) if i != best)
    return _reason(question, symptom, seen, found[best], proof=proofs[best], others=rest)


def _sized(question: Question, passes: Passes, symptom: str, others: Sequence[float]) -> Reason:
    assert passes.gradient is not None
    size = root_mean_square(passes.gradient[question.chosen])
    seen = f"a typical element of ∂{_result(question)}/∂{question.label} is {number_text(size)}"
    if others:
        low, high = number_text(min(others)), number_text(max(others))
        seen += f", those of {len(others)} other variables {low}" + (f" to {high}" if low != high else "")
    cancelled = cancelling(passes, question.chosen) if symptom == "tiny" else None
    if cancelled is not None:
        return _reason(question, symptom, seen, verdict_on_cancelling(cancelled, question.words))
    verdict = verdict_on_size(passes, question.chosen, question.words, symptom == "tiny")
    return _reason(
        question, symptom, seen, verdict, proof=_proof(question, passes.gradient, verdict.change, others)
    )


def _proof(
    question: Question, before: Array | None, change: Change | None, others: Sequence[float]
) -> Proof | None:
    """The passes again with a change: whether what was seen is gone."""
    if change is None:
        return None
    value, after = again(question.result, question.variable, change.values, change.factors, change.gains)
    if after is None:
        return None
    cured = _symptom(question, after, others, value) not in (
        _symptom(question, before, others),
        *_GRAVEST[:2],
    )
    text = f"the gradient is {_shown(question, after)}"
    if not np.isfinite(question.result.value).all():
        text = f"{_result(question)} is {number_text(float(value.reshape(-1)[0]))}, and {text}"
    return Proof(change.text, _shown(question, before), text, cured)


def _reason(
    question: Question,
    symptom: str,
    seen: str,
    verdict: Verdict | None,
    evidence: tuple[str, ...] = (),
    proof: Proof | None = None,
    others: tuple[str, ...] = (),
) -> Reason:
    words = question.words
    known: dict[str, Any] = {
        "result": _result(question),
        "variable": question.label,
        "symptom": symptom,
        "seen": seen,
    }
    if verdict is None:
        text = "nothing to explain" if symptom == "none" else "no single node explains it"
        return Reason(
            **known, cause="none" if symptom == "none" else "unknown", explanation=text, evidence=evidence
        )
    node = verdict.node
    return Reason(
        **known,
        cause=verdict.kind,
        explanation=verdict.text,
        node=words.name(node) if node in words.names else question.label,
        expression=words.formula(node) if node.inputs else "",
        op=node.op.name if node.op else "",
        source=node.source,
        evidence=verdict.evidence,
        proof=proof,
        remedy=verdict.remedy,
        others=others,
    )
