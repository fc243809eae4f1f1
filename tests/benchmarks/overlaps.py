"""The overlap of a 4096x4096 output, compared with torch's transposed convolution of ones; and the verdict alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from comparing import Comparison, Side

import convarith as ca

UP = "ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)"
INPUT = (2048, 2048)


def counted() -> Callable[[], object]:
    """The counts at every position of each axis, and the largest and smallest of their outer product."""
    layer = ca.parse(UP)

    def count() -> object:
        found = ca.overlap(layer, INPUT)
        return found.counts, found.max, found.min

    return count


def mapped() -> Callable[[], object]:
    """The same, as an array of all 16.8 million positions."""
    layer = ca.parse(UP)
    return lambda: ca.overlap(layer, INPUT).map()


def convolved() -> Callable[[], object]:
    """torch's transposed convolution of ones with ones."""
    import torch

    ones, weight = torch.ones(1, 1, *INPUT), torch.ones(1, 1, 4, 4)
    return lambda: torch.nn.functional.conv_transpose2d(ones, weight, stride=2, padding=1)


def verdict() -> Callable[[], object]:
    """Even or not, from the parameters alone."""
    layer = ca.parse(UP)
    return lambda: ca.overlap(layer).even


def small() -> Callable[[], object]:
    """torch's answer for the smallest input that shows the pattern."""
    import torch

    ones, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)

    def judge() -> object:
        inner = torch.nn.functional.conv_transpose2d(ones, weight, stride=2, padding=1)[0, 0, 1:-1, 1:-1]
        return bool(inner.min() == inner.max())

    return judge


def comparisons() -> list[Comparison]:
    """All comparisons, if torch is installed."""
    if not find_spec("torch"):
        return []
    brute = Side("conv_transpose2d of ones", convolved)
    return [
        Comparison("overlap-counts", Side("ca.overlap of 4096x4096", counted), brute, at_least=10),
        Comparison("overlap-map", Side("the same, .map() of it", mapped), brute, at_least=10),
        Comparison(
            "overlap-verdict", Side("ca.overlap(layer).even", verdict), Side("conv_transpose2d of 4x4", small),
            at_least=1, calls=200,
        ),
    ]  # fmt: skip
