"""Which inputs an output of one layer reads along one axis.

A layer describes this by one of four forms: a `Window` that moves over the padded input, a `Spread` in which every
input adds to several outputs, the `Bins` of an adaptive pool, or an `Interpolation`. Receptive fields, matrices,
overlap and pictures are all built from these. Output positions and taps may be integers or numpy arrays; numpy itself
is never imported here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Shares = NDArray[np.floating[Any]]

Index = TypeVar("Index", int, "Positions")
"""A position, or an array of positions."""


def smaller(one: Index, other: Index) -> Index:
    """The smaller of two numbers, elementwise for arrays.

    >>> smaller(3, 5)
    3
    """
    return (one + other - abs(one - other)) // 2


def padding_source(mode: str, position: Index, size: int, before: int, after: int) -> Index:
    """The input that fills a position under a padding mode; positions are counted from the first input.

    >>> [padding_source("reflect", at, 4, 2, 2) for at in range(-2, 6)]
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    last = size - 1
    if mode == "reflect":
        return last - abs(last - abs(position))
    if mode == "replicate":  # the median of 0, position and last
        return (abs(position) - abs(position - last) + last) // 2
    first, cropped = max(-before, 0), size - max(-before, 0) - max(-after, 0)  # torch crops, then wraps
    return first + (position - first) % cropped


class Reads(ABC):
    """The common interface of all forms. Outputs and taps are counted from 0."""

    @property
    def kernel(self) -> int:
        """The number of taps of a weight along the axis; 1 for a layer without a kernel."""
        return 1

    @property
    @abstractmethod
    def candidates(self) -> int:
        """The largest number of inputs that one output can read."""

    @property
    @abstractmethod
    def cycle(self) -> tuple[int, int]:
        """(phases, shift): output u + phases reads the same inputs as output u, shifted by `shift`."""

    @property
    def whole(self) -> bool:
        """Does an output read the whole axis, so that no receptive field moves with it?"""
        return False

    @property
    def shares_differ(self) -> bool:
        """Does an output multiply its inputs by different shares, apart from a weight?"""
        return False

    def tap(self, output: Index, candidate: Index) -> Index:
        """The tap with a given candidate number; candidates are numbered in ascending order of the inputs."""
        return candidate + 0 * output

    @abstractmethod
    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """(input, 0) for a tap that reads an input; the second number is not 0 if the tap reads none.

        If the form has padding, positions continue into it as if the input were infinite.
        """

    def source(self, output: Index, tap: Index, size: int) -> tuple[Index, Index]:
        """Same as `at`, with the input that fills the padding; a position outside of 0..size - 1 is a zero."""
        return self.at(output, tap)

    def place(self, output: int, tap: int) -> int:
        """The position of the tap over the input; for a `Spread`, over the stretched input."""
        return self.at(output, tap)[0]

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """The factor that the input is multiplied by, apart from a weight."""
        return Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """Same as `share` for arrays, in double precision as in torch; None if every share is 1."""
        return None

    def seen(self, output: int) -> Iterator[int]:
        """The inputs that one output reads, on an infinite input."""
        for candidate in range(self.candidates):
            position, misses = self.at(output, self.tap(output, candidate))
            if not misses:
                yield position


