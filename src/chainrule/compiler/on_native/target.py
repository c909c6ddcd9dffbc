"""The machine that code is made for: instruction set, vector width, and the tiles that suit its registers.

=========  ===========  ==========  =========  ===================
name       registers    float32     fused      tile (rows × vectors)
                        in a vector  multiply-add
=========  ===========  ==========  =========  ===================
avx512     32           16          yes        14 × 2
avx2       16           8           yes        6 × 2
sse2       16           4           no         6 × 2
neon       32           4           yes        8 × 3
=========  ===========  ==========  =========  ===================
"""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from typing import Any, cast

import llvmlite.binding as _llvm  # pyright: ignore[reportMissingTypeStubs]

from chainrule.errors import ArgumentError

llvm = cast(Any, _llvm)
"""llvmlite has no type annotations."""


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """What kernels need to know of a family of CPUs.

    Attributes:
        name: ``avx512``, ``avx2``, ``sse2`` or ``neon``.
        vector_bytes: width of a vector register.
        registers: how many vector registers there are.
        fma: whether one instruction multiplies and adds with one rounding.
        tile_rows, tile_vectors: the largest tile of a matrix product that stays in registers.
        cpu: LLVM's name of a CPU that has it, for forced instruction sets.
    """

    name: str
    vector_bytes: int
    registers: int
    fma: bool
    tile_rows: int
    tile_vectors: int
    cpu: str

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in a vector."""
        return self.vector_bytes // itemsize


AVX512 = InstructionSet("avx512", 64, 32, True, 14, 2, "skylake-avx512")
AVX2 = InstructionSet("avx2", 32, 16, True, 6, 2, "haswell")
SSE2 = InstructionSet("sse2", 16, 16, False, 6, 2, "x86-64")
NEON = InstructionSet("neon", 16, 32, True, 8, 3, "generic")
INSTRUCTION_SETS = {s.name: s for s in (AVX512, AVX2, SSE2, NEON)}


@dataclass(frozen=True, slots=True)
class Target:
    """An instruction set on a platform, as LLVM names it.

    Attributes:
        isa: what kernels look at.
        triple: architecture, vendor and system.
        cpu, features: LLVM's words; part of the key under which code is cached.
        winograd: most results on the shorter side of the tiles by which convolutions may be computed: 0 (none), 2 or
            4. No property of a machine, but what code is made depends on it as much.
    """

    isa: InstructionSet
    triple: str
    cpu: str
    features: str
    winograd: int = 2

    def machine(self, level: int = 2) -> Any:
        """LLVM's target machine, at a level of code generation from 0 to 3."""
        return _machine(self.triple, self.cpu, self.features, level)

    def new_machine(self, level: int = 2) -> Any:
        """Such a machine for one thread alone."""
        return _new_machine(self.triple, self.cpu, self.features, level)

    @property
    def runs_here(self) -> bool:
        """Whether this process can execute the code."""
        return self.triple == llvm.get_process_triple()

    def key(self) -> str:
        """All of it in one line."""
        return f"{self.isa.name} {self.triple} {self.cpu} {self.features} winograd{self.winograd}"


_initialized: list[bool] = []


def _initialize() -> None:
    if not _initialized:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        _initialized.append(True)


def _new_machine(triple: str, cpu: str, features: str, level: int) -> Any:
    _initialize()
    if triple != llvm.get_process_triple():
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    made = llvm.Target.from_triple(triple)
    return made.create_target_machine(
        cpu=cpu, features=features, opt=level, reloc="default", codemodel="jitdefault", jit=True
    )


_machine = functools.cache(_new_machine)


@functools.cache
def host() -> Target | None:
    """This machine; None if there are no kernels for it. ``CHAINRULE_ISA`` forces a lesser instruction set.

    Raises:
        ArgumentError: ``CHAINRULE_ISA`` names none that this machine has.
    """
    found = _detected()
    wanted = os.environ.get("CHAINRULE_ISA", "").strip().lower()
    if not wanted:
        return found
    if wanted == "none":
        return None
    return forced(wanted)


def _detected() -> Target | None:
    _initialize()
    machine = platform.machine().lower()
    triple = llvm.get_process_triple()
    features = cast("dict[str, bool]", llvm.get_host_cpu_features())
    if machine in ("aarch64", "arm64"):
        isa = NEON
    elif machine in ("x86_64", "amd64"):
        wide = features.get("avx512f") and features.get("avx512vl") and features.get("avx512dq")
        isa = AVX512 if wide else AVX2 if features.get("avx2") and features.get("fma") else SSE2
    else:
        return None
    # By default LLVM keeps to 256 bits on some CPUs that have 512.
    flat = cast(Any, features).flatten()
    if isa is AVX512:
        flat += ",-prefer-256-bit"
    return Target(isa, triple, llvm.get_host_cpu_name(), flat)


def forced(name: str, triple: str | None = None) -> Target:
    """A target of a given instruction set, for tests and for emission without running.

    Args:
        name: ``avx512``, ``avx2``, ``sse2`` or ``neon``.
        triple: LLVM's name of the platform; this one by default.

    Raises:
        ArgumentError: there is no such instruction set, or this machine lacks it and no triple is given.
    """
    isa = INSTRUCTION_SETS.get(name)
    if isa is None:
        raise ArgumentError(
            f"instruction set: expected one of {', '.join(INSTRUCTION_SETS)}, got {name!r}",
            fix="leave CHAINRULE_ISA unset to use the best that this machine has",
        )
    if triple is None:
        here = _detected()
        if here is None or (isa is NEON) != (here.isa is NEON) or isa.vector_bytes > here.isa.vector_bytes:
            raise ArgumentError(
                f"instruction set: this machine has no {name}", fix="leave CHAINRULE_ISA unset"
            )
        triple = here.triple
    features = "+prfchw" if isa is not NEON else ""
    return Target(isa, triple, isa.cpu, features)
