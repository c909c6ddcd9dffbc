"""The chain of Jacobians of a function that is a chain: places through which everything has to pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.autodiff.matrix_chain import (
    LONGEST,
    Parenthesisation,
    Term,
    from_the_argument,
    from_the_result,
    matrix_chain,
    terms,
    written,
)
from chainrule.explain.costs.derivatives import Traced
from chainrule.explain.numbers import json_count
from chainrule.node import Node, by_index
from chainrule.ops.arithmetic import Scale
from chainrule.ops.cast import AsType, Identity
from chainrule.ops.move import Flip, Reshape, Transpose
from chainrule.primitive import Pointwise

_RENAMING = (Identity, Reshape, Transpose, Flip, AsType)
"""What only puts numbers into other places: its Jacobian is a permutation."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of multiplying the factors.

    Attributes:
        order: by number of the factors, 1 next to the argument.
        terms: rows, summed and columns of each product of two matrices.
        multiplications: of numbers, in all products together.
    """

    order: Parenthesisation
    terms: tuple[Term, ...]
    multiplications: int

    @property
    def text(self) -> str:
        """``(J₃·J₂)·J₁``."""
        return written(self.order)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "order": self.text,
            "products": [list(term) for term in self.terms],
            "multiplications": json_count(self.multiplications),
        }


@dataclass(frozen=True, slots=True)
class Chain:
    """A function as ``f_k ∘ ... ∘ f_1``, and what it costs to multiply its local Jacobians, taken as dense.

    Attributes:
        sizes: numbers at the argument, between the functions, and at the result.
        names: of the arrays at these places.
        reverse: from the result on, as reverse mode does.
        forward: from the argument on, as forward mode does.
        best: the cheapest order of all; None where there are too many factors to search.
    """

    sizes: tuple[int, ...]
    names: tuple[str, ...]
    reverse: Order
    forward: Order
    best: Order | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "sizes": list(self.sizes),
            "names": list(self.names),
            "from_the_result": self.reverse.to_dict(),
            "from_the_argument": self.forward.to_dict(),
            "best": self.best and self.best.to_dict(),
        }


def find_chain(traced: Traced, names: dict[Node, str]) -> Chain | None:
    """The chain from one argument to one result; None where there are fewer than two factors.

    A factor ends wherever all paths meet in one array. What is elementwise belongs to the factor before it, as its
    Jacobian is diagonal: it scales rows.
    """
    places = _places(traced)
    if len(places) < 2:
        return None
    along = [next(w for w in traced.wrt if w in traced.live), *places]
    sizes, named = tuple(n.size for n in along), tuple(names[n] for n in along)
    factors = len(places)
    best = _order(sizes, matrix_chain(sizes)[1]) if factors <= LONGEST else None
    from_result, from_argument = from_the_result(factors), from_the_argument(factors)
    return Chain(sizes, named, _order(sizes, from_result), _order(sizes, from_argument), best)


def _order(sizes: tuple[int, ...], order: Parenthesisation) -> Order:
    found = tuple(terms(sizes, order))
    return Order(order, found, sum(rows * summed * columns for rows, summed, columns in found))


def _places(traced: Traced) -> list[Node]:
    """Where all paths meet, from the argument to the result, without those that an elementwise step leads to."""
    results = [o for o in traced.graph.outputs if o in traced.live]
    starts = [w for w in traced.wrt if w in traced.live]
    if len(results) != 1 or len(starts) != 1:
        return []
    order = sorted(traced.live, key=by_index)
    last_use = {x: i for i, node in enumerate(order) for x in node.inputs if x in traced.live}
    needed, width = last_use.get(starts[0], 0), starts[0].size
    places: list[Node] = []
    between: list[Node] = []
    for i, node in enumerate(order):
        if node.inputs:
            between.append(node)
            if i >= needed:  # nothing before it is read after it: all paths pass through it
                if not _is_diagonal(between, width):
                    places.append(node)
                elif places:
                    places[-1] = node
                between, width = [], node.size
        needed = max(needed, last_use.get(node, i))
    return places


def _is_diagonal(steps: list[Node], width: int) -> bool:
    """Whether steps from one place to the next scale each number by itself, or put numbers into other places."""
    if any(n.size != width or n.op is None for n in steps):
        return False
    moves = any(n.op in _RENAMING for n in steps)
    return all(
        (n.op in _RENAMING or (n.op is not None and issubclass(n.op, (Pointwise, Scale))))
        and not (moves and sum(x.tracked for x in n.inputs) > 1)
        for n in steps
    )
