"""The matrix of a linear layer: sparse, straight into CSR, its entries counted before one is written.

Rows are the flattened outputs, columns the flattened inputs, row-major and channels first, without a batch. A layer
that treats each channel alike (pools, interpolation, zero insertion, unfold) is the matrix of one channel. numpy and
scipy are imported by the functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.axis_pattern import (
    UPSAMPLE_MODES,
    AxisPattern,
    LinearLayer,
    axis_pattern,
    entries_along,
    is_linear,
    kernel_at,
    pads_with_input,
)
from convarith.convolution import Conv
from convarith.errors import MissingDependencyError, ParameterError
from convarith.folding import Unfold
from convarith.layer import Layer
from convarith.pooling import AvgPool
from convarith.transposed import ConvTranspose
from convarith.values import shape_of, spread, times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array  # type: ignore[import-untyped]


class _Sizes(NamedTuple):
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
    _require()
    sizes = _measure(layer, input_size)
    assert isinstance(layer, LinearLayer)
    given = None if weight is None else _array(weight, "weight")
    _refuse_too_large(layer, sizes, None)
    _refuse_too_large(layer, sizes, _entries(layer, sizes), 8 if given is None else given.dtype.itemsize)
    values = _weights(layer, sizes, given)
    axes = [
        axis_pattern(layer, axis, size, output, len(sizes.inputs))
        for axis, (size, output) in enumerate(zip(sizes.inputs, sizes.outputs, strict=True))
    ]
    matrix = _assemble(axes, sizes, values, isinstance(layer, Unfold), _shape(layer, sizes))
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
    np = _require()
    sizes = _measure(layer, input_size)
    if bias is None:
        matrix = conv_matrix(layer, input_size, weight)
        return matrix, np.zeros(matrix.shape[0], matrix.dtype)
    if not getattr(layer, "bias", False):
        raise ParameterError(f"{layer} has no bias: leave it out, or take a convolution with bias=True")
    each = _array(bias, "bias")
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
    sizes = _measure(layer, input_size)
    assert isinstance(layer, LinearLayer)
    return _entries(layer, sizes)


def bytes_needed(layer: Layer, input_size: int | Sequence[int], itemsize: int = 8) -> int:
    """Bytes of the matrix's three arrays, its values of `itemsize` bytes.

    >>> import convarith as ca
    >>> bytes_needed(ca.Conv(kernel_size=2), (3, 3))
    212
    """
    sizes = _measure(layer, input_size)
    assert isinstance(layer, LinearLayer)
    return _bytes(layer, sizes, _entries(layer, sizes), itemsize)


def _require() -> Any:
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


def _measure(layer: Layer, input_size: int | Sequence[int]) -> _Sizes:
    if not is_linear(layer):
        what = str(layer) if isinstance(layer, Layer) else type(layer).__name__
        raise ParameterError(
            f"{what} has no matrix here: Conv, ConvTranspose, AvgPool, ZeroInsert, Unfold and Upsample "
            f"(mode {', '.join(UPSAMPLE_MODES)}) have one, being linear: give one of them"
        )
    assert isinstance(layer, LinearLayer)
    outputs = layer.blocks(input_size) if isinstance(layer, Unfold) else layer.output_size(input_size)
    inputs = spread(shape_of(input_size) if isinstance(input_size, Sequence) else int(input_size), len(outputs))
    groups = in_channels = out_channels = 1
    if isinstance(layer, Conv | ConvTranspose):
        groups = layer.groups
        in_channels = groups if layer.in_channels is None else layer.in_channels
        out_channels = groups if layer.out_channels is None else layer.out_channels
        out_channels = out_channels if in_channels else 0  # torch makes no channels out of none
    kernel = tuple(kernel_at(layer, axis) for axis in range(len(inputs)))
    return _Sizes(inputs, outputs, in_channels, out_channels, groups, kernel)


def _entries(layer: LinearLayer, sizes: _Sizes) -> int:
    along = zip(sizes.inputs, sizes.outputs, strict=True)
    pairs = prod(entries_along(layer, axis, size, output) for axis, (size, output) in enumerate(along))
    return sizes.out_channels * (sizes.in_channels // sizes.groups) * pairs


def _shape(layer: LinearLayer, sizes: _Sizes) -> tuple[int, int]:
    rows = prod(sizes.outputs) * (prod(sizes.kernel) if isinstance(layer, Unfold) else sizes.out_channels)
    return rows, prod(sizes.inputs) * sizes.in_channels


def _bytes(layer: LinearLayer, sizes: _Sizes, entries: int, itemsize: int) -> int:
    rows, columns = _shape(layer, sizes)
    index = 4 if max(rows, columns, entries) < 2**31 else 8
    return entries * (itemsize + index) + (rows + 1) * index


def _refuse_too_large(layer: LinearLayer, sizes: _Sizes, entries: int | None, itemsize: int = 8) -> None:
    """Compare with the free memory; `entries` None: only the rows' own share, before anything is counted."""
    needed, free = _bytes(layer, sizes, entries or 0, itemsize), _free_memory()
    if free is None or needed <= free:
        return
    rows, columns = _shape(layer, sizes)
    least = "at least " if entries is None else ""
    raise ParameterError(
        f"the {rows} x {columns} matrix of {layer} at {times(sizes.inputs)} needs {least}{needed} bytes, "
        f"but {free} are free: take a smaller input, or fewer channels"
    )


