"""What a primitive declares, the kinds of derivative rule, and the registry.

A primitive is a class that is never instantiated: the class is the operation. It states its shape
rule, its NumPy evaluation, its cost, how it is written, if it is elementwise what it does to one element
(``emit``), and its derivative **once**, in one of three kinds from which both modes follow
(:mod:`chainrule.autodiff.rules` derives them):

=============  ==========================================================================
`Pointwise`    elementwise with broadcasting; ``partials(y, *xs)`` gives one local
               derivative for each input
`Linear`       linear in some inputs; ``transpose(g, i, *xs)`` pulls ``g`` back to input i
`Custom`       the few others; ``jvp`` and ``vjp``
`Discrete`     no derivative at all (indices, comparisons over axes, random bits)
=============  ==========================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypeVar

import numpy as np

from chainrule.axes import Pattern, Ties
from chainrule.errors import GraphError
from chainrule.shapes import (
    DTYPES,
    FLOATS,
    NUMBERS,
    DType,
    Shape,
    broadcast,
    count,
    promote,
    require_dtype,
)

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar
    from chainrule.graph import Node

Array: TypeAlias = "np.ndarray[Any, Any]"
Partial: TypeAlias = "Node | float | Callable[[], Node | float] | None"
"""A local derivative: a node, a number, a function that builds it when it is wanted, or None for zero."""


class HasSpec(Protocol):
    """Anything with a shape and a dtype: a node, an array, a `Spec`."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> DType: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one evaluation. ``bytes`` counts each input and the output once.

    Attributes:
        multiplications: scalar multiplications and divisions.
        additions: scalar additions, subtractions and comparisons.
        transcendentals: calls of exp, log, sin, ... for one element each.
        bytes: bytes read and written.
    """

    multiplications: int = 0
    additions: int = 0
    transcendentals: int = 0
    bytes: int = 0

    @property
    def flops(self) -> int:
        """Multiplications, additions and transcendentals, one each."""
        return self.multiplications + self.additions + self.transcendentals

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.multiplications + other.multiplications,
            self.additions + other.additions,
            self.transcendentals + other.transcendentals,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True)
class PerElement:
    """Cost of a pointwise primitive for one element of its output."""

    multiplications: int = 0
    additions: int = 0
    transcendentals: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """Open interval from which tests draw an input; kinks and poles lie outside."""

    low: float
    high: float

    def sample(self, rng: np.random.Generator, shape: Shape) -> Array:
        return np.asarray(rng.uniform(self.low, self.high, shape))


@dataclass(frozen=True)
class Example:
    """Inputs and parameters on which the tests of every primitive run.

    Attributes:
        inputs: arrays; floating inputs are differentiated.
        params: static parameters.
    """

    inputs: tuple[Array, ...]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Primitive:
    """Base of all primitives. Subclasses set the class attributes and override the rules.

    Attributes:
        name: unique; as the public function is called.
        label: short name or sign for drawings and text, such as ``×``.
        latex: format string with ``{0}``, ``{1}`` for the inputs.
        differentiable: whether derivatives flow through it at all.
        bare: whether its rules may run on bare arrays; set for chainrule's own, whose rules are known to keep
            to what nodes and arrays share.
        value_states_shape: whether its shape rule, for inputs of one floating dtype, is what NumPy does anyway:
            the result has that dtype and the shape of its value, and what does not fit is a ValueError. It
            spares eager programs the shape rule; :func:`register` sets it for pointwise ones.
        emits: dtypes of the numbers for which ``emit`` holds.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    latex: ClassVar[str] = ""
    differentiable: ClassVar[bool] = True
    bare: ClassVar[bool] = False
    value_states_shape: ClassVar[bool] = False
    emits: ClassVar[tuple[DType, ...]] = DTYPES

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        """Shape and dtype of the output. Raises typed errors for inputs that do not fit."""
        raise GraphError(f"{cls.name}: no shape rule", fix="define infer()")

    evaluate: ClassVar[Callable[..., Any]]
    """NumPy evaluation: arrays in, array out; pure, and never in place."""

    intuition: ClassVar[tuple[str, ...]] = ()
    """Why the local derivative is what it is, in one sentence for each input, or one for all of them; ``{0}``, ``{1}``
    are the names of the inputs and ``{y}`` that of the output. What a learner reads in the studio."""

    emit: Callable[..., Any] | None = None  # no ClassVar: type checkers let methods override it
    """``emit(k, *xs, **params)``: what it does to one element of each input, in the scalar instructions ``k`` of a
    backend (:mod:`chainrule.compiler.instructions`), with the results of ``evaluate``. Only for what is
    elementwise, with an output of the shape to which the inputs broadcast; None for the rest."""

    ties: Callable[..., Ties | Pattern | None] | None = None  # no ClassVar: as emit
    """``ties(i, y, *xs, **params)``: which axes of the local derivative with respect to input i belong together, as
    `Ties`, or a `Pattern` of ones. None, for it or from it: each element may depend on any other. Pointwise
    primitives need none."""

    unfolds: ClassVar[bool] = False
    """Whether ``ties`` may lay values out anew, one for each multiplication or addition of an evaluation."""

    batch: Any = None  # a class method or None; type checkers know no type that both fit
    """``batch(xs, batched, **params)``, a class method: the node for many items at once. Inputs that are ``batched``
    have an axis more than the primitive expects, in front; so has the result (:mod:`chainrule.ops.batching` has rules
    to choose from). Pointwise ones need none; of others that have none the items are computed one by one."""

    @classmethod
    def bound(cls, **params: Any) -> Callable[..., Any]:
        """``evaluate`` with its parameters bound, for whoever evaluates many times."""
        return functools.partial(cls.evaluate, **params) if params else cls.evaluate

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        """Work of one evaluation; unless overridden only bytes are moved."""
        return Cost(bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        """Inputs for the tests of every primitive; at least one."""
        raise GraphError(f"{cls.name}: no examples for its tests", fix="define examples()")


def moved_bytes(xs: Sequence[HasSpec], shape: Shape, dtype: DType) -> int:
    """Bytes of all inputs and of the output, each once."""
    read = sum(count(x.shape) * x.dtype.itemsize for x in xs)
    return read + count(shape) * dtype.itemsize


class Pointwise(Primitive):
    """Elementwise, with broadcasting. ``partials`` is the whole derivative.

    Attributes:
        accepts: dtypes of the inputs after promotion.
        result: dtype of the output; None for that of the inputs.
        domain: where tests draw the inputs, one interval for all or one each.
        selects: whether a local derivative of exactly 0 means that the input was not chosen (relu, maximum):
            then nothing of the upstream gradient reaches it, not even where that is infinite.
    """

    accepts: ClassVar[tuple[DType, ...]] = FLOATS
    result: ClassVar[DType | None] = None
    arity: ClassVar[int] = 1
    selects: ClassVar[bool] = False
    domain: ClassVar[Interval | tuple[Interval, ...]] = Interval(-2.0, 2.0)
    per_element: ClassVar[PerElement] = PerElement()

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        first = xs[0]
        shape, dtype = first.shape, first.dtype
        for x in xs:
            if x.dtype is not dtype:
                dtype = promote(cls.name, dtype, x.dtype)
            other = x.shape
            if other != shape and other:
                shape = broadcast(cls.name, *[each.shape for each in xs]) if shape else other
        if dtype not in cls.accepts:
            require_dtype(cls.name, dtype, cls.accepts)
        return shape, cls.result or dtype

    partials: ClassVar[Callable[..., tuple[Partial, ...]]]
    """``partials(y, *xs, **params)``: local derivatives, one for each input."""

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        n, per = count(shape), cls.per_element
        return Cost(
            n * per.multiplications,
            n * per.additions,
            n * per.transcendentals,
            moved_bytes(xs, shape, dtype),
        )

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        domains = cls.domain if isinstance(cls.domain, tuple) else (cls.domain,) * cls.arity
        for shapes in _EXAMPLE_SHAPES[len(domains)]:
            yield Example(tuple(d.sample(rng, s) for d, s in zip(domains, shapes, strict=True)))


_EXAMPLE_SHAPES: dict[int, tuple[tuple[Shape, ...], ...]] = {
    1: (((),), ((3, 4),), ((0, 2),)),
    2: (((), ()), ((3, 4), (3, 4)), ((3, 1), (4,)), ((0, 2), (2,))),
    3: (((), (), ()), ((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), ())),
}


class Linear(Primitive):
    """Linear in the inputs listed in ``linear``.

    Attributes:
        linear: indices of those inputs; None for all of them.
        joint: True if linear in all of them together (sum, concatenate), False if in each while the
            others are held (matmul).
    """

    linear: ClassVar[tuple[int, ...] | None] = (0,)
    joint: ClassVar[bool] = True

    transpose: ClassVar[Callable[..., Node]]
    """``transpose(g, i, *xs, **params)``: pull ``g``, shaped as the output, back to input ``i``."""

    transpose_all: ClassVar[Callable[..., Sequence[Any]] | None] = None
    """Instead of ``transpose`` where one pass over many inputs is cheaper: ``transpose_all(g, wanted, *xs,
    **params)`` pulls ``g`` back to each input, None where it is not wanted."""


class Custom(Primitive):
    """Both rules written out."""

    jvp: ClassVar[Callable[..., Any]]
    """``jvp(tangents, y, *xs, **params)``: push tangents (None for zero) forward; None for zero."""

    vjp: ClassVar[Callable[..., Any]]
    """``vjp(g, y, *xs, **params)``: pull ``g`` back to each input, a tuple of `Partial`."""

    vjp_all: ClassVar[Callable[..., Sequence[Any]] | None] = None
    """Instead of ``vjp`` where one pass gives all that is wanted: ``vjp_all(g, wanted, y, *xs, **params)``, None
    where it is zero or not wanted."""


class Discrete(Primitive):
    """No derivative: integer or boolean results, and random numbers."""

    differentiable = False


def instruction(name: str) -> Callable[..., Any]:
    """The ``emit`` of a primitive that is one scalar instruction."""

    def emit(k: Instructions, *xs: Scalar) -> Scalar:
        return getattr(k, name)(*xs)

    return emit


def elementary(name: str) -> Callable[..., Any]:
    """The ``emit`` of a primitive that is one elementary function."""

    def emit(k: Instructions, *xs: Scalar) -> Scalar:
        return k.elementary(name, *xs)

    return emit


REGISTRY: dict[str, type[Primitive]] = {}
P = TypeVar("P", bound=type[Primitive])


def register(primitive: P) -> P:
    """Class decorator: enter a primitive into the registry under its name.

    Raises:
        GraphError: the name is taken, or a required attribute is missing.
    """
    for attribute in ("name", "label", "evaluate", *_rules_of(primitive)):
        if not hasattr(primitive, attribute):
            raise GraphError(f"primitive {primitive.__name__} lacks {attribute!r}", fix=f"define {attribute}")
    known = REGISTRY.get(primitive.name)
    if known is not None and known.__qualname__ != primitive.__qualname__:
        raise GraphError(f"primitive name {primitive.name!r} is taken by {known}", fix="choose another name")
    primitive.bare = primitive.__module__.partition(".")[0] == "chainrule"
    if primitive.bare and _follows_numpy(primitive):
        primitive.value_states_shape = True
    if not _emits_what_it_evaluates(primitive):
        primitive.emit = None
    REGISTRY[primitive.name] = primitive
    return primitive


def _emits_what_it_evaluates(primitive: type[Primitive]) -> bool:
    """Whether its ``emit`` is not that of a class whose ``evaluate`` has been replaced."""
    stated = (name for c in primitive.__mro__ for name in ("emit", "evaluate") if name in vars(c))
    return next(stated) == "emit"


def _follows_numpy(primitive: type[Primitive]) -> bool:
    """Whether it is pointwise with the common shape rule, and gives floats for floats of either kind."""
    if not issubclass(primitive, Pointwise) or primitive.result is not None:
        return False
    own = [c for c in primitive.__mro__ if issubclass(c, Pointwise) and c is not Pointwise]
    return set(FLOATS) <= set(primitive.accepts) and not any("infer" in vars(c) for c in own)


def _rules_of(primitive: type[Primitive]) -> tuple[str, ...]:
    """What must be defined for its kind."""
    if issubclass(primitive, Pointwise):
        return ("partials",)
    if issubclass(primitive, Linear):
        return ("transpose",) if primitive.transpose_all is None else ()
    if issubclass(primitive, Custom):
        return ("jvp", "vjp") if primitive.vjp_all is None else ("jvp",)
    return ()


__all__ = [
    "NUMBERS",
    "REGISTRY",
    "Array",
    "Cost",
    "Custom",
    "Discrete",
    "Example",
    "HasSpec",
    "Interval",
    "Linear",
    "Partial",
    "PerElement",
    "Pointwise",
    "Primitive",
    "elementary",
    "instruction",
    "moved_bytes",
    "register",
]
