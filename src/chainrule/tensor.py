"""The eager door: tensors that compute at once, remember how, and run backward."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from chainrule import construction, habits, ops
from chainrule.at import At
from chainrule.autodiff.listening import tell
from chainrule.autodiff.reverse import leaf_gradients
from chainrule.compiler.large import natively
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    ImmutableError,
    OperandError,
    ShapeError,
)
from chainrule.modes import is_remembering, recording
from chainrule.node import (
    ArrayLike,
    Node,
    Operand,
    as_node,
    holding,
    is_differentiable,
    leaf,
    no_value,
    set_node_type,
)
from chainrule.numpy_protocol import call_function, call_ufunc
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, as_dtype, as_sequence, bool_, float64, int64


class Tensor(Node):
    """An array that remembers how it was computed. Made by :func:`tensor`; never changed in place.

    Attributes:
        shape, dtype, ndim, size: as in NumPy.
        grad: after ``y.backward()``, ∂y/∂x summed over all calls so far; None before.
        requires_grad: whether gradients flow to or through it.
        name: a name for messages and drawings.
    """

    __slots__ = ()

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it (a leaf) or through it (a result)."""
        return is_differentiable(self)

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self.requires_grad_(on)

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Ask for gradients of this leaf, or stop asking; returns the tensor.

        Raises:
            GradientError: it is the result of a computation.
            DTypeError: it does not hold floats.
        """
        if is_remembering() and not self.tracked and self.value is not None:
            # What derivatives do not flow through is a leaf; that its inputs are remembered does not change that.
            self.op, self.inputs, self.params = None, (), {}
        if not self.is_leaf or self.value is None:
            raise GradientError(
                "requires_grad_: only leaves can be asked for gradients; this one was computed by "
                f"{self.op.name if self.op else 'a trace'}",
                fix="detach it first: x.detach().requires_grad_(), or read its gradient with x.retain_grad()",
            )
        if on:
            _require_floating(self)
        self.track(on)
        return self

    @property
    def grad(self) -> Tensor | None:
        """∂y/∂x, summed over the calls of ``y.backward()`` so far; set it to None to start anew."""
        found: Tensor | None = self._grad
        if found is None and self.tracked and not self.is_leaf and not self.retains_grad:
            warnings.warn(
                "the gradient of a computed tensor is not kept: call x.retain_grad() before backward()",
                UserWarning,
                stacklevel=2,
            )
        return found

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):  # pyright: ignore[reportUnnecessaryIsInstance]
            got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ShapeError(
                f"grad: expected a tensor of shape {self.shape} or None, got {got}", fix="x.grad = None"
            )
        if value is not None and value.dtype != self.dtype:
            raise DTypeError(
                f"grad: expected a tensor of dtype {self.dtype.name}, got {value.dtype.name}",
                fix="x.grad = None",
            )
        self._grad = value
        construction.watch([value])

    def retain_grad(self) -> Tensor:
        """Keep the gradient of this computed tensor too when ``backward`` passes it; returns the tensor."""
        if not self.requires_grad:
            raise GradientError(
                "retain_grad: no gradient flows through this tensor",
                fix="give a tensor that it is computed from requires_grad=True",
            )
        self.retain(True)
        return self

    def backward(self, gradient: Operand[Tensor] | None = None, *, create_graph: bool = False) -> None:
        """Add ∂self/∂x to ``x.grad`` of every leaf x that requires a gradient.

        May be called as often as you like: nothing is freed, and gradients accumulate.

        Args:
            gradient: ∂L/∂self, of this tensor's shape; may be left out if it holds one number.
            create_graph: whether the gradients can be differentiated again.

        Raises:
            GradientError: not one number and no ``gradient``, or nothing before it requires a gradient.
            ShapeError: ``gradient`` has another shape.

        Example:
            >>> x = tensor(3.0, requires_grad=True)
            >>> (x * x).backward()
            >>> x.grad.item()
            6.0
        """
        self._require_gradient()
        seed = self._seed(gradient)
        found = leaf_gradients(self, seed, record=create_graph, large=natively)
        construction.watch([node.add_gradient(delta, record=create_graph) for node, delta in found.items()])
        tell(self, list(found), list(found.values()))

    def _require_gradient(self) -> None:
        if self.dtype not in FLOATS:
            raise GradientError(
                f"backward: the result is {self.dtype.name}, which has no derivative",
                fix="call it on a float32 or float64 result; integer and boolean operations cut the path",
            )
        if not self.tracked:
            raise GradientError(
                "backward: this tensor does not depend on any tensor that requires a gradient",
                fix="make a leaf with cr.tensor(data, requires_grad=True); no_grad, detach, .numpy(), float() "
                "and integer dtypes cut the path",
            )
        if self.value is None:
            raise no_value(self, "backward()")

    def _seed(self, gradient: Operand[Tensor] | None) -> Tensor:
        if gradient is None:
            if not self.shape:
                return holding(_ONE[self.dtype])
            if self.size != 1:
                raise GradientError(
                    f"backward: the result has shape {self.shape}; a gradient starts from one number",
                    fix="reduce with .sum() or .mean(), or pass gradient=, an array of this shape",
                )
            return ops.ones_like(self)
        seed: Any = as_node(gradient)
        if seed.dtype != self.dtype and not isinstance(gradient, Node):
            seed = seed.astype(self.dtype)
        if seed.shape != self.shape or seed.dtype != self.dtype:
            raise ShapeError(
                f"backward: gradient is {seed.spec}, expected {self.spec}",
                fix=f"pass an array of shape {self.shape} and dtype {self.dtype.name}",
            )
        return seed

    def detach(self) -> Tensor:
        """The same values as a new leaf, cut off from how they were computed."""
        if self.value is None or is_remembering():
            return ops.stop_gradient(self)
        return leaf(self.value, copy=False)

    def numpy(self) -> Array:
        """The values as a NumPy array that cannot be written to (no copy)."""
        return self.array()

    def item(self) -> Any:
        """The one value as a Python number."""
        return self._single("item()").item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.value is None:
            raise no_value(self, "a NumPy array")
        if self.requires_grad:
            raise GradientError(
                "a NumPy array was asked of a tensor that requires a gradient, which would be lost",
                fix="x.numpy() if that is what you want; else cr.stack([x, y]) for a list of tensors, and "
                "chainrule's own functions, such as cr.tanh(x)",
            )
        return np.array(self.array(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return call_function(func, args, kwargs)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        return sys.modules["chainrule"]  # importing it here would make the layers a circle

    def __dlpack__(self, **options: Any) -> Any:
        return np.array(self.__array__()).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    @property
    def device(self) -> str:
        """Where the values are."""
        return "cpu"

    def to_device(self, device: str, /) -> Tensor:
        """The tensor itself: there is only the CPU."""
        if device != "cpu":
            raise ArgumentError(f"to_device: unknown device {device!r}", fix='the only device is "cpu"')
        return self

    def __reduce__(self) -> Any:
        return (_restore, (np.array(self.array()), self.requires_grad and self.is_leaf, self.name))

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return leaf(self.array(), tracked=self.tracked and self.is_leaf, name=self.name)

    def __repr__(self) -> str:
        if self.value is None:
            return f"tensor(<traced>, shape={self.shape}, dtype={self.dtype.name})"
        text = np.array2string(self.array(), separator=", ", prefix="tensor(", floatmode="maxprec")
        if not self.shape:
            text = str(self.item())
        if not self.size:
            text += f", shape={self.shape}"
        if self.dtype not in (float64, int64, bool_):
            text += f", dtype={self.dtype.name}"
        return f"tensor({text}{', requires_grad=True' if self.requires_grad else ''})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(str(self), spec)

    def __getattr__(self, name: str) -> Any:
        raise habits.missing(
            "a chainrule tensor", name, habits.TENSOR, () if name.startswith("_") else ops.__all__
        )

    def _refuse_in_place(self, other: Any) -> Any:
        if self.is_leaf and self.requires_grad:
            raise ImmutableError(
                "tensors never change: w += v would only give the name w another tensor, without requires_grad",
                fix="w = (w - rate * w.grad).requires_grad_() under cr.no_grad(), or an optimizer's update",
            )
        return NotImplemented  # Python goes on with x = x + v, which is what it means for a result

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse_in_place

    def __len__(self) -> int:
        if not self.shape:
            raise OperandError("len() of a 0-dimensional tensor", fix="x.size is 1")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise OperandError(
                "a 0-dimensional tensor cannot be iterated over", fix="x.item() gives the number"
            )
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ImmutableError(
            "tensors never change, so x[i] = v is not possible",
            fix="y = x.at[i].set(v) gives a new tensor; .add(v) and .multiply(v) likewise",
        )

    @property
    def at(self) -> At[Tensor]:
        """Places to change in a copy: ``x.at[i].set(v)``, ``x.at[i].add(v)``."""
        return At(self)

    def __matmul__(self, other: Operand[Tensor]) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: ArrayLike) -> Tensor:
        return ops.matmul(other, self)

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self.array() == value))

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim > 2:
            raise ShapeError(
                f"T: expected at most 2 axes, got shape {self.shape}",
                fix="x.mT swaps the last two axes, x.permute_dims(axes) any",
            )
        return ops.transpose(self)

    @property
    def mT(self) -> Tensor:
        """With the last two axes swapped."""
        return ops.matrix_transpose(self)

    def astype(self, dtype: Any) -> Tensor:
        """Converted to ``dtype``."""
        return ops.astype(self, dtype)

    def reshape(self, *shape: Any) -> Tensor:
        """In another shape; sizes as arguments or as one tuple."""
        return ops.reshape(self, _unpack(shape))

    def permute_dims(self, *axes: Any) -> Tensor:
        """With the axes in another order."""
        return ops.permute_dims(self, _unpack(axes))

    def transpose(self, *axes: Any) -> Tensor:
        """With the axes in another order, reversed by default."""
        return ops.transpose(self, _unpack(axes) if axes else None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """With two axes exchanged."""
        return ops.swapaxes(self, axis1, axis2)

    def expand_dims(self, axis: int = 0) -> Tensor:
        """With a new axis of size 1."""
        return ops.expand_dims(self, axis=axis)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        """Without axes of size 1."""
        return ops.squeeze(self, axis)

    def flatten(self) -> Tensor:
        """With one axis."""
        return ops.reshape(self, (-1,))

    ravel = flatten

    def broadcast_to(self, *shape: Any) -> Tensor:
        """Repeated to ``shape``."""
        return ops.broadcast_to(self, _unpack(shape))

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Sum over ``axis``."""
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Mean over ``axis``."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Product over ``axis``."""
        return ops.prod(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Maximum over ``axis``."""
        return ops.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Minimum over ``axis``."""
        return ops.min(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Variance over ``axis``."""
        return ops.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Standard deviation over ``axis``."""
        return ops.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Tensor:
        """Running sum along ``axis``."""
        return ops.cumsum(self, axis=axis)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Index of the maximum along ``axis``."""
        return ops.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Index of the minimum along ``axis``."""
        return ops.argmin(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Whether all are true along ``axis``."""
        return ops.all(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        """Whether any is true along ``axis``."""
        return ops.any(self, axis=axis, keepdims=keepdims)

    def exp(self) -> Tensor:
        """Exponential."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """Natural logarithm."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """Square root."""
        return ops.sqrt(self)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        """``1 / (1 + e**-x)``."""
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        """``max(x, 0)``."""
        return ops.relu(self)

    def abs(self) -> Tensor:
        """Absolute value."""
        return ops.abs(self)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Limited to ``min .. max``."""
        return ops.clip(self, min, max)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, *, name: str | None = None) -> Tensor:
    """Make a tensor from numbers.

    Args:
        data: a number, nested lists of numbers, a NumPy array, or a tensor; copied.
        dtype: one of the five dtypes; without it Python floats become float64, ints int64, and arrays
            keep theirs.
        requires_grad: whether ``backward`` collects a gradient for it.
        name: for messages and drawings.

    Raises:
        OperandError: not numbers, or ragged lists.
        DTypeError: an unknown dtype, or ``requires_grad`` with integers or booleans.

    Example:
        >>> tensor([1.0, 2.0]).sum().item()
        3.0
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Node):
        data = data.array()
    elif isinstance(data, (list, tuple)):
        data = _plain(data)  # pyright: ignore[reportUnknownArgumentType]
    made: Tensor = leaf(data, dtype=wanted, name=name)
    if requires_grad:
        _require_floating(made)
        made.tracked = True
    return made


def asarray(data: Any, /, *, dtype: Any = None) -> Tensor:
    """A tensor of ``data``; a tensor of the right dtype stays itself, connections and all.

    Example:
        >>> asarray([1, 2], dtype="float32").dtype.name
        'float32'
    """
    made = data if isinstance(data, Tensor) else tensor(data, dtype)
    return made if dtype is None else ops.astype(made, dtype)


_ONE = {dtype: dtype.type(1) for dtype in FLOATS}


def _plain(data: Sequence[Any]) -> Sequence[Any]:
    """Nested lists with the tensors in them replaced by their values."""
    if any(isinstance(x, Node) and is_differentiable(x) for x in data):
        raise GradientError(
            "a tensor was to be made of tensors that require gradients, which would be lost",
            fix="cr.stack([x, y]) keeps them; x.item() or x.detach() gives the numbers alone",
        )
    return [
        _plain(x) if isinstance(x, (list, tuple)) else x.array() if isinstance(x, Node) else x  # pyright: ignore[reportUnknownArgumentType]
        for x in data
    ]


def _require_floating(node: Node) -> None:
    if node.dtype.kind != "f":
        raise DTypeError(
            f"requires_grad: only float32 and float64 tensors have gradients, got {node.dtype.name}",
            fix="pass floats, cr.tensor(3.0), or dtype=cr.float64",
        )


def _restore(values: Array, requires_grad: bool, name: str | None) -> Tensor:
    return tensor(values, requires_grad=requires_grad, name=name)


def _unpack(sizes: tuple[Any, ...]) -> Any:
    return as_sequence(sizes[0]) if len(sizes) == 1 else sizes


def no_grad() -> Any:
    """Context manager and decorator: inside, nothing is remembered for ``backward``.

    Example:
        >>> w = tensor(1.0, requires_grad=True)
        >>> with no_grad():
        ...     y = w * 2
        >>> y.requires_grad
        False
    """
    return recording(False)


def enable_grad() -> Any:
    """Context manager and decorator: inside ``no_grad``, remember again."""
    return recording(True)


set_node_type(Tensor)

__all__ = ["Tensor", "asarray", "enable_grad", "no_grad", "tensor"]
