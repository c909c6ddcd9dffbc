"""Compiled graphs give what NumPy gives: on every instruction set, with any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import jit, program, target
from chainrule.compiler.on_native.lowering import steps_of
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.passes.expand import expand
from chainrule.errors import AxisError
from chainrule.graph import Graph
from compiler.random_graphs import random_gradient_graph, random_graph
from compiler.same_bits import reference


def sets():
    """The instruction sets that this machine has, the best first; and NumPy alone."""
    host = target.host()
    names = [] if host is None or host.isa is target.NEON else ["avx512", "avx2", "sse2"]
    found = [
        target.forced(n) for n in names if target.INSTRUCTION_SETS[n].vector_bytes <= host.isa.vector_bytes
    ]
    return [pytest.param(t, id=t.isa.name) for t in found] + [pytest.param(None, id="numpy")]


def run(graph, inputs, machine, threads=2):
    return Executable(graph, machine, threads)([np.ascontiguousarray(x).reshape(np.shape(x)) for x in inputs])


def terms(graph, inputs, levels=4):
    """For each output the largest of the numbers that it was computed from a few nodes before, up to 1.

    Sums of such numbers that cancel, as those of a normalised row do, are 0 or whatever rounding leaves.
    """
    found = []
    for output in graph.outputs:
        level = near = {output}
        for _ in range(levels):
            level = {x for node in level for x in node.inputs}
            near = near | level
        values = reference(Graph(graph.inputs, [n for n in near if n.dtype.kind == "f"]), inputs)
        sizes = [np.max(np.abs(v[np.isfinite(v)]), initial=0) for v in map(np.asarray, values)]
        found.append(min(1.0, float(max(sizes, default=0))))
    return found


def close(found, expected, graph, inputs):
    """Equal in shape, dtype and special values; numbers to what rounding explains."""
    coarse = any(n.dtype == np.float32 for n in graph.nodes)
    for a, b, size in zip(found, expected, terms(graph, inputs), strict=True):
        b = np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        relative, absolute = (5e-4, 1e-5) if coarse else (1e-11, 1e-13)
        scale = max(size, float(np.max(np.abs(b[np.isfinite(b)]), initial=0)))
        np.testing.assert_allclose(a, b, rtol=relative, atol=absolute * scale + 1e-30)


@pytest.mark.parametrize("machine", sets())
@given(seed=st.integers(0, 2000))
def test_random_graphs(machine, seed):
    graph, inputs = random_graph(seed, 5 + seed % 25)
    close(run(graph, inputs, machine), reference(graph, inputs), graph, inputs)


@pytest.mark.parametrize("seed", range(12))
def test_gradients_of_random_graphs(seed):
    graph, inputs = random_gradient_graph(seed, 5 + seed)
    close(run(graph, inputs, target.host()), reference(graph, inputs), graph, inputs)


def network(w, v, b, x, labels):
    hidden = cr.relu(x @ w + b)
    return cr.nn.softmax_cross_entropy(hidden @ v, labels) + (hidden**2).mean()


def large():
    rng = np.random.default_rng(0)
    made = [rng.normal(size=s).astype(np.float32) for s in ((200, 300), (300, 10), (300,), (500, 200))]
    return (*made, rng.integers(0, 10, 500))


@pytest.mark.parametrize("machine", sets())
def test_the_bits_do_not_depend_on_the_number_of_threads(machine):
    graph = cr.trace(cr.value_and_grad(network, (0, 1, 2)), *large())
    first = [a.tobytes() for a in run(graph, large(), machine, 1)]
    for threads in (2, 3, 4):
        assert [a.tobytes() for a in run(graph, large(), machine, threads)] == first


@pytest.mark.parametrize("machine", sets())
def test_a_step_of_a_network_agrees_with_the_engine(machine):
    graph = cr.trace(cr.value_and_grad(network, (0, 1, 2)), *large())
    close(run(graph, large(), machine), graph.evaluate(*large()), graph, large())


def test_arrays_of_no_elements_and_of_one():
    for shape in ((0,), (3, 0), (1,), (), (1, 1, 1)):
        x = np.ones(shape)
        graph = cr.trace(lambda x: (cr.exp(x) * 2, (x * x).sum(), x.reshape(-1)), x)
        close(run(graph, [x], target.host()), graph.evaluate(x), graph, [x])


@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 1000, 100_003])
def test_lengths_around_the_width_of_vectors(n):
    x = np.linspace(-3, 3, n, dtype=np.float32)
    graph = cr.trace(lambda x: (cr.tanh(x) * x + 1, cr.sum(x * x), cr.max(x), cr.softmax(x)), x)
    close(run(graph, [x], target.host()), graph.evaluate(x), graph, [x])


def test_inf_and_nan_flow_as_in_numpy():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0] * 7)

    def everything(x):
        return (
            cr.maximum(x, 0.0),
            cr.where(x > 0, x, -x),
            cr.max(x[1:]),
            cr.exp(x) / x,
            cr.log(x),
            cr.sum(x[3:6]),
            cr.sign(x),
            cr.isnan(x),
        )

    graph = cr.trace(everything, x)
    for a, b in zip(run(graph, [x], target.host()), graph.evaluate(x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("label", [10, -11, 10**12])
def test_a_label_out_of_range_is_an_error_and_not_a_crash(label):
    *arrays, labels = large()
    labels[77] = label
    graph = cr.trace(network, *arrays, labels)
    program = Executable(graph, target.host(), 2)
    with pytest.raises(AxisError):
        program([*arrays, labels])
    assert np.isfinite(program(list(large()))[0])


def test_integers_divide_as_in_numpy_and_never_trap():
    x = np.array([7, -7, 0, -(2**63), 5], np.int64)
    y = np.array([2, 2, 0, -1, -3], np.int64)
    graph = cr.trace(lambda x, y: (x // y, x % y), x, y)
    found = run(graph, [x, y], target.host())
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found[0][[0, 1, 2, 4]], (x // y)[[0, 1, 2, 4]])
        np.testing.assert_array_equal(found[1][[0, 1, 2, 4]], (x % y)[[0, 1, 2, 4]])


def test_results_meet_what_is_given_for_each_image_of_one_row():
    x, w, s = (np.ones(shape, np.float32) for shape in ((4, 1, 3, 5), (1, 1, 5, 6), (4, 1, 1, 6)))
    s *= np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    f = lambda x, w, s: cr.conv2d(x, w) * s
    np.testing.assert_array_equal(cr.compile(f)(x, w, s).array(), 5 * np.broadcast_to(s, (4, 1, 3, 6)))


def test_what_is_fused():
    x = np.ones((64, 100), np.float32)

    def kernels(f, *args):
        report = Executable(cr.trace(f, *args), target.host(), 1).explain()
        return len(report.lines)

    assert kernels(lambda x: cr.tanh(x * 2 + 1) * x, x) == 1
    assert kernels(lambda x: cr.softmax(x, axis=1), x) == 1
    assert (
        kernels(lambda x: (x - x.mean(axis=1, keepdims=True)) / cr.sqrt(x.var(axis=1, keepdims=True)), x) == 1
    )
    linear = Executable(
        cr.trace(lambda x, b: cr.relu(x @ x.T + b), x, np.ones(64, np.float32)), target.host(), 1
    )
    assert ("matmul", "add", "relu") in [line.nodes for line in linear.explain().lines]
    assert (
        kernels(lambda x: x.T.reshape(50, 128)[::2, 1:], x) == 1
    )  # the reshape of a transposition is a copy
    assert kernels(lambda x: x[::2, 1:].T, x) == 0  # a view


def test_batch_norm_stores_what_the_next_layer_reads_and_nothing_else():
    def loss(kernel, scale, shift, weight, x):
        z = cr.conv2d(x, kernel, padding=1)
        mean = z.mean(axis=(0, 1, 2), keepdims=True)
        spread = cr.sqrt(z.var(axis=(0, 1, 2), keepdims=True) + 1e-5)
        return (cr.conv2d(cr.relu((z - mean) / spread * scale + shift), weight, padding=1) ** 2).sum()

    rng = np.random.default_rng(0)
    shapes = ((3, 3, 4, 16), (16,), (16,), (3, 3, 16, 16), (32, 16, 16, 4))
    given = [rng.normal(size=s).astype(np.float32) for s in shapes]
    program = Executable(cr.trace(cr.grad(loss, (0, 1, 2, 3)), *given), target.host(), 2)
    (norm,) = [line for line in program.explain().lines if "relu" in line.nodes]
    assert "conv2d" in norm.nodes  # in whose tasks it runs
    assert norm.results == ("float32[32, 16, 16, 16]",) * 2
    close(program(given), program.graph.evaluate(*given), program.graph, given)


def test_what_numpy_does_is_said_with_the_reason():
    x = np.eye(3)
    report = Executable(cr.trace(lambda x: cr.linalg.inv(x) * 2, x), target.host(), 1).explain()
    assert [line.kind for line in report.lines] == ["numpy", "kernel"]
    assert "inv" in report.lines[0].reason and "inv" in report.text
    assert report.to_dict()["steps"][0]["reason"] == report.lines[0].reason


def test_code_for_another_machine_is_emitted():
    arm = target.forced("neon", "aarch64-unknown-linux-gnu")
    graph, _ = expand(cr.trace(cr.value_and_grad(network, (0, 1, 2)), *large()))
    steps, _, _ = steps_of(graph, arm, {}, ())
    arrays = dict.fromkeys(place.array for step in steps for place in step.places)
    text = module(program.functions([steps], {array: (i + 2, 0) for i, array in enumerate(arrays)}, arm))
    written = jit.assembly(text, arm)
    assert "fmla" in written and "run0:" in written
