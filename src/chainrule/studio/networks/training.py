"""Training that a person watches: in a thread of its own, paused, stepped and rewound by messages."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError, shown
from chainrule.studio.networks.building import Setting
from chainrule.studio.networks.choices import SPEEDS, USUAL_SPEED
from chainrule.studio.networks.descent import Descent, Known, Measured, Shot

TICK = 1 / 30
"""Seconds between two pictures."""
SHARE = 0.5
"""Of the time between two pictures in which updates are made, the rest is for drawing."""
GRACE = 5.0
"""Seconds that training goes on after the last watcher left."""
MOST_UPDATES = 1_000_000
"""Up to which a run can be trained."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is looked at.

    Attributes:
        point: number of the example that is sent through the network.
        layer, unit: from 2 and from 1, as in the notation; layer 1 are the inputs.
        into: which weight of the unit, by the unit it comes from, from 1; 0 for its bias; None for the unit itself.
    """

    point: int = 0
    layer: int = 2
    unit: int = 1
    into: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What training is doing.

    Attributes:
        running: whether it goes on by itself.
        speed: updates a second; 0 for as many as fit.
        goal: number of updates that it is on the way to; None when it is there.
        problem: message and fix of what stopped it.
    """

    running: bool = False
    speed: int = USUAL_SPEED
    goal: int | None = None
    problem: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class View:
    """All that a frame shows, none of which changes."""

    version: int
    shot: Shot
    status: Status
    selection: Selection
    now: Measured
    known: Known


