"""Functions that run as machine code."""

from __future__ import annotations

import functools
import platform
import threading
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np

from chainrule import trees
from chainrule.autodiff.listening import is_listened
from chainrule.compiler.budget import as_bytes
from chainrule.construction import new_node
from chainrule.errors import ArgumentError, BudgetError, StructureError, TracedValueError
from chainrule.graph import Graph
from chainrule.modes import inside_transform, recording
from chainrule.node import Node, as_node, holding, symbol
from chainrule.primitive import Array
from chainrule.shapes import DTYPES, DType, Shape, Spec, as_int
from chainrule.transforms.run import Fn, argument_names
from chainrule.transforms.scan import scans_in_segments
from chainrule.transforms.tracing import without_identities

_warned: list[bool] = []
_NOTHING: Mapping[str, Any] = {}
T = TypeVar("T")
MANY = 8
"""So many versions of a function are compiled before it is said that there are many."""


@dataclass(frozen=True, slots=True)
class Version:
    """A function compiled for one structure, and for one shape and dtype of each array.

    Attributes:
        run: the executable, from arrays to arrays.
        structure: of what the function returns.
        inputs: how many arrays it takes.
        single: if it returns one array with axes, and briefly: the native function of its arrays and of that for the
            result, which says whether it has run; what makes that array; its shape and dtype.
        row: whether it returns a tuple of tensors.
    """

    run: Any
    structure: Any
    inputs: int
    single: tuple[Callable[..., bool], Callable[..., Array], Shape, DType] | None = None
    row: bool = False

    def call(self, arrays: list[Array]) -> Any:
        """What the function returns for these arrays, as tensors."""
        return self.returned(self.run(arrays))

    def returned(self, arrays: list[Array]) -> Any:
        """What the function returns if these are the results."""
        if self.structure is None:
            (value,) = arrays
            return holding(value if value.shape else value[()])
        results = [holding(r if r.shape else r[()]) for r in arrays]
        return tuple(results) if self.row else trees.unflatten(self.structure, results)


class Compiled:
    """A function that is traced and compiled when it meets arguments of new shapes; made by :func:`compile`.

    Attributes:
        versions: how many have been compiled.
    """

    def __init__(self, f: Fn, threads: int | None, winograd: int = 2, memory: int | None = None) -> None:
        functools.update_wrapper(self, f, updated=())
        self._f = f
        self._threads, self._winograd, self._memory = threads, winograd, memory
        self._versions: dict[Hashable, Version] = {}
        self._plain: dict[Hashable, Version] = {}  # for calls with arrays alone, by their shapes and dtypes
        self._making = threading.RLock()
        self._last: Version | None = None
        self._ready: Version | None = None  # the same, if its arguments are arrays that need no look
        self._nesting = Nesting(getattr(f, "__name__", "the function"))

    @property
    def versions(self) -> int:
        return len(self._versions)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        ready = self._ready
        if ready and not kwargs and len(args) == ready.inputs and args and args[0].__class__ is np.ndarray:
            single = ready.single
            if single is not None:
                native, make, shape, dtype = single
                value = make(shape, dtype)
                if native(*args, value):  # which looks at the arrays itself
                    return new_node(None, (), _NOTHING, shape, dtype, value, False, None, None)
            else:
                found = ready.run.quick(args)  # likewise
                if found is not None:
                    return ready.returned(found)
        if not kwargs:
            given = _plain_arrays(args)
            if given is not None:
                ready = self._ready
                found = ready.run.quick(given) if ready and ready.inputs == len(given) else None
                if ready and found is not None:
                    return ready.returned(found)
                version = self._plain.get(tuple([(x.shape, x.dtype) for x in given]))
                if version is not None and all(x.flags.c_contiguous for x in given):
                    return self._ran(version, plain=True).call(given)
        leaves, structure = trees.flatten((args, kwargs))
        if any(
            isinstance(x, Node) and (x.value is None or (x.tracked and inside_transform.get()))
            for x in leaves
        ):
            return self._f(*args, **kwargs)  # it is being traced or differentiated: as a part of that
        arrays: list[Array] = []
        key: list[Hashable] = [structure_key(structure)]
        for x in leaves:
            if is_array(x):
                array = array_of(x)
                arrays.append(array)
                key.append((array.shape, array.dtype))
            else:
                key.append(static_key(x))
        whole = tuple(key)
        version = self._versions.get(whole)
        if version is None:
            with self._making:
                version = self._versions.get(whole) or self._compile(args, kwargs, whole)
        plain = not kwargs and all(map(is_array, args))
        if plain:
            self._plain[tuple([(a.shape, a.dtype) for a in arrays])] = version
        return self._ran(version, plain).call(arrays)

    def _ran(self, version: Version, plain: bool) -> Version:
        """Note which version runs, and whether it was called with arrays alone."""
        self._last = version
        self._ready = version if plain and version.run.quick else None
        return version

    def _compile(self, args: tuple[Any, ...], kwargs: dict[str, Any], key: Hashable) -> Version:
        names = argument_names(self._f, len(args))
        self._nesting.require({**dict(zip(names, args, strict=False)), **kwargs})

        def prepare() -> tuple[Graph, Any, Any]:
            graph, structure = traced(self._f, args, kwargs)
            made = self._memory is None and _on_tape(graph)
            made = made or executable(graph, self._threads, winograd=self._winograd, memory=self._memory)
            return graph, structure, made

        graph, structure, made = in_segments_if_needed(prepare)
        single = made.single if structure is None and graph.outputs[0].shape else None
        version = Version(made, structure, len(graph.inputs), single, trees.is_row(structure))
        self._versions[key] = version
        if len(self._versions) == MANY:
            name = getattr(self._f, "__name__", "the function")
            warnings.warn(
                f"cr.compile: {name} has been compiled {MANY} times, for other shapes, dtypes or Python values each "
                "time; pad batches to one size, and pass numbers that change as arrays, np.float32(rate)",
                UserWarning,
                stacklevel=4,
            )
        return version

    def explain(self) -> Any:
        """What became of every node in the version that ran last; print it.

        Raises:
            ArgumentError: nothing has run yet.
        """
        if self._last is None:
            raise ArgumentError("explain: nothing has been compiled yet", fix="call the function first")
        return self._last.run.explain()

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._f, '__qualname__', self._f)!s}: {self.versions} versions>"


