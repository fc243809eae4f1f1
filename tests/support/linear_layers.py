"""Random linear layers, each with an input size and a weight, for the tests of their matrices."""

from __future__ import annotations

from random import Random
from typing import Any

import convarith as ca


def each(rng: Random, ndim: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(rng.randint(low, high) for _ in range(ndim))


def channels(rng: Random) -> dict[str, int]:
    groups = rng.randint(1, 3)
    return {"in_channels": groups * rng.randint(1, 2), "out_channels": groups * rng.randint(1, 3), "groups": groups}


def taken(layer: Any, rng: Random, ndim: int, limit: int) -> tuple[int, ...]:
    """An input size that the layer accepts."""
    while True:
        size = each(rng, ndim, 1, limit)
        limit += 1
        try:
            layer.output_size(size)
        except ca.ShapeError:
            continue
        return size


def values(rng: Random, *shape: int) -> Any:
    import numpy as np

    return np.random.default_rng(rng.randrange(2**32)).standard_normal(shape)


def random_transposed(rng: Random, ndim: int) -> Any:
    stride, dilation = each(rng, ndim, 1, 4), each(rng, ndim, 1, 4)
    extra = tuple(rng.randrange(max(pair)) for pair in zip(stride, dilation, strict=True))
    return ca.ConvTranspose(
        kernel_size=each(rng, ndim, 1, 4), stride=stride, dilation=dilation, output_padding=extra,
        padding=each(rng, ndim, 0, 2), **channels(rng),
    )  # fmt: skip


def random_conv(rng: Random, transposed: bool, mode: str = "zeros") -> tuple[Any, tuple[int, ...], Any]:
    """A convolution or transposed convolution, an input size that it accepts, and a weight."""
    ndim = rng.choice((1, 1, 2))
    if transposed:
        layer: Any = random_transposed(rng, ndim)
        size = taken(layer, rng, ndim, 4)
        return layer, size, values(rng, layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
    layer = ca.Conv(
        kernel_size=each(rng, ndim, 1, 4), stride=each(rng, ndim, 1, 3), dilation=each(rng, ndim, 1, 3),
        padding=tuple(each(rng, 2, 0, 2) for _ in range(ndim)), padding_mode=mode, **channels(rng),
    )  # fmt: skip
    size = taken(layer, rng, ndim, 6)
    return layer, size, values(rng, layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)


def random_linear(rng: Random) -> tuple[Any, tuple[int, ...], Any]:
    """A layer that has a matrix (without circular padding), an input size, and a weight or None."""
    kind, ndim = rng.randrange(7), rng.choice((1, 2))
    if kind < 2:
        return random_conv(rng, kind == 1)
    if kind == 2:
        return random_conv(rng, False, rng.choice(("reflect", "replicate")))
    layer: Any
    if kind == 3:
        kernel = each(rng, ndim, 1, 4)
        layer = ca.AvgPool(
            kernel_size=kernel, stride=each(rng, ndim, 1, 3), padding=tuple(rng.randint(0, k // 2) for k in kernel),
            ceil_mode=rng.random() < 0.5, count_include_pad=rng.random() < 0.5,
            divisor_override=rng.choice((None, -2, 3)) if ndim == 2 else None,
        )  # fmt: skip
    elif kind == 4:
        mode = rng.choice(("nearest", ("linear", "bilinear")[ndim - 1]))
        layer = ca.Upsample(size=each(rng, ndim, 1, 9), mode=mode)
    elif kind == 5:
        layer = ca.ZeroInsert(stride=each(rng, ndim, 1, 4))
    else:
        layer, ndim = ca.Unfold(kernel_size=each(rng, 2, 1, 3), padding=each(rng, 2, 0, 1)), 2
    return layer, taken(layer, rng, ndim, 6), None
