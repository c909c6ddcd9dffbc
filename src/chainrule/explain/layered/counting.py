"""What reusing deltas saves in a network of dense layers, counted unit by unit as the article does."""

from __future__ import annotations

from chainrule.explain.layered.network import Network
from chainrule.explain.layered.products import Dense
from chainrule.explain.ledger import Entry, Ledger


def count_units(network: Network) -> Ledger | None:
    """Multiplications between single numbers, from ∂E/∂a of the last layer down.

    None unless the layers are a chain of dense ones, and nothing is left to the general form.

    Every factor of the chain rule is one: ∂E/∂a, f′(z), a weight, an activation; for a bias 1.
    """
    layers = network.layers
    following = [n.next for n in layers]
    chain = [*((i,) for i in range(1, len(layers))), ()]
    if (
        network.found.left
        or following != chain
        or not all(isinstance(n.found.product, Dense) for n in layers)
    ):
        return None
    samples = layers[0].found.product.samples
    paths, length = 1, 1  # from the result to one unit's z: how many, and their lengths added up
    entries: list[Entry] = []
    reused, above = 0, 0  # multiplications for all deltas so far
    for k in range(len(layers) - 1, -1, -1):
        n = layers[k]
        units, inputs = n.found.product.units, n.found.product.inputs
        if k + 1 < len(layers):
            after = layers[k + 1].found.product.units
            paths, length = after * paths, after * (length + paths)
            above += units * after
        else:
            above += units
        if n.found.steps:
            length += paths
            above += units
        for variable, count in ((n.found.weight, inputs * units), (n.found.bias, units)):
            if variable is not None:
                reused += count
                entries.append(
                    Entry(
                        network.names[variable.leaf],
                        samples * count * paths,
                        samples * (above + count),
                        samples * count * (length + paths),
                    )
                )
    total = sum(e.separate for e in entries if e.separate is not None)
    return Ledger(samples * (reused + above), total, tuple(reversed(entries)), ())
