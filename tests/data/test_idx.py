"""IDX files: what is written is read, and files that lie are refused before they cost memory."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from chainrule.data import Preparation, read_idx
from chainrule.data.idx import idx_folder
from chainrule.errors import DataError
from data_files import IDX_NAMES, idx, write_idx_folder


@given(
    array=arrays_of.arrays(
        st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]),
        arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    packed=st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: Any, packed: bool):
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    got = read_idx(path)
    assert got.dtype == array.dtype and got.shape == array.shape and not got.flags.writeable
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_becomes_a_data_set(tmp_path: Path, packed: bool):
    written = write_idx_folder(tmp_path, side=9, packed=packed, classes=4)
    data = idx_folder(tmp_path)
    np.testing.assert_array_equal(data.train_x[..., 0], written["train_x"])
    np.testing.assert_array_equal(data.test_y, written["test_y"])
    assert data.train_x.dtype == np.uint8 and data.train_y.dtype == np.int64
    assert data.classes == ("0", "1", "2", "3") and data.image_shape == (9, 9)
    assert data.preparation == Preparation(scale=255)
    (tmp_path / "classes.txt").write_text("coat\nbag\nshoe\nhat\nscarf")
    with pytest.raises(DataError, match="no training example is of class 'scarf'"):
        idx_folder(tmp_path)
    (tmp_path / "classes.txt").write_text("coat\nbag\nshoe\nhat\n")
    assert idx_folder(tmp_path).classes == ("coat", "bag", "shoe", "hat")


def test_other_names_of_the_same_files(tmp_path: Path):
    write_idx_folder(tmp_path, packed=False)
    for name in IDX_NAMES.values():
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    assert len(idx_folder(tmp_path).train_y) == 20


def header(*sizes: int, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file: it begins with nothing"),
        (b"\x89PNG\r\n", "no IDX file: it begins with 89 50 4e 47"),
        (header(3, code=7) + b"abc", "no IDX file: it begins with 00 00 07 01"),
        (b"\0\0\x08\x00", "no IDX file: it begins with 00 00 08 00"),
        (b"\0\0\x08\xff" + bytes(2000), "no IDX file: it begins with 00 00 08 ff"),
        (b"\0\0\x08\x03\0\0", "the header would take 12 bytes, but there can be no more than 6"),
        (header(5) + b"abc", r"uint8 numbers of shape \(5,\) .* 5 bytes, found 3"),
        (header(60000, 28, 28) + b"abc", "would take 47040000 bytes, but there can be no more than 19"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "would take .* bytes, more than 4294967296"),
        (header(*[2**32 - 1] * 3, 0), r"numbers of shape \(.*, 4294967295, 0\) can be no array of NumPy"),
        (header(2) + b"abc", "longer than its header says"),
        (gzip.compress(header(5) + b"abc", mtime=0), "should take 5 bytes, found 3"),
        (gzip.compress(header(2) + b"abc", mtime=0), "longer than its header says"),
        (
            gzip.compress(header(50_000, 784) + b"abc", mtime=0),
            "would take 39200000 bytes, but there can be no more than",
        ),
        (gzip.compress(header(3) + b"abc", mtime=0)[:-9], "damaged or cut off"),
        (gzip.compress(header(3) + b"abc", mtime=0)[:14] + b"\xff" * 20, "damaged or cut off"),
    ],
)
def test_files_that_lie_are_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "some-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in caught.value.message and caught.value.fix


def test_a_lying_header_costs_no_memory(tmp_path: Path):
    """A gzip file of 1 MB may unpack to 1 GB, and its header claims that; its numbers end after 1 MB."""
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(header(1000, 1000, 1000) + os.urandom(1_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="should take 1000000000 bytes, found 1000000"):
        read_idx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_bomb_is_not_unpacked_beyond_its_header(tmp_path: Path):
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(header(10) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than its header says"):
        read_idx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder, expected a file"):
        read_idx(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="link cannot be read: the link leads nowhere"):
        read_idx(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is a pipe, expected a file"):
        read_idx(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a device, expected a file"):
        read_idx("/dev/zero")
    for path in (3, None, "", "a\0b"):
        with pytest.raises(DataError, match="read_idx: expected a path, got"):
            read_idx(path)  # type: ignore[arg-type]


def test_names_are_shown_on_one_line(tmp_path: Path):
    path = tmp_path / "two\nlines\x1b[31m"
    path.write_bytes(b"abc")
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert "two\\nlines\\x1b[31m: no IDX file" in caught.value.message


def replace(folder: Path, name: str, array: Any) -> None:
    (folder / (IDX_NAMES[name] + ".gz")).write_bytes(gzip.compress(idx(array)))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_y", np.zeros(19, np.uint8), "train-images.*: 20 images, but .*train-labels.* has 19 labels"),
        ("train_y", np.full(20, 9, np.uint8), "label 9 in row 0, but there are 4 classes"),
        (
            "test_y",
            np.array([0, 1, 2, 3, 7], np.uint8),
            "t10k-labels.*: label 7 in row 4, but there are 4 classes",
        ),
        (
            "train_x",
            np.zeros((20, 784), np.uint8),
            r"uint8 numbers of shape \(20, 784\), expected images of bytes",
        ),
        ("train_x", np.zeros((20, 9, 9), np.int32), r"int32 numbers of shape \(20, 9, 9\), expected images"),
        ("train_x", np.zeros((0, 9, 9), np.uint8), r"shape \(0, 9, 9\), expected images"),
        ("test_x", np.zeros((5, 8, 9), np.uint8), "images of 9 × 8 pixels, expected 9 × 9"),
        ("test_y", np.zeros((5, 1), np.uint8), r"shape \(5, 1\), expected labels of bytes"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, name: str, array: Any, message: str):
    write_idx_folder(tmp_path, side=9, classes=4)
    replace(tmp_path, name, array)
    with pytest.raises(DataError, match=message):
        idx_folder(tmp_path, ("a", "b", "c", "d"), (9, 9))


def test_a_missing_file_is_named(tmp_path: Path):
    write_idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte \(or the same with .gz\)"):
        idx_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\na\n", "classes.txt: 'a' is in line 1 and again in line 3"),
        (b"\n \n", "classes.txt: no names"),
        (b"a\x1b[31m\na\x1b[31m\n", r"'a\\\\x1b\[31m' is in line 1 and again in line 2"),
        (b"a\n\xff\xfe\n", "classes.txt: line 2 is not UTF-8"),
        (b"\n".join(b"%d" % i for i in range(10_001)), "more than 10000 names"),
        (gzip.compress(b"a\n" + b" " * 5_000_000, mtime=0), "classes.txt: holds more than 1048576 bytes"),
    ],
)
def test_names_that_are_none(tmp_path: Path, content: bytes, message: str):
    write_idx_folder(tmp_path)
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        idx_folder(tmp_path)
