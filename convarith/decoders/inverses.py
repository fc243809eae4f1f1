"""The way back through one stage of an encoder: which layers lead its output to its input, by strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

from convarith.checkerboards.overlap import Scatter
from convarith.checkerboards.repairs import nearest_by, resize, shuffle
from convarith.decoders.encoder_stages import Stage
from convarith.errors import ShapeError
from convarith.layers.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool, FractionalMaxPool, _AdaptivePool
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose, transposed
from convarith.layers.folding import Fold, Unfold
from convarith.layers.padding import Pad
from convarith.layers.pooling import AvgPool, MaxPool, _Pool
from convarith.layers.resampling import PixelShuffle, PixelUnshuffle, Upsample, ZeroInsert
from convarith.layers.reshaping import GLU, Flatten, Linear, Narrow, Permute, Unflatten, axis_of
from convarith.layers.unpooling import MaxUnpool
from convarith.layers.window import WindowLayer
from convarith.sizes.normalise import times
from convarith.sizes.rules import hits_evenly

STRATEGIES = ("transposed", "resize", "pixel-shuffle", "unpool")
"""How sizes grow: transposed convolutions; interpolation and a convolution; sub-pixels; the indices of max pools."""


class Way(NamedTuple):
    """Layers from a stage's output to its input.

    Attributes:
        layers: with what follows the size, for the sizes of one input.
        fit: what brings every other size to the encoder's: '' nothing, 'crop' the end is cut off, 'interpolate',
            'pool', 'unflatten', 'unpool' (which takes the indices of the encoder's pool).
        open: in place of `layers` where sizes follow the encoder: what comes before the fit ...
        close: ... and what comes after it.
        remark: what the report should say.
    """

    layers: tuple[Layer, ...]
    fit: str = ""
    open: tuple[Layer, ...] = ()
    close: tuple[Layer, ...] = ()
    remark: str = ""


def way_back(stage: Stage, upsample: str, even: bool) -> Way:
    """The way back through a stage.

    Raises ShapeError for a stage that has none, with the change that would give it one.
    """
    layer = stage.layer
    if layer is None or (len(stage.nodes) > 1 and len(stage.before) == len(stage.after) == 1):
        return _between(stage)
    for cls, find in _WAYS:
        if isinstance(layer, cls):
            return find(stage, layer, upsample, even)
    return _between(stage)


def _window(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    """A convolution or a pool whose window slides."""
    if upsample == "unpool" and isinstance(layer, MaxPool):
        return Way((), "unpool")
    sizes = stage.before[1:]
    largest = tuple(each.last or size for each, size in zip(layer.inputs_for(stage.after[1:]), sizes, strict=True))
    strides = [layer.at("stride", axis) for axis in range(len(sizes))]
    strided = any(stride > 1 for stride in strides)
    sub_pixels = upsample == "pixel-shuffle" and strided
    one_factor = len(sizes) == 2 and len(set(strides)) == 1

    def make(target: tuple[int, ...]) -> tuple[Layer, ...]:
        if upsample == "resize" and isinstance(layer, _Pool):
            return _repeated(layer, target, stage.after[1:])
        if upsample == "resize" and strided:
            return _resized(stage, layer, target)
        if sub_pixels and one_factor:
            return _shuffled(stage, layer, target)
        return _with_channels(transposed(layer, target, even or sub_pixels), stage)

    remark = ""
    if sub_pixels and not one_factor:
        remark = (
            f"{stage.name}: PixelShuffle takes 2-D maps and one factor; "
            "an even transposed convolution computes the same"
        )
    layers = make(sizes)
    return Way(layers, "crop" if strided else "", layers if largest == sizes else make(largest), remark=remark)


def _with_channels(layers: tuple[Layer, ...], stage: Stage) -> tuple[Layer, ...]:
    """A pool names no channels; the transposed convolution in its place keeps them."""
    conv, *crop = layers
    assert isinstance(conv, ConvTranspose)
    changes: dict[str, Any] = {"ndim": len(stage.before) - 1}
    if conv.in_channels is None:
        changes |= {"in_channels": stage.after[0], "out_channels": stage.before[0]}
    return (replace(conv, **changes), *crop)


def _repeated(layer: Any, target: tuple[int, ...], given: tuple[int, ...]) -> tuple[Layer, ...]:
    """Nearest neighbours at the pool's stride; its border is repeated or cut, so that positions stay in place."""
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


def _scatters(stage: Stage, layer: Any, target: tuple[int, ...]) -> list[Scatter]:
    """The transposed convolution that leads this output back to the target size."""
    scatters = []
    for axis, (size, count) in enumerate(zip(target, stage.after[1:], strict=True)):
        kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        before, _ = layer.pads(axis)
        after = (count - 1) * stride + layer.span(axis) - before - size
        scatters.append(Scatter(kernel, stride, dilation, before, after))
    return scatters


def _resized(stage: Stage, layer: Any, target: tuple[int, ...]) -> tuple[Layer, ...]:
    """Nearest neighbours, then a convolution."""
    channels = {"in_channels": stage.after[0], "out_channels": stage.before[0]}
    resized = resize(_scatters(stage, layer, target), len(target), groups=layer.groups, bias=layer.bias, **channels)
    assert resized is not None  # as the dimension is known
    return resized


def _shuffled(stage: Stage, layer: Any, target: tuple[int, ...]) -> tuple[Layer, ...]:
    """A convolution to sub-pixels, shuffled."""
    groups, bias = getattr(layer, "groups", 1), getattr(layer, "bias", True)
    channels = {"in_channels": stage.after[0], "out_channels": stage.before[0] * layer.at("stride", 0) ** 2}
    return shuffle(_scatters(stage, layer, target), groups=groups, bias=bias, **channels)


def _to_size(stage: Stage, layer: Layer | None, upsample: str, even: bool) -> Way:
    """A pool that is told its output: every value spread over what it came from."""
    sizes = stage.before[1:]
    if upsample == "unpool" and isinstance(layer, (AdaptiveMaxPool, FractionalMaxPool)):
        return Way((), "unpool")
    if sizes == stage.after[1:]:
        return Way((), "interpolate")
    return Way((Upsample(size=sizes),), "interpolate")


def _conv_transpose(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    back = layer.back(stage.before[1:])
    try:
        if _follow(back, stage.after) == stage.before:
            return Way(back, open=back)
    except ShapeError:
        pass
    return _between(stage)


def _upsampled(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    factors = {layer.factor_at(axis) for axis in range(len(stage.before) - 1)}
    (factor, *more) = factors
    if not more and factor is not None and factor == int(factor):
        pool = (AvgPool(kernel_size=int(factor), ndim=len(stage.before) - 1),)
        return Way(pool, open=pool)
    return Way((AdaptiveAvgPool(output_size=stage.before[1:], ndim=len(stage.before) - 1),), "pool")


def _exact(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    """Layers that come back for every size."""
    back = layer.back(stage.before[1:])
    return Way(back, open=back)


def _pad(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    """What was padded is cut, what was cut is filled up, and first where one axis needs both: torch cuts first."""
    pads = [layer.pads(axis) for axis in range(len(stage.before) - 1)]
    if not any(before * after < 0 for before, after in pads):
        return _exact(stage, layer, upsample, even)
    fill = [(max(0, -before), max(0, -after)) for before, after in pads]
    cut = [(-max(0, before), -max(0, after)) for before, after in pads]
    back = (*_padded(fill, "zeros"), *_padded(cut, "zeros"))
    return Way(back, open=back)


def _zero_insert(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    pool = (MaxPool(kernel_size=1, stride=layer.stride, ndim=len(stage.before) - 1),)
    return Way(pool, open=pool)


def _fold(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    names = ("kernel_size", "dilation", "padding", "stride")
    unfold = (Unfold(**{name: getattr(layer, name) for name in names}),)
    return Way(unfold, open=unfold)


def _linear(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    linear = (Linear(in_features=layer.out_features, out_features=stage.before[-1], bias=layer.bias),)
    return Way(linear, open=linear)


def _flatten(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    axes = len(stage.before) + 1
    first, last = axis_of(layer.start_dim, axes, "start_dim"), axis_of(layer.end_dim, axes, "end_dim")
    if first == 0:
        raise ShapeError(f"{stage.name}: {layer} mixes the batch in, which has no mirror: start at axis 1")
    if first == last:
        return Way(())
    unflatten = (Unflatten(dim=first, unflattened_size=stage.before[first - 1 : last]),)
    if first == 1 and last == axes - 1:
        return Way(unflatten, "unflatten")
    return Way(unflatten, open=unflatten)


def _unflatten(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    first = axis_of(layer.dim, len(stage.before) + 1, "dim")
    if first == 0:
        raise ShapeError(f"{stage.name}: {layer} splits the batch, which has no mirror: split axis 1")
    flatten = (Flatten(start_dim=first, end_dim=first + len(layer.unflattened_size) - 1),)
    return Way(flatten, open=flatten)


def _permute(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    if layer.dims[0] != 0:
        raise ShapeError(f"{stage.name}: {layer} moves the batch, which has no mirror: keep axis 0 first")
    back = (Permute(dims=tuple(layer.dims.index(axis) for axis in range(len(layer.dims)))),)
    return Way(back, open=back)


def _fewer_channels(stage: Stage, layer: Any, upsample: str, even: bool) -> Way:
    """GLU and Narrow leave a part of one axis: a convolution of one tap, or a Linear, makes it whole again."""
    before, after = stage.before, stage.after
    pointwise: Layer
    if before[1:] == after[1:] and 2 <= len(before) <= 4:
        pointwise = Conv(kernel_size=1, in_channels=after[0], out_channels=before[0], ndim=len(before) - 1)
    elif before[:-1] == after[:-1]:
        pointwise = Linear(in_features=after[-1], out_features=before[-1])
    else:
        raise ShapeError(f"{stage.name}: {layer} leaves a part of a position axis, which has no mirror: give it dim=1")
    return Way((pointwise,), open=(pointwise,))


def _between(stage: Stage) -> Way:
    """Any stage of which only the shapes are known: to the size, then a convolution to the channels."""
    before, after = stage.before, stage.after
    if len(before) != len(after) or len(before) > 4:
        raise ShapeError(
            f"{stage.name}: {stage.text} takes {times(before)} to {times(after)}, which has no mirror: "
            "end the encoder before it, or keep its axes"
        )
    if len(before) == 1:
        linear = (Linear(in_features=after[0], out_features=before[0]),)
        return Way(linear, open=linear)
    ndim = len(before) - 1
    resize: tuple[Layer, ...] = ()
    fit = "interpolate"
    if prod(before[1:]) < prod(after[1:]):
        resize, fit = (AdaptiveAvgPool(output_size=before[1:], ndim=ndim),), "pool"
    elif before[1:] != after[1:]:
        resize = (Upsample(size=before[1:]),)
    conv = Conv(kernel_size=3, padding=1, in_channels=after[0], out_channels=before[0], ndim=ndim)
    return Way((*resize, conv), fit, (), (conv,))


def _follow(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    shape = (1, *shape)
    for layer in layers:
        shape = layer.output_shape(shape)
    return shape[1:]


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
    """torch's MaxUnpool for a max pool, where it can lead every input of this output back; None where it cannot.

    It cannot where windows overlap or are dilated, or where it does not reach the input size.
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


_WAYS: tuple[tuple[type[Layer], Callable[[Stage, Any, str, bool], Way]], ...] = (
    (Unfold, _exact),
    (Fold, _fold),
    (ConvTranspose, _conv_transpose),
    (WindowLayer, _window),
    (_AdaptivePool, _to_size),
    (FractionalMaxPool, _to_size),
    (Upsample, _upsampled),
    (ZeroInsert, _zero_insert),
    (PixelShuffle, _exact),
    (PixelUnshuffle, _exact),
    (Pad, _pad),
    (Linear, _linear),
    (Flatten, _flatten),
    (Unflatten, _unflatten),
    (Permute, _permute),
    (GLU, _fewer_channels),
    (Narrow, _fewer_channels),
)
"""The first class that a layer is an instance of says how to lead it back."""
