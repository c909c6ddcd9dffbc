"""NumPy's files: arrays under the names that people use, and nothing that runs or lies."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import chainrule as cr
from chainrule.data import npz, read_npy, read_npz
from chainrule.errors import ArgumentError, DataError

X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 0, 1, 0, 1])
IMAGES = np.arange(6 * 9, dtype=np.uint8).reshape(6, 3, 3)


@given(
    arrays_of.arrays(
        st.sampled_from(["u1", "<i4", ">i8", "<f4", ">f8", "<f2", "?", "<U3"]),
        arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_what_is_saved_is_read(tmp_path_factory: pytest.TempPathFactory, array: Any, columns_first: bool):
    folder = tmp_path_factory.mktemp("arrays")
    array = np.asfortranarray(array) if columns_first else array
    np.save(folder / "one.npy", array)
    np.savez_compressed(folder / "more.npz", a=array, b=array)
    for got in (read_npy(folder / "one.npy"), *read_npz(folder / "more.npz").values()):
        assert got.dtype == array.dtype.newbyteorder("=") and got.shape == array.shape
        assert not got.flags.writeable
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize(
    "names",
    [
        ("train_x", "train_y", "test_x", "test_y"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x", "y", "x_test", "y_test"),
    ],
)
@pytest.mark.parametrize("folder", [True, False])
def test_names_of_parts(tmp_path: Path, names: tuple[str, ...], folder: bool):
    given = dict(zip(names, (X, Y, X[:2], Y[:2]), strict=True)) | {"weights": np.ones(3)}
    path = tmp_path / "some.npz"
    if folder:
        path = tmp_path
        for name, array in given.items():
            np.save(tmp_path / name, array)
    else:
        np.savez(path, **given)
    data = npz(path)
    np.testing.assert_array_equal(data.train_x, X)
    np.testing.assert_array_equal(data.test_x, X[:2])
    np.testing.assert_array_equal(data.test_y, Y[:2])
    assert data.parts == ("train", "test") and data.classes == ("0", "1")


def test_a_part_to_watch_and_names_of_classes(tmp_path: Path):
    labels = Y.astype(np.uint8)[:, None]
    np.savez(
        tmp_path / "some.npz",
        **{
            f"{part}_{role}": a
            for part in ("train", "val", "test")
            for role, a in (("images", IMAGES), ("labels", labels))
        },
        class_names=np.array(["benign", "malignant"]),
    )
    data = npz(tmp_path / "some.npz")
    assert data.parts == ("train", "valid", "test") and data.classes == ("benign", "malignant")
    assert data.train_x.shape == (6, 3, 3, 1) and data.preparation.scale == 255


def test_a_part_is_split_off(tmp_path: Path):
    np.savez(tmp_path / "some.npz", x=X, y=np.array(["a", "b"] * 3))
    data = npz(tmp_path / "some.npz", test=2, key=cr.random.key(1))
    assert len(data.test_y) == 2 and data.classes == ("a", "b")
    with pytest.raises(ArgumentError, match="test: expected a share between 0 and 1"):
        npz(tmp_path / "some.npz", test=7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "has no array train_y; it has x"),
        ({"weights": X, "bias": Y}, "has no array train_x; it has bias, weights"),
        ({"x": X, "y": Y, "x_test": X}, "has no array test_y"),
        ({"x": X, "images": X, "y": Y}, "two arrays are train_x"),
        ({"x": X, "y": Y[:4]}, r"some.npz: x has shape \(6, 4\), y \(4,\)"),
        ({"x": X * np.nan, "y": Y}, "some.npz: .* is not finite in row 0"),
        ({"x": X, "y": Y, "classes": np.array("ab")}, r"some.npz: classes has shape \(\), expected"),
        (
            {"x": X, "y": Y, "class_names": np.array([["a"], ["b"]])},
            r"class_names has shape \(2, 1\), expected",
        ),
        ({"x": X, "y": Y + 1}, "some.npz: no training example is of class '0'"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], message: str):
    np.savez(tmp_path / "some.npz", **arrays)
    with pytest.raises(DataError, match=message):
        npz(tmp_path / "some.npz")


@pytest.mark.parametrize("code", [0x110000, 0x7FFFFFFF, 0xD800])
@pytest.mark.parametrize("name", ["y", "classes"])
@pytest.mark.parametrize("order", "<>")
def test_texts_of_what_is_no_character(tmp_path: Path, code: int, name: str, order: str):
    """NumPy makes texts of them only as they are used, and then raises a SystemError."""
    texts = np.array([97, code], f"{order}u4").view(f"{order}U1")
    np.savez(tmp_path / "some.npz", **{"x": X, "y": Y, name: texts})
    with pytest.raises(
        DataError, match=rf"some.npz: {name} has a text with {code:#x} in it, which is no char"
    ):
        npz(tmp_path / "some.npz")


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path):
    trace = tmp_path / "ran"
    objects = np.array([Bomb(trace), None], object)
    np.save(tmp_path / "one.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "some.npz", x=X, y=objects)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(
        DataError, match=r"one.npy: it holds Python objects, as pickles: those can run any program"
    ):
        read_npy(tmp_path / "one.npy")
    with pytest.raises(DataError, match=r"some.npz: y holds Python objects"):
        npz(tmp_path / "some.npz")
    with pytest.raises(DataError, match=r"plain.npy: it is no array of NumPy: it begins with 80 04"):
        read_npy(tmp_path / "plain.npy")
    assert not trace.exists()


def npy(header: str, content: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin1")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + content


def described(descr: Any = "<f4", shape: Any = (3,), order: bool = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins with nothing"),
        (npy(described(), bytes(8)), r"it, float32 of shape \(3,\), should take 12 bytes, found 8"),
        (npy(described(), bytes(13)), "longer than its header says"),
        (npy(described(shape=(10**6, 10**6)), bytes(8)), "would take 4000000000000 bytes, more than"),
        (
            npy(described(shape=(10**8,)), bytes(8)),
            "would take 400000000 bytes, but there can be no more than",
        ),
        (
            npy(described(shape=(2**62, 2**62, 0))),
            r"it, float32 of shape \(.*, 0\), can be no array of NumPy",
        ),
        (npy(described(shape=(2**70, 0))), "can be no array of NumPy"),
        (npy(described(shape=(1,) * 70), bytes(4)), "can be no array of NumPy"),
        (npy(described(shape=(10**4000, 10**4000))), "would take a very long int bytes, more than"),
        (npy(described(shape=(-3,)), bytes(8)), r"of dtype float32 and shape \(-3,\)"),
        (npy(described(shape=(True,)), bytes(4)), "is of dtype float32 and shape"),
        (npy(described(descr="|S0", shape=(10**15,))), "is of dtype .S0"),
        (npy(described(descr="<c8"), bytes(24)), "is of dtype complex64"),
        (npy(described(descr=[("a", "<f4")]), bytes(12)), "is of dtype"),
        (npy(described(descr="<M8[s]"), bytes(24)), "is of dtype datetime64"),
        (npy("[" * 5000), "has no header of NumPy's format"),
        (npy("__import__('os').getpid()"), "has no header of NumPy's format"),
        (npy("{" + " " * 60_000 + "}"), "has no header of NumPy's format"),
        (npy(described()[:20]), "has no header of NumPy's format"),
        (npy("x" * 100, version=2)[:12] + b"y", "has no header of NumPy's format"),
        (npy(described(), bytes(12), version=9), "is in version 9 of NumPy's format"),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "one.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_npy(path)
    assert str(path) in caught.value.message
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("it.npy", content)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "some.npz")


def test_a_header_of_four_gigabytes_is_not_read(tmp_path: Path):
    path = tmp_path / "one.npy"
    path.write_bytes(gzip.compress(b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 40_000_000))
    tracemalloc.start()
    with pytest.raises(DataError, match="has no header of NumPy's format"):
        read_npy(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name", ["/etc/x.npy", "../x.npy", "a/b.npy", "a\\b.npy", "C:x.npy", "x", "notes.txt", ".npy", "...npy"]
)
def test_names_that_are_no_names(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr(name, saved(X))
    with pytest.raises(DataError, match="is no name of an array"):
        read_npz(tmp_path / "some.npz")


def test_a_name_twice(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("x.npy", saved(X))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", saved(Y))
    with pytest.raises(DataError, match="two arrays are called 'x'"):
        read_npz(tmp_path / "some.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(tmp_path: Path, packing: int):
    with zipfile.ZipFile(tmp_path / "some.npz", "w", packing) as archive:
        archive.writestr("x.npy", saved(X))
    with pytest.raises(DataError, match="'x' is encrypted or packed in another way"):
        read_npz(tmp_path / "some.npz")


def test_too_many_arrays(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(DataError, match="1001 arrays, more than 1000"):
        read_npz(tmp_path / "some.npz")


def test_archives_that_are_damaged(tmp_path: Path):
    path = tmp_path / "some.npz"
    np.savez_compressed(path, x=X, y=Y)
    whole = path.read_bytes()
    for cut in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"some.npz: damaged, or no file of arrays"):
            read_npz(path)
    for position in range(0, len(whole), 3):  # whatever is changed: our error, or the same arrays
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :])
        arrays: dict[str, Any] = {}
        with contextlib.suppress(DataError):
            arrays = read_npz(path)
        for name, array in (("x", X), ("y", Y)):
            if name in arrays:
                np.testing.assert_array_equal(arrays[name], array)


def test_sizes_that_an_archive_claims(tmp_path: Path):
    path = tmp_path / "some.npz"
    np.savez(path, x=X)
    whole = bytearray(path.read_bytes())
    directory = whole.index(b"PK\x01\x02")
    whole[directory + 24 : directory + 28] = (2**32 - 2).to_bytes(4, "little")  # the unpacked size
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"claims to hold .* bytes, 4294967294 unpacked, in a file of"):
        read_npz(path)


def test_a_bomb_in_an_archive(tmp_path: Path):
    path = tmp_path / "some.npz"
    content = npy(described(shape=(3,)), bytes(40_000_000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    del content
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than its header says"):
        read_npz(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
