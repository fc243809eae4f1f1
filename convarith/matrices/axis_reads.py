"""Which inputs an output of a linear layer reads along one axis: counted in integers, or listed as arrays of numpy."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.folding import Unfold
from convarith.layers.padding import padding_source
from convarith.layers.pooling import AvgPool
from convarith.layers.resampling import Upsample, ZeroInsert

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UPSAMPLE_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear")

LinearLayer = Conv | ConvTranspose | AvgPool | Upsample | ZeroInsert | Unfold
"""The layers whose outputs are a product, over the axes, of sums over a few inputs."""


class AxisPattern(NamedTuple):
    """For every output, a row of candidates: (outputs, candidates) in each array, `taps` one row where all agree."""

    size: int
    """Inputs along the axis."""
    columns: NDArray[np.int64]
    """The input that is read; any number where there is none."""
    taps: NDArray[np.int64]
    """The tap of the kernel that reads it."""
    valid: NDArray[np.bool_]
    coefficients: NDArray[np.float64] | None = None
    """What the input is multiplied with, beside the kernel's weight; one column where all agree; None: 1."""


def is_linear(layer: Layer) -> bool:
    """Can the matrix of this layer be built?

    >>> import convarith as ca
    >>> is_linear(ca.Conv(kernel_size=3)), is_linear(ca.MaxPool(kernel_size=3))
    (True, False)
    """
    return isinstance(layer, LinearLayer) and getattr(layer, "mode", "nearest") in UPSAMPLE_MODES


def kernel_at(layer: LinearLayer, axis: int) -> int:
    """Taps along one axis; 1 for a layer without a kernel."""
    return 1 if isinstance(layer, Upsample | ZeroInsert) else layer.at("kernel_size", axis)


def pads_with_input(layer: LinearLayer) -> bool:
    """Is the padding made of the input, so that two taps may read the same value?"""
    return isinstance(layer, Conv) and layer.padding_mode != "zeros"


