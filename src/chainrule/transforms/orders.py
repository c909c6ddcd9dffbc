"""In which order a Jacobian is accumulated: sweeps or vertex elimination, and the search for a cheap order."""

from __future__ import annotations

import operator
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.elimination import require_order
from chainrule.autodiff.listening import is_listened
from chainrule.autodiff.ordering import search
from chainrule.autodiff.replay import Structure, structure_of
from chainrule.autodiff.reverse import between
from chainrule.errors import ArgumentError, shown
from chainrule.modes import batch_items, inside_transform, recording
from chainrule.node import Node, is_differentiable
from chainrule.primitive import Discrete, Pointwise
from chainrule.transforms.jacobian_program import JacobianProgram, ends_of, is_native, stand_in
from chainrule.transforms.jacobian_times import COMPILED, EAGER, eliminated_seconds, swept_seconds
from chainrule.transforms.sweeps import swept

LARGEST = 400
"""Nodes up to which elimination is thought of unless it is asked for: what it takes grows faster than sweeps do."""
MOST_ENTRIES = 1 << 22
"""Of a local Jacobian whose primitive states no ties, likewise."""
MOVES = 2_000
"""Of the annealing, where a graph is traced: a fraction of a second. Eager calls take an order that needs none."""
PROOFS = 20_000
"""Likewise, of branch and bound."""
WORTH = 0.9
"""Elimination has to take so much less than sweeps, as far as counting tells (`jacobian_times`)."""
STRUCTURES = 256
"""For so many an order is remembered; what was not used longest is forgotten."""
PROGRAMS = 32
"""For so many of them a program is kept."""
PAYS = 0.005
"""Seconds that a Jacobian would take through NumPy from which on it is compiled when it is first met. That is decided
by counting, not by the clock, so that a program gives the same bits in each call and each time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a Jacobian is accumulated: by sweeps, forward or reverse, or by elimination in an order.

    Attributes:
        by: "forward", "reverse" or "elimination".
        order: of the intermediate results, for elimination.
        predicted: seconds that elimination and sweeps would take, as far as counting tells, where they were compared.
        program: what does it for all graphs of the structure, as machine code; None where NumPy does.
    """

    by: str
    order: tuple[int, ...] = ()
    predicted: tuple[float, float] | None = field(default=None, compare=False)
    program: JacobianProgram | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with one graph.

    Attributes:
        choice: for its structure.
        graph: its local Jacobians, where they are multiplied one by one.
        values: what the program of the choice takes.
    """

    choice: Choice
    graph: JacobianGraph | None = None
    values: Sequence[Any] = ()


class _Known:
    """What was chosen, by structure. Structures hold all that a program depends on, so functions share it.

    Attributes:
        making: held by the thread that searches and compiles.
    """

    def __init__(self) -> None:
        self._choices: OrderedDict[Hashable, Choice] = OrderedDict()
        self._looking = threading.RLock()  # a signal handler may ask too
        self.making = threading.RLock()

    def get(self, key: Hashable) -> Choice | None:
        """The choice for a structure."""
        with self._looking:
            found = self._choices.get(key)
            if found is not None:
                self._choices.move_to_end(key)
            return found

    def put(self, key: Hashable, choice: Choice) -> None:
        """Remember it, and forget what was not asked for longest where that is too much."""
        with self._looking:
            self._choices[key] = choice
            programs = [k for k, known in self._choices.items() if known.program is not None]
            for old in [*list(self._choices)[:-STRUCTURES], *programs[:-PROGRAMS]]:
                self._choices.pop(old, None)


_known = _Known()


class Orders:
    """How a function's Jacobians are accumulated.

    Args:
        order: "auto", "forward", "reverse", or the numbers of the intermediate results, in any iterable.
        seconds: of search, at most; None for what is worth it.
    """

    def __init__(self, order: Any, seconds: float | None) -> None:
        self.order = _as_order(order)
        if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
            raise ArgumentError(
                f"jacobian: seconds must be a positive number, got {shown(seconds)}", fix="leave it out"
            )
        self._seconds = seconds

    def plan(self, outputs: Sequence[Node], wrt: Sequence[Node], nested: bool = False) -> Plan:
        """How to accumulate the Jacobian of ``outputs``.

        Args:
            outputs, wrt: results and arguments.
            nested: whether derivatives of the Jacobian may be wanted: then nothing is compiled here.
        """
        if isinstance(self.order, tuple):
            graph = JacobianGraph(outputs, wrt)
            _require(graph, self.order)
            return Plan(Choice("elimination", self.order), graph)
        width, height = sum(w.size for w in wrt), sum(o.size for o in outputs)
        sweeps = Choice("forward" if width < height else "reverse")
        if self.order != "auto":
            return Plan(Choice(self.order))
        nodes, live = between(outputs, wrt)
        if min(width, height) <= 1 or not is_small(nodes, live):
            return Plan(sweeps)
        structure, traced = structure_of(nodes), any(o.value is None for o in outputs)
        if structure is None and not traced and not self._seconds:
            return Plan(sweeps)  # what was found could not be remembered
        if structure is None:
            graph = JacobianGraph(outputs, wrt)
            choice = self._chosen(graph, sweeps, min(width, height), traced)
            return Plan(choice, graph if choice.by == "elimination" else None)
        alone = not (traced or nested or inside_transform.get() or is_listened())
        key = (
            structure.key,
            ends_of(structure, outputs, wrt),
            traced,
            alone,
            batch_items.get(),
            self._seconds,
        )
        choice = _known.get(key)
        if choice is None:
            with _known.making:  # one thread compiles
                choice = _known.get(key)
                if choice is None and alone:
                    choice = self._program(structure, nodes, outputs, wrt, sweeps)
                if choice is None:
                    choice = self._chosen(JacobianGraph(outputs, wrt), sweeps, min(width, height), traced)
                _known.put(key, choice)
        if choice.program is not None:
            return Plan(choice, values=structure.values)
        return Plan(choice, JacobianGraph(outputs, wrt) if choice.by == "elimination" else None)

    def _program(
        self,
        structure: Structure,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        wrt: Sequence[Node],
        sweeps: Choice,
    ) -> Choice | None:
        """The choice with a program, where running through NumPy would take so long that compiling pays; else None."""
        units = min(sum(w.size for w in wrt), sum(o.size for o in outputs))
        with recording(True):
            standing = stand_in(structure, nodes, outputs, wrt)
            if standing is None:
                return None
            graph = JacobianGraph(standing.outputs, standing.wrt)
            quick = search(graph, moves=0, restarts=1, proofs=0)
            times = eliminated_seconds(graph, quick.order, EAGER), swept_seconds(graph, units, EAGER)
            if min(times) < PAYS or not is_native():
                return None
            choice = self._chosen(graph, sweeps, units, traced=True)
            if choice.by == "elimination":
                entries = graph.accumulate(choice.order)
            else:
                entries = swept(choice.by, standing.outputs, standing.wrt, record=True)
            return replace(choice, program=JacobianProgram(standing, entries))

    def _chosen(self, graph: JacobianGraph, sweeps: Choice, units: int, traced: bool) -> Choice:
        if self._seconds:  # whoever waits for an order wants few multiplications
            found = search(graph, seconds=self._seconds)
            cheaper = found.multiplications + graph.making <= WORTH * graph.sweep * units
        else:
            found = search(graph, moves=MOVES if traced else 0, restarts=1, proofs=PROOFS if traced else 0)
            speed, items = (COMPILED, batch_items.get()) if traced else (EAGER, 1)
            elimination = eliminated_seconds(graph, found.order, speed, items)
            sweeping = swept_seconds(graph, units, speed, items)
            sweeps = replace(sweeps, predicted=(elimination, sweeping))
            cheaper = elimination < WORTH * sweeping
        return replace(sweeps, by="elimination", order=found.order) if cheaper else sweeps


def _as_order(order: Any) -> str | tuple[Any, ...]:
    """A known word, or the numbers of a sequence or iterator; what is no number is refused with the graph at hand."""
    if order in ("auto", "forward", "reverse") if isinstance(order, str) else _is_iterable(order):
        return order if isinstance(order, str) else tuple([_as_number(v) for v in order])
    raise ArgumentError(
        f"jacobian: unknown order {shown(order)}",
        fix='choose "auto", "forward" or "reverse", or list the intermediate results by number',
    )


def _is_iterable(x: Any) -> bool:
    """Whether it can be gone through; an array without axes says that it can, but cannot."""
    return getattr(x, "ndim", 1) > 0 and isinstance(x, Iterable)


def _as_number(v: Any) -> Any:
    """A whole number of any library as an int; anything else as it is."""
    try:
        return v if isinstance(v, bool) else operator.index(v)
    except TypeError:
        return v


def is_small(nodes: Sequence[Node], live: set[Node]) -> bool:
    """Whether elimination may be worth it: few nodes, and no local Jacobian that would be huge.

    Args:
        nodes: between arguments and results.
        live: those among them that depend on the arguments.
    """
    if len(nodes) > LARGEST:
        return False
    for node in nodes:
        op = node.op
        if op is None or issubclass(op, (Pointwise, Discrete)):
            continue
        if op.ties is not None:
            if op.unfolds and _work(node) > MOST_ENTRIES:
                return False
            continue
        if any(x in live and is_differentiable(x) and x.size * node.size > MOST_ENTRIES for x in node.inputs):
            return False
    return True


def _work(node: Node) -> int:
    """How many entries the local Jacobian of what unfolds may have."""
    assert node.op is not None
    cost = node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
    return max(node.size, cost.multiplications, cost.additions)


def _require(graph: JacobianGraph, order: Sequence[Any]) -> None:
    try:
        require_order(graph, order)
    except ArgumentError as error:
        some = [f"{i} {n.op.name if n.op else 'input'}" for i, n in enumerate(graph.nodes[:8])]
        more = ", ..." if len(graph.nodes) > 8 else ""
        listed = f"the intermediate results, in order of computation: {', '.join(some)}{more}" if some else ""
        raise ArgumentError(
            f"jacobian: {error.message}",
            fix=f"list each of 0 to {len(graph.nodes) - 1} once; {listed}" if some else "pass an empty order",
        ) from None
