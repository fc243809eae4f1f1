"""Other views of a layer's matrix: applied without being built, its transpose as a layer, a fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose, transposed
from convarith.layers.folding import Unfold
from convarith.layers.reshaping import Linear
from convarith.matrices.axis_reads import AxisPattern, LinearLayer
from convarith.matrices.matrix import (
    affine,
    measured,
    numbers,
    patterns,
    refuse_beyond_memory,
    require_numpy,
    shape_of_matrix,
    weight_of,
)
from convarith.sizes.normalise import collapse, shape_of, times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array  # type: ignore[import-untyped]
    from scipy.sparse.linalg import LinearOperator  # type: ignore[import-untyped]


def operator(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> LinearOperator:
    """The matrix as scipy's LinearOperator that is never built: products with it (`@`) and with its adjoint (`.H @`).

    It takes the memory of the layer's unfolded input, not of the matrix: that is out_channels/groups times less.
    Arguments and errors are those of `conv_matrix`.

    >>> import convarith as ca
    >>> lecture = operator(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> (lecture @ range(1, 10)).tolist(), (lecture.H @ [1, 0, 0, 0]).tolist()
    ([25.0, 31.0, 43.0, 49.0], [0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0])
    """
    np = require_numpy()
    from scipy.sparse.linalg import LinearOperator

    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    taps, positions, own = prod(sizes.kernel), prod(sizes.outputs), sizes.in_channels // sizes.groups
    unfolded = 2 * 8 * sizes.in_channels * taps * positions
    refuse_beyond_memory(unfolded, f"the unfolded input of {layer} at {times(sizes.inputs)}")
    values = weight_of(layer, sizes, None if weight is None else numbers(weight, "weight"))
    if isinstance(layer, Unfold):  # every tap is a row of its own
        values = np.eye(taps)
    kernels = values.reshape(sizes.groups, len(values) // sizes.groups, own * taps)
    unfolds = [unfold_along(axis, count) for axis, count in zip(patterns(layer, sizes), sizes.kernel, strict=True)]
    ndim = len(unfolds)
    windows = tuple(size for pair in zip(sizes.kernel, sizes.outputs, strict=True) for size in pair)
    taps_first = [0, *range(1, 2 * ndim, 2), *range(2, 2 * ndim + 1, 2)]
    alternating = [0, *(place for axis in range(1, ndim + 1) for place in (axis, ndim + axis))]

    def apply(x: NDArray[Any]) -> NDArray[Any]:
        columns = x.reshape(sizes.in_channels, prod(sizes.inputs)).T
        for unfold in unfolds:  # each turns the axis in front into its windows, and puts them last
            columns = (unfold @ columns.reshape(unfold.shape[1], columns.size // unfold.shape[1])).T
        columns = columns.reshape(sizes.in_channels, *windows).transpose(taps_first)
        outputs: NDArray[Any] = kernels @ columns.reshape(sizes.groups, own * taps, positions)
        return outputs.ravel()

    def apply_adjoint(y: NDArray[Any]) -> NDArray[Any]:
        outputs = y.reshape(sizes.groups, kernels.shape[1], positions)
        columns: NDArray[Any] = kernels.conj().swapaxes(1, 2) @ outputs
        columns = columns.reshape(sizes.in_channels, *sizes.kernel, *sizes.outputs).transpose(alternating)
        for unfold in reversed(unfolds):
            columns = unfold.T @ columns.reshape(columns.size // unfold.shape[0], unfold.shape[0]).T
        return columns.reshape(prod(sizes.inputs), sizes.in_channels).T.ravel()

    return LinearOperator(shape_of_matrix(layer, sizes), matvec=apply, rmatvec=apply_adjoint, dtype=values.dtype)


def unfold_along(pattern: AxisPattern, taps: int) -> csr_array:
    """The windows of one axis as a matrix: row tap * outputs + output has the input that this tap reads.

    >>> import convarith as ca
    >>> from convarith.matrices.axis_reads import axis_pattern
    >>> unfold_along(axis_pattern(ca.Conv(kernel_size=2), 0, 3, 2), 2).toarray().astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    """
    np = require_numpy()
    from scipy.sparse import csr_array

    outputs, valid = len(pattern.columns), pattern.valid
    rows = pattern.taps * outputs + np.arange(outputs)[:, None]
    share = 1.0 if pattern.coefficients is None else pattern.coefficients
    stored = [np.broadcast_to(each, valid.shape)[valid] for each in (share, rows, pattern.columns)]
    return csr_array((stored[0], (stored[1], stored[2])), shape=(taps * outputs, pattern.size))


def adjoint(layer: Layer, input_size: int | Sequence[int]) -> Conv | ConvTranspose:
    """The layer whose matrix is the transpose of this one's: it maps this layer's output size to `input_size`.

    Conv and ConvTranspose change places. torch keeps both weights in one layout, so the weight is the same array, as
    it stands; a bias is none of the matrix's.

    Raises ParameterError where the transpose is no single layer, ShapeError for an input that the layer refuses.

    >>> import convarith as ca
    >>> adjoint(ca.Conv(kernel_size=3, stride=2, padding=1), 28)
    ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1)
    >>> adjoint(ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1), 14)
    Conv(kernel_size=3, stride=2, padding=1)
    """
    sizes = measured(layer, input_size)
    if isinstance(layer, ConvTranspose):
        sides = []
        for axis in range(len(sizes.inputs)):
            padding, extra, stride = (layer.at(name, axis) for name in ("padding", "output_padding", "stride"))
            over = max(0, extra - stride + 1)  # windows that the transposed convolution has no input for
            sides.append((padding, padding - over) if over else padding)
        return Conv(
            kernel_size=layer.kernel_size, stride=layer.stride, dilation=layer.dilation, groups=layer.groups,
            padding=tuple(sides) if layer.ndim or len(set(sides)) > 1 or isinstance(sides[0], tuple) else sides[0],
            in_channels=layer.out_channels, out_channels=layer.in_channels, bias=layer.bias, ndim=layer.ndim,
        )  # fmt: skip
    if not isinstance(layer, Conv) or layer.padding_mode != "zeros":
        raise ParameterError(
            f"the transpose of {layer} is no layer: take conv_matrix(...).T, or the operator's .H, "
            "or a convolution padded with zeros"
        )
    back, *crop = transposed(layer, sizes.inputs)
    if crop:
        raise ParameterError(
            f"the transpose of {layer} at {times(sizes.inputs)} is two layers, {back} and {crop[0]}: "
            "take conv_matrix(...).T, or the same padding on both sides"
        )
    assert isinstance(back, ConvTranspose)
    return back


class FullyConnected(NamedTuple):
    """A layer as torch's Linear on flattened maps: y = weight @ x + bias."""

    layer: Linear
    weight: NDArray[Any]
    """(out_features, in_features), as torch.nn.Linear has it."""
    bias: NDArray[Any]
    """(out_features,); zeros where no bias was given."""


