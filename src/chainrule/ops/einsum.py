"""Sums of products over chosen axes: einsum, and what is written with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from string import ascii_letters
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.axes import Ties
from chainrule.errors import ArgumentError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_nodes
from chainrule.ops.index import diagonal
from chainrule.ops.matmul import product
from chainrule.ops.move import permute_dims, reshape
from chainrule.ops.reduce import Sum, reduce
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import (
    NUMBERS,
    DType,
    Shape,
    count,
    promote,
    require_dtype,
)

Axes: TypeAlias = "tuple[int, ...]"


_SMALL = 128
"""Elements of both operands together below which NumPy's own loop beats a matrix product."""


def _evaluate_einsum(*xs: Any, subscripts: str) -> Any:
    if len(xs) == 2 and xs[0].size + xs[1].size > _SMALL:
        plan = product_plan(subscripts)
        if plan is not None:
            return _as_product(*xs, plan)
    return np.einsum(subscripts, *xs)  # no search for a path: einsum() has chosen one


class Plan(NamedTuple):
    """An einsum as a product of matrices (batches, rows, summed) and (batches, summed, columns): the orders of the
    operands' axes, and of the product's in the output; and how many axes are batches, and summed."""

    left: Axes
    right: Axes
    result: Axes
    batches: int
    summed: int


@lru_cache(maxsize=1024)
def product_plan(subscripts: str) -> Plan | None:
    """How the two operands of an einsum become matrices; None where a plain loop is faster than their product."""
    (x, y), out = terms_of(subscripts)
    batch = [c for c in out if c in x and c in y]
    rows = [c for c in out if c not in y]
    columns = [c for c in out if c not in x]
    summed = [c for c in x if c not in out]
    if not (rows and columns and summed):
        return None
    made = "".join((*batch, *rows, *columns))
    return Plan(
        tuple(x.index(c) for c in (*batch, *rows, *summed)),
        tuple(y.index(c) for c in (*batch, *summed, *columns)),
        tuple(made.index(c) for c in out),
        len(batch),
        len(summed),
    )


def _as_product(x: Any, y: Any, plan: Plan) -> Array:
    batches, summed = plan.batches, plan.summed
    x, y = x.transpose(plan.left), y.transpose(plan.right)
    batch, rows, columns = x.shape[:batches], x.shape[batches:-summed], y.shape[batches + summed :]
    k = count(x.shape[-summed:])
    z = product(x.reshape(*batch, count(rows), k), y.reshape(*batch, k, count(columns)))
    return z.reshape(*batch, *rows, *columns).transpose(plan.result)


