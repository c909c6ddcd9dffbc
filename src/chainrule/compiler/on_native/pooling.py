"""Pools: maxima and sums over windows, and what their gradients are made of.

Channels are neighbours in memory, so every step is on a vector of channels. Forward pools and
:func:`lower_overlap_add` read the places that each output sees and write it once; they share the geometry of
convolutions (:mod:`chainrule.compiler.on_native.axis`). The gradient of a maximum goes over the windows and adds to
the pixels, so a task has some channels of an image to itself.

Windows that lie wholly inside have code without loops over their places, if these are few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.axis import Axis, backward_axes, forward_axis
from chainrule.compiler.on_native.call import Call
from chainrule.compiler.on_native.direct import TASKS
from chainrule.compiler.on_native.ir import (
    I64,
    PTR,
    Function,
    Int,
    Type,
    Value,
    first_lanes,
    number,
    type_of,
)
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.panels import parts
from chainrule.compiler.on_native.pool_ties import PoolEnd
from chainrule.compiler.on_native.pool_windows import (
    Grid,
    Put,
    Window,
    write_gradient,
    write_max,
    write_spread,
    write_sum,
    write_tangent,
)
from chainrule.compiler.on_native.target import Target
from chainrule.ops.windows import Pads, Pair, count_windows
from chainrule.shapes import DType, count, row_major

_WORK = 1 << 16
"""Fewest elements that a task reads."""
_UNROLLED = 16
"""Most places of a window whose code is written out one after the other."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Windows over images (N, H, W, channels).

    Attributes:
        images, size, channels: N, (H, W) and C.
        window: rows and columns of a window.
        stride, padding: as the primitives have them.
        dtype: of all arrays, float32 or float64.
        dilation: for `lower_overlap_add` alone.
        strides: for `lower_overlap_add`, how the windows (N, OH, OW, KH, KW, C) lie, in elements; 0 where an element
            is repeated; the last is 1. None if they are without gaps.
    """

    images: int
    size: Pair
    channels: int
    window: Pair
    stride: Pair
    dtype: DType
    padding: Pads = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    strides: tuple[int, ...] | None = None

    @property
    def windows(self) -> Pair:
        """Rows and columns of the pooled images."""
        return count_windows("pool", self.size, self.window, self.stride, self.padding, self.dilation)

    def symbol(self, stem: str, target: Target) -> str:
        """A kernel's name, which says all of it."""
        numbers = (self.images, *self.size, self.channels, *self.window, *self.stride, *self.padding[0])
        more = (*self.padding[1], *self.dilation, *(self.strides or ()))
        digits = ".".join(map(str, (*numbers, *more))).replace("-", "n")
        return f"{stem}_{digits}_{self.dtype.name}_{target.isa.name}"


def lower_max_pool(problem: Pool, target: Target) -> Lowered:
    """Maxima of windows; nan if one of them is. Operands "x", "y"."""
    return _gathered("max_pool", problem, _forward(problem), problem.windows, ("x",), write_max, target)


def lower_sum_pool(problem: Pool, target: Target) -> Lowered:
    """Sums of windows. Operands "x", "y"."""
    return _gathered("sum_pool", problem, _forward(problem), problem.windows, ("x",), write_sum, target)


def lower_max_pool_tangent(problem: Pool, target: Target) -> Lowered:
    """The mean of ``t`` over the places where a window of ``x`` has its maximum. Operands "t", "x", "y"."""
    return _gathered(
        "max_pool_tangent", problem, _forward(problem), problem.windows, ("t", "x"), write_tangent, target
    )


def lower_overlap_add(problem: Pool, target: Target) -> Lowered:
    """Windows put where they lay in the images, and added where they overlap. Operands "x" (windows), "y" (images)."""
    return _gathered("overlap_add", problem, _backward(problem), problem.size, ("x",), write_sum, target)