class Training:
    """A run that is trained while it is watched.

    Everything that takes time happens in a thread of its own, which lives only while there is something to do. The same
    options give the same bits, however often training is paused, rewound and continued.

    Args:
        setting: what is trained on what.
        frame: makes the frame of a view.

    Attributes:
        version: counts what changed; a frame shows at least this.
    """

    def __init__(self, setting: Setting, frame: Callable[[Setting, View], dict[str, Any]]) -> None:
        self.setting = setting
        self._frame_of = frame
        self._descent = Descent(setting)
        self._changed = threading.Condition()
        self._work: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._status, self._selection = Status(), Selection()
        self._watchers, self._left = 0, time.monotonic()
        self._due, self._last, self._warm = 0.0, 0.0, False
        self._frame: tuple[int, dict[str, Any]] | None = None
        self._drawing = threading.Lock()
        self.version = 0
        self._publish()

    # What the server asks.

    def watch(self) -> None:
        """Somebody looks: the first update is made ready."""
        with self._changed:
            self._watchers += 1
            if not self._warm:
                self._warm = True
                self._work.append(self._descent.warm_up)
                self._wake()

    def unwatch(self) -> None:
        """Somebody looks no more; `GRACE` seconds after the last one training pauses."""
        with self._changed:
            self._watchers = max(0, self._watchers - 1)
            self._left = time.monotonic()

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return self._watchers > 0

    def wait(self, version: int, timeout: float) -> bool:
        """Whether something newer than ``version`` is there, within some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.version > version, timeout)

    def rest(self, timeout: float | None) -> bool:
        """Wait until nothing is left to do: all messages are done, and training paused or never began."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None and not self._work, timeout)

    def view(self) -> View:
        """What is to be shown now."""
        with self._changed:
            return replace(self._view, version=self.version, status=self._status, selection=self._selection)

    def frame(self) -> dict[str, Any]:
        """The newest frame, complete."""
        with self._drawing:
            view = self.view()
            if self._frame is None or self._frame[0] != view.version:
                with np.errstate(all="ignore"):  # what overflows is shown
                    self._frame = view.version, self._frame_of(self.setting, view)
            return self._frame[1]

    def command(self, message: Mapping[str, Any]) -> None:
        """Do what a message says; what takes time is only begun.

        Args:
            message: ``{"do": "train"}``, ``{"do": "pause"}``, ``{"do": "step", "of": "update" | "epoch", "count": 1}``
                (a negative count goes back), ``{"do": "seek", "update": 40}``, ``{"do": "speed", "value": 150}``,
                ``{"do": "select", "point": 3, "layer": 2, "unit": 1, "into": null}``, of which each may be left out.

        Raises:
            ArgumentError: it is no such message.
        """
        actions = {
            "train": self._train,
            "pause": self._pause,
            "step": self._step,
            "seek": self._seek,
            "speed": self._speed,
            "select": self._select,
        }
        do = message.get("do")
        action = actions.get(do) if isinstance(do, str) else None
        if action is None:
            raise ArgumentError(f"there is no command {shown(do)}", fix=f"commands are {', '.join(actions)}")
        action(message)

    # Messages.

    def _train(self, message: Mapping[str, Any]) -> None:
        with self._changed:
            self._last = time.monotonic()
            self._due = 0.0 if self._status.speed != 1 else 1.0
            self._tell(running=True, goal=None, problem=None)
            self._wake()

    def _pause(self, message: Mapping[str, Any]) -> None:
        with self._changed:
            self._work.clear()
            self._tell(running=False, goal=None)

    def _step(self, message: Mapping[str, Any]) -> None:
        count = _whole(message, "count", 1, -MOST_UPDATES, MOST_UPDATES)
        of = message.get("of", "update")
        if of not in ("update", "epoch"):
            raise ArgumentError(f"step: there is no step of {shown(of)}", fix="pass update or epoch")
        with self._changed:
            here = self._descent.update if self._status.goal is None else self._status.goal
            per = self.setting.per_epoch
            goal = here + count if of == "update" else _epochs_from(here, count, per)
            self._go(min(MOST_UPDATES, max(0, goal)))

    def _seek(self, message: Mapping[str, Any]) -> None:
        goal = _whole(message, "update", None, 0, MOST_UPDATES)
        with self._changed:
            self._go(goal)

    def _go(self, goal: int) -> None:
        self._tell(running=False, goal=goal, problem=None)
        self._work.append(lambda: self._descent.approach(goal))
        self._wake()

    def _speed(self, message: Mapping[str, Any]) -> None:
        value = message.get("value")
        if value not in SPEEDS or isinstance(value, bool):
            raise ArgumentError(
                f"speed: {shown(value)} is none of the speeds",
                fix=f"pass one of {', '.join(map(str, SPEEDS))}",
            )
        with self._changed:
            self._due = 0.0
            self._tell(speed=value)

    def _select(self, message: Mapping[str, Any]) -> None:
        sizes, now = self.setting.sizes, self._selection
        point = _whole(message, "point", now.point, 0, len(self.setting.examples.x) - 1)
        layer = _whole(message, "layer", now.layer, 1, len(sizes))
        unit = _whole(message, "unit", now.unit if layer == now.layer else 1, 1, sizes[layer - 1])
        into = message.get("into", now.into if "unit" not in message and "layer" not in message else None)
        if into is not None:
            least = 0 if self.setting.options.biases else 1
            into = _whole({"into": into}, "into", None, least, sizes[layer - 2] if layer > 1 else 0)
        with self._changed:
            self._selection = Selection(point, layer, unit, into)
            self._bump()

    # The thread.

    def _tell(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)
        self._bump()

    def _bump(self) -> None:
        self.version += 1
        self._changed.notify_all()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="studio-training", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _live(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Do the next thing; False if there is none, and the thread ends."""
        with self._changed:
            work = self._work.popleft() if self._work else None
            if work is None and self._status.running and self._is_deserted():
                self._tell(running=False)
            if work is None and not self._status.running and self._status.goal is None:
                self._thread = None
                self._changed.notify_all()
                return False
        try:
            if work is not None:
                work()
            elif self._status.goal is not None:
                self._toward(self._status.goal)
            else:
                self._tick()
        except ChainruleError as error:
            self._fail(error.message, error.fix or "")
        except Exception as error:  # the thread reports what it cannot know, and the page lives on
            self._fail(f"training failed: {type(error).__name__}: {error}", "choose other options")
        return True

    def _is_deserted(self) -> bool:
        return not self._watchers and time.monotonic() - self._left > GRACE

    def _fail(self, message: str, fix: str) -> None:
        with self._changed:
            self._work.clear()
            self._tell(running=False, goal=None, problem=(message, fix))

    def _toward(self, goal: int) -> None:
        """Updates on the way to a goal, as fast as they go, for the time of one picture."""
        until = time.monotonic() + 3 * TICK
        descent = self._descent
        while descent.update < goal and time.monotonic() < until and self._status.goal == goal:
            if descent.update == goal - 1:
                descent.mark()
            if not descent.advance():
                self._diverged()
                return
        with self._changed:
            if descent.update == goal and self._status.goal == goal:
                self._status = replace(self._status, goal=None)
            self._publish()

    def _tick(self) -> None:
        """The updates of one picture."""
        start = time.monotonic()
        if self._status.speed:
            self._due = min(
                self._due + (start - self._last) * self._status.speed, 4 * TICK * self._status.speed + 1
            )
        self._last = start
        until = start + SHARE * TICK
        made = 0
        while self._status.running and (not self._status.speed or self._due >= 1):
            last = time.monotonic() > until or (self._status.speed and self._due < 2)
            if last:
                self._descent.mark()
            if self._descent.update >= MOST_UPDATES:
                raise ArgumentError(f"{MOST_UPDATES} updates are made", fix="start over with other options")
            if not self._descent.advance():
                self._diverged()
                return
            made, self._due = made + 1, self._due - 1
            if last:
                break
        with self._changed:
            if made:
                self._publish()
            rest = start + TICK - time.monotonic()
            if self._status.speed == 1:
                rest = max(rest, min(0.25, 1 - self._due))
            if rest > 0 and self._status.running and not self._work:
                self._changed.wait_for(lambda: bool(self._work) or not self._status.running, rest)

    def _diverged(self) -> None:
        message, fix = self._descent.explain_divergence()
        with self._changed:
            self._publish()
        self._fail(message, fix)

    def _publish(self) -> None:
        """Make what is shown now."""
        descent = self._descent
        shot = descent.shot()
        view = View(0, shot, self._status, self._selection, descent.now(shot), descent.known)
        with self._changed:
            self._view = view
            self._bump()


def _epochs_from(here: int, count: int, per: int) -> int:
    """So many epochs on or back; from within an epoch the first step goes to its end or its start."""
    base = here // per if count > 0 else -(-here // per)
    return (base + count) * per


def _whole(message: Mapping[str, Any], name: str, default: int | None, low: int, high: int) -> int:
    value = message.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise ArgumentError(
            f"{message.get('do', 'select')}: {name} must be a whole number from {low} to {high}, got {shown(value)}",
            fix=f"pass {name}={low}",
        )
    return value