def _meetings(outer: int, inner: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Pairs (position < outer, tap) with 0 <= stride * position - padding + dilation * tap < inner (theory 5)."""
    count = 0
    for shift in range(padding, padding - dilation * kernel, -dilation):
        count += max(0, min(outer - 1, (inner - 1 + shift) // stride) - max(0, -(-shift // stride)) + 1)
    return count


def entries_along(layer: LinearLayer, axis: int, size: int, output: int) -> int:
    """How many (output, input) pairs of one axis meet.

    >>> import convarith as ca
    >>> entries_along(ca.Conv(kernel_size=3, stride=2, padding=1), 0, 7, 4)
    10
    """
    if isinstance(layer, ZeroInsert):
        return size
    if isinstance(layer, Upsample):
        return output if "nearest" in layer.mode else int(axis_pattern(layer, axis, size, output).valid.sum())
    kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    before, after = layer.pads(axis)
    if isinstance(layer, ConvTranspose):
        return _meetings(size, output, kernel, stride, dilation, before)
    if not (isinstance(layer, Conv) and pads_with_input(layer)):
        return _meetings(output, size, kernel, stride, dilation, before)
    # Away from the border every tap reads another input; at the border they are compared.
    first = max(0, -(-before // stride))
    end = max(first, min(output, (size - layer.span(axis) + before) // stride + 1))
    count = (end - first) * kernel
    for position in (*range(min(first, output)), *range(end, output)):
        start = position * stride - before
        reads = range(start, start + dilation * kernel, dilation)
        count += len({padding_source(layer.padding_mode, at, size, before, after) for at in reads})
    return count


def candidates_along(layer: LinearLayer, axis: int) -> int:
    """How many candidates of one axis an `AxisPattern` lists for every output, at most.

    >>> import convarith as ca
    >>> candidates_along(ca.ConvTranspose(kernel_size=5, stride=2), 0)
    3
    """
    if isinstance(layer, Upsample):
        return 1 if "nearest" in layer.mode else 2
    if isinstance(layer, ConvTranspose):
        stride, dilation = layer.at("stride", axis), layer.at("dilation", axis)
        return -(-layer.at("kernel_size", axis) // (stride // gcd(stride, dilation)))
    return kernel_at(layer, axis)


def axis_pattern(layer: LinearLayer, axis: int, size: int, output: int, ndim: int = 1) -> AxisPattern:
    """The reads of one of `ndim` axes, each row in the order of its columns (unless `pads_with_input`).

    >>> import convarith as ca
    >>> pattern = axis_pattern(ca.Conv(kernel_size=2), 0, 3, 2)
    >>> pattern.columns.tolist(), pattern.taps.tolist()
    ([[0, 1], [1, 2]], [[0, 1]])
    """
    import numpy as np

    positions = np.arange(output, dtype=np.int64)[:, None]
    if isinstance(layer, Upsample):
        return _interpolation(layer, axis, size, positions, ndim)
    if isinstance(layer, ZeroInsert):
        stride = layer.at("stride", axis)
        return AxisPattern(size, positions // stride, np.zeros((1, 1), np.int64), positions % stride == 0)
    if isinstance(layer, ConvTranspose):
        return _scatter(layer, axis, size, positions)
    kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    before, after = layer.pads(axis)
    taps = np.arange(kernel, dtype=np.int64)[None]
    columns = positions * stride - before + dilation * taps
    if isinstance(layer, Conv) and pads_with_input(layer):
        columns = padding_source(layer.padding_mode, columns, size, before, after)
    coefficients = None
    if isinstance(layer, AvgPool):
        divisors = np.ones_like(positions)
        if layer.divisor_override is None:
            low, high = (-before, size + after) if layer.count_include_pad else (0, size)
            start = positions * stride - before
            divisors = np.minimum(start + kernel, high) - np.maximum(start, low)
        coefficients = 1 / divisors
    return AxisPattern(size, columns, taps, (columns >= 0) & (columns < size), coefficients)


def _scatter(layer: ConvTranspose, axis: int, size: int, positions: NDArray[np.int64]) -> AxisPattern:
    """Output x is reached from input i by tap j where s*i + d*j = x + p: only every (s / gcd(s, d))-th tap can."""
    import numpy as np

    kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    shared = gcd(stride, dilation)
    step = stride // shared
    target = positions + layer.at("padding", axis)
    first = target // shared * pow(dilation // shared, -1, step) % step
    taps = first + step * np.arange(-(-kernel // step) - 1, -1, -1, dtype=np.int64)  # backwards: the inputs ascend
    columns = (target - dilation * taps) // stride
    return AxisPattern(
        size, columns, taps, (target % shared == 0) & (taps < kernel) & (columns >= 0) & (columns < size)
    )


def _interpolation(layer: Upsample, axis: int, size: int, positions: NDArray[np.int64], ndim: int) -> AxisPattern:
    """torch's own arithmetic, in double precision: one input for the nearest modes, two and their shares for linear."""
    import numpy as np

    output, factor = len(positions), layer.factor_at(axis)
    given = factor is not None and not layer.recompute_scale_factor
    scale = 1 / factor if factor is not None and given else size / output
    tap = np.zeros((1, 1), np.int64)
    if "nearest" in layer.mode:
        source = (positions + 0.5 if layer.mode == "nearest-exact" else positions) * scale
        columns = np.minimum(source.astype(np.int64), size - 1)
        if layer.mode == "nearest" and ndim == 2 and output in (size, 2 * size):  # there torch leaves the factor aside
            columns = positions // (output // size)
        return AxisPattern(size, columns, tap, np.ones_like(columns, dtype=bool))
    if output == size:
        return AxisPattern(size, positions, tap, np.ones_like(positions, dtype=bool))
    if layer.align_corners:
        place: NDArray[Any] = positions * ((size - 1) / (output - 1) if output > 1 else 0.0)
    else:
        place = np.maximum((positions + 0.5) * scale - 0.5, 0)
    low = np.minimum(place.astype(np.int64), size - 1)
    share = np.where(low < size - 1, np.clip(place - low, 0, 1), 0.0)
    shares = np.hstack([1 - share, share])
    return AxisPattern(size, np.hstack([low, low + 1]), tap, shares != 0, shares)
