"""Graphs of vertex elimination as JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from chainrule.autodiff.elimination import EliminationGraph
from chainrule.errors import DataError, StructureError, shown

LARGEST_FILE = 1 << 26
"""Bytes: more edges than such a file has take longer to eliminate than anyone waits."""
_FIX = (
    'write {"inputs": 2, "equations": 3, "edges": [[-1, 1], [-2, 1], [1, 2], [1, 3]], "outputs": [2, 3]}: inputs are '
    "-1, -2, ..., computed vertices 1, 2, ... in order of computation"
)


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A graph as a file holds it.

    Attributes:
        name: of the program, or of the file.
        graph: what is to be eliminated.
        published: multiplications that others found, by method.
    """

    name: str
    graph: EliminationGraph
    published: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def read(cls, path: str | Path) -> GraphFile:
        """The graph in a file.

        Raises:
            DataError: it is not there, cannot be read, or is no such graph.
        """
        path = Path(path)
        try:
            size = path.stat().st_size
            if size > LARGEST_FILE:
                raise DataError(
                    f"{path}: {size} bytes: expected a graph of at most {LARGEST_FILE}",
                    fix="pass a smaller graph",
                )
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"{path}: {error.strerror or error}", fix="pass the path of a JSON file"
            ) from None
        except RecursionError:
            raise DataError(f"{path}: JSON nested too deeply to be a graph", fix=_FIX) from None
        except ValueError as error:  # no UTF-8, no JSON, or an integer of thousands of digits
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: no JSON: {error}", fix=_FIX) from None
        try:
            return cls.from_dict(document, path.stem)
        except DataError as error:
            raise DataError(f"{path}: {error.message}", fix=error.fix) from None

    @classmethod
    def from_dict(cls, document: Any, name: str = "graph") -> GraphFile:
        """The graph in a document; entries that it does not know are left alone.

        Args:
            document: as JSON: ``inputs`` and ``equations`` are how many, ``edges`` pairs (from, to), ``outputs``
                vertices; ``name`` and ``published_multiplications`` may be missing.
            name: if it has none.

        Raises:
            DataError: something is missing, of the wrong type, or no graph without cycles.

        Example:
            >>> document = {"inputs": 1, "equations": 2, "edges": [[-1, 1], [1, 2]], "outputs": [2]}
            >>> GraphFile.from_dict(document).graph.intermediates
            (1,)
        """
        given = _mapping("the file", document)
        for key in ("inputs", "equations", "edges", "outputs"):
            if key not in given:
                raise DataError(f"{key} is missing", fix=_FIX)
        published = _mapping("published_multiplications", given.get("published_multiplications", {}))
        called = given.get("name", name)
        if not isinstance(called, str):
            raise DataError(f"name: expected text, got {shown(called)}", fix=_FIX)
        try:
            graph = EliminationGraph.from_edges(
                _number("inputs", given["inputs"]),
                _number("equations", given["equations"]),
                [_edge(k, edge) for k, edge in enumerate(_list("edges", given["edges"]))],
                [_number("outputs", v) for v in _list("outputs", given["outputs"])],
            )
        except StructureError as error:
            raise DataError(error.message, fix=error.fix) from None
        return cls(called, graph, {key: _number(key, value) for key, value in published.items()})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; without edges that lie on no path from an input to an output."""
        return {
            "name": self.name,
            "inputs": self.graph.inputs,
            "equations": self.graph.vertices,
            "edges": [list(edge) for edge in self.graph.edges],
            "outputs": list(self.graph.outputs),
            "published_multiplications": dict(self.published),
        }

    def write(self, path: str | Path) -> None:
        """Write the file that `read` reads.

        Raises:
            DataError: it cannot be written.
        """
        try:
            Path(path).write_text(json.dumps(self.to_dict()) + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{path}: {error.strerror or error}", fix="pass a path in a folder that is there"
            ) from None


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{name}: expected an object, got {shown(value)}", fix=_FIX)
    return cast("dict[str, Any]", value)


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{name}: expected a list, got {shown(value)}", fix=_FIX)
    return cast("list[Any]", value)


def _number(name: str, value: Any) -> int:
    if type(value) is not int:
        raise DataError(f"{name}: expected a whole number, got {shown(value)}", fix=_FIX)
    return value


def _edge(k: int, value: Any) -> tuple[int, int]:
    pair = _list(f"edges[{k}]", value)
    if len(pair) != 2:
        raise DataError(f"edges[{k}]: expected [from, to], got {shown(value)}", fix=_FIX)
    return _number(f"edges[{k}]", pair[0]), _number(f"edges[{k}]", pair[1])
