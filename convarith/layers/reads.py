"""Which inputs an output of one layer reads along one axis: the one place that says it.

A layer describes its reading by one of four plain forms: a `Window` that moves over the padded input, a `Spread` that
every input is multiplied into, the `Bins` of an adaptive pool, an `Interpolation`. Receptive fields, matrices, overlap
and pictures are built from these. Output positions and taps may be integers or numpy arrays alike; numpy itself is
never imported here.
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
"""A position or a whole array of them."""


def smaller(one: Index, other: Index) -> Index:
    """The smaller of two numbers, also element by element.

    >>> smaller(3, 5)
    3
    """
    return (one + other - abs(one - other)) // 2


def padding_source(mode: str, position: Index, size: int, before: int, after: int) -> Index:
    """The input that a position shows, counted from the first input, where a padding mode fills the outside.

    >>> [padding_source("reflect", at, 4, 2, 2) for at in range(-2, 6)]
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    last = size - 1
    if mode == "reflect":
        return last - abs(last - abs(position))
    if mode == "replicate":  # the middle one of 0, position and last
        return (abs(position) - abs(position - last) + last) // 2
    first, cropped = max(-before, 0), size - max(-before, 0) - max(-after, 0)  # torch crops, then wraps
    return first + (position - first) % cropped


class Reads(ABC):
    """What every form answers: outputs and taps are counted from 0."""

    @property
    def kernel(self) -> int:
        """The taps of a weight along the axis; 1 for a layer without a kernel."""
        return 1

    @property
    @abstractmethod
    def candidates(self) -> int:
        """How many inputs one output may read, at most."""

    @property
    @abstractmethod
    def cycle(self) -> tuple[int, int]:
        """(phases, shift): output u + phases reads what output u reads, moved by `shift` inputs."""

    @property
    def whole(self) -> bool:
        """Does an output see the whole axis, so that there is no field that moves with it?"""
        return False

    @property
    def shares_differ(self) -> bool:
        """Does an output multiply its inputs by different shares, beside a weight?"""
        return False

    def tap(self, output: Index, candidate: Index) -> Index:
        """The tap that a candidate's number stands for; the candidates go through the inputs in ascending order."""
        return candidate + 0 * output

    @abstractmethod
    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """(input, 0) for a tap that reads an input; the second number is not 0 where it reads none.

        The input is counted as if it went on endlessly where the form has padding.
        """

    def source(self, output: Index, tap: Index, size: int) -> tuple[Index, Index]:
        """As `at`, with the input that the padding shows; a position outside of 0..size - 1 is a zero."""
        return self.at(output, tap)

    def place(self, output: int, tap: int) -> int:
        """Where the tap lies over the input; for a `Spread` over the stretched input."""
        return self.at(output, tap)[0]

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """What the input is multiplied by, beside a weight."""
        return Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """As `share` for arrays, in the double precision that torch computes with; None where every share is 1."""
        return None

    def seen(self, output: int) -> Iterator[int]:
        """The inputs of one output, on an endless input."""
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
        mode: what the padding shows: 'zeros', 'reflect', 'replicate' or 'circular'.
        averages: '' for no average; 'padded' or 'inside' says whether the padding counts in the divisor.

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
        """Every tap has a weight."""
        return self.size

    @property
    def candidates(self) -> int:
        """Every tap reads."""
        return self.size

    @property
    def cycle(self) -> tuple[int, int]:
        """The next window lies one stride further."""
        return 1, self.stride

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """Every tap reads a position."""
        return self.stride * output - self.before + self.dilation * tap, 0 * output

    def source(self, output: Index, tap: Index, size: int) -> tuple[Index, Index]:
        """The position, or the input that the padding shows there."""
        position, misses = self.at(output, tap)
        if self.mode == "zeros":
            return position, misses
        return padding_source(self.mode, position, size, self.before, self.after), misses

    def divisor(self, output: Index, size: int) -> Index:
        """What an average pool divides the sum of a window by, along this axis.

        Positions that ceil_mode lets a window hang over the padding never count.

        >>> Window(size=3, stride=2, before=1, after=1, averages="inside").divisor(0, 7)
        2
        """
        low, high = (-self.before, size + self.after) if self.averages == "padded" else (0, size)
        start = self.stride * output - self.before
        # min(start + k, high) - max(start, low)
        return smaller(start + self.size, high + 0 * output) + smaller(-start, -low + 0 * output)

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """One over the divisor of an average."""
        return Fraction(1, self.divisor(output, size)) if self.averages else Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """One over the divisor of an average."""
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
        """Every tap has a weight."""
        return self.size

    @property
    def _step(self) -> int:
        """Only every so many-th tap can meet an input."""
        return self.stride // gcd(self.stride, self.dilation)

    @property
    def candidates(self) -> int:
        """The taps that can meet an input."""
        return -(-self.size // self._step)

    @property
    def cycle(self) -> tuple[int, int]:
        """The next input lies one stride further in the output."""
        return self.stride, 1

    def tap(self, output: Index, candidate: Index) -> Index:
        """Taps backwards, so that the inputs ascend; the first may lie beyond the kernel and then reads nothing."""
        shared, step = gcd(self.stride, self.dilation), self._step
        first = (output + self.before) // shared * pow(self.dilation // shared, -1, step) % step
        return first + step * (self.candidates - 1 - candidate)

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """s*n = u + before - d*j must have a whole solution n."""
        place = output + self.before - self.dilation * tap
        return place // self.stride, place % self.stride + tap // self.size

    def place(self, output: int, tap: int) -> int:
        """The position over the input with s - 1 zeros between its values."""
        return output + self.before - self.dilation * tap


@dataclass(frozen=True)
class Bins(Reads):
    """Output u reads the inputs from floor(u*i/o) to before ceil((u + 1)*i/o): the windows of an adaptive pool.

    >>> bins = Bins(7, 3, averages=True)
    >>> [list(bins.seen(output)) for output in range(3)], bins.share(0, 0, 7)
    ([[0, 1, 2], [2, 3, 4], [4, 5, 6]], Fraction(1, 3))
    """

    inputs: int
    outputs: int
    averages: bool = False

    @property
    def candidates(self) -> int:
        """The length of the widest window, or one more."""
        return 0 if not self.outputs else -(-self.inputs // self.outputs) + (self.inputs % self.outputs != 0)

    @property
    def cycle(self) -> tuple[int, int]:
        """i and o without their common factor."""
        common = gcd(self.inputs, self.outputs) or 1
        return self.outputs // common, self.inputs // common

    @property
    def whole(self) -> bool:
        """One window reads everything."""
        return self.outputs <= 1

    def window(self, output: Index) -> tuple[Index, Index]:
        """The first input of a window, and the one behind its last."""
        return output * self.inputs // self.outputs, -(-(output + 1) * self.inputs // self.outputs)

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The window's inputs, one per tap."""
        first, end = self.window(output)
        return first + tap, (first + tap) // end

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """One over the window's length in an average pool."""
        first, end = self.window(output)
        return Fraction(1, end - first) if self.averages else Fraction(1)

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """One over the window's length in an average pool."""
        first, end = self.window(outputs)
        return 1 / (end - first) if self.averages else None


@dataclass(frozen=True, kw_only=True)
class Interpolation(Reads):
    """Output u reads the inputs around u*scale: one in the nearest modes, two in the linear ones, four in bicubic.

    Only `seen` answers for bicubic.

    Attributes:
        mode: torch's word.
        inputs: the size of the input; torch repeats its border.
        scale: input positions per output, exact.
        rounded: the same number as torch computes with it, in double precision.
        corners: do the first and last positions of both sides lie on each other (align_corners)?

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
        """The inputs around a place."""
        return 1 if self._nearest else 4 if self.mode == "bicubic" else 2

    @property
    def cycle(self) -> tuple[int, int]:
        """The scale as a fraction."""
        return self.scale.denominator, self.scale.numerator

    @property
    def shares_differ(self) -> bool:
        """The closer input counts for more."""
        return not self._nearest

    @property
    def whole(self) -> bool:
        """All outputs lie on one input."""
        return self.scale == 0

    def _place(self, output: int) -> Fraction:
        """Where an output lies among the inputs; in the nearest modes the floor of it is the input."""
        if self.mode == "nearest" or self.corners:
            return output * self.scale
        twice = (2 * output + 1) * self.scale
        return twice / 2 if self._nearest else (twice - 1) / 2

    def _places(self, outputs: Positions) -> Shares:
        """As `_place`, rounded as torch's own arithmetic rounds: doubling and halving change nothing."""
        if self.mode == "nearest" or self.corners:
            return outputs * self.rounded
        twice = (2 * outputs + 1) * self.rounded
        return twice / 2 if self._nearest else (twice - 1) / 2

    def seen(self, output: int) -> Iterator[int]:
        """The inputs around the place, whose border goes on; one where the place is an input."""
        place = self._place(output)
        low = place // 1
        if self._nearest or place == low:
            yield low
        else:
            yield from range(low - 1, low + 3) if self.mode == "bicubic" else (low, low + 1)

    def between(self, output: int) -> tuple[int, Fraction]:
        """The lower of the two inputs and the share of the upper one; the border repeats."""
        place = max(self._place(output), Fraction(0))
        low = min(place // 1, self.inputs - 1)
        return low, Fraction(0) if self._nearest or low == self.inputs - 1 else place - low

    def all_between(self, outputs: Positions) -> tuple[Positions, Shares]:
        """As `between` for a column of outputs, in double precision."""
        place = self._places(outputs)
        place = (place + abs(place)) / 2  # not below 0
        low = smaller(place.astype(outputs.dtype), self.inputs - 1 + 0 * outputs)
        upper: Shares = (place - low) * (low < self.inputs - 1) * (not self._nearest)
        return low, upper

    def at(self, output: Index, tap: Index) -> tuple[Index, Index]:
        """The input on either side of the place; the upper one is not read where its share is 0."""
        low, upper = self.between(output) if isinstance(output, int) else self.all_between(output)
        return low + tap, tap * (upper == 0)

    def share(self, output: int, tap: int, size: int) -> Fraction:
        """The share of the lower (tap 0) or the upper input."""
        _, upper = self.between(output)
        return upper if tap else 1 - upper

    def shares(self, outputs: Positions, taps: Positions, size: int) -> Shares | None:
        """The shares of the lower (tap 0) and the upper input."""
        if self._nearest:
            return None
        _, upper = self.all_between(outputs)
        return (1 - upper) * (1 - taps) + upper * taps  # exact, as a tap is 0 or 1


class Scattering(NamedTuple):
    """What a layer, or its gradient, adds to along one axis: x adds to s*x - before + d*j, for the taps j < k.

    Attributes:
        kernel, stride, dilation: k, s and d.
        before, after: how much is cut off at each end; negative numbers add positions.
        given: (inputs, positions) where the layer fixes them itself.
    """

    kernel: int
    stride: int
    dilation: int = 1
    before: int = 0
    after: int = 0
    given: tuple[int, int] | None = None
