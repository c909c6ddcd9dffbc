"""The base of all layers and models: a plain Python class whose tensors are its parameters."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import habits, trees
from chainrule.errors import GradientError, NotSupportedError, ShapeError, StructureError
from chainrule.node import Node, as_node, leaf
from chainrule.ops.cast import astype
from chainrule.ops.create import zeros_like
from chainrule.shapes import FLOATS, Shape
from chainrule.tensor import no_grad


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Numbers that belong to a module without being trained, such as running averages.

    Attributes:
        value: a tensor. It never changes: :meth:`Module.with_buffers` gives a module with others.
    """

    value: Any


class Module:
    """A plain class: assign attributes in ``__init__``, compute in ``__call__``.

    Floating tensors among its attributes are parameters, modules among them are children; both may sit in
    lists, tuples and dictionaries, and so may a `Buffer`, whose tensor is not trained. All else (numbers, strings,
    functions, integer tensors) is static.

    A module is a tree like a dictionary of arrays, so ``cr.value_and_grad(loss)(model, x, y)``
    differentiates with respect to the whole model and returns the gradient as a module of the same
    class; ``loss.backward()`` works as well. Nothing about a module is global: what a layer needs besides
    its input while it is trained (a key for random numbers) is an argument of its call, a `Training`.

    A parameter belongs in one place: a gradient for the whole model would count a shared one twice, so
    optimizers refuse it.

    Example:
        >>> class Scale(cr.nn.Module):
        ...     def __init__(self):
        ...         self.factor = cr.tensor(3.0, requires_grad=True)
        ...
        ...     def __call__(self, x):
        ...         return self.factor * x
        >>> value, gradient = cr.value_and_grad(lambda model, x: model(x))(Scale(), 2.0)
        >>> gradient.factor.item()
        2.0
    """

    _replaced: frozenset[str] = frozenset()
    """Paths of parameters whose place something else has taken, such as numbers from ``map_leaves``."""

    trains_differently: bool = False
    """Whether a call while it is trained gives another result, as dropout's does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        raise NotSupportedError(
            f"{name} cannot be called: it does not say what it computes",
            fix=f"define {name}.__call__(self, x)"
            + (", which is forward under another name" if hasattr(self, "forward") else ""),
        )

    if not TYPE_CHECKING:  # where every attribute would be known

        def __getattr__(self, name: str) -> Any:
            raise habits.missing(type(self).__name__, name, habits.MODULE)

    def predict(self, x: Any) -> Any:
        """The result for ``x`` as a NumPy array, class scores for a classifier; nothing is recorded.

        Several results come nested as the call gives them.

        Example:
            >>> cr.nn.Linear(2, 3, key=cr.random.key(0)).predict(np.ones((5, 2), np.float32)).shape
            (5, 3)
        """
        with no_grad():
            return trees.map_leaves(lambda y: as_node(y).numpy(), self(x))

    def tree_children(self) -> list[tuple[str, Any]]:
        """Parameters and child modules with their paths, in the order of the attributes."""
        return [part for name, value in vars(self).items() for part in _parts(value, name, self._replaced)]

    def tree_rebuild(self, children: list[Any]) -> Any:
        """A copy with other parameters and child modules; static attributes stay the same objects."""
        new = object.__new__(type(self))
        given = iter(children)
        for name, value in vars(self).items():
            vars(new)[name] = _replace(value, name, self._replaced, given)
        vars(new).pop("_replaced", None)
        if not all(map(_is_part, children)):
            pairs = zip(self.tree_children(), children, strict=True)
            new._replaced = frozenset(path for (path, _), child in pairs if not _is_part(child))
        return new

    def parameters(self) -> dict[str, Any]:
        """Every parameter by its path, such as ``layers.0.weight``.

        Raises:
            StructureError: two parameters have the same path.

        Example:
            >>> model = cr.nn.Linear(2, 3, key=cr.random.key(0))
            >>> {path: p.shape for path, p in model.parameters().items()}
            {'weight': (2, 3), 'bias': (3,)}
        """
        paths, leaves = trees.paths(self), trees.leaves(self)
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise StructureError(
                f"two parameters have the path {twice!r}", fix="use dictionary keys without dots"
            )
        return dict(zip(paths, leaves, strict=True))

    def named_buffers(self) -> dict[str, Buffer]:
        """Every `Buffer` by its path, such as ``layers.1.mean``."""
        found: dict[str, Buffer] = {}
        for prefix, module in self.named_modules().items():
            for name, value in vars(module).items():
                found |= {f"{prefix}.{path}".lstrip("."): b for path, b in _found(value, name, Buffer)}
        return found

    def buffers(self) -> dict[str, Any]:
        """What is not trained but belongs to the model, by path: a tensor for each `Buffer`."""
        return {path: buffer.value for path, buffer in self.named_buffers().items()}

    def with_parameters(self, values: Mapping[str, Any]) -> Any:
        """A copy with other parameters and the same buffers.

        Args:
            values: arrays or tensors for each path that :meth:`parameters` has, of the same shape. They take the dtype
                of what they replace; arrays its name too, and whether it asks for gradients.

        Raises:
            StructureError: other paths.
            ShapeError: another shape; the path is named.

        Example:
            >>> model = cr.nn.Linear(2, 1, key=cr.random.key(0))
            >>> model = model.with_parameters({"weight": [[2.0], [3.0]], "bias": [1.0]})
            >>> model([[10.0, 100.0]]).tolist()
            [[321.0]]
        """
        known, structure = self.parameters(), trees.flatten(self)[1]
        _require_same("parameters", {path: p.shape for path, p in known.items()}, values)
        return trees.unflatten(structure, [_replacing(p, values[path]) for path, p in known.items()])

    def with_buffers(self, values: Mapping[str, Any]) -> Any:
        """A copy with other buffers and the same parameters.

        Args:
            values: a tensor for each path that :meth:`buffers` has, of the same shape.

        Raises:
            StructureError: other paths.
            ShapeError: another shape; the path is named.
        """
        _require_same("buffers", {path: b.value.shape for path, b in self.named_buffers().items()}, values)

        def change(path: str, value: Any) -> Any:
            return Buffer(as_node(values[path])) if isinstance(value, Buffer) else value

        return self.rebuilt(change)

    def rebuilt(self, change: Callable[[str, Any], Any], prefix: str = "") -> Any:
        """A copy in which every `Buffer` and every module inside is what ``change`` gives for its path and itself.

        A module is given as it is after its own buffers and modules have been changed.
        """

        def swap(value: Any, path: str) -> Any:
            if isinstance(value, Module):
                return change(path, value.rebuilt(change, f"{path}."))
            if isinstance(value, Buffer):
                return change(path, value)
            if not isinstance(value, (dict, list, tuple)):
                return value
            return _refilled(value, {name: swap(item, f"{path}.{name}") for name, item in _items(value)})

        new = object.__new__(type(self))
        vars(new).update({name: swap(value, prefix + name) for name, value in vars(self).items()})
        return new

    def named_modules(self) -> dict[str, Module]:
        """The module itself under ``""`` and every module inside by its path."""
        found: dict[str, Module] = {"": self}
        for name, child in self._modules():
            for path, module in child.named_modules().items():
                found[f"{name}.{path}" if path else name] = module
        return found

    def gradients(self) -> Any:
        """What ``loss.backward()`` left in ``.grad``, as a module of the same class.

        Parameters that the loss does not depend on have zeros.

        Raises:
            GradientError: no parameter has a gradient.

        Example:
            >>> model = cr.nn.Linear(2, 1, key=cr.random.key(0))
            >>> model(np.ones((4, 2), np.float32)).sum().backward()
            >>> model.gradients().bias.tolist()
            [4.0]
        """
        parameters, structure = trees.flatten(self)
        found = [getattr(p, "grad", None) for p in parameters]
        if all(g is None for g in found):
            raise GradientError(
                f"no parameter of this {type(self).__name__} has a gradient",
                fix="call loss.backward() on a loss that is computed with this very model; a model that an "
                "optimizer returns starts without gradients",
            )
        pairs = zip(found, parameters, strict=True)
        return trees.unflatten(structure, [zeros_like(p) if g is None else g for g, p in pairs])

    def summary(self) -> Summary:
        """Every parameter with its shape and size, and their total.

        Example:
            >>> print(cr.nn.Linear(2, 3, key=cr.random.key(0)).summary())
            parameter  of      shape   dtype    count
            weight     Linear  (2, 3)  float32      6
            bias       Linear  (3,)    float32      3
            total                                   9
        """
        modules = self.named_modules()
        rows: list[Row] = []
        for path, value in self.parameters().items():
            owner = max((p for p in modules if not p or path.startswith(f"{p}.")), key=len)
            kind = type(modules[owner]).__name__
            rows.append(Row(path, kind, value.shape, value.dtype.name, value.size))
        return Summary(tuple(rows))

    def _modules(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            for path, part in _parts(value, name, self._replaced):
                if isinstance(part, Module):
                    yield path, part

    def __repr__(self) -> str:
        shown = [f"{name}={_show(value)}" for name, value in vars(self).items() if name[0] != "_"]
        line = f"{type(self).__name__}({', '.join(shown)})"
        if len(line) <= 100 and "\n" not in line:
            return line
        return f"{type(self).__name__}(\n{_indent(shown)})"


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter: its path, the class of the module that owns it, shape, dtype and number of elements."""

    path: str
    module: str
    shape: Shape
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The parameters of a module. ``print(summary)`` shows a table."""

    rows: tuple[Row, ...]

    @property
    def total(self) -> int:
        """Number of elements of all parameters."""
        return sum(row.count for row in self.rows)

    @property
    def text(self) -> str:
        """The table, one line for each parameter."""
        head = ("parameter", "of", "shape", "dtype", "count")
        cells = [(r.path, r.module, str(r.shape), r.dtype, f"{r.count:,}") for r in self.rows]
        table = [head, *cells, ("total", "", "", "", f"{self.total:,}")]
        widths = [max(len(row[i]) for row in table) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                [*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=False)), row[-1].rjust(widths[-1])]
            )
            for row in table
        )

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        rows = [
            {"path": r.path, "module": r.module, "shape": list(r.shape), "dtype": r.dtype, "count": r.count}
            for r in self.rows
        ]
        return {"parameters": rows, "total": self.total}


def _require_same(what: str, known: Mapping[str, Shape], values: Mapping[str, Any]) -> None:
    """Raise an error unless there is a value of the same shape for each path."""
    if set(values) != set(known):
        wrong = sorted(set(values) ^ set(known))[0]
        raise StructureError(
            f"with_{what}: {wrong!r} is "
            + ("missing" if wrong in known else f"no {what[:-1]} of this model"),
            fix=f"pass one tensor for each path of model.{what}()",
        )
    for path, shape in known.items():
        if np.shape(values[path]) != shape:
            raise ShapeError(
                f"with_{what}: {path} has shape {shape}, got {np.shape(values[path])}",
                fix=f"pass {what} of the same model",
            )


def _replacing(parameter: Any, value: Any) -> Any:
    """``value`` in the dtype of a parameter; if it is no tensor yet, with what else the parameter is."""
    if isinstance(value, Node):
        return astype(value, parameter.dtype)
    return leaf(value, dtype=parameter.dtype, tracked=parameter.tracked, name=parameter.name)


def _is_part(value: Any) -> bool:
    return isinstance(value, Module) or (isinstance(value, Node) and value.dtype in FLOATS)


def _parts(value: Any, path: str, replaced: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Parameters and modules in an attribute, looked for in lists, tuples and dictionaries too."""
    if _is_part(value) or path in replaced:
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        for name, item in _items(value):
            yield from _parts(item, f"{path}.{name}", replaced)


