"""Data sets: parts that fit each other, splits, preparation, and those made of users' arrays."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.data import Dataset, Description, Preparation
from chainrule.errors import ArgumentError, DataError, DTypeError, ShapeError

KEY = cr.random.key(5)


def dataset(**parts: Any) -> data.Dataset:
    x, y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
    return data.Dataset(
        **{"train_x": x, "train_y": y, "test_x": x, "test_y": y, "classes": ("no", "yes"), **parts}
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train_x": [[1.0]]}, "train_x: expected a NumPy array of floats, .* got list"),
        ({"test_y": np.ones(4)}, "test_y: expected a NumPy array of integers, got float64"),
        ({"train_y": np.zeros(3, np.int64)}, r"train_x has shape \(4, 3\), train_y \(3,\)"),
        ({"test_x": np.ones((4, 2), np.float32)}, r"train_x has examples of shape \(3,\), test_x of \(2,\)"),
        ({"train_x": np.ones((0, 3)), "train_y": np.ones(0, np.int64)}, "there must be an example"),
        ({"train_x": np.array([[1.0], [1.0], [np.nan], [1.0]])}, "train_x is not finite in row 2"),
        ({"test_y": np.array([0, 1, 2, 0])}, "test_y has label 2 in row 2, but there are 2 classes"),
        ({"train_y": np.array([0, 1, -1, 0])}, "train_y has label -1"),
        ({"image_shape": (2, 2)}, r"image_shape \(2, 2\) does not hold 3 features"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], message: str):
    dataset()
    with pytest.raises(DataError, match=message):
        dataset(**parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train_y": np.zeros(4, np.int64)}, "no training example is of class 'yes': what never occurs"),
        (
            {"classes": tuple("abcdefghij"), "train_y": np.array([0, 1, 0, 1])},
            "no training example is of class 'c', 'd', 'e', 'f', 'g' and 3 more",
        ),
        ({"classes": ("no", "no")}, "two classes are called 'no'"),
        (
            {"classes": None},
            "train_y: expected a NumPy array of floats, the targets of a regression, got int64",
        ),
        ({"test_x": np.ones((4, 3))}, "train_x is float32, test_x float64"),
        ({"valid_x": np.ones((4, 3), np.float32)}, "valid_x and valid_y belong together"),
        ({"train_x": np.ones((4, 3), np.float16)}, "train_x: expected a NumPy array .*, got float16"),
        ({"train_x": np.ones((4, 3), np.complex64)}, "train_x: expected a NumPy array .*, got complex64"),
        ({"train_x": np.ones((4, 0), np.float32)}, r"train_x has examples of shape \(0,\), which are empty"),
        ({"train_x": np.ones((4, 8, 8, 4), np.uint8)}, r"images of shape \(8, 8, 4\) have 4 channels"),
        (
            {"train_x": np.ones((4, 3, 8, 8), np.uint8)},
            r"have 8 channels\n  Fix: .*: x.transpose\(0, 2, 3, 1\)",
        ),
        ({"features": ("a", "b")}, r"2 names of features for examples of shape \(3,\)"),
        ({"image_shape": (3,)}, r"image_shape \(3,\) is no shape of a picture"),
    ],
)
def test_more_parts_that_do_not_fit_are_refused(parts: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        dataset(**parts)


def test_a_name_twice_among_many_is_found_at_once():
    names = (*map(str, range(50_000)), "49999")
    started = time.process_time()
    with pytest.raises(DataError, match="two classes are called '49999'"):
        made(np.ones((4, 1)), [0, 1, 0, 1], classes=names)
    assert time.process_time() - started < 2


def test_a_preparation_must_fit():
    with pytest.raises(ShapeError, match=r"mean has 2 numbers.*\n.*\n  At:  test_dataset.py"):
        dataset(preparation=Preparation(mean=(0.0, 1.0)))
    with pytest.raises(ShapeError, match=r"mean has 2 numbers.*\n.*\n  At:  test_dataset.py"):
        dataset().replace(preparation=Preparation(mean=(0.0, 1.0)))


def test_a_class_may_be_missing_from_the_test_part():
    some = dataset(test_y=np.zeros(4, np.int64))
    assert some.counts("test") == {"no": 4, "yes": 0} and some.counts() == {"no": 2, "yes": 2}


def test_labels_become_int64():
    some = dataset(train_y=np.array([0, 1, 0, 1], np.int8), test_y=np.array([0, 1, 0, 1], np.int16))
    assert some.train_y.dtype == some.test_y.dtype == np.int64 and some.train_y.tolist() == [0, 1, 0, 1]


def test_shapes_of_pictures_are_known():
    y = np.array([0, 1, 0, 1])
    for shape, known in (((2, 5, 1), (2, 5)), ((2, 5, 3), (2, 5, 3)), ((10,), None), ((2, 5), None)):
        x = np.zeros((4, *shape), np.float32)
        assert Dataset(x, y, x, y, ("a", "b")).image_shape == known
    x = np.zeros((4, 10), np.uint8)
    assert Dataset(x, y, x, y, ("a", "b"), (2, 5, 1)).image_shape == (2, 5)
    tokens = np.zeros((4, 2, 5, 3), np.int64)
    assert Dataset(tokens, y, tokens, y, ("a", "b")).image_shape is None


def test_printing_shows_all_parts():
    some = data.digits().split(137, KEY)
    sizes = "1300 examples to train on, 137 to watch, 360 to test on"
    assert repr(some) == f"<Dataset: {sizes}, of shape (64,); 10 classes>"
    x = np.ones((3, 1))
    assert repr(Dataset(x, x, x, x, None)).endswith("of shape (1,); targets are numbers>")


@pytest.mark.parametrize("size", [0.2, 287, 3])
def test_a_split_keeps_proportions_and_loses_nothing(size: float):
    whole = data.digits()
    some = whole.split(size, KEY)
    assert some.valid_x is not None and some.valid_y is not None
    n = size if isinstance(size, int) else round(size * len(whole.train_y))
    assert len(some.valid_y) == n and some.parts == ("train", "valid", "test")
    together = np.concatenate([some.train_x, some.valid_x])
    order, expected = np.lexsort(together.T), np.lexsort(whole.train_x.T)
    np.testing.assert_array_equal(together[order], whole.train_x[expected])
    share = np.bincount(whole.train_y) * (n / len(whole.train_y))
    assert np.abs(np.bincount(some.valid_y, minlength=10) - share).max() < 1
    again, other = whole.split(size, KEY), whole.split(size, cr.random.key(6))
    np.testing.assert_array_equal(some.valid_x, again.valid_x)
    assert other.valid_x is not None and (other.valid_x != some.valid_x).any()


def test_a_split_leaves_every_class_an_example():
    x, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 0, 0, 1, 1, 2])
    some = Dataset(x, y, x, y, ("a", "b", "c"))
    assert list(some.split(5, KEY).counts().values()) == [1, 1, 1]
    with pytest.raises(
        DataError, match="split: cannot take 6 of 8 examples and leave one of each of 3 classes"
    ):
        some.split(6, KEY)
    for size in (0, 8, 0.0, 1.0, -1, 1.5, True, "half", None, float("nan")):
        with pytest.raises(
            ArgumentError, match="split: expected a share between 0 and 1, or a number of examples"
        ):
            some.split(size, KEY)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="there are examples to watch already"):
        some.split(1, KEY).split(1, KEY)


def test_numbers_are_split_without_classes():
    x = np.arange(10.0)[:, None]
    some = Dataset(x, x, x, x, None).split(0.3, KEY)
    assert some.valid_y is not None and len(some.valid_y) == 3
    np.testing.assert_array_equal(some.valid_x, some.valid_y)
    with pytest.raises(DataError, match="counts: the targets are numbers"):
        some.counts()


def test_standardized_by_channel_and_by_feature(rng: np.random.Generator):
    images = rng.integers(0, 256, (40, 4, 5, 3), dtype=np.uint8) // np.array([1, 2, 4], np.uint8)
    some = Dataset.from_arrays(images, np.arange(40) % 2, test=10).standardized()
    x, _ = some.prepared("train")
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(x.std((0, 1, 2)), 1, atol=1e-5)
    part = some.train_x / 255
    np.testing.assert_allclose(some.preparation.mean or 0, part.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(some.preparation.std or 0, part.std((0, 1, 2)), rtol=1e-12)

    table = rng.normal([0, 1e3, 7], [1, 1e-2, 0], (30, 3))
    some = Dataset.from_arrays(table, np.arange(30) % 2).standardized()
    x, _ = some.prepared("train")
    np.testing.assert_allclose(x.std(0), [1, 1, 0], atol=2e-3)
    assert (x[:, 2] == 0).all()  # what never changes
    rows = Dataset.from_arrays(
        images.reshape(40, 60), np.arange(40) % 2, image_shape=(4, 5, 3)
    ).standardized()
    np.testing.assert_allclose(rows.prepared("train")[0].reshape(-1, 3).std(0), 1, atol=1e-5)


def test_an_example_may_be_one_number():
    some = Dataset.from_arrays(np.arange(10.0), np.arange(10) % 2).standardized()
    x, _ = some.prepared("train")
    assert x.shape == (8,) and some.input_shape == ()
    np.testing.assert_allclose((x.mean(), x.std()), (0, 1), atol=1e-6)


def test_tokens_are_left_alone():
    tokens = np.arange(12).reshape(6, 2)
    some = Dataset.from_arrays(tokens, np.array([0, 1] * 3), test=2)
    assert some.train_x.dtype == some.prepared("train")[0].dtype == np.int64
    with pytest.raises(DataError, match="standardized: the examples are integers, which name things"):
        some.standardized()


def test_flat_and_as_images():
    digits = data.digits()
    assert digits.input_shape == (64,) and digits.as_images().input_shape == (8, 8, 1)
    x, _ = digits.as_images().prepared("test")
    np.testing.assert_array_equal(x.reshape(-1, 64), digits.test_x)
    assert digits.as_images().flattened().input_shape == (64,)
    with pytest.raises(DataError, match=r"as_images: examples of shape \(3,\) are not known to be pictures"):
        dataset().as_images()


def test_no_part_of_another_name():
    for name in ("valid", "training", None):
        with pytest.raises(ArgumentError, match="the data set has no part"):
            data.digits().part(name)  # type: ignore[arg-type]


def made(x: Any, y: Any, **options: Any) -> Dataset:
    return Dataset.from_arrays(x, y, **{"test": 1, **options})


def test_arrays_of_images_become_bytes_with_a_channel():
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    some = made(images, [0, 1, 0, 1])
    assert some.train_x.shape == (3, 2, 3, 1) and some.train_x.dtype == np.uint8
    assert some.preparation == Preparation(scale=255) and some.image_shape == (2, 3)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([0, 1, 2, 0, 1, 2], ("0", "1", "2")),
        (np.array([[0], [1], [2], [0], [1], [2]], np.uint8), ("0", "1", "2")),
        (["cat", "dog", "cat", "dog", "cat", "eel"] * 1, ("cat", "dog", "eel")),
        (np.array(["b", "a", "b", "a", "a", "a"], object), ("a", "b")),
        ([True, False, True, False, True, False], ("False", "True")),
    ],
)
def test_classes_are_found(y: Any, classes: tuple[str, ...]):
    x = np.arange(6.0)[:, None]
    some = Dataset.from_arrays(x, y, test=(x, y))
    assert some.classes == classes and some.train_y.dtype == np.int64
    labels = [str(label) for label in np.ravel(np.asarray(y)).tolist()]
    assert [classes[i] for i in some.train_y] == labels


def test_named_classes_give_texts_their_numbers():
    y = ["dog", "cat", "dog", "cat"]
    some = made(np.ones((4, 1)), y, classes=("dog", "cat"), test=(np.ones((1, 1)), ["cat"]))
    assert some.train_y.tolist() == [0, 1, 0, 1] and some.test_y.tolist() == [1]
    assert made(np.ones((4, 1)), [0, 1, 0, 1], classes=["no", "yes"]).classes == ("no", "yes")


def test_floats_are_targets():
    y = np.arange(10.0).reshape(5, 2)
    some = made(np.ones((5, 1)), y)
    assert some.classes is None and some.train_y.shape == (4, 2) and some.train_y.dtype == np.float32
    wide = made(np.ones((5, 1)), y, dtype=np.float64)
    assert wide.train_x.dtype == wide.train_y.dtype == wide.prepared("test")[0].dtype == np.float64


def test_parts_are_split_off_or_given():
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    some = Dataset.from_arrays(x, y, test=0.25, valid=4, key=KEY)
    assert [len(some.part(part)[1]) for part in some.parts] == [11, 4, 5]
    everything = np.concatenate([some.part(part)[0] for part in some.parts])
    assert sorted(everything[:, 0]) == list(range(20))
    given = Dataset.from_arrays(x, y, test=(x[:2], y[:2]), valid=(x[2:4], y[2:4]))
    assert len(given.train_y) == 20 and len(given.test_y) == 2
    first, second = (Dataset.from_arrays(x, y, key=key) for key in (None, cr.random.key(0)))
    np.testing.assert_array_equal(first.test_x, second.test_x)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones((4, 1)), [0, 1, 0], {}, r"^x has shape \(4, 1\), y \(3,\)"),
        (np.ones((0, 1)), [], {}, "there must be an example"),
        (np.ones((4, 1)), [1, 2, 1, 2], {}, "no training example is of class '0'"),
        (np.ones((4, 1)), [0, 1, 0, 10**15], {}, "label 1000000000000000, but only 4 examples"),
        (np.ones((4, 1)), [0, 1, 0, -1], {}, "^y has label -1 in row 3"),
        (np.ones((4, 1)), np.eye(4, dtype=int), {}, r"labels have shape \(4, 4\).*\n  Fix: .*y.argmax\(-1\)"),
        (
            np.ones((4, 1)),
            [0.0, 1, 0, 1],
            {"classes": ("a", "b")},
            "^y holds floats, which are no labels",
        ),
        (
            np.ones((4, 1)),
            ["a", "b", "a", "c"],
            {"classes": ("a", "b")},
            "'c' in row 3 is not among the classes",
        ),
        (np.ones((4, 1)), ["a", "b"] * 2, {"classes": []}, "'a' in row 0 is not among the classes"),
        (
            np.ones((0, 1)),
            np.array([], str),
            {"test": (np.ones((1, 1)), ["a"])},
            "test_y: 'a' in row 0 never occurs in training",
        ),
        (
            np.ones((4, 1)),
            [0, 1, 0, 1],
            {"test": (np.ones((1, 1)), ["a"])},
            "train_y holds integers, test_y texts",
        ),
        (
            np.ones((4, 1)),
            ["a", "b"] * 2,
            {"test": (np.ones((1, 1)), ["c"])},
            "test_y: 'c' in row 0 never occurs",
        ),
        (np.ones((4, 1)), [0, 1, 0, 1], {"test": (1, 2, 3)}, r"test: expected \(x, y\), got 3 things"),
        (np.ones((4, 1)), [0, 1, 0, 1], {"test": None}, "from_arrays: test is None"),
        ([[1.0], [1.0, 2.0]], [0, 1], {}, "^x: cannot make an array of it"),
        (3.0, [0, 1], {}, "^x: expected an array with a row for each example, got 3.0"),
        ([["a"], ["b"]], [0, 1], {}, "^x: expected numbers, got texts"),
        ([[np.inf]] * 3, [0, 1, 0], {"test": 1}, "^x is not finite in row 0"),
        (
            [[1.0], [np.nan], [1.0]],
            [0.5] * 3,
            {"test": (np.ones((1, 1)), [1.0])},
            "train_x is not finite in row 1",
        ),
        ([[1.0]] * 3, [0.5, 1, np.nan], {"test": (np.ones((1, 1)), [1.0])}, "train_y is not finite in row 2"),
        ([[1e300]] * 3, [0, 1, 0], {}, "^x: 1e\\+300 does not fit float32"),
        (np.full((3, 1), 2**64 - 1, np.uint64), [0, 1, 0], {}, "an integer does not fit int64"),
        (np.ones((3, 1)), [None, 1, 2], {}, "^y: expected labels, got objects"),
    ],
)
def test_arrays_that_cannot_be_trained_on(x: Any, y: Any, options: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        made(x, y, **options)


def test_parts_of_another_dtype_are_told_so_whatever_their_shapes():
    x, y = np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"train_x is uint8, test_x float32\n.*: give both as bytes"):
        made(x, y, test=(x / 255, y))


@pytest.mark.parametrize("mask", [[0, 2], [1]])
def test_masked_numbers_are_not_taken_for_numbers(mask: list[int]):
    x, y = np.ma.array(np.ones((4, 1))), np.ma.array([0, 1, 0, 1])
    x[mask] = np.ma.masked
    with pytest.raises(
        DataError, match=f"^x: {len(mask)} of its numbers .* masked, the first in row {mask[0]}\n"
    ):
        made(x, y)
    y[mask] = np.ma.masked
    with pytest.raises(DataError, match=r"^y: \d of its numbers"):
        made(np.ones((4, 1)), y)
    assert made(np.ma.array(np.ones((4, 1))), [0, 1, 0, 1], test=2).train_x.shape == (2, 1)


@pytest.mark.parametrize("row", range(10))
@pytest.mark.parametrize("options", [{"test": 3}, {"test": 2, "valid": 2}])
def test_messages_count_rows_in_what_was_passed(row: int, options: dict[str, Any]):
    x, y = np.zeros((10, 2)), np.arange(10) / 10
    x[row, 1] = np.nan
    with pytest.raises(DataError, match=f"^x is not finite in row {row}\n"):
        made(x, np.arange(10) % 2, **options)
    y[row] = np.inf
    with pytest.raises(DataError, match=f"^y is not finite in row {row}\n"):
        made(np.zeros((10, 2)), y, **options)


def test_numbers_that_float32_does_not_tell_apart_are_standardized_as_they_are():
    seconds = 1.7e9 + 10.0 * np.arange(160)
    x = np.stack([seconds, np.arange(160.0)], axis=1)
    some = made(x, np.arange(160) % 2, test=0.25).standardized()
    prepared = np.concatenate([some.prepared(part)[0] for part in some.parts])
    assert some.train_x.dtype == np.float64 and prepared.dtype == np.float32
    assert len(np.unique(prepared[:, 0])) == 160
    assert np.ptp(prepared[:, 0] - prepared[:, 1]) < 1e-5
    given = made(x, np.arange(160) % 2, preparation=Preparation(mean=(1.7e9, 0.0)))
    assert given.prepared("train")[0].dtype == np.float32
    for usual in (x[:, 1:], x[:, 1:] + 2000, np.full((160, 1), 0.1) + 1e-17 * x[:, 1:]):
        assert made(usual, np.arange(160) % 2).train_x.dtype == np.float32
    assert made(x, np.arange(160) % 2, dtype=np.float64).prepared("train")[0].dtype == np.float64


def test_arrays_are_converted_to_floats_only():
    with pytest.raises(DTypeError, match="examples: expected float32 or float64, got int64"):
        made(np.ones((4, 1)), [0, 1, 0, 1], dtype=int)


def test_a_description_survives_a_file():
    images = np.arange(4 * 12, dtype=np.uint8).reshape(4, 2, 2, 3)
    for some in (
        data.digits().standardized().as_images(),
        made(images, ["a", "b"] * 2).flattened(),
        made(np.ones((4, 2)), np.ones(4), features=("height", "width")).standardized(),
    ):
        about = some.description
        assert Description.from_dict(json.loads(json.dumps(about.to_dict(), allow_nan=False))) == about
        assert about.input_shape == some.input_shape
        np.testing.assert_array_equal(
            about.preparation(some.test_x), Description.from_dict(about.to_dict()).preparation(some.test_x)
        )
    some = made(images, [0, 1, 0, 1])
    assert some.description.brightness == pytest.approx(some.train_x.mean() / 255)
    assert data.digits().description.limits == (0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": "ab"}, "classes: expected texts, got 'ab'"),
        ({"classes": [1]}, r"classes: expected texts, got \[1\]"),
        ({"example_shape": [0]}, r"example_shape: expected sizes of 1 or more, got \[0\]"),
        ({"example_shape": [10**6, 10**6]}, "no example is of shape"),
        ({"example_shape": [True]}, "example_shape: expected sizes"),
        ({"image_shape": [9, 9]}, r"image_shape \(9, 9\) does not hold an example of shape \(64,\)"),
        ({"dtype": "object"}, "dtype: expected one of uint8, .*, got 'object'"),
        ({"limits": [0]}, r"limits: expected two numbers, got \[0\]"),
        ({"limits": [0, None]}, "limits: expected two numbers"),
        ({"brightness": float("nan")}, "brightness: expected a finite number, got nan"),
        (
            {"preparation": None},
            "preparation: expected the fields scale, mean, std, shape, dtype, got 'NoneType'",
        ),
        ({"features": 3}, "features: expected texts, got 3"),
        ({"colour": "red"}, "description: expected the fields classes"),
    ],
)
def test_a_damaged_description_is_named(changes: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        Description.from_dict({**data.digits().description.to_dict(), **changes})
    with pytest.raises(DataError, match="got 'list'"):
        Description.from_dict([])
