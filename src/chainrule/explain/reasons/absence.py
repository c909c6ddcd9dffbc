"""Causes of gradients that do not exist: where the path ends, and whether the number depends on the variable at all."""

from __future__ import annotations

import numpy as np

from chainrule.explain.numbers import number_text
from chainrule.explain.reasons.passes import rebuilt
from chainrule.explain.reasons.question import Question
from chainrule.explain.reasons.reason import Proof
from chainrule.explain.reasons.verdict import Verdict
from chainrule.node import Node

STEP = 1e-3
"""By how much, relatively, a variable is moved to see whether the result moves."""
_ASK = "ask with a function, cr.why(lambda: loss(model(x), y), wrt): then what is cut off on the way is seen as well"


def verdict_on_absence(question: Question) -> tuple[Verdict, Proof | None]:
    """Why no derivative flows from the result back to the variable; and whether the result moves with it."""
    x, name = question.variable, question.label
    reached = _reached(question)
    if x.dtype.kind != "f":
        text = f"{name} is {x.dtype.name}: only float32 and float64 have derivatives"
        return Verdict("integer", x, text, (), f"make it floating: {name}.astype(cr.float64)", None), None
    if not x.tracked and (x in reached or question.result in reached):
        text = f"{name} is used, as a constant: it does not require a gradient"
        remedy = "make it a variable: cr.tensor(data, requires_grad=True)"
        return Verdict("not_tracked", x, text, (), remedy, None), _moved(question)
    if question.result in reached:
        return _cut_off(question, reached), _moved(question)
    words = question.words
    twin = next((n for n in words.nodes if not n.inputs and n.size and _same_memory(n, x)), None)
    if twin is not None:
        text = f"{words.name(twin)} has the very numbers of {name}, cut off from it"
        evidence = ("both share one piece of memory, and no derivative leads from one to the other",)
        return Verdict(
            "detached", twin, text, evidence, "leave out detach() or .numpy() on the way", None
        ), None
    starts = [words.name(n) for n in words.nodes if n.op is None and n.tracked]
    shown = ", ".join(starts[:8]) + (f" and {len(starts) - 8} more" if len(starts) > 8 else "")
    text = f"{words.names[question.result]} was not computed from {name}"
    evidence = (f"it was computed from {shown or 'constants'}",)
    remedy = (
        "use it in the computation; or look for detach(), float(), .numpy(), no_grad or integers on the way"
    )
    if not question.whole:
        remedy += f"; {_ASK}"
    return Verdict("not_used", x, text, evidence, remedy, None), None


def _reached(question: Question) -> set[Node]:
    """The nodes that are computed from the variable, whether derivatives flow through them or not."""
    reached = (
        {question.variable} if any(n is question.variable for n in question.words.nodes) else set[Node]()
    )
    for node in question.words.nodes:
        if any(x in reached for x in node.inputs):
            reached.add(node)
    return reached


def _cut_off(question: Question, reached: set[Node]) -> Verdict:
    """The first node through which derivatives do not flow although they reach it."""
    words = question.words
    node = next(
        n
        for n in words.nodes
        if n in reached and not n.tracked and any(x in reached and x.tracked for x in n.inputs)
    )
    assert node.op is not None
    before = next(x for x in node.inputs if x in reached and x.tracked)
    if node.op.name == "stop_gradient":
        kind, what = "detached", "is cut off by detach() or stop_gradient"
        remedy = "leave out detach() or stop_gradient there"
    elif node.dtype.kind != "f":
        kind, what = "integer_path", f"gives {node.dtype.name}, through which no derivative flows"
        remedy = (
            "keep the computation floating: cr.softmax instead of argmax, a margin instead of a comparison"
        )
    elif not node.op.differentiable:
        kind, what = "step_function", "has no derivative"
        remedy = (
            "compute the loss before it, or pass gradients straight through: x + stop_gradient(round(x) - x)"
        )
    else:
        kind, what = "no_grad", "was computed within no_grad"
        remedy = "compute it outside of `with cr.no_grad():`"
    text = f"{words.formula(node)} {what}"
    return Verdict(kind, node, text, (f"up to {words.name(before)} derivatives flow",), remedy, None)


def _moved(question: Question) -> Proof:
    """Whether the result moves when the variable does: the same forward pass with other numbers."""
    x, result = question.variable, question.words.names[question.result]
    value = np.where(question.chosen, np.asarray(x.value) * (1 + STEP) + STEP, x.value)
    new, _ = rebuilt(question.result, {x: value})
    before, after = (float(np.asarray(n.value).reshape(())) for n in (question.result, new[question.result]))
    change = f"{question.label} moved by a thousandth"
    digits = next((d for d in range(4, 17) if number_text(before, d) != number_text(after, d)), 4)
    if before == after:
        return Proof(change, number_text(before), f"{result} stays {number_text(before)}", cured=False)
    text = f"{result} goes from {number_text(before, digits)} to {number_text(after, digits)}, so it does depend on it"
    return Proof(change, number_text(before, digits), text, cured=True)


def _same_memory(a: Node, b: Node) -> bool:
    return bool(np.shares_memory(np.asarray(a.value), np.asarray(b.value)))
