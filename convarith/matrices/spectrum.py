"""The singular values of a layer's matrix, and what follows from them: rank, condition, how much the layer amplifies.

There are four methods, and the first that fits is used:
- by axis: a layer without weights is a Kronecker product of its axes, so its singular values are products of theirs;
- by frequency: a circular convolution whose stride divides the size splits into one small matrix per frequency;
- dense: LAPACK on the block of every group;
- Lanczos: an estimate of the largest singular values, from products with the matrix, which is not built.

The first three are exact up to rounding. All computations are in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.dependencies import require_numpy, require_scipy
from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.folding import Unfold
from convarith.matrices.absolute_sums import largest_sums
from convarith.matrices.matrix import (
    LayerSizes,
    conv_matrix,
    measured,
    numbers,
    patterns,
    refuse_beyond_memory,
    shape_of_matrix,
    weight_of,
)
from convarith.matrices.operators import adjoint, check_unfolding, operator, unfold_along
from convarith.sizes.normalise import nearest, times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

METHODS = ("by axis", "by frequency", "dense", "Lanczos")

MOST_WORK = 10**9
"""Multiplications that an exact method may take unless it is asked for by name: seconds on one core."""

EACH_MATRIX = 3000
"""What LAPACK spends on a small matrix besides its multiplications, in multiplications."""

ESTIMATED = 6
"""How many singular values Lanczos finds unless a count is given."""

LARGEST = 1e100
"""Sums of squares of weights up to this size stay within the range of double precision."""

TOLERANCE = 1e-4
"""Lanczos stops at this residual, relative to the squared value; the value itself is then much closer."""


class SingularValues(NamedTuple):
    """Singular values in descending order."""

    values: NDArray[Any]
    method: str
    """One of METHODS."""
    complete: bool
    """Are these all min(rows, columns) singular values?"""


class Stability(NamedTuple):
    """How a layer changes the length of its input. A field is None if the matrix is too large to compute it."""

    rows: int
    columns: int
    largest: float | None
    """The largest singular value, which is the layer's Lipschitz constant. An estimate by Lanczos is never above it."""
    smallest: float | None
    """The smallest of the min(rows, columns) singular values."""
    rank: int | None
    condition: float | None
    """largest / smallest; infinite below full rank."""
    bound: float
    """An upper bound of the largest singular value, which always holds."""
    method: str | None
    """How the singular values were found, one of METHODS; None if only the bound was computed."""

    @property
    def amplifies(self) -> str:
        """The same in words: the factors by which the layer changes lengths, and how many input directions it loses.

        >>> import convarith as ca
        >>> stability(ca.Conv(kernel_size=3), 7, [1, 2, 3]).amplifies
        'by a factor of at most 5.605; 2 of 7 input directions are lost'
        """
        most, kept = self.largest, self.rank
        if most is None:
            factor = f"of at most {self.bound:.4g}"
        elif self.method == "Lanczos":
            factor = f"of {most:.4g} for some input, at most {self.bound:.4g}"
        elif self.smallest is None or kept is None or kept < self.columns:
            factor = f"of at most {most:.4g}"
        elif f"{most:.4g}" == f"{self.smallest:.4g}":
            factor = f"of {most:.4g}"
        else:
            factor = f"between {self.smallest:.4g} and {most:.4g}"
        lost = self.columns - (min(self.rows, self.columns) if kept is None else kept)
        if not lost:
            return f"by a factor {factor}"
        least, verb = "" if kept is not None else "at least ", "is" if lost == 1 else "are"
        return f"by a factor {factor}; {least}{lost:,} of {self.columns:,} input directions {verb} lost"


