"""What the outputs of a linear layer read along one axis, listed as arrays of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.reads import Reads, Spread

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
