"""Which module each node of a pass belongs to."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.nn.watching import bracketed
from chainrule.node import Node, leaf

INPUT, LOSS = "input", "loss"
"""Places of what no module computes: the data, and what comes behind the scores."""


@dataclass(slots=True)
class Calls:
    """What is heard while a model runs: which nodes each call of a module has made, by their numbers.

    Attributes:
        spans: path, first number and the first one behind, in the order in which the calls began.
        kinds: name of the class, or of the function, by path.
        running: called with each path when it begins.
    """

    spans: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    kinds: dict[str, str] = field(default_factory=dict[str, str])
    _open: list[int] = field(default_factory=list[int])

    def watched(self, model: Any) -> Any:
        """A copy of the model that tells."""
        return bracketed(model, self._begin, self._end)

    def _begin(self, path: str, layer: Any) -> None:
        self.kinds.setdefault(path, getattr(layer, "__name__", type(layer).__name__))
        self._open.append(len(self.spans))
        self.spans.append((path, _now(), -1))

    def _end(self) -> None:
        at = self._open.pop()
        path, first, _ = self.spans[at]
        self.spans[at] = (path, first, _now())


def _now() -> int:
    """The number of a node that is made now."""
    return leaf(np.float64(0)).index


def places_by_calls(anatomy: Anatomy, calls: Calls) -> dict[Node, str]:
    """The innermost module in whose call each node was made."""
    observed = anatomy.observed
    found: dict[Node, str] = {}
    open_: list[tuple[str, int]] = []
    spans = iter(calls.spans)
    following = next(spans, None)
    whole = next((last for path, _, last in calls.spans if not path), None)
    for node in observed.order:
        while following is not None and following[1] <= node.index:
            open_.append((following[0], following[2]))
            following = next(spans, None)
        while open_ and open_[-1][1] <= node.index:
            open_.pop()
        if node.op is None:
            continue
        if open_:
            found[node] = open_[-1][0]
        else:
            found[node] = LOSS if whole is not None and node.index >= whole else ""
    begun = min((first for _, first, _ in calls.spans), default=0)
    return found | _leaves(anatomy, found, begun)


def places_by_parameters(anatomy: Anatomy) -> dict[Node, str]:
    """A module for each node where only the parameters' paths are known.

    What uses a parameter belongs to its module. What comes behind belongs to the innermost module that holds what is
    before it, and what is after it; or, where these are modules side by side, to the one before it.
    """
    observed = anatomy.observed
    joined = {layer.bias: layer.name for layer in anatomy.layers if layer.bias is not None}
    owners = {node: joined.get(node) or _owner(path) for path, node in observed.parameters.items()}
    activations = {layer.a for layer in anatomy.layers}
    order = [n for n in observed.order if n.op is not None and n not in anatomy.pure]
    own: list[str | None] = []
    last: str | None = None
    for node in order:
        own.append(_own(node, anatomy, owners, last))
        last = own[-1] or last
    norms = _normalising(order, own)
    after: list[str | None] = []
    later: str | None = None
    for path in reversed(own):
        later = later if path is None else path
        after.append(later)
    found: dict[Node, str] = {}
    before: str | None = None
    for node, path, behind in zip(order, own, reversed(after), strict=True):
        before = before if path is None else path
        if path is not None:
            found[node] = path
        elif node in norms:
            found[node] = norms[node]
        elif before is None:
            found[node] = INPUT if behind is not None else LOSS
        elif behind is None:
            found[node] = before if node in activations else LOSS
        else:
            found[node] = _between(before, behind)
    for node in observed.order:  # what is made of parameters alone
        if node.op is not None and node not in found:
            found[node] = owners.get(observed.parameters.get(anatomy.pure.get(node, ""), node), "")
    return found | _leaves(anatomy, found)


def _owner(path: str) -> str:
    """The module of a parameter; a parameter without one stands for a layer."""
    return path.rpartition(".")[0] or path


def _own(node: Node, anatomy: Anatomy, owners: Mapping[Node, str], last: str | None) -> str | None:
    """The module whose parameter, or what is made of it alone, a node uses; a bias belongs to what it is added to."""
    for x in node.inputs:
        path = anatomy.pure.get(x)
        if path is not None and x.tracked:
            adds = node.op is not None and node.op.name in ("add", "subtract")
            return last if adds and last and "." not in path else owners[anatomy.observed.parameters[path]]
    return None


def _between(before: str, behind: str) -> str:
    """``stages.0.1`` for what is between its convolutions, and for what is between the last one and ``stages.0.2``."""
    names = before.split(".")
    pairs = zip(names, behind.split("."), strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    if common and common < len(names) and not names[common].isdigit():
        return ".".join(names[:common])  # of parts such as norm and layers: what holds both
    end = common + 1
    while end < len(names) and names[end].isdigit():
        end += 1
    return ".".join(names[:end])


def _normalising(order: list[Node], own: list[str | None]) -> dict[Node, str]:
    """What a norm computes before it multiplies by its scale belongs to it: from the mean on."""
    found: dict[Node, str] = {}
    run: list[Node] = []
    for node, path in zip(order, own, strict=True):
        if path is None:
            run.append(node)
            continue
        names = [n.op.name for n in run if n.op is not None]
        if node.op is not None and node.op.name == "multiply" and {"mean", "var"} & set(names):
            first = next(i for i, name in enumerate(names) if name in ("mean", "var"))
            found |= dict.fromkeys(run[first:], path)
        run = []
    return found


def _leaves(anatomy: Anatomy, found: Mapping[Node, str], begun: int | None = None) -> dict[Node, str]:
    """Parameters are where they belong, data at the input, all else where it is used first.

    Data are what has a row for each example, and was there before the model had ``begun``.
    """
    observed = anatomy.observed
    paths = {node: path for path, node in reversed(observed.parameters.items())}
    inputs = {
        x
        for x in anatomy.inputs
        if x.ndim and x.shape[0] == anatomy.batch and (begun is None or x.index < begun)
    }
    places: dict[Node, str] = {}
    for node in observed.order:
        if node.op is not None:
            continue
        users = [u for u in observed.users.get(node, []) if u in found]
        if node in paths:
            owner, user = paths[node].rpartition(".")[0], found[users[0]] if users else ""
            places[node] = owner or user
        elif node in inputs:
            places[node] = INPUT
        else:
            places[node] = found[users[0]] if users else ""
    return places


@functools.cache
def parents(path: str) -> tuple[str, ...]:
    """The path and those it lies in, the outermost first: ``("a", "a.b", "a.b.c")``."""
    return tuple(_growing(path.split("."))) if path else ()


def _growing(parts: list[str]) -> Iterator[str]:
    for k in range(1, len(parts) + 1):
        yield ".".join(parts[:k])
