"""The layers of a computation: products with weights, what is added to them, and what is made of the sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.explain.layered.products import Convolution, Dense, Product
from chainrule.node import Node, tracked_ancestors
from chainrule.primitive import Array, Pointwise

ACTIVATIONS = {
    *(
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "elu",
        "gelu",
        "silu",
        "softplus",
        "log_sigmoid",
    ),
}
"""What is taken for an activation where no further layer shows that it is one."""
VIEWS = {"reshape", "permute_dims", "identity", "broadcast_to"}
"""Operations that only move numbers; in them places can be followed."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A leaf and which of its elements stands at each place of an operand that is a view of it."""

    leaf: Node
    places: Array


@dataclass(frozen=True, eq=False)
class FoundLayer:
    """A product with weights. Elements are those of the product, by their place in it.

    Attributes:
        node: the product.
        product: what it multiplies with what.
        data: the operand that is not the weights.
        weight: the weights, by their place in the operand.
        bias: what is added, by the elements of the product; None if nothing is.
        z: the node that holds the sums, and which element stands at each of its places.
        a: likewise of what the activation makes of them; the same as ``z`` where there is none.
        steps: the nodes of the activation, in order.
    """

    node: Node
    product: Product
    data: Node
    weight: Weights
    bias: Weights | None
    z: tuple[Node, Array]
    a: tuple[Node, Array]
    steps: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class FoundLayers:
    """All layers before a result.

    Attributes:
        layers: in order of computation.
        carriers: for nodes that hold a layer's activations, moved or not: which layer, and which element of it stands
            at each place.
        users: for each node those that use it and are before the result.
        left: names of variables that are in no layer, with the reason.
    """

    layers: tuple[FoundLayer, ...]
    carriers: Mapping[Node, tuple[int, Array]]
    users: Mapping[Node, list[Node]]
    left: Mapping[str, str]


def find_layers(result: Node, names: Mapping[Node, str]) -> FoundLayers:
    """Find every product with a variable that is used for nothing but this product and what is no product."""
    order, live = tracked_ancestors(result)
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for x in node.inputs:
            if x in live:
                users[x].append(node)
    candidates = [(node, slot, w) for node in order for slot, w in _weights(node, names)]
    times: dict[Node, int] = {}
    for _, _, w in candidates:
        times[w.leaf] = times.get(w.leaf, 0) + 1
    found = [(node, slot, w) for node, slot, w in candidates if times[w.leaf] == 1]
    products = {node for node, _, _ in found}
    layers = tuple(_layer(node, slot, w, users, products) for node, slot, w in found)
    carriers: dict[Node, tuple[int, Array]] = {}
    for i, layer in enumerate(layers):
        _carry(i, *layer.a, users, carriers)
    return FoundLayers(layers, carriers, users, _left(order, names, layers, times))


def _weights(node: Node, names: Mapping[Node, str]) -> list[tuple[int, Weights]]:
    """The operand of a product that is a variable's, and which of the variable's elements stand in it."""
    name = node.op.name if node.op else ""
    if name not in ("matmul", "conv2d"):
        return []
    found = [(slot, behind_views(x)) for slot, x in enumerate(node.inputs)]
    fit = [(slot, w) for slot, w in found if w is not None and (slot == 1 or name == "matmul")]
    if name == "matmul":
        fit = [(slot, w) for slot, w in fit if node.inputs[slot].ndim == 2]
    # Of x @ w, with both variables, w is the weights: a model's parameter, then a matrix, then the second.
    fit.sort(key=lambda pair: ("." in names.get(pair[1].leaf, ""), pair[1].leaf.ndim > 1, pair[0]))
    return fit[-1:]


def behind_views(x: Node) -> Weights | None:
    """The variable that an operand is, moved or not; None if it is computed or constant."""
    views: list[Node] = []
    while x.op is not None and x.op.name in VIEWS:
        views.append(x)
        x = x.inputs[0]
    if x.op is not None or not x.tracked:
        return None
    places = np.arange(x.size).reshape(x.shape)
    for view in reversed(views):
        places = _moved(view, places)
    return Weights(x, places)


def _moved(view: Node, places: Array) -> Array:
    assert view.op is not None
    return np.asarray(view.op.evaluate(places, **view.params))


