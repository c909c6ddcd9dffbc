"""How a product is cut: into tiles, panels, passes over k and tasks. All of it follows from shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.axis import even
from chainrule.compiler.on_native.matmul.product import Product, panel_width
from chainrule.compiler.on_native.matmul.tile import least_rows, most_rows
from chainrule.compiler.on_native.target import InstructionSet, Target

MIN_TASK = 1 << 19
"""Multiplications and additions of a task where there are several: some 3 µs."""
TWO = 1 << 18
"""How many make two tasks worth while: what passes between the caches of two processors takes a microsecond."""
TASK = 1 << 15
"""How many of them could be done in the time that it takes to hand over a task."""
MAX_TASKS = 32
"""Four tasks for each of eight threads."""
SHALLOW = 16
"""With no more steps of k, storing C takes longer than computing it."""
BRIEF = 10
"""Rows of a block with no more steps of k and one vector of columns, at most: so few that the processor, which looks
some hundred instructions ahead, begins with the next block's sums while those of this one are finished and stored."""
DEPTH = 1024
"""Steps of k in one pass, if there are half as many more."""
ACROSS = 320
"""The same where each step of k takes a line of A for itself, since A lies transposed and is not copied."""
SETS = 4096
"""Addresses that differ by this many bytes share a set of the first cache, which holds 8 to 12 of them."""
UNPACKED = 1 << 19
"""Bytes of an operand that is read where it lies without preparation, if there are no more."""
PACKED = 1 << 20
"""Bytes of B that a task packs at most: the second cache holds them."""
GROUP = 128
"""Rows of A that meet a panel before the next one does: the second cache holds them."""
COMPUTED = 1 << 14
"""Bytes of rows of A that are computed together, or those of one block if they are more."""
RECTANGLE = 1 << 17
"""Elements of C in a task whose sums are cut: the second cache holds them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a product is cut.

    Attributes:
        rows: heights of the blocks, of at most two sizes, the larger first.
        vectors: width of a panel in vectors.
        panels: how many.
        depths: steps of k in each pass, of at most two sizes, the larger first.
        pack: whether tasks pack their part of B.
        stage: whether tasks copy their part of A.
        group: blocks of rows that meet a panel before the next one does.
        grid: into how many parts the blocks and the panels of one product are cut.
        tasks: how many; each has a part of one product, or several products.
    """

    rows: Sequence[int]
    vectors: int
    panels: int
    depths: Sequence[int]
    pack: bool
    stage: bool
    group: int
    grid: tuple[int, int]
    tasks: int


