"""What an explanation holds: plain data, and its text, LaTeX, MathML, HTML and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.explain import finiteness, html, rule, terms, text
from chainrule.explain.expressions import (
    Piece,
    local_symbols,
    node_latex,
    node_text,
    number_piece,
)
from chainrule.explain.ledger import Ledger, keep_ledger
from chainrule.explain.modes import Modes, count_modes
from chainrule.explain.numbers import (
    DIGITS,
    Value,
    as_factor,
    as_value,
    digits_beside_one,
    is_written_as_one,
    json_count,
    json_number,
    json_value,
)
from chainrule.explain.paths import Path, Paths, find_paths, paths_to_element
from chainrule.explain.sweep import Edge, ExplainedNode, Sweep, edge_to_element
from chainrule.explain.terms import Term
from chainrule.node import Node, leaf

VERSION = 1
"""Of the JSON. It grows when a key changes its meaning or goes away, not when one is added."""
MOST_NODES = 10_000
MOST_DERIVATIONS = 100
MOST_PATH_NODES = 1_000

Wanted: TypeAlias = "tuple[Node, tuple[int, ...]]"
"""A variable, and the index of one of its elements; () for all of it."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """Where the gradient of one variable comes from.

    Attributes:
        variable: its name, with an index where one of its elements is meant.
        node: its index among the nodes.
        gradient: ∂result/∂variable, from the backward sweep.
        terms: the edges through which it is used; their contributions add up to the gradient.
        paths: from the result to it; their products add up to the gradient too.
        agrees: whether the sum over the paths is the gradient, up to rounding.
    """

    variable: str
    node: int
    gradient: Value
    terms: tuple[Edge, ...]
    paths: Paths
    agrees: bool

    def share(self, path: Path) -> float | None:
        """The path's part of the gradient; of the sum of all magnitudes where paths cancel.

        None for arrays, and where it is not defined.
        """
        products = [p.product for p in (*self.paths.listed,)] + [self.paths.rest]
        if not all(isinstance(p, float) for p in products):
            return None
        whole = sum(abs(float(p)) for p in products)
        return abs(float(path.product)) / whole if whole and math.isfinite(whole) else None

    @property
    def cancels(self) -> bool:
        """Whether paths of both signs meet, so that their sum is smaller than its parts."""
        products = [*(p.product for p in self.paths.listed), self.paths.rest]
        return len({p > 0 for p in products if isinstance(p, float) and p}) == 2


class Explanation:
    """Why a gradient has its value: every node, every edge, the chain rule, every path.

    Made by :func:`explain`. ``print`` shows ``text``.

    Attributes:
        result: name of what was differentiated.
        value: its value.
        variables: names of all variables that it depends on.
        wrt: names of those whose gradients are explained, with an index where one element is.
        nodes: every node of the graph, in order of computation.
    """

    def __init__(self, sweep: Sweep, wrt: tuple[Wanted, ...]) -> None:
        self._sweep = sweep
        self._wrt = tuple((sweep.index[node], element) for node, element in wrt)
        self.nodes: tuple[ExplainedNode, ...] = sweep.nodes
        self.result = self.nodes[-1].name
        self.value = float(np.asarray(self.nodes[-1].value).reshape(()))
        self.variables = tuple(sweep.names[v] for v in sweep.variables)
        self.wrt = tuple(self._label(i, element) for i, element in self._wrt)
        self._derivations: dict[str, Derivation] = {}

    @property
    def gradient(self) -> Any:
        """∂result/∂wrt as a tensor, where one variable was asked for.

        Raises:
            ArgumentError: several variables are explained.
        """
        if len(self._wrt) != 1:
            raise ArgumentError(
                f"gradient: {len(self._wrt)} variables are explained: {_some(self.wrt)}",
                fix=f"explanation.gradients[{self.wrt[0]!r}], or cr.explain(y, {self.wrt[0]!r}).gradient",
            )
        return self.gradients[self.wrt[0]]

    @cached_property
    def gradients(self) -> dict[str, Any]:
        """∂result/∂variable as a tensor, for each variable that is explained."""
        return {
            label: leaf(np.asarray(node.gradient).reshape(node.shape)[at], dtype=self._sweep.origin[i].dtype)
            for label, (i, at) in zip(self.wrt, self._wrt, strict=True)
            for node in (self.nodes[i],)
        }

    def _label(self, i: int, element: tuple[int, ...]) -> str:
        return f"{self.nodes[i].name}[{', '.join(map(str, element))}]" if element else self.nodes[i].name

    def derivation(self, variable: str) -> Derivation:
        """Where the gradient of one of ``wrt`` comes from; worked out when it is first asked for.

        Raises:
            ArgumentError: it is not one of ``wrt``.
        """
        if variable not in self.wrt:
            raise ArgumentError(
                f"derivation: {variable!r} is not explained here", fix=f"one of: {_some(self.wrt)}"
            )
        known = self._derivations.get(variable)
        if known is None:
            known = self._derivations[variable] = self._derive(*self._wrt[self.wrt.index(variable)])
        return known

    def _derive(self, i: int, element: tuple[int, ...]) -> Derivation:
        gradient, terms = self.nodes[i].gradient, tuple(self._sweep.users[i])
        assert gradient is not None
        paths, label = find_paths(self._sweep, i), self._label(i, element)
        if element:
            shape = self.nodes[i].shape
            gradient = as_value(np.asarray(gradient).reshape(shape)[element])
            terms = tuple(edge_to_element(edge, shape, element) for edge in terms)
            paths = paths_to_element(paths, shape, element, label)
        agrees = _agree(paths, gradient, math.sqrt(self._sweep.epsilon))
        return Derivation(label, i, gradient, terms, paths, agrees)

    @property
    def derivations(self) -> tuple[Derivation, ...]:
        """One for each of ``wrt``."""
        return tuple(self.derivation(name) for name in self.wrt)

    def derivations_shown(self, most: int) -> tuple[Derivation, ...]:
        """The first ``most`` of them."""
        return tuple(self.derivation(name) for name in self.wrt[:most])

    @property
    def paths(self) -> tuple[Path, ...]:
        """The listed paths to each of ``wrt``, the strongest first."""
        return tuple(path for d in self.derivations for path in d.paths.listed)

    @cached_property
    def modes(self) -> Modes:
        """What all gradients cost in reverse and in forward mode."""
        return count_modes(self._sweep)

    @cached_property
    def ledger(self) -> Ledger:
        """How many multiplications all gradients cost with deltas reused, and path by path."""
        return keep_ledger(self._sweep)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Where NaN or an infinity enters, among the values and among the gradients; empty if nowhere."""
        return finiteness.notes(self)

    # How numbers, nodes and edges are written.

    @cached_property
    def digits(self) -> int:
        """Significant digits of every number: 4, or more where a factor near 1 would look like 1."""
        constants = [n.value for n in self.nodes if n.kind == "constant"]
        factors = [edge.local for n in self.nodes for edge in n.edges]
        gradients = [n.gradient for n in self.nodes]
        numbers = {x for x in (*constants, *factors, *gradients) if isinstance(x, float)}
        return max((digits_beside_one(x) for x in numbers if not self._is_one(x)), default=DIGITS)

    def _is_one(self, number: float) -> bool:
        """Whether a number is 1 or −1 up to rounding."""
        return abs(abs(number) - 1) <= 8 * self._sweep.epsilon

    def number_term(self, number: float, digits: int | None = None) -> Term:
        """A number as this explanation writes it; one that is almost 1 as ``1 + 10⁻¹²``."""
        digits = digits or self.digits
        if is_written_as_one(number, digits) and not self._is_one(number):
            return terms.beside_one(number)
        return terms.number(number, digits)

    def number(self, number: float, digits: int | None = None) -> str:
        """The same as text."""
        return self.number_term(number, digits).text

    def factor(self, number: float, digits: int | None = None) -> str:
        """The same within a product: in parentheses where it needs them."""
        return as_factor(self.number(number, digits))

    def value_term(self, value: Value | None) -> Term:
        """A number or an array as this explanation writes it."""
        if value is None:
            return terms.words("none")
        return self.number_term(value) if isinstance(value, float) else terms.value(value, self.digits)

    def shown(self, value: Value | None) -> str:
        """The same as text."""
        return self.value_term(value).text

    def named_term(self, i: int) -> Term:
        """The name of a node; for a constant its value."""
        node = self.nodes[i]
        return terms.name(node.name) if node.name else self.value_term(node.value)

    def named(self, i: int) -> str:
        """The same as text."""
        return self.named_term(i).text

    def expression(self, i: int) -> str:
        """A node in terms of its inputs' names, such as ``a + b``; "" for a leaf."""
        node = self._sweep.origin[i]
        return node_text(node, self._letter) if node.inputs else ""

    def substituted(self, i: int) -> str:
        """A node in terms of its inputs' numbers, such as ``−1 + 3``; "" where that says nothing new."""
        node = self._sweep.origin[i]
        if not node.inputs or not all(x.size == 1 for x in node.inputs):
            return ""
        filled = node_text(node, lambda x: number_piece(self.number(float(x))))
        return "" if filled == node_text(node, self._letter) else filled

    def _letter(self, x: Node) -> Piece:
        name = self._sweep.names.get(x)
        return Piece(name) if name else number_piece(self.number(float(x)))

    def expression_term(self, i: int, numbers: bool = False) -> Term:
        """A node in terms of its inputs, by their names or by their numbers."""
        names = self._sweep.names
        operands = [
            self.number_term(float(x)) if numbers or x not in names else terms.name(names[x])
            for x in self._sweep.origin[i].inputs
        ]
        text = self.substituted(i) if numbers else self.expression(i)
        return Term(text, node_latex(self._sweep.origin[i], [x.latex for x in operands]))

    def symbols(self, i: int) -> tuple[str, ...]:
        """Local derivatives of a pointwise node in letters, one for each input; "" where there is none."""
        return local_symbols(self._sweep.origin[i], self._sweep.names, self.number)

    def source(self, i: int) -> str:
        """The line of the program that made a node; "" if there is none."""
        source = self._sweep.origin[i].source
        return "" if source is None else str(source)

    def uses(self, i: int) -> list[Edge]:
        """The edges through which a node is used, in order of computation."""
        return self._sweep.users[i]

    def is_repeated(self, edge: Edge) -> bool:
        """Whether the edge's user uses the same input more than once."""
        return sum(e.input == edge.input for e in self.nodes[edge.node].edges) > 1

    @property
    def is_scalar(self) -> bool:
        """Whether every node that derivatives flow through holds one number."""
        return self._sweep.is_scalar

    # Forms.

    @cached_property
    def text(self) -> str:
        """Values, gradients, the chain rule with numbers, and the paths, as plain text."""
        return text.write(self)

    @cached_property
    def latex(self) -> str:
        """Values and the chain rule as an ``align*`` environment, for LaTeX with amsmath and for KaTeX."""
        return terms.as_align(rule.lines(self))

    @cached_property
    def mathml(self) -> str:
        """The same as a ``<math>`` element of presentation MathML, which browsers show without a script."""
        return terms.as_mathml(rule.lines(self))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Explanation of {self.result} with respect to {_some(self.wrt)}>"

    def _repr_html_(self) -> str:
        return html.write(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: numbers in full precision, NaN and infinities as strings.

        At most 10,000 nodes, 100 variables and 1,000 nodes of a path; the keys that end in ``_left_out``
        say how many were left out.
        """
        derivations = [self.derivation(name) for name in self.wrt[:MOST_DERIVATIONS]]
        result: dict[str, Any] = {
            "version": VERSION,
            "result": self.result,
            "value": json_number(self.value),
            "notes": list(self.notes),
            "variables": list(self.variables[:MOST_NODES]),
            "wrt": [d.variable for d in derivations],
        }
        if len(self.wrt) == 1:
            result["gradient"] = json_value(derivations[0].gradient)
        return result | {
            "gradients": {d.variable: json_value(d.gradient) for d in derivations},
            "derivations": [self._derivation_dict(d) for d in derivations],
            "derivations_left_out": len(self.wrt) - len(derivations),
            "paths": [self._path_dict(d, path) for d in derivations for path in d.paths.listed],
            "nodes": [self._node_dict(node) for node in self.nodes[:MOST_NODES]],
            "nodes_left_out": max(0, len(self.nodes) - MOST_NODES),
            "modes": {
                name: {"sweeps": m.sweeps, "products": m.products, "nonzero_products": m.nonzero_products}
                for name, m in (("reverse", self.modes.reverse), ("forward", self.modes.forward))
            },
            "ledger": self.ledger.to_dict(),
        }

    def _derivation_dict(self, d: Derivation) -> dict[str, Any]:
        return {
            "variable": d.variable,
            "gradient": json_value(d.gradient),
            "terms": [
                {
                    "through": self.named(edge.node),
                    "slot": edge.slot,
                    "upstream": json_value(self.nodes[edge.node].gradient),
                    "local": json_value(edge.local),
                    "contribution": json_value(edge.contribution),
                }
                for edge in d.terms[:MOST_PATH_NODES]
            ],
            "terms_left_out": max(0, len(d.terms) - MOST_PATH_NODES),
            "path_count": None if d.paths.count is None else json_count(d.paths.count),
            "paths_listed": len(d.paths.listed),
            "sum_of_other_paths": json_value(d.paths.rest),
            "sum_of_paths": json_value(d.paths.total),
            "agrees": d.agrees,
        }

    def _path_dict(self, d: Derivation, path: Path) -> dict[str, Any]:
        share = d.share(path)
        return {
            "variable": path.variable,
            "nodes": [self.named(i) for i in path.nodes[:MOST_PATH_NODES]],
            "slots": [edge.slot for edge in path.edges[:MOST_PATH_NODES]],
            "factors": [json_value(factor) for factor in path.factors[:MOST_PATH_NODES]],
            "nodes_left_out": max(0, len(path.nodes) - MOST_PATH_NODES),
            "contribution": json_value(path.product),
            "share": share,
        }

    def _node_dict(self, node: ExplainedNode) -> dict[str, Any]:
        symbols = self.symbols(node.index) if node.edges else ()
        return {
            "index": node.index,
            "name": node.name or None,
            "kind": node.kind,
            "op": node.op or None,
            "label": node.label or None,
            "expression": self.expression(node.index) or None,
            "inputs": list(node.inputs),
            "shape": list(node.shape),
            "dtype": node.dtype,
            "value": json_value(node.value),
            "gradient": json_value(node.gradient),
            "edges": [
                {
                    "input": edge.input,
                    "slot": edge.slot,
                    "local": json_value(edge.local),
                    "symbol": symbols[edge.slot] or None,
                    "contribution": json_value(edge.contribution),
                }
                for edge in node.edges
            ],
        }


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _agree(paths: Paths, gradient: Value, tolerance: float) -> bool:
    total, wanted = np.asarray(paths.total, np.float64), np.asarray(gradient, np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(total[~finite], wanted[~finite], equal_nan=True):
        return False
    parts = [np.abs(np.asarray(p.product, np.float64)) for p in paths.listed]
    scale = np.sum([np.abs(np.asarray(paths.rest, np.float64)), np.abs(wanted), *parts], axis=0)
    gap = np.abs(total[finite] - wanted[finite])
    return bool(np.all(gap <= tolerance * np.max(scale[finite], initial=0.0)))
