"""The matrix of a linear layer: sparse, straight into CSR, its entries counted before one is written.

Rows are the flattened outputs, columns the flattened inputs, row-major and channels first, without a batch. A layer
that treats each channel alike (pools, interpolation, zero insertion, unfold) is the matrix of one channel. numpy and
scipy are imported by the functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.errors import MissingDependencyError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.folding import Unfold
from convarith.layers.pooling import AvgPool
from convarith.layers.resampling import Upsample
from convarith.matrices.axis_reads import (
    UPSAMPLE_MODES,
    AxisPattern,
    LinearLayer,
    axis_pattern,
    candidates_along,
    entries_along,
    is_linear,
    kernel_at,
    pads_with_input,
)
from convarith.sizes.normalise import shape_of, spread, times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array  # type: ignore[import-untyped]


class LayerSizes(NamedTuple):
    """A layer at one input size, every channel counted."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_channels: int
    out_channels: int
    groups: int
    kernel: tuple[int, ...]

    @property
    def weight(self) -> tuple[int, ...]:
        """The kernel's shape, an output's own channels first."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)


def conv_matrix(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> csr_array:
    """The matrix of a linear layer without its bias: scipy.sparse CSR of shape (outputs, inputs).

    Conv and ConvTranspose take a `weight` of torch's shape, or of the kernel's where there is one channel; all ones if
    it is left out. Its floating type becomes the matrix's. Channels that are open count as one a group. Every tap
    inside the input is stored, also where its weight is zero.

    Raises ParameterError for a layer that is not linear, for a weight of another shape and for a matrix that needs
    more memory than is free, ShapeError for an input that the layer refuses, MissingDependencyError without numpy and
    scipy.

    >>> import convarith as ca
    >>> matrix = conv_matrix(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> matrix.toarray().astype(int).tolist()[0]
    [0, 1, 0, 2, 3, 0, 0, 0, 0]
    >>> (matrix @ range(1, 10)).astype(int).tolist()
    [25, 31, 43, 49]
    """
    require_numpy()
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    given = None if weight is None else numbers(weight, "weight")
    entries, shape = _checked(layer, sizes, 8 if given is None else given.dtype.itemsize)
    values = weight_of(layer, sizes, given)
    matrix = _assemble(patterns(layer, sizes), sizes, values, entries, isinstance(layer, Unfold), shape)
    if pads_with_input(layer):
        matrix.sum_duplicates()
    else:
        matrix.has_canonical_format = True  # sorted as written: scipy need not look
    return matrix


def affine(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, bias: ArrayLike | None = None
) -> tuple[csr_array, NDArray[Any]]:
    """(matrix, offset): the layer maps a flat input x to matrix @ x + offset. Without a `bias` the offset is zero.

    Raises what `conv_matrix` raises, and ParameterError for a bias that the layer does not have.

    >>> import convarith as ca
    >>> matrix, offset = affine(ca.Conv(kernel_size=2), 3, [1, -1], [0.5])
    >>> (matrix @ [1, 2, 4] + offset).tolist()
    [-0.5, -1.5]
    """
    np = require_numpy()
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
        raise ParameterError(f"the bias has shape {each.shape}, but {layer} takes one an output channel: ({wanted},)")
    matrix = conv_matrix(layer, input_size, weight)
    return matrix, np.repeat(each[: sizes.out_channels], prod(sizes.outputs))


def nnz(layer: Layer, input_size: int | Sequence[int]) -> int:
    """How many entries the matrix has, without building it: exact, for any size (linear upsampling needs numpy).

    The formula: out * in/groups * the product, over the axes, of the (output, tap) pairs that meet an input.

    >>> import convarith as ca
    >>> nnz(ca.parse("Conv2d(16, 32, 3, stride=2, padding=1)"), (64, 64))
    4620800
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    return _entries(layer, sizes)


class Reads(NamedTuple):
    """Every read of an input by an output, row by row; several may meet in one entry where padding repeats inputs."""

    rows: NDArray[Any]
    columns: NDArray[Any]
    weights: NDArray[Any]
    """The place, in the flattened weight of torch's layout, of the number it is multiplied with; the tap of a layer
    without weights. Modulo the kernel's size it is the tap."""


def reads(layer: Layer, input_size: int | Sequence[int]) -> Reads:
    """Which weight stands where in the matrix. Raises what `conv_matrix` raises.

    >>> import convarith as ca
    >>> found = reads(ca.Conv(kernel_size=2), 3)
    >>> found.rows.tolist(), found.columns.tolist(), found.weights.tolist()
    ([0, 0, 1, 1], [0, 1, 1, 2], [0, 1, 0, 1])
    """
    np = require_numpy()
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    entries, shape = _checked(layer, sizes, 8)
    places = np.arange(prod(weight_shape(layer, sizes)), dtype=np.int64).reshape(weight_shape(layer, sizes))
    own = _own_first(layer, sizes, places)[: sizes.out_channels]
    alone = (axis._replace(coefficients=None) for axis in patterns(layer, sizes))
    matrix = _assemble(alone, sizes, own, entries, isinstance(layer, Unfold), shape)
    rows = np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))
    taps = rows // max(1, prod(sizes.outputs)) if isinstance(layer, Unfold) else matrix.data
    return Reads(rows, matrix.indices, taps)


