"""CIFAR-10's binary layout, whole or with some classes, and files that are cut off or mislabelled."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from chainrule.data import Preparation
from chainrule.data.cifar import CIFAR10_CLASSES, cifar_folder
from chainrule.errors import DataError
from data_files import cifar, write_cifar_folder


def test_planes_become_pixels_and_files_follow_each_other(tmp_path: Path):
    images = write_cifar_folder(tmp_path, files=11)
    data = cifar_folder(tmp_path)
    np.testing.assert_array_equal(data.train_x, images[:44])  # data_batch_11 after data_batch_2
    np.testing.assert_array_equal(data.test_x, images[-2:])
    assert data.train_y.tolist() == [0, 1, 1, 0] * 11 and data.test_y.tolist() == [1, 0]
    assert data.classes == ("cat", "dog") and data.image_shape == (32, 32, 3)
    assert data.preparation == Preparation(scale=255) and data.train_y.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        data.train_x[0] = 0


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_batch_that_is_missing_between_others_is_named(tmp_path: Path, number: int):
    write_cifar_folder(tmp_path, files=5)
    (tmp_path / f"data_batch_{number}.bin").unlink()
    with pytest.raises(DataError, match=f"lacks data_batch_{number}.bin"):
        cifar_folder(tmp_path)


def test_without_names_the_classes_are_those_of_cifar10(tmp_path: Path):
    write_cifar_folder(tmp_path, classes=None)
    with pytest.raises(
        DataError, match="no training example is of class 'bird', 'cat', 'deer', 'dog', 'frog' and 3"
    ):
        cifar_folder(tmp_path)
    images = np.zeros((10, 32, 32, 3), np.uint8)
    (tmp_path / "data_batch_1.bin").write_bytes(cifar(images, range(10)))
    assert cifar_folder(tmp_path).classes == CIFAR10_CLASSES


def test_packed_files_are_not_taken_for_records(tmp_path: Path):
    write_cifar_folder(tmp_path)
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"data_batch_1.bin: \d+ bytes, expected a multiple of 3073"):
        cifar_folder(tmp_path)


def test_an_image_may_begin_as_gzip_does(tmp_path: Path):
    images = write_cifar_folder(tmp_path, [f"class {i}" for i in range(32)])
    images[0, 0, 0, 0] = 139
    content = cifar(images[:1].repeat(32, 0), range(31, -1, -1))
    assert content[:2] == gzip.compress(b"")[:2]
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    data = cifar_folder(tmp_path)
    assert data.train_y[0] == 31
    np.testing.assert_array_equal(data.train_x[0], images[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "data_batch_2.bin",
            bytes(3072),
            "data_batch_2.bin: 3072 bytes, expected a multiple of 3073: cut off",
        ),
        ("data_batch_2.bin", b"", "data_batch_2.bin: 0 bytes, expected a multiple"),
        (
            "data_batch_1.bin",
            bytes(3073) + b"\x05" + bytes(3072),
            "label 5 in row 1, but there are 2 classes",
        ),
        ("test_batch.bin", b"\x02" + bytes(3072), "test_batch.bin: label 2 in row 0"),
        ("batches.meta.txt", b"cat\ndog\nfrog\n", "no training example is of class 'frog'"),
        ("batches.meta.txt", b"cat\ncat\n", "'cat' is in line 1 and again in line 2"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, message: str):
    write_cifar_folder(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        cifar_folder(tmp_path)


def test_the_python_version_is_not_read(tmp_path: Path):
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04.")
    message = "lacks data_batch_1.bin, test_batch.bin\n  Fix: get the binary version .* is pickles, which can run any"
    with pytest.raises(DataError, match=message):
        cifar_folder(tmp_path)
