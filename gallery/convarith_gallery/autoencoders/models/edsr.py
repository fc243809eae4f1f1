"""EDSR and MDSR: residual networks that enlarge pictures, with pixel shuffles at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convarith.errors import ParameterError

SCALES = (2, 3, 4)
MEAN = (0.4488, 0.4371, 0.4040)
"""The mean red, green and blue of natural pictures. It is a constant, so the layers need not learn it."""


class Size(NamedTuple):
    """The size of a network.

    Attributes:
        blocks: the number of residual blocks.
        width: the number of channels in each block.
        residual: the factor of a block's result in the sum.
    """

    blocks: int
    width: int
    residual: float = 1.0


SIZES = {
    "tiny": Size(2, 8),
    "baseline": Size(16, 64),
    "full": Size(32, 256, 0.1),
    "mdsr": Size(80, 64),
}
"""Lim et al., arXiv 1707.02921, table 1; 'tiny' is for tests."""


class Edsr(nn.Module):
    """The single-scale network of Lim et al., arXiv 1707.02921, figure 3.

    Images (N, channels, H, W) in 0..1 in, (N, channels, scale H, scale W) out; any H and W.

    Raises ParameterError for another scale or channel count.

    >>> [sum(weight.numel() for weight in Edsr(scale).parameters()) for scale in SCALES]
    [1369859, 1554499, 1517571]
    >>> Edsr(3, size=SIZES["tiny"])(torch.zeros(1, 3, 5, 7)).shape
    torch.Size([1, 3, 15, 21])
    """

    mean: Tensor
    head: nn.Module
    enlarge: nn.Module

    def __init__(self, scale: int = 2, channels: int = 3, size: Size = SIZES["baseline"]) -> None:
        super().__init__()
        self.scale = _checked(scale)
        self.register_buffer("mean", _mean(channels), persistent=False)
        self.head = _convolution(channels, size.width)
        self.body = _body(size)
        self.enlarge = _enlarge(scale, size.width)
        self.tail = _convolution(size.width, channels)
        _interpolating(self.head, [self.body], [self.enlarge], self.tail)

    def forward(self, images: Tensor) -> Tensor:
        """The enlarged images."""
        features = self.head(images - self.mean)
        enlarged: Tensor = self.tail(self.enlarge(features + self.body(features))) + self.mean
        return enlarged


class Mdsr(nn.Module):
    """The multi-scale network of Lim et al., arXiv 1707.02921, figure 5: one body, a head and a tail for each scale.

    Images (N, channels, H, W) in 0..1 in, (N, channels, scale H, scale W) out; any H and W.

    Raises ParameterError for another scale or channel count.

    >>> Mdsr(size=SIZES["tiny"])(torch.zeros(1, 3, 5, 7), 4).shape
    torch.Size([1, 3, 20, 28])
    """

    mean: Tensor

    def __init__(self, channels: int = 3, size: Size = SIZES["mdsr"], scales: tuple[int, ...] = SCALES) -> None:
        super().__init__()
        self.register_buffer("mean", _mean(channels), persistent=False)
        self.scales = scales
        self.head = _convolution(channels, size.width)
        self.before = nn.ModuleDict(
            {
                str(_checked(scale)): nn.Sequential(*(Block(size.width, kernel_size=5) for _ in range(2)))
                for scale in scales
            }
        )
        self.body = _body(size)
        self.enlarge = nn.ModuleDict({str(scale): _enlarge(scale, size.width) for scale in scales})
        self.tail = _convolution(size.width, channels)
        first = [block.layers for block in self.before.modules() if isinstance(block, Block)]
        _interpolating(self.head, [self.body, *first], self.enlarge.values(), self.tail)

    def forward(self, images: Tensor, scale: int) -> Tensor:
        """The images enlarged by one of the scales."""
        features = self.before[str(scale)](self.head(images - self.mean))
        enlarged: Tensor = self.tail(self.enlarge[str(scale)](features + self.body(features))) + self.mean
        return enlarged

    def at(self, scale: int) -> Edsr:
        """The network for a single scale; it shares its weights with this one.

        Raises ParameterError for a scale that the network does not have.

        >>> Mdsr(size=SIZES["tiny"]).at(2)(torch.zeros(1, 3, 5, 7)).shape
        torch.Size([1, 3, 10, 14])
        """
        if scale not in self.scales:
            raise ParameterError(f"this MDSR enlarges {', '.join(map(str, self.scales))} times: got {scale}")
        alone = Edsr.__new__(Edsr)
        nn.Module.__init__(alone)
        alone.scale = scale
        alone.register_buffer("mean", self.mean, persistent=False)
        alone.head = nn.Sequential(self.head, self.before[str(scale)])
        alone.body, alone.enlarge, alone.tail = self.body, self.enlarge[str(scale)], self.tail
        return alone.train(self.training)


class Block(nn.Module):
    """A residual block without batch normalisation: arXiv 1707.02921, figure 2c."""

    def __init__(self, width: int, residual: float = 1.0, kernel_size: int = 3) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.Sequential(
            _convolution(width, width, kernel_size), nn.ReLU(), _convolution(width, width, kernel_size)
        )

    def forward(self, features: Tensor) -> Tensor:
        """The features (N, width, H, W) plus the block's scaled result."""
        changed: Tensor = features + self.residual * self.layers(features)
        return changed


