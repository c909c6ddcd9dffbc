"""How the axes of a Jacobian hang together: what it is before any number is known.

The derivative of a tensor with respect to a tensor has the axes of both. Most of its entries are zeros of a known
pattern: an elementwise function ties each axis of its result to one of its argument, a matrix product ties the rows, a
sum forgets an axis, an index fixes a place on one, and the place of a pixel follows from a window and a place in it. A
`Pattern` names the index variables (*labels*) over which such a Jacobian runs, and says for each axis where its place
comes from. With values d[labels] it stands for

    J[out, into] = sum over all labels of d[labels] * [out == places(labels)] * [into == places(labels)],

so a diagonal has one label for both axes, a matrix two, a broadcast or a sum one that its values do not vary with.
Products of such Jacobians are such Jacobians again (`compose`): what is zero is never multiplied, and what only moves
numbers costs nothing.
"""

from chainrule.axes.composition import Composition, compose, reshaping
from chainrule.axes.patterns import Axis, Fold, Index, Merge, Pattern, Places, Settled, pattern_of
from chainrule.axes.ties import At, Jointly, Ties, aligned, along, reduced, stretched

__all__ = [
    "At",
    "Axis",
    "Composition",
    "Fold",
    "Index",
    "Jointly",
    "Merge",
    "Pattern",
    "Places",
    "Settled",
    "Ties",
    "aligned",
    "along",
    "compose",
    "pattern_of",
    "reduced",
    "reshaping",
    "stretched",
]
