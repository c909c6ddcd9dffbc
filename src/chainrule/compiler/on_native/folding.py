"""The lanes of several vectors added up at once, which takes fewer instructions than one vector after the other."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.on_native.ir import Function, Value, number


def folded(f: Function, vectors: Sequence[Value]) -> Value:
    """A vector whose lanes are the sums of the lanes of each of the vectors, of which there are at most as many.

    In each step two vectors become one: the halves of each of their groups of lanes are added.
    """
    kind = vectors[0].type
    lanes = kind.lanes
    length = 1 << (len(vectors) - 1).bit_length()
    row = [*vectors, *[number(kind, 0.0)] * (length - len(vectors))]
    group = lanes
    while len(row) > 1:
        half = group // 2
        low = [i for i in range(2 * lanes) if i % group < half]
        high = [i + half for i in low]
        row = [
            f.add(f.shuffle(x, y, low), f.shuffle(x, y, high))
            for x, y in zip(row[::2], row[1::2], strict=True)
        ]
        group = half
    result = row[0]
    while group > 1:
        half = group // 2
        low = [i for i in range(result.type.lanes) if i % group < half]
        result = f.add(f.shuffle(result, result, low), f.shuffle(result, result, [i + half for i in low]))
        group = half
    if result.type.lanes == lanes:
        return result
    return f.shuffle(result, result, [i % length for i in range(lanes)])
