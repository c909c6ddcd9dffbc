"""Immutable nodes: the one thing that a computation is made of.

A node knows its output (a value, or only shape and dtype while a program is traced) and how it came
about: a primitive and its inputs. It knows nothing of who uses it. Nodes are numbered as they are
made, so ascending ``index`` is a topological order and no traversal needs recursion.
"""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Container, Iterable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, Union, cast

import numpy as np

from chainrule import construction
from chainrule.arrays import as_array
from chainrule.construction import NO_PARAMS, Params, Position
from chainrule.errors import (
    DTypeError,
    GradientError,
    OperandError,
    ShapeError,
    Source,
    TracedValueError,
    source_of,
    user_position,
)
from chainrule.modes import (
    BARE,
    FORGETTING,
    REMEMBERING,
    inside_transform,
    is_entered,
    mode,
    recording,
    silent,
    silently,
)
from chainrule.primitive import REGISTRY, Array, Primitive
from chainrule.shapes import (
    DType,
    Shape,
    Spec,
    as_dtype,
    bool_,
    count,
    float64,
    int64,
    mixed_kinds,
    too_large,
)

_adding = threading.Lock()

N = TypeVar("N", bound="Node")
ArrayLike: TypeAlias = Union["np.ndarray[Any, Any]", np.generic, float, int, bool, Sequence[Any]]
Operand: TypeAlias = N | ArrayLike


def _operator(name: str, reflected: bool = False) -> Any:
    """The method of a node for a Python operator with two operands."""

    def method(self: Node, other: Any) -> Any:
        op = REGISTRY[name]
        if isinstance(other, Node):
            return apply(op, (self, other))
        kind = other.__class__
        if (kind is float or kind is int) and self.dtype.kind == "f":
            number = operand(other, self.dtype)
            return apply(op, (number, self) if reflected else (self, number))
        try:
            pair = as_nodes(name, other, self) if reflected else as_nodes(name, self, other)
        except OperandError:
            if isinstance(other, (int, float, list, tuple, np.ndarray, np.generic)):
                raise
            return NotImplemented  # Python then says which operand types do not go together
        return apply(op, pair)

    method.__name__ = method.__qualname__ = name
    return method


def _unary_operator(name: str) -> Any:
    """The method of a node for a Python operator with one operand."""

    def method(self: Node) -> Any:
        return apply(REGISTRY[name], (self,))

    method.__name__ = method.__qualname__ = name
    return method


