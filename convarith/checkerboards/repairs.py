"""Repairs of an uneven overlap: layers with the same sizes that hit every inner position equally often.

A resize with a convolution, and a convolution with a pixel shuffle, have the geometry of the transposed convolution
that they replace: its window, its stride, and what is cropped at its two ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple, cast

from convarith.checkerboards.axis import Scatter, scatter_of
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose, even_window, made_even
from convarith.layers.padding import Pad
from convarith.layers.pooling import AvgPool, SlidingPool
from convarith.layers.resampling import PixelShuffle, Upsample, ZeroInsert
from convarith.sizes.normalise import Ints, collapse
from convarith.sizes.rules import hits_evenly


class Repair(NamedTuple):
    """Layers that replace an uneven layer: even, and with the same output size for every input size.

    Attributes:
        name: 'even', 'resize', 'pixel-shuffle', 'average' or 'nearest'.
        layers: the replacement, in order.
        text: a description for people.
        node: the name of the replaced layer if the subject is a network.
    """

    name: str
    layers: tuple[Layer, ...]
    text: str
    node: str = ""


def repairs_of(layer: Layer) -> list[Repair]:
    """The even layers with the same sizes that can replace a layer; none if the layer is even.

    If the layer's dimension is open, only the repairs that are valid in every dimension. In 3-D, the average pools need
    an input that is at least as large as the stride, because torch's average pools do.

    >>> import convarith as ca
    >>> for repair in repairs_of(ca.parse("Conv2d(64, 128, 1, stride=2, bias=False)")):
    ...     print(repair.name, *repair.layers)
    even ZeroPad2d((0, 1, 0, 1)) Conv2d(64, 128, 2, stride=2, bias=False)
    average AvgPool2d(kernel_size=2, ceil_mode=True) Conv2d(64, 128, 1, bias=False)
    >>> [str(repair.layers[0]) for repair in repairs_of(ca.parse("MaxPool2d(3, 2, 1)"))]
    ['MaxPool2d(kernel_size=2, ceil_mode=True)', 'MaxPool2d(kernel_size=3, stride=1, padding=1)']
    """
    patterns = [layer.scattering(axis) for axis in range(layer.ndim or 1)] if layer.overlap_side else []
    if all(pattern is None or Scatter(*pattern).even for pattern in patterns):
        return []
    found: list[tuple[str, tuple[Layer, ...] | None, str]] = []
    if isinstance(layer, ConvTranspose):
        found = [
            ("even", (made_even(layer),), "the nearest kernel size that the stride divides, with the same output size"),
            ("resize", _resized(layer), "nearest-neighbour upsampling, then a convolution: even for any weights"),
            (
                "pixel-shuffle", _shuffled(layer),
                "a convolution to sub-pixels; initialise all sub-pixels of a channel with equal weights (ICNR)",
            ),
        ]  # fmt: skip
    elif isinstance(layer, ZeroInsert):
        strides = tuple(float(layer.at("stride", axis)) for axis in range(layer.ndim or 1))
        found = [("nearest", nearest_by(strides), "nearest-neighbour upsampling instead of zeros")]
    elif isinstance(layer, Conv):
        found = [
            ("even", _even_conv(layer), "the nearest kernel size that the stride divides"),
            ("average", _averaged(layer), "an average pool does the downsampling"),
        ]
    elif isinstance(layer, SlidingPool):
        found = [
            ("even", _even_pool(layer), "the nearest kernel size that the stride divides"),
            ("average", _averaged(layer), "stride 1, then an average pool does the downsampling"),
        ]
    return [Repair(name, layers, text) for name, layers, text in found if layers is not None]


# Upsampling: replacements of a transposed convolution ---------------------------------------------------------------


class Grown(NamedTuple):
    """Along one axis: the convolution next to a resize or a shuffle, and the padding (negative: crop) after both."""

    kernel: int
    dilation: int
    padding: int
    crop: tuple[int, int]


def resized_axis(scatter: Scatter) -> Grown:
    """The convolution after a resize by s: its kernel is odd, and together they reach as far as the window.

    Together they are a transposed convolution that is even for any weights. https://distill.pub/2016/
    deconv-checkerboard/

    >>> resized_axis(Scatter(kernel=4, stride=2, before=1, after=1))
    Grown(kernel=3, dilation=1, padding=1, crop=(0, 0))
    """
    kernel, stride, dilation, before, after, _ = scatter
    span = dilation * (kernel - 1) + 1
    if dilation == 1 and stride > 1:
        kernel = max(3, (span - stride + 1) | 1)
    reach = dilation * (kernel - 1)
    more = stride + reach - span  # how much further than the window the two reach
    sides = reach - before - more // 2, reach - after - (more - more // 2)
    padding = max(*sides, 0)
    return Grown(kernel, dilation, padding, (sides[0] - padding, sides[1] - padding))


def shuffled_axis(scatter: Scatter) -> Grown:
    """The convolution before a pixel shuffle by r; together, a transposed convolution with kernel r*k and stride r.

    >>> shuffled_axis(Scatter(kernel=4, stride=2, before=1, after=1))
    Grown(kernel=3, dilation=1, padding=1, crop=(0, 0))
    """
    kernel, stride, dilation, before, after, _ = scatter
    span = dilation * (kernel - 1) + 1
    kernel = max(3, -(-span // stride) | 1)
    more = kernel * stride - span
    before, after = before + more // 2, after + more - more // 2
    padding = max(0, kernel - 1 - min(before, after) // stride)
    cut = stride * (kernel - 1 - padding)  # what the padded convolution with its shuffle crops at each end
    return Grown(kernel, 1, padding, (cut - before, cut - after))


def resize(scatters: Sequence[Scatter], ndim: int | None, **channels: Any) -> tuple[Layer, ...] | None:
    """A resize, a convolution with these channels, groups and bias, and a crop if one is needed.

    None if the dimension is open and a crop would fix it.

    >>> [str(layer) for layer in resize([Scatter(4, 2, before=1, after=0)], 1) or ()]
    ['Upsample(scale_factor=2.0)', 'Conv1d(kernel_size=3, padding=2)', 'ZeroPad1d((-1, 0))']
    """
    axes = [resized_axis(scatter) for scatter in scatters]
    cut = _cropped(axes, ndim)
    if cut is None:
        return None
    return (*nearest_by([float(scatter.stride) for scatter in scatters]), _conv(axes, ndim, **channels), *cut)


def shuffle(scatters: Sequence[Scatter], **channels: Any) -> tuple[Layer, ...]:
    """A convolution to sub-pixels, a pixel shuffle, and a crop if one is needed; only in 2-D with equal strides.

    >>> [str(layer) for layer in shuffle([Scatter(4, 2, before=1, after=1)] * 2, out_channels=8)]
    ['Conv2d(out_channels=8, kernel_size=3, padding=1)', 'PixelShuffle(2)']
    """
    axes = [shuffled_axis(scatter) for scatter in scatters]
    return (_conv(axes, 2, **channels), PixelShuffle(upscale_factor=scatters[0].stride), *(_cropped(axes, 2) or ()))


def nearest_by(factors: Sequence[float]) -> tuple[Layer, ...]:
    """A nearest-neighbour resize with one factor per axis; no layer if all factors are 1.

    >>> nearest_by([2.0, 2.0]), nearest_by([1.0])
    ((Upsample(scale_factor=2.0),), ())
    """
    if set(factors) == {1.0}:
        return ()
    return (Upsample(scale_factor=factors[0] if len(set(factors)) == 1 else tuple(factors)),)


def _conv(axes: Sequence[Grown], ndim: int | None, **channels: Any) -> Conv:
    numbers = {
        "kernel_size": [axis.kernel for axis in axes],
        "dilation": [axis.dilation for axis in axes],
        "padding": [axis.padding for axis in axes],
    }
    given = {name: _for_axes(values, ndim) for name, values in numbers.items()}
    return Conv(**given, **channels, ndim=ndim)  # type: ignore[arg-type]


def _cropped(axes: Sequence[Grown], ndim: int | None) -> tuple[Layer, ...] | None:
    """The crop, if any; None if it would fix an open dimension."""
    crops = tuple(axis.crop for axis in axes)
    if not any(any(crop) for crop in crops):
        return ()
    return None if ndim is None else (Pad(padding=crops, ndim=ndim),)


def _resized(layer: ConvTranspose) -> tuple[Layer, ...] | None:
    scatters = [scatter_of(layer, axis) for axis in range(layer.ndim or 1)]
    return resize(scatters, layer.ndim, **_channels(layer))


def _shuffled(layer: ConvTranspose) -> tuple[Layer, ...] | None:
    stride = collapse(layer.stride) if isinstance(layer.stride, tuple) else layer.stride
    if layer.ndim not in (None, 2) or not isinstance(stride, int):
        return None
    channels = _channels(layer)
    channels["out_channels"] = layer.out_channels and layer.out_channels * stride**2
    return shuffle([scatter_of(layer, axis if layer.ndim else 0) for axis in range(2)], **channels)


def _channels(layer: Conv | ConvTranspose) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in ("in_channels", "out_channels", "groups", "bias")}


# Downsampling: replacements of a convolution or a pool, for its gradient --------------------------------------------


def _even_conv(layer: Conv) -> tuple[Layer, ...] | None:
    """A larger kernel with more padding; only for zeros, as other padding modes would then need a larger input."""
    if layer.padding_mode != "zeros":
        return None
    kernels, dilations, pads = [], [], []
    for axis in range(layer.ndim or 1):
        kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        before, after = layer.pads(axis)
        if not hits_evenly(kernel, stride, dilation):
            span = layer.span(axis)
            kernel, dilation = even_window(kernel, stride, dilation)
            more = dilation * (kernel - 1) + 1 - span
            before, after = before + more // 2, after + more - more // 2
        kernels.append(kernel)
        dilations.append(dilation)
        pads.append((before, after))
    changes: dict[str, Any] = {
        "kernel_size": _for_axes(kernels, layer.ndim),
        "dilation": _for_axes(dilations, layer.ndim),
    }
    if all(before == after for before, after in pads):
        return (replace(layer, **changes, padding=_for_axes([before for before, _ in pads], layer.ndim)),)
    if layer.ndim is None:
        return None
    return (Pad(padding=tuple(pads), ndim=layer.ndim), replace(layer, **changes, padding=0))


def _averaged(layer: Conv | SlidingPool) -> tuple[Layer, ...] | None:
    """Stride 1, then an average pool that rounds up: floor((o1 - 1)/s) + 1 with o1 = i + 2p - d(k - 1).

    A kernel of 1 without padding comes after the pool: the same result for less work (arXiv 1812.01187, ResNet-D).
    """
    if getattr(layer, "ceil_mode", False):
        return None  # it may drop a window that the replacement keeps
    strides = _for_axes([layer.at("stride", axis) for axis in range(layer.ndim or 1)], layer.ndim)
    pool = AvgPool(kernel_size=strides, ceil_mode=True, ndim=layer.ndim)
    dense = layer.changed(stride=1)
    pointwise = all(layer.span(axis) == 1 and layer.pads(axis) == (0, 0) for axis in range(layer.ndim or 1))
    return (pool, dense) if pointwise and isinstance(layer, Conv) else (dense, pool)


def _even_pool(layer: SlidingPool) -> tuple[Layer, ...] | None:
    """The pool with the nearest kernel size that the stride divides and exactly the same size rule, if there is one."""
    axes = range(layer.ndim or 1)
    wanted = layer.rules(layer.ndim)
    for rounds_up in (layer.ceil_mode, not layer.ceil_mode):
        windows = [
            next((window for window in _windows(layer, axis)
                  if _with(layer, *window, rounds_up).rules(layer.ndim)[axis] == wanted[axis]), None)
            for axis in axes
        ]  # fmt: skip
        if None not in windows:
            kernels, paddings = zip(*cast("list[tuple[int, int]]", windows), strict=True)
            return (_with(layer, _for_axes(kernels, layer.ndim), _for_axes(paddings, layer.ndim), rounds_up),)
    return None


def _windows(layer: SlidingPool, axis: int) -> Iterator[tuple[int, int]]:
    """(kernel, padding), sorted by the distance of the kernel from the layer's."""
    kernel, stride = layer.at("kernel_size", axis), layer.at("stride", axis)
    near = sorted(range(stride, layer.span(axis) + 2 * stride, stride), key=lambda each: abs(each - kernel))
    for each in near:
        yield from product([each], range(each // 2 + 1) if "padding" in layer.signature else [0])


def _with(layer: SlidingPool, kernel: Ints, padding: Ints, rounds_up: bool) -> SlidingPool:
    changes: dict[str, Any] = {"kernel_size": kernel, "ceil_mode": rounds_up}
    changes |= {name: value for name, value in (("padding", padding), ("dilation", 1)) if name in layer.signature}
    return layer.changed(**changes)


def _for_axes(values: Sequence[int], ndim: int | None) -> Ints:
    return tuple(values) if ndim else values[0]
