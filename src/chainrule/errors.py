"""Every exception that chainrule raises on purpose.

An error says what was got and what was expected, how to mend it, and the user's own line::

    ShapeError: matmul: cannot multiply (32, 784) by (128, 784): ...
      Fix: transpose the right operand: a @ b.mT has shape (32, 128).
      At:  train.py:41  logits = x @ self.weight
"""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

_INTERNAL = ("chainrule", "numpy", "contextlib", "dataclasses", "threading", "concurrent")
"""Packages through which chainrule calls itself: none of their lines is the user's."""
_SCREEN = 120
"""Columns of a line of a message: what formatted code needs; longer lines of the user are cut to fit."""
_internal_modules: dict[str, bool] = {}
"""Whether a module, by name, belongs to one of these: filled as modules are met on the stack."""


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the user's program: ``file``, ``line`` (from 1) and its ``text``."""

    file: str
    line: int
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"file": self.file, "line": self.line, "text": self.text}

    def __str__(self) -> str:
        short = self.file.replace("\\", "/").rsplit("/", 1)[-1]
        place = f"{short}:{self.line}  "
        room = max(20, _SCREEN - len("  At:  ") - len(place))
        text = self.text if len(self.text) <= room else f"{self.text[: room - 1]}…"
        return f"{place}{text}".rstrip()


def _is_internal(module: str) -> bool:
    inside = module.partition(".")[0] in _INTERNAL
    _internal_modules[module] = inside
    return inside


def user_position(depth: int = 1) -> tuple[CodeType, int] | None:
    """Return code object and instruction offset of the innermost frame outside chainrule.

    Cheap enough to call for every node: the line number is worked out only by :func:`source_of`.
    """
    frame: FrameType | None = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        inside = _internal_modules.get(module)
        if inside is None:
            inside = _is_internal(module or "")
        if not inside:
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None


def source_of(position: tuple[CodeType, int] | None) -> Source | None:
    """Turn what :func:`user_position` returned into file, line and text."""
    if position is None:
        return None
    code, offset = position
    line = code.co_firstlineno
    for start, stop, number in code.co_lines():
        if start <= offset < stop and number is not None:
            line = number
    text = linecache.getline(code.co_filename, line).strip()
    return Source(code.co_filename, line, text)


def shown(value: Any) -> str:
    """``value`` as a message quotes it: on one line, and short."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and shape != ():
        return f"{type(value).__name__} of shape {shape}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an int of thousands of digits
        return f"a very long {type(value).__name__}"
    if text.startswith("<") and " at 0x" in text:
        return f"{type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:48]} ... ({type(value).__name__})"


class ChainruleError(Exception):
    """Base of every error that chainrule raises on purpose.

    Args:
        message: what was got and what was expected.
        fix: what to write instead.
        source: the user's line; found on the call stack when omitted.

    Attributes:
        message, fix, source: the three parts, so that a program need not parse the text.
    """

    def __init__(self, message: str, *, fix: str | None = None, source: Source | None = None) -> None:
        self.message = message
        self.fix = fix
        self.source = source if source is not None else source_of(user_position(2))
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.fix:
            lines.append(f"  Fix: {self.fix}")
        if self.source is not None:
            lines.append(f"  At:  {self.source}")
        return "\n".join(lines)


class ShapeError(ChainruleError, ValueError):
    """Shapes do not fit the operation."""


class SizeError(ShapeError, MemoryError):
    """An array would be larger than memory."""


class AxisError(ChainruleError, IndexError, ValueError):
    """An axis or index lies outside the array."""


class DTypeError(ChainruleError, TypeError):
    """A dtype does not fit the operation, or two dtypes do not promote."""


class ArgumentError(ChainruleError, ValueError):
    """An argument that is neither a shape, an axis nor a dtype has an impossible value."""


class BudgetError(ArgumentError):
    """A program needs more memory than it is allowed.

    Args:
        message, fix, source: as for every error.
        minimum: the smallest budget that can be met, in bytes.
    """

    def __init__(
        self, message: str, *, fix: str | None = None, source: Source | None = None, minimum: int = 0
    ) -> None:
        super().__init__(message, fix=fix, source=source)
        self.minimum = minimum


class OperandError(ChainruleError, TypeError):
    """Something that is not an array was used as one."""


class GradientError(ChainruleError, RuntimeError):
    """A gradient was asked for that does not exist or is not defined as asked."""


class TracedValueError(ChainruleError, RuntimeError):
    """A program asked for the number in a tensor that is only being traced."""


class ImmutableError(ChainruleError, TypeError):
    """A program tried to change a tensor in place."""


class NotSupportedError(ChainruleError, TypeError):
    """NumPy asked chainrule for something that it does not provide."""


class StructureError(ChainruleError, ValueError):
    """Two nested structures of arrays differ in shape (keys, lengths or types)."""


class FormulaError(ChainruleError, ValueError):
    """A formula cannot be read; the message points at the character.

    Args:
        message, fix, source: as for every error.
        at: the character's place in the text of the formula, from 0.
    """

    def __init__(
        self, message: str, *, fix: str | None = None, source: Source | None = None, at: int | None = None
    ) -> None:
        super().__init__(message, fix=fix, source=source)
        self.at = at


class DataError(ChainruleError, ValueError):
    """A data set is missing or is not what it claims to be."""


class DivergenceError(ChainruleError, ArithmeticError):
    """Training has left the finite numbers."""


class ProcessError(ChainruleError, RuntimeError):
    """A process that chainrule started for a task ended before it was done."""


class GraphError(ChainruleError, RuntimeError):
    """A graph breaks its own rules; this is a defect of chainrule or of a user-written primitive."""
