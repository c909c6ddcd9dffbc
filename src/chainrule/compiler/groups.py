"""Fusion: which nodes are computed together, in one pass over memory.

Elementwise nodes and reductions join the group of what they read, as long as both run over the same domain and
nothing outside would have to run in between. A product or a convolution heads its own group: what joins it runs
on its results while they are in registers. Everything else is a step of its own.

A group has a *domain*, a shape; each of its values runs along some of the domain's axes. Where a group reduces, it
reduces along the same axes throughout; if those are the last ones, what uses the result may join again and runs in
the next pass over the row, which is in the cache by then (softmax, normalisation).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes.reads import Stairs
from chainrule.compiler.views import Axes, Sight, of_base, see_through
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.cast import After
from chainrule.ops.pool import MaxPool2d
from chainrule.ops.pool_ties import MaxPool2dTies
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.shapes import Shape, count

REDUCTIONS = (Sum, Prod, Max, Min)
ROW = 8192
"""The longest row, in elements, over which more than one pass is made within a group."""
BLOCK = 1 << 16
"""The same where axes after the reduced ones are kept: elements that stay in the L2 cache."""
CHAIN = 8
"""At most so many instructions are repeated to have a value again rather than in memory."""
MEMBERS = 512
"""Larger groups take long to compile. That they run out of registers costs less than a pass over memory: the Jacobian
of a Roe flux at 100,000 points, 421 nodes, takes a third of the time in one kernel that it takes in five."""


@dataclass(eq=False, slots=True)
class Group:
    """Nodes that one step computes.

    Attributes:
        kind: ``loop``, ``head`` (a product or the like, with what runs on its results), ``alone`` (a kernel with
            nothing after it) or ``call`` (NumPy).
        members: in topological order; the first of a head group is the head.
        domain: shape that a loop runs over.
        reduced: axes of the domain that are reduced, if any.
        passes: for each member that reduces, or depends on one that does, the pass in which it is known.
        axes: for each member and each of its own axes, the axis of the domain; None for size 1.
        reads: the same for the shape that its inputs broadcast to; for a reduction, that of its input.
        number: of the group; groups run in the order of the graph that they form.
        after: the groups that must run before, with all those before them, as bits.
        prologues: of a head, loops (or the spreading of a gradient over windows) that compute one of its inputs, by the
            number of that.
        ahead, behind: of a head, loops that make what each of its tasks reads, or reduce what it has made.
        pool: of a head, the pool that its results go to, alone or with its ties.
        once: whether its values are too dear to be computed in more than one pass over the domain.
    """

    kind: str
    members: list[Node]
    domain: Shape
    number: int
    after: int = 0
    reduced: tuple[int, ...] = ()
    passes: dict[Node, int] = field(default_factory=dict[Node, int])
    axes: dict[Node, Axes] = field(default_factory=dict[Node, Axes])
    reads: dict[Node, Axes] = field(default_factory=dict[Node, Axes])
    once: bool = False
    prologues: dict[int, Group] = field(default_factory=dict[int, "Group"])
    ahead: list[Group] = field(default_factory=list["Group"])
    behind: list[Group] = field(default_factory=list["Group"])
    pool: Group | None = None

    @property
    def bit(self) -> int:
        return 1 << self.number

    @property
    def nodes(self) -> list[Node]:
        """The members, with those of the loops that run before and after them, and of the pool at the end."""
        before, pool = [*self.prologues.values(), *self.ahead], [self.pool] if self.pool else []
        return [n for group in (*before, self, *self.behind, *pool) for n in group.members]


@dataclass(slots=True)
class Grouping:
    """All groups of a graph, and how every node is seen.

    Attributes:
        groups: in an order in which they can run.
        sights: for each node, the array it is read from.
        home: for each computed base node, its group.
        again: nodes that have no array, but are computed again by each group that reads them.
        opening: nodes that open a loop whose elements are found anywhere in their inputs: by an index, by a key.
        placed: for a node that is stored as a part of another's array, how it lies there.
        unsigned: nodes of which nobody sees whether a zero is 0.0 or -0.0.
        stairs: for products of which only a part is read, the columns that are read of each row, from and to.
        repeated: whether all of it runs many times in a row.
    """

    groups: list[Group]
    sights: dict[Node, Sight]
    home: dict[Node, Group]
    again: set[Node] = field(default_factory=set[Node])
    opening: set[Node] = field(default_factory=set[Node])
    placed: dict[Node, Sight] = field(default_factory=dict[Node, Sight])
    unsigned: set[Node] = field(default_factory=set[Node])
    stairs: Mapping[Node, Stairs] = field(default_factory=dict[Node, Stairs])
    repeated: bool = False

    def arrays_read(self, x: Node) -> set[Node]:
        """The arrays in memory that are read for ``x``."""
        found: set[Node] = set()
        todo = [self.sights[x].base]
        while todo:
            base = todo.pop()
            if base in self.again:
                todo.extend(self.sights[y].base for y in base.inputs)
            else:
                found.add(base)
        return found


def group(
    graph: Graph,
    *,
    elementwise: Callable[[Node], bool],
    kind_of: Callable[[Node], str],
    reduces: Callable[[Node], bool],
    cheap: Callable[[Node], bool],
    seen: Mapping[Node, Sight] | None = None,
) -> Grouping:
    """Divide the nodes of a graph into steps.

    Args:
        graph: simplified.
        elementwise: whether a backend computes a node element by element in a loop.
        kind_of: for all others: ``head`` if a backend has a kernel that can go on with the results, ``alone`` if
            it has one that cannot, ``loop`` if a loop over its elements can compute it that others may join, ``call``
            if there is none.
        reduces: whether a backend computes it as a reduction in a loop.
        cheap: whether an elementwise node takes so few instructions that it may be computed again.
        seen: how inputs lie that are not row-major in memory.
    """
    return _Grouper(graph, elementwise, kind_of, reduces, cheap, seen or {}).run()


class _Grouper:
    def __init__(
        self,
        graph: Graph,
        elementwise: Callable[[Node], bool],
        kind_of: Callable[[Node], str],
        reduces: Callable[[Node], bool],
        cheap: Callable[[Node], bool],
        seen: Mapping[Node, Sight],
    ) -> None:
        self.graph, self.cheap, self.seen = graph, cheap, seen
        self.twins: dict[Hashable, Group] = {}
        self.summands: set[Node] = set()
        self.opening: set[Node] = set()
        self.waits: dict[Node, tuple[Node, ...]] = {}
        self.elementwise, self.kind_of, self.reduces = elementwise, kind_of, reduces
        self.sights: dict[Node, Sight] = {}
        self.home: dict[Node, Group] = {}
        self.groups: dict[int, Group] = {}
        self.made = 0

    def run(self) -> Grouping:
        inputs = set(self.graph.inputs)
        self._find_summands()
        for node in self.graph.nodes:
            if node.op is None or node in inputs:
                self.sights[node] = self.seen.get(node) or of_base(node)
                continue
            below = self.sights[node.inputs[0]] if node.inputs else None
            sight = see_through(node, below) if below else None
            if sight is not None:
                self.sights[node] = sight
                self._note_waits(node)
                continue
            self.sights[node] = of_base(node)
            if self.elementwise(node) or self.reduces(node):
                self._join(node)
            elif not self._joins_twin(node):
                opened = self._open(self.kind_of(node), node, node.shape)
                if opened.kind == "loop":
                    opened.once = True
                    self.opening.add(node)
        self._join_siblings()
        order = sorted(self.groups.values(), key=lambda g: (g.after.bit_count(), g.number))
        return Grouping(order, self.sights, self.home, opening=self.opening)

    def _note_waits(self, node: Node) -> None:
        """Note the arrays that must be there before what reads this view runs."""
        first, *others = node.inputs
        bases = [self.sights[x].base for x in others] if node.op is After else ()
        found = (*self.waits.get(first, ()), *bases)
        if found:
            self.waits[node] = found

    def _joins_twin(self, node: Node) -> bool:
        """Let nodes that one kernel computes be one group: results of several dtypes of one scan; a pool and where its
        maxima are."""
        key: Hashable
        if node.op is Scan:
            same = tuple((name, node.params[name]) for name in sorted(node.params) if name != "dtype")
            key = (tuple(x.index for x in node.inputs), same)
        elif node.op in (MaxPool2d, MaxPool2dTies):
            key = (node.inputs[0].index, tuple(sorted(node.params.items())))
        else:
            return False
        if self.kind_of(node) != "alone":
            return False
        group = self.twins.get(key)
        if group is None:
            self.twins[key] = self._open("alone", node, node.shape)
        else:
            group.members.append(node)
            group.axes[node] = group.reads[node] = tuple(range(node.ndim))
            self.home[node] = group
        return True

    def _join_siblings(self) -> None:
        """Let loops that read one large array, and do not wait for each other, read it together."""
        readers: dict[Node, dict[Group, None]] = {}
        for g in list(self.groups.values()):
            for node in g.members if g.kind == "loop" else ():
                for x in node.inputs:
                    base = self._root(self.sights[x].base)
                    if self.home.get(base) is not g and base.size == count(g.domain):
                        readers.setdefault(base, {})[g] = None
        for found in readers.values():
            waiting: list[Group] = [g for g in found if g.number in self.groups]
            while len(waiting) > 1:
                first = waiting.pop(0)
                for other in waiting:
                    apart = not (first.after & other.bit or other.after & first.bit)
                    if apart and other.number in self.groups:
                        self._merge(first, other, siblings=True)
                waiting = [g for g in waiting if g.number in self.groups]

    def _root(self, node: Node) -> Node:
        """The one large array that a node is a few instructions away from; itself if there is none."""
        for _ in range(CHAIN):
            if node.op is None or node not in self.home or not self.cheap(node):
                break
            large = {self.sights[x].base for x in node.inputs if x.size == node.size}
            if len(large) != 1:
                break
            (node,) = large
        return node

    def _find_summands(self) -> None:
        """Note which nodes are only read to be reduced."""
        users: dict[Node, list[Node]] = {}
        for node in self.graph.nodes:
            for x in node.inputs:
                users.setdefault(x, []).append(node)
        outputs = set(self.graph.outputs)
        for node in reversed(self.graph.nodes):
            read = users.get(node, [])
            if read and node not in outputs and all(self.reduces(u) or u in self.summands for u in read):
                self.summands.add(node)

    def _sources(self, node: Node) -> list[Group]:
        """Groups that compute what a node reads, each once."""
        found: dict[Group, None] = {}
        for x in node.inputs:
            for base in (self.sights[x].base, *self.waits.get(x, ())):
                home = self.home.get(base)
                if home is not None:
                    found[home] = None
        return list(found)

    def _open(self, kind: str, node: Node, domain: Shape) -> Group:
        made = Group(kind, [node], domain, self.made)
        self.made += 1
        for source in self._sources(node):
            made.after |= source.after | source.bit
        self.groups[made.number] = made
        self.home[node] = made
        made.axes[node] = made.reads[node] = tuple(i if n != 1 else None for i, n in enumerate(domain))
        return made

    def _join(self, node: Node) -> None:
        """Put an elementwise node or a reduction into a group that it reads from, or into a new one."""
        sources = self._sources(node)
        for candidate in sorted(sources, key=lambda g: (g.kind != "head", -g.number)):
            if self._can_run_inside(candidate, sources) and self._fits(candidate, node):
                self._enter(candidate, node, sources)
                for other in sources:
                    if other is not candidate:
                        self._merge(candidate, other)
                return
        reduction = self.reduces(node)
        domain = node.inputs[0].shape if reduction else node.shape
        made = self._open("loop", node, domain)
        if reduction:
            made.reduced = _reduced_of(node, made.reads[node])
            made.axes[node] = _kept_axes(node, made.reads[node])
            made.passes[node] = 1

    def _can_run_inside(self, candidate: Group, sources: Sequence[Group]) -> bool:
        """Whether no other source has to wait for the candidate."""
        return all(s is candidate or not s.after & candidate.bit for s in sources)

    def _fits(self, target: Group, node: Node) -> bool:
        if target.kind in ("alone", "call") or len(target.members) >= MEMBERS:
            return False
        if target.kind == "head" and (target.domain[-1] == 1 or node in self.summands):
            # A vector would have one lane in use; what is only summed up is not stored but summed in a loop.
            return False
        found = self._placed(target, node)
        if found is None:
            return False
        axes, ready = found
        if self.reduces(node):
            reduced = _reduced_of(node, axes)
            if target.kind == "head" or target.once or not _covers(axes, target.domain):
                return False
            if ready:
                return reduced == target.reduced and self._row_fits(target)
            return not target.reduced or target.reduced == reduced
        if ready:  # it uses what a reduction gave
            return self._row_fits(target)
        return _covers(axes, target.domain)

    def _row_fits(self, target: Group) -> bool:
        """Whether what is reduced can be passed over again: it lies together, and is short."""
        if not target.reduced:
            return True
        first, size = target.reduced[0], len(target.reduced)
        together = target.reduced == tuple(range(first, first + size))
        last = first + size == len(target.domain)
        return together and count(target.domain[first:]) <= (ROW if last else BLOCK)

    def _placed(self, target: Group, node: Node) -> tuple[Axes, int] | None:
        """The axes of the domain along which an elementwise node would run, and the pass that it waits for."""
        reduction = self.reduces(node)
        shape = node.inputs[0].shape if reduction else node.shape
        axes: list[int | None] = [None] * len(shape)
        ready = 0
        for x in node.inputs:
            sight = self.sights[x]
            if self.home.get(sight.base) is not target:
                continue
            if sight.axes is None:
                return None
            own = target.axes[sight.base]
            ready = max(ready, target.passes.get(sight.base, 0))
            extra = len(shape) - len(x.shape)
            for i, a in enumerate(sight.axes):
                if a is None:
                    continue
                place = own[a]
                if axes[i + extra] not in (None, place):
                    return None
                axes[i + extra] = place
        shift = len(target.domain) - len(shape)
        for i, n in enumerate(shape):
            if n == 1 or axes[i] is not None:
                continue
            guess = i + shift
            if guess < 0 or guess in axes or target.domain[guess] != n:
                return None
            axes[i] = guess
        used = [a for a in axes if a is not None]
        if sorted(set(used)) != used or any(
            a is not None and target.domain[a] != n for a, n in zip(axes, shape, strict=True)
        ):
            return None
        return tuple(axes), ready

    def _enter(self, target: Group, node: Node, sources: Sequence[Group]) -> None:
        placed = self._placed(target, node)
        assert placed is not None
        axes, ready = placed
        target.members.append(node)
        target.reads[node] = axes
        self.home[node] = target
        if self.reduces(node):
            target.reduced = target.reduced or _reduced_of(node, axes)
            target.axes[node] = _kept_axes(node, axes)
            target.passes[node] = ready + 1
        else:
            target.axes[node] = axes
            if ready:
                target.passes[node] = ready
        before = target.after
        for source in sources:
            if source is not target:
                target.after |= source.after | source.bit
        if target.after != before:
            self._tell_followers(target)

    def _count_passes(self, target: Group) -> None:
        """Work out again in which pass each member of a merged group is known."""
        target.passes.clear()
        for node in target.members:
            bases = [self.sights[x].base for x in node.inputs]
            ready = max((target.passes.get(b, 0) for b in bases if self.home.get(b) is target), default=0)
            known = ready + 1 if self.reduces(node) else ready
            if known:
                target.passes[node] = known

    def _reads_in_place(self, target: Group, other: Group) -> bool:
        """Whether what ``target`` reads of ``other`` it reads where ``other`` computes it."""
        for node in target.members:
            along = target.reads[node]
            for x in node.inputs:
                sight = self.sights[x]
                if self.home.get(sight.base) is not other:
                    continue
                if sight.axes is None or node in self.opening:
                    return False
                own, frame = other.axes[sight.base], along[len(along) - len(x.shape) :]
                if any(a is not None and own[a] != place for a, place in zip(sight.axes, frame, strict=True)):
                    return False
        return True

    def _tell_followers(self, changed: Group) -> None:
        for other in self.groups.values():
            if other.after & changed.bit:
                other.after |= changed.after

    def _merge(self, target: Group, other: Group, *, siblings: bool = False) -> None:
        """Let two loops over one domain run as one, if neither waits for the other through a third."""
        if other.kind != "loop" or len(target.members) + len(other.members) > MEMBERS:
            return
        if target.domain != other.domain:
            return
        reduced, once = target.reduced or other.reduced, target.once or other.once
        if once and (reduced or target.kind == "head"):
            return
        if reduced and (
            target.kind == "head"
            or other.reduced not in ((), reduced)
            or not (siblings or self._row_fits(target if target.reduced else other))
        ):
            return
        if target.kind == "head" and any(
            self.home.get(self.sights[x].base) is other for x in target.members[0].inputs
        ):
            return  # the head itself waits for it
        between = (target.after & ~other.bit) if target.after & other.bit else 0
        for g in self.groups.values():
            if between & g.bit and g.after & other.bit:
                return
        if other.after & target.bit or not self._reads_in_place(target, other):
            return
        head = target.members[0]
        target.members = sorted([*other.members, *target.members], key=lambda n: n.index)
        if target.kind == "head":
            target.members.sort(key=lambda n: n is not head)
        target.reduced, target.once = reduced, once
        target.axes.update(other.axes)
        target.reads.update(other.reads)
        for node in other.members:
            self.home[node] = target
        self._count_passes(target)
        target.after = (target.after | other.after) & ~(other.bit | target.bit)
        del self.groups[other.number]
        for g in self.groups.values():
            if g.after & other.bit:
                g.after = (g.after & ~other.bit) | target.bit
        self._tell_followers(target)


def _covers(axes: Axes, domain: Shape) -> bool:
    """Whether something that runs along ``axes`` has an element for each of the domain."""
    reached = set(axes)
    return all(n == 1 or i in reached for i, n in enumerate(domain))


def _reduced_of(node: Node, axes: Axes) -> tuple[int, ...]:
    """Axes of the domain that a reduction of something along ``axes`` reduces; those of size 1 do not count."""
    given: tuple[int, ...] = node.params["axes"]
    found = [axes[a] for a in given]
    return tuple(sorted(a for a in found if a is not None))


def _kept_axes(node: Node, axes: Axes) -> Axes:
    """The axes of a reduction's result."""
    gone = set(node.params["axes"])
    if node.params["keepdims"]:
        return tuple(None if i in gone else a for i, a in enumerate(axes))
    return tuple(a for i, a in enumerate(axes) if i not in gone)
