"""What became of every node of a compiled graph, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainrule.compiler.budget import shown_bytes
from chainrule.compiler.rematerialise import Recomputation
from chainrule.compiler.steps import Step

if TYPE_CHECKING:
    from chainrule.compiler.compiled import Executable


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a program.

    Attributes:
        kind: ``kernel`` or ``numpy``.
        nodes: names of the primitives that it computes.
        results: shapes and dtypes of what it gives.
        tasks: pieces that may run on several threads.
        flops, bytes: of one run.
        reason: why NumPy computes it.
        note: what was done so that it is faster.
        source: the user's line that made its last node.
        inside: of a scan, the steps that it repeats.
    """

    kind: str
    nodes: tuple[str, ...]
    results: tuple[str, ...]
    tasks: int
    flops: int
    bytes: int
    reason: str
    note: str
    source: str
    inside: tuple[Line, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = {
            "kind": self.kind,
            "nodes": list(self.nodes),
            "results": list(self.results),
            "tasks": self.tasks,
            "flops": self.flops,
            "bytes": self.bytes,
            "reason": self.reason,
            "note": self.note,
            "source": self.source,
        }
        return {**found, "inside": [line.to_dict() for line in self.inside]} if self.inside else found


@dataclass(frozen=True, slots=True)
class Report:
    """How a compiled function runs. Print it.

    Attributes:
        target: instruction set.
        threads: how many run it.
        nodes: of the graph as it was traced, and after the passes.
        passes: what each pass left of the graph.
        lines: the steps.
        arena_bytes: memory for intermediate results.
        from_cache: whether its machine code came from disk.
        recomputation: what runs again to keep within a budget of memory; None if there is none.
        memory: that budget, in bytes.
    """

    target: str
    threads: int
    nodes: tuple[int, int]
    passes: tuple[tuple[str, int, int], ...]
    lines: tuple[Line, ...]
    arena_bytes: int
    from_cache: bool
    recomputation: Recomputation | None = None
    memory: int | None = None

    @property
    def text(self) -> str:
        """For a terminal."""
        before, after = self.nodes
        native = sum(line.kind == "kernel" for line in self.lines)
        head = [
            f"{before} nodes, {after} after the passes, in {native} kernels"
            + (f" and {len(self.lines) - native} calls of NumPy" if native < len(self.lines) else ""),
            f"{self.target}, {self.threads} threads, {shown_bytes(self.arena_bytes)} for intermediate results, "
            + ("machine code from the cache" if self.from_cache else "compiled now"),
        ]
        if self.recomputation is not None and self.memory is not None:
            head.append(_kept_within(self.memory, self.recomputation))
        for name, start, end in self.passes:
            head.append(f"  {name}: {start} -> {end} nodes")
        rows = [row for number, line in enumerate(self.lines, 1) for row in _rows(f"{number:4}", line)]
        return "\n".join((*head, *rows))

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "target": self.target,
            "threads": self.threads,
            "nodes": {"traced": self.nodes[0], "left": self.nodes[1]},
            "passes": [{"name": n, "before": a, "after": b} for n, a, b in self.passes],
            "steps": [line.to_dict() for line in self.lines],
            "arena_bytes": self.arena_bytes,
            "from_cache": self.from_cache,
            "memory": self.memory,
            "recomputation": self.recomputation and self.recomputation.to_dict(),
        }


def of_steps(executable: Executable) -> Report:
    """The report on a compiled graph."""
    lowered = executable.lowered
    return Report(
        executable.target.isa.name if executable.target else "numpy",
        executable.threads,
        (len(executable.graph), len(lowered.graph)),
        tuple((c.pass_name, c.before, c.after) for c in lowered.changes),
        tuple(_line(step) for step in lowered.steps),
        executable.layout.arena_bytes,
        executable.from_cache,
        lowered.recomputation,
        executable.memory,
    )


def _kept_within(memory: int, again: Recomputation) -> str:
    """A budget and what it costs."""
    if not again.runs:
        return f"within {shown_bytes(memory)}: nothing runs again"
    share = 100 * again.flops / max(again.plain_flops, 1)
    return (
        f"within {shown_bytes(memory)} instead of {shown_bytes(again.plain_bytes)}: {again.runs} kernels run again, "
        f"{_count(again.flops)} flop more ({share:.0f} %)"
    )


def _line(step: Step) -> Line:
    names = tuple(n.op.name if n.op else "input" for n in step.nodes)
    results = tuple(str(n.spec) for n in step.nodes if n in step.writes)
    source = step.nodes[-1].source
    place = str(source) if source else ""
    if step.kernel is None:
        node = step.nodes[0]
        assert node.op is not None
        cost = node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
        return Line("numpy", names, results, 1, cost.flops, cost.bytes, step.reason, step.note, place)
    kernel = step.kernel
    tasks, inside = kernel.tasks, tuple(map(_line, step.inside))
    return Line("kernel", names, results, tasks, kernel.flops, kernel.bytes, "", step.note, place, inside)


def _rows(number: str, line: Line) -> list[str]:
    """A line, and those of what it repeats."""
    inside = [row for n, each in enumerate(line.inside, 1) for row in _rows(f"{number}.{n}", each)]
    return [_row(number, line), *inside]


def _row(number: str, line: Line) -> str:
    what = " ".join(line.nodes)
    what = what if len(what) <= 70 else f"{what[:67]}..."
    figures = (
        f"{_count(line.flops)} flop, {shown_bytes(line.bytes)}, {line.tasks} task{'s' * (line.tasks != 1)}"
    )
    note = f"  [NumPy: {line.reason}]" if line.kind == "numpy" else f"  [{line.note}]" if line.note else ""
    return f"{number}  {what} -> {', '.join(line.results)}  ({figures}){note}"


def _count(n: float) -> str:
    for unit in ("", " k", " M", " G"):
        if n < 1000:
            return f"{n:.3g}{unit}"
        n /= 1000
    return f"{n:.3g} T"
