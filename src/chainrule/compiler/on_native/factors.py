"""Factors that all terms of a sum share: multiplied with the sum instead of with each term.

The gradients of a normalisation's parameters are sums of much the same products; what is left of them is two sums. A
sum rounds in some order anyway, but where a factor is 0, infinite, nan or far from 1, what comes out would be another:
whoever uses this must look at the factors first (`FAR`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from chainrule.compiler.on_native.ir import Function, Value
from chainrule.compiler.on_native.values import Instruction
from chainrule.ops.arithmetic import Divide, Multiply, Negative, Scale

FAR = 2.0**32
"""Factors between this and one by this are harmless: terms do not overflow or vanish that would not nearly do so."""


@dataclass(frozen=True, slots=True)
class Total:
    """A sum in terms of another.

    Attributes:
        core: which sum.
        steps: what is done to it, in order: change its sign, multiply or divide by an instruction's value.
    """

    core: int
    steps: tuple[tuple[str, int], ...] = ()

    @property
    def factors(self) -> set[int]:
        return {n for what, n in self.steps if what != "neg"}

    def of(self, f: Function, core: Value, value: Callable[[int], Value]) -> Value:
        """The sum, from the sum ``core`` and the values of instructions."""
        for what, n in self.steps:
            core = f.neg(core) if what == "neg" else f.binary(f"f{what}", core, value(n))
        return core


@dataclass(slots=True)
class _Factoring:
    """Takes factors out of products.

    Attributes:
        body: instructions; some are added.
        shared: those that are the same in all terms.
    """

    body: list[Instruction]
    shared: Collection[int]
    cores: list[int] = field(default_factory=list[int])

    def total(self, n: int) -> Total:
        core, steps = self.parts(n)
        if core not in self.cores:
            self.cores.append(core)
        return Total(self.cores.index(core), steps)

    def parts(self, n: int) -> tuple[int, tuple[tuple[str, int], ...]]:
        """What is left of an instruction without its shared factors, and how these come to it."""
        i = self.body[n]
        if i.kind != "emit" or n in self.shared or any(self.body[a].dtype is not i.dtype for a in i.args):
            return n, ()
        if i.op is Negative:
            core, steps = self.parts(i.args[0])
            return core, (*steps, ("neg", -1))
        if i.op not in (Multiply, Scale, Divide):
            return n, ()
        a, b = i.args
        if b in self.shared:
            core, steps = self.parts(a)
            return core, (*steps, ("div" if i.op is Divide else "mul", b))
        if i.op is Scale:
            (left, before), (right, after) = self.parts(a), self.parts(b)
            if before or after:
                return self.product(left, right, i), (*before, *after)
        return n, ()

    def product(self, a: int, b: int, like: Instruction) -> int:
        made = Instruction("emit", (a, b), like.dtype, like.op, like.params)
        for n, i in enumerate(self.body):
            if (i.kind, i.args, i.op) == (made.kind, made.args, made.op):
                return n
        self.body.append(made)
        return len(self.body) - 1


def factored(
    body: Sequence[Instruction], terms: Sequence[int], shared: Collection[int]
) -> tuple[tuple[Instruction, ...], tuple[int, ...], tuple[Total, ...]] | None:
    """Sums in terms of sums of fewer or shorter products.

    Args:
        body: instructions.
        terms: those that are summed.
        shared: those that are the same in all terms.

    Returns:
        The body with some instructions added, what is to be summed, and for each of ``terms`` its sum; None if that
        takes as many instructions.
    """
    work = _Factoring(list(body), shared)
    totals = tuple(work.total(n) for n in terms)
    if len(_behind(work.body, work.cores, shared)) >= len(_behind(body, terms, shared)):
        return None
    return tuple(work.body), tuple(work.cores), totals


def _behind(body: Sequence[Instruction], wanted: Sequence[int], shared: Collection[int]) -> set[int]:
    """Instructions that are computed for each term."""
    found: set[int] = set()
    todo = list(wanted)
    while todo:
        n = todo.pop()
        if n not in found and n not in shared:
            found.add(n)
            todo.extend(body[n].args)
    return found