class Node:
    """One value of a computation. Never changed once made.

    Attributes:
        op: the primitive that gave it; None for an input or a constant.
        inputs: nodes it was computed from; empty if nothing needs to be remembered.
        params: static parameters of ``op``.
        shape, dtype: of the output.
        value: the output; None while a program is only traced.
        tracked: whether derivatives flow through it; then it is floating.
        index: creation number; inputs have smaller ones.
        retains_grad: whether a backward pass keeps the gradient of this result.
        name: what the user or a formula calls it, if anything.
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_position",
        "dtype",
        "index",
        "inputs",
        "name",
        "op",
        "params",
        "retains_grad",
        "shape",
        "tracked",
        "value",
    )
    __array_priority__ = 1000.0

    _position: tuple[CodeType, int] | None
    _grad: Any
    op: type[Primitive] | None
    inputs: tuple[Node, ...]
    params: Params
    shape: Shape
    dtype: DType
    value: Any
    tracked: bool
    name: str | None
    retains_grad: bool
    index: int

    def __init__(self, *_: Any, **__: Any) -> None:
        raise OperandError("tensors are not made by their class", fix="write cr.tensor(values)")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return count(self.shape)

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return Spec(self.shape, self.dtype)

    @property
    def source(self) -> Source | None:
        """The user's line that made this node."""
        return source_of(self._position)

    @property
    def position(self) -> tuple[CodeType, int] | None:
        """Where in the user's program it was made, unresolved (see :func:`errors.source_of`)."""
        return self._position

    @property
    def is_leaf(self) -> bool:
        """Whether it is an input, a parameter or a constant."""
        return self.op is None

    def add_gradient(self, delta: Node, *, record: bool) -> Node:
        """Add to the gradient that backward passes have collected here; returns the sum."""
        with _adding:  # several threads may run backward into one leaf
            known = self._grad
            if known is not None:
                with recording(record):
                    delta = known + delta
            self._grad = delta
        return delta

    def retain(self, on: bool) -> None:
        """Say whether a backward pass keeps the gradient of this result."""
        self.retains_grad = on
        construction.forget(self)

    def track(self, on: bool) -> None:
        """Say whether derivatives flow through this leaf, which may have been used already."""
        if self.tracked is not on:
            self.tracked = on
            construction.forget_uses(self)

    def array(self) -> Array:
        """The value as an array that cannot be written to, nor made so.

        Raises:
            TracedValueError: there is no value, since the program is only being traced.
        """
        if self.value is None:
            raise no_value(self, "the array")
        array = np.asarray(self.value)
        if array.flags.writeable:
            array.flags.writeable = False
        return array.view()

    def __repr__(self) -> str:
        what = self.op.name if self.op else "input" if self.value is None else "constant"
        label = f" {self.name}" if self.name else ""
        return f"<{type(self).__name__}{label} = {what}: {self.spec}>"

    __hash__ = object.__hash__

    if TYPE_CHECKING:

        def __add__(self, other: Any, /) -> Self: ...
        def __radd__(self, other: Any, /) -> Self: ...
        def __sub__(self, other: Any, /) -> Self: ...
        def __rsub__(self, other: Any, /) -> Self: ...
        def __mul__(self, other: Any, /) -> Self: ...
        def __rmul__(self, other: Any, /) -> Self: ...
        def __truediv__(self, other: Any, /) -> Self: ...
        def __rtruediv__(self, other: Any, /) -> Self: ...
        def __floordiv__(self, other: Any, /) -> Self: ...
        def __rfloordiv__(self, other: Any, /) -> Self: ...
        def __mod__(self, other: Any, /) -> Self: ...
        def __rmod__(self, other: Any, /) -> Self: ...
        def __pow__(self, other: Any, /) -> Self: ...
        def __rpow__(self, other: Any, /) -> Self: ...
        def __and__(self, other: Any, /) -> Self: ...
        def __rand__(self, other: Any, /) -> Self: ...
        def __or__(self, other: Any, /) -> Self: ...
        def __ror__(self, other: Any, /) -> Self: ...
        def __xor__(self, other: Any, /) -> Self: ...
        def __rxor__(self, other: Any, /) -> Self: ...
        def __lt__(self, other: Any, /) -> Self: ...
        def __le__(self, other: Any, /) -> Self: ...
        def __gt__(self, other: Any, /) -> Self: ...
        def __ge__(self, other: Any, /) -> Self: ...
        def __eq__(self, other: Any, /) -> Self: ...  # pyright: ignore
        def __ne__(self, other: Any, /) -> Self: ...  # pyright: ignore
        def __neg__(self) -> Self: ...
        def __abs__(self) -> Self: ...
        def __invert__(self) -> Self: ...

    else:
        __add__ = _operator("add")
        __radd__ = _operator("add", reflected=True)
        __sub__ = _operator("subtract")
        __rsub__ = _operator("subtract", reflected=True)
        __mul__ = _operator("multiply")
        __rmul__ = _operator("multiply", reflected=True)
        __truediv__ = _operator("divide")
        __rtruediv__ = _operator("divide", reflected=True)
        __floordiv__ = _operator("floor_divide")
        __rfloordiv__ = _operator("floor_divide", reflected=True)
        __mod__ = _operator("remainder")
        __rmod__ = _operator("remainder", reflected=True)
        __pow__ = _operator("power")
        __rpow__ = _operator("power", reflected=True)
        __and__ = _operator("logical_and")
        __rand__ = _operator("logical_and", reflected=True)
        __or__ = _operator("logical_or")
        __ror__ = _operator("logical_or", reflected=True)
        __xor__ = _operator("logical_xor")
        __rxor__ = _operator("logical_xor", reflected=True)
        __lt__ = _operator("less")
        __le__ = _operator("less_equal")
        __gt__ = _operator("greater")
        __ge__ = _operator("greater_equal")
        __eq__ = _operator("equal")
        __ne__ = _operator("not_equal")
        __neg__ = _unary_operator("negative")
        __abs__ = _unary_operator("abs")
        __invert__ = _unary_operator("logical_not")

    def __pos__(self) -> Self:
        return self

    def __bool__(self) -> bool:
        return bool(self._single("a truth value"))

    def __float__(self) -> float:
        return float(self._leaving("a Python float"))

    def __int__(self) -> int:
        return int(self._leaving("a Python int"))

    def __index__(self) -> int:
        if self.dtype.kind != "i":
            raise DTypeError(
                f"expected an integer tensor as an index, got {self.dtype.name}", fix="int(x) rounds down"
            )
        return int(self._single("an index"))

    def _leaving(self, wanted: str) -> Any:
        """The one value; not where a transform would lose its gradient without a word."""
        number = self._single(wanted)
        if inside_transform.get() and is_differentiable(self):
            raise GradientError(
                f"{wanted} was made of a tensor that is being differentiated: its gradient would be lost",
                fix="compute with the tensor, with cr.sin(x) instead of math.sin(x); x.item() gives the number alone",
            )
        return number

    def _single(self, wanted: str) -> Any:
        if self.value is None:
            raise no_value(self, wanted)
        if self.size != 1:
            raise ShapeError(
                f"{wanted} needs exactly one element, got shape {self.shape}",
                fix="reduce first, with .sum(), .mean(), .any() or .all(), or pick one element by index",
            )
        return np.asarray(self.value).reshape(())[()]


