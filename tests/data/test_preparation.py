"""How raw examples become input: the formula to the bit, whatever their shape, and what is no preparation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import Preparation
from chainrule.errors import DataError, ShapeError

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_formula_to_the_bit(rng: np.random.Generator, dtype: Any):
    x = rng.integers(0, 256, (5, 4, 3, 3)).astype(dtype)
    before = x.copy()
    result = Preparation(255, MEAN, STD)(x)
    work = np.float64 if dtype is np.float64 else np.float32
    expected = (x.astype(work) / work(255) - np.array(MEAN, work)) / np.array(STD, work)
    assert result.dtype == work
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, before)
    one = np.concatenate([Preparation(255, MEAN, STD)(x[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(one, result)


def test_each_part_may_be_left_out(rng: np.random.Generator):
    x = rng.normal(size=(5, 6)).astype(np.float32)
    assert Preparation()(x) is not None and np.shares_memory(Preparation()(x), x)
    np.testing.assert_array_equal(Preparation(mean=(2.0,))(x), x - np.float32(2))
    np.testing.assert_array_equal(Preparation(std=(2.0,))(x), x / np.float32(2))
    np.testing.assert_array_equal(Preparation(mean=tuple(range(6)))(x), x - np.arange(6, dtype=np.float32))
    assert Preparation(shape=(2, 3))(x).shape == (5, 2, 3)
    assert Preparation(shape=(6,))(x.reshape(5, 2, 3)).shape == (5, 6)
    assert Preparation()(np.zeros((2, 3), np.uint8)).dtype == np.float32
    assert Preparation(2.0)(x[:0]).shape == (0, 6)


def test_indices_stay_integers():
    x = np.array([[1, 2], [3, 4]])
    assert Preparation()(x).dtype == np.int64
    with pytest.raises(DataError, match="cannot prepare examples of dtype int64: expected floats or uint8"):
        Preparation(2.0)(x)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"std has 3 numbers, examples of shape \(4,\) have 4 along"):
        Preparation(std=STD)(np.ones((2, 4), np.float32))
    with pytest.raises(
        ShapeError, match=r"examples of shape \(4,\) cannot become \(5,\): 4 numbers are not 5"
    ):
        Preparation(shape=(5,)).input_shape((4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale must be numbers from 1e-30 to 1e\\+30"),
        ({"scale": float("nan")}, "scale must be"),
        ({"scale": "255"}, "scale must be"),
        ({"scale": True}, "scale must be"),
        ({"scale": 10**400}, "scale must be"),
        ({"std": (0.0,)}, "std must be numbers from 1e-30"),
        ({"std": (1e-200,)}, "std must be"),
        ({"mean": (float("inf"),)}, "mean must be numbers from -1e\\+30"),
        ({"mean": ()}, "mean must be"),
        ({"mean": 0.5}, "mean must be"),
        ({"shape": 784}, "shape: expected sizes of 1 or more, got 784"),
        ({"shape": (2.0,)}, "shape: expected sizes"),
        ({"shape": (-1,)}, "shape: expected sizes"),
        ({"shape": (1 << 40,)}, "shape: no example is of shape"),
        ({"dtype": "int8"}, "dtype must be float32, float64 or None, got 'int8'"),
    ],
)
def test_impossible_numbers_are_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        Preparation(**arguments)


numbers = st.floats(-1e30, 1e30)
divisors = st.floats(1e-30, 1e30)


@given(
    divisors,
    st.none() | st.lists(numbers, min_size=1, max_size=4),
    st.none() | st.lists(divisors, min_size=1, max_size=4),
    st.none() | st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.sampled_from([None, "float32", "float64"]),
)
def test_every_preparation_survives_a_file(scale: float, mean: Any, std: Any, shape: Any, dtype: Any):
    wanted = Preparation(scale, mean, std, shape, dtype)
    assert Preparation.from_dict(json.loads(json.dumps(wanted.to_dict(), allow_nan=False))) == wanted


def test_a_damaged_document_is_named():
    for document in (None, [], {}, {"scale": 1}, {**Preparation().to_dict(), "gamma": 2}):
        with pytest.raises(
            DataError, match="preparation: expected the fields scale, mean, std, shape, dtype, got"
        ):
            Preparation.from_dict(document)
