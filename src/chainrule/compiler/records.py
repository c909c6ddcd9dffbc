"""Compiled programs on disk: a graph that was compiled before runs without passes and without writing code.

A record holds the layout of a program and the key under which its machine code is kept. Its own key is a digest of the
traced graph, constants included, of the target and of chainrule's own files, so a change to any of them is a miss.
Calls of NumPy are not recorded, nor graphs with primitives of the user's own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from chainrule.autodiff.body import Body
from chainrule.compiler import addresses
from chainrule.compiler.layout import Call, Layout, Seen, Spot
from chainrule.compiler.memory import aligned
from chainrule.compiler.on_native import cache
from chainrule.compiler.on_native.target import Target
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.primitive import REGISTRY, Array
from chainrule.shapes import DTYPES, DType

LARGEST = 64 << 20
"""Bytes of constants beyond which a graph is not looked up: that would take longer than compiling it."""
_PLAIN = (int, float, str, bool, type(None), EllipsisType, np.dtype)
_DTYPES = {d.name: d for d in DTYPES}


def key_of(
    graph: Graph,
    target: Target,
    threads: int,
    donated: Mapping[int, int],
    denormals: bool,
    memory: int | None = None,
) -> str | None:
    """The name of a program's record; None if it cannot have one."""
    leaves = _leaves(graph)
    if sum(node.size * node.dtype.itemsize for node in leaves) > LARGEST:
        return None
    python = f"{sys.implementation.cache_tag} {addresses.DATA} {addresses.READABLE} {np.__version__}"
    lines = [f"program {threads} {sorted(donated.items())} {denormals} {memory} {python} {_own_files()}"]
    described = _lines(graph)
    return None if described is None else cache.key_of("\n".join(lines + described), target.key(), 0)


def _lines(graph: Graph) -> list[str] | None:
    """Everything that a graph computes, as text; None if there is more to it than that says."""
    known = {node: f"{node.spec} {_digest(_value(node))}" for node in _leaves(graph)}
    known |= {node: f"input{i}" for i, node in enumerate(graph.inputs)}
    lines = [str(node.spec) for node in graph.inputs]
    for node in graph.nodes:
        if node in known:
            continue
        op = node.op
        if op is None or REGISTRY.get(op.name) is not op or not op.bare:  # then it is not chainrule's own
            return None
        params = {name: _text(value) for name, value in sorted(node.params.items())}
        if None in params.values():
            return None
        lines.append(f"{op.name} {[known[x] for x in node.inputs]} {params}")
        known[node] = str(len(lines))
    lines.append(str([known[node] for node in graph.outputs]))
    return lines


def _text(value: Any) -> str | None:
    """A parameter as text that tells it from all others; None if there is no such text."""
    if isinstance(value, Body):
        lines = value.derived("as text", lambda: _lines(value.graph))
        return None if lines is None else f"{value.constants} {value.carries} {lines}"
    return repr(value) if _is_plain(value) else None


@dataclass(frozen=True, slots=True)
class Record:
    """What is read back: how a program runs, and the key of its machine code."""

    layout: Layout
    code: str


def read(key: str, graph: Graph) -> Record | None:
    """The record of a program; None if there is none."""
    content = cache.read(key)
    if content is None:
        return None
    size = int.from_bytes(content[:8], "little")
    head, blob = json.loads(content[8 : 8 + size]), content[8 + size :]
    spots = [
        Spot(entry, offset, tuple(shape), _DTYPES[dtype]) for entry, offset, shape, dtype in head["spots"]
    ]
    leaves = [_value(node) for node in _leaves(graph)]

    def seen(given: Any) -> Seen:
        spot, shape, offset, strides, own = given
        return Seen(spots[int(spot)], tuple(shape), offset, tuple(strides), own)

    layout = Layout(
        head["inputs"],
        tuple(_constant(c, leaves, blob) for c in head["constants"]),
        tuple((tuple(shape), _DTYPES[dtype]) for shape, dtype in head["fresh"]),
        head["arena_bytes"],
        tuple(map(seen, head["results"])),
        tuple(map(seen, head["flags"])),
        dict(head["moved"]),
        tuple(head["order"]),
        head["brief"],
    )
    return Record(layout, head["code"])


def write(key: str, graph: Graph, layout: Layout, code: str) -> None:
    """Keep a program, unless it calls NumPy."""
    if any(isinstance(action, Call) for action in layout.order):
        return
    spots = list(dict.fromkeys(seen.spot for seen in (*layout.results, *layout.flags)))

    def seen(given: Seen) -> list[Any]:
        return [spots.index(given.spot), given.shape, given.offset, given.strides, given.own]

    blob = bytearray()
    leaves = [_value(node) for node in _leaves(graph)]
    head = {
        "code": code,
        "spots": [[s.entry, s.offset, s.shape, s.dtype.name] for s in spots],
        "inputs": layout.inputs,
        "constants": [_described(array, leaves, blob) for array in layout.constants],
        "fresh": [[shape, dtype.name] for shape, dtype in layout.fresh],
        "arena_bytes": layout.arena_bytes,
        "results": [seen(s) for s in layout.results],
        "flags": [seen(s) for s in layout.flags],
        "moved": list(layout.moved.items()),
        "order": layout.order,
        "brief": layout.brief,
    }
    text = json.dumps(head).encode()
    cache.write(key, len(text).to_bytes(8, "little") + text + blob)


def _described(array: Array, leaves: list[Array], blob: bytearray) -> list[Any]:
    """A constant: the number of a leaf of the graph, or where its bytes are."""
    for number, leaf in enumerate(leaves):
        if leaf is array:
            return ["leaf", number]
    start = len(blob)
    blob += array.tobytes()
    return ["bytes", start, array.shape, array.dtype.name]


def _constant(described: Any, leaves: list[Array], blob: bytes) -> Array:
    if described[0] == "leaf":
        return leaves[int(described[1])]
    start, shape, name = described[1:]
    dtype: DType = _DTYPES[name]
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    values = aligned(nbytes)  # as whoever packed it for a kernel had it
    values[:] = np.frombuffer(blob, np.uint8, nbytes, start)
    return values.view(dtype).reshape(shape)


def _leaves(graph: Graph) -> list[Node]:
    """Constants in the order in which they are used: some are made once for all graphs, so their age says nothing."""
    given = set(graph.inputs)
    used = [x for node in graph.nodes for x in node.inputs] + list(graph.outputs)
    return list(dict.fromkeys(x for x in used if x.op is None and x not in given))


def _value(node: Node) -> Array:
    value: Any = node.value
    return np.ascontiguousarray(value)


def _digest(array: Array) -> str:
    return array.tobytes().hex() if array.nbytes <= 32 else hashlib.sha256(array.data).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether two values that print alike are the same value."""
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


@functools.lru_cache(maxsize=1)
def _own_files() -> str:
    """Names, sizes and times of chainrule's own files: what they compile to may differ from version to version."""
    root = Path(__file__).parents[1]
    return hashlib.sha256("\n".join(sorted(_files(root))).encode()).hexdigest()


def _files(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.name.endswith(".py"):
                about = entry.stat()
                yield f"{entry.path} {about.st_size} {about.st_mtime_ns}"
