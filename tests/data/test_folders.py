"""Folders of pictures: classes, parts, sizes, and what else lies in such folders."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule as cr
from chainrule.data import Preparation, image_folder
from chainrule.errors import ArgumentError, DataError


def picture(path: Path, value: int = 100, rows: int = 4, columns: int = 6, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((rows, columns, channels), value, np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
    return path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Cats of brightness 0 .. 4, dogs of 100 .. 104."""
    for number in range(5):
        picture(tmp_path / "cat" / f"{number}.png", number)
        picture(tmp_path / "dog" / f"{number}.png", 100 + number)
    return tmp_path


def test_a_subfolder_for_each_class(animals: Path):
    data = image_folder(animals)
    assert data.classes == ("cat", "dog") and data.image_shape == (4, 6)
    assert data.train_x.shape == (8, 4, 6, 1) and data.train_x.dtype == np.uint8
    assert data.preparation == Preparation(scale=255)
    for part in ("train", "test"):
        x, y = data.part(part)
        np.testing.assert_array_equal(x[:, 0, 0, 0] >= 100, y == 1)
    assert data.counts("test") == {"cat": 1, "dog": 1}
    brightness = np.concatenate([data.train_x, data.test_x])[:, 0, 0, 0]
    assert sorted(brightness) == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    other = image_folder(animals, test=4, key=cr.random.key(9))
    assert len(other.test_y) == 4


@pytest.mark.parametrize("names", [("train", "test", "valid"), ("Training", "testing", "val")])
def test_folders_for_the_parts(tmp_path: Path, names: tuple[str, ...]):
    for part, n in zip(names, (3, 2, 1), strict=True):
        for kind, value in (("b", 200), ("a", 10)):
            for number in range(n):
                picture(tmp_path / part / kind / f"{number}.png", value + number)
    data = image_folder(tmp_path)
    assert [len(data.part(part)[1]) for part in ("train", "test", "valid")] == [6, 4, 2]
    assert data.train_x[:, 0, 0, 0].tolist() == [10, 11, 12, 200, 201, 202]
    assert data.test_y.tolist() == [0, 0, 1, 1]
    picture(tmp_path / names[1] / "c" / "0.png")
    with pytest.raises(DataError, match="test has the class 'c', which train has not"):
        image_folder(tmp_path)


def test_a_part_may_lack_a_class(tmp_path: Path):
    for where in ("train/a", "train/b", "test/a"):
        picture(tmp_path / where / "0.png")
    assert image_folder(tmp_path).counts("test") == {"a": 1, "b": 0}


def test_trains_are_a_class_too(tmp_path: Path):
    for kind in ("car", "train"):
        for number in range(3):
            picture(tmp_path / kind / f"{number}.png")
    assert image_folder(tmp_path).classes == ("car", "train")


def test_sizes(animals: Path):
    picture(animals / "dog" / "9.png", rows=5)
    message = (
        "dog/9.png: wrong image size: 6 × 5 pixels, but cat/0.png has 6 × 4 pixels"
        "\n  Fix: .* size=\\(4, 6\\), rows and columns"
        "\n  At:  test_folders.py"
    )
    with pytest.raises(DataError, match=message):
        image_folder(animals)
    assert image_folder(animals, 3).train_x.shape[1:] == (3, 3, 1)
    assert image_folder(animals, (2, 5)).train_x.shape[1:] == (2, 5, 1)
    for size in (0, -1, 1.5, (1, 2, 3), "large", 10**6):
        with pytest.raises((ArgumentError, DataError), match="size"):
            image_folder(animals, size)  # type: ignore[arg-type]


def test_colour_where_one_is_coloured(animals: Path):
    picture(animals / "dog" / "9.png", channels=3)
    assert image_folder(animals).train_x.shape[1:] == (4, 6, 3)
    assert image_folder(animals, channels=1).train_x.shape[1:] == (4, 6, 1)
    with pytest.raises(ArgumentError, match="channels must be 1 or 3, got 4"):
        image_folder(animals, channels=4)


