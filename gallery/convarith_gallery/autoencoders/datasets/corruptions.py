"""Corruptions that networks learn to undo: erased, blurred, masked, noisy and reduced images."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest


def erased(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Each number is set to 0 with probability `level`, independently of the others."""
    return images * (_uniform(images.shape, images, generator) >= level)


def blurred(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Blur with a Gaussian of `level` pixels standard deviation, cut off at three of them; zeros outside the images."""
    reach = math.ceil(3 * level)
    at = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-(at**2) / (2 * level**2))
    channels = images.shape[1]
    kernel = (weights / weights.sum()).expand(channels, 1, 1, -1)
    rows = functional.conv2d(images, kernel, padding=(0, reach), groups=channels)
    return functional.conv2d(rows, kernel.transpose(2, 3), padding=(reach, 0), groups=channels)


def masked(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """A random block of `level` by `level` pixels inside each image is set to 0."""
    side = int(level)
    height, width = images.shape[-2:]
    if side > min(height, width):
        raise ConvarithError(f"a mask of {side} x {side} does not fit into {height} x {width}: give a smaller level")
    covered = [
        _between(extent, _uniform((len(images), 1), images, generator).mul(extent - side + 1).floor(), side)
        for extent in (height, width)
    ]
    return images * ~(covered[0][:, None, :, None] & covered[1][:, None, None, :])


def noisy(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Gaussian noise with standard deviation `level` is added. Nothing is clipped, so the noise keeps its mean of 0."""
    return images + level * torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)


def shrunk(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Images made `level` times smaller: each pixel is the mean of a block of `level` by `level` pixels."""
    return functional.avg_pool2d(images, int(level))


def reduced(images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Images made `level` times smaller by antialiased cubic interpolation, as in papers on super-resolution."""
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
"""Erasure, blur and mask are those of Fleuret, Deep learning 7.3 (levels .5 and .9, 2 and 4, 10 and 16)."""

SHRINKING = ("shrink", "reduce")
"""The corruptions that make images smaller; their level is an integer, the scale."""


def corrupted(name: str, images: Tensor, level: float, generator: Generator | None = None) -> Tensor:
    """Corrupted images (N, C, H, W) from 0 to 1, or points (N, D), on the device where they are.

    Without a generator, random numbers come from torch's own, which the training seeds at every step. The shape stays
    the same except for the corruptions in SHRINKING.

    Raises ConvarithError for an unknown corruption, and for a level out of its range.

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
        raise ConvarithError(f"the level of {name} must be {bounds if name != 'blur' else 'above 0'}: got {level:g}")
    return CORRUPTIONS[name](images, level, generator)


def _uniform(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def _between(extent: int, start: Tensor, count: int) -> Tensor:
    """Which positions (N, extent) are among the `count` positions from each start (N, 1) on."""
    at = torch.arange(extent, device=start.device)
    return (at >= start) & (at < start + count)
