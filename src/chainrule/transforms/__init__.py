"""The traced door: functions in, functions out.

``grad``, ``vjp``, ``jvp``, ... take a function of arrays, or of nested dict, list and tuple of them, and
give back a function. They nest to any order. Inside, ``f`` computes on fresh nodes that stand for its
arguments, so Python's own ``if`` and ``for`` may look at the numbers; only :func:`trace` hides them.
"""

from chainrule.transforms.batch import vmap
from chainrule.transforms.checkpoint import checkpoint
from chainrule.transforms.compiled import compile
from chainrule.transforms.derivatives import gnvp, grad, hvp, jvp, value_and_grad, vjp
from chainrule.transforms.jacobians import hessian, jacobian
from chainrule.transforms.scan import scan
from chainrule.transforms.tracing import trace

__all__ = [
    "checkpoint",
    "compile",
    "gnvp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "scan",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
