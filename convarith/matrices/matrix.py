"""The matrix of a linear layer, built directly in CSR form after its entries have been counted.

Rows are the flattened outputs and columns the flattened inputs, row-major, channels first, without a batch axis. A
layer that treats every channel alike (pooling, interpolation, zero insertion, unfold) gives the matrix of one channel.
numpy and scipy are imported by the functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.dependencies import require_numpy, require_scipy
from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.resampling import LINEAR_MODES
from convarith.matrices.axis_reads import (
    AxisReads,
    axis_reads,
    is_linear,
    kernel_at,
    reads_of,
)
from convarith.matrices.counting import check_countable, entries_along
from convarith.sizes.normalise import shape_of, spread, times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array


class LayerSizes(NamedTuple):
    """The sizes and channel counts of a layer at one input size."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_channels: int
    out_channels: int
    groups: int
    kernel: tuple[int, ...]

    @property
    def weight(self) -> tuple[int, ...]:
        """The kernel's shape: output channels, the input channels that each of them reads, taps along each axis."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)


def conv_matrix(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> csr_array:
    """Build the matrix of a linear layer, without its bias, as a scipy.sparse CSR array of shape (outputs, inputs).

    Conv and ConvTranspose take a `weight` of torch's shape or, if there is one channel, of the kernel's shape. Without
    it, every weight is 1. The matrix has the floating type of the weight. Channel counts that are open count as one
    channel per group. Every tap that reads an input is stored, even if its weight is zero.

    Raises ParameterError if the layer is not linear, the weight has another shape or the matrix needs more memory than
    is free; ShapeError if the layer does not accept the input size; MissingDependencyError without numpy and scipy.

    >>> import convarith as ca
    >>> matrix = conv_matrix(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> matrix.toarray().astype(int).tolist()[0]
    [0, 1, 0, 2, 3, 0, 0, 0, 0]
    >>> (matrix @ range(1, 10)).astype(int).tolist()
    [25, 31, 43, 49]
    """
    require_scipy()
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    given = None if weight is None else numbers(weight, "weight")
    entries, shape = _checked(layer, sizes, 8 if given is None else given.dtype.itemsize)
    values = weight_of(layer, sizes, given)
    matrix = _assemble(patterns(layer, sizes), sizes, values, entries, layer.row_per_tap, shape)
    if layer.pad_mode != "zeros":
        matrix.sum_duplicates()
    else:
        matrix.has_canonical_format = True  # written in order without duplicates, so scipy need not check
    return matrix


def affine(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, bias: ArrayLike | None = None
) -> tuple[csr_array, NDArray[Any]]:
    """Return (matrix, offset) so that the layer maps a flat input x to matrix @ x + offset.

    Without a `bias` the offset is zero. Raises what `conv_matrix` raises, and ParameterError if the layer has no bias
    or the bias has another shape.

    >>> import convarith as ca
    >>> matrix, offset = affine(ca.Conv(kernel_size=2), 3, [1, -1], [0.5])
    >>> (matrix @ [1, 2, 4] + offset).tolist()
    [-0.5, -1.5]
    """
    require_scipy()
    import numpy as np

    sizes = measured(layer, input_size)
    if bias is None:
        matrix = conv_matrix(layer, input_size, weight)
        return matrix, np.zeros(matrix.shape[0], matrix.dtype)
    if not getattr(layer, "bias", False):
        raise ParameterError(f"{layer} has no bias: leave it out, or take a convolution with bias=True")
    each = numbers(bias, "bias")
    wanted = layer.out_channels if isinstance(layer, Conv | ConvTranspose) else None
    wanted = sizes.groups if wanted is None else wanted
    if each.shape != (wanted,):
        raise ParameterError(
            f"the bias has shape {each.shape}, but {layer} takes one number per output channel: ({wanted},)"
        )
    matrix = conv_matrix(layer, input_size, weight)
    return matrix, np.repeat(each[: sizes.out_channels], prod(sizes.outputs))


def nnz(layer: Layer, input_size: int | Sequence[int]) -> int:
    """Count the entries of the matrix exactly, without building it and in about the same time for every size.

    The count is out_channels * in_channels/groups * the product, over the axes, of the (output, tap) pairs that read
    an input. Linear upsampling is counted with numpy, and raises ParameterError where that would take too long.

    >>> import convarith as ca
    >>> nnz(ca.parse("Conv2d(16, 32, 3, stride=2, padding=1)"), (64, 64))
    4620800
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    check_countable(layer, sizes.inputs, sizes.outputs)
    return _entries(layer, sizes)


class Reads(NamedTuple):
    """Every read of an input by an output, row by row. If padding repeats inputs, several reads share an entry."""

    rows: NDArray[np.int64]
    columns: NDArray[np.integer[Any]]
    weights: NDArray[np.integer[Any]]
    """The index of the factor in the flattened weight (in torch's layout), or the tap if the layer has no weights.
    Modulo the number of taps, an index is its tap."""


def reads(layer: Layer, input_size: int | Sequence[int]) -> Reads:
    """List which weight stands where in the matrix. Raises what `conv_matrix` raises.

    >>> import convarith as ca
    >>> found = reads(ca.Conv(kernel_size=2), 3)
    >>> found.rows.tolist(), found.columns.tolist(), found.weights.tolist()
    ([0, 0, 1, 1], [0, 1, 1, 2], [0, 1, 0, 1])
    """
    require_scipy()
    import numpy as np

    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    entries, shape = _checked(layer, sizes, 8)
    places = np.arange(prod(weight_shape(layer, sizes)), dtype=np.int64).reshape(weight_shape(layer, sizes))
    own = _own_first(layer, sizes, places)[: sizes.out_channels]
    alone = (axis._replace(coefficients=None) for axis in patterns(layer, sizes))
    matrix = _assemble(alone, sizes, own, entries, layer.row_per_tap, shape)
    rows = np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))
    taps = rows // prod(sizes.outputs) if layer.row_per_tap else matrix.data
    return Reads(rows, matrix.indices, taps)


