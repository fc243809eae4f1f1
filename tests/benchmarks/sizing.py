"""A size in process: plain integers, compared with a forward pass of the same layers on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from comparing import Comparison, Side

import convarith as ca

ENCODER = ("Conv2d(1, 32, 5)", "Conv2d(32, 32, 5)", "Conv2d(32, 32, 4, 2)", "Conv2d(32, 32, 3, 2)", "Conv2d(32, 8, 4)")


IMAGE = (28, 28)
ONE = ("Conv2d(1, 1, 3, stride=2)",)


def sizes_of_one() -> Callable[[], object]:
    """The size of one convolution, as a program asks for it."""
    conv = ca.parse(ONE[0])
    return lambda: conv.output_size(IMAGE)


def sizes_of_all() -> Callable[[], object]:
    """The size after an encoder."""
    layers = [ca.parse(text) for text in ENCODER]

    def through() -> object:
        size: tuple[int, ...] = IMAGE
        for layer in layers:
            size = layer.output_size(size)
        return size

    return through


def forward(texts: tuple[str, ...]) -> Callable[[], object]:
    """The same by a forward pass on the meta device, without gradients."""
    import torch

    modules = [ca.pytorch.to_module(ca.parse(text)) for text in texts]
    module = (modules[0] if len(modules) == 1 else torch.nn.Sequential(*modules)).to("meta")
    image = torch.zeros(1, 1, *IMAGE, device="meta")

    def shape() -> object:
        with torch.no_grad():
            return module(image).shape

    return shape


def comparisons() -> list[Comparison]:
    """One convolution, and the five of an encoder."""
    if not find_spec("torch"):
        return []
    one = Side("Conv.output_size((28, 28))", sizes_of_one), Side("torch meta forward", lambda: forward(ONE))
    five = Side("five of them", sizes_of_all), Side("torch meta forward of five", lambda: forward(ENCODER))
    return [
        Comparison("output-size", *one, at_least=20, calls=200),
        Comparison("output-sizes", *five, at_least=20, calls=50),
    ]