def weight_shape(layer: LinearLayer, sizes: LayerSizes) -> tuple[int, ...]:
    """The shape of torch's weight, open channels one a group; of one channel's kernel for a layer without weights."""
    if not isinstance(layer, Conv | ConvTranspose):
        return sizes.weight
    out_channels = sizes.groups if layer.out_channels is None else layer.out_channels
    if isinstance(layer, ConvTranspose):
        return (sizes.in_channels, out_channels // sizes.groups, *sizes.kernel)
    return (out_channels, sizes.in_channels // sizes.groups, *sizes.kernel)


def bytes_needed(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> int:
    """Bytes of the matrix's three arrays, its values of `itemsize` bytes.

    >>> import convarith as ca
    >>> bytes_needed(ca.Conv(kernel_size=2), (3, 3))
    212
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    return _bytes(layer, sizes, _entries(layer, sizes), itemsize)


def peak_bytes(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> int:
    """Bytes that building the matrix takes at most: its arrays, and the temporary ones of one output channel.

    >>> import convarith as ca
    >>> peak_bytes(ca.Conv(kernel_size=2), (3, 3))
    516
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    return _peak(layer, sizes, _entries(layer, sizes), itemsize)


def require_numpy() -> Any:
    """numpy, with scipy in reach; or MissingDependencyError with the line that installs both."""
    try:
        import numpy as np
        import scipy.sparse  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        missing = (error.name or "numpy").partition(".")[0]
        raise MissingDependencyError(
            f"{missing} is not installed: run  pip install 'convarith[numpy]'  in this environment"
        ) from None
    return np


def measured(layer: Layer, input_size: int | Sequence[int]) -> LayerSizes:
    """A linear layer at one input size, checked. Raises what `conv_matrix` raises for a wrong layer or size."""
    if not is_linear(layer):
        what = str(layer) if isinstance(layer, Layer) else type(layer).__name__
        raise ParameterError(
            f"{what} has no matrix here: Conv, ConvTranspose, AvgPool, ZeroInsert, Unfold and Upsample "
            f"(mode {', '.join(UPSAMPLE_MODES)}) have one, being linear: give one of them"
        )
    assert isinstance(layer, LinearLayer)
    outputs = layer.outputs_along(input_size)
    inputs = spread(shape_of(input_size) if isinstance(input_size, Sequence) else int(input_size), len(outputs))
    groups = in_channels = out_channels = 1
    if isinstance(layer, Conv | ConvTranspose):
        groups = layer.groups
        in_channels = groups if layer.in_channels is None else layer.in_channels
        out_channels = groups if layer.out_channels is None else layer.out_channels
        out_channels = out_channels if in_channels else 0  # torch makes no channels out of none
    kernel = tuple(kernel_at(layer, axis) for axis in range(len(inputs)))
    return LayerSizes(inputs, outputs, in_channels, out_channels, groups, kernel)


def _entries(layer: LinearLayer, sizes: LayerSizes) -> int:
    along = zip(sizes.inputs, sizes.outputs, strict=True)
    pairs = prod(entries_along(layer, axis, size, output) for axis, (size, output) in enumerate(along))
    return sizes.out_channels * (sizes.in_channels // sizes.groups) * pairs


def shape_of_matrix(layer: LinearLayer, sizes: LayerSizes) -> tuple[int, int]:
    """(rows, columns) of the matrix."""
    rows = prod(sizes.outputs) * (prod(sizes.kernel) if isinstance(layer, Unfold) else sizes.out_channels)
    return rows, prod(sizes.inputs) * sizes.in_channels


def _bytes(layer: LinearLayer, sizes: LayerSizes, entries: int, itemsize: int) -> int:
    rows, columns = shape_of_matrix(layer, sizes)
    index = 4 if max(rows, columns, entries) < 2**31 else 8
    return entries * (itemsize + index) + (rows + 1) * index


def _peak(layer: LinearLayer, sizes: LayerSizes, entries: int, itemsize: int) -> int:
    index = 4 if max(*shape_of_matrix(layer, sizes), entries) < 2**31 else 8
    axes = range(len(sizes.inputs))
    one = prod(sizes.outputs) * prod(candidates_along(layer, axis) for axis in axes)  # (position, candidate) pairs
    own = one * (sizes.in_channels // sizes.groups)
    share = 8 if isinstance(layer, Upsample) else 0
    rows, _ = shape_of_matrix(layer, sizes)
    a_row = 16 * prod(sizes.outputs) + 2 * index * rows  # an average pool's shares, the lengths of the rows
    listed = one * max(3 * index + 1 + share, 24 if len(axes) == 1 else 0) + own * 2 * index
    filled = one * (1 + share) + own * (index + 8 + (index if sizes.out_channels > 1 else 0))  # numpy takes by 8 bytes
    return a_row + max(listed, filled + _bytes(layer, sizes, entries, itemsize))


def _checked(layer: LinearLayer, sizes: LayerSizes, itemsize: int) -> tuple[int, tuple[int, int]]:
    """(entries, shape) of a matrix that the free memory holds, or ParameterError."""
    _refuse_too_large(layer, sizes, 0, itemsize)
    entries = _entries(layer, sizes)
    _refuse_too_large(layer, sizes, entries, itemsize)
    return entries, shape_of_matrix(layer, sizes)


def _refuse_too_large(layer: LinearLayer, sizes: LayerSizes, entries: int, itemsize: int) -> None:
    """Compare with the free memory; 0 `entries`: with what is needed before any is counted."""
    rows, columns = shape_of_matrix(layer, sizes)
    refuse_beyond_memory(
        _peak(layer, sizes, entries, itemsize) if entries else _bytes(layer, sizes, 0, itemsize),
        f"the {rows} x {columns} matrix of {layer} at {times(sizes.inputs)}",
        at_least=not entries,
    )


def refuse_beyond_memory(needed: int, what: str, at_least: bool = False) -> None:
    """ParameterError where so many bytes are more than are free.

    >>> refuse_beyond_memory(1000, "a small matrix")
    """
    free = free_memory()
    if free is not None and needed > free:
        least = "at least " if at_least else ""
        raise ParameterError(
            f"{what} needs {least}{needed} bytes, but {free} are free: take a smaller input, or fewer channels"
        )


def free_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not tell."""
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
    """Numbers (also a torch tensor on any device) as an array of a floating type."""
    np = require_numpy()
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array: NDArray[Any] = np.asarray(values)
        return array if array.dtype.kind in "fc" else array.astype(np.float64, casting="safe")
    except (TypeError, ValueError):
        raise ParameterError(f"the {name} is no array of numbers: give one as numpy or torch has it") from None


def weight_of(layer: LinearLayer, sizes: LayerSizes, values: NDArray[Any] | None) -> NDArray[Any]:
    """(output channels, an output's own channels, kernel) of torch's layout, or of nothing: ones."""
    import numpy as np

    if values is None:
        value = 1.0
        if isinstance(layer, AvgPool) and layer.divisor_override is not None:
            value /= layer.divisor_override
        return np.full(sizes.weight, value)
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


def _own_first(layer: LinearLayer, sizes: LayerSizes, values: NDArray[Any]) -> NDArray[Any]:
    """torch's layout, a transposed convolution's too, as (output channels, an output's own channels, kernel)."""
    if not isinstance(layer, ConvTranspose):
        return values
    own, out = sizes.in_channels // sizes.groups, values.shape[1]
    grouped = values.reshape(sizes.groups, own, out, *sizes.kernel).swapaxes(1, 2)
    return grouped.reshape(sizes.groups * out, own, *sizes.kernel)


def patterns(layer: LinearLayer, sizes: LayerSizes) -> Iterable[AxisPattern]:
    """The reads of each axis, made when they are asked for."""
    for axis, (size, output) in enumerate(zip(sizes.inputs, sizes.outputs, strict=True)):
        yield axis_pattern(layer, axis, size, output, len(sizes.inputs))


def _join(axes: Iterable[AxisPattern], kernel: Sequence[int], index: Any) -> AxisPattern:
    """The reads of all axes together, as of one axis: positions and candidates each row-major."""
    import numpy as np

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        outer, inner, *candidates = array.shape
        return array.reshape(outer * inner, prod(candidates))

    def pair(array: NDArray[Any]) -> NDArray[Any]:
        return array[:, None, :, None]

    joined: AxisPattern | None = None
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
        joined = AxisPattern(
            joined.size * axis.size,
            flat(pair(joined.columns) * index(axis.size) + axis.columns[None, :, None]),
            flat(pair(joined.taps) * index(taps) + axis.taps[None, :, None]),
            flat(pair(joined.valid) & axis.valid[None, :, None]),
            coefficients,
        )
    assert joined is not None
    return joined


def _assemble(
    axes: Iterable[AxisPattern],
    sizes: LayerSizes,
    weight: NDArray[Any],
    entries: int,
    by_tap: bool,
    shape: tuple[int, int],
) -> csr_array:
    """One output channel's rows by positions x candidates, then every output channel's by copying them.

    What one output channel stores, and from which of its weights, is the same for all: only the copies are large.
    `by_tap` makes a row of every tap in place of their sum, all positions of the first tap coming first.
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
    del columns  # of one channel the temporary arrays are as large as the result
    slots = np.broadcast_to(taps[:, None] + channel * index(prod(sizes.kernel)), stored.shape)[stored]
    del taps
    indices = reads
    if count > 1:
        indices = np.empty((count, len(reads)), index)
        first_read = np.arange(count) // max(1, count // sizes.groups) * own * size
        np.add(reads, first_read.astype(index)[:, None], out=indices)
    data = np.empty((count, len(reads)), weight.dtype)
    if data.size:
        np.take(weight.reshape(count, -1), slots, axis=1, out=data, mode="clip")  # clip: take then needs no buffer
    del slots
    if coefficients is not None:
        data *= np.broadcast_to(coefficients[:, None], stored.shape)[stored]

    ends = np.zeros(shape[0] + 1, index)
    np.cumsum(np.tile(stored.sum(axis=(1, 2), dtype=index), count), dtype=index, out=ends[1:])
    return csr_array((data.ravel(), indices.ravel() if count else np.empty(0, index), ends), shape=shape)
