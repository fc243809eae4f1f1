"""The type of every data set: training and test items with their labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Dataset(NamedTuple):
    """Training and test items with their labels, in the form in which they are stored.

    Attributes:
        name: 'mnist', 'digits', ...
        source: a description of the data for the output.
        train, test: images (N, 1, 28, 28) of type uint8, points (N, 2) of type float32, and so on.
        train_labels, test_labels: (N,) int64.
        held_out: the number of items at the beginning of `train` that are reserved for validation and never trained on.
    """

    name: str
    source: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    held_out: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return tuple(self.train.shape[1:])

    def training(self, count: int = 0, validation: float = 0.0, label: int = -1) -> Tensor:
        """The first `count` training items (0: all) with this label (-1: any); the validation items come first."""
        items = self.train if label < 0 else self.train[self.train_labels == label]
        if not 0 < count < len(items):
            return items
        validated = int(validation * count)
        begin = max(validated, self.held_out)
        return torch.cat((items[:validated], items[begin : begin + count - validated]))

    def to(self, device: torch.device) -> Dataset:
        """The same data, moved to a device."""
        return self._replace(
            train=self.train.to(device), train_labels=self.train_labels.to(device),
            test=self.test.to(device), test_labels=self.test_labels.to(device),
        )  # fmt: skip


def as_float(items: Tensor) -> Tensor:
    """Items as float32: images are scaled from 0..255 to 0..1, other items stay as they are.

    >>> as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    return items.float() / 255 if items.dtype == torch.uint8 else items
