"""Designing the decoder of a VGG-16 from its text, against building and tracing the encoder alone in torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from comparing import Comparison, Side

import convarith as ca

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""VGG-16's convolutions, 0 for a pool."""
IMAGE = (3, 224, 224)


def vgg16() -> str:
    """The features of VGG-16 as text."""
    lines, channels = [], 3
    for width in WIDTHS:
        lines.append(f"Conv2d({channels}, {width}, 3, padding=1); ReLU()" if width else "MaxPool2d(2)")
        channels = width or channels
    return "; ".join(lines)


def design() -> Callable[[], object]:
    """From the text to the decoder's code."""
    text = vgg16()
    return lambda: ca.mirror(ca.parse_network(text), IMAGE).code()


def traced() -> Callable[[], object]:
    """The encoder on torch's meta device, traced, and a shape at every node of it."""
    import torch
    from torch.fx.passes.shape_prop import ShapeProp

    layers = [node.layer for node in ca.parse_network(vgg16()).nodes]

    def trace() -> object:
        with torch.device("meta"):
            graph = torch.fx.symbolic_trace(torch.nn.Sequential(*map(ca.pytorch.to_module, layers)))
            return ShapeProp(graph).propagate(torch.zeros(1, *IMAGE))  # type: ignore[no-untyped-call]

    return trace


def comparisons() -> list[Comparison]:
    """One comparison, where torch is installed."""
    if not find_spec("torch"):
        return []
    ours, other = Side("mirror of VGG-16 with code", design), Side("VGG-16 traced in torch", traced)
    return [Comparison("mirror", ours, other, at_least=1)]
