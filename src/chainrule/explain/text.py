"""An explanation as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.explain import rule
from chainrule.explain.finiteness import is_finite
from chainrule.explain.numbers import Value, count_text, counted, share_text
from chainrule.explain.sweep import Edge, ExplainedNode
from chainrule.explain.terms import chain, derivative, leading, lowered, name

if TYPE_CHECKING:
    from chainrule.explain.explanation import Derivation, Explanation
    from chainrule.explain.paths import Path

MOST_NODES = 60
MOST_VARIABLES = 12
MOST_TERMS = 8
MOST_PATHS = 10
MOST_LETTERS = 6
MOST_REUSES = 4


def write(explanation: Explanation) -> str:
    """The whole explanation: what it says in one line, both passes, the chain rule, the paths."""
    shown = explanation.derivations_shown(MOST_VARIABLES)
    blocks = [headline(explanation), list(explanation.notes)]
    blocks += [forward(explanation), backward(explanation, shown)]
    blocks += [paths(explanation, d) for d in with_paths(shown)]
    blocks.append(without_paths(shown))
    blocks.append(costs(explanation))
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def with_paths(shown: Sequence[Derivation]) -> list[Derivation]:
    """Those whose paths are written out: a single one; of several those where the chain rule says less."""
    if len(shown) == 1:
        return list(shown)
    return [d for d in shown if d.paths.count != 1 or len(d.paths.listed[0].edges) > 2]


def without_paths(shown: Sequence[Derivation]) -> list[str]:
    """A line that says why the others' paths are not written out."""
    listed = {d.variable for d in with_paths(shown)}
    names = [d.variable for d in shown if d.variable not in listed]
    if not names:
        return []
    if len(names) == 1:
        return [f"One path leads to {names[0]}, which the chain rule above shows."]
    some = f"{', '.join(names[:-1])} and {names[-1]}"
    return [f"One path each leads to {some}, which the chain rule above shows."]


def headline(explanation: Explanation) -> list[str]:
    """``f = 14, ∂f/∂b = 9``."""
    parts = [f"{explanation.result} = {explanation.number(explanation.value)}"]
    if len(explanation.wrt) == 1:
        (d,) = explanation.derivations
        parts.append(f"{rule.gradient(explanation, d).text} = {explanation.shown(d.gradient)}")
    return [", ".join(parts)]


def forward(explanation: Explanation) -> list[str]:
    """Every value, with the local derivatives that are known at once."""
    nodes = [n for n in explanation.nodes if n.name]
    lines = ["Forward: every node's value, and its local derivatives"]
    left, right = [], []
    for node in nodes[:MOST_NODES]:
        steps = [node.name, explanation.expression(node.index), explanation.substituted(node.index)]
        value = (
            str(bool(node.value)).lower()
            if node.dtype == "bool" and node.is_scalar
            else explanation.shown(node.value)
        )
        steps += [value] if steps[-1] != value else []
        left.append(" = ".join(step for step in steps if step))
        right.append(locals_text(explanation, node.index))
    width = max(len(x) for x, y in zip(left, right, strict=True) if len(x) <= 44) if left else 0
    lines += [f"  {x.ljust(width)}   {y}".rstrip() for x, y in zip(left, right, strict=True)]
    return lines + _more(len(nodes) - MOST_NODES, "node")


def locals_text(explanation: Explanation, i: int) -> str:
    """``∂f/∂x = y = 7, ∂f/∂y = x = 2``: the local derivatives of a node."""
    node = explanation.nodes[i]
    symbols = explanation.symbols(i) if node.edges else ()
    parts: list[str] = []
    for edge in node.edges[:MOST_TERMS]:
        if edge.local is None:
            return in_words(node)
        steps = [local_name(explanation, edge), symbols[edge.slot], explanation.shown(edge.local)]
        parts.append(" = ".join(dict.fromkeys(step for step in steps if step)))
    return ", ".join(parts) + (", …" if len(node.edges) > MOST_TERMS else "")


def in_words(node: ExplainedNode) -> str:
    """What stands for the local derivative of a node that maps arrays to arrays."""
    return f"({node.op} carries gradients back by its own rule)"


def local_name(explanation: Explanation, edge: Edge) -> str:
    """``∂x/∂b``; with the number of the use where the node uses the same input more than once."""
    return rule.local(explanation, edge).text


def backward(explanation: Explanation, shown: Sequence[Derivation]) -> list[str]:
    """The chain rule for each variable, in letters and in numbers."""
    lines = [
        "Backward: upstream gradient times local derivative, added where a variable is used more than once"
    ]
    for d in shown:
        lines.append(f"  {rule.gradient(explanation, d).text} = {chain(rule.steps(explanation, d)).text}")
    return lines + _more(len(explanation.wrt) - len(shown), "variable")


def paths(explanation: Explanation, d: Derivation) -> list[str]:
    """The listed paths with factors, product and share, and what the others add up to."""
    count = "more than 10³⁰⁰ paths" if d.paths.count is None else counted(d.paths.count, "path")
    lines = [f"{count} from {explanation.result} to {d.variable}"]
    shown = d.paths.listed[:MOST_PATHS]
    rows = [(route(explanation, p), product_text(explanation, p), share_of(d, p)) for p in shown]
    others = others_row(explanation, d, MOST_PATHS)
    if others:
        rows.append(others)
    if len(rows) > 1:
        rows.append(
            ("sum", f"{explanation.shown(d.paths.total)}{'' if d.agrees else ', not the gradient'}", "")
        )
    widths = [max((len(row[k]) for row in rows if len(row[k]) <= 48), default=0) for k in (0, 1)]
    lines += [f"  {a.ljust(widths[0])}   {b.ljust(widths[1])}   {c}".rstrip() for a, b, c in rows]
    return lines + [f"  {note}" for note in remarks(explanation, d)]


