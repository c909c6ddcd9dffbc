"""The way in: from a computed tensor to its explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.autodiff.opening import opened
from chainrule.errors import ArgumentError
from chainrule.explain import mistakes
from chainrule.explain.explanation import Explanation, Wanted
from chainrule.explain.sweep import Sweep
from chainrule.explain.wanted import is_element, one_element, parameter_names
from chainrule.node import Node, is_differentiable


def explain(y: Any, wrt: Any = None, model: Any = None) -> Explanation:
    """Say where a gradient comes from: every node and edge, the chain rule with numbers, every path.

    Args:
        y: a tensor with one element and its graph, such as a loss, or a formula called with values.
        wrt: a tensor in its graph, leaf or not, the name of one, or one of its elements, as ``("w", 3, 7)``; several
            in a list; without it every variable, that is every leaf that requires a gradient.
        model: a `cr.nn.Module` whose parameters are then known by their paths, as ``"layers.0.weight"``.

    Returns:
        An `Explanation`: ``print`` it, or read ``.gradient``, ``.paths``, ``.nodes``, ``.latex``,
        ``.to_dict()``.

    Raises:
        OperandError: ``y`` is not a tensor, ``wrt`` neither a tensor, a name nor an element, or ``model`` no model.
        GradientError: ``y`` is not one floating number or depends on nothing that requires a gradient, or
            ``wrt`` is a constant.
        ArgumentError: ``y`` does not depend on ``wrt``, or it has no such element.

    Example:
        >>> import chainrule as cr
        >>> why = explain(cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4), "b")
        >>> why.gradient.item(), [path.product for path in why.paths]
        (9.0, [7.0, 2.0])

    Source: Bauer, Computational Graphs and Rounding Error, SIAM J. Numer. Anal. 11(1), 1974, 87-96,
    DOI 10.1137/0711010 (a derivative as a sum over paths).
    """
    result = mistakes.check_result(y)
    at = opened(result)
    sweep = Sweep(at[result], parameter_names(model, "explain"))
    if wrt is None:
        return Explanation(sweep, tuple((v, ()) for v in sweep.variables))
    several = isinstance(wrt, (list, tuple)) and not is_element(wrt)
    wanted: list[Any] = list(wrt) if several else [wrt]
    if not wanted:
        raise ArgumentError("explain: wrt is empty", fix="cr.explain(y) explains all variables")
    return Explanation(sweep, tuple(dict.fromkeys(_wanted(sweep, w, at) for w in wanted)))


def _wanted(sweep: Sweep, wrt: Any, at: Mapping[Node, Node]) -> Wanted:
    if not is_element(wrt):
        return _find(sweep, wrt, at), ()
    node = _find(sweep, wrt[0], at)
    return node, one_element(node, tuple(wrt[1:]), sweep.names[node], "explain")


def _find(sweep: Sweep, wrt: Any, at: Mapping[Node, Node]) -> Node:
    if isinstance(wrt, Node):
        wrt = at.get(wrt, wrt)
        if wrt not in sweep.index:
            raise mistakes.not_in_graph(wrt, _variables(sweep))
        node, name = wrt, sweep.names.get(wrt, "")
    elif isinstance(wrt, str):
        found = [n for n, name in sweep.names.items() if name == wrt]
        if not found:
            raise mistakes.not_in_graph(wrt, _variables(sweep))
        _require_single(sweep, wrt)
        node, name = found[0], wrt
    else:
        raise mistakes.not_a_name(wrt)
    if not is_differentiable(node) or (node.op is not None and not node.inputs):
        raise mistakes.cannot_vary(node, name)
    return node


def _variables(sweep: Sweep) -> list[str]:
    return [sweep.names[v] for v in sweep.variables]


def _require_single(sweep: Sweep, name: str) -> None:
    same = sum(node.name == name for node in sweep.origin)
    if same > 1 and name not in sweep.given.values():
        raise ArgumentError(
            f"explain: {same} tensors of this computation are called '{name}'",
            fix="pass the tensor itself, cr.explain(y, x), or the model: cr.explain(y, 'layers.0.weight', model=model)",
        )
