"""What the outputs of a linear layer read along one axis: counted in integers, or listed as arrays of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.reads import Interpolation, Reads, Spread, Window
from convarith.layers.resampling import LINEAR_MODES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convarith.layers.reads import Shares


class AxisReads(NamedTuple):
    """For every output, a row of candidates: (outputs, candidates) in each array, `taps` one row where all agree."""

    size: int
    """Inputs along the axis."""
    columns: NDArray[np.int64]
    """The input that is read; any number where there is none."""
    taps: NDArray[np.int64]
    """The tap of the kernel that reads it."""
    valid: NDArray[np.bool_]
    coefficients: Shares | None = None
    """What the input is multiplied by, beside the kernel's weight; one column where all agree; None: 1."""


def is_linear(layer: Layer) -> bool:
    """Can the matrix of this layer be built?

    >>> import convarith as ca
    >>> is_linear(ca.Conv(kernel_size=3)), is_linear(ca.MaxPool(kernel_size=3))
    (True, False)
    """
    return isinstance(layer, SpatialLayer) and layer.has_matrix


def reads_of(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int = 1) -> Reads:
    """How a linear layer reads one of `ndim` axes."""
    found = layer.reads(axis, size, output, ndim)
    assert found is not None, f"{layer} has a matrix but does not say what it reads"
    return found


def kernel_at(layer: SpatialLayer, axis: int) -> int:
    """Taps of the weight along one axis; 1 for a layer without a kernel."""
    return reads_of(layer, axis, 1, 1).kernel


def entries_along(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int = 1) -> int:
    """How many (output, input) pairs of one axis meet.

    >>> import convarith as ca
    >>> entries_along(ca.Conv(kernel_size=3, stride=2, padding=1), 0, 7, 4)
    10
    """
    if not size or not output:
        return 0
    found = reads_of(layer, axis, size, output, ndim)
    if isinstance(found, Spread):
        return meetings(size, output, found.size, found.stride, found.dilation, found.before)
    if isinstance(found, Window):
        if found.mode == "zeros":
            return meetings(output, size, found.size, found.stride, found.dilation, found.before)
        return _with_copies(found, size, output)
    if isinstance(found, Interpolation) and found.candidates == 1:
        return output
    return int(axis_reads(layer, axis, size, output, ndim).valid.sum())


def meetings(outer: int, inner: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Pairs (position < outer, tap) with 0 <= stride * position - padding + dilation * tap < inner.

    >>> meetings(4, 7, kernel=3, stride=2, dilation=1, padding=1)
    10
    """
    count = 0
    for shift in range(padding, padding - dilation * kernel, -dilation):
        count += max(0, min(outer - 1, (inner - 1 + shift) // stride) - max(0, -(-shift // stride)) + 1)
    return count


def _with_copies(window: Window, size: int, output: int) -> int:
    """Pairs where the padding shows inputs: every tap reads another one but at the border, where they are compared."""
    span = window.dilation * (window.size - 1) + 1
    first = max(0, -(-window.before // window.stride))
    end = max(first, min(output, (size - span + window.before) // window.stride + 1))
    count = (end - first) * window.size
    for position in (*range(min(first, output)), *range(end, output)):
        count += len({window.source(position, tap, size)[0] for tap in range(window.size)})
    return count


def candidates_along(layer: SpatialLayer, axis: int, size: int = 1, output: int = 1) -> int:
    """How many candidates of one axis `AxisReads` lists for every output, at most.

    >>> import convarith as ca
    >>> candidates_along(ca.ConvTranspose(kernel_size=5, stride=2), 0)
    3
    """
    return reads_of(layer, axis, size, output).candidates


def axis_reads(layer: SpatialLayer, axis: int, size: int, output: int, ndim: int = 1) -> AxisReads:
    """The reads of one of `ndim` axes, each row in the order of its columns (unless the padding shows inputs).

    >>> import convarith as ca
    >>> found = axis_reads(ca.Conv(kernel_size=2), 0, 3, 2)
    >>> found.columns.tolist(), found.taps.tolist()
    ([[0, 1], [1, 2]], [[0, 1]])
    """
    import numpy as np

    found = reads_of(layer, axis, size, output, ndim)
    outputs = np.arange(output, dtype=np.int64)[:, None]
    taps = found.tap(outputs[: None if isinstance(found, Spread) else 1], np.arange(found.candidates)[None])
    columns, misses = found.source(outputs, taps, size)
    valid = (misses == 0) & (columns >= 0) & (columns < size)
    weights = taps * (found.kernel > 1)
    return AxisReads(size, columns, weights, valid, found.shares(outputs, taps, size))


# For the modules beside this one, until they say it in these words.
LinearLayer = SpatialLayer
AxisPattern = AxisReads
axis_pattern = axis_reads
UPSAMPLE_MODES = LINEAR_MODES


def pads_with_input(layer: SpatialLayer) -> bool:
    """Is the padding made of the input, so that two taps may read the same value?"""
    return getattr(layer, "pad_mode", "zeros") != "zeros"
