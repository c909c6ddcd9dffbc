"""Products and sums of structured Jacobians in numbers: the values behind :mod:`chainrule.autodiff.forms`."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from chainrule.autodiff.forms import Form, product, total
from chainrule.autodiff.local import Piece
from chainrule.autodiff.settling import Labels, picked, settled_values
from chainrule.axes import Axis, Composition
from chainrule.axes.patterns import placed, shortest
from chainrule.node import Node
from chainrule.ops.arithmetic import add, multiply, negative, scale
from chainrule.ops.cast import astype
from chainrule.ops.create import full, zeros
from chainrule.ops.einsum import einsum
from chainrule.ops.index import index_add, take
from chainrule.ops.join import concat
from chainrule.ops.move import broadcast_to, permute_dims, reshape
from chainrule.ops.reduce import sum as summed
from chainrule.shapes import DType, Shape, count


def times(upper: Piece, lower: Piece) -> Piece | None:
    """The product of two pieces, the upper one nearer to the results; None where it is zero."""
    found = product(upper.form, lower.form)
    if found is None:
        return None
    met, form = found.composition, found.form
    values, labels = _multiplied(upper, lower, met)
    return Piece(form, *settled_values(values, labels, met.settled))


def _multiplied(upper: Piece, lower: Piece, met: Composition) -> tuple[Node | None, Labels]:
    """The product over the labels in which it is made; None for ones."""
    kept = range(met.kept)
    factors = [
        _laid(piece.values, piece.labels, axes, met.sizes)
        for piece, axes in ((upper, met.upper), (lower, met.lower))
        if piece.values is not None
    ]
    if not factors:
        return None, ()
    if len(factors) == 1:
        return _summed(*factors[0], [x for x in factors[0][1] if x not in kept])
    (a, of_a), (b, of_b) = factors
    a, of_a = _summed(a, of_a, [x for x in of_a if x not in kept and x not in of_b])
    b, of_b = _summed(b, of_b, [x for x in of_b if x not in kept and x not in of_a])
    labels = tuple(x for x in dict.fromkeys((*of_a, *of_b)) if x in kept)
    if any(x not in kept for x in of_a):
        terms = ("".join(ascii_letters[x] for x in some) for some in (of_a, of_b, labels))
        return einsum("{},{}->{}".format(*terms), a, b), labels
    if len(of_b) > len(of_a):  # the larger one lies as it is
        labels = tuple(dict.fromkeys((*of_b, *of_a)))
    a, b = _spread(a, of_a, labels), _spread(b, of_b, labels)
    return scale(b, a) if lower.selects else scale(a, b), labels


def plus(a: Piece, b: Piece) -> Piece:
    """The sum of two pieces of one pattern."""
    form, _ = total(a.form, b.form)
    if form.labels is None:
        return Piece(form, None)
    labels = tuple(dict.fromkeys((*a.labels, *b.labels)))
    if a.form == form == b.form:
        return Piece(
            form, add(_values(a), _spread(_values(b), b.labels, labels)), labels, a.selects and b.selects
        )
    terms = [_spread(_scaled(x), x.labels, labels) for x in (a, b)]
    return Piece(form, broadcast_to(add(*terms), tuple(form.pattern.sizes[x] for x in labels)), labels)


def _values(piece: Piece) -> Node:
    assert piece.values is not None
    return piece.values


def _scaled(piece: Piece) -> Any:
    """The values with the factor in them."""
    values, factor = piece.values, piece.form.factor
    if values is None:
        return factor
    return values if factor == 1.0 else negative(values) if factor == -1.0 else multiply(values, factor)


def _spread(values: Any, labels: Labels, to: Labels) -> Any:
    """Values with an axis for each of the labels ``to``, of size 1 where they do not vary with it."""
    if not isinstance(values, Node) or labels == to:
        return values
    order = [labels.index(x) for x in to if x in labels]
    if order != list(range(len(order))):
        values = permute_dims(values, order)
    sizes = dict(zip((x for x in to if x in labels), values.shape, strict=True))
    return reshape(values, tuple(sizes.get(x, 1) for x in to))


def _summed(values: Node, labels: Labels, away: Sequence[int]) -> tuple[Node, Labels]:
    if not away:
        return values, labels
    left = tuple(x for x in labels if x not in away)
    return summed(values, axis=tuple(labels.index(x) for x in away)), left


def _laid(
    values: Node, labels: Labels | None, axes: Sequence[Axis], sizes: Sequence[int]
) -> tuple[Node, Labels]:
    """Values over the labels of a product, given over those of a factor; nothing is multiplied."""
    expressed = [axes[x] for x in labels or ()]
    groups = _touching(expressed)
    order = [k for group in groups for k in group]
    if order != list(range(len(order))):
        values = permute_dims(values, order)
    now: Labels = ()
    for position, group in enumerate(groups):
        axis = _together([expressed[k] for k in group], sizes)
        if len(group) > 1:
            shape = values.shape
            values = reshape(values, (*shape[:position], axis.size, *shape[position + len(group) :]))
        if axis.places is not None:
            values = picked(values, position, axis.places)
        now += axis.labels
    shape = tuple(sizes[x] for x in now)
    return values if shape == values.shape else reshape(values, shape), now


def _touching(axes: Sequence[Axis]) -> list[list[int]]:
    """The axes by number, in groups that share no label."""
    groups: list[tuple[set[int], list[int]]] = []
    for k, axis in enumerate(axes):
        labels, members = set(axis.labels), [k]
        apart: list[tuple[set[int], list[int]]] = []
        for known, some in groups:
            if known & labels:
                labels, members = labels | known, some + members
            else:
                apart.append((known, some))
        groups = [*apart, (labels, members)]
    return [sorted(members) for _, members in sorted(groups, key=lambda group: min(group[1]))]


def _together(axes: Sequence[Axis], sizes: Sequence[int]) -> Axis:
    """Several axes as one, the last fastest."""
    if len(axes) == 1:
        return axes[0]
    labels = tuple(dict.fromkeys(x for a in axes for x in a.labels))
    grid = dict(zip(labels, np.indices([sizes[x] for x in labels], sparse=True), strict=True))
    entry, size = np.intp(0), 1
    for a in axes:
        entry, size = entry * a.size + placed(a, grid, sizes), size * a.size
    places = np.broadcast_to(entry, [sizes[x] for x in labels]).ravel()
    return Axis(size, labels, shortest(places, size))


def assembled(pieces: Sequence[Piece], out: Shape, into: Shape, dtype: DType) -> Node:
    """The whole Jacobian, of shape ``(*out, *into)``."""
    shape = (*out, *into)
    size = count(shape)
    if not pieces or not size:
        return zeros(shape, dtype=dtype)
    found = [(astype(_full(piece), dtype), _entries(piece.form, shape)) for piece in pieces]
    found.sort(key=lambda pair: int(pair[1][0]))  # single numbers then lie where they belong
    if len(found) == 1 and np.array_equal(found[0][1], np.arange(size)):
        return reshape(found[0][0], shape)
    entries = np.concatenate([e for _, e in found])
    source = np.full(size, len(entries))
    source[entries] = np.arange(len(entries))
    if np.count_nonzero(source < len(entries)) < len(entries):  # some are sums
        whole = zeros((size,), dtype=dtype)
        for values, at in found:
            whole = index_add(whole, at, reshape(values, (len(at),)))
        return reshape(whole, shape)
    parts = [reshape(values, (len(at),)) for values, at in found]
    if len(entries) < size:  # all that nothing reaches
        parts.append(zeros((1,), dtype=dtype))
    flat = concat(parts) if len(parts) > 1 else parts[0]
    return reshape(flat if np.array_equal(source, np.arange(size)) else take(flat, source, axis=0), shape)


def _full(piece: Piece) -> Node:
    """The values with an axis for each label of the pattern."""
    values, sizes = _scaled(piece), piece.form.pattern.sizes
    every = tuple(range(len(sizes)))
    if not isinstance(values, Node):
        return full(sizes, values)
    return broadcast_to(_spread(values, piece.labels, every), sizes)


def _entries(form: Form, shape: Shape) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each value of the labels the entry of the Jacobian, row-major, to which it belongs."""
    pattern = form.pattern
    grid = np.indices(pattern.sizes, sparse=True)
    entry: Any = np.int64(0)
    for axis, n in zip((*pattern.out, *pattern.into), shape, strict=True):
        place: Any = np.int64(0)
        for x in axis.labels:
            place = place * pattern.sizes[x] + grid[x]
        if axis.places is not None:
            place = np.asarray(axis.places, np.int64)[place]
        entry = entry * n + place
    return np.broadcast_to(entry, pattern.sizes).ravel()
