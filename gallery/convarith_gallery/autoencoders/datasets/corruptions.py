"""What is done to images so that a network learns to undo it: pixels erased, blurred, covered, or noisy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest


def erased(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Every number becomes 0 with probability `level`, by itself."""
    return images * (_uniform(images.shape, images, generator) >= level)


def blurred(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Smoothed by a Gaussian of `level` pixels standard deviation, cut at three of them; zeros around the images."""
    reach = math.ceil(3 * level)
    at = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-(at**2) / (2 * level**2))
    channels = images.shape[1]
    kernel = (weights / weights.sum()).expand(channels, 1, 1, -1)
    rows = functional.conv2d(images, kernel, padding=(0, reach), groups=channels)
    return functional.conv2d(rows, kernel.transpose(2, 3), padding=(reach, 0), groups=channels)


def masked(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """A block of `level` by `level` pixels, all of it inside the image, becomes 0."""
    side = int(level)
    height, width = images.shape[-2:]
    if side > min(height, width):
        raise ConvarithError(f"a block of {side} x {side} does not fit into {height} x {width}: give a smaller level")
    covered = [
        _between(extent, _uniform((len(images), 1), images, generator).mul(extent - side + 1).floor(), side)
        for extent in (height, width)
    ]
    return images * ~(covered[0][:, None, :, None] & covered[1][:, None, None, :])


def noisy(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Gaussian noise of standard deviation `level` is added; nothing is clipped, so that its mean stays 0."""
    return images + level * torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)


def shrunk(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """The mean of every block of `level` by `level` pixels: a picture so many times smaller."""
    return functional.avg_pool2d(images, int(level))


def reduced(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """A picture `level` times smaller by cubic interpolation that smooths first, as papers on enlarging have it."""
    height, width = images.shape[-2:]
    size = (height // int(level), width // int(level))
    return functional.interpolate(images, size=size, mode="bicubic", antialias=True).clamp(0, 1)


CORRUPTIONS: dict[str, Callable[[Tensor, float, Generator | None], Tensor]] = {
    "erasure": erased,
    "blur": blurred,
    "mask": masked,
    "noise": noisy,
    "shrink": shrunk,
    "reduce": reduced,
}
"""The three of Fleuret, Deep learning 7.3 (erasure .5 and .9, blur 2 and 4, masks of 10 and 16), noise, a scale."""

SHRINKING = ("shrink", "reduce")
"""Those whose level is a scale, a whole number."""


def corrupted(name: str, images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Images (N, C, H, W) in 0..1, or points (N, D), corrupted in one batch where they are; the same shape.

    Without a generator torch's own is drawn from, which a training seeds in every step. Only shrinking gives a
    smaller shape.

    Raises ConvarithError for an unknown corruption and a level that it does not have.

    >>> corrupted("mask", torch.ones(1, 1, 4, 4), 3).sum()
    tensor(7.)
    >>> corrupted("shrink", torch.eye(4).reshape(1, 1, 4, 4), 2)[0, 0]
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    if name not in CORRUPTIONS:
        raise ConvarithError(f"unknown corruption {name!r}: {nearest(name, CORRUPTIONS)}")
    most = 1.0 if name == "erasure" else math.inf
    least = 1.0 if name in ("mask", *SHRINKING) else 0.0
    if not least <= level <= most or (name == "blur" and not level):
        bounds = f"at least {least:g} and at most {most:g}" if most < math.inf else f"at least {least:g}"
        raise ConvarithError(f"the level of {name} is {bounds if name != 'blur' else 'above 0'}: got {level:g}")
    return CORRUPTIONS[name](images, level, generator)


def _uniform(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def _between(extent: int, start: Tensor, count: int) -> Tensor:
    """Which places (N, extent) lie in the run of `count` from each start (N, 1)."""
    at = torch.arange(extent, device=start.device)
    return (at >= start) & (at < start + count)
