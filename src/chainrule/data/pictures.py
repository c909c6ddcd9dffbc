"""Picture files as arrays of bytes, by Pillow, which is loaded when the first picture is read.

The rules, the same for training and for one new picture:

- what the camera turned (Exif) is turned back; of an animation the first frame counts;
- grey is made of colour by ITU-R 601-2 luma, 0.299 R + 0.587 G + 0.114 B; grey becomes colour by three equal channels;
- transparent parts are laid on white paper;
- 16 bits become 8, the upper ones;
- to another size it is scaled, with its proportions, until it covers that size, by Pillow's bilinear filter, which
  averages over all pixels where it makes smaller; what is too much on two sides is cut off, equally.

Black stays black and white stays white, unless ``invert`` is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.data.description import Description
from chainrule.data.files import PathLike, as_path, damaged, length, named
from chainrule.errors import ChainruleError, DataError, shown
from chainrule.primitive import Array
from chainrule.shapes import Shape, as_flag

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Of Pillow's; others need helpers outside of Python, or are hardly pictures."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp")
MOST_PIXELS = 1 << 26
"""Pixels of a picture: 8,192 × 8,192. Larger ones are refused before they are decoded."""
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TEXTS_THAT_TURN = (b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Kinds of text in PNG files, and the keywords of those that Pillow looks for how the camera was held in."""
_ORIENTATION = 0x0112
"""Exif's tag for how the camera was held; from 5 on rows and columns change places."""


class Frame(NamedTuple):
    """What the head of a picture file says, as the picture is seen."""

    rows: int
    columns: int
    channels: int


def frame_of(path: Path) -> Frame:
    """Size and kind of a picture, without decoding it unless it has a palette, or PNG says behind it how it was held.

    Raises:
        DataError: it cannot be read, is no picture, or is too large.
    """
    with _opened(path) as image:
        width, height = image.size
        if _is_turned(path, image):
            width, height = height, width
        grey = image.mode in _GREY or (image.mode == "P" and _palette_is_grey(image))
        return Frame(height, width, 1 if grey else 3)


def _is_turned(path: Path, image: Image) -> bool:
    """Whether rows and columns change places when the picture is held as the camera was."""
    from PIL import Image

    if image.format != "PNG":
        exif = image.getexif()
    else:
        if _is_turned_behind(path):
            image.load()
        exif = Image.Image.getexif(image)  # the format's own decodes all of it, for what may follow
    return exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)


def _is_turned_behind(path: Path) -> bool:
    """Whether a PNG file says behind its pixels how the camera was held."""
    behind = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            start = file.read(min(size, 32))
            if behind and (
                kind == b"eXIf" or (kind in _TEXTS and start.partition(b"\0")[0] in _TEXTS_THAT_TURN)
            ):
                return True
            behind = behind or kind == b"IDAT"
            file.seek(size - len(start) + 4, 1)  # a checksum of 4 bytes follows
    return False


def read_picture(path: PathLike, shape: Shape, *, resize: bool = False, invert: bool = False) -> Array:
    """A picture file as an array of bytes.

    Args:
        path: of a PNG, JPEG, BMP, GIF, PPM, TIFF or WebP file.
        shape: that it must have, ``(rows, columns)`` for grey or ``(rows, columns, 3)`` for colour. One in colour is
            made grey, or the reverse, where needed; see this module.
        resize: whether a picture of another size is scaled and cut to this one, rather than refused.
        invert: whether black and white change places.

    Returns:
        uint8 of that shape, 0 black and 255 full.

    Raises:
        DataError: the file cannot be read, is no picture, is too large, or has another size.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("dot.pgm").write_bytes(b"P5 2 1 255 " + bytes([0, 200]))
        >>> read_picture("dot.pgm", (1, 2)).tolist(), read_picture("dot.pgm", (1, 2), invert=True).tolist()
        ([[0, 200]], [[255, 55]])
    """
    place = as_path("read_picture", path)
    rows, columns = shape[:2]
    as_flag("read_picture", "resize", resize)
    as_flag("read_picture", "invert", invert)
    with _opened(place) as image:
        pixels = _pixels(place, image, (rows, columns), len(shape) == 3, resize)
    return 255 - pixels if invert else pixels


