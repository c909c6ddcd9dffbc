"""From the text of a module to functions in memory.

No optimisation passes run: kernels are written the way they should be executed.
Compiled objects are kept on disk (:mod:`chainrule.compiler.on_native.cache`).
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.compiler.on_native import cache
from chainrule.compiler.on_native.target import Target, llvm
from chainrule.errors import GraphError

_linking = threading.RLock()  # LLVM's linker is one for the process
_names = itertools.count()
_linker: list[Any] = []


@dataclass(frozen=True, slots=True)
class Library:
    """Machine code in memory, for as long as this object lives.

    Attributes:
        addresses: of the functions that were asked for, by symbol.
        from_cache: whether the object came from disk.
        key: under which it is kept there.
    """

    addresses: Mapping[str, int]
    from_cache: bool
    key: str
    tracker: Any

    def function(self, name: str, *types: Any, result: Any = None) -> Callable[..., Any]:
        """A function as ctypes calls it; the interpreter's lock is released while it runs. It keeps its code."""
        made: Any = ctypes.CFUNCTYPE(result, *types)(self.addresses[name])
        made.library = self
        return made


def compile_object(text: str, target: Target, level: int = 2) -> bytes:
    """Machine code for a module.

    Raises:
        GraphError: LLVM refuses the text, which is a defect of chainrule.
    """
    machine = target.machine(level)
    return bytes(machine.emit_object(_parsed(text, target, machine)))


def assembly(text: str, target: Target, level: int = 2) -> str:
    """The same as assembler text, for people and for tests."""
    machine = target.machine(level)
    return str(machine.emit_assembly(_parsed(text, target, machine)))


def _parsed(text: str, target: Target, machine: Any) -> Any:
    try:
        parsed = llvm.parse_assembly(text, context=llvm.create_context())
    except RuntimeError as error:
        raise GraphError(f"native code: LLVM cannot read what was written: {error}") from None
    parsed.triple = target.triple
    parsed.data_layout = str(machine.target_data)
    return parsed


def build(
    text: str, names: Sequence[str], target: Target, imports: Mapping[str, int] | None = None, level: int = 2
) -> Library:
    """Compile a module, or take it from the cache, and link it into this process.

    Args:
        text: of the module. It must not hold addresses: they differ from run to run.
        names: symbols to find.
        target: must run here.
        imports: addresses of the functions that the module declares and does not define.
        level: of LLVM's code generation.
    """
    key = cache.key_of(text, target.key(), level)
    found = load(key, names, target, imports)
    if found:
        return found
    made = compile_object(text, target, level)
    cache.write(key, made)
    return _link(made, names, target, imports or {}, key, from_cache=False)


def load(
    key: str, names: Sequence[str], target: Target, imports: Mapping[str, int] | None = None
) -> Library | None:
    """Link a module that is in the cache, as `build` does; None if it is not there."""
    code = cache.read(key)
    if code is None:
        return None
    try:
        return _link(code, names, target, imports or {}, key, from_cache=True)
    except RuntimeError:
        cache.forget(key)  # damaged in a way that its checksum did not show
        return None


def _link(
    code: bytes,
    names: Sequence[str],
    target: Target,
    imports: Mapping[str, int],
    key: str,
    from_cache: bool,
) -> Library:
    with _linking:
        if not _linker:
            _linker.append(llvm.create_lljit_compiler(target.machine(), use_jit_link=False))
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        for name, address in imports.items():
            builder.import_symbol(name, address)
        builder.add_current_process()
        for name in names:
            builder.export_symbol(name)
        tracker = builder.link(_linker[0], f"chainrule{next(_names)}")
        return Library({name: tracker[name] for name in names}, from_cache, key, tracker)