def plan(p: Product, target: Target) -> Plan:
    """Choose the cuts of a product that is not empty."""
    isa = target.isa
    size = p.dtype.itemsize
    lanes = isa.lanes(size)
    width = panel_width(p.n, p.dtype, target)
    distance = max(p.a) * size
    most = most_rows(width // lanes, isa)
    if p.a[1] == 1 and distance % SETS == 0 and p.m > most:
        most = min(most, 8)
    shallow = p.k <= SHALLOW and p.b[1] == 1 and p.m * p.n * size > PACKED
    if shallow:  # long stretches of few rows
        most = min(most, 4)
    elif p.k <= SHALLOW and p.n <= lanes and p.m > 2 * BRIEF:
        most = min(most, BRIEF)
    rows = heights(p.m, most, min(most, least_rows(isa)))
    pack = p.k > 0 and not p.packed_b and (p.b[1] != 1 or (len(rows) >= 4 and p.k * p.n * size > UNPACKED))
    all_vectors = -(-p.n // lanes)
    vectors = (p.packed_b or width) // lanes
    if not pack and not p.packed_b:
        vectors = _vectors(all_vectors, rows[0], p.n % lanes == 0, isa)
    panels = -(-all_vectors // vectors)
    far = (p.k >= 256 and distance >= SETS // 2) or (p.k >= 64 and distance % SETS == 0)
    stage = p.a[1] != 1 and far and (panels >= 3 or p.m * p.k * size > UNPACKED) and p.prologue is None
    depth = DEPTH if p.a[1] == 1 or stage else ACROSS
    depths = [p.k] if len(rows) == 1 or p.k <= depth * 3 // 2 else even(p.k, depth)
    grid, tasks = _Grid(p, rows, vectors * lanes, panels, depths, pack, stage).best()
    group = min(1 if shallow else max(1, GROUP // rows[0]), -(-len(rows) // grid[0]))
    if p.prologue:  # what is computed should be read from the first cache
        group = max(1, min(group, COMPUTED // (rows[0] * depths[0] * size)))
    return Plan(rows, vectors, panels, depths, pack, stage, group, grid, tasks)


def tasks_of(work: int) -> int:
    """How many tasks so many multiplications and additions should make, if they can be cut."""
    return max(1 if work < TWO else 2, min(MAX_TASKS, work // MIN_TASK))


def heights(total: int, most: int, least: int) -> list[int]:
    """Cut rows into blocks: equal ones if there is a good size, else of two sizes that differ by 1."""
    if total > most:
        for size in range(most, least - 1, -1):
            if total % size == 0:
                return [size] * (total // size)
    return even(total, most)


def _vectors(total: int, rows: int, whole: bool, isa: InstructionSet) -> int:
    """The width of a panel of B that is read where it lies: as wide as registers allow, equal ones if possible."""
    most = max(isa.tile_vectors, (isa.registers - 2) // (rows + 1))
    parts = -(-total // most)
    if whole:
        for more in range(parts, 2 * parts + 1):
            if total % more == 0:
                return total // more
    return -(-total // parts)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The choice of how many parts the blocks of rows and the panels of a product are cut into."""

    p: Product
    rows: Sequence[int]
    width: int
    panels: int
    depths: Sequence[int]
    pack: bool
    stage: bool

    def best(self) -> tuple[tuple[int, int], int]:
        """The grid, and the number of tasks of the whole batch."""
        blocks, panels, items = len(self.rows), self.panels, self.p.items
        wanted = tasks_of(self.p.work)
        most = max(1, wanted // items)
        while True:
            found = [
                (self._cost(down, across), down, across)
                for down in range(1, min(blocks, most) + 1)
                for across in range(1, min(1 if self.p.prologue else panels, most // down) + 1)
                if self._fits(down, across)
            ]
            if found:
                break
            most *= 2
        _, down, across = min(found)
        cells = down * across
        return (down, across), min(items, wanted) if cells == 1 else items * cells

    def _fits(self, down: int, across: int) -> bool:
        """Whether the copies and the partial sums of a task fit the second cache."""
        blocks, panels = self._largest(down, across)
        columns = panels * self.width
        packed = columns * self.depths[0] * self.p.dtype.itemsize if self.pack else 0
        sums = blocks * self.rows[0] * columns if len(self.depths) > 1 else 0
        return (packed <= PACKED or panels == 1) and (sums <= RECTANGLE or blocks * panels == 1)

    def _largest(self, down: int, across: int) -> tuple[int, int]:
        return -(-len(self.rows) // down), -(-self.panels // across)

    def _cost(self, down: int, across: int) -> float:
        """Time relative to that of an even cut without copies, on 2, 4 and 8 threads."""
        blocks, panels = self._largest(down, across)
        tasks = self.p.items * down * across
        # In units of a tile: what it takes to copy a panel or a block.
        copy = (1.3 if self.p.b[1] != 1 else 0.5) if self.pack else 0.0
        task = blocks * panels + copy * panels + 0.4 * self.stage * blocks
        if self.p.nbytes > UNPACKED:  # what a task reads comes from memory
            task *= 1 + 5 / (blocks * self.rows[0]) + 0.5 / (panels * self.width)
        even = self.p.items * len(self.rows) * self.panels
        return (
            sum(-(-tasks // threads) * threads * task / even for threads in (2, 4, 8))
            + 3 * tasks * TASK / self.p.work
        )
