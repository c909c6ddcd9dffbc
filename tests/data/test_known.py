"""Data sets by name: where they are looked for, and what is said where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainrule import data
from chainrule.data import places
from chainrule.data.known import FASHION_CLASSES
from chainrule.errors import DataError
from data_files import write_cifar_folder, write_idx_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data: its home, its system's folders and the folder at work are empty."""
    monkeypatch.delenv(places.VARIABLE, raising=False)
    monkeypatch.setattr(places, "SYSTEM", tmp_path / "usr" / "share" / "datasets")
    monkeypatch.setattr(places, "own_folder", lambda: tmp_path / "own")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "place",
    [
        "usr/share/datasets/fashion-mnist",  # Debian's package dataset-fashion-mnist
        "own/fashion-mnist",
        "home/.keras/datasets/fashion-mnist",
        "work/data/FashionMNIST/raw",  # torchvision
    ],
)
def test_fashion_mnist_is_found(home: Path, place: str, packed: bool):
    written = write_idx_folder(home / place, packed=packed)
    found = data.fashion_mnist()
    np.testing.assert_array_equal(found.train_x[..., 0], written["train_x"])
    assert found.classes == FASHION_CLASSES and found.classes[9] == "Ankle boot"
    assert data.load("Fashion_MNIST").classes == FASHION_CLASSES


def test_the_variable_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch):
    write_idx_folder(home / "usr/share/datasets/fashion-mnist", n=20)
    write_idx_folder(home / "mine/fashion-mnist", n=30)
    monkeypatch.setenv(places.VARIABLE, f"{home / 'empty'}:{home / 'mine'}")
    assert len(data.fashion_mnist().train_y) == 30
    assert len(data.fashion_mnist(home / "usr/share/datasets").train_y) == 20


@pytest.mark.parametrize("place", ["own/mnist", "work/data/MNIST/raw"])
def test_mnist_is_found(home: Path, place: str):
    write_idx_folder(home / place)
    assert data.mnist().classes == tuple("0123456789")


def test_keras_has_mnist_in_one_file(home: Path):
    folder = home / "home/.keras/datasets"
    folder.mkdir(parents=True)
    x, y = np.zeros((20, 28, 28), np.uint8), (np.arange(20) % 10).astype(np.uint8)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    for found in (data.mnist(), data.mnist(folder), data.mnist(folder / "mnist.npz"), data.load("mnist")):
        assert found.train_x.shape == (20, 28, 28, 1) and found.classes == tuple("0123456789")
    np.savez(folder / "mnist.npz", x_train=x[:, :9], y_train=y, x_test=x[:3, :9], y_test=y[:3])
    with pytest.raises(
        DataError, match=r"mnist.npz: examples of shape \(9, 28, 1\), expected images of 28 × 28"
    ):
        data.mnist()


def test_what_is_found_first_wins_only_if_it_is_whole(home: Path):
    write_idx_folder(home / "own/fashion-mnist")
    (home / "own/fashion-mnist/t10k-labels-idx1-ubyte.gz").unlink()
    message = (
        "fashion-mnist is not on this machine: .*own/fashion-mnist lacks t10k-labels-idx1-ubyte; looked for"
    )
    with pytest.raises(DataError, match=message):
        data.fashion_mnist()
    write_idx_folder(home / "usr/share/datasets/fashion-mnist", n=40)
    assert len(data.fashion_mnist().train_y) == 40


def test_where_it_is_missing_all_places_are_named(home: Path):
    with pytest.raises(DataError) as caught:
        data.fashion_mnist()
    first, *looked = caught.value.message.splitlines()
    names = "fashion-mnist, FashionMNIST/raw, FashionMNIST, fashion_mnist"
    assert first == f"fashion-mnist is not on this machine; looked for {names} in"
    roots = (home / "own", home / "usr/share/datasets", home / "home/.keras/datasets", "data")
    assert looked == [f"    {root}" for root in roots]
    assert caught.value.fix == (
        "on Debian or Ubuntu, apt install dataset-fashion-mnist; elsewhere get the four files from "
        "https://github.com/zalandoresearch/fashion-mnist; put it into "
        f"{home / 'own' / 'fashion-mnist'}, or pass the path of its folder, or name the folder above that in "
        "CHAINRULE_DATA"
    )
    with pytest.raises(
        DataError, match=r"(?s)mnist is not on this machine.*mnist.npz.*Fix: get the four files"
    ):
        data.mnist()
    with pytest.raises(DataError, match=r"(?s)cifar10 is not on this machine.*Fix: get the binary version"):
        data.load("cifar10")


def test_a_folder_that_has_it_not(home: Path):
    with pytest.raises(
        DataError, match=r"^mnist is not in .*elsewhere; looked for .*mnist.npz in\n    .*elsewhere\n  Fix"
    ):
        data.mnist(home / "elsewhere")
    write_cifar_folder(home / "cifar")
    (home / "cifar" / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"cifar10 is not in .*cifar: .*cifar lacks test_batch.bin"):
        data.cifar10(home / "cifar")


def test_images_of_another_size_are_not_mnist(home: Path):
    write_idx_folder(home / "own/mnist", side=32)
    with pytest.raises(
        DataError, match="images of 32 × 32 pixels, expected 28 × 28\n  Fix: load another size"
    ):
        data.mnist()


def test_labels_of_another_data_set(home: Path):
    write_idx_folder(home / "own/mnist", n=30, classes=12)
    with pytest.raises(DataError, match="label 10 in row 10, but there are 10 classes"):
        data.mnist()


def test_cifar10_with_some_classes(home: Path):
    write_cifar_folder(home / "own/cifar-10-batches-bin", classes=("frog", "horse"))
    assert data.cifar10().classes == data.load("CIFAR-10").classes == ("frog", "horse")


def test_the_own_folder_is_where_the_system_wants_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    assert places.own_folder().is_absolute() and places.own_folder().name == "datasets"
    assert Path("/usr/share/datasets") == places.SYSTEM
