"""Principal components, the baseline of every recipe: no linear code of the same length has a smaller error."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from convarith_gallery.autoencoders.datasets.dataset import as_float


class Pca(NamedTuple):
    """The principal axes of a data set.

    Attributes:
        mean: (D,), the mean item.
        axes: (D, D), one axis per column, in the order of decreasing variance.
        deviations: (D,), the standard deviation along each axis.
        shape: the shape of an item, which has D numbers.
    """

    mean: Tensor
    axes: Tensor
    deviations: Tensor
    shape: tuple[int, ...]

    def codes(self, items: Tensor, count: int) -> Tensor:
        """The first `count` coordinates of items (N, *shape) from 0 to 1: (N, count)."""
        return (items.flatten(1) - self.mean) @ self.axes[:, :count]

    def decode(self, codes: Tensor) -> Tensor:
        """The items of codes (N, count): (N, *shape)."""
        return (codes @ self.axes[:, : codes.shape[1]].T + self.mean).reshape(-1, *self.shape)

    def error(self, stored: Tensor, count: int) -> float:
        """The mean squared error of stored items (N, *shape) that are reconstructed from `count` coordinates."""
        items = as_float(stored)
        return float((self.decode(self.codes(items, count)) - items).square().mean())


def fit_pca(stored: Tensor, size: int = 5000) -> Pca:
    """The principal axes of stored items (N, *shape), computed in double precision and `size` items at a time.

    >>> pca = fit_pca(torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]))
    >>> round(pca.error(torch.tensor([[3.0, 6.0]]), 1), 6)
    0.0
    """
    width = stored[0].numel()
    total = torch.zeros(width, dtype=torch.float64)
    products = torch.zeros(width, width, dtype=torch.float64)
    for part in torch.split(stored, size):
        items = as_float(part).flatten(1).cpu().double()
        total += items.sum(0)
        products += items.T @ items
    mean = total / len(stored)
    variances, axes = torch.linalg.eigh(products / len(stored) - mean.outer(mean))
    deviations = variances.clamp(min=0).sqrt().flip(0)
    device = stored.device
    return Pca(
        mean.float().to(device), axes.flip(1).float().to(device), deviations.float().to(device), tuple(stored.shape[1:])
    )
