"""What nodes, edges and layers are called in an attribution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from chainrule.explain.reasons.words import Words
from chainrule.explain.shares.flow import Flow, Stream
from chainrule.node import Node


class Labels:
    """Names for what a flow passes.

    Args:
        flow: of a gradient.
        words: names of all nodes before the result.
        named: of a model's parameters by their path; without, each variable stands for a layer of its own.
    """

    def __init__(self, flow: Flow, words: Words, named: Mapping[Node, str]) -> None:
        self._flow, self._words, self._named = flow, words, named
        self.layers = [self._layer(node) for node in flow.order]
        self._last = list(itertools.accumulate(self.layers, lambda before, layer: layer or before))

    def _layer(self, node: Node) -> str:
        """The layer whose parameter a node uses; "" for none."""
        for x in node.inputs:
            if x.op is None and x.tracked:
                path = self._named.get(x)
                return self._words.name(x) if path is None else path.rpartition(".")[0] or path
        return ""

    def node(self, i: int) -> str:
        """``v17 = relu(v16)``."""
        return self._words.formula(self._flow.order[i])

    def name(self, i: int) -> str:
        """``v17``."""
        return self._words.name(self._flow.order[i])

    def behind(self, i: int) -> str:
        """``behind layers.0``: the last layer before a node, or in which it is."""
        return f"behind {self._last[i]}" if self._last[i] and self._named else ""

    def use(self, stream: Stream) -> str:
        """Where an edge leads: a layer, or a node; with the number of the operand where a node has the input twice."""
        layer = self.layers[stream.node]
        known = bool(layer and self._named and stream.input)
        name = f"into {layer}" if known else f"into {self.node(stream.node)}"
        same = [s.slot for s in self._flow.streams[stream.node] if s.input == stream.input]
        return name if len(same) < 2 else f"{name}, operand {same.index(stream.slot) + 1}"

    def avoided(self, passed: Sequence[int]) -> list[str]:
        """The layers that a path goes past, those within a larger one that it avoids altogether as that one."""
        met = {self.layers[i] for i in passed}
        entered = {prefix for layer in met for prefix in _prefixes(layer)}
        missing = [layer for layer in dict.fromkeys(self.layers) if layer and layer not in met]
        if not self._named:
            return []
        return list(dict.fromkeys(next(p for p in _prefixes(x) if p not in entered) for x in missing))

    def source(self, node: Node) -> str:
        """The line of the program that made a node; "" if there is none."""
        return "" if node.source is None else str(node.source)


def _prefixes(path: str) -> list[str]:
    """``layers``, ``layers.0`` and ``layers.0.norm`` for the last of them."""
    parts = path.split(".")
    return [".".join(parts[: k + 1]) for k in range(len(parts))]
