"""The way back through one stage of an encoder: the layers from its output shape to its input shape, by strategy.

Most layers have their own way back (`way_back` in their classes). This module has the strategies for layers with a
sliding window, and the way back if only the two shapes are known.
"""

from __future__ import annotations

from math import prod

from convarith.checkerboards.axis import Scatter
from convarith.checkerboards.repairs import nearest_by, resize, shuffle
from convarith.decoders.encoder_stages import Stage
from convarith.errors import ShapeError
from convarith.layers.adaptive_pooling import AdaptiveAvgPool
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose, transposed
from convarith.layers.padding import Pad
from convarith.layers.pooling import MaxPool, SlidingPool
from convarith.layers.resampling import Upsample
from convarith.layers.reshaping import Linear
from convarith.layers.unpooling import MaxUnpool
from convarith.layers.ways_back import NoWayBackError, Passage, Way
from convarith.layers.window import WindowLayer
from convarith.sizes.normalise import times
from convarith.sizes.rules import hits_evenly

STRATEGIES = ("transposed", "resize", "pixel-shuffle", "unpool")
"""How to upsample: transposed convolutions, a resize and a convolution, sub-pixels, or the indices of max pools."""


def way_back(stage: Stage, upsample: str, even: bool) -> Way:
    """The way back through a stage.

    Raises NoWayBackError, with the change that would help, if there is none.
    """
    passage = Passage(stage.name, stage.text, stage.before, stage.after, upsample, even)
    layer = stage.layer
    if layer is None:
        return _between(passage)
    way = layer.way_back(passage)
    if way is None and isinstance(layer, WindowLayer) and layer.overlap_side == "gradient":
        way = _window(passage, layer)
    return _between(passage) if way is None else way


def _window(passage: Passage, layer: WindowLayer) -> Way:
    """The way back through a convolution or a pool with a sliding window."""
    upsample, after = passage.upsample, passage.after[1:]
    if upsample == "unpool" and layer.keeps_indices:
        return Way((), "unpool")
    sizes = passage.before[1:]
    largest = tuple(each.last or size for each, size in zip(layer.inputs_for(after), sizes, strict=True))
    strides = [layer.at("stride", axis) for axis in range(len(sizes))]
    strided = any(stride > 1 for stride in strides)
    sub_pixels = upsample == "pixel-shuffle" and strided
    one_factor = len(sizes) == 2 and len(set(strides)) == 1

    def make(target: tuple[int, ...]) -> tuple[Layer, ...]:
        if upsample == "resize" and isinstance(layer, SlidingPool):
            return _repeated(layer, target, after)
        if upsample == "resize" and strided:
            return _resized(passage, layer, target)
        if sub_pixels and one_factor:
            return _shuffled(passage, layer, target)
        return _with_channels(transposed(layer, target, passage.even or sub_pixels), passage)

    remark = ""
    if sub_pixels and not one_factor:
        remark = (
            f"{passage.name}: PixelShuffle needs 2-D inputs and equal strides; "
            "an equivalent even transposed convolution is used instead"
        )
    layers = make(sizes)
    return Way(layers, "crop" if strided else "", layers if largest == sizes else make(largest), remark=remark)


def _with_channels(layers: tuple[Layer, ...], passage: Passage) -> tuple[Layer, ...]:
    """Set the channels of a transposed convolution that undoes a pool: a pool keeps them, but does not name them."""
    conv, *crop = layers
    assert isinstance(conv, ConvTranspose)
    changes = {"ndim": passage.ndim}
    if conv.in_channels is None:
        changes |= {"in_channels": passage.after[0], "out_channels": passage.before[0]}
    return (conv.changed(**changes), *crop)


def _repeated(layer: SlidingPool, target: tuple[int, ...], given: tuple[int, ...]) -> tuple[Layer, ...]:
    """A nearest-neighbour resize by the stride of a pool; its border is padded or cropped so that positions match."""
    sides = []
    for axis, (size, count) in enumerate(zip(target, given, strict=True)):
        stride = layer.at("stride", axis)
        before = (layer.span(axis) - stride + 1) // 2 - layer.pads(axis)[0]
        sides.append((before, size - count * stride - before))
    return (*nearest_by([float(layer.at("stride", axis)) for axis in range(len(given))]), *_padded(sides, "replicate"))


