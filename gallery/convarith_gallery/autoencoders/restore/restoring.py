"""A trained restorer on a user's picture: any size, grey or colour, 8 or 16 bits, its transparency kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn
from torch.nn import functional

from convarith.errors import ConvarithError
from convarith_gallery.atomic_file import write_whole
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.restore import png16
from convarith_gallery.autoencoders.restore.tiling import SIDE, Tiling, restored_pieces
from convarith_gallery.autoencoders.run import MODEL, load_model

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
"""What is written for each ending."""
OPAQUE = (".jpg", ".jpeg", ".bmp")


class Picture(NamedTuple):
    """A picture as it is stored.

    Attributes:
        pixels: (H, W, 1) in grey or (H, W, 3) in colour, uint8 or uint16.
        alpha: (H, W, 1) of the same type, or None where everything is opaque.
        profile: its ICC profile, or None.
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
        """Bits a channel."""
        return 8 * self.pixels.dtype.itemsize


class Loaded(NamedTuple):
    """A trained restorer, ready to be applied.

    Attributes:
        module: from pixels (1, C, H, W) in 0..1 to restored ones.
        folder: where it was found; about: what it was trained for, in words.
    """

    module: nn.Module
    tiling: Tiling
    folder: str
    about: str


def load_restorer(path: str, scale: int | None = None) -> Loaded:
    """The restorer of a run folder, or of its model file; of one with several scales that of `scale`.

    Raises ConvarithError for a folder without a model or with several, a model that was not trained to restore
    pictures, and a scale that it does not have.
    """
    file = _model_file(Path(path))
    model = load_model(file.parent)
    if not isinstance(model, Restorer) or model.settings.classes or len(model.given_shape) != 3:
        raise ConvarithError(f"{file} was not trained to restore pictures: train denoise, noise2noise, upscale or edsr")
    channels = model.given_shape[0]
    if channels not in (1, 3):
        raise ConvarithError(f"{file} takes {channels} channels: pictures have 1 or 3")
    if scale is not None and scale not in model.scales:
        raise ConvarithError(f"{file} enlarges by {' or '.join(map(str, model.scales))}: got --scale {scale}")
    module = model.at(scale).eval()
    settings = model.settings
    task = f"{settings.corruption} {settings.level:g}" if settings.targets != "pairs" else "noisy pairs"
    chosen = scale or model.scales[0]
    about = f"{settings.network} against {task}" if chosen == 1 else f"{settings.network}, {chosen} times larger"
    return Loaded(module, Tiling(module, model.given_shape), str(file), about)


def _model_file(path: Path) -> Path:
    if path.is_file():
        if path.name != MODEL:
            raise ConvarithError(f"{path} is no model of `convarith train`: its file is called {MODEL}")
        return path
    if not path.is_dir():
        raise ConvarithError(f"there is no {path}: give a folder of `convarith train`, or its {MODEL}")
    found = [path / MODEL] if (path / MODEL).is_file() else sorted(path.glob(f"*/{MODEL}"))
    if not found:
        raise ConvarithError(f"there is no {MODEL} in {path}: give a folder of a finished `convarith train`")
    if len(found) > 1:
        raise ConvarithError(f"{path} has {len(found)} models: choose {', '.join(str(file.parent) for file in found)}")
    return found[0]


def read_picture(path: str) -> Picture:
    """A picture from a file, the right way up.

    Raises ConvarithError for what cannot be read, has several frames, or numbers that are no 8 or 16 bits.
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
                    raise ConvarithError(f"{path} has {frames} frames: give a picture of one")
                profile = opened.info.get("icc_profile")
                return _split(_array(ImageOps.exif_transpose(opened), path), profile)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ConvarithError(f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: cut it into parts") from None
    except UnidentifiedImageError:
        raise ConvarithError(f"{path} is no picture that can be read: give a PNG, JPEG, WebP, TIFF or BMP") from None
    except (OSError, SyntaxError) as error:
        raise ConvarithError(f"{path} is damaged: {error}") from None


def write_picture(path: str, picture: Picture) -> None:
    """Write a picture whole or not at all, in the format of the ending.

    Raises ConvarithError for what `check_output` refuses, and where the file cannot be written.
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
    """Raise ConvarithError for an ending whose format cannot hold the picture."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ConvarithError(f"{path} ends in none of {', '.join(FORMATS)}: give such a name")
    if picture.bits == 16 and suffix != ".png":
        raise ConvarithError(f"{path} would lose the picture's 16 bits: write a .png")
    if picture.alpha is not None and suffix in OPAQUE:
        raise ConvarithError(f"{path} would lose the picture's transparency: write a .png or .webp")


def restore(
    module: Callable[[Tensor], Tensor],
    tiling: Tiling,
    picture: Picture,
    device: torch.device,
    *,
    side: int = SIDE,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Picture:
    """What a network makes of a picture, one piece of about `side` pixels after the other.

    A network of one channel is applied to red, green and blue each by itself; one of three takes grey as three equal
    channels and gives their mean. Transparency is enlarged by cubic interpolation.

    Raises ShapeError for a size that the network does not take.
    """
    pixels, scale = picture.pixels, tiling.scale
    most = int(np.iinfo(pixels.dtype).max)
    height, width = picture.size
    result = np.empty((scale * height, scale * width, pixels.shape[2]), pixels.dtype)
    total = len(tiling.pieces(tiling.legal_size(picture.size), side))
    applied = _fitted(module, tiling.shape[0], pixels.shape[2])

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        part = pixels[rows.numpy()[:, None], columns.numpy()].astype(np.float32) / most
        return torch.from_numpy(part.transpose(2, 0, 1)).to(device)

    for number, (rows, columns, values) in enumerate(restored_pieces(applied, tiling, read, picture.size, side), 1):
        stored = (values.float().clamp(0, 1) * most).round().permute(1, 2, 0).cpu().numpy()
        result[rows, columns] = stored.astype(pixels.dtype)
        watch(min(number, total), total)
    alpha = picture.alpha if scale == 1 or picture.alpha is None else _enlarged(picture.alpha, scale)
    return Picture(result, alpha, picture.profile)


def _fitted(module: Callable[[Tensor], Tensor], channels: int, given: int) -> Callable[[Tensor], Tensor]:
    """The network for pixels (1, given, H, W), which may have more channels or fewer than it takes."""
    if channels == given:
        return module
    if channels == 1:
        return lambda pixels: module(pixels.transpose(0, 1)).transpose(0, 1)
    return lambda pixels: module(pixels.expand(-1, channels, -1, -1)).mean(1, keepdim=True)


def _enlarged(alpha: NDArray[Any], scale: int) -> NDArray[Any]:
    most = int(np.iinfo(alpha.dtype).max)
    values = torch.from_numpy(alpha.astype(np.float32).transpose(2, 0, 1)[None])
    large = functional.interpolate(values, scale_factor=scale, mode="bicubic").clamp(0, most).round()
    return large[0].permute(1, 2, 0).numpy().astype(alpha.dtype)


def _array(image: Image.Image, path: str) -> NDArray[Any]:
    """(H, W, 1 to 4 channels), the last of two or four being the transparency."""
    mode = image.mode
    if mode.startswith("I"):  # a grey picture of 16 bits
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ConvarithError(f"{path} has values beyond 16 bits: save it with 8 or 16 bits a channel")
        return values.astype(np.uint16)[..., None]
    if mode == "F":
        raise ConvarithError(f"{path} has fractions as values: save it with 8 or 16 bits a channel")
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