construction.set_node_type(Node)


def no_value(node: Node, wanted: str) -> TracedValueError:
    """The error for asking a traced node for its numbers."""
    return TracedValueError(
        f"{wanted} was asked of a tensor that is only being traced ({node.spec}): it has no value yet",
        fix="inside a traced function choose with cr.where(condition, a, b) instead of if, and keep NumPy "
        "and float() outside; return from it what is needed outside",
        source=None,
    )


def set_node_type(cls: type[Node]) -> None:
    """Make every node built from now on an instance of ``cls``."""
    construction.set_node_type(cls)
    _scalars.clear()


def apply(
    op: type[Primitive],
    inputs: tuple[Node, ...],
    params: Params = NO_PARAMS,
    name: str | None = None,
    position: Position | None = None,
) -> Any:
    """Make the node ``op(*inputs)``; compute its value at once unless an input has none.

    Inputs are remembered only where a derivative or a trace needs them. The node belongs to the user's line
    that is running, unless it is made again for another (``position``).
    """
    now = mode.get()
    if now == BARE:
        return op.evaluate(*inputs, **params) if params else op.evaluate(*inputs)
    tracked = traced = False
    values: list[Any] = []
    shape: Any = None
    dtype: Any = None
    stated = op.value_states_shape  # until an input is found for which it does not hold
    for x in inputs:
        value = x.value
        values.append(value)
        if value is None:
            traced = True
        if x.tracked:
            tracked = True
        if stated and x.dtype is not dtype:
            stated = dtype is None and x.dtype.kind == "f"
            dtype = x.dtype
    if traced or not stated:
        shape, dtype = op.infer(*inputs, **params) if params else op.infer(*inputs)
    if traced:
        value = None
    else:
        try:  # as silently() does, without a call more: this is where eager programs spend their time
            run = silent.run
            value = run(op.evaluate, *values, **params) if params else run(op.evaluate, *values)
        except RuntimeError as error:
            if not is_entered(error):
                raise
            value = silently(op.evaluate, *values, **params)
        except MemoryError:
            raise too_large(op.name, *op.infer(*inputs, **params)) from None
        except ValueError:
            if stated:
                op.infer(*inputs, **params)  # which knows what to say
            raise
        if stated:
            shape = value.shape
    if tracked and (now & FORGETTING or not op.differentiable or dtype.kind != "f"):
        tracked = False
    if tracked or traced or now & REMEMBERING:
        if position is None:
            position = user_position(2)
        return construction.make(op, inputs, params, shape, dtype, value, tracked, name, position)
    return construction.make(None, (), NO_PARAMS, shape, dtype, value, False, name, None)


def apply_again(node: Node, inputs: tuple[Node, ...]) -> Any:
    """A computed node on other inputs. Where derivatives stop at the node, they stop at the new one."""
    assert node.op is not None
    if not is_cut(node):
        return apply(node.op, inputs, node.params, node.name, node.position)
    with recording(False):
        return apply(node.op, inputs, node.params, node.name, node.position)


def is_cut(node: Node) -> bool:
    """Whether a computed node was made within ``no_grad``: its inputs have derivatives, and it has none."""
    assert node.op is not None
    cut = not node.tracked and node.op.differentiable and node.dtype.kind == "f"
    return cut and any(x.tracked for x in node.inputs)


def leaf(
    value: Any,
    *,
    dtype: DType | None = None,
    tracked: bool = False,
    name: str | None = None,
    copy: bool = True,
) -> Any:
    """A node that holds ``value``. Arrays are copied, so later changes to them cannot reach the graph."""
    array = as_array(value, dtype, copy)
    held = array if array.shape else array[()]  # NumPy's scalars compute ten times faster
    if mode.get() == BARE:
        return held
    return construction.make(None, (), NO_PARAMS, array.shape, array.dtype, held, tracked, name, None)


def holding(value: Any, *, tracked: bool = False, name: str | None = None) -> Any:
    """A leaf around a value that an evaluation has just given; it is not checked or copied."""
    return construction.make(None, (), NO_PARAMS, value.shape, value.dtype, value, tracked, name, None)


def symbol(spec: Spec, name: str | None = None) -> Any:
    """An input without a value, from which a program is traced."""
    dtype = as_dtype(spec.dtype)
    return construction.make(None, (), NO_PARAMS, spec.shape, dtype, None, dtype.kind == "f", name, None)