def _layer(
    node: Node, slot: int, weight: Weights, users: Mapping[Node, list[Node]], products: set[Node]
) -> FoundLayer:
    assert node.op is not None
    product: Product = Convolution.of(node) if node.op.name == "conv2d" else Dense.of(node, slot)
    at, places = node, np.arange(node.size).reshape(node.shape)
    bias: Weights | None = None
    before_bias = (at, places)
    while len(users[at]) == 1 and bias is None:
        (user,) = users[at]
        if _is_view(user):
            at, places = user, _moved(user, places)
        else:
            bias = _bias(node, user, at, places, product)
            if bias is None:
                break
            at = user
    z = (at, places) if bias is not None else before_bias
    steps, a = _activation(*z, users, products)
    return FoundLayer(node, product, node.inputs[1 - slot], weight, bias, z, a, steps)


def _is_view(node: Node) -> bool:
    return node.op is not None and node.op.name in VIEWS and node.size == node.inputs[0].size


def _bias(node: Node, user: Node, at: Node, places: Array, product: Product) -> Weights | None:
    """What a sum adds to a product, if it is one variable for each unit."""
    if user.op is None or user.op.name != "add" or user.shape != at.shape or user.inputs[0] is user.inputs[1]:
        return None
    other = user.inputs[1] if user.inputs[0] is at else user.inputs[0]
    found = behind_views(other)
    if found is None or found.leaf.size != product.units:
        return None
    which = by_element(np.broadcast_to(found.places, places.shape), places)
    axis = [1] * node.ndim
    axis[product.unit_axis] = product.units
    units = np.broadcast_to(np.arange(product.units).reshape(axis), node.shape).ravel()
    each = which[[product.output(product.place(0)._replace(unit=j)) for j in range(product.units)]]
    fits = len(set(each)) == product.units and np.array_equal(which, each[units])
    return Weights(found.leaf, which) if fits else None


def by_element(values: Array, places: Array) -> Array:
    """Values that stand at places, ordered by the elements that stand there."""
    ordered = np.empty(places.size, values.dtype)
    ordered[places.ravel()] = values.ravel()
    return ordered


def _activation(
    z: Node, places: Array, users: Mapping[Node, list[Node]], products: set[Node]
) -> tuple[tuple[Node, ...], tuple[Node, Array]]:
    """What is made of each sum by itself, up to the next product, or one known activation."""
    steps: list[Node] = []
    at, now = z, places
    reached = (at, now)
    while len(users[at]) == 1:
        (user,) = users[at]
        if _is_view(user):
            now = _moved(user, now)
        elif _acts_on_each(user, at):
            steps.append(user)
            reached = (user, now)
        else:
            break
        at = user
    if not steps or (users[at] and products.issuperset(users[at])):
        return tuple(steps), reached
    first = steps[0]
    if first.op is not None and first.op.name in ACTIVATIONS:
        return (first,), (first, _places_at(z, places, first, users))
    return (), (z, places)


def _places_at(z: Node, places: Array, goal: Node, users: Mapping[Node, list[Node]]) -> Array:
    at = z
    while at is not goal:
        (at,) = users[at]
        if _is_view(at):
            places = _moved(at, places)
    return places


def _acts_on_each(user: Node, at: Node) -> bool:
    """Whether an operation makes something of each number of ``at`` alone."""
    if user.op is None or not issubclass(user.op, Pointwise) or user.shape != at.shape:
        return False
    return all(x is at or (x.size == 1 and not x.tracked) for x in user.inputs)


def _carry(
    layer: int,
    node: Node,
    places: Array,
    users: Mapping[Node, list[Node]],
    carriers: dict[Node, tuple[int, Array]],
) -> None:
    todo = [(node, places)]
    while todo:
        node, places = todo.pop()
        carriers[node] = layer, places
        todo += [(user, _moved(user, places)) for user in users[node] if _is_view(user)]


def _left(
    order: list[Node], names: Mapping[Node, str], layers: tuple[FoundLayer, ...], times: Mapping[Node, int]
) -> dict[str, str]:
    data = {found.leaf for layer in layers if (found := behind_views(layer.data)) is not None}
    covered = {w.leaf for layer in layers for w in (layer.weight, layer.bias) if w is not None}
    left: dict[str, str] = {}
    for node in order:
        if node.op is None and node not in covered:
            several = times.get(node, 0)
            reason = "it is neither the weights of one product nor a bias"
            if node in data:
                reason = "it is data that goes into a product with weights"
            if several > 1:
                reason = f"it is in {several} products, as in a recurrence: its gradient is the sum over them"
            left[names.get(node, "a variable")] = reason
    return left
