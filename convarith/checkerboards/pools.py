"""What pools send back: the windows of an adaptive pool, and the share of each window that reaches an input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import gcd
from typing import NamedTuple, cast

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.pooling import AvgPool, _Pool

ADAPTIVE = ("adaptive-avg-pool", "adaptive-max-pool")


class Adaptive(NamedTuple):
    """An adaptive pool along one axis: window j reads from floor(j*i/o) to before ceil((j + 1)*i/o).

    Attributes:
        inputs, outputs: i and o.

    >>> axis = Adaptive(inputs=7, outputs=3)
    >>> axis.counts, axis.even, Adaptive(inputs=6, outputs=3).counts
    ((1, 1, 2, 1, 2, 1, 1), False, (1, 1, 1, 1, 1, 1))
    """

    inputs: int
    outputs: int

    def windows(self) -> Iterator[tuple[int, int]]:
        """(first, end) of each window."""
        for window in range(self.outputs):
            yield window * self.inputs // self.outputs, -(-(window + 1) * self.inputs // self.outputs)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many windows read each input."""
        found = [0] * self.inputs
        for first, end in self.windows():
            for position in range(first, end):
                found[position] += 1
        return tuple(found)

    @property
    def interior(self) -> tuple[int, ...]:
        """One period of the counts, which have no border."""
        counts = self.counts
        whole = self.inputs // (gcd(self.inputs, self.outputs) or 1)
        steps = (step for step in range(1, whole + 1) if whole % step == 0)
        return counts[: next((step for step in steps if counts[step:] == counts[: len(counts) - step]), whole)]

    @property
    def period(self) -> int:
        """The smallest period of the counts."""
        return len(self.interior)

    @property
    def even(self) -> bool:
        """Does every input lie in as many windows as the others?"""
        return self.period == 1

    @property
    def holes(self) -> bool:
        """Is there no window? With one or more, every input is read."""
        return self.outputs == 0

    @property
    def border(self) -> tuple[int, int]:
        """None: the windows end where the input does."""
        return 0, 0

    def why(self, noun: str) -> str:
        """Whether the windows share positions."""
        if not self.outputs:
            return f"no window reads the {noun}s"
        if self.even:
            return f"every {noun} lies in {self.interior[0]} of the {self.outputs} windows"
        return f"{self.outputs} windows do not divide {self.inputs} {noun}s: they share some"


def shares(layer: Layer, sizes: tuple[int, ...]) -> tuple[tuple[Fraction, ...], ...]:
    """Of each axis and input the sum of 1/(size of the window), over the windows that read it; axes multiply.

    That is the gradient of an average pool. Of a max pool it is the expected one, while all values are alike in
    distribution. A divisor_override counts along the first axis.

    Raises ParameterError for a layer that is no average or max pool.

    >>> import convarith as ca
    >>> [str(share) for share in shares(ca.AvgPool(kernel_size=3, stride=2, padding=1), (5,))[0]]
    ['1/3', '2/3', '1/3', '2/3', '1/3']
    """
    if layer.kind not in ("avg-pool", "max-pool", *ADAPTIVE):
        raise ParameterError(f"{layer} shares no window out: ask for an average or max pool")
    find = _adaptive_windows if layer.kind in ADAPTIVE else _windows
    outputs = layer.output_size(sizes)
    return tuple(
        _summed(size, find(cast(_Pool, layer), axis, size, output))
        for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True))
    )


def _adaptive_windows(pool: _Pool, axis: int, size: int, outputs: int) -> Iterator[tuple[Fraction, Iterable[int]]]:
    for first, end in Adaptive(size, outputs).windows():
        yield Fraction(1, end - first), range(first, end)


def _windows(pool: _Pool, axis: int, size: int, outputs: int) -> Iterator[tuple[Fraction, Iterable[int]]]:
    """(1/divisor, the inputs) of each window along one axis."""
    kernel, stride, dilation = (pool.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    padding, _ = pool.pads(axis)
    for window in range(outputs):
        first = window * stride - padding
        taps = [at for at in range(first, first + dilation * kernel, dilation) if 0 <= at < size]
        if not taps:  # dilated around a small input
            continue
        divisor = len(taps)
        if isinstance(pool, AvgPool) and pool.divisor_override is not None:
            divisor = 1 if axis else pool.divisor_override
        elif isinstance(pool, AvgPool) and pool.count_include_pad:
            divisor = min(first + kernel, size + padding) - first  # what ceil_mode lets hang over does not count
        yield Fraction(1, divisor), taps


def _summed(size: int, windows: Iterable[tuple[Fraction, Iterable[int]]]) -> tuple[Fraction, ...]:
    found = [Fraction(0)] * size
    for share, positions in windows:
        for position in positions:
            found[position] += share
    return tuple(found)
