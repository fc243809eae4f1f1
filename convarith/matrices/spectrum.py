"""The singular values of a layer's matrix, and what follows from them: rank, condition, what the layer can amplify.

Four ways, the first that fits is taken:
- by axis: a layer without weights is a Kronecker product of its axes, its singular values are the products of theirs;
- by frequency: a circular convolution whose stride divides the size is one small matrix a frequency;
- dense: LAPACK on each group's block;
- Lanczos: an estimate of the largest ones, the matrix applied without being built.

The first three are exact up to rounding. Everything is computed in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.folding import Unfold
from convarith.matrices.axis_reads import LinearLayer
from convarith.matrices.matrix import (
    LayerSizes,
    conv_matrix,
    measured,
    numbers,
    patterns,
    refuse_beyond_memory,
    require_numpy,
    shape_of_matrix,
    weight_of,
)
from convarith.matrices.operators import adjoint, operator, unfold_along
from convarith.sizes.normalise import nearest, times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

METHODS = ("by axis", "by frequency", "dense", "Lanczos")

MOST_WORK = 10**9
"""Multiplications that an exact way may take unless it is asked for by its name: seconds on one core."""

EACH_MATRIX = 3000
"""What a small matrix costs LAPACK beside its multiplications."""

ESTIMATED = 6
"""How many singular values Lanczos looks for unless a count is given."""

LARGEST = 1e100
"""Weights up to which no sum of squares leaves the range of double precision."""

TOLERANCE = 1e-4
"""Where Lanczos stops: the residual over the squared value; the value itself is then far closer."""


class SingularValues(NamedTuple):
    """Singular values, descending."""

    values: NDArray[Any]
    method: str
    """One of METHODS."""
    complete: bool
    """Are these all min(rows, columns) of them?"""


class Stability(NamedTuple):
    """What a layer does to the length of its input; None is what only a smaller matrix would tell."""

    rows: int
    columns: int
    largest: float | None
    """The largest singular value, the layer's Lipschitz constant; from below where Lanczos estimated it."""
    smallest: float | None
    """The smallest of min(rows, columns) singular values."""
    rank: int | None
    condition: float | None
    """largest / smallest; infinite below full rank."""
    bound: float
    """No smaller than the largest singular value, for certain."""
    method: str | None
    """How the singular values were found, one of METHODS; None where nothing but the bound was asked for."""

    @property
    def amplifies(self) -> str:
        """The reading in words: how much longer an output can get, and which inputs leave no trace.

        >>> import convarith as ca
        >>> stability(ca.Conv(kernel_size=3), 7, [1, 2, 3]).amplifies
        'no input grows more than 5.605 times; 2 of 7 directions are lost'
        """
        if self.largest is None:
            grows = f"no input grows more than {self.bound:.4g} times"
        elif self.method == "Lanczos":
            grows = f"some input grows {self.largest:.4g} times, none more than {self.bound:.4g} times"
        else:
            grows = f"no input grows more than {self.largest:.4g} times"
        if self.rank is None:
            lost = max(0, self.columns - self.rows)
            return f"{grows}; at least {lost:,} of {self.columns:,} directions are lost" if lost else grows
        if self.rank < self.columns:
            return f"{grows}; {self.columns - self.rank:,} of {self.columns:,} directions are lost"
        return f"{grows}, none less than {self.smallest:.4g} times" if self.smallest is not None else grows


def singular_values(
    layer: Layer,
    input_size: int | Sequence[int],
    weight: ArrayLike | None = None,
    count: int | None = None,
    method: str | None = None,
) -> SingularValues:
    """The singular values of a layer's matrix, all of them or the `count` largest.

    `method` is one of METHODS; left out, the first that is exact and fits, else an estimate by Lanczos. Arguments are
    those of `conv_matrix`.

    Raises what `conv_matrix` raises, and ParameterError for a method that does not fit the layer.

    >>> import convarith as ca
    >>> around = ca.Conv(kernel_size=3, padding=1, padding_mode="circular")
    >>> found = singular_values(around, 4, [1, 0, -1])
    >>> found.values.round(12).tolist(), found.method
    ([2.0, 2.0, 0.0, 0.0], 'by frequency')
    """
    np = require_numpy()
    if method is not None and method not in METHODS:
        raise ParameterError(f"method {method!r} is unknown: {nearest(method, METHODS)}")
    if count is not None and count < 1:
        raise ParameterError(f"count is {count}: it must be at least 1")
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    values = _exactly(layer, sizes, weight)
    least = min(shape_of_matrix(layer, sizes))
    chosen = method or _fitting(layer, sizes) or "Lanczos"
    if chosen == "Lanczos":
        found = _by_lanczos(layer, sizes, values, ESTIMATED if count is None else count)
    elif chosen == "dense":
        found = _by_group(layer, sizes, values)
    elif chosen == "by axis":
        if not _has_axes_alone(layer):
            raise ParameterError(f"{layer} mixes its axes: by axis is for a layer without weights, take another method")
        found = _by_axis(layer, sizes)
    else:
        why = _not_circular(layer, sizes)
        if why:
            raise ParameterError(f"{layer} at {times(sizes.inputs)} {why}: take another method, or leave it out")
        assert isinstance(layer, Conv)
        found = by_frequency(layer, sizes.inputs, values)
    found = np.sort(found)[::-1][: least if count is None else count]
    return SingularValues(found, chosen, len(found) == least)


