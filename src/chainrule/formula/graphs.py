"""From statements to a graph whose nodes have letters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from chainrule.errors import FormulaError
from chainrule.formula import letters
from chainrule.formula.expressions import Scope, Term
from chainrule.formula.functions import CONSTANTS, FUNCTIONS, OPERATORS
from chainrule.formula.mistakes import escape, mistake
from chainrule.formula.statements import Statement
from chainrule.formula.tokens import Span
from chainrule.graph import Graph
from chainrule.node import Node, apply, leaf, symbol
from chainrule.shapes import Spec, float64


class Built(NamedTuple):
    """The graph of a formula, its result's name, the part of the text that each node came from, and each term's node.

    A term has None where its node is not in the graph: what has no variables is one number there.
    """

    graph: Graph
    name: str
    spans: dict[Node, Span]
    terms: list[list[Node | None]]


def build(statements: Sequence[Statement], scope: Scope) -> Built:
    """Build the graph of a formula.

    Raises:
        FormulaError: a part without variables has no finite value.
    """
    header = statements[-1].parameters or ()
    free = (name for name in scope.used if name not in scope.assigned)
    inputs = {name: _input(name) for name in dict.fromkeys((*header, *free))}
    draft = _Draft(scope, inputs)
    results = [draft.add(statement) for statement in statements]
    return draft.finish(results[-1], statements[-1].target)


def _input(name: str) -> Node:
    return symbol(Spec((), float64), name)


class _Draft:
    """The graph while it is built: without letters, since which are free depends on all names in use."""

    def __init__(self, scope: Scope, inputs: dict[str, Node]) -> None:
        self.scope = scope
        self.inputs = inputs
        self.values: dict[str, Node] = dict(inputs)
        self.names: dict[Node, str] = {node: name for name, node in inputs.items()}
        self.spans: dict[Node, Span] = {}
        self.terms: list[list[Node]] = []
        for name, node in inputs.items():
            token = scope.used.get(name) or scope.parameters[name]
            self.spans[node] = (token.start, token.end)

    def add(self, statement: Statement) -> Node:
        """Compute a line and name its value, unless it has a name already."""
        stack: list[Node] = []
        self.terms.append([])
        for term in statement.terms:
            operands = stack[len(stack) - term.arity :]
            del stack[len(stack) - term.arity :]
            node = self._node(term, operands)
            self.spans.setdefault(node, term.span)
            self.terms[-1].append(node)
            stack.append(node)
        node = stack[-1]
        if statement.target is not None:
            if node.value is not None:
                node = self._constant(node, statement.terms[-1].span, statement.target)
            self.names.setdefault(node, statement.target)
            self.values[statement.target] = node
        return node

    def _node(self, term: Term, operands: Sequence[Node]) -> Node:
        if term.kind == "number":
            return self._literal(term)
        if term.kind == "name":
            constant = CONSTANTS.get(term.text)
            return leaf(constant.value, name=constant.name) if constant else self.values[term.text]
        function = FUNCTIONS[term.text].function if term.kind == "call" else OPERATORS[term.text]
        node: Node = function(*operands)
        if node.value is None:
            return node
        if not math.isfinite(float(node)):
            raise self._not_finite(term, operands, float(node))
        return self._constant(node, term.span, None)

    def _literal(self, term: Term) -> Node:
        value = float(term.text)
        if math.isinf(value):
            raise self._not_finite(term, (), value)
        if value == 0.0 and re.search("[1-9]", term.text.lower().partition("e")[0]):
            raise mistake(
                self.scope.text,
                term.span[0],
                f"{self._quoted(term)} is too small: the least float64 above 0 is about 4.9e-324",
                "write 0, or a larger number",
            )
        return leaf(value)

    def _constant(self, node: Node, span: Span, name: str | None) -> Node:
        """A leaf with the value of ``node``: what has no variables is one number in the graph."""
        constant: Node = leaf(node.value, name=name)
        self.spans[constant] = span
        return constant

    def _not_finite(self, term: Term, operands: Sequence[Node], value: float) -> FormulaError:
        part = self._quoted(term)
        if term.text == "/" and float(operands[1]) == 0.0:
            message, fix = f"{part} divides by zero", "divide by something else, or by a variable"
        elif math.isnan(value):
            message, fix = f"{part} is not a real number", "change the numbers in it, or put in a variable"
        elif any(abs(float(x)) <= 1 for x in operands):
            message, fix = f"{part} is infinite", "change the numbers in it, or put in a variable"
        else:
            message = f"{part} overflows: the largest float64 is about 1.8e308"
            fix = "write smaller numbers, or put in a variable"
        return mistake(self.scope.text, term.span[0], message, fix)

    def _quoted(self, term: Term) -> str:
        """What was written, shortened if it is long."""
        written = escape(self.scope.text[slice(*term.span)])
        return written if len(written) <= 30 else f"{written[:29]}…"

    def finish(self, result: Node, name: str | None) -> Built:
        """Make the graph again with a letter for every intermediate, in the order of evaluation.

        Args:
            result: the value of the last line.
            name: that the last line gives it, if any.
        """
        taken = {*self.inputs, *self.scope.assigned}
        if name is None and result not in set(self.inputs.values()):
            name = self.names.get(result)
        name = name or letters.result(taken)
        self.names.setdefault(result, name)
        choices = letters.intermediates({*taken, name})
        inputs = tuple(self.inputs.values())
        draft = Graph(inputs, (result,))
        self._spread_spans(draft)
        final: dict[Node, Node] = {}
        for node in draft.nodes:
            if node.op is None:
                final[node] = node
            elif node.value is not None:
                final[node] = leaf(node.value)
            else:
                operands = tuple(final[x] for x in node.inputs)
                final[node] = apply(node.op, operands, node.params, self.names.get(node) or next(choices))
        spans = {final[node]: self.spans[node] for node in draft.nodes}
        terms = [[final.get(node) for node in statement] for statement in self.terms]
        return Built(Graph(inputs, (final[result],)), name, spans, terms)

    def _spread_spans(self, graph: Graph) -> None:
        """Nodes inside a function that is composed of several come from the text of the call."""
        for node in reversed(graph.nodes):
            for x in node.inputs:
                self.spans.setdefault(x, self.spans[node])