@register
class Einsum(Linear):
    """Sum of products over named axes.

    Each operand names an axis once, and each name is in the output or in two operands at least: then
    every derivative is an einsum again. :func:`einsum` brings any subscripts into this form.
    """

    name, label, latex = "einsum", "einsum", r"\operatorname{{einsum}}"
    linear, joint = None, False
    evaluate = staticmethod(_evaluate_einsum)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        terms, out = terms_of(params["subscripts"])
        others = [j for j in range(len(xs)) if j != i]
        if len(others) == 1:
            return Ties(tuple(out), tuple(terms[i]), xs[others[0]], tuple(terms[others[0]]))
        names = "".join(dict.fromkeys(c for j in others for c in terms[j] if c in out or c in terms[i]))
        values = _contract([xs[j] for j in others], [terms[j] for j in others], names) if others else None
        return Ties(tuple(out), tuple(terms[i]), values, tuple(names))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        dtype = promote("einsum", *[x.dtype for x in xs])
        require_dtype("einsum", dtype, NUMBERS)
        return _result_shape(params["subscripts"], tuple([x.shape for x in xs])), dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        terms, out = terms_of(params["subscripts"])
        others = [j for j in range(len(xs)) if j != i]
        return _contract([g, *(xs[j] for j in others)], [out, *(terms[j] for j in others)], terms[i])

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        terms, out = terms_of(params["subscripts"])
        letter = next((c for c in ascii_letters if c not in params["subscripts"]), None)
        if letter is None:
            raise ShapeError(
                "einsum: a batch has one axis more than there are letters", fix="reshape to fewer axes"
            )
        named = [letter + term if b else term for term, b in zip(terms, batched, strict=True)]
        return apply(Einsum, tuple(xs), {"subscripts": f"{','.join(named)}->{letter}{out}"})

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        terms, out = terms_of(params["subscripts"])
        sizes = _sizes(params["subscripts"], terms, tuple(x.shape for x in xs))
        points = count(tuple(sizes.values()))
        additions = points if len(sizes) > len(out) else 0
        return Cost(points * (len(xs) - 1), additions, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        sizes = {"i": 2, "j": 3, "k": 4, "b": 2, "z": 0, "p": 9, "q": 10, "r": 8}
        for subscripts in (
            "ij,jk->ik",
            "bji,bkj->kib",
            "ij,ij->",
            "i,j->ji",
            ",ij->ij",
            "bij,jk,bk->bi",
            "zi,ij->zj",
            "iz,zj->ij",
            "bpq,brq->rbp",
        ):
            terms, _ = terms_of(subscripts)
            inputs = tuple(np.asarray(rng.normal(size=[sizes[c] for c in term])) for term in terms)
            yield Example(inputs, {"subscripts": subscripts})


@lru_cache(maxsize=1024)
def terms_of(subscripts: str) -> tuple[tuple[str, ...], str]:
    """The letters of each operand's axes, and of the output's."""
    operands, _, out = subscripts.partition("->")
    return tuple(operands.split(",")), out


@lru_cache(maxsize=1024)
def _result_shape(subscripts: str, shapes: tuple[Shape, ...]) -> Shape:
    terms, out = terms_of(subscripts)
    sizes = _sizes(subscripts, terms, shapes)
    return tuple(sizes[c] for c in out)


def einsum(subscripts: str, /, *operands: Operand[N]) -> N:
    """Multiply arrays and sum over named axes, as ``np.einsum`` does.

    Three operands and more are multiplied two at a time, in the order that takes least work.

    Args:
        subscripts: one letter for each axis, such as ``"ij,jk->ik"``. ``...`` stands for further axes,
            which broadcast. A letter twice in one term takes the diagonal. Without ``->`` the letters
            that occur once are the output's, in alphabetical order.
        operands: numbers, one for each term; sizes with one letter are equal, or 1.

    Returns:
        The axes that the output names, in units of the product of the operands.

    Raises:
        ShapeError: a term does not name as many axes as its operand has, or sizes with one letter differ.
        ArgumentError: the subscripts cannot be read.

    Example:
        >>> einsum("ij,ij->i", [[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]).tolist()
        [3.0, 7.0]
        >>> einsum("ii", [[1.0, 2.0], [3.0, 4.0]]).item()
        5.0

    Source: Smith and Gray, opt_einsum, Journal of Open Source Software 3(26), 2018, 753,
    DOI 10.21105/joss.00753, for the order.
    """
    if not isinstance(subscripts, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"einsum: the subscripts must be text, got {type(subscripts).__name__}",
            fix="name the axes by letters: cr.einsum('ij,jk->ik', a, b)",
        )
    nodes = as_nodes("einsum", *operands)
    reading = _read(subscripts, tuple([n.shape for n in nodes]))
    if reading.product is not None:
        return apply(Einsum, nodes, {"subscripts": reading.product})
    pairs = [_drop_ones(node, term, reading.sizes) for node, term in zip(nodes, reading.terms, strict=True)]
    letters = _once_each(reading.out, *(term for _, term in pairs))
    pairs = [_name_once(node, term, letters) for node, term in pairs]
    if len(pairs) > 1:
        return _contract([node for node, _ in pairs], [term for _, term in pairs], reading.out)
    node, term = pairs[0]
    return permute_dims(node, [term.index(c) for c in reading.out])


class Reading(NamedTuple):
    """Subscripts read against shapes.

    Attributes:
        terms, out: one letter for each axis of each operand, and of the output.
        sizes: of each letter.
        product: subscripts of the primitive that takes the operands as they are, if they are two and fit.
    """

    terms: tuple[str, ...]
    out: str
    sizes: dict[str, int]
    product: str | None


def _require_readable(subscripts: str, terms: Sequence[str], out: str, operands: int) -> None:
    if len(terms) != operands:
        raise ArgumentError(
            f"einsum: number of operands: {subscripts!r} describes {len(terms)}, got {operands}",
            fix="write one term for each operand, with commas between them",
        )
    for term in (*terms, out):
        letters = term.replace("...", "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise ArgumentError(
                f"einsum: cannot read {term!r} in {subscripts!r}",
                fix="name each axis by a letter a-z or A-Z; ... may stand once for further axes",
            )


@lru_cache(maxsize=1024)
def _read(subscripts: str, shapes: tuple[Shape, ...]) -> Reading:
    given, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    _require_readable(subscripts, terms, out, len(shapes))
    ranks = [len(s) - len(t) + 3 if "..." in t else 0 for t, s in zip(terms, shapes, strict=True)]
    rest = "".join(c for c in ascii_letters if c not in subscripts)[: max(0, *ranks)]
    if len(rest) < max(ranks):
        raise ArgumentError(f"einsum: {subscripts!r} has more axes than there are letters", fix="reshape")
    terms = [t.replace("...", rest[len(rest) - max(0, n) :]) for t, n in zip(terms, ranks, strict=True)]
    if not arrow:
        out = "..." + "".join(sorted(c for c in set(given) if c.isalpha() and given.count(c) == 1))
    elif rest and "..." not in out:
        raise ArgumentError(
            f"einsum: the output of {subscripts!r} lacks the axes that ... stands for",
            fix=f"write ...{out} for the output, and sum over those axes afterwards",
        )
    out = out.replace("...", rest)
    if len(set(out)) < len(out) or not set(out) <= set("".join(terms)):
        raise ArgumentError(
            f"einsum: the output of {subscripts!r} names an axis twice, or one that no operand has",
            fix="name each axis of the output once, by a letter of an operand",
        )
    sizes = _sizes(subscripts, terms, shapes, ones=True)
    letters = _once_each(out, *terms)
    fits = len(terms) == 2 and all(
        len(set(term)) == len(term) and shape == tuple(sizes[c] for c in term)
        for term, shape in zip(terms, shapes, strict=True)
    )
    alone = any(letters.count(c) == 1 for c in sizes)
    return Reading(tuple(terms), out, sizes, f"{','.join(terms)}->{out}" if fits and not alone else None)


def _once_each(*terms: str) -> str:
    """All letters, once for each term that has them."""
    return "".join("".join(set(term)) for term in terms)


def _sizes(
    subscripts: str, terms: Sequence[str], shapes: Sequence[Shape], ones: bool = False
) -> dict[str, int]:
    """The size of each letter; with ``ones`` a size of 1 fits any other."""
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape):
            raise ShapeError(
                f"einsum: {subscripts!r}: {term!r} names {len(term)} axes, but its operand has shape {shape}",
                fix="write one letter for each axis, or ... for those without a name",
            )
    sizes: dict[str, int] = {}
    for c, n in zip("".join(terms), (n for shape in shapes for n in shape), strict=True):
        known = sizes.setdefault(c, n)
        if known != n:
            if not ones or 1 not in (known, n):
                axis = f"axis {c}" if c in subscripts else "an axis of ..."
                raise ShapeError(
                    f"einsum: {subscripts!r} of {' and '.join(map(str, shapes))}: "
                    f"{axis} has sizes {known} and {n}",
                    fix="make sizes with one letter equal, or 1; transpose an operand, or use another letter",
                )
            sizes[c] = max(known, n) if 0 not in (known, n) else 0
    return sizes


