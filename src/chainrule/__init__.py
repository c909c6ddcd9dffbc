"""chainrule: run backpropagation on any computation, and see where every gradient comes from.

>>> import chainrule as cr
>>> f = cr.formula("(a+b)*(b+c)")
>>> y = f(a=-1, b=3, c=4)
>>> y.item(), cr.explain(y, "b").gradient.item()
(14.0, 9.0)
"""

from importlib.metadata import version

import numpy as _np

from chainrule import data, errors, models, nn, ops, optim, studio, train
from chainrule.autodiff.check import check
from chainrule.explain import attribute, cost, diagnose, explain, layers, sensitivity, steps, why
from chainrule.formula import Formula, formula
from chainrule.graph import Graph
from chainrule.ops import *  # noqa: F403
from chainrule.shapes import bool_ as bool
from chainrule.shapes import float32, float64, int32, int64
from chainrule.tensor import Tensor, asarray, enable_grad, no_grad, tensor
from chainrule.transforms import (
    checkpoint,
    compile,
    gnvp,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    scan,
    trace,
    value_and_grad,
    vjp,
    vmap,
)

__version__ = version("chainrule")

e = _np.e
pi = _np.pi
inf = _np.inf
nan = _np.nan
newaxis = None

__all__ = [
    "Formula",
    "Graph",
    "Tensor",
    "asarray",
    "attribute",
    "bool",
    "check",
    "checkpoint",
    "compile",
    "cost",
    "data",
    "diagnose",
    "e",
    "enable_grad",
    "errors",
    "explain",
    "float32",
    "float64",
    "formula",
    "gnvp",
    "grad",
    "hessian",
    "hvp",
    "inf",
    "int32",
    "int64",
    "jacobian",
    "jvp",
    "layers",
    "models",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pi",
    "scan",
    "sensitivity",
    "steps",
    "studio",
    "tensor",
    "trace",
    "train",
    "value_and_grad",
    "vjp",
    "vmap",
    "why",
]
__all__ += ops.__all__
