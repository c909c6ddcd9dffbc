"""What a primitive states of its local derivatives."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.axes.patterns import Axis, Places, Settled, settle, shortest
from chainrule.shapes import Shape


class At(NamedTuple):
    """An axis on which only some places count.

    Attributes:
        label: runs over them; None for a single one.
        places: in the order of the label's values.
    """

    label: Hashable
    places: Places


class Jointly(NamedTuple):
    """An axis on which several labels together say the place, such as a window's number and the place in the window.

    Attributes:
        labels: the last one runs fastest.
        sizes: of them.
        places: for each of their values; None if they count all places in order.
    """

    labels: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    places: Places | None = None


class Ties(NamedTuple):
    """Which axes of a local derivative belong together, as a primitive states it.

    Attributes:
        out, into: for each axis of the result and of the argument its label, anything hashable; where the same label
            stands twice, the Jacobian is diagonal. `At` for some places of an axis, `Jointly`
            for places that several labels say, None for a label of its own.
        values: a node; None for ones.
        labels: of the axes of ``values``.
        factor: times all values.
        selects: whether a value of exactly 0 means that nothing passes, not even what is infinite.
        pulled: whether the values must be found by pulling gradients back, one pull for each place of the axes of the
            result that are not tied.
    """

    out: tuple[Hashable, ...]
    into: tuple[Hashable, ...]
    values: Any = None
    labels: tuple[Hashable, ...] = ()
    factor: float = 1.0
    selects: bool = False
    pulled: bool = False

    def settled(self, out: Shape, into: Shape) -> tuple[Settled, Mapping[Hashable, int]]:
        """The pattern for axes of these sizes, and the number of each label of the primitive before it was settled."""
        sizes: dict[int, int] = {}
        names: dict[Hashable, int] = {}
        axes: list[Axis] = []
        for entry, n in zip((*self.out, *self.into), (*out, *into), strict=True):
            if isinstance(entry, Jointly):
                labels, many, places = entry
                if places is not None and len(places):
                    places = shortest(np.asarray(places, np.intp), n)
            else:
                label, places = entry if isinstance(entry, At) else (entry, None)
                if places is not None and label is None:
                    axes.append(Axis(n, (), places if n > 1 else None))
                    continue
                labels = (object() if label is None else label,)
                many = (n if places is None else len(places),)
            numbers = tuple(names.setdefault(x, len(names)) for x in labels)
            sizes.update(zip(numbers, many, strict=True))
            axes.append(Axis(n, numbers, places))
        return settle(axes, len(out), sizes), names


def aligned(shape: Shape, to: Shape) -> tuple[int | None, ...]:
    """For each axis of ``shape`` the axis of ``to`` that it broadcasts to; None where it is stretched."""
    before = len(to) - len(shape)
    return tuple(before + i if n == to[before + i] else None for i, n in enumerate(shape))


def stretched(shape: Shape, to: Shape, **more: Any) -> Ties:
    """Ties of what broadcasts ``shape`` to ``to``, element by element."""
    return Ties(tuple(range(len(to))), aligned(shape, to), **more)


def reduced(rank: int, axes: Sequence[int], keepdims: bool, **more: Any) -> Ties:
    """Ties of what makes one number of each slice along ``axes``."""
    kept = [None if i in axes else i for i in range(rank) if keepdims or i not in axes]
    return Ties(tuple(kept), tuple(range(rank)), **more)


def along(rank: int, axes: Sequence[int], **more: Any) -> Ties:
    """Ties of what mixes the places along ``axes`` and treats all slices alike."""
    return Ties(tuple(None if i in axes else i for i in range(rank)), tuple(range(rank)), **more)