def weight_shape(layer: SpatialLayer, sizes: LayerSizes) -> tuple[int, ...]:
    """The shape of torch's weight, with one channel per group where the channel count is open.

    For a layer without weights it is the shape of a kernel of one channel.
    """
    return layer.weight_shape(len(sizes.inputs)) or sizes.weight


def bytes_needed(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> int:
    """Bytes of the matrix's three arrays, if each value takes `itemsize` bytes.

    >>> import convarith as ca
    >>> bytes_needed(ca.Conv(kernel_size=2), (3, 3))
    212
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    return _bytes(layer, sizes, _entries(layer, sizes), itemsize)


def peak_bytes(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> int:
    """Bytes that building the matrix takes at most: its arrays, and the temporary arrays of one output channel.

    >>> import convarith as ca
    >>> peak_bytes(ca.Conv(kernel_size=2), (3, 3))
    516
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    return _peak(layer, sizes, _entries(layer, sizes), itemsize)


def check_memory(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> None:
    """Check that the free memory is enough to build the matrix, without building anything.

    Raises ParameterError if it is not, as `conv_matrix` would, and what `conv_matrix` raises for a wrong layer or size.

    >>> import convarith as ca
    >>> check_memory(ca.Conv(kernel_size=2), (3, 3))
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    _checked(layer, sizes, itemsize)


def measured(layer: Layer, input_size: int | Sequence[int]) -> LayerSizes:
    """Work out the sizes of a linear layer. Raises what `conv_matrix` raises for a wrong layer or size."""
    if not is_linear(layer):
        what = str(layer) if isinstance(layer, Layer) else type(layer).__name__
        raise ParameterError(
            f"{what} has no matrix here: Conv, ConvTranspose, AvgPool, ZeroInsert, Unfold and Upsample "
            f"(mode {', '.join(LINEAR_MODES)}) are linear and have one; choose one of them"
        )
    assert isinstance(layer, SpatialLayer)
    outputs = layer.outputs_along(input_size)
    inputs = spread(shape_of(input_size) if isinstance(input_size, Sequence) else int(input_size), len(outputs))
    groups = in_channels = out_channels = 1
    if isinstance(layer, Conv | ConvTranspose):
        groups = layer.groups
        in_channels = groups if layer.in_channels is None else layer.in_channels
        out_channels = groups if layer.out_channels is None else layer.out_channels
        out_channels = out_channels if in_channels else 0  # without input channels torch returns no output
    kernel = tuple(kernel_at(layer, axis) for axis in range(len(inputs)))
    return LayerSizes(inputs, outputs, in_channels, out_channels, groups, kernel)


def _entries(layer: SpatialLayer, sizes: LayerSizes) -> int:
    along = zip(sizes.inputs, sizes.outputs, strict=True)
    ndim = len(sizes.inputs)
    pairs = prod(entries_along(layer, axis, size, output, ndim) for axis, (size, output) in enumerate(along))
    return sizes.out_channels * (sizes.in_channels // sizes.groups) * pairs


def shape_of_matrix(layer: SpatialLayer, sizes: LayerSizes) -> tuple[int, int]:
    """(rows, columns) of the matrix."""
    rows = prod(sizes.outputs) * (prod(sizes.kernel) if layer.row_per_tap else sizes.out_channels)
    return rows, prod(sizes.inputs) * sizes.in_channels


def _bytes(layer: SpatialLayer, sizes: LayerSizes, entries: int, itemsize: int) -> int:
    rows, columns = shape_of_matrix(layer, sizes)
    index = 4 if max(rows, columns, entries) < 2**31 else 8
    return entries * (itemsize + index) + (rows + 1) * index


def _peak(layer: SpatialLayer, sizes: LayerSizes, entries: int, itemsize: int) -> int:
    """The most that `_assemble` holds at one time; each term names the arrays that are alive together."""
    index = 4 if max(*shape_of_matrix(layer, sizes), entries) < 2**31 else 8
    ndim = len(sizes.inputs)
    along = [reads_of(layer, axis, 1, 1, ndim) for axis in range(ndim)]  # as many candidates at every size
    pairs = prod(sizes.outputs) * prod(reads.candidates for reads in along)  # (position, candidate)
    own = pairs * (sizes.in_channels // sizes.groups)  # the same, for every input channel of one output channel
    share = 8 if any(reads.shares_differ for reads in along) else 0  # bytes per pair of an interpolation's shares
    rows, _ = shape_of_matrix(layer, sizes)
    # The coefficients of an average pool and their divisors, and the row lengths before and after the running sum.
    per_row = 16 * prod(sizes.outputs) + 2 * index * rows
    # Joining the axes: columns, taps and their sum, a truth value each; along a single axis three int64 arrays, from
    # which those are converted. Then the selected columns of one output channel and the places of their weights.
    listed = pairs * max(3 * index + 1 + share, 24 if ndim == 1 else 0) + own * 2 * index
    # Filling the result: truth values, places in the weight (which numpy's take converts to 8 bytes), and the columns
    # of one output channel, unless they are the result itself.
    filled = pairs * (1 + share) + own * (index + 8 + (index if sizes.out_channels > 1 else 0))
    return per_row + max(listed, filled + _bytes(layer, sizes, entries, itemsize))


def _checked(layer: SpatialLayer, sizes: LayerSizes, itemsize: int) -> tuple[int, tuple[int, int]]:
    """Return (entries, shape) of the matrix, or raise ParameterError if it does not fit into the free memory."""
    _refuse_too_large(layer, sizes, 0, itemsize)
    entries = _entries(layer, sizes)
    _refuse_too_large(layer, sizes, entries, itemsize)
    return entries, shape_of_matrix(layer, sizes)


def _refuse_too_large(layer: SpatialLayer, sizes: LayerSizes, entries: int, itemsize: int) -> None:
    """Refuse a matrix beyond the free memory; if `entries` is 0, for the array of its row ends alone."""
    rows, columns = shape_of_matrix(layer, sizes)
    refuse_beyond_memory(
        _peak(layer, sizes, entries, itemsize) if entries else _bytes(layer, sizes, 0, itemsize),
        f"the {rows:,} x {columns:,} matrix of {layer} at {times(sizes.inputs)}",
        at_least=not entries,
    )


def refuse_beyond_memory(needed: int, what: str, at_least: bool = False) -> None:
    """Raise ParameterError if more bytes are needed than are free.

    >>> refuse_beyond_memory(1000, "a small matrix")
    """
    free = free_memory()
    if free is not None and needed > free:
        least = "at least " if at_least else ""
        raise ParameterError(
            f"{what} needs {least}{needed:,} bytes, but {free:,} are free: take a smaller input, or fewer channels"
        )


def free_memory() -> int | None:
    """Bytes that are available without swapping, or None if the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def numbers(values: Any, name: str) -> NDArray[Any]:
    """Convert numbers (nested lists, an array, or a torch tensor on any device) to an array of a floating type."""
    require_numpy()
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
        return array if array.dtype.kind in "fc" else array.astype(np.float64, casting="safe")
    except (TypeError, ValueError):
        raise ParameterError(
            f"the {name} is not an array of numbers: give nested lists, a numpy array or a tensor"
        ) from None


def weight_of(layer: SpatialLayer, sizes: LayerSizes, values: NDArray[Any] | None) -> NDArray[Any]:
    """The weight as (output channels, the input channels that each reads, *kernel); all ones if `values` is None."""
    import numpy as np

    if values is None:
        constant = prod((layer.constant_share(axis) for axis in range(len(sizes.inputs))), start=Fraction(1))
        return np.full(sizes.weight, float(constant))
    if not isinstance(layer, Conv | ConvTranspose):
        raise ParameterError(f"{layer} has no weight: leave it out")
    expected = weight_shape(layer, sizes)
    if values.shape == sizes.kernel and expected[:2] == (1, 1):
        values = values.reshape(expected)
    if values.shape != expected:
        order = "in, out/groups" if isinstance(layer, ConvTranspose) else "out, in/groups"
        raise ParameterError(
            f"the weight has shape {values.shape}, but {layer} takes ({order}, *kernel) = {expected}: reshape it"
        )
    return _own_first(layer, sizes, values)[: sizes.out_channels]


def _own_first(layer: SpatialLayer, sizes: LayerSizes, values: NDArray[Any]) -> NDArray[Any]:
    """Bring torch's layout, which is another one for ConvTranspose, into the order that `weight_of` returns."""
    if not isinstance(layer, ConvTranspose):
        return values
    own, out = sizes.in_channels // sizes.groups, values.shape[1]
    grouped = values.reshape(sizes.groups, own, out, *sizes.kernel).swapaxes(1, 2)
    return grouped.reshape(sizes.groups * out, own, *sizes.kernel)


def patterns(layer: SpatialLayer, sizes: LayerSizes) -> Iterable[AxisReads]:
    """The reads along each axis, computed one axis at a time."""
    for axis, (size, output) in enumerate(zip(sizes.inputs, sizes.outputs, strict=True)):
        yield axis_reads(layer, axis, size, output, len(sizes.inputs))


def _join(axes: Iterable[AxisReads], kernel: Sequence[int], index: Any) -> AxisReads:
    """Combine the reads of all axes as if there were one axis; positions and candidates are row-major."""
    import numpy as np

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        outer, inner, *candidates = array.shape
        return array.reshape(outer * inner, prod(candidates))

    def pair(array: NDArray[Any]) -> NDArray[Any]:
        return array[:, None, :, None]

    joined: AxisReads | None = None
    for axis, taps in zip(axes, kernel, strict=True):
        axis = axis._replace(columns=axis.columns.astype(index), taps=axis.taps.astype(index))
        if joined is None:
            joined = axis
            continue
        coefficients = None
        if joined.coefficients is not None or axis.coefficients is not None:
            ours, theirs = (
                np.ones((each.valid.shape[0], 1)) if each.coefficients is None else each.coefficients
                for each in (joined, axis)
            )
            coefficients = flat(pair(ours) * theirs[None, :, None])
        joined = AxisReads(
            joined.size * axis.size,
            flat(pair(joined.columns) * index(axis.size) + axis.columns[None, :, None]),
            flat(pair(joined.taps) * index(taps) + axis.taps[None, :, None]),
            flat(pair(joined.valid) & axis.valid[None, :, None]),
            coefficients,
        )
    assert joined is not None
    return joined


def _assemble(
    axes: Iterable[AxisReads],
    sizes: LayerSizes,
    weight: NDArray[Any],
    entries: int,
    by_tap: bool,
    shape: tuple[int, int],
) -> csr_array:
    """Work out the rows of one output channel from its (position, candidate) pairs, then copy them to the others.

    All output channels store the same columns and take their weights from the same places, so that only the copies
    are large. With `by_tap` every tap has a row of its own, all positions of the first tap coming first.
    """
    import numpy as np
    from scipy.sparse import csr_array

    own, count = weight.shape[1], sizes.out_channels
    index: Any = np.int32 if max(*shape, prod(weight.shape[1:]), entries) < 2**31 else np.int64
    size, columns, taps, valid, coefficients = _join(axes, sizes.kernel, index)
    if by_tap:
        columns, valid, taps = columns.T.reshape(-1, 1), valid.T.reshape(-1, 1), np.zeros((1, 1), index)
    stored = np.broadcast_to(valid[:, None], (len(valid), own, valid.shape[1]))
    channel = np.arange(own, dtype=index)[:, None]

    reads = (columns[:, None] + channel * index(size))[stored]
    del columns  # with one output channel the temporary arrays are as large as the result
    slots = np.broadcast_to(taps[:, None] + channel * index(prod(sizes.kernel)), stored.shape)[stored]
    del taps
    indices = reads
    if count > 1:
        indices = np.empty((count, len(reads)), index)
        first_read = np.arange(count) // (count // sizes.groups) * own * size
        np.add(reads, first_read.astype(index)[:, None], out=indices)
    data = np.empty((count, len(reads)), weight.dtype)
    if data.size:
        # The places are all valid; with mode="clip" numpy writes to `out` directly, without a buffer.
        np.take(weight.reshape(count, -1), slots, axis=1, out=data, mode="clip")
    del slots
    if coefficients is not None:
        data *= np.broadcast_to(coefficients[:, None], stored.shape)[stored]

    ends = np.zeros(shape[0] + 1, index)
    np.cumsum(np.tile(stored.sum(axis=(1, 2), dtype=index), count), dtype=index, out=ends[1:])
    return csr_array((data.ravel(), indices.ravel() if count else np.empty(0, index), ends), shape=shape)