def singular_values(
    layer: Layer,
    input_size: int | Sequence[int],
    weight: ArrayLike | None = None,
    count: int | None = None,
    method: str | None = None,
) -> SingularValues:
    """Compute the singular values of a layer's matrix, all of them or the `count` largest.

    `method` is one of METHODS. Without it the first exact method that fits is used, or Lanczos if there is none. The
    other arguments are those of `conv_matrix`.

    Raises what `conv_matrix` raises, and ParameterError if the method does not fit the layer.

    >>> import convarith as ca
    >>> around = ca.Conv(kernel_size=3, padding=1, padding_mode="circular")
    >>> found = singular_values(around, 4, [1, 0, -1])
    >>> found.values.round(12).tolist(), found.method
    ([2.0, 2.0, 0.0, 0.0], 'by frequency')
    """
    require_scipy()
    import numpy as np

    if method is not None and method not in METHODS:
        raise ParameterError(f"method {method!r} is unknown: {nearest(method, METHODS)}")
    if count is not None and count < 1:
        raise ParameterError(f"count is {count}: it must be at least 1")
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    values = _exactly(layer, sizes, weight)
    least = min(shape_of_matrix(layer, sizes))
    chosen = method or _fitting(layer, sizes) or "Lanczos"
    if chosen == "Lanczos":
        found = _by_lanczos(layer, sizes, values, ESTIMATED if count is None else count)
    elif chosen == "dense":
        found = _by_group(layer, sizes, values)
    elif chosen == "by axis":
        if not _has_axes_alone(layer):
            raise ParameterError(f"{layer} has weights: the method by axis is for layers without, choose another one")
        found = _by_axis(layer, sizes)
    else:
        why = _not_circular(layer, sizes)
        if why:
            raise ParameterError(f"{layer} at {times(sizes.inputs)} {why}: choose another method, or leave it out")
        assert isinstance(layer, Conv)
        found = by_frequency(layer, sizes.inputs, values)
    found = np.sort(found)[::-1][: least if count is None else count]
    return SingularValues(found, chosen, len(found) == least)