def _padded(sides: list[tuple[int, int]], mode: str) -> tuple[Layer, ...]:
    if not any(any(side) for side in sides):
        return ()
    if not any(side > 0 for pair in sides for side in pair):
        mode = "zeros"  # a crop
    return (Pad(padding=tuple(sides), mode=mode, ndim=len(sides)),)


def _scatters(passage: Passage, layer: WindowLayer, target: tuple[int, ...]) -> list[Scatter]:
    """For each axis, the transposed convolution from this output to the target size."""
    scatters = []
    for axis, (size, count) in enumerate(zip(target, passage.after[1:], strict=True)):
        kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        before, _ = layer.pads(axis)
        after = (count - 1) * stride + layer.span(axis) - before - size
        scatters.append(Scatter(kernel, stride, dilation, before, after))
    return scatters


def _resized(passage: Passage, layer: WindowLayer, target: tuple[int, ...]) -> tuple[Layer, ...]:
    """A nearest-neighbour resize, then a convolution."""
    channels = {"in_channels": passage.after[0], "out_channels": passage.before[0]}
    resized = resize(_scatters(passage, layer, target), len(target), **_grouping(layer), **channels)
    assert resized is not None  # because the dimension is known
    return resized


def _shuffled(passage: Passage, layer: WindowLayer, target: tuple[int, ...]) -> tuple[Layer, ...]:
    """A convolution to sub-pixels, then a pixel shuffle."""
    channels = {"in_channels": passage.after[0], "out_channels": passage.before[0] * layer.at("stride", 0) ** 2}
    return shuffle(_scatters(passage, layer, target), **_grouping(layer), **channels)


def _grouping(layer: WindowLayer) -> dict[str, int | bool]:
    """Groups and bias of a convolution; for a pool, the defaults."""
    return {"groups": getattr(layer, "groups", 1), "bias": getattr(layer, "bias", True)}


def _between(passage: Passage) -> Way:
    """The way back if only the shapes are known: resize, then a convolution to the channels."""
    before, after = passage.before, passage.after
    if len(before) != len(after) or len(before) not in (1, 2, 3, 4):
        raise NoWayBackError(
            f"{passage.text} turns {times(before)} into {times(after)}, which cannot be mirrored: "
            "end the encoder before it, or keep the number of axes"
        )
    if len(before) == 1:
        return Way.exact(Linear(in_features=after[0], out_features=before[0]))
    ndim = passage.ndim
    resize: tuple[Layer, ...] = ()
    fit = "interpolate"
    if prod(before[1:]) < prod(after[1:]):
        resize, fit = (AdaptiveAvgPool(output_size=before[1:], ndim=ndim),), "pool"
    elif before[1:] != after[1:]:
        resize = (Upsample(size=before[1:]),)
    conv = Conv(kernel_size=3, padding=1, in_channels=after[0], out_channels=before[0], ndim=ndim)
    return Way((*resize, conv), fit, (), (conv,))


def uneven_axes(layer: Layer) -> list[int]:
    """The axes along which a transposed convolution would leave a checkerboard.

    >>> import convarith as ca
    >>> uneven_axes(ca.ConvTranspose(kernel_size=(3, 4), stride=2))
    [0]
    """
    if not isinstance(layer, ConvTranspose):
        return []
    names = ("kernel_size", "stride", "dilation")
    return [axis for axis in range(layer.ndim or 1) if not hits_evenly(*(layer.at(name, axis) for name in names))]


def plain_unpool(stage: Stage) -> MaxUnpool | None:
    """PyTorch's MaxUnpool for a max pool, if it works for every input size that gives this output; otherwise None.

    It does not work if windows overlap or are dilated, or if it cannot reach the input size.
    """
    pool = stage.layer
    if not isinstance(pool, MaxPool):
        return None
    axes = range(len(stage.before) - 1)
    if any(pool.at("dilation", axis) > 1 or pool.at("kernel_size", axis) > pool.at("stride", axis) for axis in axes):
        return None
    unpool = MaxUnpool(kernel_size=pool.kernel_size, stride=pool.stride, padding=pool.padding, ndim=len(axes))
    try:
        for end in ("first", "last"):
            wanted = tuple(getattr(each, end) for each in pool.inputs_for(stage.after[1:]))
            unpool.output_size(stage.after[1:], output_size=wanted)
    except ShapeError:
        return None
    return unpool
