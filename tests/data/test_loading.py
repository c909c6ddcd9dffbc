"""One function for every data set: names, files, folders, and what is none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chainrule import data
from chainrule.data.known import FASHION_CLASSES
from chainrule.errors import ArgumentError, DataError
from data_files import write_cifar_folder, write_idx_folder


def pictures(folder: Path) -> None:
    for kind, value in (("cat", 10), ("dog", 200)):
        (folder / kind).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.full((3, 3), value + number, np.uint8)).save(folder / kind / f"{number}.png")


def arrays(folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "x.npy", np.eye(4))
    np.save(folder / "y.npy", np.array([0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda p: write_idx_folder(p, side=9), (9, 9, 1)),
        (lambda p: write_idx_folder(p / "raw", side=9), (9, 9, 1)),
        (write_cifar_folder, (32, 32, 3)),
        (pictures, (3, 3, 1)),
        (arrays, (4,)),
    ],
)
def test_folders(tmp_path: Path, make: Any, shape: tuple[int, ...]):
    make(tmp_path / "some")
    for where in (tmp_path / "some", str(tmp_path / "some")):
        assert data.load(where).train_x.shape[1:] == shape


def test_files(tmp_path: Path):
    np.savez(tmp_path / "some.npz", x=np.eye(4), y=np.array([0, 1, 0, 1]))
    assert data.load(tmp_path / "some.npz").train_x.shape == (3, 4)
    (tmp_path / "some.CSV").write_text("1,a\n2,b\n3,a\n4,b\n5,a\n")
    assert data.load(tmp_path / "some.CSV").classes == ("a", "b")


def test_a_name_wins_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pictures(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert data.load("digits") is data.digits()
    assert data.load("./digits").classes == ("cat", "dog")
    assert data.load(Path("digits")).image_shape == (3, 3)


def test_fashion_is_told_by_the_name_of_its_folder(tmp_path: Path):
    for folder, classes in (("FashionMNIST/raw", FASHION_CLASSES), ("other", tuple("0123456789"))):
        write_idx_folder(tmp_path / folder)
        assert data.load(tmp_path / folder).classes == classes
    assert data.load(tmp_path / "FashionMNIST").classes == FASHION_CLASSES


def test_options_reach_the_loader(tmp_path: Path):
    pictures(tmp_path / "animals")
    assert data.load(tmp_path / "animals", size=2).image_shape == (2, 2)
    (tmp_path / "some.csv").write_text("kind,x\na,1\nb,2\na,3\nb,4\n")
    assert data.load(tmp_path / "some.csv", label="kind", test=2).classes == ("a", "b")
    message = "load: .*animals takes no option label\n  Fix: it takes size, channels, test, key"
    with pytest.raises(ArgumentError, match=message):
        data.load(tmp_path / "animals", label="kind")
    with pytest.raises(
        ArgumentError, match="the data set digits takes no option size\n  Fix: it takes no options"
    ):
        data.load("digits", size=8)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("digit", "digit is neither a data set's name nor a path\n  Fix: did you mean digits\\?"),
        ("fashon-mnist", "Fix: did you mean fashion-mnist\\?"),
        ("nothing/of/the/kind", "Fix: pass a path, or one of digits, mnist, fashion-mnist, cifar10"),
        ("some.pkl", "some.pkl is not known to be a data set\n  Fix: pickles can run any program"),
        ("some.npy", "Fix: save examples and labels together: np.savez"),
        ("some.tar.gz", "Fix: unpack it, and pass the folder"),
        ("some.png", "Fix: pass the folder that has a subfolder for each class"),
        ("some.txt", "Fix: pass a .csv, .tsv or .npz file, or a folder"),
        ("empty", "empty has nothing in it: no IDX files, CIFAR-10 batches"),
        ("full", "full has 0, 1, 2, 3, 4 and 2 more: no IDX files"),
        ("link", "link is not known to be a data set"),
        (3, "load: expected a path, got 3"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, message: str):
    monkeypatch.chdir(tmp_path)
    for name in ("some.pkl", "some.npy", "some.tar.gz", "some.png", "some.txt"):
        Path(name).write_bytes(b"x")
    Path("empty").mkdir()
    Path("full").mkdir()
    for number in range(7):
        Path("full", str(number)).touch()
    Path("link").symlink_to("gone")
    with pytest.raises(DataError, match=message):
        data.load(where)


@pytest.mark.parametrize("missing", ["data_batch_1.bin", "test_batch.bin"])
def test_what_a_folder_lacks_is_said(tmp_path: Path, missing: str):
    write_cifar_folder(tmp_path, files=1)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=f"lacks {missing}"):
        data.load(tmp_path)
