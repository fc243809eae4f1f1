"""The largest absolute row sum and column sum of a layer's matrix, without the matrix.

The root of their product is at least the largest singular value. In the interior of an axis all rows, and all columns
at the same phase of the stride, have the same sum: a long axis is therefore replaced by a short one with the same
borders, and the sums along an axis are differences of running sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import TYPE_CHECKING, Any

from convarith.dependencies import require_scipy
from convarith.layers.base import SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.folding import Unfold
from convarith.layers.reads import Interpolation, Spread, Window, padding_source
from convarith.matrices.axis_reads import axis_reads, reads_of
from convarith.matrices.counting import interior_period
from convarith.matrices.matrix import LayerSizes, measured, weight_of
from convarith.matrices.operators import adjoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ranges = list[tuple[slice, NDArray[np.int64], NDArray[np.int64]]]
    """Some of an axis's taps, as a slice, and the ranges [low, high) of them that are summed."""


def largest_sums(layer: SpatialLayer, sizes: LayerSizes, weight: NDArray[Any] | None) -> tuple[float, float]:
    """Return (the largest absolute row sum, the largest absolute column sum); `weight` has torch's layout.

    >>> import convarith as ca
    >>> import numpy as np
    >>> layer = ca.Conv(kernel_size=3, stride=2)
    >>> largest_sums(layer, measured(layer, 10**12), np.array([[[1.0, -2.0, 3.0]]]))
    (6.0, 4.0)
    """
    require_scipy()
    if isinstance(layer, ConvTranspose):  # the transposed matrix, of the same weight
        back = adjoint(layer, sizes.inputs)
        columns, rows = largest_sums(back, measured(back, sizes.outputs), weight)
        return rows, columns
    if not isinstance(layer, Conv | Unfold):
        return _by_axis(layer, sizes)
    rows_of, columns_of = _channel_sums(sizes, weight)
    if layer.row_per_tap:  # every tap is a row of its own
        return 1.0, _largest(columns_of, _column_ranges(layer, sizes))
    if layer.pad_mode == "zeros":
        return _largest(rows_of, _row_ranges(layer, sizes)), _largest(columns_of, _column_ranges(layer, sizes))
    assert isinstance(layer, Conv)
    every_tap = rows_of.sum(axis=tuple(range(1, rows_of.ndim)))  # a window finds an input for every tap
    for axis in range(len(sizes.inputs)):
        columns_of = _padded_columns(columns_of, layer, axis, *_shortened(layer, axis, sizes))
    return float(every_tap.max(initial=0)), float(columns_of.max(initial=0))