_scalars: dict[tuple[type, DType, Any], Node] = {}


def constant(value: Any, dtype: DType | None = None) -> Any:
    """A new constant node; a Python number becomes float64, int64 or bool where no dtype is given."""
    kind = value.__class__
    if kind is not float and kind is not int and kind is not bool:
        return leaf(value, dtype=dtype)
    if dtype is None:
        dtype = float64 if kind is float else bool_ if kind is bool else int64
    number = _scalar(value, dtype)
    return number if mode.get() == BARE else holding(number)


def operand(value: float | int | bool, dtype: DType) -> Any:
    """A constant node that is used up at once: there is one for each number, shared, and never handed out."""
    if mode.get() == BARE:
        return _scalar(value, dtype)
    key = (type(value), dtype, value)
    known = _scalars.get(key)
    if known is not None and value:
        return known
    made = holding(_scalar(value, dtype))
    if value and value == value and len(_scalars) < 4096:  # not 0, which has two signs
        _scalars[key] = made
    return made


def _scalar(value: float | int | bool, dtype: DType) -> Any:
    try:
        return silent.run(dtype.type, value)
    except OverflowError:
        raise OperandError(f"{value} does not fit {dtype.name}", fix="use a float or a wider dtype") from None


def as_node(value: Any) -> Any:
    """A node for any operand: nodes stay, everything else becomes a constant."""
    if isinstance(value, Node):
        return value.value if mode.get() == BARE else value
    if mode.get() == BARE and isinstance(value, (np.ndarray, np.generic)):
        return cast(Any, value)
    return constant(value)


def as_nodes(name: str, *values: Any) -> tuple[Any, ...]:
    """Nodes for operands that are combined; Python scalars take the dtype of the arrays beside them.

    Raises:
        DTypeError: a Python float beside integers, or a bool beside numbers.
    """
    weak = [type(v) in (float, int, bool) for v in values]
    if not any(weak):
        return tuple(as_node(v) for v in values)
    strong = [None if w else as_node(v) for v, w in zip(values, weak, strict=True)]
    dtype = max(
        (v.dtype for v in strong if v is not None), key=lambda d: (d.kind == "f", d.itemsize), default=None
    )
    if dtype is None and any(type(v) is float for v in values):
        dtype = float64
    return tuple(s if s is not None else _weak(name, v, dtype) for s, v in zip(strong, values, strict=True))


def _weak(name: str, value: Any, dtype: DType | None) -> Any:
    """A Python number beside arrays of ``dtype``, or beside other Python numbers only (None)."""
    if dtype is None:
        return constant(value)
    fits = {bool: bool_, int: int64, float: float64}[type(value)]
    if (dtype.kind == "f" and fits is bool_) or (dtype.kind != "f" and fits.kind != dtype.kind):
        raise mixed_kinds(name, dtype, fits)
    return operand(value, dtype)


def starting(value: Node, name: str | None = None) -> Any:
    """A node with the value of another, from which a derivative starts; the other stays as it is."""
    identity = REGISTRY["identity"]
    floating = value.dtype.kind == "f"
    return construction.make(
        identity, (value,), NO_PARAMS, value.shape, value.dtype, value.value, floating, name, None
    )


def is_differentiable(node: Node) -> bool:
    """Whether derivatives can flow through ``node``; only floating nodes are tracked."""
    return node.tracked


def ancestors(outputs: Iterable[Node], since: int = 0, until: Container[Node] = ()) -> list[Node]:
    """All nodes from which ``outputs`` are computed, themselves included, inputs first.

    Nodes made before number ``since`` are left out; neither they nor those of ``until`` are looked behind.
    """
    seen: set[Node] = set()
    stack = [n for n in outputs if n.index >= since]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node not in until:
            stack.extend(x for x in node.inputs if x.index >= since)
    return sorted(seen, key=by_index)


def tracked_ancestors(output: Node) -> tuple[list[Node], set[Node]]:
    """The nodes through which derivatives of ``output`` flow, itself included, inputs first; and as a set."""
    order, seen = [output], {output}
    reach(order, seen)
    order.sort(key=by_index)  # nearly sorted as it is, which takes linear time
    return order, seen


def reach(order: list[Node], seen: set[Node], begin: int = 0, end: int | None = None) -> None:
    """Append the tracked inputs, each once, of the nodes at places ``begin`` to ``end``, which grow on the way."""
    for node in itertools.islice(order, begin, end):
        for x in node.inputs:
            if x.tracked and x not in seen:
                seen.add(x)
                order.append(x)


by_index = operator.attrgetter("index")
"""Sort key: topological order."""
