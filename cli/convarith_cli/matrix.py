"""convarith matrix: the matrix of a layer, its taps in colour, and what follows from its numbers."""

from __future__ import annotations

import json
from math import isfinite, prod
from typing import Annotated, Any, NamedTuple

import typer

from convarith.dependencies import require_numpy
from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.matrices.matrix import (
    LayerSizes,
    affine,
    bytes_needed,
    check_memory,
    conv_matrix,
    measured,
    nnz,
    numbers,
    reads,
    shape_of_matrix,
    weight_shape,
)
from convarith.matrices.operators import adjoint
from convarith.matrices.spectrum import LARGEST, Stability, stability
from convarith.networks.network import Network
from convarith.sizes.normalise import counted, times
from convarith_cli.answer import Answer, Block, Facts, Grid
from convarith_cli.named import names_network, read_input, read_subject
from convarith_cli.number_lists import read_rows, shortened
from convarith_cli.options import Json, LayerArgument, Markdown, command_app, layer_options

app = command_app()

MOST_ROWS, MOST_COLUMNS = 36, 36
"""The size up to which a matrix is printed."""

MOST_ESTIMATED = 500_000
"""The entries up to which the largest singular value is estimated if all of them are too many; takes seconds."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

EXAMPLES = """
\b
Examples:
  convarith matrix -i 3x3 --weight "0,1;2,3"
  convarith matrix -k 3 -s 2 -p 1 -i 5
  convarith matrix conv-transpose -i 5 --weight "1 2 3" --values "0 0 1 0 0"
  convarith matrix avg-pool -k 2 -i 4x4
  convarith matrix "Conv2d(16, 32, 3, padding=1)" -i 28x28 --json
