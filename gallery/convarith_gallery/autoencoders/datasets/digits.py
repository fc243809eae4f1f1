"""The handwritten digits that scikit-learn ships, enlarged to the size of MNIST's."""

from __future__ import annotations

import torch

from convarith_gallery.autoencoders.datasets.dataset import Dataset

MOVES = [(down, right) for down in (-2, 0, 2) for right in (-2, 0, 2)]
"""The positions that each digit is moved to, in pixels from the centre: down, right."""


def digits() -> Dataset:
    """The 1,797 handwritten digits of 8x8 that scikit-learn ships, enlarged to 28x28, each at 9 positions; no download.

    >>> data = digits()
    >>> data.train.shape, data.test.shape, data.train.dtype
    (torch.Size([13500, 1, 28, 28]), torch.Size([2673, 1, 28, 28]), torch.uint8)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.tensor(bunch.images / 16, dtype=torch.float32).unsqueeze(1)
    large = torch.nn.functional.interpolate(small, size=(20, 20), mode="bicubic")
    sharp = torch.nn.functional.pad((2 * large - 0.5).clamp(0, 1), (4, 4, 4, 4))  # strokes as sharp as MNIST's
    images = torch.stack([sharp.roll(move, dims=(2, 3)) for move in MOVES], dim=1).mul(255).round().to(torch.uint8)
    labels = torch.tensor(bunch.target, dtype=torch.int64).repeat_interleave(len(MOVES))
    source = (
        "digits: 13,500 training and 2,673 test images, made from the 1,797 digits of 8x8 that scikit-learn ships: "
        "enlarged to 28x28, each at 9 positions"
    )
    train, test = (part.flatten(0, 1) for part in (images[:1500], images[1500:]))
    return Dataset("digits", source, train, labels[: len(train)], test, labels[len(train) :])