def _plain_arrays(args: tuple[Any, ...]) -> list[Array] | None:
    """The arrays that arguments are or hold, if they all do and none is being differentiated."""
    found: list[Array] = []
    for x in args:
        if x.__class__ is not np.ndarray:
            if not isinstance(x, Node) or x.value.__class__ is not np.ndarray:
                return None
            if x.tracked and inside_transform.get():
                return None
            x = x.value
        found.append(x)
    return found


class Nesting:
    """How the arguments of a compiled function are nested: as in the first call that gave each of them.

    What is left out or None may be given later, and models may differ: their classes say how they are made.

    Args:
        name: of the function, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[str, Any] = {}

    def require(self, arguments: dict[str, Any]) -> None:
        """Compare with what is known, and remember what is new.

        Raises:
            StructureError: an argument has other keys, lengths or containers than before; the leaf is named.
        """
        for name, value in arguments.items():
            _, structure = trees.flatten({name: value})
            if value is None or _holds_module(structure):
                continue
            known = self._known.setdefault(name, structure)
            try:
                trees.aligned_leaves(known, {name: value})
            except StructureError as error:
                raise StructureError(
                    f"{self._name} is compiled for arguments nested as in its first call: {error.message}",
                    fix="pass the same keys, lengths and containers, or compile the function again with cr.compile "
                    "for others",
                ) from None


def _holds_module(branch: Any) -> bool:
    return branch is not None and (
        hasattr(branch.kind, "tree_children") or any(map(_holds_module, branch.children))
    )


def in_segments_if_needed(prepare: Callable[[], T]) -> T:
    """What ``prepare`` gives, which traces and compiles within a budget; if that is too small, with scans in segments.

    A scan's step is one kernel for all times, so what it keeps of each is cut by tracing it as a scan over scans.
    """
    try:
        return prepare()
    except BudgetError as error:
        best = error
    for levels in (1, 2):
        with scans_in_segments(levels) as found:
            try:
                return prepare()
            except BudgetError as error:
                best = min(best, error, key=lambda each: each.minimum)
        if not found:
            break
    raise BudgetError(best.message, fix=best.fix, minimum=best.minimum)


def compile(
    f: Fn | None = None,
    *,
    threads: int | None = None,
    winograd: int = 2,
    memory: float | str | None = None,
) -> Any:
    """Run ``f`` as machine code: traced once for each set of shapes and dtypes, then one native call.

    Args:
        f: a function of arrays, or of nested dict, list, tuple and Module of them, that gives the same. It is
            run when it is traced and not again, so it must not depend on anything but its arguments. Left out,
            ``compile`` is a decorator with options. Strings, None, functions and Python numbers are part of what is
            compiled; to change a number without compiling again, pass an array.
        threads: how many run it, at most; by default ``CHAINRULE_THREADS``, or all processors. Results have the
            same bits for any number.
        winograd: how far convolutions of 3 × 3 and stride 1 in float32 may save products. 2 allows Winograd's filters
            with tiles of 2 × 2 and 2 × 4 results, which err by 2e-7 to 2e-6 of the largest element. 4 also allows
            tiles of 4 × 4, up to 1.3 times as fast, which err by 7e-7 to 5e-6. 0 computes the direct sums, which err
            by 3e-7 to 3e-6.
        memory: how much the intermediate results may take: bytes, or text such as ``"512MiB"`` or ``"2GB"``. What is
            arguments or results is not counted. Where that is less than they need, some are computed again instead
            of being kept, those with the least work; results have the same bits. Only where that is not enough are
            scans without a ``checkpoint`` of their own cut into segments, whose sums over time round differently.

    Returns:
        A function with the same arguments that returns tensors. Derivatives flow through it where it is called
        inside `grad` and its like; ``cr.compile(cr.grad(f))`` is the faster order. Its results are new leaves: eager
        ``.backward()`` does not reach through it. ``explain()`` says what became of every node.

    Raises:
        TracedValueError: ``f`` asks for a number, in ``if x > 0`` for example.
        StructureError: in a later call an argument has other keys, lengths or containers than in the first; the leaf
            is named.
        ArgumentError: ``f`` is not a function, ``threads`` is out of range, ``winograd`` is not 0, 2 or 4, or
            ``memory`` is not a number of bytes.
        BudgetError: in a call, if ``memory`` is below what can be reached; it says how much that is.

    Example:
        >>> import chainrule as cr
        >>> slope = compile(cr.grad(lambda x: cr.sin(x) * x))
        >>> round(slope(2.0 * np.ones(())).item(), 6)
        0.077004
    """
    if threads is not None and as_int("compile", "threads", threads) < 1:
        raise ArgumentError(f"compile: threads must be at least 1, got {threads}", fix="leave it out")
    winograd = as_winograd("compile", winograd)
    budget = as_bytes("compile", memory)
    if f is None:
        return functools.partial(compile, threads=threads, winograd=winograd, memory=budget)
    if not callable(f):
        raise ArgumentError(
            f"compile: expected a function, got {type(f).__name__}", fix="pass the function itself"
        )
    if is_listened():
        return functools.wraps(f)(lambda *a, **k: f(*a, **k))
    return Compiled(f, threads, winograd, budget)


def as_winograd(name: str, value: Any) -> int:
    """Return ``value`` if it says how far convolutions may save products."""
    given = as_int(name, "winograd", value)
    if given not in (0, 2, 4):
        raise ArgumentError(
            f"{name}: winograd must be 0, 2 or 4, got {given}",
            fix="leave it out for 2; 4 is faster and less exact, 0 computes the direct sums",
        )
    return given


def traced(f: Fn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Graph, Any]:
    """The graph of ``f`` on arguments of these shapes, and the structure of its result.

    Inputs are the arrays among the leaves of ``(args, kwargs)``, in order, under the names of the arguments.
    """
    leaves, structure = trees.flatten((args, kwargs))
    names = _leaf_names(f, args, kwargs)
    inputs: list[Node] = []
    given: list[Any] = []
    for x, name in zip(leaves, names, strict=True):
        if is_array(x):
            array = array_of(x)
            inputs.append(symbol(Spec(array.shape, array.dtype), name))
            given.append(inputs[-1])
        else:
            given.append(x)
    new_args, new_kwargs = trees.unflatten(structure, given)
    with recording(True):
        result = f(*new_args, **new_kwargs)
    flat, out = trees.flatten(result)
    graph = without_identities(Graph(inputs, [as_node(x) for x in flat]))
    known = set(graph.inputs)
    if any(n.op is None and n.value is None and n not in known for n in graph.nodes):
        raise TracedValueError(
            "the function uses a tensor that belongs to another trace, which has ended: it has no value",
            fix="return what a checkpoint, a step of a scan or a compiled function computes instead of keeping it "
            "elsewhere; call layers that keep averages outside of cr.checkpoint",
        )
    return graph, out


def _leaf_names(f: Fn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    names = argument_names(f, len(args))
    found: list[str] = []
    for arg, name in zip(args, names, strict=False):
        found += [f"{name}.{path}".rstrip(".") for path in trees.paths(arg)]
    for name, arg in kwargs.items():
        found += [f"{name}.{path}".rstrip(".") for path in trees.paths(arg)]
    return found


def _on_tape(graph: Graph) -> Any:
    """The graph as a tape, if it has very many scalars; None otherwise."""
    from chainrule.compiler import tape
    from chainrule.compiler.on_native.target import host

    target = host()
    return tape.Tape(graph, target) if target is not None and tape.suits(graph) else None


def executable(
    graph: Graph,
    threads: int | None,
    donated: dict[int, int] | None = None,
    denormals: bool = True,
    winograd: int = 2,
    memory: int | None = None,
) -> Any:
    """The graph as machine code; through NumPy, with one warning, where there is none for this machine."""
    # llvmlite takes a tenth of a second to import, which only those pay who compile.
    from chainrule.compiler.compiled import Executable
    from chainrule.compiler.on_native.pool import default_threads
    from chainrule.compiler.on_native.target import host

    target = host()
    if target is None and not _warned:
        _warned.append(True)
        warnings.warn(
            f"cr.compile: there is no native code for this machine ({platform.machine()}): functions run through NumPy",
            UserWarning,
            stacklevel=5,
        )
    if target is not None:
        target = replace(target, winograd=winograd)
    return Executable(graph, target, threads or default_threads(), donated, denormals, memory)


def is_array(x: Any) -> bool:
    """Whether a leaf is an input of a compiled function; all else is part of what is compiled."""
    return isinstance(x, (Node, np.ndarray, np.generic)) or hasattr(x, "__dlpack__")


def array_of(x: Any) -> Array:
    """The numbers of a leaf, row-major without gaps."""
    array: Any = x.value if isinstance(x, Node) else x
    if type(array) is not np.ndarray or not array.flags.c_contiguous or array.dtype not in DTYPES:
        node: Node = as_node(x)
        array = np.ascontiguousarray(node.value).reshape(node.shape)
    return array


def static_key(x: Any) -> Hashable:
    """A leaf that is no array, as part of a key."""
    kind: Any = x.__class__
    if kind is float:
        return "float", x.hex()
    try:
        hash(x)
    except TypeError:
        raise StructureError(
            f"compile: an argument of type {kind.__name__} is neither an array nor hashable",
            fix="pass arrays, or nested dict, list, tuple and Module of them",
        ) from None
    return (kind, x)


def structure_key(branch: Any) -> Hashable:
    """Containers, their keys and what is static in modules, without arrays."""
    if branch is None:
        return None
    inner = tuple(structure_key(b) for b in branch.children)
    if not hasattr(branch.kind, "tree_children"):
        return branch.kind, branch.names, inner
    attributes = cast("dict[str, Any]", branch.original.__dict__)
    static: list[Hashable] = [(name, _static(value)) for name, value in attributes.items()]
    return branch.kind, branch.names, inner, tuple(static)


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """Equal only to the same object, which it keeps alive."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _static(value: Any) -> Hashable:
    """An attribute of a module as part of a key; its parameters and modules are told apart elsewhere."""
    kind: Any = value.__class__
    if hasattr(kind, "tree_children") or (isinstance(value, Node) and value.dtype.kind == "f"):
        return "part"
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        return tuple((name, _static(item)) for name, item in items.items())
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(_static, cast("tuple[Any, ...]", value)))
    if isinstance(value, (float, int, bool, str, bytes, frozenset, type(None))):
        return static_key(value)
    return _Same(value)