def _drop_ones(node: Node, term: str, sizes: dict[str, int]) -> tuple[Any, str]:
    """Leave out axes of size 1 that broadcast: the product repeats them by itself."""
    kept = [i for i, c in enumerate(term) if node.shape[i] == sizes[c]]
    if len(kept) == len(term):
        return node, term
    return reshape(node, [node.shape[i] for i in kept]), "".join(term[i] for i in kept)


def _name_once(node: Node, term: str, letters: str) -> tuple[Any, str]:
    """Take diagonals until each letter occurs once in ``term``; sum those that occur once in ``letters``."""
    for c in term:
        while term.count(c) > 1:
            i = term.index(c)
            j = term.index(c, i + 1)
            node = diagonal(node, axis1=i, axis2=j)
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + c
    alone = tuple(i for i, c in enumerate(term) if letters.count(c) == 1)
    if not alone:
        return node, term
    require_dtype("einsum", node.dtype, NUMBERS)
    return reduce(Sum, node, alone, False), "".join(c for c in term if letters.count(c) > 1)


def _contract(nodes: list[Any], terms: list[str], out: str) -> Any:
    """The einsum of operands that fit the primitive, in the order that takes least work."""
    for group in _order(tuple(terms), out, tuple(n.shape for n in nodes)):
        factors, names = [nodes[i] for i in group], [terms[i] for i in group]
        nodes = [n for i, n in enumerate(nodes) if i not in group]
        terms = [t for i, t in enumerate(terms) if i not in group]
        joined = "".join(names)
        kept = set("".join((out, *terms))) & set(joined)
        # Shared axes first: they are the batches of a matrix product, whose result then needs no copy.
        made = "".join(sorted(kept, key=lambda c: (-joined.count(c), joined.index(c)))) if nodes else out
        nodes.append(apply(Einsum, tuple(factors), {"subscripts": f"{','.join(names)}->{made}"}))
        terms.append(made)
    return nodes[0]


@lru_cache(maxsize=1024)
def _order(terms: tuple[str, ...], out: str, shapes: tuple[Shape, ...]) -> list[tuple[int, ...]]:
    """Which operands to multiply in each step; a result goes to the end of the list."""
    if len(terms) == 2:
        return [(0, 1)]
    search = "optimal" if len(terms) < 5 else "greedy"
    stand_ins = [np.broadcast_to(0.0, shape) for shape in shapes]
    return np.einsum_path(f"{','.join(terms)}->{out}", *stand_ins, optimize=search)[0][1:]
