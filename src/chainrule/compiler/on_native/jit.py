"""From the text of a module to functions in memory.

No optimisation passes run: kernels are written the way they should be executed. Several modules are compiled at the
same time. Compiled objects are kept on disk (:mod:`chainrule.compiler.on_native.cache`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite.binding import ffi  # pyright: ignore[reportMissingTypeStubs]

from chainrule.compiler.on_native import cache
from chainrule.compiler.on_native.target import Target, llvm
from chainrule.errors import GraphError

_linking = threading.RLock()  # LLVM's linker is one for the process
_names = itertools.count()
_linker: list[Any] = []
_SIZE = 8
"""Bytes of the size before each of several objects."""


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


def compile_objects(texts: Sequence[str], target: Target, level: int = 2) -> list[bytes]:
    """Machine code for each module.

    Raises:
        GraphError: LLVM refuses a text, which is a defect of chainrule.
    """

    def one(text: str) -> bytes:
        machine = target.new_machine(level)  # none of LLVM's objects is shared by threads
        return _emitted(machine, _parsed(text, target, machine))

    return _side_by_side(one, texts)


def _side_by_side(compiled: Callable[[str], bytes], texts: Sequence[str]) -> list[bytes]:
    """All of them, by this thread and as many others as there are processors."""
    made: dict[int, bytes] = {}
    refused: list[BaseException] = []
    numbers = itertools.count()

    def work() -> None:
        while (n := next(numbers)) < len(texts) and not refused:
            try:
                made[n] = compiled(texts[n])
            except BaseException as error:  # raised below, when the others have stopped
                refused.append(error)

    helping: list[threading.Thread] = []
    # The system's limit, or Python is ending: what no thread can be started for is left to those that there are.
    with contextlib.suppress(RuntimeError):
        for _ in range(min(len(texts), os.cpu_count() or 1) - 1):
            thread = threading.Thread(target=work, name="chainrule-compiling")
            thread.start()
            helping.append(thread)
    work()
    for thread in helping:
        thread.join()
    if refused:
        raise refused[0]
    return [made[n] for n in range(len(texts))]


@functools.cache
def _unlocked() -> ctypes.CDLL:
    """The library of llvmlite, to call without its lock.

    The lock lets one thread compile at a time. LLVM lets all whose modules have contexts of their own:
    https://llvm.org/docs/ProgrammersManual.html#threads-and-llvm
    """
    # "For duck-typing a ctypes.CDLL", as llvmlite says of both.
    library = ctypes.CDLL(ffi.lib._name, handle=ffi.lib._handle)  # pyright: ignore[reportPrivateUsage]
    library.LLVMPY_TargetMachineEmitToMemory.restype = ctypes.c_void_p
    library.LLVMPY_TargetMachineEmitToMemory.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)
    ]  # fmt: skip
    library.LLVMPY_GetBufferStart.restype = ctypes.c_void_p
    library.LLVMPY_GetBufferSize.restype = ctypes.c_size_t
    for name in ("GetBufferStart", "GetBufferSize", "DisposeMemoryBuffer"):
        getattr(library, f"LLVMPY_{name}").argtypes = [ctypes.c_void_p]
    return library


def _emitted(machine: Any, module: Any) -> bytes:
    """What ``machine.emit_object(module)`` gives."""
    library, error = _unlocked(), ctypes.c_char_p()
    buffer = library.LLVMPY_TargetMachineEmitToMemory(machine, module, 1, ctypes.byref(error))
    if not buffer:
        raise GraphError(f"native code: LLVM cannot compile what was written: {error.value!r}")
    try:
        return ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


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
    texts: str | Sequence[str],
    names: Sequence[str],
    target: Target,
    imports: Mapping[str, int] | None = None,
    level: int = 2,
) -> Library:
    """Compile a module, or several, or take them from the cache, and link them into this process.

    Args:
        texts: of the modules. They must not hold addresses: those differ from run to run.
        names: symbols to find.
        target: must run here.
        imports: addresses of the functions that the module declares and does not define.
        level: of LLVM's code generation.
    """
    texts = [texts] if isinstance(texts, str) else texts
    key = cache.key_of("\0".join(texts), target.key(), level)
    found = load(key, names, target, imports)
    if found:
        return found
    made = compile_objects(texts, target, level)
    cache.write(key, _together(made))
    return _link(made, names, target, imports or {}, key, from_cache=False)


def load(
    key: str, names: Sequence[str], target: Target, imports: Mapping[str, int] | None = None
) -> Library | None:
    """Link modules that are in the cache, as `build` does; None if they are not there."""
    code = cache.read(key)
    if code is None:
        return None
    try:
        return _link(_apart(code), names, target, imports or {}, key, from_cache=True)
    except RuntimeError:
        cache.forget(key)  # damaged in a way that its checksum did not show
        return None


def _together(objects: Sequence[bytes]) -> bytes:
    """Objects one after the other, each with its size before it."""
    return b"".join(len(code).to_bytes(_SIZE, "little") + code for code in objects)


def _apart(together: bytes) -> list[bytes]:
    """The objects again.

    Raises:
        RuntimeError: they are no such sequence.
    """
    found: list[bytes] = []
    at = 0
    while at < len(together):
        size = int.from_bytes(together[at : at + _SIZE], "little")
        at += _SIZE + size
        if at > len(together):
            raise RuntimeError("an object ends before its size says")
        found.append(together[at - size : at])
    return found


def _link(
    objects: Sequence[bytes],
    names: Sequence[str],
    target: Target,
    imports: Mapping[str, int],
    key: str,
    from_cache: bool,
) -> Library:
    with _linking:
        if not _linker:
            _linker.append(llvm.create_lljit_compiler(target.machine(), use_jit_link=False))
        builder = llvm.JITLibraryBuilder()
        for code in objects:
            builder.add_object_img(code)
        for name, address in imports.items():
            builder.import_symbol(name, address)
        builder.add_current_process()
        for name in names:
            builder.export_symbol(name)
        tracker = builder.link(_linker[0], f"chainrule{next(_names)}")
        return Library({name: tracker[name] for name in names}, from_cache, key, tracker)
