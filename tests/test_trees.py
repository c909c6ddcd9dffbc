"""Nested containers: taken apart, put together, and matched by name."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees

Point = namedtuple("Point", "x y")


class Named(list):
    """A list with an attribute of its own."""

    label = ""


class Pair(tuple):
    """A tuple of a class of its own."""


TREES = [
    3.0,
    None,
    [],
    {},
    (),
    [1.0, (2.0, None), {"b": 3.0, "a": [4.0]}],
    Point(1.0, [2.0]),
    OrderedDict(b=1.0, a=2.0),
    Named([1.0, 2.0]),
    Pair([1.0, 2.0]),
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_unflatten_is_the_inverse_of_flatten(tree):
    leaves, structure = trees.flatten(tree)
    again = trees.unflatten(structure, leaves)
    assert again == tree and type(again) is type(tree)
    assert len(trees.paths(tree)) == len(leaves)


def test_subclasses_keep_what_they_hold_besides_items():
    tree = defaultdict(list, a=1.0)
    made = trees.map_leaves(lambda x: x + 1, tree)
    assert type(made) is defaultdict and made["a"] == 2.0 and made["new"] == []
    assert tree == {"a": 1.0}
    named = Named([1.0])
    named.label = "kept"
    again = trees.map_leaves(lambda x: -x, named)
    assert (again, again.label, named) == ([-1.0], "kept", [1.0])


def test_dictionaries_match_by_key_whatever_their_order():
    first = {"a": 1.0, "b": {"c": 2.0, "d": 3.0}}
    second = {"b": {"d": 30.0, "c": 20.0}, "a": 10.0}
    added = trees.map_leaves(lambda x, y: x + y, first, second)
    assert added == {"a": 11.0, "b": {"c": 22.0, "d": 33.0}}
    assert list(added) == ["a", "b"]
    assert trees.aligned_leaves(trees.flatten(first)[1], second) == [10.0, 20.0, 30.0]


def test_an_optimizer_takes_gradients_in_another_order():
    parameters = {"a": np.array(1.0), "b": np.array([1.0, 1.0])}
    gradients = {"b": np.array([10.0, 20.0]), "a": np.array(5.0)}
    rule = cr.optim.adam(0.1)
    straight, _ = rule.update(dict(sorted(gradients.items())), rule.init(parameters), parameters)
    moved, _ = rule.update(gradients, rule.init(parameters), parameters)
    for name in parameters:
        np.testing.assert_array_equal(moved[name].numpy(), straight[name].numpy())


def test_an_optimizer_finds_its_state_by_name():
    """Two scalars: were they matched by place, nothing would say so."""
    rule = cr.optim.momentum(1.0, decay=0.5)
    parameters = {"a": np.array(0.0), "b": np.array(0.0)}
    gradients = {"a": np.array(1.0), "b": np.array(100.0)}
    _, state = rule.update(gradients, rule.init(parameters), parameters)
    moved, _ = rule.update(gradients, state, {"b": np.array(0.0), "a": np.array(0.0)})
    straight, _ = rule.update(gradients, state, parameters)
    assert (moved["a"].item(), moved["b"].item()) == (straight["a"].item(), straight["b"].item())


def test_cotangents_and_tangents_in_another_order():
    f = lambda p: {"s": p["a"] * 2.0, "t": p["b"] * 3.0}
    at = {"a": np.array(1.0), "b": np.array(1.0)}
    _, pull = cr.vjp(f, at)
    (g,) = pull({"t": 10.0, "s": 1.0})
    assert (g["a"].item(), g["b"].item()) == (2.0, 30.0)
    _, slope = cr.jvp(f, (at,), ({"b": 10.0, "a": 1.0},))
    assert (slope["s"].item(), slope["t"].item()) == (2.0, 30.0)


@pytest.mark.parametrize(
    ("expected", "got", "text"),
    [
        ({"a": 1.0}, {"b": 1.0}, "the top: expected dict with keys ['a'], got dict with keys ['b']"),
        ({"a": 1.0}, OrderedDict(a=1.0), "expected dict with keys ['a'], got OrderedDict with keys ['a']"),
        ([1.0, [2.0]], [1.0, 2.0], "differs at 1: expected list of length 1, got a leaf"),
        ({"a": [1.0]}, {"a": [1.0, 2.0]}, "differs at a: expected list of length 1, got list of length 2"),
        ([1.0], (1.0,), "expected list of length 1, got tuple of length 1"),
        (Point(1.0, 2.0), (1.0, 2.0), "expected Point of length 2, got tuple of length 2"),
        ([None], [1.0], "differs at 0: expected None, got a leaf"),
        ([1.0], [None], "differs at 0: expected a leaf, got None"),
    ],
    ids=str,
)
def test_the_first_difference_is_named(expected, got, text):
    with pytest.raises(cr.errors.StructureError) as caught:
        trees.map_leaves(lambda x, y: x, expected, got)
    assert text in caught.value.message
    assert caught.value.fix


def nested(depth: int):
    tree = 1.0
    for _ in range(depth):
        tree = [tree]
    return tree


def test_nesting_has_a_limit_that_is_said():
    assert trees.leaves(nested(100)) == [1.0]
    itself: list = []
    itself.append(itself)
    for tree in (nested(5_000), itself):
        for use in (trees.flatten, trees.paths, trees.leaves):
            with pytest.raises(cr.errors.StructureError, match="levels deep"):
                use(tree)
        with pytest.raises(cr.errors.StructureError):
            trees.map_leaves(lambda x, y: x, [1.0], tree)
    with pytest.raises(cr.errors.StructureError, match="levels deep"):
        cr.grad(lambda p: cr.sum(cr.ones(2)))(nested(5_000))


def test_a_row_is_a_plain_tuple_of_leaves():
    others = (1.0, [1.0], {"a": 1.0}, (1.0, (2.0,)), (1.0, None), Point(1.0, 2.0), None)
    for tree, expected in (((), True), ((1.0,), True), ((1.0, 2.0), True), *((x, False) for x in others)):
        leaves, structure = trees.flatten(tree)
        assert trees.is_row(structure) is expected
        assert not expected or trees.unflatten(structure, leaves) == tuple(leaves) == tree
