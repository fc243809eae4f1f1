"""Designing the decoder of a VGG-16 from its text, compared with building and tracing only the encoder in torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from comparing import Comparison, Side

import convarith as ca

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""The channels of VGG-16's convolutions; 0 stands for a pool."""
IMAGE = (3, 224, 224)


def vgg16() -> str:
    """The features of VGG-16 as text."""
    lines, channels = [], 3
    for width in WIDTHS:
        lines.append(f"Conv2d({channels}, {width}, 3, padding=1); ReLU()" if width else "MaxPool2d(2)")
        channels = width or channels
    return "; ".join(lines)


def design() -> Callable[[], object]:
    """Design the decoder and write its code, from the text."""
    text = vgg16()
    return lambda: ca.mirror(ca.parse_network(text), IMAGE).code()


def traced() -> Callable[[], object]:
    """Build the encoder on torch's meta device, trace it and compute the shape at every node."""
    import torch
    from torch.fx.passes.shape_prop import ShapeProp

    layers = [node.layer for node in ca.parse_network(vgg16()).nodes]

    def trace() -> object:
        with torch.device("meta"):
            graph = torch.fx.symbolic_trace(torch.nn.Sequential(*map(ca.pytorch.to_module, layers)))
            shapes: Any = ShapeProp(graph)
            return shapes.propagate(torch.zeros(1, *IMAGE))

    return trace


def comparisons() -> list[Comparison]:
    """One comparison, if torch is installed."""
    if not find_spec("torch"):
        return []
    ours, other = Side("mirror of VGG-16 with code", design), Side("VGG-16 traced in torch", traced)
    return [Comparison("mirror", ours, other, at_least=1)]
