"""A model that is being opened, in a thread of its own: how far that is, and what has been found so far."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any, Literal

from chainrule.errors import ArgumentError, ChainruleError, DataError, ProcessError
from chainrule.explain.diagnosis import Report
from chainrule.explain.numbers import json_number
from chainrule.studio.models.curves import Curves
from chainrule.studio.models.pinning import pinned
from chainrule.studio.models.view import View

FORMAT, VERSION = "chainrule-trace", 1
State = Literal["opening", "ready", "failed", "stopped"]


class _Stopped(BaseException):
    """Someone has had enough. No handler of a program's own is to catch it."""


class Opening:
    """A model from whatever it comes.

    Args:
        key: its name in addresses.
        name: its name for people.
        source: where it comes from, JSON-ready, with a ``kind``.
        work: opens it: called with this object, in a thread; tells it what it finds.

    Attributes:
        work: as given: for opening the same once more.
        curves: of its training; empty where nothing is known of one.
    """

    def __init__(
        self, key: str, name: str, source: dict[str, Any], work: Callable[[Opening], object]
    ) -> None:
        self.key, self.name, self.source = key, name, source
        self.curves = Curves()
        self.state: State = "opening"
        self.doctor: Literal["waiting", "working", "done", "failed", "stopped", "none"] = "waiting"
        self.work = work
        self._doing, self._share = "opening", 0.0
        self._error: dict[str, Any] | None = None
        self._problem: ChainruleError | None = None
        self._view: View | None = None
        self._report: Report | None = None
        self._trained = False
        self._findings: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._shown = 0
        self._wants_stop = False
        self._thread = threading.Thread(target=self._run, name=f"studio-{key}", daemon=True)

    def start(self) -> Opening:
        """Begin."""
        self._thread.start()
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Until nothing more will be found; returns whether that is so."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.work(self)
            if self._view is None and self.state == "opening":
                self.state = "ready"
        except _Stopped:
            self._ended("stopped")
        except ChainruleError as error:
            self.fail(error)
        except (Exception, KeyboardInterrupt, GeneratorExit) as error:  # of a user's own program or model
            told = str(error).partition("\n")[0]
            what = self.source.get("path") or self.name
            fix = "run it on its own first: the whole traceback is there"
            said = f"{what} raised {': '.join(filter(None, (type(error).__name__, told)))}"
            self._fail(ProcessError(said, fix=fix), type(error).__name__)
        if self.doctor in ("waiting", "working"):
            self.doctor = "none"

    def _ended(self, state: Literal["failed", "stopped"]) -> None:
        if self.state == "opening":
            self.state = state
        elif self.doctor in ("waiting", "working"):
            self.doctor = state

    def _fail(self, problem: ChainruleError, kind: str) -> None:
        self._problem = problem
        self._error = {"type": kind, "message": problem.message, "fix": problem.fix}
        self._ended("failed")

    # What the work tells.

    def tell(self, doing: str, share: float = 0.0) -> None:
        """What is being done, and how much of it is. Ends the work if someone wants that."""
        self._doing, self._share = doing, share
        if self._wants_stop:
            raise _Stopped

    def note(self, text: str) -> None:
        """Something that a reader of the numbers has to know."""
        self._notes.append(text)

    def show(self, view: View) -> None:
        """The graph is there."""
        self._view = view
        self._shown += 1
        self.state = "ready"

    def examine(self) -> None:
        """The doctor begins."""
        self.doctor = "working"

    def diagnosed(self, report: Report, trained: bool) -> None:
        """The doctor has ended; the updates that it saw are the user's own if the model was ``trained``."""
        assert self._view is not None
        self._report, self._trained = report, trained
        self._findings = pinned(report.findings, self._view.tree, self._view.anatomy)
        self.doctor = "done"

    def fail(self, error: ChainruleError) -> None:
        """The graph cannot be shown; what else is known is."""
        self._fail(error, type(error).__name__)

    # What the page asks.

    @property
    def view(self) -> View:
        """The graph and its numbers.

        Raises:
            ArgumentError: they are not there.
        """
        if self._view is None:
            raise ArgumentError(
                f"{self.name} is not open: {self.state}", fix="wait until it is, or open it again"
            )
        return self._view

    def check(self) -> None:
        """Hold the work that has ended to what it was for.

        Raises:
            ChainruleError: there is neither a graph nor a curve; why that is.
        """
        if self._view is None and not self.curves.series:
            raise self._problem or DataError(
                f"{self.name} made no backward pass: there is nothing to show",
                fix="call cr.value_and_grad(...) or a Trainer in it",
            )

    def stop(self) -> None:
        """End the work, wherever it is: a program that computes in Python ends at its next line."""
        self._wants_stop = True
        number = self._thread.ident
        if number is not None and self._thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(number), ctypes.py_object(_Stopped))

    def status(self) -> dict[str, Any]:
        """How far it is: small, to be asked often."""
        return {
            "id": self.key,
            "name": self.name,
            "source": self.source,
            "state": self.state,
            "doing": self._doing,
            "share": self._share,
            "error": self._error,
            "doctor": self.doctor,
            "findings": len(self._findings),
            "shown": self._shown,
            "running": self._thread.is_alive(),
        }

    def to_dict(self) -> dict[str, Any]:
        """The trace: all that the page first shows."""
        self.curves.refresh()
        view = self._view
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": "model",
            **self.status(),
            "notes": list(self._notes),
            "head": view and view.head(),
            "overview": view and view.overview(self._updates()),
            "doctor_says": self.says(),
            "curves": self.curves.to_dict(),
        }

    def says(self) -> dict[str, Any]:
        """What the doctor has found so far."""
        report = self._report
        return {
            "state": self.doctor,
            "doing": self._doing,
            "findings": self._findings,
            "losses": [json_number(x) for x in report.losses] if report else [],
            "raised": report.raised if report else "",
            "updates": {path: json_number(ratio) for path, ratio in self._updates().items()},
            "error": self._error if self.doctor == "failed" else None,
        }

    def _updates(self) -> dict[str, float]:
        """The size of each weight's last update over its own: of the run, else of the first one that was made."""
        if self.curves.updates or self._report is None or self._view is None or not self._trained:
            return dict(self.curves.updates)
        by_name = {layer.name: layer.path for layer in self._view.anatomy.layers}
        return {
            by_name[row.name]: row.update
            for row in self._report.layers
            if row.update is not None and row.name in by_name
        }

    def at(self, at: str) -> dict[str, Any]:
        """All numbers of a place."""
        return self.view.at(at, self._updates())