@dataclass(frozen=True, kw_only=True)
class Window(Reads):
    """Output u reads the inputs s*u - before + d*j, for the taps j < k.

    Attributes:
        size: k, the number of taps.
        before, after: the padding; negative numbers crop.
        mode: how the padding is filled: 'zeros', 'reflect', 'replicate' or 'circular'.
        averages: '' for no average; 'padded' or 'inside' for an average whose divisor counts the padding or not.

    >>> window = Window(size=3, stride=2, before=1)
    >>> [list(window.seen(output)) for output in range(2)]
    [[-1, 0, 1], [1, 2, 3]]
    """

    size: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    mode: str = "zeros"
    averages: str = ""

    @property
    def kernel(self) -> int:
        """The number of taps, because every tap has a weight."""
        return self.size

    @property
    def candidates(self) -> int:
        """The number of taps, because every tap reads an input."""
        return self.size

    @property
    def cycle(self) -> tuple[int, int]:
        """The next window is one stride further."""
        return 1, self.stride

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The position of the tap; every tap reads one."""
        return self.stride * output - self.before + self.dilation * tap, 0 * output

    def source(self, output: Index, tap: Index, size: int) -> tuple[Index, Index]:
        """The position, or the input that fills the padding there."""
        position, misses = self.at(output, tap)
        if self.mode == "zeros":
            return position, misses
        return padding_source(self.mode, position, size, self.before, self.after), misses

    def divisor(self, output: Index, size: int) -> Index:
        """The divisor of an average pool along this axis.

        Positions past the padding, which ceil_mode allows a window to cover, never count.

        >>> Window(size=3, stride=2, before=1, after=1, averages="inside").divisor(0, 7)
        2
        """
        low, high = (-self.before, size + self.after) if self.averages == "padded" else (0, size)
        start = self.stride * output - self.before
        # min(start + k, high) - max(start, low)
        return smaller(start + self.size, high + 0 * output) + smaller(-start, -low + 0 * output)

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """1/divisor for an average."""
        return Fraction(1, self.divisor(output, size)) if self.averages else Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """1/divisor for an average."""
        return 1 / self.divisor(outputs, size) if self.averages else None


@dataclass(frozen=True, kw_only=True)
class Spread(Reads):
    """Input n is added to the outputs s*n - before + d*j, for the taps j < k: a transposed convolution.

    >>> spread = Spread(size=3, stride=2)
    >>> [list(spread.seen(output)) for output in range(4)]
    [[-1, 0], [0], [0, 1], [1]]
    """

    size: int
    stride: int
    dilation: int = 1
    before: int = 0

    @property
    def kernel(self) -> int:
        """The number of taps, because every tap has a weight."""
        return self.size

    @property
    def _step(self) -> int:
        """The distance between taps that can meet an input."""
        return self.stride // gcd(self.stride, self.dilation)

    @property
    def candidates(self) -> int:
        """The largest number of taps that can meet an input."""
        return -(-self.size // self._step)

    @property
    def cycle(self) -> tuple[int, int]:
        """The next input is one stride further in the output."""
        return self.stride, 1

    def tap(self, output: Index, candidate: Index) -> Index:
        """The taps in reverse order, so that inputs ascend; the first may be outside the kernel and read nothing."""
        shared, step = gcd(self.stride, self.dilation), self._step
        first = (output + self.before) // shared * pow(self.dilation // shared, -1, step) % step
        return first + step * (self.candidates - 1 - candidate)

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The integer solution n of s*n = u + before - d*j, if there is one."""
        place = output + self.before - self.dilation * tap
        return place // self.stride, place % self.stride + tap // self.size

    def place(self, output: int, tap: int) -> int:
        """The position over the input stretched by s - 1 zeros between its values."""
        return output + self.before - self.dilation * tap


