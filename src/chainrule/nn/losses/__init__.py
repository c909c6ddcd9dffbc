"""How far predictions are from what they should be, as one number to minimize.

``reduction`` says how the numbers of a batch become one: ``"mean"``, ``"sum"``, or ``"none"`` to keep them.
"""

from chainrule.nn.losses.classification import (
    binary_cross_entropy,
    hinge,
    kl_divergence,
    multiclass_hinge,
    softmax_cross_entropy,
)
from chainrule.nn.losses.reduction import Reduction
from chainrule.nn.losses.regression import absolute_error, half_squared_error, huber, mean_squared_error

__all__ = [
    "Reduction",
    "half_squared_error",
    "mean_squared_error",
    "absolute_error",
    "huber",
    "softmax_cross_entropy",
    "binary_cross_entropy",
    "hinge",
    "multiclass_hinge",
    "kl_divergence",
]
