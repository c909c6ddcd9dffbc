"""Jacobians by vertex elimination on tensors: every order gives what sweeps give, and costs what was predicted."""

import itertools
import random

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.ordering import search
from chainrule.errors import ArgumentError
from chainrule.node import ancestors, apply, as_node
from chainrule.primitive import REGISTRY
from chainrule.transforms.run import run_function

NORMAL = np.random.default_rng(0).normal
X, A, B = NORMAL(size=(4,)), NORMAL(size=(3, 4)), NORMAL(size=(5, 3))
IMAGE, KERNEL = NORMAL(size=(2, 4, 4, 2)), NORMAL(size=(2, 2, 2, 2))

PROGRAMS = {
    "square": (lambda x: x * x, (X,)),
    "layer": (lambda x, a: cr.tanh(a @ x), (X, A)),
    "two layers": (lambda x, a, b: cr.tanh(b @ cr.tanh(a @ x)), (X, A, B)),
    "one number": (lambda x: (x * x).sum(), (X,)),
    "scalars": (lambda x: cr.stack([x[0] * x[1], cr.sin(x[2]) * x[3], x[0] + x[3]]), (X,)),
    "softmax": (lambda x: cr.softmax(x) * x, (X,)),
    "softmax of rows": (lambda a: cr.softmax(a, axis=1) * a, (A,)),
    "log softmax, mean": (lambda a: cr.log_softmax(a, axis=0).mean(axis=1), (A,)),
    "max, logsumexp": (lambda a: cr.max(a, axis=1) * cr.logsumexp(a, axis=1), (A,)),
    "reshape": (lambda a: (a.reshape(2, 6) * a.reshape(6, 2).T).reshape(3, 4) + a, (A,)),
    "slices": (lambda a: (a.T @ a)[::-1, 1:3], (A,)),
    "einsum": (lambda a, x: cr.einsum("ij,j,ij->i", a, x, a), (A, X)),
    "concat, flip": (lambda a: cr.concat([a[:, :2], a[:, 1:3] * 2.0], axis=1) - cr.flip(a, axis=0), (A,)),
    "cumulative sum": (lambda a: cr.cumsum(a, axis=1) * a, (A,)),
    "where": (lambda a: cr.where(a > 0, cr.log(cr.where(a > 0, a, 1.0)), a * a), (A,)),
    "lookup": (lambda a: a[np.array([0, 2, 2])] * a[1], (A,)),
    "inverse": (lambda a: cr.inv(a @ a.T), (A,)),
    "several results": (lambda a: (a, a * 2, (a * a).sum(axis=0, keepdims=True)), (A,)),
    "pad, broadcast": (lambda a: cr.pad(a, 1).mean(axis=0) + cr.broadcast_to(a.sum(), (6,)), (A,)),
    "norm": (lambda a, x: (a * x - a.mean(axis=1, keepdims=True)) / cr.std(a, axis=1, keepdims=True), (A, X)),
    "sort, prod": (lambda a: cr.sort(a, axis=1) * cr.prod(a, axis=1, keepdims=True), (A,)),
    "residual": (lambda x: x + cr.tanh(x * 2.0 + cr.sin(x)), (X,)),
    "convolutions": (lambda i, k: cr.conv2d(cr.tanh(cr.conv2d(i, k)), k), (IMAGE, KERNEL)),
    "only convolutions": (lambda i, k: cr.conv2d(cr.conv2d(i, k), k, padding=1), (IMAGE, KERNEL)),
    "padding, stride, dilation": (
        lambda i, k: cr.conv2d(cr.sin(cr.conv2d(i, k, padding="same", stride=2)), k, padding=1, dilation=2),
        (IMAGE, KERNEL),
    ),
    "groups": (
        lambda i, k: cr.conv2d(i * i, k[:, :, :1], padding=1, groups=2) * cr.sum(i),
        (IMAGE, KERNEL),
    ),
    "depthwise": (lambda i: cr.sum(cr.tanh(cr.conv2d(i, KERNEL[:, :, :1], groups=2)), axis=(1, 2)), (IMAGE,)),
    "pools": (
        lambda i: cr.avg_pool2d(cr.max_pool2d(i, 3, stride=1, padding=1), 2) * cr.max_pool2d(i, 2),
        (IMAGE,),
    ),
    "average over overlaps": (
        lambda i: cr.sin(cr.avg_pool2d(cr.avg_pool2d(cr.sin(i), 3, stride=1), 2, stride=1)),
        (IMAGE,),
    ),
    "small network": (
        lambda i, k, d: cr.max_pool2d(cr.relu(cr.conv2d(i, k, padding=1)), 2).reshape(2, 8) @ d,
        (IMAGE, KERNEL, NORMAL(size=(8, 3))),
    ),
    "gradient of a convolution": (
        lambda i, k: cr.grad(lambda i: (cr.sin(cr.conv2d(i, k, padding=1)) * k[0, 0, 0]).sum())(i),
        (IMAGE[:1, :3, :3], KERNEL),
    ),
    "windows": (lambda i: cr.overlap_add2d(cr.windows2d(i, 2) ** 2, (4, 4)), (IMAGE[:1],)),
    "no path": (lambda x, a: x * 2.0, (X, A)),
}


def graph_of(f, args):
    run = run_function("jacobian", f, range(len(args)), args, {})
    return JacobianGraph([as_node(x) for x in trees.leaves(run.result)], run.wrt)