def lower_max_pool_with_ties(problem: Pool, target: Target, keeps: tuple[bool, bool]) -> Lowered:
    """Maxima of windows, which places tie for them, or both. Operands "x", then "y", "ties"."""
    end = PoolEnd(problem.window, keeps)

    def write(w: Window) -> None:
        end.store(w.f, w.values(0), w.results, w.place, w.mask)

    grids, stem = _forward(problem), f"max_{end.name}"
    return _gathered(stem, problem, grids, problem.windows, ("x",), write, target, end.operands)


def lower_max_pool_gradient(problem: Pool, target: Target) -> Lowered:
    """The gradient of each window, shared by the places of ``x`` that tie for its maximum. Operands "g", "x", "y"."""
    return _scattered("max_pool_gradient", problem, ("g", "x"), write_gradient, target)


def lower_max_pool_spread(problem: Pool, target: Target) -> Lowered:
    """The same, where "ties" says which places these are. Operands "g", "ties", "y"."""
    return _scattered("max_pool_spread", problem, ("g", "ties"), write_spread, target)


def _forward(p: Pool) -> list[Grid]:
    windows = p.windows
    rows, columns = (
        forward_axis(p.size[i], windows[i], p.window[i], p.stride[i], p.padding[i]) for i in (0, 1)
    )
    line = p.size[1] * p.channels
    first = rows.first * line + columns.first * p.channels
    return [
        Grid(
            rows,
            columns,
            first,
            p.size[0] * line,
            (rows.stride * line, line),
            (columns.stride * p.channels, p.channels),
        )
    ]


def _backward(p: Pool) -> list[Grid]:
    windows = p.windows
    s = p.strides or row_major((p.images, *windows, *p.window, p.channels))
    axes = [
        backward_axes(p.size[i], windows[i], p.window[i], p.stride[i], p.padding[i], p.dilation[i])
        for i in (0, 1)
    ]

    def lies(axis: Axis, window: int, tap: int) -> tuple[int, Pair]:
        """Where the first place lies; steps from output to output and from tap to tap."""
        start = axis.first * window + (axis.taps[0] * tap if axis.taps else 0)
        return start, (axis.stride * window, axis.gap * window + axis.tap_step * tap)

    grids: list[Grid] = []
    for rows in axes[0]:
        for columns in axes[1]:
            (top, row), (left, column) = lies(rows, s[1], s[3]), lies(columns, s[2], s[4])
            grids.append(Grid(rows, columns, top + left, s[0], row, column))
    return grids


