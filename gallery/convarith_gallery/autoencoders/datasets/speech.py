"""Generated sounds like speech: a voice of harmonics under moving formants, in syllables with pauses."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from convarith_gallery.autoencoders.datasets.dataset import Dataset

RATE = 8000
"""Samples per second."""


def sounds(count: int, length: int, generator: Generator) -> Tensor:
    """Sounds (count, 1, length) from -1 to 1, with RATE samples per second.

    >>> sounds(2, 256, Generator().manual_seed(0)).shape
    torch.Size([2, 1, 256])
    """
    at = torch.arange(length) / RATE

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, 1, generator=generator)

    pitch = drawn(90, 240) * (1 + drawn(0, 0.1) * (2 * math.pi * drawn(2, 6) * at + drawn(0, 2 * math.pi)).sin())
    phase = 2 * math.pi * pitch.cumsum(1) / RATE
    number = torch.arange(1, 16)[:, None]  # the highest harmonic stays below half the rate
    frequency = number * pitch[:, None]
    formants = torch.tensor([500.0, 1500.0, 2500.0])[:, None] * drawn(0.7, 1.3, 3)
    moving = formants * (1 + drawn(0, 0.15, 3) * (2 * math.pi * drawn(1, 4, 3) * at).sin())
    resonance = (1 / (1 + ((frequency[:, :, None] - moving[:, None]) / 120).square())).sum(2)
    voice = (resonance / number.sqrt() * (number * phase[:, None] + drawn(0, 2 * math.pi, 15)).sin()).sum(1)
    syllables = (2 * math.pi * drawn(3, 8) * at + drawn(0, 2 * math.pi)).sin().add(0.4).clamp(0.02, 1)
    voiced = voice * syllables
    return (voiced / voiced.abs().amax(1, keepdim=True).clamp(min=1e-3)).unsqueeze(1)


def speech(train: int = 2000, test: int = 200, length: int = 1024, seed: int = 0) -> Dataset:
    """Sounds for training and testing, (N, 1, length) of type float32. They have no classes: every label is 0.

    >>> speech(3, 2, 64).test.shape
    torch.Size([2, 1, 64])
    """
    generator = Generator().manual_seed(seed)
    parts = torch.split(torch.empty(train + test), 100)  # every harmonic at every moment is held at once
    drawn = torch.cat([sounds(len(part), length, generator) for part in parts])
    labels = torch.zeros(train + test, dtype=torch.int64)
    source = (
        f"speech: {train:,} training and {test:,} test sounds of {length} samples, generated: a voice with formants"
    )
    return Dataset("speech", source, drawn[:train], labels[:train], drawn[train:], labels[train:])
