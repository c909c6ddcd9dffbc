"""Whether the kernel runs a cell: meanwhile it does not hear what a page says."""

from __future__ import annotations

from typing import Any


class Cells:
    """Follows the cells of one kernel.

    Attributes:
        runs: whether one runs now.
    """

    def __init__(self) -> None:
        self.shell: Any = None
        self.runs = False

    def follow(self, shell: Any) -> None:
        """Know from now on, of IPython's shell; called within a cell."""
        if shell is None or self.shell is shell:
            return
        self.shell, self.runs = shell, True
        shell.events.register("pre_run_cell", self._begins)
        shell.events.register("post_run_cell", self._ends)

    def _begins(self, *about: object) -> None:
        self.runs = True

    def _ends(self, *about: object) -> None:
        self.runs = False


_CELLS = Cells()


def follow_cells() -> None:
    """From now on know whether a cell runs. Outside of IPython none ever does."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    _CELLS.follow(get_ipython())


def is_busy() -> bool:
    """Whether a cell runs now."""
    return _CELLS.runs