def _found(value: Any, path: str, kind: type) -> Iterator[tuple[str, Any]]:
    """Objects of a class in an attribute, looked for in lists, tuples and dictionaries too, not in modules."""
    if isinstance(value, kind):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        for name, item in _items(value):
            yield from _found(item, f"{path}.{name}", kind)


def _replace(value: Any, path: str, replaced: frozenset[str], given: Iterator[Any]) -> Any:
    """``value`` with the parameters and modules that :func:`_parts` finds taken from ``given``."""
    if _is_part(value) or path in replaced:
        return next(given)
    if not isinstance(value, (dict, list, tuple)):
        return value
    return _refilled(
        value, {name: _replace(item, f"{path}.{name}", replaced, given) for name, item in _items(value)}
    )


def _refilled(value: Any, items: dict[Any, Any]) -> Any:
    """A container like ``value`` that holds ``items``."""
    if isinstance(value, dict):
        return items
    if hasattr(value, "_fields"):
        return type(value)(*items.values())
    return list(items.values()) if isinstance(value, list) else tuple(items.values())


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return zip(getattr(value, "_fields", range(len(value))), value, strict=True)


def _show(value: Any) -> str:
    if isinstance(value, Buffer):
        value = value.value
    if isinstance(value, Node):
        return str(value.spec)
    if isinstance(value, (list, tuple)) and any(isinstance(item, Module) for item in value):
        return f"[\n{_indent([_show(item) for item in value])}]"
    return getattr(value, "__name__", None) or repr(value)


def _indent(items: list[str]) -> str:
    return "".join("    " + item.replace("\n", "\n    ") + ",\n" for item in items)
