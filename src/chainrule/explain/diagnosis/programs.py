"""A whole program examined: its backward passes and updates are watched, and what they show is diagnosed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.listening import listening
from chainrule.errors import ArgumentError
from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.examining import examine
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.diagnosis.report import Report
from chainrule.explain.running import Program, names_in
from chainrule.modes import remembering
from chainrule.nn import BatchNorm, Dropout, Module
from chainrule.node import Node, by_index
from chainrule.optim import Optimizer
from chainrule.primitive import Array

MOST_PASSES = 400
"""Backward passes after which a program has shown enough."""
MOST_NUMBERS = 500_000_000
"""Numbers in the graphs of all passes after which it has, too, if there were enough passes."""
ENOUGH = 8
MOST_KEPT = 200_000_000
"""Numbers in the graphs that are kept; of large networks the first pass, the newest, and what fits between."""
MOST_NETWORKS = 3
"""That are examined, where a program trains several, such as a generator and its critic."""
_IN_FULL = (0, 1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
"""Passes whose graphs are kept; the last one is kept as well."""


class _Enough(BaseException):
    """As many passes as were asked for. No handler of the program's own is to catch it."""


class _Group:
    """The passes for one set of parameters."""

    def __init__(self) -> None:
        self.passes: list[Observed] = []
        self.newest: Observed | None = None
        self.losses: list[float] = []
        self.labels: list[Array] = []
        self.optimizer: Optimizer | None = None
        self.untold: list[str] = []
        self.buffers: dict[str, Array] = {}
        self.stale: list[str] = []
        self.updated = False
        self.number = self.twice = self.intervals = 0
        self.numbers: dict[Observed, int] = {}
        self.results: set[Node] = set()
        self.repeated = False

    @property
    def seen(self) -> list[Observed]:
        """The passes that are known in full."""
        last = [self.newest] if self.newest is not None and self.newest not in self.passes else []
        return [*self.passes, *last]

    def course(self) -> Course:
        """What is to be examined."""
        given = any(p.update is not None for p in self.seen)
        return Course(
            self.seen,
            self.losses,
            self.optimizer,
            self.labels,
            self.untold,
            self.stale if len(self.losses) > 2 else (),
            numbers=self.numbers,
            twice=self.twice,
            updates=self.intervals,
            given=given or self.optimizer is not None,
        )