"""


class Question(NamedTuple):
    """A layer at one input size, with its numbers; `weight` None stands for ones. `remarks` say how -i was read."""

    layer: SpatialLayer
    sizes: LayerSizes
    weight: Any
    bias: Any
    remarks: list[str]


@app.command(epilog=EXAMPLES)
@layer_options
def matrix(
    given: dict[str, Any],
    input_size: Annotated[
        str,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: 28, or one per axis: 28x30. If the layer says its dimension, also with the channels "
            "first: 1x28x28.",
        ),
    ],
    layer: LayerArgument = "conv",
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS|FILE", show_default=False,
            help="The kernel, its rows separated by ';': '0,1;2,3'. Or a nested JSON list or an .npy file, in torch's "
            "shape.",
        ),
    ] = None,
    bias: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="One number per output channel.", show_default=False)
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", show_default=False, help="The flattened input; the default is 1, 2, 3, ..."),
    ] = None,
    transpose: Annotated[
        bool, typer.Option("--transpose", help="Show the layer of the transposed matrix, which leads back to SIZE.")
    ] = False,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the matrix as .npz, for scipy.sparse.load_npz.", show_default=False),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the positions of its entries: .png, .svg, .pdf.", show_default=False),
    ] = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> Answer:  # fmt: skip
    """Show the matrix of a layer.

    A convolution is a product with a matrix whose rows are the kernel at different positions. Prints that matrix, with
    the flattened input above it and the product on its right; then its rank, its singular values, and how much the
    layer can amplify. Without --weight, letters stand for the taps.
    """
    if save is not None and not save.endswith(".npz"):
        raise ParameterError(
            f"cannot save to {save}: scipy reads sparse matrices from .npz files, so end the name in .npz"
        )
    question = _question(layer, given, input_size, weight, bias, transpose)
    x = None if values is None else read_numbers(values, "--values").ravel()
    columns = shape_of_matrix(question.layer, question.sizes)[1]
    if x is not None and len(x) != columns:
        raise ParameterError(f"--values has {counted(len(x), 'number')}, but the flattened input has {columns:,}")
    if save is not None:
        check_memory(question.layer, question.sizes.inputs)
    answer = _answer(question, x)
    if save is not None:
        from scipy.sparse import save_npz

        found = conv_matrix(question.layer, question.sizes.inputs, question.weight)
        from convarith_gallery.atomic_file import write_whole

        write_whole(save, lambda file: save_npz(file, found))
        answer.blocks.append(f"Wrote the matrix to {save}.")
    if plot is not None:
        from convarith_gallery.atomic_file import write_whole
        from convarith_gallery.plots.matrix import picture

        write_whole(plot, picture(question.layer, question.sizes.inputs, plot))
        answer.blocks.append(f"Wrote the picture to {plot}.")
    return answer._replace(as_json=as_json, as_markdown=as_markdown)


# The question --------------------------------------------------------------------------------------------------------


def read_numbers(text: str, name: str) -> Any:
    """Numbers as an array: '0,1;2,3', '1 2 3', a range 1..9, a nested JSON list, or the name of an .npy file.

    >>> read_numbers("0,1;2,3", "--weight").tolist(), read_numbers("1..3", "--values").tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0, 3.0])
    """
    np = require_numpy()
    if text.endswith(".npy"):
        try:
            return _finite(numbers(np.load(text, allow_pickle=False), f"array in {text}"), text)
        except OSError as error:
            raise ConvarithError(f"cannot read {text}: {error.strerror or 'it is not an .npy file'}") from None
        except (ValueError, EOFError) as error:
            if isinstance(error, ConvarithError):
                raise
            raise ConvarithError(f"cannot read {text}: it is not an .npy file of numbers") from None
    if text.lstrip().startswith("["):
        try:
            return _finite(np.asarray(json.loads(text), dtype=np.float64), name)
        except (ValueError, TypeError, RecursionError) as error:
            if isinstance(error, ConvarithError):
                raise
            raise ParameterError(
                f"{name} {shortened(text)} is not a nested list of numbers with rows of equal length"
            ) from None
    rows = read_rows(text, name)
    return _finite(np.array(rows if len(rows) > 1 else rows[0], dtype=np.float64), name)


def _finite(array: Any, name: str) -> Any:
    if array.dtype.kind == "c" or not (abs(array) <= LARGEST).all():
        raise ParameterError(f"{name} has numbers that are not real, not finite or larger than {LARGEST:g}")
    return array


def _question(
    text: str, given: dict[str, Any], size: str, weight: str | None, bias: str | None, transpose: bool
) -> Question:
    kernel = None if weight is None else read_numbers(weight, "--weight")
    is_kind = "(" not in text and not names_network(text)
    if kernel is not None and is_kind and "kernel_size" not in given and kernel.ndim <= 3:
        given = given | {"kernel_size": times(kernel.shape)}  # the weight of one channel has the shape of the kernel
    layer = _only_layer(read_subject(text, given).subject)
    entered = read_input(layer, size)
    inputs = entered.numbers if entered.sizes is None else entered.sizes
    with entered.explained():
        sizes = measured(layer, inputs)
    if entered.told and entered.channels != sizes.in_channels:
        raise ShapeError(
            f"-i {times(entered.numbers)} has {counted(entered.channels or 0, 'channel')}, but the matrix of {layer} "
            f"is that of {counted(sizes.in_channels, 'channel')}: leave the channels out of -i, or give the layer its "
            "channels"
        )
    if transpose:
        layer = adjoint(layer, inputs)
        sizes = measured(layer, sizes.outputs)
    assert isinstance(layer, SpatialLayer)
    offset = None if bias is None else read_numbers(bias, "--bias").ravel()
    return Question(layer, sizes, kernel, offset, entered.remarks)


def _only_layer(subject: Layer | Network) -> Layer:
    if isinstance(subject, Layer):
        return subject
    if len(subject.nodes) == 1:
        return subject.nodes[0].layer
    raise ParameterError(f"matrix shows one layer, but this is a network of {len(subject.nodes)}: give one of them")


# The answer ----------------------------------------------------------------------------------------------------------


def _answer(question: Question, x: Any) -> Answer:
    np = require_numpy()
    layer, sizes, weight, bias, _ = question
    rows, columns = shape_of_matrix(layer, sizes)
    entries = nnz(layer, sizes.inputs)
    small = 0 < rows <= MOST_ROWS and 0 < columns <= MOST_COLUMNS
    found = stability(layer, sizes.inputs, weight, estimate=entries <= MOST_ESTIMATED)
    dense = y = None
    count = prod(weight_shape(layer, sizes))
    lettered = isinstance(layer, Conv | ConvTranspose) and weight is None and x is None and count <= len(LETTERS)
    if small or x is not None:
        x = np.arange(1.0, columns + 1) if x is None else x
        built, offset = affine(layer, sizes.inputs, weight, bias)
        y = built @ x + offset
        dense = built.toarray() if small else None
    blocks: list[Block] = [
        f"{rows:,} x {columns:,} matrix of {layer}: {entries:,} of {rows * columns:,} entries are stored"
    ]
    if dense is not None:
        blocks += _letters(question, dense) if lettered else _numbers(question, dense, x, y)
    blocks.append(_facts(question, entries, found))
    blocks += [f"{remark}." for remark in question.remarks]
    back = _transpose(question)
    data = {
        "layer": str(layer),
        "input_size": list(sizes.inputs),
        "output_size": list(sizes.outputs),
        "shape": [rows, columns],
        "nnz": entries,
        "bytes": bytes_needed(layer, sizes.inputs),
        "dense": None if dense is None else dense.tolist(),
        "values": None if x is None else x.tolist(),
        "product": None if y is None else y.tolist(),
        "rank": found.rank,
        "largest_singular_value": found.largest,
        "smallest_singular_value": found.smallest,
        "condition": found.condition if found.condition is None or isfinite(found.condition) else None,
        "bound": found.bound,
        "method": found.method,
        "amplifies": found.amplifies,
        "transpose": None if back is None else str(back),
        "remarks": question.remarks,
    }
    return Answer(data, blocks)


Places = dict[tuple[int, int], list[int]]
"""The weights in each entry, as indices into the flattened weight."""


def _places(question: Question) -> Places:
    places: Places = {}
    found = reads(question.layer, question.sizes.inputs)
    for row, column, place in zip(*(each.tolist() for each in found), strict=True):
        places.setdefault((row, column), []).append(place)
    return places


def _colours(question: Question, places: Places, dense: Any) -> list[list[int | None]]:
    """The tap in each entry; the first one if there are several."""
    rows, columns = dense.shape
    taps = prod(question.sizes.kernel)
    return [
        [places[row, column][0] % taps if (row, column) in places else None for column in range(columns)]
        for row in range(rows)
    ]


def _letters(question: Question, dense: Any) -> list[Block]:
    """The matrix of a kernel without numbers: one letter per tap."""
    places, shape = _places(question), weight_shape(question.layer, question.sizes)
    colours = _colours(question, places, dense)
    cells = [
        [
            "+".join(LETTERS[place] for place in sorted(places.get((row, column), []))) or "."
            for column in range(len(line))
        ]
        for row, line in enumerate(colours)
    ]
    which = (
        f"The letters stand for the weight of shape {times(shape if prod(shape[:2]) > 1 else shape[2:])}, row by row."
    )
    return [Grid(cells, colours), which]


def _numbers(question: Question, dense: Any, x: Any, y: Any) -> list[Block]:
    """The matrix below the flattened input, with the product on its right; a dot marks an entry without a tap."""
    places = _places(question)
    cells = [
        [_number(value) if (row, column) in places else "." for column, value in enumerate(line)]
        for row, line in enumerate(dense.tolist())
    ]
    head = ["x", *map(_number, x.tolist()), "|", "y"]
    rows = [head, *(["", *line, "|", _number(value)] for line, value in zip(cells, y.tolist(), strict=True))]
    colours = ([None, *line, None, None] for line in _colours(question, places, dense))
    return [Grid(rows, [[None] * len(head), *colours])]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _facts(question: Question, entries: int, found: Stability) -> Facts:
    layer, sizes = question.layer, question.sizes
    lines = [
        ("input", _flattened(sizes.in_channels, sizes.inputs, found.columns)),
        ("output", _flattened(found.rows // max(1, prod(sizes.outputs)), sizes.outputs, found.rows)),
        ("memory", f"{bytes_needed(layer, sizes.inputs):,} bytes sparse, {8 * found.rows * found.columns:,} dense"),
    ]
    if question.weight is None and isinstance(layer, Conv | ConvTranspose):
        lines.append(("weight", "all ones in the lines below; give others with --weight"))
    most = min(found.rows, found.columns)
    if found.rank is not None:
        lines.append(("rank", f"{found.rank:,}, full" if found.rank == most else f"{found.rank:,} of {most:,}"))
    else:
        lines.append(("rank", f"at most {most:,} (too large to compute)"))
    if found.smallest is not None and found.largest is not None:
        lines.append(("singular values", f"{found.largest:.4g} to {found.smallest:.4g} ({_way(found)})"))
    elif found.largest is not None:
        lines.append(("singular values", f"largest {found.largest:.4g} ({_way(found)}), at most {found.bound:.4g}"))
    else:
        lines.append(("singular values", f"at most {found.bound:.4g} (too large to compute)"))
    if found.condition is not None:
        lines.append(("condition", f"{found.condition:.4g}" if isfinite(found.condition) else "infinite"))
    lines.append(("amplifies", found.amplifies))
    back = _transpose(question)
    if back is not None:
        lines.append(("transpose", f"{back}, with the same weight"))
    return Facts(lines)


def _way(found: Stability) -> str:
    return "estimated by Lanczos" if found.method == "Lanczos" else str(found.method)


def _flattened(channels: int, sizes: tuple[int, ...], count: int) -> str:
    shape = (channels, *sizes) if channels > 1 else sizes
    return f"{times(shape)}, flattened to {count:,}" if len(shape) > 1 else times(shape)


def _transpose(question: Question) -> Layer | None:
    """The layer of the transposed matrix, if there is one."""
    try:
        return adjoint(question.layer, question.sizes.inputs)
    except ParameterError:
        return None
