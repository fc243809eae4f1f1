"""The gradient of pools: the windows of an adaptive pool, and the share of each window that an input gets."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

from convarith.checkerboards.axis import OneLayer
from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.reads import Bins, Reads
from convarith.sizes.normalise import counted


class _Sizes(NamedTuple):
    inputs: int
    outputs: int


class Adaptive(_Sizes, OneLayer):
    """An adaptive pool along one axis: window j reads positions floor(j*i/o) to ceil((j + 1)*i/o) - 1.

    Attributes:
        inputs, outputs: i and o.

    >>> axis = Adaptive(inputs=7, outputs=3)
    >>> axis.counts, axis.even, Adaptive(inputs=6, outputs=3).counts
    ((1, 1, 2, 1, 2, 1, 1), False, (1, 1, 1, 1, 1, 1))
    """

    __slots__ = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of windows that read each input."""
        bins, found = Bins(self.inputs, self.outputs), [0] * self.inputs
        for window in range(self.outputs):
            for position in bins.seen(window):
                found[position] += 1
        return tuple(found)

    @property
    def interior(self) -> tuple[int, ...]:
        """One period of the counts. They have no border."""
        counts = self.counts
        whole = self.inputs // gcd(self.inputs, self.outputs)
        steps = (step for step in range(1, whole + 1) if whole % step == 0)
        return counts[: next(step for step in steps if counts[step:] == counts[: len(counts) - step])]

    @property
    def period(self) -> int:
        """The smallest period of the counts."""
        return len(self.interior)

    @property
    def even(self) -> bool:
        """Whether every input lies in the same number of windows."""
        return self.period == 1

    @property
    def holes(self) -> bool:
        """Whether there are no windows at all; with one or more, every input is read."""
        return self.outputs == 0

    @property
    def border(self) -> tuple[int, int]:
        """(0, 0): the windows end where the input ends."""
        return 0, 0

    def why(self, noun: str) -> str:
        """The reason for the verdict: whether the windows share positions."""
        if not self.outputs:
            return f"no window reads the {noun}s"
        if self.even:
            return f"every {noun} lies in {self.interior[0]} of {counted(self.outputs, 'window')}"
        return (
            f"{self.inputs} {noun}s cannot be divided evenly among {self.outputs} windows: some lie in more than others"
        )


def shares(layer: Layer, sizes: tuple[int, ...]) -> tuple[tuple[Fraction, ...], ...]:
    """For each axis and input, the sum of 1/(window size) over the windows that read it; axes multiply.

    For an average pool, this is the gradient. For a max pool, it is the expected gradient if all values have the same
    distribution. A divisor_override is applied along the first axis.

    Raises ParameterError if the layer is not an average or max pool.

    >>> import convarith as ca
    >>> [str(share) for share in shares(ca.AvgPool(kernel_size=3, stride=2, padding=1), (5,))[0]]
    ['1/3', '2/3', '1/3', '2/3', '1/3']
    """
    if layer.combines not in ("mean", "max") or not isinstance(layer, SpatialLayer):
        raise ParameterError(f"{layer} does not distribute its gradient over windows: use an average or max pool")
    outputs = layer.output_size(sizes)
    found = []
    for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True)):
        reads = layer.reads(axis, size, output, len(sizes))
        if reads is None:
            raise ParameterError(f"the windows of {layer} are not known: use an average or max pool")
        found.append(_summed(layer, axis, reads, size, output))
    return tuple(found)


def _summed(layer: SpatialLayer, axis: int, reads: Reads, size: int, outputs: int) -> tuple[Fraction, ...]:
    """The total share of each input along one axis; a window that reads no input contributes nothing."""
    found = [Fraction(0)] * size
    for output in range(outputs):
        taps = [at for at in reads.seen(output) if 0 <= at < size]
        for position in taps:
            found[position] += _share(layer, axis, reads, output, size, len(taps))
    return tuple(found)


def _share(layer: SpatialLayer, axis: int, reads: Reads, output: int, size: int, taps: int) -> Fraction:
    if layer.combines == "max":
        return Fraction(1, taps)
    return reads.share(output, 0, size) * layer.constant_share(axis)
