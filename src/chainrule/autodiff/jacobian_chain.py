"""Chains of structured Jacobians: the best order of their products, by dynamic programming.

As in :mod:`chainrule.autodiff.matrix_chain`, but factors are what they are: a diagonal times a matrix scales it, and a
convolution between two diagonals stays one. What a stretch of the chain becomes does not depend on the order in which
it is multiplied, so neither does what the product of two neighbouring stretches costs; that is all that Godbole's
argument needs.

Source: Godbole, On efficient computation of matrix chain products, IEEE Trans. Comput. C-22, 1973, 864-866, DOI
10.1109/TC.1973.5009182.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.autodiff.forms import Edges

LONGEST = 64
"""Vertices to be eliminated in one chain: the best order is then known in a tenth of a second."""


def chains_of(before: Mapping[int, Mapping[int, int]], inner: Sequence[int]) -> list[list[int]] | None:
    """The chains of which a graph consists, each from an argument to a result; None if it consists of more than that.

    Two chains between the same argument and result are none: they would be added up.

    Args:
        before: for each vertex those that enter it.
        inner: the vertices to be eliminated.
    """
    after: dict[int, list[int]] = {}
    for v, into in before.items():
        for u in into:
            after.setdefault(u, []).append(v)
    if any(len(before[v]) != 1 or len(after.get(v, ())) != 1 for v in inner):
        return None
    whole, found = set(inner), list[list[int]]()
    for v in inner:
        (u,) = before[v]
        if u in whole:
            continue
        chain = [u, v]
        while chain[-1] in whole:
            chain += after[chain[-1]]
        found.append(chain)
    ends = [(chain[0], chain[-1]) for chain in found]
    direct = [(u, v) for v, into in before.items() if v not in whole for u in into if u not in whole]
    every = [*ends, *direct]
    return found if len(set(every)) == len(every) and max(map(len, found), default=0) <= LONGEST + 2 else None


def best_order(edges: Sequence[int], forms: Edges) -> list[int]:
    """The order in which the inner vertices of a chain are best eliminated, by place: 1 is behind the first edge.

    Of equally cheap orders that which starts nearer to the result.

    Args:
        edges: by their numbers in ``forms``, from the argument on.
        forms: what they look like.
    """
    count = len(edges) + 1
    made = {(k, k + 1): (0, edge, 0) for k, edge in enumerate(edges)}  # cost, edge, the vertex that goes last
    for length in range(2, count):
        for low in range(count - length):
            high = low + length
            options: list[tuple[int, int, int]] = []
            for k in range(low + 1, high):
                (left, lower, _), (right, upper, _) = made[low, k], made[k, high]
                edge, cost = forms.through(upper, lower)
                options.append((left + right + cost, edge, k))
            made[low, high] = min(options, key=lambda option: option[0])
    order: list[int] = []
    todo = [(0, count - 1)]
    while todo:
        low, high = todo.pop()
        if high - low > 1:
            k = made[low, high][2]
            order.append(k)
            todo += [(low, k), (k, high)]
    return order[::-1]