def test_what_else_lies_around_is_left_alone(animals: Path):
    expected = image_folder(animals)
    (animals / "notes.txt").write_text("hello")
    (animals / "cat" / "Thumbs.db").write_bytes(b"x")
    (animals / "cat" / ".hidden.png").write_bytes(b"x")
    for name in (".git", "__MACOSX"):
        (animals / name).mkdir()
    got = image_folder(animals)
    np.testing.assert_array_equal(got.train_x, expected.train_x)
    assert got.classes == expected.classes


def test_links_are_followed_and_broken_ones_named(animals: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(elsewhere / "eel" / "0.png", 50)
    picture(elsewhere / "eel" / "1.png", 51)
    (animals / "eel").symlink_to(elsewhere / "eel")
    (animals / "cat" / "9.png").symlink_to(animals / "cat" / "0.png")
    data = image_folder(animals)
    assert data.classes == ("cat", "dog", "eel") and len(data.train_y) + len(data.test_y) == 13
    (animals / "cat" / "8.png").symlink_to(animals / "gone.png")
    with pytest.raises(DataError, match=r"cat/8.png cannot be read: the link leads nowhere"):
        image_folder(animals)
    (animals / "cat" / "8.png").unlink()
    (animals / "cat" / "8.png").symlink_to(animals / "cat" / "8.png")
    with pytest.raises(DataError, match=r"cat/8.png cannot be read: "):
        image_folder(animals)


def test_a_folder_that_leads_back_is_no_loop(animals: Path):
    (animals / "cat" / "again").symlink_to(animals)
    assert image_folder(animals).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: os.mkfifo(p / "cat" / "9.png"), "9.png is a pipe, expected a file"),
        (lambda p: (p / "cat" / "9.png").mkdir(), "9.png is a folder, expected a file"),
        (lambda p: (p / "cat" / "9.png").write_bytes(b"x"), "9.png: no picture"),
        (
            lambda p: (p / "eel").mkdir(),
            "eel: no pictures in it\n  Fix: put the pictures of a class straight",
        ),
        (lambda p: (p / "eel" / "old").mkdir(parents=True), "eel: no pictures, but the folder 'old' in it"),
    ],
)
def test_what_is_no_picture_is_named(animals: Path, make: Any, message: str):
    make(animals)
    with pytest.raises(DataError, match=message):
        image_folder(animals)


def test_folders_without_classes(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match="no folders in it\n  Fix: put the pictures of each class into a folder"
    ):
        image_folder(tmp_path)


def test_one_picture_of_a_class_is_too_few_to_split(tmp_path: Path):
    for kind in "ab":
        picture(tmp_path / kind / "0.png")
    with pytest.raises(
        DataError, match="test: cannot take 1 of 2 examples and leave one of each of 2 classes"
    ):
        image_folder(tmp_path)


def test_letters_with_accents_are_written_in_two_ways(tmp_path: Path):
    for part, form in (("train", "NFC"), ("test", "NFD")):
        for kind in ("bär", "kuh"):
            picture(tmp_path / part / unicodedata.normalize(form, kind) / "0.png")
    assert image_folder(tmp_path).classes == ("bär", "kuh")
    try:
        picture(tmp_path / "train" / unicodedata.normalize("NFD", "bär") / "0.png")
    except OSError:
        return  # a file system for which they are one name
    if len(os.listdir(tmp_path / "train")) == 3:
        with pytest.raises(DataError, match="two folders are called 'bär'"):
            image_folder(tmp_path)


def test_names_that_are_no_text(tmp_path: Path):
    odd = os.fsdecode(b"\xff\n")
    for kind in ("a", odd):
        for number in range(2):
            picture(tmp_path / kind / f"{number}.png")
    classes = image_folder(tmp_path, test=1).classes
    assert classes == ("\\udcff\\n", "a")
    "".join(classes).encode()


def test_too_much_for_memory_is_refused_before_decoding(animals: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.data.folders.LIMIT", 239)
    message = "10 pictures of 6 × 4 pixels take 240 bytes, more than 239\n  Fix: pass a smaller size"
    with pytest.raises(ArgumentError, match=message):
        image_folder(animals)
