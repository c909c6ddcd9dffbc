"""What a learner reads beside a local derivative: one sentence that says why it is what it is."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.primitive import Primitive


def intuition(op: type[Primitive], slot: int, inputs: Sequence[str], output: str, symbol: str) -> str:
    """Why the local derivative with respect to one input is what it is.

    Args:
        op: the primitive.
        slot: which input.
        inputs: names of all inputs.
        output: the node's own.
        symbol: the local derivative in letters; "" if there is none.
    """
    said = op.intuition
    if said:
        return said[min(slot, len(said) - 1)].format(*inputs, y=output)
    if symbol:
        return f"A small change in {inputs[slot]} changes {output} by {symbol} times as much."
    return f"A small change in {inputs[slot]} changes {output} by this factor."
