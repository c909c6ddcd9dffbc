"""The libraries that are compared: which there are, whether they are installed, what they need to get ready."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.bench.workloads import Function, Training, Workload
from chainrule.primitive import Array


@dataclass(frozen=True, slots=True)
class Ready:
    """A workload as one library runs it.

    Attributes:
        step: do it once; the first call compiles.
        wait: until what was begun is done.
        result: parameters after the steps so far, by name, shaped as the workload has them; for a function
            what it returned last, under ``"result"``.
    """

    step: Callable[[], object]
    wait: Callable[[], object]
    result: Callable[[], dict[str, Array]]


def nothing() -> None:
    """Wait for a library that returns when it is done."""


class Backend(Protocol):
    """What the module for a library provides."""

    def set_up(self, threads: int) -> None:
        """Load the library and run something small, so that its own start is not measured."""
        ...

    def training(self, workload: Training, threads: int) -> Ready: ...
    def function(self, workload: Function, threads: int) -> Ready: ...


@dataclass(frozen=True, slots=True)
class Library:
    """A library, or a way to use one.

    Attributes:
        name: in tables.
        package: what is installed.
        module: of chainrule, which knows how to use it.
        options: what its `Backend` is made with.
        trains: which of the trainings it runs: ``"all"``, ``"none"`` or their names.
        functions: likewise.
        slow: trainings of which a step takes it a second: it is checked after one.
    """

    name: str
    package: str
    module: str
    options: tuple[Any, ...] = ()
    trains: str | tuple[str, ...] = "all"
    functions: str | tuple[str, ...] = "all"
    slow: tuple[str, ...] = ()

    def applies(self, workload: Workload) -> bool:
        """Whether it is made for such work."""
        which = self.trains if isinstance(workload, Training) else self.functions
        return which == "all" or workload.name in which or workload.family in which

    @property
    def version(self) -> str | None:
        """Of the installed package; None if it is missing."""
        if importlib.util.find_spec(self.package) is None:
            return None
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"  # its files are there, and nothing that describes them

    @property
    def missing(self) -> str | None:
        """Why it takes no part, and what to do about it."""
        if self.version is not None:
            return None
        return f"{self.package} is not installed: pip install 'chainrule[bench]'"

    def backend(self) -> Any:
        return importlib.import_module(f"chainrule.bench.{self.module}").Backend(*self.options)

    def prepare(self, backend: Any, workload: Workload, threads: int) -> Ready:
        """Make everything ready for the first step, which is not made yet."""
        make = backend.training if isinstance(workload, Training) else backend.function
        return make(workload, threads)


OWN = "chainrule"
_CHAINS = ("bias-relu", "tanh", "gelu", "softmax")
_ALL = (
    Library(OWN, "chainrule", "on_chainrule"),
    Library("torch", "torch", "on_torch", (False,)),
    Library("torch.compile", "torch", "on_torch", (True,), functions=_CHAINS),
    Library("jax", "jax", "on_jax"),
    Library("numpy", "numpy", "on_numpy", trains="none"),
    Library(
        "micrograd",
        "micrograd",
        "on_micrograd",
        trains=("2-2-1", "2-16-16-1"),
        functions="none",
        slow=("2-16-16-1",),
    ),
)
LIBRARIES = {library.name: library for library in _ALL}