def _free_memory() -> int | None:
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


def _array(values: Any, name: str) -> NDArray[Any]:
    """Numbers (also a torch tensor on any device) as an array of a floating type."""
    np = _require()
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array: NDArray[Any] = np.asarray(values)
        return array if array.dtype.kind in "fc" else array.astype(np.float64, casting="safe")
    except (TypeError, ValueError):
        raise ParameterError(f"the {name} is no array of numbers: give one as numpy or torch has it") from None


def _weights(layer: LinearLayer, sizes: _Sizes, values: NDArray[Any] | None) -> NDArray[Any]:
    """(output channels, an output's own channels, kernel) of torch's layout, or of nothing: ones."""
    import numpy as np

    if values is None:
        value = 1.0
        if isinstance(layer, AvgPool) and layer.divisor_override is not None:
            value /= layer.divisor_override
        return np.full(sizes.weight, value)
    if not isinstance(layer, Conv | ConvTranspose):
        raise ParameterError(f"{layer} has no weight: leave it out")
    out_channels = sizes.groups if layer.out_channels is None else layer.out_channels
    own = sizes.in_channels // sizes.groups
    expected = (out_channels, own, *sizes.kernel)
    if isinstance(layer, ConvTranspose):
        expected = (sizes.in_channels, out_channels // sizes.groups, *sizes.kernel)
    if values.shape == sizes.kernel and expected[:2] == (1, 1):
        values = values.reshape(expected)
    if values.shape != expected:
        order = "in, out/groups" if isinstance(layer, ConvTranspose) else "out, in/groups"
        raise ParameterError(
            f"the weight has shape {values.shape}, but {layer} takes ({order}, *kernel) = {expected}: reshape it"
        )
    if isinstance(layer, ConvTranspose):
        grouped = values.reshape(sizes.groups, own, -1, *sizes.kernel).swapaxes(1, 2)
        values = grouped.reshape(out_channels, own, *sizes.kernel)
    return values[: sizes.out_channels]


def _join(axes: Sequence[AxisPattern], kernel: Sequence[int], index: Any) -> AxisPattern:
    """The reads of all axes together, as of one axis: positions and candidates each row-major."""

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
                each.valid.astype(float) if each.coefficients is None else each.coefficients for each in (joined, axis)
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
    axes: Sequence[AxisPattern], sizes: _Sizes, weight: NDArray[Any], by_tap: bool, shape: tuple[int, int]
) -> csr_array:
    """One output channel's rows by positions x candidates, then every output channel's by copying them.

    What one output channel stores, and from which of its weights, is the same for all: only the copies are large.
    `by_tap` makes a row of every tap in place of their sum, all positions of the first tap coming first.
    """
    import numpy as np
    from scipy.sparse import csr_array

    own, count = weight.shape[1], sizes.out_channels
    most = max(
        *shape, prod(weight.shape[1:]), count * own * prod(axis.valid.sum(dtype=np.int64).item() for axis in axes)
    )
    index: Any = np.int32 if most < 2**31 else np.int64
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
        data *= coefficients[:, None][stored]

    ends = np.zeros(shape[0] + 1, index)
    np.cumsum(np.tile(stored.sum(axis=(1, 2), dtype=index), count), dtype=index, out=ends[1:])
    return csr_array((data.ravel(), indices.ravel() if count else np.empty(0, index), ends), shape=shape)
