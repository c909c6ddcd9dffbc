"""What a primitive emits for one element, run on NumPy arrays, is what it evaluates.

Held for every primitive that emits: on its examples and on special values, in every dtype it takes.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from chainrule.compiler.instructions import Instructions
from chainrule.compiler.on_numpy import ELEMENTARY, NumpyInstructions
from chainrule.errors import DTypeError
from chainrule.modes import silently
from chainrule.ops.exponential import Exp
from chainrule.primitive import REGISTRY, Pointwise, instruction, register
from chainrule.shapes import DTYPES, FLOATS, INTS, bool_, promote

EMITTED = {name: op for name, op in sorted(REGISTRY.items()) if op.emit is not None}
each = pytest.mark.parametrize("op", [pytest.param(op, id=name) for name, op in EMITTED.items()])

ULP = 4
"""Where elementary functions take part, the order of the arithmetic around them is free within this."""

SUMS = {"logaddexp"}
"""Sums near 1 that may cancel: their ulp is at least that of 1."""


class Element:
    """What an emission is given: opaque, so that Python's operators and truth do not work on it."""

    __eq__ = __bool__ = __hash__ = None

    def __init__(self, value):
        self.value = value


FLOATING = {"div", "sqrt", "floor", "ceil", "trunc", "round", "copysign", "elementary"}


class Strict:
    """NumPy's instructions on `Element`, which insist on what is written of the dtypes, and remember names."""

    def __init__(self):
        self.k = NumpyInstructions()
        self.used = set()

    def dtype(self, x):
        return self.k.dtype(x.value)

    def number(self, value, like):
        return Element(self.k.number(value, like.value))

    def convert(self, x, dtype):
        return Element(self.k.convert(x.value, dtype))

    def __getattr__(self, name):
        assert hasattr(Instructions, name)

        def run(*args):
            self.used.add(name)
            dtypes = [np.asarray(x.value).dtype for x in args if isinstance(x, Element)]
            if name == "select":
                assert dtypes.pop(0) == bool_
            assert all(d == dtypes[0] for d in dtypes)
            if name in FLOATING:
                assert dtypes[0] in FLOATS
            elif name.startswith("logical"):
                assert dtypes[0] == bool_
            elif name not in ("select", "equal", "not_equal"):
                assert dtypes[0] != bool_
            return Element(getattr(self.k, name)(*[x.value if isinstance(x, Element) else x for x in args]))

        return run


def emitted(op, xs, params):
    """The result of an emission, and the instructions it used."""
    numbers = [x.dtype for x in xs if x.dtype != bool_]
    common = promote(op.name, *numbers) if numbers else None
    k = Strict()
    elements = [Element(x if x.dtype == bool_ else x.astype(common)) for x in xs]
    return np.asarray(silently(op.emit, k, *elements, **params).value), k.used


def assert_same(got, wanted, ulp, least):
    """Equal bits, but for those of nan; or the same specials, and numbers within ``ulp`` of ``least`` or more."""
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    if got.dtype not in FLOATS:
        np.testing.assert_array_equal(got, wanted)
        return
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    got, wanted = got[~np.isnan(got)], wanted[~np.isnan(wanted)]
    np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
    special = np.isinf(wanted) | (wanted == 0)
    exact = special if ulp else np.ones_like(special)
    np.testing.assert_array_equal(got[exact], wanted[exact])
    rest, wanted = got[~exact], wanted[~exact]
    distance = silently(lambda: np.abs(rest - wanted) / np.spacing(np.maximum(np.abs(wanted), least)))
    assert np.all(distance <= ulp)


def allowed(op, xs):
    """The inputs, but exponents of integers without their signs, which would be an error."""
    if op.name == "power" and xs[1].dtype in INTS:
        return [xs[0], xs[1] & np.iinfo(xs[1].dtype).max]
    return xs


def hold(op, xs, params):
    """The emission gives what is evaluated, and the shape rule says."""
    xs = allowed(op, xs)
    shape, dtype = op.infer(*xs, **params)
    assert shape == np.broadcast_shapes(*[x.shape for x in xs])
    wanted = np.asarray(silently(op.evaluate, *xs, **params))
    got, used = emitted(op, xs, params)
    assert (got.shape, got.dtype) == (shape, dtype)
    assert_same(got, wanted, ULP if "elementary" in used else 0, 1 if op.name in SUMS else 0)


