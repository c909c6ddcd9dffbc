"""Every rule of every pass where it fires and where it must not, and that no bit of a result ever changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler.passes import PASSES, run
from chainrule.compiler.passes.dead import dead
from chainrule.compiler.passes.duplicates import duplicates
from chainrule.compiler.passes.fold import fold
from chainrule.compiler.passes.moves import moves
from chainrule.compiler.passes.simplify import simplify
from chainrule.compiler.passes.strong_zeros import strong_zeros
from chainrule.node import apply
from chainrule.ops.arithmetic import scale
from chainrule.ops.cast import AsType, ConstantIn
from chainrule.ops.join import Concatenate, narrow
from chainrule.ops.move import BroadcastTo, Flip, Reshape, SumTo, Transpose
from chainrule.shapes import float64
from compiler.random_graphs import random_gradient_graph, random_graph
from compiler.same_bits import bits, operations, require_same, require_same_for_all_numbers

NAMES = [each.__name__ for each in PASSES]

# Arguments of the functions below: floats, a float32, integers, booleans.
X = np.array([[0.5, -2.0, 3.0]] * 2)
F = np.array([[0.5, -2.0, 3.0]] * 2, np.float32)
I = np.array([[4, -2, 0]] * 2)
B = np.array([[True, False, True]] * 2)
ROW = np.array([1.0, 2.0, -3.0])
ONE = np.array([[2.5]])

FIRES = {
    # simplify
    "stop_gradient": (simplify, lambda x: cr.stop_gradient(x), (X,), ""),
    "astype to its own dtype": (simplify, lambda x: apply(AsType, (x,), {"dtype": float64}), (X,), ""),
    "astype and back": (simplify, lambda x: cr.astype(cr.astype(x, "float64"), "float32"), (F,), ""),
    "astype of a boolean twice": (
        simplify,
        lambda b: cr.astype(cr.astype(b, "float32"), "float64"),
        (B,),
        "astype",
    ),
    "x * 1": (simplify, lambda x: x * 1.0, (X,), ""),
    "1 * x": (simplify, lambda x: 1 * x, (I,), ""),
    "x * ones": (simplify, lambda x: np.ones((2, 3)) * x, (X,), ""),
    "x * ones of more elements": (simplify, lambda x: x * np.ones((2, 3)), (ROW,), "broadcast_to"),
    "x * 1 in another dtype": (simplify, lambda x: x * np.float64(1), (F,), "astype"),
    "x * -1": (simplify, lambda x: x * -1.0, (X,), "negative"),
    "x / 1": (simplify, lambda x: x / 1.0, (X,), ""),
    "x / -1": (simplify, lambda x: x / -1.0, (X,), "negative"),
    "x / 8": (simplify, lambda x: x / 8.0, (X,), "multiply"),
    "x / powers of 2": (simplify, lambda x: x / np.array([2.0, -0.25, 1.0]), (X,), "multiply"),
    "x ** 1": (simplify, lambda x: x**1, (X,), ""),
    "x ** 2": (simplify, lambda x: x**2, (X,), "square"),
    "n ** 2": (simplify, lambda n: n**2, (I,), "square"),
    "x + -0.0": (simplify, lambda x: x + -0.0, (X,), ""),
    "-0.0 + x": (simplify, lambda x: -0.0 + x, (X,), ""),
    "n + 0": (simplify, lambda n: n + 0, (I,), ""),
    "x - 0.0": (simplify, lambda x: x - 0.0, (X,), ""),
    "--x": (simplify, lambda x: cr.negative(cr.negative(x)), (X,), ""),
    "-x * -y": (simplify, lambda x, y: (-x) * (-y), (X, ROW), "multiply"),
    "-x / -y": (simplify, lambda x, y: (-x) / (-y), (X, ROW), "divide"),
    "-x * c": (simplify, lambda x: (-x) * 3.0, (X,), "multiply"),
    "c * -x": (simplify, lambda x: 3.0 * (-x), (X,), "multiply"),
    "-x / c": (simplify, lambda x: (-x) / 3.0, (X,), "divide"),
    "-n * c": (simplify, lambda n: (-n) * 3, (I,), "multiply"),
    "x + -y": (simplify, lambda x, y: x + (-y), (X, ROW), "subtract"),
    "-x + y": (simplify, lambda x, y: (-x) + y, (X, ROW), "subtract"),
    "x - -y": (simplify, lambda x, y: x - (-y), (X, ROW), "add"),
    "~~b": (simplify, lambda b: ~~b, (B,), ""),
    "~(x == y)": (simplify, lambda x, y: ~(x == y), (X, ROW), "not_equal"),
    "~(x != y)": (simplify, lambda x, y: ~(x != y), (X, ROW), "equal"),
    "b & True": (simplify, lambda b: b & np.array(True), (B,), ""),
    "b & False": (simplify, lambda b: b & np.array(False), (B,), "broadcast_to"),
    "b | True": (simplify, lambda b: np.full((2, 3), True) | b, (B,), ""),
    "b | False": (simplify, lambda b: b | np.array(False), (B,), ""),
    "where True": (simplify, lambda x, y: cr.where(np.full((2, 3), True), x, y), (ROW, X), "broadcast_to"),
    "where False": (simplify, lambda x, y: cr.where(np.array(False), x, y), (ROW, X), ""),
    "where with equal sides": (simplify, lambda b, x: cr.where(b, x, x), (B, X), ""),
    "where not": (simplify, lambda b, x: cr.where(~b, x, 0.0), (B, X), "where"),
    "clip from below": (simplify, lambda x: cr.clip(x, min=0.0), (X,), "maximum"),
    "clip from above": (simplify, lambda x, y: cr.clip(x, max=y), (X, ROW), "minimum"),
    "clip of nothing": (simplify, lambda x: cr.clip(x), (X,), "maximum"),
    "sum over size 1": (simplify, lambda x: cr.sum(x, axis=1), (X[:, :1],), "reshape add"),
    "sum over no axes": (simplify, lambda x: cr.sum(x, axis=()), (X,), "add"),
    "sum beside nothing": (simplify, lambda x: cr.sum(x, axis=1), (X[:0],), "reshape add"),
    "sum of integers over size 1": (simplify, lambda n: cr.sum(n, axis=1), (I[:, :1],), "reshape"),
    "sum_to the own shape": (simplify, lambda x: apply(SumTo, (x,), {"shape": (2, 3)}), (X,), "add"),
    "mean over size 1": (simplify, lambda x: cr.mean(x, axis=0), (X[:1],), "reshape add"),
    "max over size 1": (simplify, lambda x: cr.max(x, axis=0), (X[:1],), "reshape"),
    "min over size 1": (simplify, lambda x: cr.min(x, axis=0, keepdims=True), (X[:1],), ""),
    "prod over no axes": (simplify, lambda x: cr.prod(x, axis=()), (X,), ""),
    "scale(x, 1)": (simplify, lambda x: scale(x, 1.0), (X,), ""),
    "scale(1, x)": (simplify, lambda x: scale(np.ones((2, 1)), x), (X,), ""),
    "scale(-1, x)": (simplify, lambda x: scale(-1.0, x), (X,), "negative"),
    # moves
    "reshape of reshape": (moves, lambda x: cr.reshape(cr.reshape(x, (3, 2)), (1, 6)), (X,), "reshape"),
    "reshape and back": (moves, lambda x: cr.reshape(cr.reshape(x, (-1,)), (2, 3)), (X,), ""),
    "reshape to its own shape": (moves, lambda x: apply(Reshape, (x,), {"shape": (2, 3)}), (X,), ""),
    "transpose of transpose": (moves, lambda x: x.T.T, (X,), ""),
    "three transposes": (
        moves,
        lambda x: cr.permute_dims(cr.permute_dims(cr.reshape(x, (1, 2, 3)), (1, 2, 0)), (1, 0, 2)),
        (X,),
        "reshape permute_dims",
    ),
    "transpose that is none": (moves, lambda x: apply(Transpose, (x,), {"axes": (0, 1)}), (X,), ""),
    "broadcast to its own shape": (moves, lambda x: apply(BroadcastTo, (x,), {"shape": (2, 3)}), (X,), ""),
    "broadcast of broadcast": (
        moves,
        lambda x: cr.broadcast_to(cr.broadcast_to(x, (1, 3)), (2, 3)),
        (ROW,),
        "broadcast_to",
    ),
    "flip of flip": (moves, lambda x: cr.flip(cr.flip(x, axis=0)), (X,), "flip"),
    "flip and back": (moves, lambda x: cr.flip(cr.flip(x)), (X,), ""),
    "flip of size 1": (moves, lambda x: apply(Flip, (x,), {"axes": (0,)}), (X[:1],), ""),
    "transpose of one number": (
        moves,
        lambda x: cr.broadcast_to(x, (2, 3)).T,
        (ONE,),
        "reshape broadcast_to",
    ),
    "add of a broadcast": (moves, lambda x, y: x + cr.broadcast_to(y, (2, 3)), (X, ROW), "add"),
    "exp of a broadcast": (moves, lambda x: cr.exp(cr.broadcast_to(x, (2, 3))), (ROW,), "exp broadcast_to"),
    "astype of a broadcast": (
        moves,
        lambda x: cr.astype(cr.broadcast_to(x, (2, 3)), "float32"),
        (ROW,),
        "astype broadcast_to",
    ),
    "where of broadcasts": (
        moves,
        lambda b, x: cr.where(b, cr.broadcast_to(x, (2, 3)), np.zeros((2, 3))),
        (B, ROW),
        "where",
    ),
    "square of a broadcast base": (
        moves,
        lambda x: cr.broadcast_to(x, (2, 3)) ** 3.0,
        (ROW,),
        "power broadcast_to",
    ),
    "constant of one number": (moves, lambda x: x * np.full((2, 3), 3.0), (X,), "multiply"),
    "constant of one number and more elements": (
        moves,
        lambda x: x + np.full((2, 3), 3.0),
        (ROW,),
        "add broadcast_to",
    ),
    # dead
    "constant_in": (dead, lambda x, y: apply(ConstantIn, (x, cr.exp(y))), (X, X), ""),
    "narrow of all": (
        dead,
        lambda x: apply(cr.primitive.REGISTRY["narrow"], (x,), {"axis": 1, "start": 0, "stop": 3}),
        (X,),
        "",
    ),
    "narrow of narrow": (dead, lambda x: narrow(narrow(x, 1, 1, 3), 1, 1, 2), (X,), "narrow"),
    "narrow of concat": (
        dead,
        lambda x, y: narrow(cr.concat([x, cr.exp(y)], axis=1), 1, 0, 2),
        (X, X),
        "narrow",
    ),
    "narrow of a later part": (dead, lambda x, y: narrow(cr.concat([x, y], axis=0), 0, 2, 4), (X, X), ""),
    "narrow of pad that reads zeros": (
        dead,
        lambda x: narrow(cr.pad(x, [(0, 0), (2, 1)]), 1, 1, 4),
        (X,),
        "narrow pad",
    ),
    "narrow of pad that reads nothing else": (
        dead,
        lambda x: narrow(cr.pad(x, [(0, 0), (2, 1)]), 1, 0, 2),
        (X,),
        "broadcast_to",
    ),
    "narrow of pad": (dead, lambda x: narrow(cr.pad(x, [(0, 0), (2, 1)]), 1, 2, 4), (X,), "narrow"),
    "concat of one": (dead, lambda x: apply(Concatenate, (x,), {"axis": 0}), (X,), ""),
    "concat with nothing": (dead, lambda x, y: cr.concat([x, y[:0], y], axis=0), (X, X), "concat"),
    "concat with nothing else": (dead, lambda x, y: cr.concat([y[:0], x], axis=0), (X, X), ""),
    # strong zeros
    "scale by a constant": (strong_zeros, lambda x: scale(x, 0.0), (X,), "multiply"),
    "scale of a constant": (
        strong_zeros,
        lambda x: scale(np.array([2.0, np.inf, np.nan]), x),
        (X,),
        "multiply",
    ),
    "scale by a mask": (
        strong_zeros,
        lambda x, y: scale(x, cr.astype(y > 0, "float64")),
        (X, X),
        "greater astype multiply",
    ),
    "scale by bounded numbers": (
        strong_zeros,
        lambda x, b: scale(x, 1 - cr.square(cr.tanh(cr.astype(b, "float64") - 0.5)) / 3),
        (X, B),
        "astype subtract tanh square divide subtract multiply",
    ),
    "scale of what is never 0": (
        strong_zeros,
        lambda b, x: scale(cr.exp(cr.astype(b, "float64")) + 1, x),
        (B, X),
        "astype exp add multiply",
    ),
    # duplicates
    "the same twice": (duplicates, lambda x: cr.exp(x) + cr.exp(x), (X,), "exp add"),
    "chains": (duplicates, lambda x: cr.exp(x + 1) * cr.exp(x + 1), (X,), "add exp multiply"),
    "other order": (duplicates, lambda x, y: (x + y) / (y + x), (X, ROW), "add divide"),
    "mirrored comparison": (duplicates, lambda x, y: (x < y) ^ (y > x), (X, ROW), "less logical_xor"),
    "integers' maximum": (
        duplicates,
        lambda n, m: cr.maximum(n, m) - cr.maximum(m, n),
        (I, I),
        "maximum subtract",
    ),
    "parameters": (
        duplicates,
        lambda x: cr.sum(x, axis=0) * cr.sum(x, axis=0),
        (X,),
        "sum multiply",
    ),
    "random numbers": (
        duplicates,
        lambda k: cr.random.normal(k, (3,)) * cr.random.normal(k, (3,)),
        (np.array([1, 2]),),
        "random_normal multiply",
    ),
    # fold
    "what is made of tracked constants": (
        fold,
        lambda x: x * cr.sqrt(cr.tensor([1.0, 4.0, 9.0], requires_grad=True)),
        (X,),
        "multiply",
    ),
}

STAYS = {
    "x + 0.0": (simplify, lambda x: x + 0.0, (X,)),
    "x - -0.0": (simplify, lambda x: x - -0.0, (X,)),
    "x * 0": (simplify, lambda x: x * 0.0, (X,)),
    "x - x": (simplify, lambda x: x - x, (X,)),
    "0 - x": (simplify, lambda x: 0.0 - x, (X,)),
    "x * constants that are not all 1": (simplify, lambda x: x * np.array([1.0, 1.0, 2.0]), (X,)),
    "x + zeros of both signs": (simplify, lambda x: x + np.array([-0.0, 0.0, -0.0]), (X,)),
    "x / 3": (simplify, lambda x: x / 3.0, (X,)),
    "x / 0": (simplify, lambda x: x / 0.0, (X,)),
    "x / inf": (simplify, lambda x: x / np.inf, (X,)),
    "x / a power of 2 without reciprocal": (simplify, lambda x: x / 2.0**-1074, (X,)),
    "x / a power of 2 with a subnormal one": (simplify, lambda x: x / np.float32(2.0**127), (F,)),
    "x / powers of 2 but one": (simplify, lambda x: x / np.array([2.0, 4.0, 3.0]), (X,)),
    "x ** 0.5": (simplify, lambda x: x**0.5, (X,)),
    "x ** -1": (simplify, lambda x: x**-1, (X,)),
    "x ** twos": (simplify, lambda x: x ** np.full((2, 3), 2.0), (X,)),
    "astype to fewer digits and back": (
        simplify,
        lambda x: cr.astype(cr.astype(x, "float32"), "float64"),
        (X,),
    ),
    "astype of integers to floats of as many bits": (
        simplify,
        lambda n: cr.astype(cr.astype(n, "float64"), "int64"),
        (I,),
    ),
    "astype of floats to integers": (simplify, lambda x: cr.astype(cr.astype(x, "float64"), "int64"), (F,)),
    "astype to boolean and back": (simplify, lambda n: cr.astype(cr.astype(n, "bool"), "int64"), (I,)),
    "where with a mixed condition": (
        simplify,
        lambda x: cr.where(np.array([True, False, True]), x, 0.0),
        (X,),
    ),
    "~(x < y)": (simplify, lambda x, y: ~(x < y), (X, ROW)),
    "x + y * -1 with one more use": (simplify, lambda x, y: x + y, (X, ROW)),
    "clip on both sides": (simplify, lambda x: cr.clip(x, -1.0, 1.0), (X,)),
    "sum over more than one": (simplify, lambda x: cr.sum(x, axis=0), (X,)),
    "sum of nothing": (simplify, lambda x: cr.sum(x, axis=0), (X[:0],)),
    "max over more than one": (simplify, lambda x: cr.max(x, axis=0), (X,)),
    "scale by 2": (simplify, lambda x: scale(x, 2.0), (X,)),
    "reshape": (moves, lambda x: cr.reshape(x, (3, 2)), (X,)),
    "transposes that do not cancel": (moves, lambda x: cr.permute_dims(x, (1, 0)), (X,)),
    "reshape of a transpose": (moves, lambda x: cr.reshape(x.T, (2, 3)), (X,)),
    "transpose of a broadcast": (moves, lambda x: cr.broadcast_to(x, (2, 3)).T, (ROW,)),
    "sum of a broadcast": (moves, lambda x: cr.sum(cr.broadcast_to(x, (2, 3)), axis=0), (ROW,)),
    "matmul of a broadcast": (moves, lambda x: cr.broadcast_to(x, (2, 3)) @ x, (ROW,)),
    "power with exponents": (moves, lambda x: x ** np.full((2, 3), 2.0), (X,)),
    "constant of two numbers": (moves, lambda x: x * np.array([1.0, 2.0, 1.0]), (X,)),
    "constant of both zeros": (moves, lambda x: x * np.array([0.0, -0.0, 0.0]), (X,)),
    "narrow along another axis": (dead, lambda x: narrow(narrow(x, 0, 1, 2), 1, 1, 2), (X,)),
    "narrow over two parts": (dead, lambda x, y: narrow(cr.concat([x, y], axis=0), 0, 1, 3), (X, X)),
    "narrow of concat along another axis": (
        dead,
        lambda x, y: narrow(cr.concat([x, y], axis=0), 1, 0, 1),
        (X, X),
    ),
    "narrow of concat with promotion": (
        dead,
        lambda x, y: narrow(cr.concat([x, y], axis=0), 0, 0, 2),
        (F, X),
    ),
    "narrow of pad on other axes": (dead, lambda x: narrow(cr.pad(x, [(1, 0), (2, 1)]), 1, 2, 4), (X,)),
    "concat that needs the dtype of nothing": (dead, lambda x, y: cr.concat([x, y[:0]], axis=0), (F, X)),
    "concat of nothings": (dead, lambda x, y: cr.concat([x[:0], y[:0]], axis=0), (X, X)),
    "scale by an input": (strong_zeros, lambda x, y: scale(x, y), (X, X)),
    "scale by tanh, which may be nan": (strong_zeros, lambda x, y: scale(x, cr.tanh(y)), (X, X)),
    "scale by an infinite constant": (strong_zeros, lambda x: scale(x, np.inf), (X,)),
    "scale of a mask": (strong_zeros, lambda b, x: scale(cr.astype(b, "float64"), x), (B, X)),
    "scale of a constant with zeros": (strong_zeros, lambda x: scale(np.array([1.0, -0.0, 2.0]), x), (X,)),
    "scale by a quotient that may be infinite": (
        strong_zeros,
        lambda x, b: scale(x, 1 / cr.astype(b, "float64")),
        (X, B),
    ),
    "scale of what may be rounded to 0": (
        strong_zeros,
        lambda b, x: scale(cr.astype(cr.exp(cr.astype(b, "float64") - 200), "float32"), x),
        (B, F),
    ),
    "other inputs": (duplicates, lambda x, y: cr.exp(x) + cr.exp(y), (X, X)),
    "other parameters": (
        duplicates,
        lambda x: cr.sum(x, axis=0) @ cr.sum(x, axis=(0,), keepdims=True)[0],
        (X,),
    ),
    "subtract in the other order": (duplicates, lambda x, y: (x - y) * (y - x), (X, ROW)),
    "scale in the other order": (duplicates, lambda x, y: scale(x, y) + scale(y, x), (X, X)),
    "floats' maximum in the other order": (
        duplicates,
        lambda x, y: cr.maximum(x, y) * cr.maximum(y, x),
        (X, X),
    ),
    "zeros of two signs": (duplicates, lambda x: (x * 0.0) / (x * -0.0), (X,)),
    "parameters that are only equal": (
        duplicates,
        lambda x: cr.leaky_relu(x, 0.0) / cr.leaky_relu(x, -0.0),
        (X,),
    ),
    "another key": (
        duplicates,
        lambda k: cr.random.normal(k, (3,)) * cr.random.normal(k + 1, (3,)),
        (np.array([1, 2]),),
    ),
    "what depends on an input": (fold, lambda x: cr.exp(x) + 1, (X,)),
}


@pytest.mark.parametrize(("apply_pass", "f", "inputs", "wanted"), FIRES.values(), ids=FIRES)
def test_each_rule_fires(apply_pass, f, inputs, wanted):
    before = cr.trace(f, *inputs)
    after = apply_pass(before)
    assert after is not before
    assert operations(after) == wanted
    require_same_for_all_numbers(before, after, inputs)
    require_same_for_all_numbers(before, run(before)[0], inputs)


@pytest.mark.parametrize(("apply_pass", "f", "inputs"), STAYS.values(), ids=STAYS)
def test_no_rule_fires_where_it_must_not(apply_pass, f, inputs):
    before = cr.trace(f, *inputs)
    assert apply_pass(before) is before
    require_same_for_all_numbers(before, run(before)[0], inputs)


# Random graphs.

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 40), st.booleans())
def test_every_pass_keeps_every_bit_of_random_graphs(seed, size, specials):
    graph, inputs = random_graph(seed, size, special=specials)
    graph.verify()
    for apply_pass in PASSES:
        require_same(graph, apply_pass(graph), inputs)


@given(seeds, st.integers(1, 60), st.booleans(), st.sets(st.sampled_from(NAMES)))
def test_every_selection_of_passes_keeps_every_bit(seed, size, specials, skip):
    graph, inputs = random_graph(seed, size, special=specials)
    after, changes = run(graph, skip)
    require_same(graph, after, inputs)
    assert not skip & {change.pass_name for change in changes}


@given(seeds, st.integers(1, 12), st.booleans())
def test_gradients_keep_every_bit(seed, size, specials):
    graph, inputs = random_gradient_graph(seed, size, special=specials)
    require_same(graph, run(graph)[0], inputs)


@given(seeds, st.integers(1, 40))
def test_passes_come_to_an_end(seed, size):
    once, _ = run(random_graph(seed, size)[0])
    again, changes = run(once)
    assert again is once and not changes


def test_random_graphs_are_reproducible_and_varied():
    first, inputs = random_graph(5, 30)
    second, others = random_graph(5, 30)
    assert str(first) == str(second)
    assert [bits(x) for x in inputs] == [bits(x) for x in others]
    kinds = {n.dtype.name for seed in range(20) for n in random_graph(seed, 30)[0].nodes}
    assert kinds >= {"float32", "float64", "int64", "bool"}


# Training steps.


def mlp_loss(params, x, labels):
    (w1, b1), (w2, b2) = params
    return cr.nn.losses.softmax_cross_entropy(cr.relu(x @ w1 + b1) @ w2 + b2, labels)


def step(optimizer, loss):
    def run_step(params, state, *batch):
        value, gradients = cr.value_and_grad(loss)(params, *batch)
        return value, *optimizer.update(gradients, state, params)

    return run_step


def test_a_training_step_shrinks_and_keeps_every_bit(rng):
    params = [(rng.normal(size=s).astype("f"), np.zeros(s[1], "f")) for s in ((5, 8), (8, 3))]
    optimizer = cr.optim.adam(1e-2)
    arguments = params, optimizer.init(params), rng.normal(size=(4, 5)).astype("f"), rng.integers(0, 3, 4)
    graph = cr.trace(step(optimizer, mlp_loss), *arguments)
    after, changes = run(graph)
    require_same(graph, after, [np.asarray(x) for x in cr.trees.leaves(arguments)])
    assert operations(after).split().count("power") == 2  # each bias correction once, not once for each array
    assert len(after) <= len(graph) - 28
    assert {change.pass_name for change in changes} == {"moves", "strong_zeros", "duplicates"}
