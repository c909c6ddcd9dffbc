"""The digits and their fixed split, data sets that do not fit, and batches."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.errors import ArgumentError, DataError, ShapeError


def test_digits():
    digits = data.digits()
    assert digits.train_x.shape == (1437, 64) and digits.test_x.shape == (360, 64)
    assert digits.train_y.shape == (1437,) and digits.test_y.shape == (360,)
    assert digits.train_x.dtype == digits.test_x.dtype == np.float32
    assert digits.train_y.dtype == digits.test_y.dtype == np.int64
    assert (digits.train_x.min(), digits.train_x.max()) == (0, 1)
    assert digits.classes == tuple("0123456789") and digits.image_shape == (8, 8)
    assert np.bincount(digits.test_y, minlength=10).min() >= 25


def test_printing_a_data_set_is_short():
    expected = "<Dataset: 1437 examples to train on, 360 to test on, of shape (64,); 10 classes>"
    assert str(data.digits()) == repr(data.digits()) == expected


def test_the_split_is_the_same_for_ever():
    digits = data.digits()
    labels = np.concatenate([digits.train_y, digits.test_y]).astype(np.uint8)
    found = hashlib.sha256(labels.tobytes()).hexdigest()
    assert found == "06700cd4973c6fcbcb3f355a917be09001fe115d65ff3e3f5885e8296dbe6078"
    whole = np.concatenate([digits.train_x, digits.test_x]) * 16
    assert whole.sum() == 561_718  # every image is there once
    assert len(np.unique(whole, axis=0)) == 1797


def test_digits_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        data.digits().train_x[0, 0] = 1


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package folder to break, in place of the real one."""
    (tmp_path / "datasets").mkdir()
    monkeypatch.setattr(data, "files", lambda package: tmp_path)
    data._digits.cache_clear()
    yield tmp_path / "datasets" / "digits.csv.gz"
    data._digits.cache_clear()


def test_a_missing_file_is_reported(installed: Path):
    with pytest.raises(DataError, match=r"digits.csv.gz cannot be read: .*\n  Fix: install chainrule again"):
        data.digits()


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"1,2,3\n" * 1797)])
def test_a_damaged_file_is_reported(installed: Path, content: bytes):
    installed.write_bytes(content)
    with pytest.raises(DataError, match=rf"digits.csv.gz is damaged: {len(content)} bytes with SHA-256"):
        data.digits()


def dataset(**parts: Any) -> data.Dataset:
    x, y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
    return data.Dataset(
        **{"train_x": x, "train_y": y, "test_x": x, "test_y": y, "classes": ("no", "yes"), **parts}
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train_x": [[1.0]]}, "train_x: expected a NumPy array of floats, got list"),
        ({"test_y": np.ones(4)}, "test_y: expected a NumPy array of integers, got float64"),
        ({"train_y": np.zeros(3, np.int64)}, r"train_x has shape \(4, 3\), train_y \(3,\)"),
        ({"test_x": np.ones((4, 2))}, r"train_x has examples of shape \(3,\), test_x of \(2,\)"),
        ({"train_x": np.ones((0, 3)), "train_y": np.ones(0, np.int64)}, "there must be an example"),
        ({"train_x": np.array([[1.0], [1.0], [np.nan], [1.0]])}, "train_x is not finite in row 2"),
        ({"test_y": np.array([0, 1, 2, 0])}, "test_y has label 2, but there are 2 classes"),
        ({"train_y": np.array([0, 1, -1, 0])}, "train_y has label -1"),
        ({"image_shape": (2, 2)}, r"image_shape \(2, 2\) does not hold 3 features"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], message: str):
    dataset()
    with pytest.raises(DataError, match=message):
        dataset(**parts)


def test_batches_hold_every_example_once():
    x, y = np.arange(10.0).reshape(10, 1), np.arange(10)
    cut = list(data.batches(x, y, 4, cr.random.key(3)))
    assert [len(a) for a, _ in cut] == [4, 4, 2]
    order = np.concatenate([b for _, b in cut])
    assert sorted(order) == list(range(10)) and list(order) != list(range(10))
    assert all((a[:, 0] == b).all() for a, b in cut)
    again = np.concatenate([b for _, b in data.batches(x, y, 3, cr.random.key(3))])
    np.testing.assert_array_equal(order, again)
    other = np.concatenate([b for _, b in data.batches(x, y, 4, cr.random.key(4))])
    assert list(order) != list(other)
    assert [list(b) for _, b in data.batches(x, y, 7)] == [[*range(7)], [7, 8, 9]]
    assert list(data.batches(x[:0], y[:0], 4)) == []


def test_batches_refuse_at_once():
    with pytest.raises(ShapeError, match=r"x has shape \(3,\), y \(2,\): their first axes differ"):
        data.batches(np.ones(3), np.ones(2), 1)
    with pytest.raises(ShapeError, match="their first axes differ"):
        data.batches(1.0, 2.0, 1)
    for size in (0, -1):
        with pytest.raises(ArgumentError, match=f"size must be at least 1, got {size}"):
            data.batches(np.ones(3), np.ones(3), size)
    with pytest.raises(ArgumentError, match="size must be an integer"):
        data.batches(np.ones(3), np.ones(3), 1.5)
