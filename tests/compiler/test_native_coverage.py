"""Which primitives run as native code, and that they give there what NumPy gives.

The list of those that do not is complete: a primitive on it that has become native fails here, and so does one that
has fallen back to NumPy.
"""

import numpy as np
import pytest

from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.errors import ChainruleError
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import apply, symbol
from chainrule.primitive import REGISTRY
from chainrule.shapes import DTYPES, Spec
from compiler.same_bits import reference
from compiler.test_compiled_graphs import close

FACTORS = "by factorization, which is left to LAPACK"
SORTING = "sorts"
NUMPY = {
    "argsort": SORTING,
    "cholesky": FACTORS,
    "cofactor": FACTORS,
    "det": FACTORS,
    "det_sign": FACTORS,
    "inv": FACTORS,
    "logabsdet": FACTORS,
    "solve": FACTORS,
    "sort": SORTING,
}
"""What NumPy computes of at least one example, and why."""

MACHINE = target.host()


def variants(op):
    """Its examples, in every dtype that it takes."""
    seen = set()
    for example in op.examples(np.random.default_rng(5)):
        given = [np.asarray(x) for x in example.inputs]
        for dtype in DTYPES:
            arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in given]
            what = tuple((x.shape, x.dtype) for x in arrays), repr(sorted(example.params.items()))
            try:
                op.infer(*arrays, **example.params)
                silently(op.evaluate, *arrays, **example.params)
            except ChainruleError:
                continue
            if what not in seen:
                seen.add(what)
                yield arrays, example.params


def graph_of(op):
    """All variants of a primitive as one graph, and its inputs."""
    inputs, outputs, arrays = [], [], []
    for given, params in variants(op):
        own = [symbol(Spec(x.shape, x.dtype), f"x{len(inputs) + i}") for i, x in enumerate(given)]
        inputs += own
        arrays += given
        outputs.append(apply(op, tuple(own), params))
    return Graph(inputs, outputs), arrays


@pytest.mark.skipif(MACHINE is None, reason="no native code for this machine")
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_primitive_is_native_or_listed_and_gives_what_numpy_gives(name):
    graph, arrays = graph_of(REGISTRY[name])
    program = Executable(graph, MACHINE, 1)
    found = {step.nodes[0].op.name for step in program.lowered.steps if step.kernel is None}
    assert found == ({name} if name in NUMPY else set())
    close(program(arrays), reference(graph, arrays), graph, arrays)