@dataclass(frozen=True)
class Bins(Reads):
    """Output u reads the inputs floor(u*i/o) to ceil((u + 1)*i/o) - 1: the windows of an adaptive pool.

    >>> bins = Bins(7, 3, averages=True)
    >>> [list(bins.seen(output)) for output in range(3)], bins.share(0, 0, 7)
    ([[0, 1, 2], [2, 3, 4], [4, 5, 6]], Fraction(1, 3))
    """

    inputs: int
    outputs: int
    averages: bool = False

    @property
    def candidates(self) -> int:
        """The length of the longest window, or one more."""
        return 0 if not self.outputs else -(-self.inputs // self.outputs) + (self.inputs % self.outputs != 0)

    @property
    def cycle(self) -> tuple[int, int]:
        """(o, i) divided by their greatest common divisor."""
        common = gcd(self.inputs, self.outputs) or 1
        return self.outputs // common, self.inputs // common

    @property
    def whole(self) -> bool:
        """Is there a single window that reads everything?"""
        return self.outputs <= 1

    def window(self, output: Index) -> tuple[Index, Index]:
        """The first input of a window, and the one after its last."""
        return output * self.inputs // self.outputs, -(-(output + 1) * self.inputs // self.outputs)

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The inputs of the window, one per tap."""
        first, end = self.window(output)
        return first + tap, (first + tap) // end

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """1/length of the window in an average pool."""
        first, end = self.window(output)
        return Fraction(1, end - first) if self.averages else Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """1/length of the window in an average pool."""
        first, end = self.window(outputs)
        return 1 / (end - first) if self.averages else None


@dataclass(frozen=True, kw_only=True)
class Interpolation(Reads):
    """Output u reads the inputs around u*scale: one in the nearest modes, two in the linear ones, four in bicubic.

    For bicubic only `seen` is supported.

    Attributes:
        mode: torch's name of the interpolation mode.
        inputs: the size of the input, whose border is repeated.
        scale: input positions per output, as an exact fraction.
        rounded: the scale in double precision, as torch computes it.
        corners: do the first and last positions of input and output coincide (align_corners)?

    >>> linear = Interpolation(mode="linear", inputs=4, scale=Fraction(1, 2), rounded=0.5)
    >>> [(linear.source(1, tap, 4)[0], str(linear.share(1, tap, 4))) for tap in range(2)]
    [(0, '3/4'), (1, '1/4')]
    """

    mode: str
    inputs: int
    scale: Fraction
    rounded: float
    corners: bool = False

    @property
    def _nearest(self) -> bool:
        return "nearest" in self.mode

    @property
    def candidates(self) -> int:
        """The number of inputs around a place."""
        return 1 if self._nearest else 4 if self.mode == "bicubic" else 2

    @property
    def cycle(self) -> tuple[int, int]:
        """(denominator, numerator) of the scale."""
        return self.scale.denominator, self.scale.numerator

    @property
    def shares_differ(self) -> bool:
        """True except in the nearest modes, because closer inputs have larger shares."""
        return not self._nearest

    @property
    def whole(self) -> bool:
        """Do all outputs fall on one input?"""
        return self.scale == 0

    def _place(self, output: int) -> Fraction:
        """The place of an output among the inputs; in the nearest modes its floor is the input."""
        if self.mode == "nearest" or self.corners:
            return output * self.scale
        twice = (2 * output + 1) * self.scale
        return twice / 2 if self._nearest else (twice - 1) / 2

    def _places(self, outputs: Positions) -> Shares:
        """Same as `_place`, rounded as in torch; doubling and halving are exact."""
        if self.mode == "nearest" or self.corners:
            return outputs * self.rounded
        twice = (2 * outputs + 1) * self.rounded
        return twice / 2 if self._nearest else (twice - 1) / 2

    def seen(self, output: int) -> Iterator[int]:
        """The inputs around the place, as if the input were infinite; a single one if the place is an input."""
        place = self._place(output)
        low = place // 1
        if self._nearest or place == low:
            yield low
        else:
            yield from range(low - 1, low + 3) if self.mode == "bicubic" else (low, low + 1)

    def between(self, output: int) -> tuple[int, Fraction]:
        """The lower of the two inputs and the share of the upper one; the border is repeated."""
        place = max(self._place(output), Fraction(0))
        low = min(place // 1, self.inputs - 1)
        return low, Fraction(0) if self._nearest or low == self.inputs - 1 else place - low

    def all_between(self, outputs: Positions) -> tuple[Positions, Shares]:
        """Same as `between` for a column of outputs, in double precision."""
        place = self._places(outputs)
        place = (place + abs(place)) / 2  # not below 0
        low = smaller(place.astype(outputs.dtype), self.inputs - 1 + 0 * outputs)
        upper: Shares = (place - low) * (low < self.inputs - 1) * (not self._nearest)
        return low, upper

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The input on either side of the place; the upper one is not read if its share is 0."""
        low, upper = self.between(output) if isinstance(output, int) else self.all_between(output)
        return low + tap, tap * (upper == 0)

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """The share of the lower (tap 0) or upper (tap 1) input."""
        _, upper = self.between(output)
        return upper if tap else 1 - upper

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """The shares of the lower (tap 0) and upper (tap 1) inputs."""
        if self._nearest:
            return None
        _, upper = self.all_between(outputs)
        return (1 - upper) * (1 - taps) + upper * taps  # exact, as a tap is 0 or 1


class Scattering(NamedTuple):
    """Where a layer or its gradient adds values along one axis: x adds to s*x - before + d*j, for the taps j < k.

    Attributes:
        kernel, stride, dilation: k, s and d.
        before, after: how many positions are removed at each end; negative numbers add positions.
        given: (inputs, positions) if the layer itself fixes them.
    """

    kernel: int
    stride: int
    dilation: int = 1
    before: int = 0
    after: int = 0
    given: tuple[int, int] | None = None
