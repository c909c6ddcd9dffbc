"""Small data files in the standard formats, as their authors specify them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
IDX_NAMES = {
    "train_x": "train-images-idx3-ubyte",
    "train_y": "train-labels-idx1-ubyte",
    "test_x": "t10k-images-idx3-ubyte",
    "test_y": "t10k-labels-idx1-ubyte",
}


def idx(array: Any) -> bytes:
    """An array as an IDX file."""
    kind = array.dtype.str[1:]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, IDX_CODES[kind], array.ndim, *array.shape)
    return head + array.astype(f">{kind}").tobytes()


def write_idx_folder(
    folder: Path, n: int = 20, side: int = 28, packed: bool = True, classes: int = 10
) -> dict[str, Any]:
    """The four files of MNIST with few random images; returns their arrays."""
    rng = np.random.default_rng(n)
    arrays = {
        "train_x": rng.integers(0, 256, (n, side, side), dtype=np.uint8),
        "train_y": (np.arange(n) % classes).astype(np.uint8),
        "test_x": rng.integers(0, 256, (5, side, side), dtype=np.uint8),
        "test_y": (np.arange(5) % classes).astype(np.uint8),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx(array)
        path = folder / (IDX_NAMES[name] + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)
    return arrays


def cifar(images: Any, labels: Sequence[int]) -> bytes:
    """Images ``(n, 32, 32, 3)`` as records of CIFAR-10's binary version."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return b"".join(bytes([label]) + plane.tobytes() for label, plane in zip(labels, planes, strict=True))


def write_cifar_folder(folder: Path, classes: Sequence[str] | None = ("cat", "dog"), files: int = 2) -> Any:
    """Training files of 4 images each, a test file of 2; returns the training images."""
    images = np.random.default_rng(0).integers(0, 256, (4 * files + 2, 32, 32, 3), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        some = images[4 * number : 4 * number + 4]
        (folder / f"data_batch_{number + 1}.bin").write_bytes(cifar(some, [0, 1, 1, 0]))
    (folder / "test_batch.bin").write_bytes(cifar(images[-2:], [1, 0]))
    if classes is not None:
        (folder / "batches.meta.txt").write_text("\n".join(classes) + "\n\n")
    return images