def _channel_sums(sizes: LayerSizes, weight: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sum the absolute weights over the inputs of every output channel, and over the outputs of every input channel."""
    import numpy as np

    own, outs = sizes.in_channels // sizes.groups, sizes.out_channels // sizes.groups
    if weight is None:  # all ones: every channel is like the first
        return np.full((1, *sizes.kernel), float(own)), np.full((1, *sizes.kernel), float(outs))
    values = abs(weight.reshape(sizes.groups, outs, own, *sizes.kernel))
    return values.sum(axis=2).reshape(-1, *sizes.kernel), values.sum(axis=1).reshape(-1, *sizes.kernel)


def _shortened(layer: SpatialLayer, axis: int, sizes: LayerSizes) -> tuple[int, int]:
    """(inputs, outputs) of a shorter axis with the same sums: whole strides are left out of the middle."""
    size, output = sizes.inputs[axis], sizes.outputs[axis]
    reads = reads_of(layer, axis, size, output, len(sizes.inputs))
    if isinstance(reads, Interpolation):
        period = interior_period(reads, size, output)
        short = size if period is None else min(size, 16)
        return short, output if period is None else short * period
    if isinstance(reads, Spread):  # of one tap, as a kernel has weights
        short = min(size, 2)
        return short, short * reads.stride
    if not isinstance(reads, Window):
        return size, output
    span = reads.dilation * (reads.size - 1) + 1
    margin = 4 * (span + reads.stride + abs(reads.before) + abs(reads.after))
    steps = max(0, (size - margin) // reads.stride)
    return size - steps * reads.stride, output - steps


def _by_axis(layer: SpatialLayer, sizes: LayerSizes) -> tuple[float, float]:
    """A layer without weights is a Kronecker product of its axes: the largest sums are products of theirs."""
    import numpy as np

    rows = columns = 1.0
    for axis in range(len(sizes.inputs)):
        pattern = axis_reads(layer, axis, *_shortened(layer, axis, sizes), len(sizes.inputs))
        share = np.broadcast_to(1.0 if pattern.coefficients is None else abs(pattern.coefficients), pattern.valid.shape)
        rows *= np.where(pattern.valid, share, 0).sum(axis=1).max(initial=0)
        columns *= np.bincount(pattern.columns[pattern.valid], share[pattern.valid]).max(initial=0)
    factor = abs(weight_of(layer, sizes._replace(kernel=(1,) * len(sizes.kernel)), None)).item()
    return float(rows * factor), float(columns * factor)


def _largest(values: NDArray[Any], ranges: list[Ranges]) -> float:
    """The largest sum of (channels, *taps) over one range of taps along every axis."""
    import numpy as np

    for axis, along in enumerate(ranges, start=1):
        sums = [_summed(values[(slice(None),) * axis + (taps,)], axis, low, high) for taps, low, high in along]
        values = np.concatenate(sums, axis=axis)
    return float(values.max(initial=0))


def _summed(values: NDArray[Any], axis: int, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[Any]:
    """Sum the ranges [low, high) along an axis, as differences of running sums."""
    import numpy as np

    running = np.cumsum(values, axis=axis)
    running = np.concatenate([np.zeros_like(running.take([0], axis)), running], axis=axis)
    sums: NDArray[Any] = running.take(high, axis) - running.take(low, axis)
    return sums


def _row_ranges(layer: Conv | Unfold, sizes: LayerSizes) -> list[Ranges]:
    """The taps of every window that are inside the input, axis by axis."""
    import numpy as np

    found = []
    for axis, taps in enumerate(sizes.kernel):
        size, output = _shortened(layer, axis, sizes)
        starts = np.arange(output) * layer.at("stride", axis) - layer.pads(axis)[0]
        dilation = layer.at("dilation", axis)
        low, high = np.clip([-(starts // dilation), -((starts - size) // dilation)], 0, taps)
        found.append([(slice(None), *_different(low, high, taps))])
    return found


def _column_ranges(layer: Conv | Unfold, sizes: LayerSizes) -> list[Ranges]:
    """The taps that read every input, axis by axis."""
    found = []
    for axis, taps in enumerate(sizes.kernel):
        size, output = _shortened(layer, axis, sizes)
        before = layer.pads(axis)[0]
        readers = _readers(layer, axis, taps, output, before, before + size)
        found.append([(chosen, *_different(low, high, len(range(taps)[chosen]))) for chosen, _, low, high in readers])
    return found


def _padded_columns(values: NDArray[Any], layer: Conv, axis: int, size: int, output: int) -> NDArray[Any]:
    """Replace an axis of taps by the inputs: the sums of what reads each, from all positions that repeat it."""
    import numpy as np

    before, after = layer.pads(axis)
    place, length = axis + 1, size + before + after
    padded = np.zeros((length, *np.delete(values.shape, place)))
    for chosen, positions, low, high in _readers(layer, axis, values.shape[place], output, 0, length):
        sums = _summed(values[(slice(None),) * place + (chosen,)], place, low, high)
        padded[positions] = np.moveaxis(sums, place, 0)
    inputs = np.zeros((size, *padded.shape[1:]))
    positions = np.arange(-before, size + after)
    np.add.at(inputs, padding_source(layer.padding_mode, positions, size, before, after), padded)
    return np.moveaxis(inputs, 0, place)


def _readers(
    layer: Conv | Unfold, axis: int, taps: int, output: int, start: int, end: int
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """The taps that read the positions from `start` to `end` of the padded input: some taps, positions, low, high.

    Tap j reads position x from window t where stride * t = x - dilation * j. The taps that are congruent modulo
    stride/gcd(stride, dilation) read the same positions, and of these taps a position is read by a range.
    """
    import numpy as np

    stride, dilation = layer.at("stride", axis), layer.at("dilation", axis)
    shared = gcd(stride, dilation)
    step, apart = stride // shared, dilation // shared
    if step >= taps:  # every position is read by one tap at most
        tap = np.repeat(np.arange(taps), output)
        positions = np.tile(np.arange(output), taps) * stride + tap * dilation
        inside = (positions >= start) & (positions < end)
        yield slice(None), positions[inside], tap[inside], tap[inside] + 1
        return
    for first in range(step):
        count = len(range(first, taps, step))
        windows = np.arange(-((dilation * first - start) // stride), (end - 1 - dilation * first) // stride + 1)
        low = np.clip(-((output - 1 - windows) // apart), 0, count)
        high = np.maximum(low, np.clip(windows // apart + 1, 0, count))
        yield slice(first, None, step), windows * stride + dilation * first, low, high


def _different(
    low: NDArray[np.int64], high: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different ranges; the whole range 0..count alone, if it is one of them, as no other sum is larger."""
    import numpy as np

    high = np.maximum(low, high)
    if ((low == 0) & (high == count)).any():
        return np.array([0]), np.array([count])
    low, high = np.divmod(np.unique(low * (count + 1) + high), count + 1)
    return low, high