def one_image(
    path: PathLike, description: Description, *, resize: bool = False, invert: bool = False
) -> Array:
    """A picture file as the input of a network.

    Args:
        path: of the file.
        description: of what the network was trained on: ``data.description``.
        resize: whether a picture of another size is scaled and cut to fit, rather than refused.
        invert: whether black and white change places. It is not guessed: :func:`looks_inverted` helps to decide.

    Returns:
        Shape ``(1, *input_shape)``, prepared as the training images were.

    Raises:
        DataError: the file cannot be read, is no picture, is too large or of another size; or the network was not
            trained on pictures, or on pictures whose numbers do not say which is black.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("seven.pgm").write_bytes(b"P5 8 8 255 " + bytes(64))
        >>> one_image("seven.pgm", cr.data.digits().description).shape
        (1, 64)
    """
    shape = description.image_shape
    if shape is None:
        raise DataError(
            f"one_image: the training examples, of shape {description.example_shape}, were no pictures",
            fix="prepare the numbers themselves: description.preparation(x)",
        )
    pixels = read_picture(path, shape, resize=resize, invert=invert)
    if description.dtype == "uint8":
        raw = pixels
    else:
        if description.limits is None or description.limits[0] < 0 or description.limits[1] > 1:
            raise DataError(
                f"one_image: the training pictures had numbers in {shown(description.limits)}, expected 0 (black) to 1",
                fix="train on pictures of bytes, or scaled to 0 .. 1; or prepare this one yourself",
            )
        raw = (pixels / 255).astype(description.dtype)
    return description.preparation(raw.reshape(1, *description.example_shape))


def looks_inverted(path: PathLike, description: Description) -> bool:
    """Whether a picture is bright where the training pictures were dark, or the reverse.

    A digit in black ink on white paper is, for a network that learned from white digits on black. It compares mean
    brightness only, so it is a reason to ask, and no more.

    Args:
        path: of the picture file.
        description: of what the network was trained on.

    Returns:
        Whether the picture's mean brightness is nearer to that of inverted training pictures, and not near the middle.

    Raises:
        DataError: the file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("paper.pgm").write_bytes(b"P5 8 8 255 " + bytes([240] * 60 + [0] * 4))
        >>> looks_inverted("paper.pgm", cr.data.digits().description)
        True
    """
    usual, shape = description.brightness, description.image_shape
    if usual is None or shape is None:
        return False
    mean = float(read_picture(path, shape, resize=True).mean()) / 255
    return (mean - 0.5) * (usual - 0.5) < 0 and abs(mean - 0.5) > 0.1 and abs(usual - 0.5) > 0.1


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """Open a picture whose size is bearable. Whatever Pillow raises while it is used becomes a `DataError`."""
    from PIL import Image

    length(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise _too_large(path, pixels_text(height, width))
            yield image
    except ChainruleError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path, "more pixels than Pillow decodes") from None
    except Image.UnidentifiedImageError:
        raise damaged(path, "no picture", f"pass a picture: {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow's decoders raise what they meet
        raise damaged(path, f"cannot be decoded: {error or type(error).__name__}") from None


def _too_large(path: Path, size: str) -> DataError:
    return damaged(path, f"{size}, more than {MOST_PIXELS}", "make the picture smaller")


def pixels_text(rows: int, columns: int) -> str:
    """A size in words as image tools say it, the width first: ``17 × 16 pixels`` for 16 rows and 17 columns."""
    return f"{columns} × {rows} pixels"


def _palette_is_grey(image: Image) -> bool:
    palette = image.getpalette() or []
    return all(palette[i] == palette[i + 1] == palette[i + 2] for i in range(0, len(palette) - 2, 3))


def _pixels(path: Path, image: Image, size: tuple[int, int], colour: bool, resize: bool) -> Array:
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    seen: Any = image
    rows, columns = size
    if (seen.height, seen.width) != size and not resize:
        raise damaged(
            path,
            f"wrong image size: {pixels_text(seen.height, seen.width)}, expected {columns} × {rows}",
            "pass resize=True, or bring it to that size",
        )
    seen = _of_bytes(path, seen, "RGB" if colour else "L")
    if (seen.height, seen.width) != size:
        seen = ImageOps.fit(seen, (columns, rows), Image.Resampling.BILINEAR)
    return np.array(seen, np.uint8)


def _of_bytes(path: Path, image: Any, mode: str) -> Any:
    """The picture with 8 bits in each channel, on white."""
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        deep = np.asarray(image).astype(np.uint16)
        upper = (deep >> 8).astype(np.uint8)
        upper[deep == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(upper)
    elif image.mode in ("I", "F"):
        raise damaged(
            path,
            f"pixels of mode {image.mode} have no brightest value",
            "save it with 8 bits in each channel",
        )
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.new("RGBA", seen.size, "white")
        image.alpha_composite(seen)
    return image.convert(mode)


def file_name(path: Path) -> str:
    """The last two parts of a path, which tell the class too."""
    return named("/".join(path.parts[-2:]))
