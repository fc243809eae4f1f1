"""What every output of a layer reads: which inputs, through which taps of its kernel, with which share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import floor, inf, prod
from typing import TYPE_CHECKING, NamedTuple, cast

from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.padding import padding_source
from convarith.layers.window import WindowLayer

if TYPE_CHECKING:
    from convarith.layers.convolution import ConvolutionLayer
    from convarith.layers.pooling import AvgPool
    from convarith.layers.resampling import PixelShuffle, PixelUnshuffle, Upsample

Index = tuple[int, ...]
"""A channel, then a position along each axis; of a weight, torch's own index."""
Number = int | float | Fraction
Values = Mapping[Index, Number]


class Term(NamedTuple):
    """One input that an output reads.

    Attributes:
        source: the input; None where the layer reads a zero that is not in the input.
        place: (channel, *position) where the window lies over it, counted from the first input; a transposed
            convolution's lies over the stretched input. Outside of the input it is padding.
        tap: the weight's index, None for a layer without weights.
        share: what the input is multiplied with beside the weight.
    """

    source: Index | None
    place: Index
    tap: Index | None
    share: Fraction = Fraction(1)


class Read(NamedTuple):
    """One output: the sum of its terms; `how` says 'max' or 'norm' (of a power, an LPPool) where it is another rule."""

    target: Index
    terms: tuple[Term, ...]
    how: str = "sum"


class _Reach(NamedTuple):
    """A term along one axis."""

    source: int | None
    place: int
    tap: int
    share: Fraction = Fraction(1)


def reads(layer: Layer, shape: Sequence[int]) -> Iterator[Read]:
    """Every output of a layer that takes an input of `shape`, (channels, *spatial), in row-major order.

    Raises ParameterError for a layer whose reads are not known, ShapeError where the layer refuses the shape.

    >>> import convarith as ca
    >>> first = next(reads(ca.parse("Conv2d(1, 1, 2, padding=1)"), (1, 3, 3)))
    >>> first.target, [(term.source, term.tap) for term in first.terms][-1]
    ((0, 0, 0), ((0, 0, 0), (0, 0, 1, 1)))
    """
    return _reads(layer, tuple(shape), _along(layer))


def output_shape(layer: Layer, shape: Sequence[int]) -> tuple[int, ...]:
    """The output's (channels, *spatial). Raises ShapeError where the layer refuses the shape.

    >>> import convarith as ca
    >>> output_shape(ca.parse("Upsample(scale_factor=2)"), (1, 3, 3))
    (1, 6, 6)
    """
    return layer.output_shape((1, *shape))[1:]


def value_of(read: Read, values: Values, weight: Values | None) -> Number:
    """What an output's terms make of the values of the inputs and the weights; a term without a source reads 0.

    >>> read = Read((0, 0), (Term((0, 0), (0, 0), (0, 0, 0)), Term(None, (0, 1), (0, 0, 1))))
    >>> value_of(read, {(0, 0): 3}, {(0, 0, 0): 2})
    6
    """
    if read.how == "max":
        found = [values[term.source] for term in read.terms if term.source is not None]
        return max(found, default=-inf)  # a dilated window may lie in the padding alone
    return sum((term_value(term, values, weight) for term in read.terms if term.source is not None), start=0)


def term_value(term: Term, values: Values, weight: Values | None) -> Number:
    """What one term adds."""
    if term.source is None:
        return 0
    factor: Number = 1 if term.tap is None or weight is None else weight[term.tap]
    return values[term.source] * factor * term.share if term.share != 1 else values[term.source] * factor


def _reads(layer: Layer, shape: tuple[int, ...], along: _Along) -> Iterator[Read]:
    target_shape = output_shape(layer, shape)
    (channels, *sizes), (out_channels, *outputs) = shape, target_shape
    how = {"max-pool": "max", "adaptive-max-pool": "max"}.get(layer.kind, "sum")
    axes = [
        [along(layer, axis, size, output, at) for at in range(output)]
        for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True))
    ]
    for target in range(out_channels):
        for position in product(*map(range, outputs)):
            if layer.kind.startswith("pixel-"):
                yield _shuffled(layer, target, position)
                continue
            meetings = list(product(*(axis[at] for axis, at in zip(axes, position, strict=True))))
            terms = (
                Term(
                    None if any(reach.source is None for reach in reaches)
                    else (channel, *(cast(int, reach.source) for reach in reaches)),
                    (channel, *(reach.place for reach in reaches)),
                    None if lead is None else (*lead, *(reach.tap for reach in reaches)),
                    prod((reach.share for reach in reaches), start=Fraction(1)),
                )
                for channel, lead in _channels(layer, target, channels, out_channels)
                for reaches in meetings
            )  # fmt: skip
            yield Read((target, *position), tuple(terms), how)


