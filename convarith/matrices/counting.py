"""How many entries a matrix has, without listing them: counts along one axis in a few integer operations.

A count takes the same time for any input size, kernel, stride and padding, so that a matrix that is too large can be
refused before anything is built. Pure integers; only linear upsampling, whose shares depend on rounding, needs numpy.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

from convarith.dependencies import require_numpy
from convarith.errors import ParameterError
from convarith.layers.base import SpatialLayer
from convarith.layers.reads import Interpolation, Spread, Window
from convarith.matrices.axis_reads import axis_reads, reads_of

MOST_COUNTED = 10_000_000
"""Outputs along one axis up to which a linear interpolation is counted for its own sake: a few seconds."""


def entries_along(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int = 1) -> int:
    """Count the (output, input) pairs of one axis that meet in an entry of the matrix.

    A linear interpolation is listed with numpy and its shares are compared, unless it scales by a power of 2.

    >>> import convarith as ca
    >>> entries_along(ca.Conv(kernel_size=3, stride=2, padding=1), 0, 7, 4)
    10
    >>> entries_along(ca.Conv(kernel_size=10**6, padding=10**6, padding_mode="reflect"), 0, 10**9, 10**9 + 10**6 + 1)
    1000500002000000
    """
    if not size or not output:
        return 0
    reads = reads_of(layer, axis, size, output, ndim)
    if isinstance(reads, Spread):
        return pairs_inside(size, reads.size, reads.stride, reads.dilation, -reads.before, 0, output)
    if isinstance(reads, Window):
        return _in_windows(reads, size, output)
    if isinstance(reads, Interpolation):
        return output if reads.candidates == 1 else _interpolated(layer, axis, size, output, ndim)
    return _listed(layer, axis, size, output, ndim)


def _in_windows(reads: Window, size: int, output: int) -> int:
    kernel, stride, dilation, before = reads.size, reads.stride, reads.dilation, reads.before
    if reads.mode == "zeros":
        return pairs_inside(output, kernel, stride, dilation, -before, 0, size)
    if reads.mode == "reflect":
        return _reflected(output, kernel, stride, dilation, before, size)
    if reads.mode == "replicate":
        return _replicated(output, kernel, stride, dilation, before, size)
    # Every window goes round the same circle: its taps read different inputs until they come back to the first.
    circle = max(1, size - max(-before, 0) - max(-reads.after, 0))  # torch crops, then wraps
    return output * min(kernel, circle // gcd(circle, dilation))


def interior_period(reads: Interpolation, size: int, output: int) -> int | None:
    """Outputs per input of an interpolation whose interior repeats exactly; None where rounding breaks the pattern.

    Scaling by a power of 2 is exact in floating point. Any other factor is rounded, and differently at every position.

    >>> import convarith as ca
    >>> layers = [ca.Upsample(scale_factor=factor, mode="linear") for factor in (2, 3)]
    >>> [interior_period(layer.reads(0, 9, 9 * factor), 9, 9 * factor) for factor, layer in zip((2, 3), layers)]
    [2, None]
    """
    period = output // size if size and output % size == 0 else 0
    return period if period and period & (period - 1) == 0 and not reads.corners else None


def _interpolated(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int) -> int:
    reads = reads_of(layer, axis, size, output, ndim)
    period = interior_period(reads, size, output) if isinstance(reads, Interpolation) else None
    if period is not None and size > 16:  # away from the borders every input adds as many pairs
        short, longer = (_listed(layer, axis, each, each * period, ndim) for each in (16, 17))
        return short + (size - 16) * (longer - short)
    return _listed(layer, axis, size, output, ndim)


@lru_cache(maxsize=32)
def _listed(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int) -> int:
    require_numpy()
    return int(axis_reads(layer, axis, size, output, ndim).valid.sum())


def check_countable(layer: SpatialLayer, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Raise ParameterError if counting the entries would take long: an interpolation that has to be listed.

    >>> import convarith as ca
    >>> check_countable(ca.Upsample(scale_factor=2, mode="linear"), (10**9,), (2 * 10**9,))
    """
    for axis, (size, output) in enumerate(zip(inputs, outputs, strict=True)):
        reads = reads_of(layer, axis, size, output, len(inputs)) if output > MOST_COUNTED else None
        if reads is None or isinstance(reads, Window | Spread) or reads.candidates == 1:
            continue
        if not isinstance(reads, Interpolation) or interior_period(reads, size, output) is None:
            raise ParameterError(
                f"the {output:,} outputs of {layer} along one axis are too many to count: their shares of the inputs "
                f"are compared one by one, up to {MOST_COUNTED:,}; take a smaller input, or scale by 2, 4, 8, ..."
            )


