"""Sums of products over chosen axes: einsum, and what is written with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from string import ascii_letters
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from chainrule.axes import Ties
from chainrule.errors import ArgumentError, ShapeError, shown
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes
from chainrule.ops.arithmetic import multiply
from chainrule.ops.index import diagonal
from chainrule.ops.matmul import matmul, product
from chainrule.ops.move import moveaxis, permute_dims, reshape
from chainrule.ops.reduce import Sum, reduce, sum
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import (
    NUMBERS,
    DType,
    Shape,
    count,
    normalize_axes,
    normalize_axis,
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


def tensordot(x: Operand[N], y: Operand[N], /, axes: int | Sequence[Any] = 2) -> N:
    """Sum products over chosen axes of both arrays.

    Args:
        x, y: numbers.
        axes: how many of the last axes of ``x`` meet the first of ``y``, or the axes of ``x`` and those of
            ``y`` as a pair, in the order in which they meet.

    Returns:
        The other axes of ``x``, then those of ``y``. Units of ``x`` times units of ``y``.

    Raises:
        ShapeError: axes that meet differ in size or in number.
        AxisError: an axis does not exist, or is named twice.
        ArgumentError: ``axes`` is neither such a number nor a pair.

    Example:
        >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), axes=((1, 2), (1, 0))).shape
        (2, 5)
    """
    left, right = as_nodes("tensordot", x, y)
    if isinstance(axes, (tuple, list)) and len(axes) == 2:
        return _sum_over("tensordot", left, axes[0], right, axes[1])
    most = min(left.ndim, right.ndim)
    if not isinstance(axes, int) or isinstance(axes, bool) or not 0 <= axes <= most:
        raise ArgumentError(
            f"tensordot: cannot sum over axes={shown(axes)} of {left.shape} and {right.shape}",
            fix=f"pass a number from 0 to {most}, or a pair: the axes of the left, those of the right",
        )
    return _sum_over("tensordot", left, range(left.ndim - axes, left.ndim), right, range(axes))


def _sum_over(name: str, left: Node, left_axes: Any, right: Node, right_axes: Any) -> Any:
    """Sum products over axes that meet: the other axes of ``left``, then those of ``right``."""
    promote(name, left.dtype, right.dtype)
    ours, theirs = _several(name, left, left_axes), _several(name, right, right_axes)
    sizes = [left.shape[a] for a in ours], [right.shape[a] for a in theirs]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"{name}: axes {ours} of {left.shape} have sizes {sizes[0]}, "
            f"axes {theirs} of {right.shape} have sizes {sizes[1]}",
            fix="as many axes of both must meet, and in the same sizes",
        )
    if left.ndim + right.ndim > len(ascii_letters):
        raise ShapeError(f"{name}: more axes than there are letters", fix="reshape to fewer axes")
    first, second = list(ascii_letters[: left.ndim]), list(ascii_letters[left.ndim :][: right.ndim])
    for a, b in zip(ours, theirs, strict=True):
        second[b] = first[a]
    out = "".join(c for c in (*first, *second) if (c in first) != (c in second))
    return apply(Einsum, (left, right), {"subscripts": f"{''.join(first)},{''.join(second)}->{out}"})


def _several(name: str, node: Node, axes: Any) -> Axes:
    given = tuple(cast("Iterable[int]", axes)) if isinstance(axes, Iterable) else (axes,)
    normalize_axes(name, given, node.ndim)  # each exists, and once
    return tuple(normalize_axis(name, a, node.ndim) for a in given)


def vecdot(x: Operand[N], y: Operand[N], /, *, axis: int = -1) -> N:
    """Multiply and sum along one axis: dot products of vectors.

    Args:
        x, y: numbers, of one size along ``axis``; the other axes broadcast.
        axis: the vectors' axis, counted from the end, before broadcasting.

    Returns:
        The broadcast shape without ``axis``. Units of ``x`` times units of ``y``.

    Raises:
        ShapeError: the vectors differ in size, or the other axes do not broadcast.

    Example:
        >>> vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
        [3.0, 7.0]
    """
    left, right = as_nodes("vecdot", x, y)
    promote("vecdot", left.dtype, right.dtype)
    places = [normalize_axis("vecdot", axis, n.ndim) for n in (left, right)]
    sizes = [n.shape[a] for n, a in zip((left, right), places, strict=True)]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"vecdot: vectors along axis {axis} of {left.shape} and {right.shape} have sizes "
            f"{sizes[0]} and {sizes[1]}",
            fix="make the two sizes equal",
        )
    left, right = (moveaxis(n, a, -1) for n, a in zip((left, right), places, strict=True))
    return einsum("...i,...i->...", left, right)


def dot(x: Operand[N], y: Operand[N], /) -> N:
    """Multiply as ``np.dot`` does: numbers, vectors, matrices; prefer :func:`matmul` for batches.

    Args:
        x: numbers; its last axis is summed.
        y: numbers; its second-to-last axis is summed, or its only one.

    Returns:
        The other axes of ``x``, then those of ``y``; the plain product if either is 0-dimensional.

    Raises:
        ShapeError: the summed axes differ in size.

    Example:
        >>> dot([1.0, 2.0], [3.0, 4.0]).item()
        11.0
    """
    left, right = as_nodes("dot", x, y)
    if not left.ndim or not right.ndim:
        return multiply(left, right)
    if left.ndim <= 2 and right.ndim <= 2:
        return matmul(left, right)
    return _sum_over("dot", left, -1, right, max(-2, -right.ndim))


def inner(x: Operand[N], y: Operand[N], /) -> N:
    """Sum products over the last axis of both, as ``np.inner`` does.

    Returns:
        The other axes of ``x``, then those of ``y``; the plain product if either is 0-dimensional.

    Raises:
        ShapeError: the last axes differ in size.

    Example:
        >>> inner([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]]).tolist()
        [11.0, 17.0]
    """
    left, right = as_nodes("inner", x, y)
    if not left.ndim or not right.ndim:
        return multiply(left, right)
    return _sum_over("inner", left, -1, right, -1)


def outer(x: Operand[N], y: Operand[N], /) -> N:
    """Multiply each element of ``x`` by each of ``y``; both are flattened first.

    Returns:
        Shape ``(x.size, y.size)``, in units of ``x`` times units of ``y``.

    Example:
        >>> outer([1.0, 2.0], [3.0, 4.0]).tolist()
        [[3.0, 4.0], [6.0, 8.0]]
    """
    left, right = as_nodes("outer", x, y)
    promote("outer", left.dtype, right.dtype)
    return multiply(reshape(left, (left.size, 1)), reshape(right, (1, right.size)))


def trace(x: Operand[N], /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> N:
    """Sum the diagonal of matrices.

    Args:
        x: numbers, shape ``(*batch, m, n)``.
        offset: which diagonal; above the main one if positive, below if negative.
        axis1, axis2: the axes of the matrices; the last two as in the array API standard, where NumPy's
            default is the first two.

    Returns:
        Shape ``(*batch,)``, in the units of ``x``.

    Raises:
        ShapeError, AxisError: fewer than two axes.

    Example:
        >>> trace([[1.0, 2.0], [3.0, 4.0]]).item()
        5.0
    """
    return sum(diagonal(as_node(x), offset=offset, axis1=axis1, axis2=axis2), axis=-1)
