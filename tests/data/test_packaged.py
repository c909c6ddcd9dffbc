"""The digits that travel with the package, and their fixed split."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from chainrule import data
from chainrule.data import packaged
from chainrule.errors import DataError


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
    monkeypatch.setattr(packaged, "files", lambda package: tmp_path)
    packaged._digits.cache_clear()
    yield tmp_path / "datasets" / "digits.csv.gz"
    packaged._digits.cache_clear()


def test_a_missing_file_is_reported(installed: Path):
    with pytest.raises(DataError, match=r"digits.csv.gz cannot be read: .*\n  Fix: install chainrule again"):
        data.digits()


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"1,2,3\n" * 1797, mtime=0)])
def test_a_damaged_file_is_reported(installed: Path, content: bytes):
    installed.write_bytes(content)
    with pytest.raises(DataError, match=rf"digits.csv.gz is damaged: {len(content)} bytes with SHA-256"):
        data.digits()