@dataclass(slots=True)
class _Pooling:
    """The code that goes over the outputs of one grid.

    Attributes:
        size: rows, columns and channels of an array of outputs.
        vectors: of channels: those of this task.
    """

    f: Function
    grid: Grid
    body: Callable[[Window], None]
    sources: Sequence[Value]
    results: Sequence[Value]
    size: tuple[int, int, int]
    kind: Type
    lanes: int
    vectors: tuple[Int, Int]
    functions: list[Function]

    def line(self, n: Int, m: Int) -> None:
        """All outputs of a row."""
        f, g = self.f, self.grid
        rows = g.rows.window(f, m)
        start = f.add_int(g.first, f.add_int(f.mul_int(n, g.image), f.mul_int(m, g.row[0])))
        place = f.add_int(g.rows.start, f.mul_int(m, g.rows.step))
        place = f.mul_int(f.add_int(f.mul_int(n, self.size[0]), place), self.size[1])
        place = f.mul_int(f.add_int(place, g.columns.start), self.size[2])
        first, last = g.columns.inner

        def edge(q: Int, _: list[Value]) -> None:
            numbers = (*self.where(start, place, q), *rows, *g.columns.window(f, q), *self.vectors)
            f.call(self.edge(), [*self.sources, *self.results, *(f.operand(z) for z in numbers)])

        def inner(q: Int, _: list[Value]) -> None:
            whole = (0, len(g.rows.taps)), (0, len(g.columns.taps))
            self.channels(f, self.sources, self.results, *self.where(start, place, q), *whole, self.vectors)

        def unrolled() -> None:
            f.loop(0, first, 1, edge)
            f.loop(first, last, 1, inner)
            f.loop(last, g.columns.outputs, 1, edge)

        def edges() -> None:
            f.loop(0, g.columns.outputs, 1, edge)

        if g.taps > _UNROLLED:
            edges()
        elif g.rows.all_inside:
            unrolled()
        else:
            whole = f.equal_int(f.sub_int(rows[1], rows[0]), len(g.rows.taps))
            f.when(whole, unrolled, edges)

    def where(self, start: Int, place: Int, q: Int) -> tuple[Int, Int]:
        """Where the first place of output ``q`` of a row lies, and the output itself."""
        f, g = self.f, self.grid
        step = g.columns.step * self.size[2]
        return f.add_int(start, f.mul_int(q, g.column[0])), f.add_int(place, f.mul_int(q, step))

    def edge(self) -> str:
        """The function for an output any of whose places may be outside."""
        name = f"{self.f.name}_edge_{self.grid.rows.start}_{self.grid.columns.start}"
        if all(f.name != name for f in self.functions):
            pointers = [(f"%array{i}", PTR) for i in range(len(self.sources) + len(self.results))]
            names = ("offset", "place", "row", "rows", "column", "columns", "vector", "vectors")
            f = Function(name, [*pointers, *((f"%{n}", I64) for n in names)], self.f.target, exported=False)
            *arrays, offset, place, a, b, c, d, v, stop = f.parameters
            given, made = arrays[: len(self.sources)], arrays[len(self.sources) :]
            self.channels(f, given, made, offset, place, (a, b), (c, d), (v, stop))
            self.functions.append(f)
        return name

    def channels(
        self,
        f: Function,
        sources: Sequence[Value],
        results: Sequence[Value],
        offset: Int,
        place: Int,
        rows: tuple[Int, Int],
        columns: tuple[Int, Int],
        vectors: tuple[Int, Int],
    ) -> None:
        """All channels of one output."""
        kind, full = self.kind.vector(self.lanes), self.size[2] // self.lanes

        def vector(v: Int, mask: Value | None) -> None:
            at = f.mul_int(v, self.lanes)
            where = f.add_int(offset, at), f.add_int(place, at)
            self.body(Window(f, self.grid, kind, mask, sources, results, *where, rows, columns))

        first, stop = vectors
        whole = f.min_int(stop, full)
        f.loop(first, whole, 1, lambda v, _: vector(v, None), may_be_empty=True)
        rest = self.size[2] % self.lanes
        if rest:
            mask = first_lanes(rest, self.lanes)
            f.loop(f.max_int(first, full), stop, 1, lambda v, _: vector(v, mask), may_be_empty=True)


