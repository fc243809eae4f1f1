"""What pools send back: the windows of an adaptive pool, and the share of each window that reaches an input."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

from convarith.checkerboards.stack import Frequency
from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.reads import Bins, Reads


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

    @property
    def counts(self) -> tuple[int, ...]:
        """How many windows read each input."""
        bins, found = Bins(self.inputs, self.outputs), [0] * self.inputs
        for window in range(self.outputs):
            for position in bins.seen(window):
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

    @property
    def single_path(self) -> bool:
        """One layer is one path."""
        return True

    @property
    def frequencies(self) -> tuple[Frequency, ...]:
        """What one layer brings is in its counts."""
        return ()

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
    if layer.combines not in ("mean", "max") or not isinstance(layer, SpatialLayer):
        raise ParameterError(f"{layer} shares no window out: ask for an average or max pool")
    outputs = layer.output_size(sizes)
    found = []
    for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True)):
        reads = layer.reads(axis, size, output, len(sizes))
        if reads is None:
            raise ParameterError(f"the windows of {layer} are not known: ask for an average or max pool")
        found.append(_summed(layer, axis, reads, size, output))
    return tuple(found)


def _summed(layer: SpatialLayer, axis: int, reads: Reads, size: int, outputs: int) -> tuple[Fraction, ...]:
    """What each input of one axis gets from all windows; a window that reads nothing shares nothing out."""
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
