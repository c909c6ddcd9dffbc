"""Linear algebra under one name, as the array API standard groups it."""

from chainrule.ops.contractions import outer, tensordot, trace, vecdot
from chainrule.ops.determinants import SlogDet, det, slogdet
from chainrule.ops.factor import cholesky, inv, solve
from chainrule.ops.index import diagonal
from chainrule.ops.matmul import matmul
from chainrule.ops.move import matrix_transpose
from chainrule.ops.norm import matrix_norm, norm, vector_norm

__all__ = [
    "SlogDet",
    "cholesky",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_transpose",
    "norm",
    "outer",
    "slogdet",
    "solve",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