def fully_connected(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, bias: ArrayLike | None = None
) -> FullyConnected:
    """The fully connected layer that does the same to flattened maps, with its dense weight and bias.

    Arguments and errors are those of `affine`; also refused is a dense matrix beyond the free memory.

    >>> import convarith as ca
    >>> same = fully_connected(ca.Conv(kernel_size=2), 3, [1, -1], [0.5])
    >>> same.layer, same.weight.tolist(), same.bias.tolist()
    (Linear(3, 2), [[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]], [0.5, 0.5])
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, LinearLayer)
    rows, columns = shape_of_matrix(layer, sizes)
    refuse_beyond_memory(8 * rows * columns, f"the dense {rows} x {columns} matrix of {layer}")
    matrix, offset = affine(layer, input_size, weight, bias)
    return FullyConnected(Linear(in_features=columns, out_features=rows), matrix.toarray(), offset)


def as_convolution(linear: Linear, input_shape: Sequence[int]) -> Conv:
    """The convolution that does to a (C, *spatial) map what a Linear does to the flattened map: one kernel, its size.

    Its weight is the Linear's, reshaped to (out_features, *input_shape); at larger maps it slides, which makes a
    fully convolutional network of a classifier.

    Raises ParameterError where the shape does not flatten to in_features.

    >>> import convarith as ca
    >>> conv = as_convolution(ca.parse("Linear(512*7*7, 4096)"), (512, 7, 7))
    >>> conv, conv.output_shape((512, 9, 9))
    (Conv2d(512, 4096, 7), (4096, 3, 3))
    """
    channels, *spatial = shape_of(input_shape, "input shape")
    if not 1 <= len(spatial) <= 3 or prod(input_shape) != linear.in_features:
        raise ParameterError(
            f"{times(input_shape)} flattens to {prod(input_shape)}, but {linear} takes {linear.in_features} features: "
            "give the (C, *spatial) shape that is flattened"
        )
    return Conv(
        in_channels=channels, out_channels=linear.out_features, kernel_size=collapse(spatial),
        bias=linear.bias, ndim=len(spatial),
    )  # fmt: skip
