"""Pictures as files: reading and writing with all their channels, bits and transparency."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from convarith.errors import ConvarithError
from convarith_gallery.atomic_file import write_whole
from convarith_gallery.autoencoders.restore import png16

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
"""The format of each file ending."""


OPAQUE = (".jpg", ".jpeg", ".bmp")


class Picture(NamedTuple):
    """A picture as it is stored in a file.

    Attributes:
        pixels: (H, W, 1) for grey or (H, W, 3) for colour, uint8 or uint16.
        alpha: (H, W, 1) of the same type, or None if the picture is opaque.
        profile: the ICC profile, or None.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def bits(self) -> int:
        """Bits per channel."""
        return 8 * self.pixels.dtype.itemsize


def read_picture(path: str) -> Picture:
    """Read a picture from a file, in its upright orientation.

    Raises ConvarithError if the file cannot be read, has several frames, or does not have 8 or 16 bits per channel.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    if png16.is_png16(content):
        try:
            pixels = png16.decode(content)
        except ConvarithError as error:
            raise ConvarithError(f"cannot read {path}: {error}") from None
        return _split(pixels, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content)) as opened:
                if (frames := getattr(opened, "n_frames", 1)) > 1:
                    raise ConvarithError(f"{path} has {frames} frames: give a picture with a single frame")
                profile = opened.info.get("icc_profile")
                return _split(_array(ImageOps.exif_transpose(opened), path), profile)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ConvarithError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: split it into smaller pictures"
        ) from None
    except UnidentifiedImageError:
        raise ConvarithError(
            f"{path} is not a picture in a known format: give a PNG, JPEG, WebP, TIFF or BMP"
        ) from None
    except (OSError, SyntaxError) as error:
        raise ConvarithError(f"{path} is damaged: {error}") from None


def write_picture(path: str, picture: Picture) -> None:
    """Write a picture completely or not at all, in the format of the file ending.

    Raises ConvarithError if `check_output` does, and if the file cannot be written.
    """
    check_output(path, picture)
    pixels = picture.pixels if picture.alpha is None else np.concatenate((picture.pixels, picture.alpha), axis=2)
    if picture.bits == 16:
        write_whole(path, png16.encode(pixels))
        return
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    content = BytesIO()
    image.save(content, FORMATS[Path(path).suffix.lower()], icc_profile=picture.profile)
    write_whole(path, content.getvalue())


def check_output(path: str, picture: Picture) -> None:
    """Raise ConvarithError if the format of the file ending cannot hold the picture."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ConvarithError(f"{path} has an unknown ending: choose one of {', '.join(FORMATS)}")
    if picture.bits == 16 and suffix != ".png":
        raise ConvarithError(f"{path} cannot hold the picture's 16 bits: write a .png")
    if picture.alpha is not None and suffix in OPAQUE:
        raise ConvarithError(f"{path} cannot hold the picture's transparency: write a .png or .webp")


def _array(image: Image.Image, path: str) -> NDArray[Any]:
    """The array (H, W, 1 to 4 channels); the last of two or four channels is the transparency."""
    mode = image.mode
    if mode.startswith("I"):  # a grey picture of 16 bits
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ConvarithError(f"{path} has values beyond 16 bits: save it with 8 or 16 bits per channel")
        return values.astype(np.uint16)[..., None]
    if mode == "F":
        raise ConvarithError(f"{path} has fractional values: save it with 8 or 16 bits per channel")
    clear = image.has_transparency_data
    if mode in ("1", "L", "LA"):
        image = image.convert("LA" if clear else "L")
    else:
        image = image.convert("RGBA" if clear else "RGB")
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def _split(array: NDArray[Any], profile: bytes | None) -> Picture:
    if array.shape[2] in (2, 4):
        return Picture(array[..., :-1], array[..., -1:], profile)
    return Picture(array, None, profile)
