"""Backward over graphs of very many scalars, without a call of Python for each node.

Native code walks over the nodes as Python holds them (:mod:`chainrule.compiler.on_native.walker`). What it does not
know (arrays among the scalars, a rule that a user wrote) it leaves, node by node, to the rules on NumPy's values, and
goes on: mixed graphs need no special care. Why it is made so: docs/decisions/0020-scalar-graphs.md.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import numpy as np

from chainrule.autodiff.reverse import pulled
from chainrule.compiler.making import Ring
from chainrule.compiler.objects import Fields, fields_of
from chainrule.compiler.on_native import jit, marking, pulling, walk_state, walker
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.target import Target, host
from chainrule.compiler.on_native.walk_state import CODES, ENTRY, PAGE, RULE, State, Status
from chainrule.construction import NO_PARAMS, node_type
from chainrule.modes import on_bare_values
from chainrule.node import Node
from chainrule.primitive import Array, Primitive
from chainrule.shapes import FLOATS

TURNS = (1 << 20) // PAGE
"""Pages after which Python may look whether someone has pressed Ctrl-C."""
KEPT = 64 << 20
"""Bytes of pages that are kept for the next pass; new memory comes from the system page by page, slowly."""
RESULTS = 4096
"""Gradients of leaves that native code writes down before Python takes them."""
FAR = 1 << 40
"""Numbers of nodes up to which there is a directory of pages."""
_WORDS = {4: np.uint32, 8: np.int64}


def gradients(output: Node, seed: Any, since: int = 0) -> dict[Node, Any] | None:
    """As :func:`chainrule.autodiff.reverse.leaf_gradients`, on values; the same accumulations in the same order.

    Args:
        output: one number, with a value.
        seed: ∂L/∂output, of its dtype.
        since: nodes with lower numbers are not looked at.

    Returns:
        The gradient of every tracked leaf, and of every node that retains its gradient; None where native code does
        not run, or cannot look into Python's objects.
    """
    native = _native(type(output))
    if native is None or output.index >= FAR or not _is_number(output):
        return None
    return on_bare_values(_Walk(native, output, seed, since).run)


def prepare(kind: type[Node]) -> None:
    """Have native code make the nodes of this class, where it runs."""
    _native(kind)


def _is_number(node: Node) -> bool:
    """Whether native code keeps its gradient."""
    return node.dtype in FLOATS and bool(walk_state.code(node.value))


def _object(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


class Rules:
    """The native functions of rules, in a table that native code searches.

    Args:
        target: what to make code for; must run here.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: dict[tuple[type[Primitive], int], tuple[Any, ...]] = {}
        self._changing = threading.Lock()
        self.table = np.zeros((256, RULE), np.int64)

    def add(self, op: type[Primitive], signature: int) -> bool:
        """Make the rule for nodes without parameters; whether there is a native function for it."""
        with self._changing:
            if (op, signature) not in self._known:
                self._known[op, signature] = self._made(op, signature)
                self._enter()
        return bool(self._known[op, signature])

    def _made(self, op: type[Primitive], signature: int) -> tuple[Any, ...]:
        """The words of the function in the table, and what keeps it alive; nothing if there is none."""
        dtype, inputs, wanted = walk_state.described(signature)
        written = op.bare and dtype and pulling.write(op, {}, dtype, inputs, wanted, self._target)
        if not written:
            return ()
        function, loops, reads = written
        library = jit.build(module([function]), [pulling.NAME], self._target)
        addresses = np.array(loops or [(0, 0)], np.int64)
        return library.addresses[pulling.NAME], addresses.ctypes.data, reads, library, addresses

    def _enter(self) -> None:
        """Write the table anew, and elsewhere: a walk in another thread may hold the old one."""
        size = 256
        while size < 4 * len(self._known):
            size *= 2
        table = np.zeros((size, RULE), np.int64)
        for (op, signature), made in self._known.items():
            at = walk_state.hashed(id(op), signature) % size
            while table[at, 0]:
                at = (at + 1) % size
            table[at] = id(op), id(NO_PARAMS), signature, *(made[:3] or (0, 0, 0))
        self.table = table


class _Native:
    """The functions for one class of nodes."""

    def __init__(self, library: jit.Library, rules: Rules, fields: Fields, ring: Ring) -> None:
        word = ctypes.c_int64
        self.walk: Any = ctypes.PYFUNCTYPE(word, ctypes.c_void_p)(library.addresses[walker.WALK])
        given = ctypes.c_void_p, ctypes.c_void_p, word, word
        self.give: Any = ctypes.PYFUNCTYPE(word, *given)(library.addresses[marking.GIVE])
        self.rules, self.fields, self.ring = rules, fields, ring
        self.spare: list[list[Array]] = []
        self._library = library


_making = threading.Lock()


def _native(kind: type[Node]) -> _Native | None:
    with _making:
        return _made(kind)


@functools.cache
def _made(kind: type[Node]) -> _Native | None:
    target, fields = host(), fields_of(kind)
    if target is None or fields is None:
        return None
    written = walker.functions(fields, target)
    library = jit.build(module(written), [walker.WALK, marking.GIVE], target)
    ring = Ring(kind, fields, target)
    if kind is node_type():
        ring.start()
    return _Native(library, Rules(target), fields, ring)


