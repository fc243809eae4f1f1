"""Random transposed convolutions, any that torch can build."""

from __future__ import annotations

import random
from typing import Any

import convarith as ca


def random_transposed(rng: random.Random, ndim: int) -> ca.ConvTranspose:
    def axes(low: int, high: int) -> Any:
        return tuple(rng.randint(low, high) for _ in range(ndim))

    while True:
        try:
            return ca.ConvTranspose(
                kernel_size=axes(1, 7), stride=axes(1, 5), dilation=axes(1, 4), padding=axes(0, 5),
                output_padding=axes(0, 3) if rng.random() < 0.5 else 0, ndim=ndim,
                in_channels=1, out_channels=1, bias=False,
            )  # fmt: skip
        except ca.ParameterError:
            continue