def pairs_inside(steps: int, taps: int, stride: int, dilation: int, first: int, low: int, high: int) -> int:
    """Count the pairs (t < steps, j < taps) with low <= first + stride * t + dilation * j < high.

    >>> pairs_inside(3, 2, 1, 1, -1, 0, 2)
    4
    """

    def below(limit: int) -> int:  # the lattice points under a line, with those beyond the two ranges taken away
        over = stride * steps, dilation * taps
        return (
            _triangle(limit, stride, dilation)
            - _triangle(limit - over[0], stride, dilation)
            - _triangle(limit - over[1], stride, dilation)
            + _triangle(limit - sum(over), stride, dilation)
        )

    return max(0, below(high - first) - below(low - first)) if steps > 0 and taps > 0 else 0


def _triangle(limit: int, stride: int, dilation: int) -> int:
    """Count the pairs t, j >= 0 with stride * t + dilation * j < limit."""
    if limit <= 0:
        return 0
    steps = (limit - 1) // stride + 1
    return floor_sum(steps, dilation, stride, limit - stride * (steps - 1) + dilation - 1)


def floor_sum(count: int, divisor: int, slope: int, start: int) -> int:
    """Sum floor((slope * i + start) / divisor) over i < count, for numbers that are not negative.

    Works like Euclid's algorithm: a sum of floors is a count of lattice points under a line, and exchanging the axes
    leaves a line with the remainder as its slope.

    >>> floor_sum(4, 3, 2, 1) == sum((2 * i + 1) // 3 for i in range(4))
    True
    """
    total = 0
    while count > 0:
        whole, slope = divmod(slope, divisor)
        total += whole * (count * (count - 1) // 2)
        whole, start = divmod(start, divisor)
        total += whole * count
        top = slope * count + start
        count, start = divmod(top, divisor)
        divisor, slope = slope, divisor
        if not divisor:
            break
    return total


def _replicated(steps: int, taps: int, stride: int, dilation: int, before: int, size: int) -> int:
    """Distinct inputs per window, summed: those strictly inside, and each end once where something reaches it."""
    if size < 2:
        return steps
    last = size - 1
    inner = pairs_inside(steps, taps, stride, dilation, -before, 1, last)
    at_start = 0 if before < 0 else min(steps, before // stride + 1)
    at_end = steps - min(steps, max(0, -(-(last + before - dilation * (taps - 1)) // stride)))
    return inner + at_start + at_end


def _reflected(steps: int, taps: int, stride: int, dilation: int, before: int, size: int) -> int:
    """Distinct inputs per window, summed, by inclusion and exclusion.

    Padding by reflection is shorter than the input, so that input m is read from at most three positions: -m, m and
    2 * last - m. All reads, less the pairs of positions that read one input, and the triples added back.
    """
    last = size - 1
    reads = steps * taps
    reads -= _pairs_with_sum(2 * before, steps, taps, stride, dilation)  # -m and m
    reads -= _pairs_with_sum(2 * (last + before), steps, taps, stride, dilation)  # m and 2 * last - m
    apart, remainder = divmod(2 * last, dilation)
    if remainder or not 0 < apart < taps:
        return reads
    # -m and 2 * last - m are `apart` taps apart; where m itself is read, too, there is a triple.
    reads -= pairs_inside(steps, taps - apart, stride, dilation, -before, 1 - last, 0)
    shared = gcd(2 * stride, dilation)
    if 2 * before % shared == 0:
        period = dilation // shared
        start = 2 * before // shared * pow(2 * stride // shared, -1, period) % period
        some = -(-(steps - start) // period)  # windows whose reads are symmetric round 0
        reads += pairs_inside(some, taps - apart, stride * period, dilation, stride * start - before, 1 - last, 0)
    return reads


def _pairs_with_sum(total: int, steps: int, taps: int, stride: int, dilation: int) -> int:
    """Count (t, i < j): the positions stride * t + dilation * i and stride * t + dilation * j add up to `total`.

    2 * stride * t + dilation * q = total has one progression of solutions q = i + j; so many i < j have that sum:
    (q + 1) // 2 up to the middle, and symmetrically beyond it.
    """
    shared, most = gcd(2 * stride, dilation), 2 * taps - 2
    if total % shared or steps <= 0:
        return 0
    step = 2 * stride // shared
    start = total // shared * pow(dilation // shared, -1, step) % step
    low = max(0, -(-(total - 2 * stride * (steps - 1)) // dilation))
    high = min(most, total // dilation)
    first_half = _halves(low, min(high, taps - 1), start, step)
    return first_half + _halves(most - high, most - max(low, taps), most - start, step)


def _halves(low: int, high: int, start: int, step: int) -> int:
    """Sum (q + 1) // 2 over the q = start (mod step) from low to high."""
    low += (start - low) % step
    return floor_sum((high - low) // step + 1, 2, step, low + 1) if low <= high else 0
