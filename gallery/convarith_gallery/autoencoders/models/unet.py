"""The U-Net of noise2noise: max pools on the way down, nearest-neighbour upsampling and skips on the way up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convarith.errors import ParameterError


class UNet(nn.Module):
    """The network of Lehtinen et al., arXiv 1803.04189, table 2; its layers have the names of that table.

    Images (N, channels, H, W) in, the same shape out. H and W must be multiples of 2**depth.

    Attributes:
        multiple: the number that H and W must be multiples of.

    Raises ParameterError for numbers below 1.

    >>> sum(weight.numel() for weight in UNet(3).parameters()), sum(weight.numel() for weight in UNet(1).parameters())
    (991203, 988609)
    >>> UNet(1, width=6, depth=2)(torch.zeros(1, 1, 8, 12)).shape
    torch.Size([1, 1, 8, 12])
    """

    def __init__(self, channels: int = 3, width: int = 48, depth: int = 5) -> None:
        super().__init__()
        if min(channels, width, depth) < 1:
            raise ParameterError(f"channels, width and depth must be at least 1: got {channels, width, depth}")
        self.depth = depth
        self.multiple = 2**depth
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2)
        self.enc_conv0 = _convolved(channels, width)
        for level in range(1, depth + 2):
            self.add_module(f"enc_conv{level}", _convolved(width, width))
        for level in range(depth, 1, -1):
            below = width if level == depth else 2 * width
            self.add_module(f"dec_conv{level}a", _convolved(below + width, 2 * width))
            self.add_module(f"dec_conv{level}b", _convolved(2 * width, 2 * width))
        below = width if depth == 1 else 2 * width
        last = max(1, 4 * width // 3), max(1, 2 * width // 3)  # 64 and 32 in the table
        self.dec_conv1a = _convolved(below + channels, last[0])
        self.dec_conv1b = _convolved(*last)
        self.dec_conv1c = nn.Conv2d(last[1], channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self._begin_as_identity(channels)

    @torch.no_grad()
    def _begin_as_identity(self, channels: int) -> None:
        """Set the weights so that the untrained network returns its input.

        The last skip connection carries the images, and the layers after it pass them on in their first channels.

        Otherwise the first steps would be spent on reproducing the input.
        """
        last = [module for module in self.modules() if isinstance(module, nn.Conv2d)][-3:]
        last[-1].weight.zero_()
        for layer, first in zip(last, (last[0].in_channels - channels, 0, 0), strict=True):
            for channel in range(min(channels, last[1].out_channels)):
                layer.weight[channel] = 0
                layer.weight[channel, first + channel, 1, 1] = 1

    def forward(self, images: Tensor) -> Tensor:
        """The restored images, of the same shape."""
        joined = [images]
        values: Tensor = self.enc_conv0(images)
        for level in range(1, self.depth + 1):
            values = self.pool(self.get_submodule(f"enc_conv{level}")(values))
            joined.append(values)
        values = self.get_submodule(f"enc_conv{self.depth + 1}")(joined.pop())
        for level in range(self.depth, 0, -1):
            values = torch.cat((self.upsample(values), joined.pop()), dim=1)
            values = self.get_submodule(f"dec_conv{level}a")(values)
            values = self.get_submodule(f"dec_conv{level}b")(values)
        restored: Tensor = self.dec_conv1c(values)
        return restored


SLOPE = 0.1
"""The negative slope of the leaky ReLU after every convolution but the last."""


def _convolved(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE))
