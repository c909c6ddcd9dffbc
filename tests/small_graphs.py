"""Small random graphs of vertex elimination."""

from __future__ import annotations

import random

from chainrule.autodiff.elimination import EliminationGraph


def random_graph(rng: random.Random, most: int = 7) -> EliminationGraph:
    """At most ``most`` vertices to be eliminated, but for outputs; outputs may be used further, paths end nowhere."""
    inputs, inner, ends = rng.randint(1, 4), rng.randint(0, most), rng.randint(1, 3)
    total, dense = inner + ends, rng.choice((0.2, 0.4, 0.7))
    edges = [
        (a, b)
        for b in range(1, total + 1)
        for a in (*range(-inputs, 0), *range(1, min(b, inner + 1)))
        if rng.random() < dense
    ]
    outputs = [v for v in range(1, total + 1) if v > inner or rng.random() < 0.15]
    return EliminationGraph.from_edges(inputs, total, edges, outputs)