def orders(graph):
    own = list(graph.intermediates)
    shuffled = [random.Random(seed).sample(own, len(own)) for seed in range(3)]
    return [own, own[::-1], *shuffled]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_order_gives_what_sweeps_give(name):
    f, args = PROGRAMS[name]
    found = cr.jacobian(f, argnums=tuple(range(len(args))), order="reverse")(*args)
    expected = found if isinstance(f(*map(cr.tensor, args)), tuple) else (found,)
    graph = graph_of(f, args)
    for order in orders(graph):
        for row, wanted in zip(graph.accumulate(order), expected, strict=True):
            for entry, like in zip(row, wanted, strict=True):
                assert entry.shape == like.shape
                np.testing.assert_allclose(entry.array(), like.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_predicted_multiplications_are_those_of_the_graph_that_is_built(name):
    f, args = PROGRAMS[name]

    def built(*given):
        graph = graph_of(f, given)
        pieces = [piece for into in graph.local.values() for some in into.values() for piece in some]
        before = set(ancestors([*graph.nodes, *(p.values for p in pieces if p.values is not None)]))
        for order in orders(graph):
            predicted = graph.multiplications(order)
            entries = [entry for row in graph.accumulate(order) for entry in row]
            made = [n for n in ancestors(entries) if n.op is not None and n not in before]
            work = [n.op.cost(n.inputs, n.shape, n.dtype, **n.params).multiplications for n in made]
            assert sum(work) == predicted + scalings(graph, order)
        return entries

    cr.trace(built, *args)


def scalings(graph, order):
    """Multiplications by constants that wait for the end, such as the 1/n of a mean."""
    state = graph.start()
    for v in order:
        state.eliminate(v)
    left = [form for into in state.before.values() for n in into.values() for form in graph.forms.forms(n)]
    return sum(form.size for form in left if form.labels is not None and abs(form.factor) != 1.0)


def test_sparsity_is_never_multiplied_out():
    n = 50
    graph = graph_of(lambda x: cr.exp(cr.sin(x) * cr.cos(x)), (NORMAL(size=n),))
    assert graph.multiplications(graph.intermediates) == 3 * n
    assert graph.multiplications(graph.intermediates[::-1]) == 4 * n


def test_a_bottleneck_costs_what_its_parentheses_cost():
    sizes = (30, 3, 30, 4)
    ws = [NORMAL(size=(b, a)) for a, b in itertools.pairwise(sizes)]
    graph = graph_of(lambda x: ws[2] @ (ws[1] @ (ws[0] @ x)), (NORMAL(size=30),))
    assert graph.multiplications(graph.intermediates[::-1]) == 4 * 30 * 3 + 4 * 3 * 30
    assert graph.multiplications(graph.intermediates) == 30 * 3 * 30 + 30 * 30 * 4


CHAINS = {
    "dense": lambda x: cr.tanh(W[2] @ cr.tanh(W[1] @ cr.tanh(W[0] @ x))),
    "structured": lambda x: cr.sin(cr.sum(cr.exp(x[1:]) * W[3] @ W[4], axis=0)),
    "two results": lambda x: (cr.exp(cr.sin(W[0] @ x)), W[2] @ (W[1] @ (W[0] @ cr.sin(x)))),
}
W = [NORMAL(size=s) for s in [(2, 6), (7, 2), (3, 7), (1, 4), (4, 3)]]


@pytest.mark.parametrize("name", CHAINS)
def test_the_best_order_of_a_chain_is_known_without_a_search(name):
    graph = graph_of(CHAINS[name], (NORMAL(size=(6, 1)),))
    found = search(graph, moves=0)
    assert (found.by, found.optimal) == ("matrix chain", True)
    costs = [graph.multiplications(order) for order in itertools.permutations(graph.intermediates)]
    assert found.multiplications == min(costs) < max(costs)


def test_what_is_added_up_is_no_chain():
    for f in (lambda x: x + cr.tanh(W[1] @ cr.sin(W[0] @ x)).sum(), lambda x: cr.sin(x) * cr.cos(cr.exp(x))):
        assert graph_of(f, (NORMAL(size=6),)).solved() is None


def test_zeros_stay_strong():
    x = np.array([0.0, 4.0])
    graph = graph_of(lambda x: cr.where(x > 0, cr.log(x), 0.0) * cr.stack([x[1], x[0]]), (x,))
    for order in orders(graph):
        ((entry,),) = graph.accumulate(order)
        assert np.isfinite(entry.array()).all()


@pytest.mark.parametrize("order", [[], [0], [1, 1], [0, 99]])
def test_an_order_that_is_none(order):
    graph = graph_of(lambda x: cr.sin(cr.exp(x) * x), (X,))
    with pytest.raises(ArgumentError, match="order"):
        graph.accumulate(order)


@pytest.mark.parametrize("name", [p.name for p in REGISTRY.values() if p.differentiable and p.bare])
def test_ties_of_every_primitive_say_what_its_rule_gives(name):
    primitive = REGISTRY[name]
    for example in primitive.examples(np.random.default_rng(3)):
        if not any(x.dtype.kind == "f" and x.size for x in example.inputs):
            continue
        wanted = [i for i, x in enumerate(example.inputs) if x.dtype.kind == "f"]

        def f(*xs, example=example):
            return apply(primitive, tuple(map(as_node, xs)), example.params)

        run = run_function("jacobian", f, wanted, example.inputs, {})
        if run.result.dtype.kind != "f":
            continue
        expected = cr.jacobian(f, wanted, order="reverse")(*example.inputs)
        (row,) = JacobianGraph([run.result], run.wrt).accumulate([])
        for entry, like in zip(row, expected, strict=True):
            np.testing.assert_allclose(entry.array(), like.numpy(), rtol=1e-9, atol=1e-11)
