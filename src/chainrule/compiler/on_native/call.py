"""How a lowered operation is handed over: which kernels run in which order, on which arrays.

Matrix products and convolutions are lowered to a few calls each. A caller binds the names of their operands to
arrays: those of the operation ("x", "w", "y", ...), "workspace", and one for each operand of an epilogue.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chainrule.compiler.on_native.ir import Function, Int, Type, Value
from chainrule.compiler.on_native.kernel import Kernel
from chainrule.compiler.on_native.target import Target


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel, and what its table of addresses holds, in order.

    All tasks of a call are done before the next call begins. Operands of an epilogue are named "epilogue0",
    "epilogue1", ...
    """

    kernel: Kernel
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lowered:
    """Code for an operation.

    Next to its arrays it needs memory that whoever runs it provides, aligned to 64 bytes: "workspace" carries values
    from one call to the next; "scratch" does not, but has room for each thread.

    Attributes:
        calls: run one after the other.
        workspace: bytes.
        scratch: bytes for each thread; that of thread ``t`` begins at ``t * scratch``.
    """

    calls: tuple[Call, ...]
    workspace: int = 0
    scratch: int = 0


KNOWN = 256
"""So many lowered operations of a kind are remembered."""
L = TypeVar("L", bound=Callable[..., Any])


def remembered(told_apart: Callable[[Any, Target], Any]) -> Callable[[L], L]:
    """For functions from problems to code that remember what they made: a deep network has the same layer many times.

    Problems are equal where their numbers are, but 0 equals -0: names, which say all that code depends on, tell such
    problems apart.

    Args:
        told_apart: gives the name of a problem.
    """

    def decorated(lower: L) -> L:
        @functools.lru_cache(KNOWN)
        def known(name: Any, *arguments: Any, **named: Any) -> Any:
            return lower(*arguments, **named)

        @functools.wraps(lower)
        def found(problem: Any, target: Target, *others: Any, **named: Any) -> Any:
            return known(told_apart(problem, target), problem, target, *others, **named)

        return found  # pyright: ignore[reportReturnType]

    return decorated


class Epilogue(ABC):
    """What becomes of a result while it is still in registers: bias, activation, an optimizer's update.

    The result is seen as a matrix; that of a convolution has a row for each pixel of all images, and a column for
    each channel.

    Attributes:
        name: says everything that the code depends on.
        operands: how many arrays it takes.
    """

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def operands(self) -> int: ...

    @property
    def reads(self) -> bool:
        """Whether it reads other arrays row by row, which is worth asking for in advance."""
        return False

    @property
    def long(self) -> bool:
        """Whether it takes so many instructions that it should be a loop over rows."""
        return False

    def prepare(self, f: Function, pointers: Sequence[Value], kind: Type) -> Sequence[Value]:
        """Compute what all results need, where that comes before all calls of `apply`.

        Args:
            f: the function under construction.
            pointers: addresses of the epilogue's arrays.
            kind: of the vectors that are results.

        Returns:
            What is passed to `apply` as ``pointers``.
        """
        return pointers

    def prefetch(self, f: Function, pointers: Sequence[Value], row: Int, column: Int, batch: Int) -> None:
        """Ask for the cache lines that `apply` will read for a row, from a column on; by default none."""
        return None

    @property
    def sums(self) -> bool:
        """Whether it sums over the rows of each item.

        Then `clear` comes before all of its rows, `settle` after some, and `close` after the last.
        """
        return False

    def clear(
        self, f: Function, pointers: Sequence[Value], item: Int, column: Int, lanes: int, mask: Value | None
    ) -> None:
        """Begin the sums of an item, for a vector of columns."""
        return None

    def settle(
        self, f: Function, pointers: Sequence[Value], row: Int, column: Int, mask: Value | None
    ) -> None:
        """Add to an item's sums what `apply` has made for columns since it was last done; one of its rows is given."""
        return None

    def close(
        self, f: Function, pointers: Sequence[Value], item: Int, column: Int, lanes: int, mask: Value | None
    ) -> None:
        """Finish the sums of an item, for a vector of columns."""
        return None

    @abstractmethod
    def apply(
        self,
        f: Function,
        pointers: Sequence[Value],
        result: Value,
        row: Int,
        column: Int,
        mask: Value | None,
        batch: Int,
    ) -> Value | None:
        """Write code that finishes one vector.

        Args:
            f: the function under construction.
            pointers: addresses of the epilogue's arrays.
            result: consecutive columns of one row.
            row, column: of its first element, counted from the beginning of the matrix.
            mask: which lanes are within the matrix; None for all.
            batch: which matrix of a stack.

        Returns:
            What is stored, or None to store nothing.
        """


def epilogue_operands(epilogue: Epilogue | None) -> tuple[str, ...]:
    """The names of an epilogue's arrays in a call."""
    return tuple(f"epilogue{i}" for i in range(epilogue.operands if epilogue else 0))
