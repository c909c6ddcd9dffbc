"""Programs of very many scalars as a tape that native code reads: compiling takes no longer than tracing did.

An instruction is five 32-bit integers: which operation, the cell of its result, those of its inputs. Each
primitive, with its parameters, for the dtypes it is met with, is one small function; another one goes along the tape
and calls them. Cells are eight bytes each.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.on_native.ir import I32, I64, PTR, Function, Int, Value, type_of
from chainrule.compiler.on_native.numpy_loops import Loop, NumpyElements
from chainrule.compiler.on_native.target import Target
from chainrule.node import Node
from chainrule.ops.exponential import Power
from chainrule.shapes import INTS

MOST = 3
"""Inputs that an instruction takes."""
WIDTH = 2 + MOST
"""Integers of an instruction."""
RUN = "run"


def write_operation(name: str, node: Node, target: Target) -> tuple[Function, list[Loop]] | None:
    """The function ``void operation(ptr cells, ptr places, ptr loops)`` for nodes like one; None if there is none.

    Elementary functions are NumPy's own loops, whose addresses it finds in ``loops``.
    """
    op = node.op
    scalar = not node.shape and not any(x.shape for x in node.inputs)
    if op is None or op.emit is None or not scalar or not 0 < len(node.inputs) <= MOST:
        return None
    if any(x.dtype not in op.emits for x in node.inputs) or (op is Power and node.dtype in INTS):
        return None  # a negative exponent of an integer is an error, which NumPy finds
    f = Function(name, [("%cells", PTR), ("%places", PTR), ("%loops", PTR)], target)
    cells, places, loops = f.parameters
    k = NumpyElements(f, loops)

    def cell(number: int) -> Value:
        place = f.convert("zext", f.load(f.at(places, number, I32), I32), I64)
        return f.at(cells, place, I64)

    xs = [f.load(cell(1 + i), type_of(x.dtype)) for i, x in enumerate(node.inputs)]
    f.store(k.node(node, *xs), cell(0))
    return None if k.missing else (f, k.used)


def write_run(target: Target) -> Function:
    """``void run(ptr tape, i64 count, ptr cells, ptr functions, ptr loops)``: all instructions, one after the other."""
    names = ["%tape", "%count", "%cells", "%functions", "%loops"]
    f = Function(RUN, [(n, I64 if n == "%count" else PTR) for n in names], target)
    tape, count, cells, functions, loops = f.parameters

    def turn(i: Int, _: Sequence[Value]) -> None:
        instruction = f.at(tape, f.mul_int(i, WIDTH), I32)
        which = f.convert("zext", f.load(instruction, I32), I64)
        function, own = (f.load(f.at(table, which, PTR), PTR) for table in (functions, loops))
        f.effect(f"call void {function}(ptr {cells}, ptr {f.at(instruction, 1, I32)}, ptr {own})")

    f.loop(0, count, 1, turn, may_be_empty=True)
    return f