def _gathered(
    stem: str,
    p: Pool,
    grids: list[Grid],
    size: Pair,
    sources: tuple[str, ...],
    body: Callable[[Window], None],
    target: Target,
    results: tuple[str, ...] = ("y",),
) -> Lowered:
    """A kernel that writes every output once; ``size`` is their rows and columns."""
    work = p.images * count(p.windows) * count(p.window) * p.channels
    if not p.images * count(size) * p.channels:
        return Lowered(())
    f, operands, task, _ = entry(p.symbol(stem, target), target)
    given = [operand(f, operands, i) for i in range(len(sources))]
    made = [operand(f, operands, len(given) + i) for i in range(len(results))]
    wanted = max(1, min(TASKS, work // _WORK))
    images = parts(p.images, wanted)
    blocks = parts(max(g.rows.outputs for g in grids), wanted // images)
    batch = share(f, f.div_int(task, blocks), p.images, images)
    lanes = target.isa.lanes(p.dtype.itemsize)
    functions: list[Function] = []
    for grid in grids:
        code = _Pooling(
            f, grid, body, given, made, (*size, p.channels), type_of(p.dtype), lanes,
            (0, -(-p.channels // lanes)), functions,
        )  # fmt: skip
        _sweep(f, code, batch, share(f, f.mod_int(task, blocks), grid.rows.outputs, blocks))
    f.ret()
    moved = len(sources) * p.images * count(p.size) + p.images * count(p.windows)
    kernel = Kernel(f.name, [f, *functions], images * blocks, work, moved * p.channels * p.dtype.itemsize)
    return Lowered((Call(kernel, (*sources, *results)),))


def _sweep(f: Function, code: _Pooling, images: tuple[Int, Int], lines: tuple[Int, Int]) -> None:
    def image(n: Int, _: list[Value]) -> None:
        def line(m: Int, _: list[Value]) -> None:
            code.line(n, m)

        f.loop(*lines, 1, line, may_be_empty=True)

    f.loop(*images, 1, image, may_be_empty=True)


def _scattered(
    stem: str, p: Pool, sources: tuple[str, str], body: Callable[[Window, Put], None], target: Target
) -> Lowered:
    """A kernel that goes over the windows and puts their gradients into the image."""
    if not p.images * p.channels:
        return Lowered(())
    (grid,) = _forward(p)
    f, operands, task, _ = entry(p.symbol(stem, target), target)
    *given, y = (operand(f, operands, i) for i in range(3))
    lanes = target.isa.lanes(p.dtype.itemsize)
    total = -(-p.channels // lanes)
    work = p.images * count(p.windows) * count(p.window) * p.channels
    wanted = max(1, min(TASKS, work // _WORK))
    images = parts(p.images, wanted)
    cuts = parts(total, wanted // images)
    batch = share(f, f.div_int(task, cuts), p.images, images)
    vectors = share(f, f.mod_int(task, cuts), total, cuts)
    overlap = any(s < k for s, k in zip(p.stride, p.window, strict=True))
    functions: list[Function] = []

    def put(w: Window, at: Int, value: Value) -> None:
        to = w.f.at(w.results[0], at, w.kind)
        w.f.store(w.f.add(w.f.load(to, w.kind, w.mask), value) if overlap else value, to, w.mask)

    code = _Pooling(
        f, grid, lambda w: body(w, put), given, (y,), (*p.windows, p.channels),
        type_of(p.dtype), lanes, vectors, functions,
    )  # fmt: skip
    tiled = all(
        k == s and w * s == n for k, s, w, n in zip(p.window, p.stride, p.windows, p.size, strict=True)
    )

    def image(n: Int, _: list[Value]) -> None:
        if not (tiled and not any(map(any, p.padding))):
            _clear(f, p, y, n, vectors, lanes)
        _sweep(f, code, (n, f.add_int(n, 1)), (0, grid.rows.outputs))

    f.loop(*batch, 1, image, may_be_empty=True)
    f.ret()
    read = count(p.windows) if sources[1] == "ties" else count(p.size) * p.dtype.itemsize
    moved = read + (count(p.size) + count(p.windows)) * p.dtype.itemsize
    moved *= p.images * p.channels
    kernel = Kernel(f.name, [f, *functions], images * cuts, 4 * work, moved)
    return Lowered((Call(kernel, (*sources, "y")),))


def _clear(f: Function, p: Pool, y: Value, image: Int, vectors: tuple[Int, Int], lanes: int) -> None:
    """Zeros for some vectors of channels of all pixels of an image."""
    kind = type_of(p.dtype)
    pixels = count(p.size)
    start = f.mul_int(vectors[0], lanes)
    stop = f.min_int(f.mul_int(vectors[1], lanes), p.channels)
    width = f.sub_int(stop, start)
    whole = f.mul_int(f.div_int(width, lanes), lanes)

    def pixel(i: Int, _: list[Value]) -> None:
        line = f.add_int(f.mul_int(f.add_int(f.mul_int(image, pixels), i), p.channels), start)

        def zero(j: Int, kind: Type) -> None:
            f.store(number(kind, 0.0), f.at(y, f.add_int(line, j), kind))

        f.loop(0, whole, lanes, lambda j, _: zero(j, kind.vector(lanes)), may_be_empty=True)
        f.loop(whole, width, 1, lambda j, _: zero(j, kind), may_be_empty=True)

    f.loop(0, pixels, 1, pixel)
