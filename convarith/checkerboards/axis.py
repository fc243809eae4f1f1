"""The overlap of one layer along one axis, in closed form, and the interface of every overlap along an axis."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Protocol

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.reads import Scattering
from convarith.sizes.rules import hits_evenly

if TYPE_CHECKING:
    from convarith.checkerboards.stack import Frequency


class AxisOverlap(Protocol):
    """The overlap along one axis: of a single layer, an adaptive pool or a stack of layers."""

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        ...

    @property
    def interior(self) -> tuple[int, ...]:
        """One period of the inner counts: the count at an inner position o is interior[o % period]."""
        ...

    @property
    def period(self) -> int:
        """The number of positions after which the inner counts repeat."""
        ...

    @property
    def even(self) -> bool:
        """Whether every inner position is hit equally often; in a network, along every path."""
        ...

    @property
    def holes(self) -> bool:
        """Whether there are inner positions that are never hit."""
        ...

    @property
    def border(self) -> tuple[int, int]:
        """The number of positions at each end whose counts differ from the inner ones."""
        ...

    @property
    def single_path(self) -> bool:
        """Whether there is only one path of layers, so that the counts of several axes multiply."""
        ...

    @property
    def frequencies(self) -> tuple[Frequency, ...]:
        """The frequencies that layers of a network add, and the layers that remove them; empty for a single layer."""
        ...

    def why(self, noun: str) -> str:
        """The reason for the verdict; `noun` is 'output' or 'input'."""
        ...


class OneLayer:
    """What the overlap of a single layer has in common, whatever the layer."""

    __slots__ = ()

    @property
    def single_path(self) -> bool:
        """True: a single layer is a single path."""
        return True

    @property
    def frequencies(self) -> tuple[Frequency, ...]:
        """Empty: the pattern of a single layer is given by its counts."""
        return ()


class Scatter(Scattering, OneLayer):
    """The overlap of one axis: every input x adds to the positions s*x + d*j for j < k; the ends are then cropped.

    >>> scatter = Scatter(kernel=3, stride=2, given=(3, 7))
    >>> scatter.interior, scatter.border, scatter.counts
    ((2, 1), (1, 1), (1, 1, 2, 1, 2, 1, 1))
    """

    __slots__ = ()

    @property
    def even(self) -> bool:
        """Whether every inner position is hit equally often."""
        return hits_evenly(self.kernel, self.stride, self.dilation)

    @property
    def holes(self) -> bool:
        """Whether there are inner positions that are never hit."""
        common = gcd(self.dilation, self.stride)
        return common > 1 or self.kernel < self.stride

    @property
    def period(self) -> int:
        """The number of positions after which the inner counts repeat."""
        common = gcd(self.dilation, self.stride)
        return self.stride if self.kernel % (self.stride // common) else common

    @property
    def interior(self) -> tuple[int, ...]:
        """One period: the count at an inner position o is interior[o % period]."""
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
        """The number of positions at each end that an infinite input would hit more often."""
        reach = self.dilation * (self.kernel - 1) - (self.stride - 1)
        return max(0, reach - self.before), max(0, reach - self.after)

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        if self.given is None:
            return None
        (inputs, size), (left, right), interior = self.given, self.border, self.interior
        if left + right >= size:
            return tuple(self._count(at, inputs) for at in range(size))
        period = len(interior)
        start = left % period
        inner = interior[start:] + interior[:start]
        middle = (inner * (size // period + 1))[: size - left - right]
        ends = range(left), range(size - right, size)
        first, last = (tuple(self._count(at, inputs) for at in end) for end in ends)
        return first + middle + last

    def _count(self, position: int, inputs: int) -> int:
        """The closed form: the number of taps j with d*j = position (mod s) for which the input exists."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        place, common = position + self.before, gcd(dilation, stride)
        if place % common:
            return 0
        step = stride // common
        tap = place // common * pow(dilation // common, -1, step) % step
        first = max(0, -((stride * (inputs - 1) - place) // dilation))
        last = min(kernel - 1, place // dilation)
        return max(0, (last - tap) // step - (first - 1 - tap) // step)

    def why(self, noun: str) -> str:
        """The reason for the verdict, from the divisors of kernel size, stride and dilation."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        common = gcd(dilation, stride)
        if stride == 1:
            return f"stride 1 hits every {noun} equally often"
        if self.even:
            apart = "" if dilation == 1 else f" and has no factor in common with dilation {dilation}"
            return f"stride {stride} divides kernel_size {kernel}{apart}"
        reasons = []
        if common > 1:
            reasons.append(f"dilation {dilation} and stride {stride} share the factor {common}: 1 {noun} in {common}")
            reasons[0] += f" is hit{' at most' if kernel < stride // common else ''}"
        if kernel < stride // common:
            reasons.append(
                f"kernel_size {kernel} is less than {_steps(stride, common)}: {noun}s in between are never hit"
            )
        elif kernel % (stride // common):
            few, many = kernel // (stride // common), -(-kernel // (stride // common))
            reasons.append(f"{_steps(stride, common)} does not divide kernel_size {kernel}: counts of {few} and {many}")
        return "; ".join(reasons)


def _steps(stride: int, common: int) -> str:
    return f"stride {stride}" if common == 1 else f"stride {stride}/{common}"


def scatter_of(layer: Layer, axis: int) -> Scatter:
    """The positions that a layer, or its gradient, hits along one axis.

    Raises ParameterError if the layer does not hit a fixed pattern of positions.

    >>> import convarith as ca
    >>> scatter_of(ca.PixelShuffle(upscale_factor=2), 0)
    Scatter(kernel=2, stride=2, dilation=1, before=0, after=0, given=None)
    """
    found = layer.scattering(axis) if layer.overlap_side else None
    if found is None:
        raise ParameterError(
            f"{layer} does not hit a fixed pattern of positions: use a transposed convolution, a convolution, a pool, "
            "Upsample in mode 'nearest' with an integer factor, PixelShuffle or ZeroInsert"
        )
    return Scatter(*found)
