"""Checkpoints: arrays in a safetensors file, all else in a JSON file beside it, which says that both are whole.

``step-00000120.safetensors`` is written first, then ``step-00000120.json`` with its size and SHA-256. A checkpoint
exists if its JSON file does. Nothing in either file is ever run, and names in them are never used as paths.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.files import length, unreadable
from chainrule.errors import DataError
from chainrule.primitive import Array
from chainrule.train import atomic

VERSION = 1
_NAME = re.compile(r"step-(\d{8,12})\.json")
_MOST_JSON = 1 << 24
"""Bytes of JSON that are read at most, in a file or before the arrays: what we write takes some kilobytes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state of training.

    Attributes:
        arrays: parameters, buffers and the optimizer's state, by names such as ``parameters/layers.0.weight``.
        progress: the rest, JSON-ready.
        file: where it was read from.
    """

    arrays: dict[str, Array]
    progress: dict[str, Any]
    file: Path


def save(folder: Path, updates: int, arrays: Mapping[str, Array], progress: Mapping[str, Any]) -> Path:
    """Write a checkpoint; returns its JSON file.

    Args:
        folder: where checkpoints are.
        updates: how many have been made, which names it.
        arrays, progress: as in `Checkpoint`.

    Raises:
        DataError: it cannot be written. Checkpoints that were there are as they were.
    """
    content = packed(arrays)
    target = folder / f"step-{updates:08d}.json"
    atomic.write(target.with_suffix(".safetensors"), content)
    head = {
        "version": VERSION,
        "updates": updates,
        "arrays": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "progress": dict(progress),
    }
    atomic.write(target, (json.dumps(head, indent=2, allow_nan=False) + "\n").encode())
    return target


def packed(arrays: Mapping[str, Array]) -> bytes:
    """A safetensors file of these arrays."""
    from safetensors.numpy import save as serialized  # which few commands need

    return serialized({name: np.asarray(array, order="C") for name, array in arrays.items()})


def found(folder: Path) -> list[Path]:
    """The JSON files of a folder's checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    names = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(names)]


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, and check that it is whole.

    Args:
        path: its JSON file.

    Raises:
        DataError: a file is missing, damaged, of another version, or not what it claims to be.
    """
    head = read_json(path)
    if head.get("version") != VERSION:
        raise _wrong(path, f"it has version {head.get('version')!r}, expected {VERSION}")
    described, progress = head.get("arrays"), head.get("progress")
    if not isinstance(described, dict) or not isinstance(progress, dict):
        raise _wrong(path, "it does not describe a checkpoint")
    beside = path.with_suffix(".safetensors")
    return Checkpoint(read_arrays(beside, described.get("bytes"), described.get("sha256")), progress, path)


def read_arrays(path: Path, size: Any = None, digest: Any = None) -> dict[str, Array]:
    """The arrays of a safetensors file.

    Args:
        path: the file.
        size, digest: bytes and SHA-256 that it must have, if they are known.

    Raises:
        DataError: it cannot be read, is damaged, or is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    content = _content(path)
    if size is not None and size != len(content):
        raise _wrong(path, f"it has {len(content)} bytes, expected {size}")
    if digest is not None and digest != hashlib.sha256(content).hexdigest():
        raise _wrong(path, "its contents are not those that were written: another SHA-256")
    _require_header(path, content)
    try:
        return dict(unpacked(content))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _wrong(path, f"it is no safetensors file of numbers: {error}") from None


def _require_header(path: Path, content: bytes) -> None:
    """What the format's own reader lets pass: names that occur twice, of which it would take the last."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise _wrong(path, f"its header claims {size} bytes, and the file has {len(content)}")
    if size > _MOST_JSON:
        raise _wrong(path, f"its header has {size} bytes, more than {_MOST_JSON}")
    _parsed(path, content[8 : 8 + size])


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        DataError: it cannot be read, is too large, is no JSON object, or has a name twice.
    """
    return _parsed(path, _content(path, _MOST_JSON))


def _content(path: Path, most: int | None = None) -> bytes:
    """All of a file: of a pipe or a device, which may have no end, nothing is read."""
    size = length(path)
    if most is not None and size > most:
        raise _wrong(path, f"it has {size} bytes, more than {most}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise _wrong(path, f"it has the name {name[:60]!r} twice")
            found[name] = value
        return found

    try:
        value = json.loads(content, object_pairs_hook=once)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise _wrong(path, f"it holds a {type(value).__name__}, expected a JSON object")
    return value


def _wrong(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: {what}", fix="use an earlier checkpoint of the same run, or train again into a new folder"
    )