def rank(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> int:
    """Compute the rank of a layer's matrix: how many directions of the input reach the output.

    If the structure determines it (`structural_rank`), the size does not matter. Otherwise it is the number of singular
    values above max(rows, columns) * 2**-52 times the largest one, as in numpy.

    Raises what `conv_matrix` raises, and ParameterError if the matrix is too large for exact singular values.

    >>> import convarith as ca
    >>> rank(ca.Conv(kernel_size=3, stride=2), 10**6), rank(ca.Conv(kernel_size=2, padding=1), 3)
    (499999, 3)
    """
    known = structural_rank(layer, input_size, weight)
    return known if known is not None else _rank_of(_complete(layer, input_size, weight), layer, input_size)


def condition(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> float:
    """Divide the largest of the min(rows, columns) singular values by the smallest; inf without full rank.

    Raises what `rank` raises.

    >>> import convarith as ca
    >>> round(condition(ca.Conv(kernel_size=2), 3, [1, -1]), 3)
    1.732
    """
    return _condition(_complete(layer, input_size, weight), rank(layer, input_size, weight))


def structural_rank(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> int | None:
    """Return the rank if the structure of the matrix determines it, or None.

    Without padding and with one output channel per group, every row of a convolution begins in a column of its own. The
    rank is then the number of rows, for any stride and dilation, unless the kernel of a group is all zero. For a
    transposed convolution with one input channel per group it is the number of columns.

    >>> import convarith as ca
    >>> structural_rank(ca.Conv(kernel_size=3, dilation=2), 9), structural_rank(ca.Conv(kernel_size=3, padding=1), 9)
    (5, None)
    """
    sizes = measured(layer, input_size)
    if not isinstance(layer, Conv | ConvTranspose) or not sizes.in_channels:
        return None
    rows, columns = shape_of_matrix(layer, sizes)
    axes = range(len(sizes.inputs))
    alone = sizes.in_channels if isinstance(layer, ConvTranspose) else sizes.out_channels
    if alone != sizes.groups or any(layer.pads(axis) != (0, 0) for axis in axes):
        return None
    if weight is not None:
        kernels = weight_of(layer, sizes, numbers(weight, "weight")).reshape(sizes.groups, -1)
        if not kernels.any(axis=1).all():
            return None
    return columns if isinstance(layer, ConvTranspose) else rows


def bound(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> float:
    """Compute an upper bound of the largest singular value, without the matrix.

    A convolution that pads with zeros is part of the circular convolution on a grid of n + d*(k - 1) positions per axis
    (rounded up to a multiple of the stride), whose largest singular value is the bound. On n positions it would not be
    one. A circular convolution is its own bound. For other layers, and if that takes too long, the bound is the root of
    the largest absolute row sum times the largest absolute column sum.

    Raises what `conv_matrix` raises, and ParameterError if not even the layer's unfolded input fits into the memory.

    >>> import convarith as ca
    >>> layer, weight = ca.Conv(kernel_size=3, padding=1), [1, -2, 1]
    >>> largest = singular_values(layer, 6, weight).values[0]
    >>> float(largest) <= bound(layer, 6, weight) <= 4
    True
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    values = _exactly(layer, sizes, weight)
    if not prod(shape_of_matrix(layer, sizes)):
        return 0.0
    circular = _circular_around(layer, sizes)
    if circular is not None and _work_by_frequency(*circular) <= MOST_WORK:
        require_numpy()
        return _largest_by_frequency(*circular, values)
    check_unfolding(layer, sizes)  # before anything is imported, as a refusal needs only integers
    rows, columns = largest_sums(layer, sizes, values)
    return sqrt(rows * columns)


def _circular_around(layer: SpatialLayer, sizes: LayerSizes) -> tuple[Conv, tuple[int, ...]] | None:
    """The circular convolution, and its grid, whose matrix contains this layer's matrix or its transpose."""
    if isinstance(layer, Conv) and _not_circular(layer, sizes) is None:
        return layer, sizes.inputs
    forwards, grid = layer, sizes.inputs
    if isinstance(layer, ConvTranspose):
        forwards, grid = adjoint(layer, sizes.inputs), sizes.outputs
    if not isinstance(forwards, Conv) or forwards.padding_mode != "zeros":
        return None
    strides = [forwards.at("stride", axis) for axis in range(len(grid))]
    wide = [size + forwards.span(axis) - 1 for axis, size in enumerate(grid)]
    return forwards, tuple(-(-size // stride) * stride for size, stride in zip(wide, strides, strict=True))


def stability(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, estimate: bool = True
) -> Stability:
    """Describe how a layer changes the length of its input. The transpose does the same to a gradient.

    Fields that would take too long are None. Without `estimate`, the largest singular value is also None if only
    Lanczos could find it, which takes minutes for tens of millions of entries.

    Raises what `bound` raises.

    >>> import convarith as ca
    >>> found = stability(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> found.rank, round(found.largest, 3), round(found.condition or 0, 3), found.method
    (4, 4.905, 2.012, 'dense')
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    rows, columns = shape_of_matrix(layer, sizes)
    reach, most = structural_rank(layer, sizes.inputs, weight), bound(layer, sizes.inputs, weight)
    exact = _fitting(layer, sizes) is not None
    if not exact and not estimate:
        return Stability(rows, columns, None, None, reach, None, most, None)
    found = singular_values(layer, sizes.inputs, weight, count=None if exact else 1)
    largest = float(found.values.max(initial=0))
    smallest = ratio = None
    if found.complete:
        reach = _rank_of(found, layer, sizes.inputs) if reach is None else reach
        ratio = _condition(found, reach)
        smallest = float(found.values.min(initial=largest)) if reach == min(rows, columns) else 0.0
    # If both are the same number, rounding may leave the bound below.
    return Stability(rows, columns, largest, smallest, reach, ratio, max(largest, most), found.method)


# How they are found ---------------------------------------------------------------------------------------------------


def _exactly(layer: SpatialLayer, sizes: LayerSizes, weight: ArrayLike | None) -> NDArray[Any] | None:
    """The weight in double precision, checked; None if there is none."""
    require_numpy()
    import numpy as np

    if weight is None:
        return None
    given = numbers(weight, "weight")
    weight_of(layer, sizes, given)
    exact: NDArray[Any] = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64)
    if not (abs(exact) <= LARGEST).all():  # in single precision the limit would be infinite
        raise ParameterError(f"the weight has numbers that are not finite or are beyond {LARGEST:g}: scale it")
    return exact


def _complete(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None) -> SingularValues:
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    if _fitting(layer, sizes) is None:
        rows, columns = shape_of_matrix(layer, sizes)
        raise ParameterError(
            f"all singular values of the {rows:,} x {columns:,} matrix of {layer} take "
            f"{_work('dense', layer, sizes):,} multiplications, more than {MOST_WORK:,}: "
            "take a smaller input, or circular padding"
        )
    return singular_values(layer, sizes.inputs, weight)


def _rank_of(found: SingularValues, layer: Layer, input_size: int | Sequence[int]) -> int:
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    rounding = max(shape_of_matrix(layer, sizes)) * 2.0**-52 * found.values.max(initial=0)
    return int((found.values > rounding).sum())


def _condition(found: SingularValues, reach: int) -> float:
    if not reach or reach < len(found.values):
        return inf
    return float(found.values[0] / found.values[-1])


def _fitting(layer: SpatialLayer, sizes: LayerSizes) -> str | None:
    """The first exact method that fits the layer and does not take too long."""
    methods = ["by axis"] * _has_axes_alone(layer) + ["by frequency"] * (not _not_circular(layer, sizes)) + ["dense"]
    return next((method for method in methods if _work(method, layer, sizes) <= MOST_WORK), None)


def _work(method: str, layer: SpatialLayer, sizes: LayerSizes) -> int:
    """Roughly how many multiplications an exact method takes."""
    if method == "by axis":
        pairs = list(zip(sizes.inputs, sizes.outputs, strict=True))
        return sum(size * output * min(size, output) for size, output in pairs) + prod(map(min, pairs))
    if method == "by frequency":
        assert isinstance(layer, Conv)
        return _work_by_frequency(layer, sizes.inputs)
    rows, columns = (side // sizes.groups for side in shape_of_matrix(layer, sizes))
    return sizes.groups * rows * columns * min(rows, columns)


def _work_by_frequency(layer: Conv, grid: tuple[int, ...]) -> int:
    sizes = measured(layer, grid)
    phases = prod(layer.at("stride", axis) for axis in range(len(grid)))
    rows, columns = sizes.out_channels // sizes.groups, sizes.in_channels // sizes.groups * phases
    return sizes.groups * (prod(grid) // phases) * (rows * columns * min(rows, columns) + EACH_MATRIX)


def _has_axes_alone(layer: SpatialLayer) -> bool:
    return not isinstance(layer, Conv | ConvTranspose | Unfold)


def _not_circular(layer: SpatialLayer, sizes: LayerSizes) -> str | None:
    """Why a window does not find the same matrix all the way round; None if it does."""
    if not isinstance(layer, Conv) or layer.padding_mode != "circular":
        return "is not a convolution with circular padding"
    for axis, (size, output) in enumerate(zip(sizes.inputs, sizes.outputs, strict=True)):
        stride = layer.at("stride", axis)
        if min(layer.pads(axis)) < 0 or size % stride or output * stride != size:
            return f"goes round {size} positions in {output} steps of {stride} with padding {layer.pads(axis)}"
    return None


def by_frequency(layer: Conv, grid: tuple[int, ...], weight: NDArray[Any] | None) -> NDArray[np.float64]:
    """Compute all singular values of the circular convolution on a grid that the strides divide, in no order.

    >>> import convarith as ca
    >>> by_frequency(ca.Conv(kernel_size=2, stride=2), (4,), None).round(6).tolist()
    [1.414214, 1.414214]
    """
    sizes = measured(layer, grid)
    return _svd(_frequency_blocks(layer, grid, weight_of(layer, sizes, weight), sizes.groups)).ravel()


def _largest_by_frequency(layer: Conv, grid: tuple[int, ...], weight: NDArray[Any] | None) -> float:
    """The largest of those singular values, in less time."""
    import numpy as np

    sizes = measured(layer, grid)
    if weight is None:  # all ones: the matrix of one channel, times a matrix of ones
        ones = np.ones((1, 1, *sizes.kernel))
        channels = sizes.out_channels * sizes.in_channels / sizes.groups**2
        return float(_svd(_frequency_blocks(layer, grid, ones, 1, half=True)).max(initial=0) * channels**0.5)
    kernels = weight_of(layer, sizes, weight)
    half = kernels.dtype.kind == "f"  # the transform of real numbers is symmetric: one half has all singular values
    return float(_svd(_frequency_blocks(layer, grid, kernels, sizes.groups, half)).max(initial=0))


def _frequency_blocks(
    layer: Conv, grid: tuple[int, ...], kernels: NDArray[Any], groups: int, half: bool = False
) -> NDArray[np.complex128]:
    """One matrix (out/groups, phases * in/groups) per group and frequency; of the symmetric frequencies `half`.

    With n = s*m positions along an axis, input s*q + r is entry q of phase r. The output is the sum, over the phases,
    of circular correlations of length m, which the Fourier transform diagonalises. A kernel longer than the grid is
    wrapped around it, never cropped.

    Source: Sedghi, Gupta, Long, arXiv 1805.10408, for stride 1; the phases add the strides.
    """
    import numpy as np

    ndim = len(grid)
    outs, own, *taps = kernels.shape
    strides = [layer.at("stride", axis) for axis in range(ndim)]
    steps = [size // stride for size, stride in zip(grid, strides, strict=True)]
    refuse_beyond_memory(2 * 16 * outs * own * prod(grid), f"the Fourier transform of {layer} at {times(grid)}")
    reads = [
        (layer.at("dilation", axis) * np.arange(taps[axis]) - layer.pads(axis)[0]) % grid[axis] for axis in range(ndim)
    ]
    places, phases = zip(*(divmod(each, stride) for each, stride in zip(reads, strides, strict=True)), strict=True)
    folded = np.zeros((outs, own, *strides, *steps), kernels.dtype)
    np.add.at(folded, (slice(None), slice(None), *np.ix_(*phases), *np.ix_(*places)), kernels)
    axes = range(-ndim, 0)
    blocks = np.fft.rfftn(folded, axes=axes) if half else np.fft.fftn(folded, axes=axes)
    return np.moveaxis(blocks.reshape(groups, outs // groups, own * prod(strides), -1), -1, 1)


def _svd(blocks: NDArray[Any]) -> NDArray[np.float64]:
    """The singular values of every matrix in the last two axes; that of a single row or column is its length."""
    import numpy as np

    if 1 in blocks.shape[-2:]:
        lengths: NDArray[np.float64] = np.linalg.norm(blocks, axis=(-2, -1))
        return lengths
    return np.linalg.svd(blocks, compute_uv=False)


def _by_axis(layer: SpatialLayer, sizes: LayerSizes) -> NDArray[np.float64]:
    """The products of the axes' singular values, and zeros if one axis grows while another one shrinks."""
    import numpy as np

    found = abs(weight_of(layer, sizes, None).ravel()[:1])
    for pattern, taps in zip(patterns(layer, sizes), sizes.kernel, strict=True):
        windows = unfold_along(pattern, taps).toarray().reshape(taps, len(pattern.columns), pattern.size)
        found = np.outer(found, np.linalg.svd(windows.sum(axis=0), compute_uv=False)).ravel()
    return np.pad(found, (0, min(shape_of_matrix(layer, sizes)) - len(found)))


def _by_group(layer: SpatialLayer, sizes: LayerSizes, weight: NDArray[Any] | None) -> NDArray[np.float64]:
    """Those of the dense matrix, block by block: a group reads only its own channels."""
    import numpy as np

    rows, columns = (side // sizes.groups for side in shape_of_matrix(layer, sizes))
    refuse_beyond_memory(2 * 8 * rows * columns, f"a dense {rows:,} x {columns:,} block of the matrix of {layer}")
    matrix = conv_matrix(layer, sizes.inputs, weight)
    if not matrix.nnz:
        return np.zeros(min(shape_of_matrix(layer, sizes)))
    blocks = (
        matrix[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns]
        for group in range(sizes.groups)
    )
    return np.concatenate([np.linalg.svd(block.toarray(), compute_uv=False) for block in blocks])


def _by_lanczos(layer: SpatialLayer, sizes: LayerSizes, weight: NDArray[Any] | None, count: int) -> NDArray[Any]:
    """The `count` largest, from products with the matrix and its transpose; the start is the same every time."""
    import numpy as np
    from scipy.sparse.linalg import svds

    least = min(shape_of_matrix(layer, sizes))
    if count >= least:
        raise ParameterError(
            f"Lanczos cannot find all {least} singular values: count is {count}, give less than {least}"
        )
    if weight is not None and not weight.any():
        return np.zeros(count)
    basis = min(least - 1, max(40, 2 * count + 1))
    start = np.random.default_rng(0).standard_normal(least)
    applied = operator(layer, sizes.inputs, weight)
    found: NDArray[Any] = svds(
        applied, k=count, ncv=basis if basis > count else None, tol=TOLERANCE, v0=start, return_singular_vectors=False
    )
    return found
