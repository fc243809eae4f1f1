"""SegNet, which classifies every pixel: an encoder with max pools, and a decoder that convarith mirrors from it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from convarith.decoders.mirror import mirror
from convarith.errors import ParameterError
from convarith.networks.network import Network
from convarith.networks.parser import parse_network
from convarith.pytorch import to_module
from convarith.sizes.normalise import nearest

DECODERS = ("unpool", "resize", "transposed", "pixel-shuffle")
"""'unpool' puts values back where the max pools found them (arXiv 1505.04366, 1511.00561); the others only know the
block of each value."""


class SegNet(nn.Module):
    """Maps images (N, channels, H, W) to the logits (N, classes, H, W) of the class of every pixel.

    The encoder is that of SegNet (Badrinarayanan et al., arXiv 1511.00561): two convolutions before each pool, with
    `width` channels at first and twice as many after each pool. The decoder uses transposed convolutions, as in
    DeconvNet (Noh et al., arXiv 1505.04366). H and W must be multiples of 2**depth.

    Raises ParameterError for an unknown decoder, and for numbers below 1.

    >>> import torch
    >>> [tuple(SegNet(1, 5, decoder=decoder)(torch.zeros(1, 1, 16, 24)).shape) for decoder in DECODERS[:2]]
    [(1, 5, 16, 24), (1, 5, 16, 24)]
    """

    def __init__(
        self, channels: int = 1, classes: int = 11, decoder: str = "unpool", width: int = 16, depth: int = 2
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise ParameterError(f"unknown decoder {decoder!r}: {nearest(decoder, DECODERS)}")
        if min(channels, classes, width, depth) < 1:
            raise ParameterError(
                f"channels, classes, width and depth must be at least 1: got {channels, classes, width, depth}"
            )
        self.multiple = 2**depth
        indices = decoder == "unpool"
        encoder = _encoder(channels, width, depth, indices)
        self.encoder = nn.ModuleList(to_module(node.layer) for node in encoder.nodes)
        # A mirrored decoder ends with the channels that its encoder starts with, which must be the classes here.
        target = _encoder(classes, width, depth, indices)
        back = mirror(target, (classes, 4 * self.multiple, 4 * self.multiple), upsample=decoder)
        layers: list[nn.Module] = []
        for step in back.steps:
            layers += [nn.MaxUnpool2d(2)] if step.way.fit == "unpool" else map(to_module, step.way.layers)
            layers += map(to_module, step.run)
        self.decoder = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of every pixel."""
        values: Any = images
        found: list[tuple[Tensor, Any]] = []
        for layer in self.encoder:
            if isinstance(layer, nn.MaxPool2d) and layer.return_indices:
                size = values.shape[2:]
                values, indices = layer(values)
                found.append((indices, size))
            else:
                values = layer(values)
        for layer in self.decoder:
            if isinstance(layer, nn.MaxUnpool2d):
                indices, size = found.pop()
                values = layer(values, indices, output_size=size)
            else:
                values = layer(values)
        logits: Tensor = values
        return logits


def _encoder(channels: int, width: int, depth: int, indices: bool) -> Network:
    lines = []
    for level in range(depth):
        before, after = channels if level == 0 else width << (level - 1), width << level
        for channels_in in (before, after):
            lines += [f"Conv2d({channels_in}, {after}, 3, padding=1)", f"BatchNorm2d({after})", "ReLU()"]
        lines.append(f"MaxPool2d(2, return_indices={indices})")
    return parse_network("\n".join(lines))