def route(explanation: Explanation, path: Path, most: int = MOST_LETTERS) -> str:
    """``f ← x ← b``, with uses marked where a node uses the next one more than once."""
    names = [explanation.named(path.nodes[0])]
    for edge in path.edges[:most] if len(path.edges) > 2 * most else path.edges:
        names.append(_stop(explanation, edge))
    if len(path.edges) > 2 * most:
        names.append(f"… {count_text(len(path.edges) - 2 * most)} nodes …")
        names += [_stop(explanation, edge) for edge in path.edges[-most:]]
    return " ← ".join(names)


def _stop(explanation: Explanation, edge: Edge) -> str:
    used = explanation.named(edge.input)
    return lowered(name(used), rule.use(explanation, edge)).text if explanation.is_repeated(edge) else used


def product_text(explanation: Explanation, path: Path, most: int = MOST_LETTERS) -> str:
    """``7·1 = 7``; for arrays the sum over the path alone."""
    if not isinstance(path.product, float):
        return explanation.shown(path.product)
    factors = [f for f in path.factors if isinstance(f, float)]
    if len(factors) < 2 or len(factors) != len(path.factors) or len(factors) > 2 * most:
        return explanation.number(path.product)
    first, *others = factors
    head = leading(explanation.number_term(first)).text
    written = "·".join([head, *map(explanation.factor, others)])
    return f"{written} = {explanation.number(path.product)}"


def share_of(d: Derivation, path: Path) -> str:
    """``77.8 %``; "" where shares say nothing."""
    share = d.share(path)
    return "" if share is None or d.paths.count == 1 else share_text(share)


def others_row(explanation: Explanation, d: Derivation, most: int) -> tuple[str, str, str] | None:
    """The paths that are not shown, as one row: how many and their sum."""
    shown: list[Value] = [p.product for p in d.paths.listed[most:]]
    if not shown and (d.paths.count is not None and d.paths.count <= len(d.paths.listed)):
        return None
    rest = d.paths.rest
    for product in shown:
        rest = rest + product
    left = "all others"
    if d.paths.count is not None:
        more = d.paths.count - min(most, len(d.paths.listed))
        left = counted(more, "other path")
    return left, explanation.shown(rest), ""


def remarks(explanation: Explanation, d: Derivation) -> list[str]:
    """What a reader of the paths has to know beside them."""
    notes: list[str] = []
    edges = (edge for path in d.paths.listed[:MOST_PATHS] for edge in path.edges[: 2 * MOST_LETTERS])
    repeated = next((edge for edge in edges if explanation.is_repeated(edge)), None)
    if repeated is not None:
        user, used = explanation.named(repeated.node), explanation.named(repeated.input)
        notes.append(f"{used}₁ and {used}₂ are {used}, as the first and the second thing that {user} uses.")
    if d.cancels and any(share_of(d, path) for path in d.paths.listed):
        notes.append("Paths of both signs cancel; shares are of the sum of their sizes.")
    if not d.agrees:
        notes.append(
            f"The gradient is {explanation.shown(d.gradient)}: where gradients that meet add up to exactly 0, "
            "an infinite local derivative behind them is not multiplied (strong zeros)."
            if not is_finite(d.paths.total)
            else f"The gradient is {explanation.shown(d.gradient)}: sums of numbers of different sizes round apart."
        )
    return notes


def costs(explanation: Explanation) -> list[str]:
    """What all gradients cost: in either mode, and with and without the reuse of deltas."""
    return modes(explanation) + ledger(explanation)


def ledger(explanation: Explanation) -> list[str]:
    """What dynamic programming saves; nothing where no path shares an edge with another."""
    kept = explanation.ledger
    if kept.separate == kept.reused:
        return []
    most = sorted(kept.reuses, key=lambda reuse: -reuse.uses)[:MOST_REUSES]
    uses = [f"{derivative(name(explanation.result), name(r.name)).text} {r.uses} times" for r in most]
    if len(kept.reuses) > len(most):
        uses.append(f"and {counted(len(kept.reuses) - len(most), 'more delta')}")
    return [kept.text, *([f"Used more than once: {', '.join(uses)}."] if uses else [])]


def modes(explanation: Explanation) -> list[str]:
    """What all gradients cost in either mode."""
    reverse, forward = explanation.modes.reverse, explanation.modes.forward
    if forward.sweeps < 2:
        return []
    detail = ""
    if forward.nonzero_products is not None and forward.nonzero_products != forward.products:
        detail = f", {count_text(forward.nonzero_products)} not zero"
    count = len(explanation.variables)
    gradients = {1: "the gradient", 2: "both gradients"}.get(count, f"all {count_text(count)} gradients")
    each = "variable" if forward.sweeps == count else "number in it" if count == 1 else "number in them"
    return [
        f"Reverse mode: 1 sweep, {counted(reverse.products, 'product')}, gives {gradients}.",
        f"Forward mode: {counted(forward.sweeps, 'sweep')}, one for each {each}, "
        f"{counted(forward.products, 'product')}{detail}.",
    ]


def _more(count: int, noun: str) -> list[str]:
    return [f"  … and {counted(count, f'more {noun}')}"] if count > 0 else []
