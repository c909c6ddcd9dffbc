"""Picture files: how they become numbers, and those that are damaged, huge, or of another size."""

from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chainrule import data
from chainrule.data import Dataset, Preparation, looks_inverted, one_image, read_picture
from chainrule.data.pictures import MOST_PIXELS, frame_of
from chainrule.errors import ArgumentError, DataError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7


def saved(folder: Path, pixels: Any, name: str = "some.png", **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "gif", "pgm"])
def test_grey_pixels_are_kept(tmp_path: Path, ending: str):
    path = saved(tmp_path, GREY, f"some.{ending}")
    assert frame_of(path) == (3, 4, 1)
    result = read_picture(path, (3, 4))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, GREY)
    np.testing.assert_array_equal(read_picture(path, (3, 4), invert=True), 255 - GREY)
    np.testing.assert_array_equal(read_picture(path, (3, 4, 3)), np.stack([GREY] * 3, -1))


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "ppm"])
def test_colours_are_kept(tmp_path: Path, ending: str):
    path = saved(tmp_path, COLOUR, f"some.{ending}")
    assert frame_of(path) == (3, 4, 3)
    np.testing.assert_array_equal(read_picture(path, (3, 4, 3)), COLOUR)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_picture(path, (3, 4)), luma, atol=1)


def test_jpeg_is_close(tmp_path: Path):
    smooth = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    np.testing.assert_allclose(
        read_picture(saved(tmp_path, smooth, "some.jpg", quality=95), (32, 32)).astype(int), smooth, atol=6
    )