class _Watch:
    """Hears of passes and updates."""

    def __init__(
        self,
        space: Mapping[str, Any],
        most: int,
        seen: Callable[[int], None],
        shown: Callable[[Observed], object],
    ) -> None:
        self.space, self.most, self._seen, self._shown = space, most, seen, shown
        self.groups: dict[Any, _Group] = {}
        self.count = self.numbers = self.kept = 0

    def __call__(
        self, result: Node, wrt: Sequence[Node], gradients: Sequence[Node | None], labels: Sequence[str]
    ) -> None:
        if result.size != 1 or not wrt:
            return
        models = list(_models(self.space))
        parameters = _parameters(wrt, labels, self.space, models)
        key = tuple((path, node.shape) for path, node in sorted(parameters.items()))
        group = self.groups.setdefault(key, _Group())
        arrays = [None if g is None else np.asarray(g.value) for g in gradients]
        finite = all(np.isfinite(a).all() for a in (np.asarray(result.value), *arrays) if a is not None)
        observed = Observed(result, parameters, finite=bool(finite))
        told = dict(zip(wrt, arrays, strict=True))
        group.repeated = group.repeated or result in group.results
        group.results.add(result)
        observed.own = {path: g for path, n in parameters.items() if (g := told.get(n)) is not None}
        self._note_update(group, observed)
        self._keep(group, observed, models)
        self.count += 1
        self._seen(self.count)
        self._shown(observed)
        if self.count >= self.most or not finite or (self.count >= ENOUGH and self.numbers > MOST_NUMBERS):
            raise _Enough

    def _note_update(self, group: _Group, observed: Observed) -> None:
        """What happened to the parameters since the last pass; a pass that is made again on the same ones is one."""
        before = group.newest
        if before is None:
            return
        pairs = [(observed.parameters[p].value, before.parameters[p].value) for p in before.parameters]
        if not group.updated and all(a is b or np.array_equal(a, b) for a, b in pairs):
            if before in group.passes:
                group.passes.remove(before)
                group.number -= 1
            if before.loss == observed.loss:
                group.losses.pop()
            elif before.own and observed.own:
                observed.own = {path: g + before.own.get(path, 0) for path, g in observed.own.items()}
            return
        group.twice += group.repeated
        group.intervals += 1
        group.repeated = False
        group.results = {observed.result}
        before.after = {path: np.asarray(node.value) for path, node in observed.parameters.items()}

    def _keep(self, group: _Group, observed: Observed, models: Sequence[Module]) -> None:
        number = group.number
        group.number += 1
        group.losses.append(observed.loss)
        group.numbers = {p: n for p, n in group.numbers.items() if p in group.passes} | {observed: number}
        size = sum(n.size for n in observed.order)
        self.numbers += size
        if not group.passes or (number in _IN_FULL and self.kept + size <= MOST_KEPT):
            group.passes.append(observed)
            self.kept += size
        group.newest, group.updated = observed, False
        anatomy = Anatomy(observed)
        rows = [np.asarray(t.value) for t in anatomy.targets if t.size == t.shape[0] == anatomy.batch]
        if anatomy.classes is not None:
            group.labels.append(anatomy.classes[1])
        elif len(rows) == 1:
            group.labels.append(rows[0])
        for model in models:
            if _is_of(model, observed):
                self._look_at(group, model, observed)

    def _look_at(self, group: _Group, model: Module, observed: Observed) -> None:
        """The layers of the program's own model, and its buffers."""
        group.untold = group.untold or list(_untold(model, observed))
        now = {path: np.asarray(b.value) for path, b in model.named_buffers().items()}
        if not group.buffers:
            group.buffers = now
        elif len(group.losses) > 2:
            moving = any(n.op is not None and n.op.name == "var" for n in observed.order)
            group.stale = [
                p for p, b in now.items() if moving and np.array_equal(b, group.buffers.get(p, np.nan))
            ]

    def updates(self, optimizer: Any, gradients: Any, before: Any, after: Any, made: int) -> None:
        """Hears of an update: which pass it belongs to is told by the numbers of its parameters."""
        arrays = {
            id(n.value): path
            for path, n in zip(trees.paths(before), trees.leaves(before), strict=True)
            if isinstance(n, Node)
        }
        for group in self.groups.values():
            observed = group.newest
            if observed is None:
                continue
            known = {
                arrays[id(n.value)]: path for path, n in observed.parameters.items() if id(n.value) in arrays
            }
            if not known:
                continue
            group.optimizer, group.updated = optimizer, True
            if isinstance(before, Module) and not group.untold:
                group.untold = list(_untold(before, observed))
            observed.rate = optimizer.learning_rate_at(made)
            observed.used = {
                known[path]: np.asarray(g.value if isinstance(g, Node) else g)
                for path, g in zip(
                    trees.paths(before),
                    trees.aligned_leaves(trees.flatten(before)[1], gradients),
                    strict=True,
                )
                if path in known
            }
            observed.after = {
                known[path]: np.asarray(n.value)
                for path, n in zip(trees.paths(after), trees.leaves(after), strict=True)
                if path in known and isinstance(n, Node)
            }