def rank(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> int:
    """The rank of a layer's matrix: how many directions of the input reach the output.

    Where the structure tells it (`structural_rank`), no number is computed, at any size. Otherwise singular values
    above max(rows, columns) * 2**-52 times the largest count, as in numpy.

    Raises what `conv_matrix` raises, and ParameterError for a matrix too large for exact singular values.

    >>> import convarith as ca
    >>> rank(ca.Conv(kernel_size=3, stride=2), 10**6), rank(ca.Conv(kernel_size=2, padding=1), 3)
    (499999, 3)
    """
    known = structural_rank(layer, input_size, weight)
    return known if known is not None else _rank_of(_complete(layer, input_size, weight), layer, input_size)


def condition(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> float:
    """The largest over the smallest of the min(rows, columns) singular values; inf below full rank.

    Raises what `rank` raises.

    >>> import convarith as ca
    >>> round(condition(ca.Conv(kernel_size=2), 3, [1, -1]), 3)
    1.732
    """
    return _condition(_complete(layer, input_size, weight), rank(layer, input_size, weight))


def structural_rank(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> int | None:
    """The rank as far as the structure alone tells it; None where it does not.

    Without padding, and with one output channel a group, every row of a convolution begins at a column of its own: the
    rank is the number of rows, whatever the stride and the dilation, if no group's kernel is all zero. For a
    transposed convolution it is the number of columns, with one input channel a group.

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
    """A number that the largest singular value never exceeds, without the matrix.

    A convolution padded with zeros is part of the circular one on a grid of n + d*(k - 1) positions an axis (rounded up
    to a multiple of the stride), so that one's largest singular value is a bound; the circular value on n positions is
    none. Circular padding has its own value. For other layers, and where that takes too long: the root of the largest
    absolute row sum times the largest absolute column sum.

    >>> import convarith as ca
    >>> layer, weight = ca.Conv(kernel_size=3, padding=1), [1, -2, 1]
    >>> largest = singular_values(layer, 6, weight).values[0]
    >>> float(largest) <= bound(layer, 6, weight) <= 4
    True
    """
    np = require_numpy()
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    values = _exactly(layer, sizes, weight)
    if not prod(shape_of_matrix(layer, sizes)):
        return 0.0
    if _not_circular(layer, sizes) is None and _work("by frequency", layer, sizes) <= MOST_WORK:
        return float(singular_values(layer, sizes.inputs, values, 1, "by frequency").values[0])
    forwards: Layer = layer
    grid = sizes.inputs
    if isinstance(layer, ConvTranspose):
        forwards, grid = adjoint(layer, sizes.inputs), sizes.outputs
    if isinstance(forwards, Conv) and forwards.padding_mode == "zeros":
        axes = list(enumerate(grid))
        steps = [forwards.at("stride", axis) for axis, _ in axes]
        grid = tuple(
            -(-(size + forwards.span(axis) - 1) // step) * step for (axis, size), step in zip(axes, steps, strict=True)
        )
        if _work_by_frequency(forwards, grid) <= MOST_WORK:
            return float(by_frequency(forwards, grid, values).max(initial=0))
    absolute = operator(layer, sizes.inputs, None if values is None else abs(values))
    rows, columns = absolute.shape
    return float((abs(absolute @ np.ones(columns)).max() * abs(absolute.H @ np.ones(rows)).max()) ** 0.5)


def stability(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, estimate: bool = True
) -> Stability:
    """What a layer can do to the length of its input, and of a gradient: the transpose has the same singular values.

    Fields that would be too much work are None. Without `estimate`, so is the largest singular value where Lanczos
    would have to find it, which takes minutes for tens of millions of entries.

    Raises what `conv_matrix` raises for a wrong layer, size or weight.

    >>> import convarith as ca
    >>> found = stability(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> found.rank, round(found.largest, 3), round(found.condition or 0, 3), found.method
    (4, 4.905, 2.012, 'dense')
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
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
    # Where both are the same number, rounding alone puts the bound below.
    return Stability(rows, columns, largest, smallest, reach, ratio, max(largest, most), found.method)


# How they are found ---------------------------------------------------------------------------------------------------


def _exactly(layer: LinearLayer, sizes: LayerSizes, weight: ArrayLike | None) -> NDArray[Any] | None:
    """The weight in double precision, checked; None where it is left out."""
    np = require_numpy()
    if weight is None:
        return None
    given = numbers(weight, "weight")
    weight_of(layer, sizes, given)
    if not (abs(given) <= LARGEST).all():
        raise ParameterError(f"the weight has numbers that are not finite, or beyond {LARGEST:g}: scale it")
    return given.astype(np.complex128 if given.dtype.kind == "c" else np.float64)


def _complete(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None) -> SingularValues:
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    if _fitting(layer, sizes) is None:
        rows, columns = shape_of_matrix(layer, sizes)
        raise ParameterError(
            f"all singular values of the {rows} x {columns} matrix of {layer} take {_work('dense', layer, sizes)} "
            f"multiplications, more than {MOST_WORK}: take a smaller input, or circular padding"
        )
    return singular_values(layer, sizes.inputs, weight)


def _rank_of(found: SingularValues, layer: Layer, input_size: int | Sequence[int]) -> int:
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    rounding = max(shape_of_matrix(layer, sizes)) * 2.0**-52 * found.values.max(initial=0)
    return int((found.values > rounding).sum())


def _condition(found: SingularValues, reach: int) -> float:
    if not reach or reach < len(found.values):
        return inf
    return float(found.values[0] / found.values[-1])


def _fitting(layer: LinearLayer, sizes: LayerSizes) -> str | None:
    """The first exact way that fits the layer and is not too much work."""
    ways = ["by axis"] * _has_axes_alone(layer) + ["by frequency"] * (not _not_circular(layer, sizes)) + ["dense"]
    return next((way for way in ways if _work(way, layer, sizes) <= MOST_WORK), None)


def _work(way: str, layer: LinearLayer, sizes: LayerSizes) -> int:
    """Multiplications that an exact way takes, about."""
    if way == "by axis":
        pairs = list(zip(sizes.inputs, sizes.outputs, strict=True))
        return sum(size * output * min(size, output) for size, output in pairs) + prod(map(min, pairs))
    if way == "by frequency":
        assert isinstance(layer, Conv)
        return _work_by_frequency(layer, sizes.inputs)
    rows, columns = (side // sizes.groups for side in shape_of_matrix(layer, sizes))
    return sizes.groups * rows * columns * min(rows, columns)


def _work_by_frequency(layer: Conv, grid: tuple[int, ...]) -> int:
    sizes = measured(layer, grid)
    phases = prod(layer.at("stride", axis) for axis in range(len(grid)))
    rows, columns = sizes.out_channels // sizes.groups, sizes.in_channels // sizes.groups * phases
    return sizes.groups * (prod(grid) // phases) * (rows * columns * min(rows, columns) + EACH_MATRIX)


def _has_axes_alone(layer: LinearLayer) -> bool:
    return not isinstance(layer, Conv | ConvTranspose | Unfold)


def _not_circular(layer: LinearLayer, sizes: LayerSizes) -> str | None:
    """Why the matrix is not the same at every window, going round; None where it is."""
    if not isinstance(layer, Conv) or layer.padding_mode != "circular":
        return "is no convolution with circular padding"
    for axis, (size, output) in enumerate(zip(sizes.inputs, sizes.outputs, strict=True)):
        stride = layer.at("stride", axis)
        if min(layer.pads(axis)) < 0 or size % stride or output * stride != size:
            return f"goes round {size} positions in {output} steps of {stride}"
    return None


def by_frequency(layer: Conv, grid: tuple[int, ...], weight: NDArray[Any] | None) -> NDArray[Any]:
    """All singular values of the circular convolution on a grid that the strides divide, in no order.

    With n = s*m positions along an axis, input s*q + r is entry q of phase r; the output is the sum, over the phases,
    of circular correlations of length m, which the Fourier transform makes one matrix of (out/groups) x
    (s * in/groups) a frequency. A kernel longer than the grid is wrapped round it, never cropped.

    Source: Sedghi, Gupta, Long, arXiv 1805.10408, for stride 1; the phases add the strides.

    >>> import convarith as ca
    >>> by_frequency(ca.Conv(kernel_size=2, stride=2), (4,), None).round(6).tolist()
    [1.414214, 1.414214]
    """
    np = require_numpy()
    sizes, ndim = measured(layer, grid), len(grid)
    kernels = weight_of(layer, sizes, weight)
    outs, own, *taps = kernels.shape
    strides = [layer.at("stride", axis) for axis in range(ndim)]
    steps = [size // stride for size, stride in zip(grid, strides, strict=True)]
    refuse_beyond_memory(2 * 16 * outs * own * prod(grid), f"the Fourier transform of {layer} at {times(grid)}")
    reads = [
        (layer.at("dilation", axis) * np.arange(taps[axis]) - layer.pads(axis)[0]) % grid[axis] for axis in range(ndim)
    ]
    places, phases = zip(*map(divmod, reads, strides), strict=True)
    folded = np.zeros((outs, own, *strides, *steps), kernels.dtype)
    np.add.at(folded, (slice(None), slice(None), *np.ix_(*phases), *np.ix_(*places)), kernels)
    blocks = np.fft.fftn(folded, axes=range(-ndim, 0))
    blocks = blocks.reshape(sizes.groups, outs // sizes.groups, own * prod(strides), prod(steps))
    found: NDArray[Any] = np.linalg.svd(np.moveaxis(blocks, -1, 1), compute_uv=False)
    return found.ravel()


def _by_axis(layer: LinearLayer, sizes: LayerSizes) -> NDArray[Any]:
    """The products of the axes' singular values, and zeros where one axis grows while another one shrinks."""
    np = require_numpy()
    found = abs(weight_of(layer, sizes, None).ravel()[:1])
    for pattern, taps in zip(patterns(layer, sizes), sizes.kernel, strict=True):
        windows = unfold_along(pattern, taps).toarray().reshape(taps, len(pattern.columns), pattern.size)
        found = np.outer(found, np.linalg.svd(windows.sum(axis=0), compute_uv=False)).ravel()
    padded: NDArray[Any] = np.pad(found, (0, min(shape_of_matrix(layer, sizes)) - len(found)))
    return padded


def _by_group(layer: LinearLayer, sizes: LayerSizes, weight: NDArray[Any] | None) -> NDArray[Any]:
    """Those of the dense matrix: of each group's own block, as a group reads no other one's channels."""
    np = require_numpy()
    rows, columns = (side // sizes.groups for side in shape_of_matrix(layer, sizes))
    refuse_beyond_memory(2 * 8 * rows * columns, f"a dense {rows} x {columns} block of the matrix of {layer}")
    matrix = conv_matrix(layer, sizes.inputs, weight)
    if not matrix.nnz:
        return np.zeros(min(matrix.shape))  # type: ignore[no-any-return]
    blocks = (
        matrix[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns]
        for group in range(sizes.groups)
    )
    found: NDArray[Any] = np.concatenate([np.linalg.svd(block.toarray(), compute_uv=False) for block in blocks])
    return found


def _by_lanczos(layer: LinearLayer, sizes: LayerSizes, weight: NDArray[Any] | None, count: int) -> NDArray[Any]:
    """The `count` largest, from products with the matrix and its transpose alone; always from the same start."""
    np = require_numpy()
    from scipy.sparse.linalg import svds  # type: ignore[import-untyped]

    least = min(shape_of_matrix(layer, sizes))
    if count >= least:
        raise ParameterError(f"Lanczos finds fewer than all {least} singular values, count is {count}: ask for fewer")
    if weight is not None and not weight.any():
        return np.zeros(count)  # type: ignore[no-any-return]
    basis = min(least - 1, max(40, 2 * count + 1))
    start = np.random.default_rng(0).standard_normal(least)
    applied = operator(layer, sizes.inputs, weight)
    found: NDArray[Any] = svds(
        applied, k=count, ncv=basis if basis > count else None, tol=TOLERANCE, v0=start, return_singular_vectors=False
    )
    return found