def _channels(layer: Layer, target: int, channels: int, out_channels: int) -> Iterator[tuple[int, Index | None]]:
    """The channels that an output channel reads, each with the start of its weights' index."""
    if layer.kind not in ("conv", "conv-transpose"):
        yield target, None
        return
    groups = cast("ConvolutionLayer", layer).groups
    own, out = channels // groups, out_channels // groups
    group = target // out
    for number in range(own):
        channel = group * own + number
        yield channel, (target, number) if layer.kind == "conv" else (channel, target % out)


def _shuffled(layer: Layer, target: int, position: Index) -> Read:
    row, column = position
    if layer.kind == "pixel-shuffle":
        factor = cast("PixelShuffle", layer).upscale_factor
        source = (target * factor**2 + row % factor * factor + column % factor, row // factor, column // factor)
    else:
        factor = cast("PixelUnshuffle", layer).downscale_factor
        channel, phase = divmod(target, factor**2)
        source = (channel, row * factor + phase // factor, column * factor + phase % factor)
    return Read((target, *position), (Term(source, source, None),))


# Along one axis ------------------------------------------------------------------------------------------------------

_Along = Callable[[Layer, int, int, int, int], list[_Reach]]
"""Of a layer, an axis, its size and the output's, and an output."""


def _window(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    window = cast(WindowLayer, layer)
    kernel, stride, dilation = (window.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    before, after = window.pads(axis)
    mode = getattr(layer, "padding_mode", "zeros")
    start, found = stride * at - before, []
    share = Fraction(1)
    if layer.kind == "avg-pool":
        pool = cast("AvgPool", layer)
        low, high = (-before, size + after) if pool.count_include_pad else (0, size)
        share = Fraction(1, min(start + kernel, high) - max(start, low))
        if pool.divisor_override is not None:
            share = Fraction(1, pool.divisor_override if axis == 0 else 1)
    for tap in range(kernel):
        place = start + dilation * tap
        source = place if mode == "zeros" else padding_source(mode, place, size, before, after)
        found.append(_Reach(source if 0 <= source < size else None, place, tap, share))
    return found


def _transposed(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    conv = cast(WindowLayer, layer)
    kernel, stride, dilation, padding = (
        conv.at(name, axis) for name in ("kernel_size", "stride", "dilation", "padding")
    )
    places = [(at + padding - dilation * tap, tap) for tap in range(kernel - 1, -1, -1)]  # the kernel turned round
    return [
        _Reach(place // stride if place % stride == 0 and 0 <= place // stride < size else None, place, tap)
        for place, tap in places
    ]


def _pad(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    before, after = layer.pads(axis)  # type: ignore[attr-defined]
    place, mode = at - before, layer.mode  # type: ignore[attr-defined]
    source = place if mode == "zeros" else padding_source(mode, place, size, before, after)
    return [_Reach(source if 0 <= source < size else None, place, 0)]


def _zero_insert(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    source, rest = divmod(at, cast(SpatialLayer, layer).at("stride", axis))
    return [] if rest else [_Reach(source, source, 0)]


def _adaptive(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    places = range(at * size // output, -(-(at + 1) * size // output))
    share = Fraction(1, 1 if "max" in layer.kind else len(places))
    return [_Reach(place, place, 0, share) for place in places]


def _upsample(layer: Layer, axis: int, size: int, output: int, at: int) -> list[_Reach]:
    """torch's arithmetic: one input for the nearest modes, two and their shares for the linear ones."""
    up = cast("Upsample", layer)
    factor = up.factor_at(axis)
    scale = Fraction(size, output)
    if factor is not None and not up.recompute_scale_factor:
        scale = 1 / Fraction(factor).limit_denominator(10**6)
    if "nearest" in up.mode:
        place = min(floor((at + Fraction(up.mode == "nearest-exact") / 2) * scale), size - 1)
        return [_Reach(place, place, 0)]
    if up.align_corners:
        exact = Fraction(at * (size - 1), output - 1) if output > 1 else Fraction(0)
    else:
        exact = max(Fraction(0), (at + Fraction(1, 2)) * scale - Fraction(1, 2))
    low = min(floor(exact), size - 1)
    share = min(exact - low, Fraction(1)) if low < size - 1 else Fraction(0)
    found = [_Reach(low, low, 0, 1 - share), _Reach(low + 1, low + 1, 0, share)]
    return [reach for reach in found if reach.share]


_ALONG: dict[str, _Along] = {
    "conv": _window,
    "max-pool": _window,
    "avg-pool": _window,
    "conv-transpose": _transposed,
    "pad": _pad,
    "zero-insert": _zero_insert,
    "adaptive-avg-pool": _adaptive,
    "adaptive-max-pool": _adaptive,
    "upsample": _upsample,
    "pixel-shuffle": lambda layer, axis, size, output, at: [],
    "pixel-unshuffle": lambda layer, axis, size, output, at: [],
}


def _along(layer: Layer) -> _Along:
    if layer.kind not in _ALONG or getattr(layer, "mode", "") in ("bicubic", "area"):
        known = ", ".join((*_ALONG, "max-unpool"))
        raise ParameterError(f"{layer} has no picture: the layers that can be drawn are {known}")
    return _ALONG[layer.kind]