def diagnose_program(
    path: str,
    arguments: Sequence[str] = (),
    passes: int = MOST_PASSES,
    seen: Callable[[int], None] = lambda count: None,
    examining: Callable[[str], None] = lambda name: None,
    watch: Callable[[Observed], object] = lambda observed: None,
) -> Report:
    """Run a program for some backward passes, and examine what they show of its network.

    Nothing is compiled meanwhile, as a compiled pass cannot be looked into. Of several networks the one with most
    parameters is reported on, with the findings of the others.

    Args:
        path: of a Python file. It runs as a program of its own, in this process.
        arguments: what it finds behind its name in ``sys.argv``.
        passes: after so many backward passes it is stopped, at least 1.
        seen: called with their number so far.
        examining: called with what is looked for, once the passes are there.
        watch: called with each pass, while the program waits.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ArgumentError: it is no Python, or makes no backward pass of one number. What it raises itself is passed on, if
            it raises before its first backward pass; later it is taken for the end.
    """
    if passes < 1:
        raise ArgumentError(
            f"doctor: passes must be at least 1, got {passes}", fix=f"leave it out: {MOST_PASSES}"
        )
    program = Program(path, arguments)
    watching = _Watch(program.space, passes, seen, watch)
    raised = ""
    try:
        with listening(watching, watching.updates), remembering():
            program.run()
    except _Enough:
        pass
    except (Exception, KeyboardInterrupt) as error:
        if not watching.count:
            raise
        first_line = str(error).partition("\n")[0]
        raised = ": ".join(filter(None, (type(error).__name__, first_line)))
    if not watching.groups:
        raise ArgumentError(
            f"{path} makes no backward pass of one number",
            fix="call loss.backward(), or what cr.value_and_grad gives, in it",
        )
    groups = sorted(
        watching.groups.values(),
        key=lambda g: (sum(n.size for n in g.seen[0].parameters.values()), len(g.losses)),
        reverse=True,
    )
    report, *others = [
        examine(g.course(), examining) for g in groups[:MOST_NETWORKS] if g is groups[0] or len(g.losses) > 1
    ]
    found = {(f.kind, f.where): f for f in (*report.findings, *(f for r in others for f in r.findings))}
    report = dataclasses.replace(report, findings=tuple(found.values()))
    return dataclasses.replace(report, raised=raised) if raised else report


def _models(space: Mapping[str, Any]) -> Iterator[Module]:
    """The modules that the program has a name for, wherever it is running."""
    frames: list[Mapping[str, Any]] = [space]
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_globals is space and frame.f_locals is not space:
            frames.append(frame.f_locals)
        frame = frame.f_back
    known: set[int] = set()
    for names in frames:
        for value in list(names.values()):
            if isinstance(value, Module) and id(value) not in known:
                known.add(id(value))
                yield value


def _parameters(
    wrt: Sequence[Node], labels: Sequence[str], space: Mapping[str, Any], models: Sequence[Module]
) -> dict[str, Node]:
    """What was differentiated for, by path; parameters of the same models that were left out as well."""
    if labels:
        return dict(zip(labels, wrt, strict=True))
    ordered = sorted(wrt, key=by_index)
    given = set(ordered)
    names: dict[Node, str] = names_in(space)
    for model in sorted(
        models, key=lambda m: len(trees.leaves(m))
    ):  # the whole model's paths are the ones to keep
        own = {
            n: path
            for path, n in zip(trees.paths(model), trees.leaves(model), strict=True)
            if isinstance(n, Node)
        }
        if any(n in given for n in own):
            names |= {n: f"{path}" for n, path in own.items()}
            ordered += [n for n in own if n not in given and n.tracked]
            given |= set(own)
    found: dict[str, Node] = {}
    for i, node in enumerate(ordered):
        name = names.get(node) or node.name or f"parameter {i}"
        while name in found:
            name += "'"
        found[name] = node
    return found


def _is_of(model: Module, observed: Observed) -> bool:
    """Whether the pass was made with the numbers that this model holds."""
    own = {id(n.value) for n in trees.leaves(model) if isinstance(n, Node)}
    return bool(own) and sum(id(n.value) in own for n in observed.parameters.values()) * 2 > len(own)


def _untold(model: Module, observed: Observed) -> Iterator[str]:
    """Layers that behaved in a pass as if they were not trained."""
    draws = any(n.op is not None and n.op.name == "random_bits" for n in observed.order)
    read = {id(n.value) for n in observed.order if not n.inputs}
    for path, module in model.named_modules().items():
        if isinstance(module, Dropout) and module.rate and not draws:
            yield f"{path} (Dropout)"
        if isinstance(module, BatchNorm) and any(
            id(b.value.value) in read for b in module.named_buffers().values()
        ):
            yield f"{path} (BatchNorm)"
