"""Jacobians by sweeps: forward or reverse mode, for many numbers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.batch import batched
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import between, pullback
from chainrule.modes import recording
from chainrule.node import Node, leaf, symbol
from chainrule.ops.cast import astype
from chainrule.ops.join import concat
from chainrule.ops.move import broadcast_to, moveaxis, reshape

Entries = list[list[Any]]
"""For each result and each argument their Jacobian, of shape ``(*result.shape, *argument.shape)``; None for zero."""


def swept(by: str, outputs: Sequence[Node], wrt: Sequence[Node], record: bool) -> Entries:
    """The Jacobian in forward or reverse mode.

    Args:
        by: ``"forward"`` or ``"reverse"``.
        outputs: results.
        wrt: nodes with respect to which they are differentiated.
        record: whether derivatives of it may be wanted.
    """
    return (_columns if by == "forward" else _rows)(outputs, wrt, record)


def _rows(outputs: Sequence[Node], wrt: Sequence[Node], record: bool) -> Entries:
    """Reverse sweeps: from each element of the result to all arguments, for many elements at once."""
    blocks: Entries = []
    for output in outputs:
        seed = symbol(output.spec)
        pulled = pullback([output], [seed], wrt, record=record)
        row: list[Any] = []
        for w, found in zip(wrt, _for_units(seed, pulled, [output], wrt, record), strict=True):
            row.append(None if found is None else reshape(found, (*output.shape, *w.shape)))
        blocks.append(row)
    return blocks


def _columns(outputs: Sequence[Node], wrt: Sequence[Node], record: bool) -> Entries:
    """Forward sweeps: from each element of the arguments to all results, for many elements at once."""
    blocks: Entries = [[] for _ in outputs]
    for k, w in enumerate(wrt):
        direction = symbol(w.spec)
        tangents = [direction if i == k else None for i in range(len(wrt))]
        moved = pushforward(outputs, wrt, tangents, record=record)
        columns = _for_units(direction, moved, outputs, wrt, record)
        for row, output, found in zip(blocks, outputs, columns, strict=True):
            block = None
            if found is not None:
                block = reshape(moveaxis(astype(found, w.dtype), 0, -1), (*output.shape, *w.shape))
            row.append(block)
    return blocks


SWEEP_BYTES = 1 << 28
"""So many bytes may an intermediate result have that is computed for many units at once; more units take turns."""


def _for_units(
    start: Node,
    results: Sequence[Node | None],
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    record: bool,
) -> list[Any | None]:
    """What ``results`` are for each unit in place of ``start``, along a new first axis; None for zero."""
    passed, _ = between(outputs, wrt)
    largest = max(n.size * n.dtype.itemsize for n in (*passed, start))
    step = max(1, SWEEP_BYTES // max(1, largest))
    live = [r for r in results if r is not None]
    with recording(record):
        turns = [
            _in_turn(live, start, _units(start, first, min(first + step, start.size)))
            for first in range(0, max(1, start.size), step)
        ]
        joined = turns[0] if len(turns) == 1 else [concat(parts) for parts in zip(*turns, strict=True)]
    found = iter(joined)
    return [None if r is None else next(found) for r in results]


def _in_turn(results: Sequence[Node], start: Node, units: Node) -> list[Any]:
    """``results`` for each of the units."""
    found = batched(results, {start: units})
    return [
        broadcast_to(one, (units.shape[0], *one.shape)) if whole is None else whole
        for one, whole in zip(results, found, strict=True)
    ]


def _units(node: Node, first: int, stop: int) -> Any:
    """Arrays shaped as ``node`` with a single 1, at the places ``first`` to ``stop`` in row-major order."""
    units = np.zeros((stop - first, node.size), node.dtype)
    units[np.arange(stop - first), np.arange(first, stop)] = 1
    return leaf(units.reshape(stop - first, *node.shape), copy=False)
