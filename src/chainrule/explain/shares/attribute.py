"""The way in: from a gradient to its shares."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from chainrule.errors import ArgumentError, GradientError, OperandError
from chainrule.explain import mistakes
from chainrule.explain.reasons.passes import gradient_of
from chainrule.explain.reasons.question import Question, questions
from chainrule.explain.shares.attribution import Attribution, By, Split
from chainrule.explain.shares.flow import Flow
from chainrule.explain.shares.labels import Labels
from chainrule.explain.shares.places import at_branches, at_layers
from chainrule.explain.shares.routes import Routes
from chainrule.explain.shares.summands import by_sample, by_term, mixing, samples, terms
from chainrule.explain.wanted import parameter_names
from chainrule.formula.mistakes import closest
from chainrule.nn.arguments import as_size
from chainrule.node import Node
from chainrule.primitive import Array

_NOWHERE = {
    "branch": "Nothing on the way is used more than once: there is one path.",
    "layer": "No other layer lies on the way.",
}
"""What is said where there is nothing to share out at."""
_BY: tuple[By, ...] = get_args(By)


def attribute(y: Any, wrt: Any, by: By = "path", model: Any = None, top: int = 10) -> Attribution:
    """Share a gradient out: over paths, branches, layers, examples or terms of the loss.

    Two sweeps, one in each direction, say how much of the gradient flows through each edge of the graph, whatever the
    number of paths. What flows into a node flows out of it, so what crosses a cut of the graph adds up to the gradient.

    Args:
        y: a tensor with one element and its graph, such as a loss.
        wrt: one element of a tensor before it, as ``("w", 3, 7)``; or a tensor or its name, or some of its elements,
            as ``("w", 3)``: then the derivative along the gradient in these elements, its norm, is shared out.
        by: ``"path"``: the strongest paths, all others, and their exact number; ``"branch"``: at each node with several
            uses what comes through each; ``"layer"``: what goes through each layer and past it; ``"sample"``: the
            derivative of each example's term of the loss; ``"term"``: of each summand of the result.
        model: a `cr.nn.Module` that names parameters and layers by their paths, as ``"layers.0.weight"``; or its
            parameters by these.
        top: how many paths to list, and how many rows the text has.

    Returns:
        An `Attribution`: ``print`` it, or read ``.gradient``, ``.shares``, ``.splits``, ``.count``, ``.to_dict()``.

    Raises:
        OperandError: ``y`` is not a tensor, ``wrt`` neither a tensor, a name nor an element, or ``model`` no model.
        GradientError: ``y`` is not one floating number or depends on nothing that requires a gradient; or the gradient
            is not finite, or 0 in each of several elements.
        ArgumentError: ``y`` does not depend on ``wrt``, no such element, another ``by``, or a result without examples.

    Example:
        >>> import chainrule as cr
        >>> y = cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4)
        >>> shared = cr.attribute(y, "b")
        >>> shared.gradient, shared.count, [(share.name, share.value) for share in shared.shares]
        (9.0, 2, [('f ← x ← b', 7.0), ('f ← y ← b', 2.0)])

    Source: Bauer, Computational Graphs and Rounding Error, SIAM J. Numer. Anal. 11(1), 1974, 87-96,
    DOI 10.1137/0711010 (a derivative as a sum over paths); Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM
    2008, section 3, DOI 10.1137/1.9780898717761 (both sweeps).
    """
    if by not in _BY:
        near = closest(by, _BY) if isinstance(by, str) else None
        raise ArgumentError(
            f"attribute: by is {by!r}", fix=f"did you mean {near}?" if near else f"one of {list(_BY)}"
        )
    shown = as_size("attribute", "top", top)
    question = _asked(y, wrt, model)
    result, variable = question.result, question.variable
    edges, count = samples(result) if by == "sample" else (terms(result) if by == "term" else [], 0)
    direction = _direction(question)
    flow = Flow(result, variable, direction, edges)
    labels = Labels(flow, question.words, parameter_names(model, "attribute"))
    routes = Routes(flow, labels) if by == "path" else None
    splits: tuple[Split, ...]
    if routes is not None:
        splits = (routes.strongest(shown),)
    elif by == "branch":
        splits = at_branches(flow, labels)
    elif by == "layer":
        splits = at_layers(flow, labels)
    elif by == "sample":
        splits = (by_sample(flow, edges, count),)
    else:
        splits = (by_term(flow, labels, edges, question.words.formula),)
    return Attribution(
        question.words.names[result],
        question.label,
        by,
        flow.gradient,
        int(np.count_nonzero(question.chosen)) > 1,
        splits,
        None if routes is None else routes.count,
        routes is not None and routes.exact,
        _notes(question, by, splits, routes, mixing(flow.order, edges, count) if by == "sample" else None),
        shown,
    )


def _asked(y: Any, wrt: Any, model: Any) -> Question:
    if isinstance(y, Node) or not callable(y):
        mistakes.check_result(y, "attribute")
    if wrt is None or isinstance(wrt, list):
        raise OperandError(
            f"attribute: wrt is {type(wrt).__name__}, expected a tensor, a name or an element",
            fix="cr.attribute(y, ('w', 3, 7)) for one element, cr.attribute(y, 'w') for all of w",
        )
    asked = questions(y, wrt, "attribute", model)
    if len(asked) != 1:
        raise ArgumentError(
            f"attribute: {len(asked)} variables are meant",
            fix="name one: cr.attribute(y, 'layers.0.weight', model=model)",
        )
    (question,) = asked
    known = [question.words.names[n] for n in question.words.nodes if n.op is None and n.tracked]
    if question.variable not in set(question.words.nodes) or not question.variable.tracked:
        raise mistakes.not_in_graph(question.variable, known, "attribute")
    return question


def _direction(question: Question) -> Array:
    """The element itself; of several the direction of their gradient, of length 1.

    Raises:
        GradientError: the gradient is not finite, or there is no direction.
    """
    chosen = question.chosen
    gradient = gradient_of(question.result, question.variable)
    part = np.zeros(chosen.shape) if gradient is None else np.where(chosen, gradient, 0.0).astype(np.float64)
    name = f"∂{question.words.names[question.result]}/∂{question.label}"
    if not np.isfinite(part).all():
        raise GradientError(f"attribute: {name} is not finite", fix="cr.why(y, x) says why")
    if np.count_nonzero(chosen) == 1:
        return chosen.astype(np.float64)
    norm = float(np.linalg.norm(part))
    if norm == 0:
        raise GradientError(
            f"attribute: {name} is 0 in all elements: there is no direction to follow",
            fix="ask about one element, as ('w', 3, 7); cr.why(y, x) says why it is 0",
        )
    return part / norm


def _notes(
    question: Question, by: By, splits: tuple[Split, ...], routes: Routes | None, mixed: Node | None
) -> tuple[str, ...]:
    """What to know beside the numbers."""
    notes: list[str] = []
    if not splits:
        notes.append(_NOWHERE[by])
    if routes is not None and not routes.exact and (routes.count is None or routes.count > 1):
        notes.append(
            "Each path's number is its own product; that none of the others is stronger is not proven."
        )
    if mixed is not None:
        notes.append(
            f"Each example's part is the derivative of its own loss; {question.words.name(mixed)} = "
            f"{mixed.op.name if mixed.op else ''} mixes the examples, so that others take part in it."
        )
    return tuple(notes)
