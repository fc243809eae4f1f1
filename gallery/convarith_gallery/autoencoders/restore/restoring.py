"""Load a trained restorer and apply it to a picture of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.restore.picture_files import Picture
from convarith_gallery.autoencoders.restore.tiling import SIDE, Tiling, restored_pieces
from convarith_gallery.autoencoders.training.saved_model import MODEL, load_model


class Loaded(NamedTuple):
    """A trained restorer, ready to be applied.

    Attributes:
        module: maps pixels (1, C, H, W) from 0 to 1 to restored ones.
        folder: the model's file.
        about: a description of what the model was trained for.
    """

    module: nn.Module
    tiling: Tiling
    folder: str
    about: str


def load_restorer(path: str, scale: int | None = None) -> Loaded:
    """The restorer in a folder of `convarith train`, or in its model file; `scale` chooses one of several scales.

    Raises ConvarithError if the folder has no model or several, if the model was not trained to restore pictures, and
    for a scale that it does not have.
    """
    file = _model_file(Path(path))
    model = load_model(file.parent)
    if not isinstance(model, Restorer) or model.settings.classes or len(model.given_shape) != 3:
        raise ConvarithError(f"{file} was not trained to restore pictures: train denoise, noise2noise, upscale or edsr")
    channels = model.given_shape[0]
    if channels not in (1, 3):
        raise ConvarithError(f"{file} takes {channels} channels, but pictures have 1 or 3: train it on pictures")
    if scale is not None and scale not in model.scales:
        choices = " or ".join(map(str, model.scales))
        raise ConvarithError(f"{file} enlarges {choices} time{'s' * (model.scales != (1,))}: got --scale {scale}")
    module = model.at(scale).eval()
    settings = model.settings
    task = f"{settings.corruption} {settings.level:g}" if settings.targets != "pairs" else "noisy pairs"
    chosen = scale or model.scales[0]
    about = f"{settings.network} against {task}" if chosen == 1 else f"{settings.network}, {chosen} times larger"
    return Loaded(module, Tiling(module, model.given_shape), str(file), about)


def _model_file(path: Path) -> Path:
    if path.is_file():
        if path.name != MODEL:
            raise ConvarithError(f"{path} is not a model of `convarith train`: give a file called {MODEL}")
        return path
    if not path.is_dir():
        raise ConvarithError(f"there is no {path}: give a folder of `convarith train`, or its {MODEL}")
    found = [path / MODEL] if (path / MODEL).is_file() else sorted(path.glob(f"*/{MODEL}"))
    if not found:
        raise ConvarithError(f"there is no {MODEL} in {path}: give a folder of a finished `convarith train`")
    if len(found) > 1:
        raise ConvarithError(f"{path} has {len(found)} models: choose {', '.join(str(file.parent) for file in found)}")
    return found[0]


def restore(
    module: Callable[[Tensor], Tensor],
    tiling: Tiling,
    picture: Picture,
    device: torch.device,
    *,
    side: int = SIDE,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Picture:
    """A picture restored by a network, one piece of about `side` pixels after the other.

    A network for one channel is applied to red, green and blue separately; a network for three channels gets grey as
    three equal channels, and its outputs are averaged. Transparency is enlarged by cubic interpolation.

    Raises ShapeError for a size that the network does not accept.
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
    """The network for pixels (1, given, H, W), whose number of channels may differ from what the network takes."""
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
