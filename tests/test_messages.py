"""Bad calls: every public function says what it got, what it expected, how to mend it, and where it was called."""

from __future__ import annotations

import array
import ast
import enum
import linecache
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr

CATALOGUE = Path(__file__).with_name("messages.txt")
"""Bad calls with their errors as they are printed; a call is a line of its own."""

NAMES = {
    "B": cr.tensor([True, False]),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "I": cr.tensor([0, 1]),
    "IMAGES": cr.ones((1, 4, 4, 2)),
    "KERNEL": cr.ones((2, 2, 2, 1)),
    "KEY": cr.random.key(0),
    "M": cr.ones((2, 3)),
    "S": cr.eye(2),
    "V": cr.ones(3),
    "cr": cr,
    "nan": float("nan"),
    "np": np,
}


class BadCall(NamedTuple):
    """An entry of the catalogue: the call, its line in the file, and the error."""

    call: str
    line: int
    printed: str

    @property
    def function(self) -> str:
        """The public name that is called, without its arguments."""
        return self.call.removeprefix("cr.").partition("(")[0]

    def raised(self) -> cr.errors.ChainruleError:
        """The error of the call, made where the catalogue has it."""
        tree = ast.parse(self.call, str(CATALOGUE), "eval")
        code = compile(ast.increment_lineno(tree, self.line - 1), str(CATALOGUE), "eval")
        with pytest.raises(cr.errors.ChainruleError) as caught:
            eval(code, dict(NAMES))
        return caught.value


def read_catalogue() -> list[BadCall]:
    line, calls = 1, []
    for block in CATALOGUE.read_text(encoding="utf-8").split("\n\n"):
        block = block.strip("\n")
        if not block.startswith("#"):
            call, _, printed = block.partition("\n")
            calls.append(BadCall(call, line, printed))
        line += block.count("\n") + 2
    return calls


BAD_CALLS = read_catalogue()


@pytest.mark.parametrize("bad", BAD_CALLS, ids=lambda bad: bad.call)
def test_a_bad_call(bad: BadCall):
    error = bad.raised()
    assert f"{type(error).__name__}: {error.message}\n  Fix: {error.fix}" == bad.printed
    assert str(error).endswith(f"\n  At:  messages.txt:{bad.line}  {bad.call}")
    assert error.source is not None and error.source.file == str(CATALOGUE)


def test_every_public_function_is_in_the_catalogue():
    spaces = {"": cr.ops, "random.": cr.random, "linalg.": cr.linalg, "optim.": cr.optim}
    public = {
        prefix + name
        for prefix, space in spaces.items()
        for name in space.__all__
        if callable(getattr(space, name)) and not isinstance(getattr(space, name), type)
    }
    assert public - {bad.function for bad in BAD_CALLS} == set()


def test_the_source_is_the_line_of_the_user():
    with pytest.raises(cr.errors.ShapeError) as caught:
        cr.add(
            cr.ones(2),
            cr.ones(3),
        )
    source = caught.value.source
    assert source is not None and source.file == __file__
    assert source.text == linecache.getline(__file__, source.line).strip() == "cr.add("


class WithArray:
    """What a data frame offers: a conversion to an array."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        (True, "bool", ()),
        (3, "int64", ()),
        (Level.HIGH, "int64", ()),
        (0.5, "float64", ()),
        (np.float64(0.5), "float64", ()),
        (np.float32(0.5), "float32", ()),
        (np.int32(3), "int32", ()),
        (np.bool_(True), "bool", ()),
        (range(3), "int64", (3,)),
        (array.array("d", [1.0, 2.0]), "float64", (2,)),
        (memoryview(np.ones((2, 3), np.float32)), "float32", (2, 3)),
        ([[1, 2.5], [True, 3]], "float64", (2, 2)),
        ((np.float32(1), np.float32(2)), "float32", (2,)),
        ([], "float64", (0,)),
        (np.ones((1, 2)).view(np.matrix), "float64", (1, 2)),
        (np.ma.array([1.0, 2.0]), "float64", (2,)),
        (np.ones(2, ">f8"), "float64", (2,)),
        (np.ones((2, 0), ">i4"), "int32", (2, 0)),
        (WithArray([[1.0, 2.0]]), "float64", (1, 2)),
        (np.ones((4, 6), np.float32)[::2, ::-3], "float32", (2, 2)),
    ],
    ids=lambda x: (
        type(x).__name__ if callable(getattr(x, "__array__", None)) or isinstance(x, memoryview) else repr(x)
    ),
)
def test_numbers_of_every_origin(given: Any, dtype: str, shape: tuple[int, ...]):
    for made in (cr.tensor(given), cr.stack([given])[0]):
        assert (made.dtype.name, made.shape) == (dtype, shape)
        assert made.dtype.isnative
        np.testing.assert_array_equal(made.numpy(), np.asarray(given))


@pytest.mark.parametrize("given", [Fraction(1, 3), Decimal("0.5"), 2**70, 1j, "1", None, object()])
def test_numbers_that_are_none_of_ours_are_not_taken_in_operators_either(given: Any):
    """A chainrule error, or Python's own for operands that do not know each other: never an array of objects."""
    for compute in (lambda x: x + given, lambda x: given * x, lambda x: x @ given, lambda x: x**given):
        with pytest.raises((cr.errors.ChainruleError, TypeError)):
            compute(cr.ones(2, dtype="int64"))


def test_an_error_of_the_object_that_is_converted_stays_what_it_is():
    class Broken:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        cr.exp(Broken())


def test_numbers_of_numpy_are_arrays_and_those_of_python_are_not():
    x = cr.ones(2, dtype="float32")
    assert (x * 2.0).dtype.name == (x * 2).dtype.name == "float32"
    assert (x * np.float32(2)).dtype.name == "float32"
    assert (x * np.float64(2)).dtype.name == "float64"


def test_too_large_is_also_a_memory_error():
    with pytest.raises(MemoryError):
        cr.zeros((10**9, 10**9))


def test_a_quoted_value_is_short():
    assert cr.errors.shown(cr.ones((2, 3))) == "Tensor of shape (2, 3)"
    assert cr.errors.shown(list(range(1000))).endswith("... (list)")
    assert cr.errors.shown(object()) == "object"
    assert cr.errors.shown(10**5000) == "a very long int"
    assert cr.errors.shown("two\nlines") == r"'two\nlines'"