def test_what_the_camera_turned_is_turned_back(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    path = saved(tmp_path, GREY, exif=exif)
    assert frame_of(path) == (4, 3, 1)
    np.testing.assert_array_equal(read_picture(path, (4, 3)), np.rot90(GREY, -1))


@pytest.mark.parametrize("said", ["eXIf", "XMP"])
def test_turning_may_be_said_behind_the_pixels(tmp_path: Path, said: str):
    whole = saved(tmp_path, GREY).read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>'
    added = chunk(b"eXIf", exif.tobytes()[6:]) if said == "eXIf" else chunk(b"iTXt", xmp)
    path = tmp_path / "late.png"
    path.write_bytes(whole[:-12] + added + whole[-12:])
    assert frame_of(path) == (4, 3, 1)
    np.testing.assert_array_equal(read_picture(path, (4, 3)), np.rot90(GREY, -1))


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "ppm"])
def test_the_head_of_a_picture_is_read_without_its_pixels(tmp_path: Path, ending: str):
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    path = saved(tmp_path, noise, f"some.{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    assert frame_of(path) == (64, 48, 3)
    with pytest.raises(DataError, match="cannot be decoded"):
        read_picture(path, (64, 48, 3))


def test_transparent_parts_are_white(tmp_path: Path):
    pixels = np.dstack([COLOUR, np.full((3, 4), 255, np.uint8)])
    pixels[0, 0, 3] = 0
    result = read_picture(saved(tmp_path, pixels), (3, 4, 3))
    assert result[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(result[1:], COLOUR[1:])
    grey = np.dstack([GREY, pixels[..., 3]])
    assert frame_of(saved(tmp_path, grey)) == (3, 4, 1)
    assert read_picture(saved(tmp_path, grey), (3, 4))[0, :2].tolist() == [255, 20]


def test_other_kinds_of_pixels(tmp_path: Path):
    deep = GREY.astype(np.uint16) * 256 + 255
    path = saved(tmp_path, deep)
    assert frame_of(path) == (3, 4, 1)
    np.testing.assert_array_equal(read_picture(path, (3, 4)), GREY)
    np.testing.assert_array_equal(
        read_picture(saved(tmp_path, deep, transparency=255), (3, 4))[0, :2], [255, 20]
    )
    (tmp_path / "deep.pgm").write_bytes(b"P5 4 3 65535 " + deep.astype(">u2").tobytes())
    assert frame_of(tmp_path / "deep.pgm") == (3, 4, 1)
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.pgm", (3, 4)), GREY)
    bits = saved(tmp_path, Image.fromarray(GREY > 100))
    np.testing.assert_array_equal(read_picture(bits, (3, 4)), np.where(GREY > 100, 255, 0))
    palette = saved(tmp_path, Image.fromarray(COLOUR).quantize(12))
    assert frame_of(palette).channels == 3
    np.testing.assert_array_equal(read_picture(palette, (3, 4, 3)), COLOUR)
    with pytest.raises(DataError, match="pixels of mode F have no brightest value"):
        read_picture(saved(tmp_path, GREY.astype(np.float32), "some.tiff"), (3, 4))


def test_resizing_covers_and_cuts_the_middle(tmp_path: Path):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 2:10] = 200
    path = saved(tmp_path, wide)
    np.testing.assert_array_equal(read_picture(path, (2, 2), resize=True), np.full((2, 2), 200))
    halves = np.repeat(np.array([[0, 100]], np.uint8), 4, 0).repeat(2, 1)
    np.testing.assert_allclose(
        read_picture(saved(tmp_path, halves), (2, 2), resize=True), [[0, 100]] * 2, atol=15
    )
    checked = np.indices((64, 64)).sum(0) % 2 * np.uint8(200)
    small = read_picture(saved(tmp_path, checked.astype(np.uint8)), (4, 4), resize=True)
    assert (np.abs(small.astype(int) - 100) < 5).all()  # averaged, not picked
    np.testing.assert_array_equal(read_picture(saved(tmp_path, GREY), (3, 4), resize=True), GREY)


def test_another_size_is_refused(tmp_path: Path):
    path = saved(tmp_path, GREY)
    message = "some.png: wrong image size: 4 × 3 pixels, expected 3 × 4\n  Fix: pass resize=True"
    with pytest.raises(DataError, match=message):
        read_picture(path, (4, 3))


def chunk(kind: bytes, body: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, content: bytes = b"") -> bytes:
    """A PNG file that claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8193, 9999, 60_000])
def test_absurd_sizes_are_refused_before_decoding(tmp_path: Path, side: int):
    path = tmp_path / "huge.png"
    path.write_bytes(png_of(side, side, zlib.compress(bytes(1000))))
    tracemalloc.start()
    for read in (frame_of, lambda p: read_picture(p, (28, 28), resize=True)):
        with pytest.raises(DataError, match=r"huge.png: .* pixels.*\n  Fix: make the picture smaller"):
            read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000 and side * side > MOST_PIXELS


def test_files_that_are_no_pictures(tmp_path: Path):
    whole = saved(tmp_path, np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).read_bytes()
    path = tmp_path / "bad.png"
    for content, message in (
        (b"", "no picture"),
        (b"hello", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (whole[: len(whole) // 2], "cannot be decoded"),
        (png_of(64, 64, b"no zlib"), "cannot be decoded"),
        (png_of(64, 64, zlib.compress(b"")), "cannot be decoded"),
        (png_of(0, 64), "no picture|cannot be decoded"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"bad.png: ({message})"):
            read_picture(path, (64, 64))
    with pytest.raises(DataError, match="is a folder, expected a file"):
        read_picture(tmp_path, (64, 64))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="is a pipe, expected a file"):
        read_picture(tmp_path / "pipe.png", (64, 64))


def test_no_damage_gets_through(tmp_path: Path, rng: np.random.Generator):
    """Whatever is changed in a file: our error, or a picture."""
    path = tmp_path / "bad"
    for ending in ("png", "jpg", "gif", "tiff", "bmp", "webp"):
        whole = bytearray(saved(tmp_path, COLOUR.repeat(8, 0), f"some.{ending}").read_bytes())
        for _ in range(40):
            changed = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                changed[place] = rng.integers(256)
            path.write_bytes(changed)
            with contextlib.suppress(DataError):
                assert read_picture(path, (24, 4, 3), resize=True).shape == (24, 4, 3)


@pytest.fixture
def about() -> data.Description:
    images = np.stack([COLOUR] * 4)
    prepared = Preparation(255, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return Dataset.from_arrays(images, [0, 1, 0, 1], preparation=prepared).description


def test_a_picture_is_prepared_as_the_training_images_were(tmp_path: Path, about: data.Description):
    path = saved(tmp_path, COLOUR)
    again = data.Description.from_dict(about.to_dict())
    result = one_image(path, again)
    assert result.shape == (1, 3, 4, 3) and result.dtype == np.float32
    np.testing.assert_array_equal(result, about.preparation(COLOUR[None]))
    np.testing.assert_array_equal(one_image(path, about, invert=True), about.preparation(255 - COLOUR[None]))
    other = saved(tmp_path, COLOUR.repeat(2, 0).repeat(2, 1), "large.png")
    assert one_image(other, about, resize=True).shape == (1, 3, 4, 3)
    with pytest.raises(DataError, match=r"large.png: wrong image size: 8 × 6 pixels, expected 4 × 3"):
        one_image(other, about)


def test_a_picture_for_the_digits(tmp_path: Path):
    digits = data.digits()
    ink = (digits.test_x[3].reshape(8, 8) * 255).round().astype(np.uint8)
    result = one_image(saved(tmp_path, ink), digits.description)
    assert result.shape == (1, 64)
    np.testing.assert_allclose(result[0], digits.test_x[3], atol=0.003)
    images = digits.standardized().as_images()
    assert one_image(saved(tmp_path, ink), images.description).shape == (1, 8, 8, 1)


def test_networks_that_want_no_pictures(tmp_path: Path, rng: np.random.Generator):
    path = saved(tmp_path, GREY)
    table = Dataset.from_arrays(np.ones((4, 12)), [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"the training examples, of shape \(12,\), were no pictures"):
        one_image(path, table.description)
    centred = Dataset.from_arrays(rng.normal(size=(4, 12)), [0, 1, 0, 1], image_shape=(3, 4))
    assert centred.description.brightness is None and not looks_inverted(path, centred.description)
    with pytest.raises(
        DataError, match=r"the training pictures had numbers in \(.*\), expected 0 \(black\) to 1"
    ):
        one_image(path, centred.description)
    with pytest.raises(ArgumentError, match="resize must be True or False"):
        one_image(path, data.digits().description, resize="yes")  # type: ignore[arg-type]


def test_ink_on_paper_looks_inverted(tmp_path: Path):
    about = data.digits().description
    assert about.brightness is not None and 0.2 < about.brightness < 0.4
    for paper, expected in ((250, True), (20, False), (128, False)):
        assert looks_inverted(saved(tmp_path, np.full((30, 30), paper, np.uint8)), about) is expected
