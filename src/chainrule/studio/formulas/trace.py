"""The trace of a formula: all that a page, a notebook, a file or a figure shows of it, as plain data.

`docs/trace.md` describes it. Numbers come from chainrule's own passes, letters and words from its explanations, places
from `arrange`; `program` lets a page compute the same numbers anew while a slider is dragged.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chainrule.errors import ArgumentError, FormulaError
from chainrule.explain import Explanation
from chainrule.explain.expressions import name_latex, node_latex
from chainrule.explain.ledger import keep_ledger
from chainrule.explain.modes import count_modes
from chainrule.explain.numbers import count_text, json_count, json_number, number_latex, number_text
from chainrule.explain.sweep import Edge, ExplainedNode, Sweep
from chainrule.formula import Formula, formula
from chainrule.formula.statements import parse
from chainrule.formula.typeset import expression
from chainrule.node import Node
from chainrule.primitive import Pointwise
from chainrule.studio.drawing.layout import Arrangement, arrange
from chainrule.studio.drawing.mathtree import live, of_node, tree
from chainrule.studio.formulas.events import forward_events, reverse_events
from chainrule.studio.formulas.program import Program, same_graph
from chainrule.studio.formulas.wording import intuition

FORMAT, VERSION = "chainrule-trace", 1
"""The version grows when a key changes its meaning or goes away, not when one is added."""
MOST_NODES = 2_000
"""A formula with more nodes is refused: nobody sees that many, and a page must answer at once."""
MOST_FORWARD_EVENTS = 5_000
MOST_REUSES = 20
MOST_TYPESET = 120
"""A line with more parts is not typeset: it would fill the page, and a browser nests elements only so deep."""
MOST_PLUGGED = 8
"""With more operations a formula with its numbers would be a second line as long as the first."""
_COUNTED = 10**300
_USUAL = (1.0, 2.0, 0.5, 1.5, 3.0, 2.5)
"""What variables are where nobody says: unlike each other, positive and near 1, so that every function is defined."""
_REACH = 5.0


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an example wants to be shown.

    Attributes:
        letters: LaTeX of names that the language of formulas cannot write, such as ``z_1^{(2)}``.
        reach: the variables' sliders go from minus to plus this.
        data: variables that are data, not to be learned.
        notes: a sentence about single nodes, by name.
    """

    letters: Mapping[str, str]
    reach: float = _REACH
    data: tuple[str, ...] = ()
    notes: Mapping[str, str] | None = None


PLAIN = Presentation({})


