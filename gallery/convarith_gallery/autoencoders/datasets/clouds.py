"""Clouds of points around a curve in the plane."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_gallery.autoencoders.datasets.dataset import Dataset


def _circle(at: Tensor) -> tuple[Tensor, Tensor]:
    """A circle with an opening on the right."""
    angle = 0.15 * math.pi + 1.7 * math.pi * at
    return angle.cos(), angle.sin()


def _spiral(at: Tensor) -> tuple[Tensor, Tensor]:
    """One and a half turns, from the centre outwards."""
    angle = 3 * math.pi * at
    return (0.2 + 0.8 * at) * angle.cos(), (0.2 + 0.8 * at) * angle.sin()


def _wave(at: Tensor) -> tuple[Tensor, Tensor]:
    """One period of a sine."""
    return 2 * at - 1, 0.6 * (2 * math.pi * at).sin()


CLOUDS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"circle": _circle, "spiral": _spiral, "wave": _wave}
"""Curves in the plane: they map positions from 0 to 1 to (x, y)."""


def cloud(name: str, count: int = 2000, noise: float = 0.03, seed: int = 0) -> Dataset:
    """Points scattered around a curve of CLOUDS, as many for testing as for training; labels are tenths of the curve.

    >>> cloud("spiral", count=5).train.shape
    torch.Size([5, 2])
    """
    if name not in CLOUDS:
        raise ConvarithError(f"unknown cloud {name!r}: {nearest(name, CLOUDS)}")
    generator = torch.Generator().manual_seed(seed)
    at = torch.rand(2 * count, generator=generator)
    points = torch.stack(CLOUDS[name](at), dim=1) + noise * torch.randn(2 * count, 2, generator=generator)
    labels = (10 * at).long()
    source = f"{name}: {count:,} training and {count:,} test points around a curve in the plane, generated"
    return Dataset(name, source, points[:count], labels[:count], points[count:], labels[count:])