def _body(size: Size) -> nn.Sequential:
    blocks = [Block(size.width, size.residual) for _ in range(size.blocks)]
    return nn.Sequential(*blocks, _convolution(size.width, size.width))


def _enlarge(scale: int, width: int) -> nn.Sequential:
    """Convolutions with pixel shuffles; scale 4 is scale 2 twice."""
    layers: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        layers += [_convolution(width, factor**2 * width), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


@torch.no_grad()
def _interpolating(
    head: nn.Conv2d, residuals: Iterable[nn.Sequential], enlarging: Iterable[nn.Module], tail: nn.Conv2d
) -> None:
    """Set the weights so that the untrained network is linear interpolation.

    The first channels carry the colours through, and the last layer of every residual block is zero. Otherwise most of
    the training would be spent on reproducing the input. The pixel shuffles start without a checkerboard, like those of
    Aitken et al., arXiv 1707.02937, which start by repeating the nearest pixel.
    """
    for residual in residuals:
        for weight in residual[-1].parameters():
            weight.zero_()
    colours = head.in_channels
    for same in (head, tail):
        _interpolate(same, 1, colours)
    for layers in enlarging:
        for convolution in layers.modules():
            if isinstance(convolution, nn.Conv2d):
                _interpolate(convolution, math.isqrt(convolution.out_channels // convolution.in_channels), colours)


def _interpolate(convolution: nn.Conv2d, factor: int, channels: int) -> None:
    """Set the first channels of a 3x3 convolution to the sub-pixels of its input, by linear interpolation."""
    assert convolution.bias is not None
    away = (torch.arange(factor) + 0.5) / factor - 0.5  # from the centre of a pixel to those of its sub-pixels
    line = torch.stack((-away, 1 - away.abs(), away), dim=1).clamp(min=0)
    kernels = torch.einsum("yi,xj->yxij", line, line).flatten(0, 1)
    convolution.weight[: channels * factor**2] = 0
    convolution.bias[: channels * factor**2] = 0
    for channel, weights in enumerate(convolution.weight[: channels * factor**2].chunk(channels)):
        weights[:, channel] = kernels


def _convolution(before: int, after: int, kernel_size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2)


def _mean(channels: int) -> Tensor:
    if channels not in (1, 3):
        raise ParameterError(f"pictures have 1 or 3 channels: got {channels}")
    mean = torch.tensor(MEAN)
    return (mean if channels == 3 else mean.mean(0, keepdim=True))[:, None, None]


def _checked(scale: int) -> int:
    if scale not in SCALES:
        raise ParameterError(f"EDSR enlarges {', '.join(map(str, SCALES))} times: got {scale}")
    return scale
