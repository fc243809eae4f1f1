"""Other forms of a layer's matrix: an operator that is not built, the transpose as a layer, a dense Linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.dependencies import require_scipy
from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose, transposed
from convarith.layers.reshaping import Linear
from convarith.matrices.axis_reads import AxisReads
from convarith.matrices.matrix import (
    LayerSizes,
    affine,
    measured,
    numbers,
    patterns,
    refuse_beyond_memory,
    shape_of_matrix,
    weight_of,
)
from convarith.sizes.normalise import collapse, shape_of, times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator


def operator(layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None) -> LinearOperator:
    """Return a scipy LinearOperator that multiplies by the matrix (`@`) or its adjoint (`.H @`) without building it.

    It needs as much memory as the layer's unfolded input, which is out_channels/groups times less than the matrix.
    Takes the arguments of `conv_matrix` and raises the same errors.

    >>> import convarith as ca
    >>> lecture = operator(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    >>> (lecture @ range(1, 10)).tolist(), (lecture.H @ [1, 0, 0, 0]).tolist()
    ([25.0, 31.0, 43.0, 49.0], [0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0])
    """
    require_scipy()
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    taps, positions, own = prod(sizes.kernel), prod(sizes.outputs), sizes.in_channels // sizes.groups
    check_unfolding(layer, sizes)
    values = weight_of(layer, sizes, None if weight is None else numbers(weight, "weight"))
    if layer.row_per_tap:  # every tap has a row of its own
        values = np.eye(taps)
    kernels = values.reshape(sizes.groups, len(values) // sizes.groups, own * taps)
    unfolds = [unfold_along(axis, count) for axis, count in zip(patterns(layer, sizes), sizes.kernel, strict=True)]
    ndim = len(unfolds)
    windows = tuple(size for pair in zip(sizes.kernel, sizes.outputs, strict=True) for size in pair)
    taps_first = [0, *range(1, 2 * ndim, 2), *range(2, 2 * ndim + 1, 2)]
    alternating = [0, *(place for axis in range(1, ndim + 1) for place in (axis, ndim + axis))]

    def apply(x: NDArray[Any]) -> NDArray[Any]:
        columns = x.reshape(sizes.in_channels, prod(sizes.inputs)).T
        for unfold in unfolds:  # each turns the first axis into its windows and moves them to the end
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


def check_unfolding(layer: SpatialLayer, sizes: LayerSizes) -> None:
    """Raise ParameterError if the layer's unfolded input, of which a product holds two, is beyond the free memory."""
    unfolded = sizes.in_channels * prod(sizes.kernel) * prod(sizes.outputs)
    refuse_beyond_memory(2 * 8 * unfolded, f"the unfolded input of {layer} at {times(sizes.inputs)}")


def unfold_along(pattern: AxisReads, taps: int) -> csr_array:
    """The windows along one axis as a matrix: row tap * outputs + output selects the input that this tap reads.

    >>> import convarith as ca
    >>> from convarith.matrices.axis_reads import axis_reads
    >>> unfold_along(axis_reads(ca.Conv(kernel_size=2), 0, 3, 2), 2).toarray().astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    """
    require_scipy()
    import numpy as np
    from scipy.sparse import csr_array

    outputs, valid = len(pattern.columns), pattern.valid
    rows = pattern.taps * outputs + np.arange(outputs)[:, None]
    share = 1.0 if pattern.coefficients is None else pattern.coefficients
    stored = [np.broadcast_to(each, valid.shape)[valid] for each in (share, rows, pattern.columns)]
    return csr_array((stored[0], (stored[1], stored[2])), shape=(taps * outputs, pattern.size))


def adjoint(layer: Layer, input_size: int | Sequence[int]) -> Conv | ConvTranspose:
    """Return the layer whose matrix is the transpose of this one's. It maps this layer's output size to `input_size`.

    The adjoint of a Conv is a ConvTranspose and the other way round. It takes the same weight array, since torch's
    layouts of the two match. The bias is not part of the matrix.

    Raises ParameterError if the transpose is not a single layer, ShapeError if the layer does not accept the input.

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
            over = max(0, extra - stride + 1)  # windows for which the transposed convolution has no input
            sides.append((padding, padding - over) if over else padding)
        return Conv(
            kernel_size=layer.kernel_size, stride=layer.stride, dilation=layer.dilation, groups=layer.groups,
            padding=tuple(sides) if layer.ndim or len(set(sides)) > 1 or isinstance(sides[0], tuple) else sides[0],
            in_channels=layer.out_channels, out_channels=layer.in_channels, bias=layer.bias, ndim=layer.ndim,
        )  # fmt: skip
    if not isinstance(layer, Conv) or layer.padding_mode != "zeros":
        raise ParameterError(
            f"the transpose of {layer} is not a layer: use conv_matrix(...).T, the operator's .H, "
            "or a convolution that pads with zeros"
        )
    back, *crop = transposed(layer, sizes.inputs)
    if crop:
        raise ParameterError(
            f"the transpose of {layer} at {times(sizes.inputs)} is two layers, {back} and {crop[0]}: "
            "use conv_matrix(...).T, or the same padding on both sides"
        )
    assert isinstance(back, ConvTranspose)
    return back


class FullyConnected(NamedTuple):
    """A layer as a torch Linear on flattened maps: y = weight @ x + bias."""

    layer: Linear
    weight: NDArray[Any]
    """Of shape (out_features, in_features), as in torch.nn.Linear."""
    bias: NDArray[Any]
    """Of shape (out_features,); zeros if no bias was given."""


def fully_connected(
    layer: Layer, input_size: int | Sequence[int], weight: ArrayLike | None = None, bias: ArrayLike | None = None
) -> FullyConnected:
    """Return the fully connected layer that does the same to flattened maps, with its dense weight and bias.

    Takes the arguments of `affine` and raises the same errors, and ParameterError if the dense matrix needs more memory
    than is free.

    >>> import convarith as ca
    >>> same = fully_connected(ca.Conv(kernel_size=2), 3, [1, -1], [0.5])
    >>> same.layer, same.weight.tolist(), same.bias.tolist()
    (Linear(3, 2), [[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]], [0.5, 0.5])
    """
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)
    rows, columns = shape_of_matrix(layer, sizes)
    refuse_beyond_memory(8 * rows * columns, f"the dense {rows:,} x {columns:,} matrix of {layer}")
    matrix, offset = affine(layer, input_size, weight, bias)
    return FullyConnected(Linear(in_features=columns, out_features=rows), matrix.toarray(), offset)


def as_convolution(linear: Linear, input_shape: Sequence[int]) -> Conv:
    """Return the convolution that does to a (C, *spatial) map what a Linear does to the flattened map.

    Its kernel is as large as the map, and its weight is the Linear's, reshaped to (out_features, *input_shape). On a
    larger map it slides, which turns a classifier into a fully convolutional network.

    Raises ParameterError if the shape does not flatten to in_features.

    >>> import convarith as ca
    >>> conv = as_convolution(ca.parse("Linear(512*7*7, 4096)"), (512, 7, 7))
    >>> conv, conv.output_shape((512, 9, 9))
    (Conv2d(512, 4096, 7), (4096, 3, 3))
    """
    channels, *spatial = shape_of(input_shape, "input shape")
    if not 1 <= len(spatial) <= 3 or prod(input_shape) != linear.in_features:
        raise ParameterError(
            f"{times(input_shape)} flattens to {prod(input_shape)}, but {linear} takes {linear.in_features} features: "
            "give the (C, *spatial) shape of the map before it is flattened"
        )
    return Conv(
        in_channels=channels, out_channels=linear.out_features, kernel_size=collapse(spatial),
        bias=linear.bias, ndim=len(spatial),
    )  # fmt: skip
