"""Flips and crops: what they do to pixels, how often, and that a key and a number alone decide."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.errors import ArgumentError, DataError

KEY = cr.random.key(11).numpy()


def images(rng: np.random.Generator, n: int, dtype: Any, channels: int) -> Any:
    return rng.integers(1, 256, (n, 7, 5, channels)).astype(dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_flip_mirrors_some_images_and_no_other(rng: np.random.Generator, dtype: Any, channels: int):
    x = images(rng, 200, dtype, channels)
    before = x.copy()
    result = data.flip()(x, KEY, 0)
    mirrored = (result == x[:, :, ::-1]).all((1, 2, 3))
    same = (result == x).all((1, 2, 3))
    assert (mirrored ^ same).all() and 70 < mirrored.sum() < 130
    assert result.dtype == dtype
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(data.flip(1.0)(x, KEY, 0), x[:, :, ::-1])
    np.testing.assert_array_equal(data.flip(0.0)(x, KEY, 0), x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_crop_shifts_and_fills_with_black(rng: np.random.Generator, dtype: Any, channels: int):
    x = images(rng, 300, dtype, channels)
    result = data.crop(2)(x, KEY, 0)
    assert result.shape == x.shape and result.dtype == dtype
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for one, wide in zip(result, padded, strict=True):
        places = [
            (r, c) for r in range(5) for c in range(5) if np.array_equal(one, wide[r : r + 7, c : c + 5])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 25  # every place occurs
    np.testing.assert_array_equal(data.crop(0)(x, KEY, 0), x)


@pytest.mark.parametrize("change", [data.flip(0.4), data.crop(3)])
def test_number_and_key_decide(rng: np.random.Generator, change: Any):
    x = images(rng, 60, np.uint8, 3)
    whole = change(x, KEY, 100)
    for first in (0, 1, 7, 59):
        np.testing.assert_array_equal(change(x[first:], KEY, 100 + first), whole[first:])
    assert (change(x, cr.random.key(12).numpy(), 100) != whole).any()
    assert (change(x, KEY, 101) != whole).any()
    assert change(x[:0], KEY, 0).shape == (0, 7, 5, 3)


def test_images_that_lie_anyhow_in_memory(rng: np.random.Generator):
    x = images(rng, 20, np.uint8, 3)
    turned = np.asfortranarray(x)
    for change in (data.flip(0.5), data.crop(1)):
        np.testing.assert_array_equal(change(turned, KEY, 0), change(x, KEY, 0))


def test_documents():
    for change in (data.flip(0.25), data.crop(3)):
        assert data.augmentation_from(json.loads(json.dumps(change.to_dict()))) == change
    for document in (None, [], {}, {"name": "rotate"}, "flip"):
        with pytest.raises(DataError, match="augmentation: expected a document of flip or crop, got"):
            data.augmentation_from(document)
    with pytest.raises(DataError, match="augmentation: expected the fields name, pad, got"):
        data.augmentation_from({"name": "crop", "pad": 3, "fill": 0})


def test_impossible_arguments_are_refused():
    for p in (-0.1, 1.1, float("nan"), "0.5", True, None):
        with pytest.raises(ArgumentError, match=r"flip: p must lie in \[0, 1\], got"):
            data.flip(p)  # type: ignore[arg-type]
    for pad in (-1, 1 << 20):
        with pytest.raises(ArgumentError, match=f"crop: pad must be from 0 to 4096, got {pad}"):
            data.crop(pad)
    with pytest.raises(ArgumentError, match=r"crop: pad must be an integer, got 1.5"):
        data.crop(1.5)  # type: ignore[arg-type]