def variants(op):
    """Its examples in each dtype it takes and emits; the first two inputs also of two floating dtypes."""
    found = []
    for example in op.examples(np.random.default_rng(11)):
        settings = [{"dtype": d} for d in DTYPES] if "dtype" in example.params else [example.params]
        xs = [np.asarray(x) for x in example.inputs]
        numbers = [i for i, x in enumerate(xs) if x.dtype != bool_]
        for dtype, params in itertools.product(DTYPES, settings):
            found.append(([x.astype(dtype) if i in numbers else x for i, x in enumerate(xs)], params))
        if len(numbers) > 1:
            mixed = [x.astype(np.float32) if i == numbers[0] else x for i, x in enumerate(xs)]
            found.append((mixed, example.params))
    taken = [(xs, params) for xs, params in found if takes(op, xs, params)]
    assert taken
    return taken


def takes(op, xs, params):
    """Whether it takes the inputs' dtypes, and emits for them."""
    try:
        op.infer(*xs, **params)
    except DTypeError:
        return False
    return all(x.dtype in op.emits for x in xs)


def specials(dtype):
    """Numbers at which functions are apt to go wrong."""
    if dtype == bool_:
        return np.array([False, True])
    if dtype in INTS:
        limits = np.iinfo(dtype)
        return np.array([limits.min, limits.min + 1, -7, -2, -1, 0, 1, 2, 3, 100, limits.max], dtype)
    limits = np.finfo(dtype)
    sizes = [0, limits.smallest_subnormal, limits.tiny, limits.eps, 0.5, 1, 1 + limits.eps, 1.5, 2, 2.5, 3]
    sizes += [4.5, 9.5, 20, 88.7, 90, 709.5, 745, 1e9, 1e30, limits.max, np.inf]
    half = np.array(sizes, dtype)
    return np.concatenate([half, -half, np.array([np.nan], dtype)])


@each
def test_emission_gives_what_is_evaluated_on_the_examples(op):
    for xs, params in variants(op):
        hold(op, xs, params)


@each
def test_emission_gives_what_is_evaluated_on_special_values(op):
    kinds = {(*[x.dtype for x in xs], *params.items()): (xs, params) for xs, params in variants(op)}
    for xs, params in kinds.values():
        columns = np.meshgrid(*[specials(x.dtype) for x in xs], indexing="ij")
        hold(op, [column.reshape(-1) for column in columns], params)


def test_every_pointwise_primitive_emits_in_every_dtype_it_accepts():
    lacks = {
        op.name: tuple(d for d in op.accepts if op.emit is None or d not in op.emits)
        for op in REGISTRY.values()
        if issubclass(op, Pointwise)
    }
    assert not {name: dtypes for name, dtypes in lacks.items() if dtypes}


def test_what_else_is_elementwise_emits():
    others = {name for name, op in EMITTED.items() if not issubclass(op, Pointwise)}
    # Not constant_in: its second input has any shape.
    assert others == {"identity", "stop_gradient", "astype", "scale", "where"}


def test_numpy_has_every_instruction_and_every_elementary_function():
    public = {name for name in vars(Instructions) if not name.startswith("_")}
    assert public == {name for name in vars(NumpyInstructions) if not name.startswith("_")}
    written = Instructions.elementary.__doc__
    assert all(f"{name}," in written or f"{name};" in written for name in ELEMENTARY)


def test_strong_zeros_of_one_element_do_not_depend_on_the_others():
    upstream, factor = np.array([-0.0, 0.0, 0.0]), np.array([2.0, -3.0, np.inf])
    value = silently(REGISTRY["scale"].evaluate, upstream, factor)
    assert value.tolist() == [0, 0, 0] and np.signbit(value).tolist() == [True, True, False]


def test_a_class_that_replaces_an_evaluation_does_not_keep_its_emission():
    @register
    class Doubled(Exp):
        name = "test_emission_doubled_exp"
        evaluate = staticmethod(lambda x: 2 * np.exp(x))

    @register
    class Renamed(Exp):
        name = "test_emission_renamed_exp"

    @register
    class Written(Doubled):
        name = "test_emission_written_exp"
        emit = instruction("sqrt")

    try:
        assert (Doubled.emit, Renamed.emit) == (None, Exp.emit)
        assert Written.emit is not None
    finally:
        for op in (Doubled, Renamed, Written):
            del REGISTRY[op.name]


@pytest.mark.parametrize("mistake", [lambda k, x: x + 1, lambda k, x: x == x, lambda k, x: k.abs(x or x)])
def test_elements_are_not_for_pythons_operators(mistake):
    with pytest.raises(TypeError):
        mistake(Strict(), Element(np.ones(3)))


def test_dtypes_are_not_mixed():
    with pytest.raises(AssertionError):
        Strict().add(Element(np.ones(3)), Element(np.ones(3, np.float32)))
