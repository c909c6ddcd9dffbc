"""Batches: every example once, in an order that the key alone determines, and resumable to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.data import Batches, Dataset, Preparation
from chainrule.errors import ArgumentError, DataError, OperandError, ShapeError

KEY = cr.random.key(3)


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


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    """50 random images of 6 × 5 pixels in colour, of two classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 6, 5, 3), dtype=np.uint8)
    return Dataset.from_arrays(images, np.arange(50) % 2, test=10)


def same(some: Any, others: Any) -> None:
    some, others = list(some), list(others)
    assert len(some) == len(others)
    for (x, y), (u, v) in zip(some, others, strict=True):
        assert x.dtype == u.dtype and y.dtype == v.dtype
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_an_epoch_is_prepared_and_has_the_order_of_its_key(pictures: Dataset):
    work = Batches(pictures, 16, KEY)
    assert len(work) == 3 and repr(work) == "<Batches: 3 of 16 examples>"
    expected = data.batches(
        pictures.train_x / np.float32(255), pictures.train_y, 16, cr.random.fold_in(KEY, 7)
    )
    same(work.epoch(7), expected)
    x, y = next(work.epoch(1))
    assert x.dtype == np.float32 and y.dtype == np.int64 and x.shape == (16, 6, 5, 3)
    first, second = (np.concatenate([y for _, y in work.epoch(e)]) for e in (1, 2))
    assert list(first) != list(second)


def test_without_a_key_the_order_stays(pictures: Dataset):
    got = list(Batches(pictures, 4, part="test").epoch())
    np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), pictures.prepared("test")[0])
    np.testing.assert_array_equal(np.concatenate([y for _, y in got]), pictures.test_y)


@pytest.mark.parametrize("augment", [(), [data.crop(2), data.flip()]])
def test_an_epoch_resumes_to_the_bit(pictures: Dataset, augment: Any):
    whole = list(Batches(pictures, 8, KEY, augment=augment).epoch(4))
    for start in range(6):
        same(Batches(pictures, 8, KEY, augment=augment).epoch(4, start), whole[start:])


def test_augmentation_does_not_depend_on_the_size_of_batches(pictures: Dataset):
    augment = [data.crop(1), data.flip(0.3)]
    one, two = (
        np.concatenate([x for x, _ in Batches(pictures, size, KEY, augment=augment).epoch(2)])
        for size in (8, 7)
    )
    np.testing.assert_array_equal(one, two)
    plain = np.concatenate([x for x, _ in Batches(pictures, 8, KEY).epoch(2)])
    assert (one != plain).any()
    other = np.concatenate([x for x, _ in Batches(pictures, 8, KEY, augment=augment).epoch(3)])
    assert (one != other).any()


def test_padding_is_black_before_it_is_prepared(pictures: Dataset):
    grey = pictures.replace(preparation=Preparation(scale=255, mean=(0.5,), std=(0.5,)))
    x = np.concatenate([x for x, _ in Batches(grey, 8, KEY, augment=data.crop(6)).epoch()])
    black = (x == -1).all(axis=(1, 2, 3))
    assert black.any()  # shifted out of sight: black pixels, prepared like others


def test_augmented_rows_of_features_are_pictures_where_their_shape_is_known():
    work = Batches(data.digits(), 100, KEY, augment=data.flip(1.0))
    x, _ = next(work.epoch())
    plain, _ = next(Batches(data.digits(), 100, KEY).epoch())
    np.testing.assert_array_equal(x.reshape(-1, 8, 8)[:, :, ::-1], plain.reshape(-1, 8, 8))


def test_what_fills_no_batch_may_be_left_out(pictures: Dataset):
    work = Batches(pictures, 16, KEY, drop_last=True)
    assert len(work) == 2 and [len(x) for x, _ in work.epoch()] == [16, 16]
    same(work.epoch(1), list(Batches(pictures, 16, KEY).epoch(1))[:2])
    assert len(Batches(pictures, 40, drop_last=True)) == 1


def test_targets_of_a_regression_pass_as_they_are():
    x, y = np.arange(6.0).reshape(6, 1), np.arange(6.0) / 2
    points = Dataset.from_arrays(x, y, test=(x, y))
    got, targets = next(Batches(points, 6).epoch())
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(got[:, 0], 2 * targets)


def test_batches_of_a_data_set_refuse_at_once(pictures: Dataset):
    with pytest.raises(OperandError, match="data must be a Dataset, got ndarray"):
        Batches(pictures.train_x, 8)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="size must be at least 1, got 0"):
        Batches(pictures, 0)
    with pytest.raises(ShapeError, match=r"expected a key of shape \(2,\), got shape \(\)"):
        Batches(pictures, 8, 0)
    with pytest.raises(ArgumentError, match=r"no part 'valid'\n  Fix: make one: data = data.split"):
        Batches(pictures, 8, part="valid")
    with pytest.raises(ArgumentError, match="no batch of 41 can be filled with 40 examples"):
        Batches(pictures, 41, drop_last=True)
    with pytest.raises(ArgumentError, match="augment needs a key"):
        Batches(pictures, 8, augment=data.flip())
    with pytest.raises(ArgumentError, match="expected augmentations, got 'flip'"):
        Batches(pictures, 8, KEY, augment="flip")  # type: ignore[arg-type]
    for start in (-1, 6):
        with pytest.raises(
            ArgumentError, match=f"start must be from 0 to 5, the number of batches, got {start}"
        ):
            Batches(pictures, 8).epoch(1, start)
    table = Dataset.from_arrays(np.ones((4, 3)), np.array([0, 1, 0, 1]), test=1)
    with pytest.raises(DataError, match=r"examples of shape \(3,\) are not known to be pictures"):
        Batches(table, 2, KEY, augment=data.flip())
