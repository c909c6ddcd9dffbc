"""Checkpoints: what they hold, and those that were not written by us, or were damaged since."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from chainrule import train
from chainrule.errors import DataError
from chainrule.train import checkpoint
from test_run_folder import damaged, work


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train.fit(**work(folder))
    return folder


def test_checkpoints_say_what_they_hold(whole: Path):
    newest = checkpoint.found(whole / "checkpoints")[-1]
    head = json.loads(newest.read_text())
    content = newest.with_suffix(".safetensors").read_bytes()
    assert head["arrays"] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert head["updates"] == 28
    names = set(checkpoint.load(newest).arrays)
    assert {"parameters/layers.0.weight", "buffers/layers.1.mean", "optimizer/mean.layers.0.weight"} < names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: {**head, "version": 9}, "it has version 9, expected 1"),
        (lambda head: {**head, "arrays": None}, "it does not describe a checkpoint"),
        (lambda head: [head], "it holds a list, expected a JSON object"),
        (lambda head: {**head, "arrays": {**head["arrays"], "bytes": 1}}, "bytes, expected 1"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_claims(tmp_path: Path, whole: Path, change: Any, message: str):
    _, newest = damaged(whole, tmp_path / "run")
    newest.write_text(json.dumps(change(json.loads(newest.read_text()))))
    with pytest.raises(DataError, match=message):
        checkpoint.load(newest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no JSON"),
        ('{"version": 1, "version": 2}', "it has the name 'version' twice"),
        ("[" * 100_000, "it is no JSON"),
        (" " * ((1 << 24) + 1), "more than 16777216"),
        ("", "it is no JSON"),
        ("{" + "".join(f'"{i}":0,' for i in range(100_000)) + '"99999":0}', "it has the name '99999' twice"),
    ],
    ids=["cut off", "a name twice", "deep", "huge", "empty", "many names"],
)
def test_hostile_json(tmp_path: Path, text: str, message: str):
    """Refused at once, and in one sentence: the last would take minutes if each name were looked for in all others."""
    path = tmp_path / "step-00000001.json"
    path.write_text(text)
    began = time.perf_counter()
    with pytest.raises(DataError, match=message) as caught:
        checkpoint.load(path)
    assert time.perf_counter() - began < 10 and "\n" not in caught.value.message


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_only_files_are_read(tmp_path: Path, whole: Path, kind: str):
    """Others may never end."""
    folder, newest = damaged(whole, tmp_path / "run")
    read = {
        folder / "model.safetensors": lambda: train.load(folder, work()["model"]),
        folder / "log.jsonl": lambda: [*train.RunFolder.open(folder).events()],
        newest.with_suffix(".safetensors"): lambda: checkpoint.load(newest),
        newest: lambda: checkpoint.load(newest),
    }
    for path, attempt in read.items():
        path.unlink()
        if kind == "a pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        with pytest.raises(DataError, match=f"{path.name} is {kind}, expected a file"):
            attempt()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sums": 0.5}, "sums is 0.5"),
        ({"sums": {"loss": "much"}}, "sums is {'loss': 'much'}, expected numbers"),
        ({"sums": {"loss": {}}}, "sums is {'loss': {}}, expected numbers"),
        ({"best": {}}, "best is {}"),
        ({"best": None}, "best is None, expected numbers"),
        ({"step": 1.0}, "step is 1.0, expected an integer from 0 on"),
        ({"step": -3}, "step is -3, expected an integer from 0 on"),
        ({"step": 99}, "28 updates do not lead to epoch 5, step 99 of 7"),
        ({"epoch": -3}, "epoch is -3, expected an integer from 1 on"),
        ({"epoch": 2}, "28 updates do not lead to epoch 2, step 0 of 7"),
        ({"log_bytes": -1}, "log_bytes is -1, expected an integer from 0 on"),
        ({"more": 1}, "'more' is missing or unknown"),
    ],
)
def test_progress_that_cannot_be(tmp_path: Path, whole: Path, change: Any, message: str):
    folder, newest = damaged(whole, tmp_path / "run")
    head = json.loads(newest.read_text())
    newest.write_text(json.dumps({**head, "progress": {**head["progress"], **change}}))
    with pytest.raises(DataError) as caught:
        train.fit(**work(folder, resume=True, epochs=6))
    assert caught.value.message == f"{newest}: its progress is none: {message}"


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its header claims 0 bytes, and the file has 0"),
        (safetensors({}, length=1 << 60), "its header claims 1152921504606846976 bytes"),
        (safetensors({"a": {**ONE, "shape": [1 << 60]}}, bytes(4)), "it is no safetensors file of numbers"),
        (
            safetensors({"a": {**ONE, "data_offsets": [0, 400]}}, bytes(4)),
            "it is no safetensors file of numbers",
        ),
        (safetensors({"a": {**ONE, "dtype": "X9"}}, bytes(4)), "it is no safetensors file of numbers"),
        (
            safetensors(
                b'{"a":' + json.dumps(ONE).encode() + b',"a":' + json.dumps(ONE).encode() + b"}", bytes(4)
            ),
            "it has the name 'a' twice",
        ),
        (safetensors(b"not json"), "it is no JSON"),
        (safetensors(b" " * ((1 << 24) + 1)), "its header has 16777217 bytes, more than 16777216"),
        (safetensors({"a": ONE, "b": ONE}, bytes(4)), "it is no safetensors file of numbers"),
    ],
    ids=[
        "empty",
        "long header",
        "large shape",
        "beyond the end",
        "dtype",
        "a name twice",
        "text",
        "huge",
        "overlap",
    ],
)
def test_hostile_arrays(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        checkpoint.read_arrays(path)
