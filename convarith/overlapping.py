"""How often a transposed convolution hits each output: checkerboards from the parameters alone, and what cures them.

Where the counts differ from position to position, random weights paint a checkerboard (https://distill.pub/2016/
deconv-checkerboard/). A convolution or a pool has the same counts on its gradient's way back: how many windows read an
input. Along one axis everything has a closed form; the counts of several axes multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import gcd, prod
from typing import TYPE_CHECKING, NamedTuple, cast

from convarith.axis import is_even
from convarith.errors import ParameterError, ShapeError
from convarith.layer import Layer, SpatialLayer
from convarith.network import Network
from convarith.values import collapse, shape_of, times
from convarith.window import WindowLayer

if TYPE_CHECKING:
    from convarith.overlap_stack import Frequency, Stack
    from convarith.transposed import ConvTranspose

UPSAMPLING = ("conv-transpose", "upsample", "pixel-shuffle", "zero-insert")
READING = ("conv", "max-pool", "avg-pool", "lp-pool")
"""Layers whose windows slide: their overlap is that of the gradient's way back."""


class Scatter(NamedTuple):
    """One axis: every input x adds to the positions s*x + d*j, j < k, of which `before` and `after` are cut off.

    Attributes:
        kernel, stride, dilation: k, s and d.
        before, after: how much is cut off at each end; below 0 adds positions.
        given: (inputs, positions) where an input size was given.

    >>> scatter = Scatter(kernel=3, stride=2, given=(3, 7))
    >>> scatter.interior, scatter.border, scatter.counts
    ((2, 1), (1, 1), (1, 1, 2, 1, 2, 1, 1))
    """

    kernel: int
    stride: int
    dilation: int = 1
    before: int = 0
    after: int = 0
    given: tuple[int, int] | None = None

    @property
    def is_even(self) -> bool:
        """Is every inner position hit equally often?"""
        return is_even(self.kernel, self.stride, self.dilation)

    @property
    def holes(self) -> bool:
        """Are there inner positions that are never hit?"""
        common = gcd(self.dilation, self.stride)
        return common > 1 or self.kernel < self.stride

    @property
    def period(self) -> int:
        """After how many positions the inner counts repeat."""
        common = gcd(self.dilation, self.stride)
        return self.stride if self.kernel % (self.stride // common) else common

    @property
    def interior(self) -> tuple[int, ...]:
        """One period: the count of an inner position o is interior[o % period]."""
        common = gcd(self.dilation, self.stride)
        stride = self.stride // common
        inverse = pow(self.dilation // common, -1, stride)
        whole, rest = divmod(self.kernel, stride)
        return tuple(
            0 if place % common else whole + (place // common * inverse % stride < rest)
            for place in range(self.before, self.before + self.period)
        )

    @property
    def border(self) -> tuple[int, int]:
        """How many positions at each end lack hits that an endless input would give."""
        reach = self.dilation * (self.kernel - 1) - (self.stride - 1)
        return max(0, reach - self.before), max(0, reach - self.after)

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        if self.given is None:
            return None
        (_, size), (left, right), interior = self.given, self.border, self.interior
        if left + right >= size:
            return tuple(map(self._count, range(size)))
        period = len(interior)
        start = left % period
        inner = interior[start:] + interior[:start]
        middle = (inner * (-(-(size - left - right) // period)))[: size - left - right]
        ends = range(left), range(size - right, size)
        first, last = (tuple(map(self._count, end)) for end in ends)
        return first + middle + last

    def _count(self, position: int) -> int:
        """The closed form: taps j with d*j = u (mod s) between those that the first and last input allow."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        place, common = position + self.before, gcd(dilation, stride)
        if place % common:
            return 0
        inputs = self.given[0] if self.given else 0
        step = stride // common
        tap = place // common * pow(dilation // common, -1, step) % step
        first = max(0, -((stride * (inputs - 1) - place) // dilation))
        last = min(kernel - 1, place // dilation)
        return max(0, (last - tap) // step - (first - 1 - tap) // step)

    def why(self, noun: str) -> str:
        """What the divisors of the numbers make of it."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        common = gcd(dilation, stride)
        if stride == 1:
            return f"stride 1 hits every {noun} equally often"
        if self.is_even:
            apart = "" if dilation == 1 else f" and has no factor in common with dilation {dilation}"
            return f"stride {stride} divides kernel_size {kernel}{apart}"
        reasons = []
        if common > 1:
            reasons.append(f"dilation {dilation} and stride {stride} share the factor {common}: 1 {noun} in {common}")
            reasons[0] += f" is hit{' at most' if kernel < stride // common else ''}"
        if kernel < stride // common:
            reasons.append(f"kernel_size {kernel} is less than {_steps(stride, common)}: {noun}s between are never hit")
        elif kernel % (stride // common):
            few, many = kernel // (stride // common), -(-kernel // (stride // common))
            reasons.append(f"{_steps(stride, common)} does not divide kernel_size {kernel}: counts of {few} and {many}")
        return "; ".join(reasons)


def _steps(stride: int, common: int) -> str:
    return f"stride {stride}" if common == 1 else f"stride {stride}/{common}"


class Repair(NamedTuple):
    """Layers that take an uneven layer's place: the same output size for every input size, and even.

    Attributes:
        name: 'even', 'resize' or 'pixel shuffle'.
        layers: what to put in its place, in order.
        text: what it is, for people.
        node: the layer it replaces, where a network was asked about.
    """

    name: str
    layers: tuple[Layer, ...]
    text: str
    node: str = ""


@dataclass(frozen=True)
class Overlap:
    """How often each position is hit: of the output, or of the input by its gradient.

    Attributes:
        subject: the layer or network.
        side: 'output' for layers that upsample, 'gradient' for the inputs of convolutions and pools.
        axes: each axis by itself.
    """

    subject: Layer | Network
    side: str
    axes: tuple[Scatter, ...] | tuple[Stack, ...]

    @cached_property
    def counts(self) -> tuple[tuple[int, ...], ...] | None:
        """Of each axis the count at every position, borders included; None without an input size.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, padding=1), 4).counts
        ((1, 2, 1, 2, 1, 2, 1),)
        """
        found = tuple(axis.counts for axis in self.axes)
        return None if None in found else cast("tuple[tuple[int, ...], ...]", found)

    @cached_property
    def interior(self) -> tuple[tuple[int, ...], ...]:
        """Of each axis one period of the inner counts: that of position o is interior[axis][o % period[axis]]."""
        return tuple(axis.interior for axis in self.axes)

    @cached_property
    def period(self) -> tuple[int, ...]:
        """Of each axis, after how many positions the inner counts repeat; the smallest such number."""
        return tuple(axis.period for axis in self.axes)

    @cached_property
    def uniform(self) -> bool:
        """Is every position that the border does not reach hit equally often?"""
        return all(axis.is_even for axis in self.axes)

    @cached_property
    def holes(self) -> bool:
        """Are there positions inside that are never hit?"""
        return any(axis.holes for axis in self.axes)

    @cached_property
    def border(self) -> tuple[tuple[int, int], ...]:
        """Of each axis, how far from its start and end the counts differ from the inner ones.

        Of an input that is large enough; in a small one the two meet. Without an input size the end is that of an
        input of which the stride leaves nothing unread.
        """
        return tuple(axis.border for axis in self.axes)

    def count(self, position: int | Sequence[int]) -> int:
        """The count at one position: the product of its axes; without an input size that of an inner position.

        Raises ShapeError for a position outside.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2), (4, 4)).count((2, 4))
        4
        """
        place = shape_of((position,) if isinstance(position, int) else position, "position")
        if len(place) != len(self.axes):
            raise ShapeError(f"position {place} has {len(place)} numbers: give {len(self.axes)}, one an axis")
        if self.counts is None:
            return prod(pattern[at % len(pattern)] for pattern, at in zip(self.interior, place, strict=True))
        sizes = [len(counts) for counts in self.counts]
        if any(at >= size for at, size in zip(place, sizes, strict=True)):
            raise ShapeError(f"position {place} lies outside of {times(sizes)}")
        return prod(counts[at] for counts, at in zip(self.counts, place, strict=True))

    @cached_property
    def max(self) -> int:
        """The largest count, borders included where an input size was given."""
        return prod(max(counts) for counts in self.counts or self.interior)

    @cached_property
    def min(self) -> int:
        """The smallest count, borders included where an input size was given."""
        return prod(min(counts) for counts in self.counts or self.interior)

    @cached_property
    def contrast(self) -> Fraction | None:
        """The largest inner count over the smallest; None where there are holes.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2)).contrast
        Fraction(4, 1)
        """
        if self.holes:
            return None
        return prod((Fraction(max(each), min(each)) for each in self.interior), start=Fraction(1))

    @cached_property
    def hole_fraction(self) -> Fraction:
        """The share of the inner positions that are never hit; of a convolution: inputs that never get a gradient.

        >>> import convarith as ca
        >>> ca.overlap(ca.Conv(kernel_size=1, stride=2, ndim=2)).hole_fraction
        Fraction(3, 4)
        """
        hit = (Fraction(sum(map(bool, each)), len(each)) for each in self.interior)
        return 1 - prod(hit, start=Fraction(1))

    @cached_property
    def missed(self) -> tuple[tuple[int, ...], ...]:
        """Of each axis the positions that are never hit: all of them, or those of one period without an input size.

        >>> import convarith as ca
        >>> ca.overlap(ca.MaxPool(kernel_size=2), 7).missed
        ((6,),)
        """
        return tuple(tuple(at for at, count in enumerate(each) if not count) for each in self.counts or self.interior)

    @cached_property
    def why(self) -> str:
        """The reason, from the divisors of kernel size, stride and dilation.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2)).why
        'stride 2 does not divide kernel_size 3: counts of 1 and 2'
        """
        noun = "output" if self.side == "output" else "input"
        reasons = [axis.why(noun) for axis in self.axes]
        if len(set(reasons)) == 1:
            return reasons[0]
        return "; ".join(f"axis {number}: {reason}" for number, reason in enumerate(reasons))

    @cached_property
    def frequencies(self) -> tuple[tuple[Frequency, ...], ...]:
        """Of each axis of a network the frequencies that a layer brings, and what cures them."""
        return tuple(() if isinstance(axis, Scatter) else axis.frequencies for axis in self.axes)

    @cached_property
    def repairs(self) -> list[Repair]:
        """What may stand in the place of a transposed convolution that is uneven; in a network, of each that shows.

        Of a layer whose dimension is open, those that fit every dimension.

        >>> import convarith as ca
        >>> up = ca.parse("ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)")
        >>> for repair in ca.overlap(up).repairs:
        ...     print(repair.name, *repair.layers)
        even ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        resize Upsample(scale_factor=2.0) Conv2d(8, 4, 3, padding=1)
        pixel shuffle Conv2d(8, 16, 3, padding=1) PixelShuffle(2)
        """
        if isinstance(self.subject, Layer):
            return [] if self.uniform else repairs_of(self.subject)
        left = {each.brought_by for axis in self.frequencies for each in axis if each.cured_by is None}
        return [
            repair._replace(node=node.name) for node in self.subject.nodes if node.name in left
            for repair in repairs_of(node.layer)
        ]  # fmt: skip


def overlap(subject: Layer | Network, input_size: int | Sequence[int] | None = None) -> Overlap:
    """How often each output of a transposed convolution, or of a chain of layers that upsample, is hit.

    For a convolution or a pool, and a network that only goes down: how many windows read each input, which is how
    often its gradient is hit. With the (spatial) input size the counts are those of every position, borders included.

    Raises ParameterError for a layer that has no such counts, ShapeError where the layer refuses the input size.

    >>> import convarith as ca
    >>> found = ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2))
    >>> found.uniform, found.interior, found.period
    (False, ((2, 1),), (2,))
    >>> ca.overlap(ca.ConvTranspose(kernel_size=4, stride=2, padding=1), 4).counts
    ((1, 2, 2, 2, 2, 2, 2, 1),)
    """
    if isinstance(subject, Network):
        from convarith.overlap_stack import stacks_of

        side, stacks = stacks_of(subject, input_size)
        return Overlap(subject, side, stacks)
    if subject.kind in READING and getattr(subject, "padding_mode", "zeros") != "zeros":
        from convarith.overlap_stack import gradient_of

        return Overlap(subject, "gradient", gradient_of(subject, input_size))
    side = "gradient" if subject.kind in READING else "output"
    scatters = [scatter_of(subject, axis) for axis in range(subject.ndim or 1)]
    if input_size is None:
        return Overlap(subject, side, tuple(scatters))
    layer = cast(SpatialLayer, subject)
    sizes = layer._sizes(input_size)
    outputs = layer.output_size(sizes)
    scatters *= len(sizes) if layer.ndim is None else 1
    left = cast(WindowLayer, layer).leftover(sizes) if side == "gradient" else (0,) * len(sizes)
    axes = tuple(
        scatter._replace(after=scatter.after - unread, given=(output, size) if side == "gradient" else (size, output))
        for scatter, unread, size, output in zip(scatters, left, sizes, outputs, strict=True)
    )
    return Overlap(subject, side, axes)


def scatter_of(layer: Layer, axis: int) -> Scatter:
    """What a layer hits along one axis, or its gradient.

    Raises ParameterError for a layer that does not hit a fixed pattern of positions.

    >>> import convarith as ca
    >>> scatter_of(ca.PixelShuffle(upscale_factor=2), 0)
    Scatter(kernel=2, stride=2, dilation=1, before=0, after=0, given=None)
    """
    if layer.kind == "conv-transpose" or layer.kind in READING:
        window = cast(WindowLayer, layer)
        before, after = window.pads(axis)
        if layer.kind == "conv-transpose":
            after -= window.at("output_padding", axis)
        kernel, stride, dilation = (window.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        return Scatter(kernel, stride, dilation, before, after)
    if layer.kind in UPSAMPLING:
        factor = layer.factor_at(axis) if layer.kind == "upsample" else None  # type: ignore[attr-defined]
        if layer.kind == "pixel-shuffle":
            factor = layer.upscale_factor  # type: ignore[attr-defined]
        if layer.kind == "zero-insert":
            stride = layer.at("stride", axis)  # type: ignore[attr-defined]
            return Scatter(1, stride, after=1 - stride)
        if factor is not None and factor == int(factor) and getattr(layer, "mode", "nearest") == "nearest":
            return Scatter(int(factor), int(factor))
    raise ParameterError(
        f"{layer} hits no fixed pattern of positions: ask for a transposed convolution, a convolution or a pool, "
        "Upsample to the nearest by a whole factor, PixelShuffle or ZeroInsert"
    )


# What cures it -------------------------------------------------------------------------------------------------------


def repairs_of(layer: Layer) -> list[Repair]:
    """The even layers of the same sizes that may take a layer's place; none but for a transposed convolution.

    >>> import convarith as ca
    >>> [repair.name for repair in repairs_of(ca.ConvTranspose(kernel_size=3, stride=2, ndim=1))]
    ['even', 'resize']
    """
    if layer.kind != "conv-transpose":
        return []
    from convarith.transposed import even

    conv = cast("ConvTranspose", layer)
    named: list[tuple[str, Callable[[ConvTranspose], tuple[Layer, ...] | None], str]] = [
        ("even", lambda each: (even(each),), "the nearest kernel that the stride divides, of the same output size"),
        ("resize", _resized, "nearest neighbours, then a convolution: even for any weights"),
        (
            "pixel shuffle", _shuffled,
            "a convolution to sub-pixels; begin with equal weights for all sub-pixels of a channel (ICNR)",
        ),
    ]  # fmt: skip
    found = [(name, make(conv), text) for name, make, text in named]
    return [Repair(name, layers, text) for name, layers, text in found if layers is not None]


def _resized(layer: ConvTranspose) -> tuple[Layer, ...] | None:
    """Nearest neighbours, then a convolution whose odd kernel reaches, with the s repeats, as far as the layer."""
    from convarith.convolution import Conv
    from convarith.resampling import Upsample

    kernels, dilations, paddings, crops, factors = [], [], [], [], []
    for axis in range(layer.ndim or 1):
        kernel, stride, dilation, before, after, _ = scatter_of(layer, axis)
        span = layer.span(axis)
        if dilation == 1 and stride > 1:
            kernel = max(3, (span - stride + 1) | 1)
        reach = dilation * (kernel - 1)
        more = stride + reach - span  # what the two reach beyond the layer's own window
        sides = reach - before - more // 2, reach - after - (more - more // 2)
        padding = max(*sides, 0)
        kernels.append(kernel)
        dilations.append(dilation)
        paddings.append(padding)
        crops.append((sides[0] - padding, sides[1] - padding))
        factors.append(float(stride))
    cut = _cropped(layer, crops)
    if cut is None:
        return None
    factor = factors[0] if len(set(factors)) == 1 else tuple(factors)
    conv = Conv(
        kernel_size=tuple(kernels) if layer.ndim else kernels[0],
        padding=tuple(paddings) if layer.ndim else paddings[0],
        dilation=tuple(dilations) if layer.ndim else dilations[0], groups=layer.groups, bias=layer.bias,
        in_channels=layer.in_channels, out_channels=layer.out_channels, ndim=layer.ndim,
    )  # fmt: skip
    return (Upsample(scale_factor=factor), conv, *cut)


def _shuffled(layer: ConvTranspose) -> tuple[Layer, ...] | None:
    """A convolution to sub-pixels, shuffled: the transposed convolution with the kernel r*k, stride r; in 2-D only."""
    from convarith.convolution import Conv
    from convarith.resampling import PixelShuffle

    stride = collapse(layer.stride) if isinstance(layer.stride, tuple) else layer.stride
    if layer.ndim not in (None, 2) or not isinstance(stride, int):
        return None
    layer = replace(layer, ndim=2)
    kernels, paddings, crops = [], [], []
    for axis in range(2):
        scatter, span = scatter_of(layer, axis), layer.span(axis)
        kernel = max(3, -(-span // stride) | 1)
        more = kernel * stride - span
        before, after = scatter.before + more // 2, scatter.after + more - more // 2
        padding = max(0, kernel - 1 - min(before, after) // stride)
        cut = stride * (kernel - 1 - padding)  # what the shuffle of a padded convolution cuts off at each end
        kernels.append(kernel)
        paddings.append(padding)
        crops.append((cut - before, cut - after))
    conv = Conv(
        kernel_size=tuple(kernels), padding=tuple(paddings), groups=layer.groups, bias=layer.bias, ndim=2,
        in_channels=layer.in_channels, out_channels=layer.out_channels and layer.out_channels * stride**2,
    )  # fmt: skip
    return (conv, PixelShuffle(upscale_factor=stride), *(_cropped(layer, crops) or ()))


def _cropped(layer: Layer, crops: Sequence[tuple[int, int]]) -> tuple[Layer, ...] | None:
    """The crop, if any; None where it would fix a dimension that the layer leaves open."""
    from convarith.padding import Pad

    if not any(any(crop) for crop in crops):
        return ()
    return None if layer.ndim is None else (Pad(padding=tuple(crops), ndim=layer.ndim),)