class _Walk:
    """One backward pass.

    Attributes:
        found: gradients of leaves, and of nodes that retain theirs.
        arrays: gradients that Python holds: those of nodes that are not one number.
    """

    def __init__(self, native: _Native, output: Node, seed: Any, since: int) -> None:
        self.native = native
        self.found: dict[Node, Any] = {}
        self.arrays: dict[Node, Any] = {}
        self.output, self.seed = output, seed
        last = output.index // PAGE
        self.directory = np.zeros(last + 1, np.int64)
        self.results = np.zeros((RESULTS, 2), np.int64)
        self.pages: list[Array] = []
        self.spare = native.spare.pop() if native.spare else []
        self.state = state = np.zeros(State.WORDS, np.int64)
        state[State.AT_PAGE], state[State.AT_ENTRY] = last, output.index % PAGE
        state[State.LOWEST] = last
        state[State.TURNS] = TURNS
        state[State.RESULTS], state[State.ROOM] = self.results.ctypes.data, RESULTS
        state[State.DIRECTORY] = self.directory.ctypes.data
        walk_state.know(state, type(output))
        native.ring.put(state)
        state[State.SINCE] = since
        self.address = int(state.ctypes.data)

    def run(self) -> dict[Node, Any] | None:
        """The gradients; None if nodes have numbers that only copies have."""
        self._set_rules()
        self._more_pages()
        if not self._give(self.output, self.seed):
            return None
        while (status := self.native.walk(self.address)) != Status.DONE:
            if status == Status.FOREIGN:
                if not self._foreign():
                    return None
            elif status == Status.PAGES:
                self._more_pages()
            elif status == Status.RESULTS:
                self._take()
            elif status == Status.TURNS:
                self.state[State.TURNS] = TURNS
            else:
                return None
        self._take()
        self._keep_pages()
        return self.found

    def _set_rules(self) -> None:
        self.table = self.native.rules.table
        self.state[State.RULES], self.state[State.LAST] = self.table.ctypes.data, len(self.table) - 1

    def _more_pages(self) -> None:
        """As many pages again as there are so far; the system gives memory only where it is written to."""
        state = self.state
        if self.pages:
            end = self.pages[-1].ctypes.data + self.pages[-1].nbytes
            for page in range(int(state[State.UNUSED]), end, PAGE * ENTRY):
                ctypes.c_int64.from_address(page).value = int(state[State.USED])
                state[State.USED] = page
        if self.spare:
            chunk = self.spare.pop()
        else:
            chunk = np.zeros((max(16, sum(map(len, self.pages))), PAGE, 2), np.int64)
        self.pages.append(chunk)
        state[State.UNUSED] = chunk.ctypes.data
        state[State.FREE] += len(chunk)

    def _keep_pages(self) -> None:
        """Leave the pages, all empty again, to the next pass: new memory would cost it more than the walk."""
        pages = [*self.spare, *reversed(self.pages)]
        if not self.native.spare and sum(chunk.nbytes for chunk in pages) <= KEPT:
            page = int(self.state[State.USED])
            while page:
                link = ctypes.c_int64.from_address(page)
                page, link.value = link.value, 0
            self.native.spare.append(pages)

    def _give(self, node: Node, gradient: Any) -> bool:
        """Add to the gradient of a node that is still to be met; False if numbers are not what they should be."""
        code = raw = 0
        if _is_number(node):
            code = CODES[node.dtype]
            raw = int(np.asarray(gradient).view(_WORDS[node.dtype.itemsize]))
        else:
            known = self.arrays.get(node)
            self.arrays[node] = gradient if known is None else known + gradient
        while (status := self.native.give(self.address, id(node), raw, code)) == Status.PAGES:
            self._more_pages()
        return bool(status == Status.DONE)

    def _foreign(self) -> bool:
        """Apply the rule of one node in Python, or find out that native code can, from now on."""
        node = _object(int(self.state[State.NODE]))
        if node in self.arrays:
            delta = self.arrays.pop(node)
        else:
            delta = self.state[State.DELTA : State.DELTA + 1].view(node.dtype)[0]
            signature = int(self.state[State.SIGNATURE])
            if node.params is NO_PARAMS and signature and self.native.rules.add(node.op, signature):
                self._set_rules()
                self.state[State.AT_ENTRY] += 1  # meet it again
                return self._give(node, delta)
        wanted = [x.tracked for x in node.inputs]
        for x, contribution in zip(node.inputs, pulled(node, delta, wanted), strict=True):
            if contribution is not None and not self._give(x, contribution):
                return False
        return True

    def _take(self) -> None:
        """Move the results that native code has written down."""
        count = int(self.state[State.COUNT])
        for place in range(count):
            node = _object(int(self.results[place, 0]))
            held = self.arrays.pop(node, None) if node.op is None else self.arrays.get(node)
            if held is None:
                held = self.results[place, 1:].view(node.dtype)[0]
            self.found[node] = held
        self.state[State.COUNT] = 0
