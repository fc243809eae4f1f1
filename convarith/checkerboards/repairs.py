"""What cures an uneven overlap: layers of the same sizes that hit every inner position equally often.

The geometry of nearest neighbours with a convolution, and of a pixel shuffle, is that of the transposed convolution
whose place they take: its window, its stride, what is cut off its two ends.
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
    """Layers that take an uneven layer's place: the same output size for every input size, and even.

    Attributes:
        name: 'even', 'resize', 'pixel-shuffle', 'average' or 'nearest'.
        layers: what to put in its place, in order.
        text: what it is, for people.
        node: the layer it replaces, where a network was asked about.
    """

    name: str
    layers: tuple[Layer, ...]
    text: str
    node: str = ""


def repairs_of(layer: Layer) -> list[Repair]:
    """The even layers of the same sizes that may take a layer's place; none for a layer that is even.

    Of a layer whose dimension is open, those that fit every dimension. The average pools need, in 3-D, an input of at
    least the stride: torch's own do.

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
            ("even", (made_even(layer),), "the nearest kernel that the stride divides, of the same output size"),
            ("resize", _resized(layer), "nearest neighbours, then a convolution: even for any weights"),
            (
                "pixel-shuffle", _shuffled(layer),
                "a convolution to sub-pixels; begin with equal weights for all sub-pixels of a channel (ICNR)",
            ),
        ]  # fmt: skip
    elif isinstance(layer, ZeroInsert):
        strides = tuple(float(layer.at("stride", axis)) for axis in range(layer.ndim or 1))
        found = [("nearest", nearest_by(strides), "nearest neighbours in place of zeros")]
    elif isinstance(layer, Conv):
        found = [
            ("even", _even_conv(layer), "the nearest kernel that the stride divides"),
            ("average", _averaged(layer), "an average pool does the stride"),
        ]
    elif isinstance(layer, SlidingPool):
        found = [
            ("even", _even_pool(layer), "the nearest kernel that the stride divides"),
            ("average", _averaged(layer), "the windows move by 1, an average pool does the stride"),
        ]
    return [Repair(name, layers, text) for name, layers, text in found if layers is not None]


# Growing: in the place of a transposed convolution -------------------------------------------------------------------


class Grown(NamedTuple):
    """Along one axis the convolution that grows a map by a resize or a shuffle, and what is cropped (below 0) then."""

    kernel: int
    dilation: int
    padding: int
    crop: tuple[int, int]


def resized_axis(scatter: Scatter) -> Grown:
    """The convolution after s nearest neighbours: its odd kernel reaches, with them, as far as the window.

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
    more = stride + reach - span  # what the two reach beyond the window
    sides = reach - before - more // 2, reach - after - (more - more // 2)
    padding = max(*sides, 0)
    return Grown(kernel, dilation, padding, (sides[0] - padding, sides[1] - padding))


def shuffled_axis(scatter: Scatter) -> Grown:
    """The convolution in front of a pixel shuffle by r: the transposed convolution with the kernel r*k, stride r.

    >>> shuffled_axis(Scatter(kernel=4, stride=2, before=1, after=1))
    Grown(kernel=3, dilation=1, padding=1, crop=(0, 0))
    """
    kernel, stride, dilation, before, after, _ = scatter
    span = dilation * (kernel - 1) + 1
    kernel = max(3, -(-span // stride) | 1)
    more = kernel * stride - span
    before, after = before + more // 2, after + more - more // 2
    padding = max(0, kernel - 1 - min(before, after) // stride)
    cut = stride * (kernel - 1 - padding)  # what the shuffle of a padded convolution cuts off at each end
    return Grown(kernel, 1, padding, (cut - before, cut - after))


def resize(scatters: Sequence[Scatter], ndim: int | None, **channels: Any) -> tuple[Layer, ...] | None:
    """Nearest neighbours, a convolution with these channels, groups and bias, and a crop where one is needed.

    None where the dimension is open and a crop would fix it.

    >>> [str(layer) for layer in resize([Scatter(4, 2, before=1, after=0)], 1) or ()]
    ['Upsample(scale_factor=2.0)', 'Conv1d(kernel_size=3, padding=2)', 'ZeroPad1d((-1, 0))']
    """
    axes = [resized_axis(scatter) for scatter in scatters]
    cut = _cropped(axes, ndim)
    if cut is None:
        return None
    return (*nearest_by([float(scatter.stride) for scatter in scatters]), _conv(axes, ndim, **channels), *cut)


def shuffle(scatters: Sequence[Scatter], **channels: Any) -> tuple[Layer, ...]:
    """A convolution to sub-pixels, its pixel shuffle, and a crop where one is needed; in 2-D, with one stride.

    >>> [str(layer) for layer in shuffle([Scatter(4, 2, before=1, after=1)] * 2, out_channels=8)]
    ['Conv2d(out_channels=8, kernel_size=3, padding=1)', 'PixelShuffle(2)']
    """
    axes = [shuffled_axis(scatter) for scatter in scatters]
    return (_conv(axes, 2, **channels), PixelShuffle(upscale_factor=scatters[0].stride), *(_cropped(axes, 2) or ()))


def nearest_by(factors: Sequence[float]) -> tuple[Layer, ...]:
    """Nearest neighbours by a factor an axis; nothing where all are 1.

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
    """The crop, if any; None where it would fix a dimension that is open."""
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


# Shrinking: in the place of a convolution or a pool, for its gradient ------------------------------------------------


def _even_conv(layer: Conv) -> tuple[Layer, ...] | None:
    """A larger kernel, as much more padding; mirrored or wrapped padding has a least input that more would raise."""
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
    """Windows that move by 1, and an average pool that rounds up: floor((o1 - 1)/s) + 1 of o1 = i + 2p - d(k - 1).

    Of a kernel of 1 without padding the pool comes first, which is the same for less work (arXiv 1812.01187, ResNet-D).
    """
    if getattr(layer, "ceil_mode", False):
        return None  # it may drop a window where this one does not
    strides = _for_axes([layer.at("stride", axis) for axis in range(layer.ndim or 1)], layer.ndim)
    pool = AvgPool(kernel_size=strides, ceil_mode=True, ndim=layer.ndim)
    dense = layer.changed(stride=1)
    pointwise = all(layer.span(axis) == 1 and layer.pads(axis) == (0, 0) for axis in range(layer.ndim or 1))
    return (pool, dense) if pointwise and isinstance(layer, Conv) else (dense, pool)


def _even_pool(layer: SlidingPool) -> tuple[Layer, ...] | None:
    """The pool whose kernel is the nearest that the stride divides, of the very same size rule, if there is one."""
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
    """(kernel, padding) by the kernel's distance from the layer's."""
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