class FormulaTrace:
    """A formula with values, and both passes.

    Args:
        text: the formula.
        values: of variables; what is missing gets a usual value.
        presentation: how it is shown.

    Raises:
        FormulaError: the text is no formula.
        ArgumentError: a value is for no variable, or the formula is too large for a page.
    """

    def __init__(
        self, text: str, values: Mapping[str, float] | None = None, presentation: Presentation = PLAIN
    ) -> None:
        self.formula: Formula = formula(text)
        self.presentation = presentation
        self.values = _completed(self.formula, values or {})
        graph = self.formula.graph
        used = set(graph.nodes)
        self.nodes: list[Node] = [x for x in graph.inputs if x not in used] + list(graph.nodes)
        if len(self.nodes) > MOST_NODES:
            raise ArgumentError(
                f"the formula has {count_text(len(self.nodes))} nodes; "
                f"the studio draws {count_text(MOST_NODES)} at most",
                fix="a shorter one; or as text, with chainrule explain",
            )
        self.number = {node: i for i, node in enumerate(self.nodes)}
        computed = self.formula(**self.values)
        self._sweep = Sweep(computed)
        self._same = same_graph(graph.outputs[0], computed)
        self._explanation = Explanation(self._sweep, ())
        back = {other: self.number[node] for node, other in self._same.items()}
        self._place = [back[node] for node in self._sweep.origin]
        """The number of each node of the sweep, whose indices leave out variables that are not used."""
        self.edges: list[Edge] = [edge for node in self._sweep.nodes for edge in node.edges]
        self.result = self.number[graph.outputs[0]]
        self.letters = [self._letter(i) for i in range(len(self.nodes))]

    # What a node is called.

    def name(self, i: int) -> str:
        """The name of a node; "" for a number."""
        node = self.nodes[i]
        if i == self.result:
            return self.formula.name if node.op is not None or node.value is not None else str(node.name)
        return node.name or ""

    def _letter(self, i: int) -> str:
        """LaTeX of its name, or of its number."""
        name = self.name(i)
        if name:
            return self.presentation.letters.get(name) or name_latex(name)
        return number_latex(self.value(i))

    def shown(self, i: int) -> str:
        """Its name or its number as text."""
        return self.name(i) or number_text(self.value(i))

    def explained(self, i: int) -> ExplainedNode | None:
        """What both passes found at a node; None for a variable that is not used."""
        other = self._same.get(self.nodes[i])
        return None if other is None else self._sweep.nodes[self._sweep.index[other]]

    def value(self, i: int) -> float:
        """Its value."""
        found = self.explained(i)
        return float(found.value) if found else float(self.values[str(self.nodes[i].name)])

    def gradient(self, i: int) -> float | None:
        """∂result/∂node; None for constants."""
        found = self.explained(i)
        if found is None:
            return 0.0
        return None if found.gradient is None else float(found.gradient)

    def kind(self, i: int) -> str:
        """``variable``, ``constant``, ``operation`` or ``result``."""
        node = self.nodes[i]
        if node.op is not None and node.value is None:
            return "result" if i == self.result else "operation"
        return "variable" if node in set(self.formula.graph.inputs) else "constant"

    # Pieces of the trace.

    @cached_property
    def operations(self) -> list[int]:
        """What is computed, in order."""
        return [i for i in range(len(self.nodes)) if self.kind(i) in ("operation", "result")]

    @cached_property
    def links(self) -> list[tuple[int, int]]:
        """Every edge that is drawn, from the input to its user: first those of ``edges``, then those from constants."""
        live_edges = [(self._place[e.input], self._place[e.node]) for e in self.edges]
        seen = {(self._place[e.node], e.slot) for e in self.edges}
        others = [
            (self.number[x], i)
            for i, node in enumerate(self.nodes)
            if node.op is not None and node.value is None
            for slot, x in enumerate(node.inputs)
            if (i, slot) not in seen
        ]
        return live_edges + others

    @cached_property
    def arrangement(self) -> Arrangement:
        """Where nodes and edges are."""
        return arrange(len(self.nodes), self.links)

    @cached_property
    def paths(self) -> list[int]:
        """How many paths lead from the result to each node."""
        counts = [0] * len(self.nodes)
        counts[self.result] = 1
        for edge in sorted(self.edges, key=lambda e: -e.node):
            counts[self._place[edge.input]] += counts[self._place[edge.node]]
        return counts

    @cached_property
    def keys(self) -> list[str]:
        """What stays the same while a formula is edited: the same part of a formula has the same key."""
        keys: list[str] = []
        seen: dict[str, int] = {}
        for i, node in enumerate(self.nodes):
            if node.op is None or node.value is not None:
                said = f"{self.kind(i)} {node.name or ''} {'' if node.name else self.value(i)}"
            else:
                said = f"{node.op.name} {node.params} {' '.join(keys[self.number[x]] for x in node.inputs)}"
            seen[said] = seen.get(said, 0) + 1  # the number 2 may stand at two places
            keys.append(hashlib.blake2b(f"{said} {seen[said]}".encode(), digest_size=6).hexdigest())
        return keys

    @cached_property
    def symbols(self) -> list[tuple[str, ...]]:
        """For each node its local derivatives in letters; "" where there is none."""
        found: list[tuple[str, ...]] = []
        for node in self.nodes:
            other = self._same.get(node)
            live = other is not None and other.inputs and node.value is None
            found.append(
                self._explanation.symbols(self._sweep.index[other]) if other is not None and live else ()
            )
        return found

    def node_dict(self, i: int) -> dict[str, Any]:
        """One node."""
        node, kind = self.nodes[i], self.kind(i)
        layer, across = self.arrangement.places[i]
        gradient = self.gradient(i)
        found: dict[str, Any] = {
            "id": i,
            "key": self.keys[i],
            "kind": kind,
            "name": self.name(i),
            "text": self.shown(i),
            "letter": tree(self.letters[i]),
            "latex": self.letters[i],
            "value": json_number(self.value(i)),
            "gradient": None if gradient is None else json_number(gradient),
            "layer": layer,
            "across": across,
            "paths": None if self.paths[i] > _COUNTED else str(self.paths[i]),
        }
        if kind == "variable":
            reach = self.presentation.reach
            found["range"] = [-reach, reach]
            found["data"] = self.name(i) in self.presentation.data
        elif kind != "constant":
            assert node.op is not None
            found |= {
                "op": node.op.name,
                "label": node.op.label,
                "inputs": [self.number[x] for x in node.inputs],
                "definition": tree(self.definition(i)),
                "plugged": tree(self.definition(i, numbers=True)),
            }
        note = (self.presentation.notes or {}).get(self.name(i))
        return found | ({"note": note} if note else {})

    def definition(self, i: int, numbers: bool = False) -> str:
        """LaTeX of a node in terms of its inputs: their letters, or numbers that can change."""
        node = self.nodes[i]
        if not numbers:
            return node_latex(node, [self.letters[self.number[x]] for x in node.inputs])
        probe = node_latex(node, [f"-p_{slot}" for slot in range(len(node.inputs))])
        return node_latex(
            node,
            [
                live(f"v{k}", self.value(k), factor=rf"\left(-p_{slot}\right)" in probe or "^" in probe)
                for slot, k in enumerate(self.number[x] for x in node.inputs)
            ],
        )

    def edge_dict(self, e: int) -> dict[str, Any]:
        """One edge that derivatives flow through."""
        edge = self.edges[e]
        i, source = self._place[edge.node], self._place[edge.input]
        node = self.nodes[i]
        assert node.op is not None
        symbol = self.symbols[i][edge.slot] if edge.slot < len(self.symbols[i]) else ""
        inputs = [self.shown(self.number[x]) for x in node.inputs]
        found: dict[str, Any] = {
            "id": e,
            "from": source,
            "to": i,
            "slot": edge.slot,
            "local": json_number(_as_number(edge.local)),
            "contribution": json_number(_as_number(edge.contribution)),
            "bends": [list(point) for point in self.arrangement.bends[e]],
            "because": intuition(node.op, edge.slot, inputs, self.shown(i), symbol),
        }
        if symbol and not _is_number(symbol):
            found["symbol"] = tree(self._symbol_latex(symbol))
        if issubclass(node.op, Pointwise) and node.op.selects:
            found["selects"] = True
        return found

    def _symbol_latex(self, symbol: str) -> str:
        """LaTeX of a local derivative that is written in the language of formulas."""
        try:
            statements, _ = parse(symbol)
        except FormulaError:  # such as [x > 0], which the language does not have
            return rf"\text{{{symbol}}}"
        terms = statements[-1].terms
        return expression(terms, number=lambda k: self._letters_by_name.get(terms[k].text))

    @cached_property
    def _letters_by_name(self) -> dict[str, str]:
        return {self.name(i): latex for i, latex in enumerate(self.letters) if self.name(i)}

    def wire_dicts(self) -> list[dict[str, Any]]:
        """Edges from constants: drawn, but no derivative flows there."""
        first = len(self.edges)
        return [
            {"from": a, "to": b, "bends": [list(p) for p in self.arrangement.bends[first + k]]}
            for k, (a, b) in enumerate(self.links[first:])
        ]

    def math(self) -> dict[str, Any]:
        """The whole formula, line by line: in letters, and with its numbers; parts know their nodes."""
        number = self.number
        letters = self._letters_by_name

        def mark(node: Node, latex: str) -> str:
            name = self.name(number[node])
            return of_node(number[node], letters.get(name, latex) if latex == name_latex(name) else latex)

        in_letters = self.formula.latex_lines(mark)
        named = {name_latex(self.name(i)): i for i in range(len(self.nodes)) if self.name(i)}
        lines: list[dict[str, Any]] = []
        for left, right in in_letters:
            node = named.get(left.partition(r"\left(")[0], self.result)
            found: dict[str, Any] = {"node": node, "left": tree(self.letters[node])}
            if right.count(r"\class") <= MOST_TYPESET:
                found["letters"] = tree(right)
            lines.append(found)
        if len(lines) == 1 and len(self.operations) <= MOST_PLUGGED:
            ((_, plugged),) = self.formula.latex_lines(
                lambda node, latex: of_node(number[node], latex), lambda node: _placeholder(number[node])
            )
            lines[0]["numbers"] = tree(_filled(plugged, self.value))
        return {"lines": lines, "latex": self.formula.latex}

    def ledger(self) -> dict[str, Any]:
        """Multiplications with every delta computed once, and path by path; which deltas are used most."""
        found = keep_ledger(self._sweep, most_work=0)
        most_used = sorted(found.reuses, key=lambda reuse: -reuse.uses)[:MOST_REUSES]
        return {
            "reused": json_count(found.reused),
            "separate": None if found.separate is None else json_count(found.separate),
            "reuses": [{"node": self._place[reuse.node], "uses": reuse.uses} for reuse in most_used],
        }

    @cached_property
    def events(self) -> dict[str, list[dict[str, Any]] | None]:
        """What happens, by mode; None where that would be too much."""
        operations = self.operations
        variables = [i for i in range(len(self.nodes)) if self.kind(i) == "variable"]
        uses = [_Use(self._place[e.node], self._place[e.input]) for e in self.edges]
        swept = len(variables) * len(operations) <= MOST_FORWARD_EVENTS
        return {
            "reverse": reverse_events(operations, uses, self.result),
            "forward": forward_events(operations, variables) if swept else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """The whole trace, JSON-ready."""
        modes = count_modes(self._sweep)
        program = Program(self.formula.graph.inputs, self.nodes)
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": "formula",
            "source": {"text": self.formula.text, "name": self.formula.name},
            "variables": [self.number[x] for x in self.formula.graph.inputs],
            "result": self.result,
            "math": self.math(),
            "nodes": [self.node_dict(i) for i in range(len(self.nodes))],
            "edges": [self.edge_dict(e) for e in range(len(self.edges))],
            "wires": self.wire_dicts(),
            "size": {"layers": self.arrangement.layers, "breadth": self.arrangement.breadth},
            "events": self.events,
            "costs": {
                way: {"sweeps": m.sweeps, "products": m.products, "nonzero_products": m.nonzero_products}
                for way, m in (("reverse", modes.reverse), ("forward", modes.forward))
            },
            "ledger": self.ledger(),
            "notes": list(self._explanation.notes),
            "program": program.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class _Use:
    node: int
    input: int


def _completed(f: Formula, values: Mapping[str, float]) -> dict[str, float]:
    unknown = [name for name in values if name not in f.variables]
    if unknown:
        raise ArgumentError(
            f"{unknown[0]!r} is no variable of this formula",
            fix=f"it has {', '.join(f.variables) or 'none'}",
        )
    return {name: float(values.get(name, _USUAL[i % len(_USUAL)])) for i, name in enumerate(f.variables)}


def _as_number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _is_number(symbol: str) -> bool:
    return symbol.lstrip("−").replace(".", "", 1).isdigit()


def _placeholder(i: int) -> str:
    return f"\ue000{i}\ue001"


def _filled(latex: str, value: Callable[[int], float]) -> str:
    """With a live number for each placeholder; in parentheses, where it may need them, unless it comes first."""
    pieces: list[str] = []
    rest = latex
    while "\ue000" in rest:
        before, _, after = rest.partition("\ue000")
        number, _, rest = after.partition("\ue001")
        pieces.append(before)
        lead = "".join(pieces).rstrip()
        opened = lead == "" or lead.endswith(("{", "(", ","))
        powered = rest.lstrip("}").startswith("^")
        i = int(number)
        pieces.append(live(f"v{i}", value(i), factor=not opened or powered))
    return "".join([*pieces, rest])
