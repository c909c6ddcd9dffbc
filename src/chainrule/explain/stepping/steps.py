"""A recorded forward and backward pass, to be walked through in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from chainrule import trees
from chainrule.autodiff.opening import opened
from chainrule.errors import ArgumentError
from chainrule.explain import mistakes
from chainrule.explain.explanation import Explanation
from chainrule.explain.numbers import Value
from chainrule.explain.stepping.conditions import Condition, condition
from chainrule.explain.stepping.events import Event, events_of
from chainrule.explain.sweep import Sweep
from chainrule.formula.mistakes import closest
from chainrule.nn import Module
from chainrule.node import Node

VERSION = 1
"""Of the JSON."""
AROUND = 4
"""Events that are shown before and after the current one."""


class Steps:
    """Both passes, one event at a time, forwards and back. Made by :func:`steps`; ``print`` shows where it stands.

    Attributes:
        events: everything that happens.
        position: the place of the current event; -1 before the first.
        breakpoints: where :meth:`run` stops, in words, by number.
    """

    def __init__(self, sweep: Sweep, names: Mapping[Node, str], lines: bool = True) -> None:
        self._lines = lines
        self._writer = Explanation(sweep, ())
        found = [self._writer.named(i) for i in range(len(sweep.nodes))]
        self._names = [names.get(node, name) for node, name in zip(sweep.origin, found, strict=True)]
        self.events: tuple[Event, ...] = tuple(events_of(sweep, self._names))
        self.position = -1
        self.breakpoints: dict[int, str] = {}
        self._conditions: dict[int, Condition] = {}

    @property
    def current(self) -> Event | None:
        """What happened last; None before the first event."""
        return self.events[self.position] if self.position >= 0 else None

    def step(self, count: int = 1) -> Event | None:
        """Go on by some events, at most to the last."""
        return self.go(self.position + count)

    def back(self, count: int = 1) -> Event | None:
        """Go back by some events, at most before the first."""
        return self.go(self.position - count)

    def go(self, place: int) -> Event | None:
        """Go to an event by its place; -1 is before the first."""
        self.position = max(-1, min(place, len(self.events) - 1))
        return self.current

    def break_at(self, where: str | Condition) -> int:
        """Stop there when running.

        Args:
            where: a node's name; a line, as ``train.py:41``; a layer, as ``layers.0``; a comparison of ``value``,
                ``delta`` (also ``grad``), ``upstream``, ``local`` and ``contribution``, as ``delta.isnan()`` or
                ``abs(delta) < 1e-8``, which holds if it does for any element; or a function of an `Event`.

        Returns:
            A number, for :meth:`clear`.

        Raises:
            ArgumentError: it means nothing, with what is near to it.
        """
        test = condition(where, frozenset(self._names))
        number = max(self.breakpoints, default=0) + 1
        self.breakpoints[number] = (
            where if isinstance(where, str) else getattr(where, "__name__", "a function")
        )
        self._conditions[number] = test
        return number

    def clear(self, number: int | None = None) -> None:
        """Take one breakpoint away, or all.

        Raises:
            ArgumentError: there is none of that number.
        """
        if number is None:
            self.breakpoints.clear()
            self._conditions.clear()
        elif self.breakpoints.pop(number, None) is None:
            raise ArgumentError(
                f"there is no breakpoint {number}", fix=f"one of {list(self.breakpoints) or 'none'}"
            )
        else:
            del self._conditions[number]

    def run(self, until: str | Condition | None = None) -> Event | None:
        """Go on to the next breakpoint, or to where ``until`` holds; to the end if there is none.

        Returns:
            The event there; None where the end was reached without one.
        """
        return self._search(range(self.position + 1, len(self.events)), len(self.events) - 1, until)

    def run_back(self, until: str | Condition | None = None) -> Event | None:
        """The same backwards, to before the first event if there is none."""
        return self._search(range(self.position - 1, -1, -1), -1, until)

    def _search(self, places: range, end: int, until: str | Condition | None) -> Event | None:
        tests = list(self._conditions.values())
        if until is not None:
            tests = [condition(until, frozenset(self._names))]
        for place in places:
            if any(test(self.events[place]) for test in tests):
                return self.go(place)
        self.go(end)
        return None

    def gradient(self, name: str) -> Value | None:
        """What has arrived so far at a node, by its name: its gradient once nothing more will; None for nothing yet.

        Raises:
            ArgumentError: there is no node of that name.
        """
        if name not in self._names:
            near = closest(name, self._names)
            raise ArgumentError(
                f"no node is called {name!r}", fix=f"did you mean {near}?" if near else "see .events"
            )
        for event in reversed(self.events[: self.position + 1]):
            if event.kind == "edge" and event.input_name == name:
                return event.after
            if event.kind == "seed" and event.name == name:
                return event.delta
        return None

    def describe(self, event: Event) -> str:
        """An event in one line, with its numbers."""
        writer, name, result = self._writer, event.name, self._names[-1]
        if event.kind == "value":
            parts = [
                name,
                writer.expression(event.node),
                writer.substituted(event.node),
                writer.shown(event.value),
            ]
            return " = ".join(part for part in parts if part)
        if event.kind == "seed":
            return f"∂{result}/∂{name} = {writer.shown(event.delta)}: the backward pass begins"
        if event.kind == "node":
            terms = len(writer.uses(event.node))
            of = f", the sum of {terms} terms" if terms > 1 else ""
            return f"∂{result}/∂{name} = {writer.shown(event.delta)} is complete{of}"
        return self._edge(event)

    def _edge(self, event: Event) -> str:
        writer, result = self._writer, self._names[-1]
        letters = writer.symbols(event.node)[event.slot] if writer.nodes[event.node].edges else ""
        local = f"∂{event.name}/∂{event.input_name}" + (f" = {letters}" if letters else "")
        factor = "the map of this node" if event.local is None else writer.shown(event.local)
        text = f"{writer.shown(event.delta)} · {factor} = {writer.shown(event.contribution)}"
        to = f"∂{result}/∂{event.input_name}"
        if event.before is None:
            return f"{to} ← ∂{result}/∂{event.name} · {local}: {text}"
        added = (
            f"{writer.shown(event.before)} + {writer.shown(event.contribution)} = {writer.shown(event.after)}"
        )
        return f"{to} += ∂{result}/∂{event.name} · {local}: {text}, added: {added}"

    @property
    def text(self) -> str:
        """The events around the current one, which is marked."""
        low, high = max(0, self.position - AROUND), min(len(self.events), self.position + AROUND + 1)
        lines = [f"{self.position + 1} of {len(self.events)} events"]
        for event in self.events[low:high]:
            mark = "▶" if event.place == self.position else " "
            lines.append(f"{mark} {event.place + 1:>4}  {event.phase:<8}  {self.describe(event)}")
        current = self.current
        if self._lines and current is not None and current.source is not None:
            lines.append(f"At: {current.source}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<Steps of {self._names[-1]}: {self.position + 1} of {len(self.events)} events>"

    def _repr_html_(self) -> str:
        return f'<pre class="chainrule-steps">{escape(self.text)}</pre>'

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: all events."""
        return {
            "version": VERSION,
            "result": self._names[-1],
            "position": self.position,
            "events": [event.to_dict() | {"text": self.describe(event)} for event in self.events],
        }


def steps(y: Any, model: Module | None = None, *, lines: bool = True) -> Steps:
    """Record both passes of a result, to walk through them in both directions.

    At each edge of the backward pass stand the upstream gradient, the local derivative, their product, and the sum to
    which it is added.

    Args:
        y: a tensor with one element and its graph, such as a loss.
        model: names parameters by their path, such as ``layers.0.weight``.
        lines: whether the text shows the program's lines; a formula has none of its own.

    Returns:
        `Steps`, before the first event.

    Raises:
        OperandError, GradientError, TracedValueError: as for :func:`explain`.

    Example:
        >>> import chainrule as cr
        >>> walk = cr.steps(cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4))
        >>> event = walk.run("b")
        >>> event.name, event.input_name, event.after
        ('y', 'b', 2.0)
    """
    result = mistakes.check_result(y, "steps")
    names: dict[Node, str] = {}
    if model is not None:
        pairs = zip(trees.leaves(model), trees.paths(model), strict=True)
        names = {node: path for node, path in pairs if isinstance(node, Node)}
    return Steps(Sweep(opened(result)[result]), names, lines)
