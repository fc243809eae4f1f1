"""convarith matrix: the matrix of a layer, its bands in the colours of the taps, and what follows from its numbers."""

from __future__ import annotations

import json
from math import isfinite, prod
from typing import Annotated, Any, NamedTuple

import typer

from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.matrices.matrix import (
    LayerSizes,
    affine,
    bytes_needed,
    conv_matrix,
    measured,
    nnz,
    numbers,
    reads,
    require_numpy,
    shape_of_matrix,
    weight_shape,
)
from convarith.matrices.operators import adjoint
from convarith.matrices.spectrum import LARGEST, Stability, stability
from convarith.sizes.normalise import read_sizes, times
from convarith_cli.answer import Answer, Block, Facts, Grid
from convarith_cli.numbers import read_rows, shortened
from convarith_cli.options import Json, LayerArgument, command_app, layer_options, read_layer

app = command_app()

MOST_ROWS, MOST_COLUMNS = 36, 36
"""A matrix up to this size is printed."""

MOST_ESTIMATED = 5_000_000
"""Entries up to which the largest singular value of a matrix too large for all of them is estimated: seconds."""

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
    """A layer at one input size, with its numbers: `weight` None for one of ones."""

    layer: SpatialLayer
    sizes: LayerSizes
    weight: Any
    bias: Any


@app.command(epilog=EXAMPLES)
@layer_options
def matrix(
    given: dict[str, Any],
    input_size: Annotated[
        str,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size, channels left out: 28, or 28x30 one an axis.",
        ),
    ],
    layer: LayerArgument = "conv",
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS|FILE", show_default=False,
            help="The kernel, rows between ';': '0,1;2,3'. Or a nested JSON list or an .npy file of torch's shape.",
        ),
    ] = None,
    bias: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="One number an output channel.", show_default=False)
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", show_default=False, help="The flattened input; 1, 2, 3, ... if left out."),
    ] = None,
    transpose: Annotated[
        bool, typer.Option("--transpose", help="The layer of the transposed matrix, which leads back to SIZE.")
    ] = False,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write it as .npz for scipy.sparse.load_npz.", show_default=False),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw where its entries stand: .png, .svg, .pdf.", show_default=False),
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a README or a paper.")] = False,
) -> Answer:  # fmt: skip
    """The matrix of a layer.

    A convolution is a product with a matrix, each row the kernel at another place; this is that matrix, the flattened
    input above it, the product on its right. Then its rank, its singular values, and what the layer can amplify.
    Without --weight the taps are letters.
    """
    if save is not None and not save.endswith(".npz"):
        raise ParameterError(f"cannot save to {save}: scipy reads a sparse matrix from an .npz file, end the name so")
    question = _question(layer, given, read_sizes(input_size, "--input"), weight, bias, transpose)
    x = None if values is None else read_numbers(values, "--values").ravel()
    columns = shape_of_matrix(question.layer, question.sizes)[1]
    if x is not None and len(x) != columns:
        raise ParameterError(f"--values has {len(x)} numbers, but the flattened input has {columns}: give as many")
    answer = _answer(question, x)
    if save is not None:
        from scipy.sparse import save_npz  # type: ignore[import-untyped]

        found = conv_matrix(question.layer, question.sizes.inputs, question.weight)
        from convarith_gallery.atomic_file import write_whole

        write_whole(save, lambda file: save_npz(file, found))
        answer.blocks.append(f"The matrix is in {save}.")
    if plot is not None:
        from convarith_gallery.atomic_file import write_whole
        from convarith_gallery.plots.matrix import picture

        write_whole(plot, picture(question.layer, question.sizes.inputs, plot))
        answer.blocks.append(f"The picture is in {plot}.")
    return answer._replace(as_json=as_json, as_markdown=as_markdown)


# The question --------------------------------------------------------------------------------------------------------


def read_numbers(text: str, name: str) -> Any:
    """Numbers as an array: '0,1;2,3', '1 2 3', a whole range 1..9, a nested JSON list, or the name of an .npy file.

    >>> read_numbers("0,1;2,3", "--weight").tolist(), read_numbers("1..3", "--values").tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0, 3.0])
    """
    np = require_numpy()
    if text.endswith(".npy"):
        try:
            return _finite(numbers(np.load(text, allow_pickle=False), f"array in {text}"), text)
        except OSError as error:
            raise ConvarithError(f"cannot read {text}: {error.strerror or 'it is no .npy file'}") from None
        except (ValueError, EOFError) as error:
            if isinstance(error, ConvarithError):
                raise
            raise ConvarithError(f"cannot read {text}: it is no .npy file of numbers") from None
    if text.lstrip().startswith("["):
        try:
            return _finite(np.asarray(json.loads(text), dtype=np.float64), name)
        except (ValueError, TypeError, RecursionError) as error:
            if isinstance(error, ConvarithError):
                raise
            raise ParameterError(f"{name} {shortened(text)} is no nested list of numbers, every row as long") from None
    rows = read_rows(text, name)
    return _finite(np.array(rows if len(rows) > 1 else rows[0], dtype=np.float64), name)


def _finite(array: Any, name: str) -> Any:
    if array.dtype.kind == "c" or not (abs(array) <= LARGEST).all():
        raise ParameterError(f"{name} has numbers that are not real and finite, or beyond {LARGEST:g}: give others")
    return array


def _question(
    text: str, given: dict[str, Any], size: tuple[int, ...], weight: str | None, bias: str | None, transpose: bool
) -> Question:
    kernel = None if weight is None else read_numbers(weight, "--weight")
    if kernel is not None and "(" not in text and "kernel_size" not in given and kernel.ndim <= 3:
        given = given | {"kernel_size": times(kernel.shape)}  # the weight of one channel tells it
    layer = read_layer(text, given)
    if isinstance(layer, SpatialLayer) and len(size) == 1 and layer.ndim is not None:
        size *= layer.ndim
    sizes = measured(layer, size)
    if transpose:
        layer = adjoint(layer, size)
        sizes = measured(layer, sizes.outputs)
    assert isinstance(layer, SpatialLayer)
    offset = None if bias is None else read_numbers(bias, "--bias").ravel()
    return Question(layer, sizes, kernel, offset)


# The answer ----------------------------------------------------------------------------------------------------------


def _answer(question: Question, x: Any) -> Answer:
    np = require_numpy()
    layer, sizes, weight, bias = question
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
    blocks: list[Block] = [f"{rows:,} x {columns:,} matrix of {layer}: {entries:,} of {rows * columns:,} entries"]
    if dense is not None:
        blocks += _letters(question, dense) if lettered else _numbers(question, dense, x, y)
    blocks.append(_facts(question, entries, found))
    back = _transpose(question)
    data = {
        "layer": str(layer),
        "input_size": list(sizes.inputs),
        "output_size": list(sizes.outputs),
        "shape": [rows, columns],
        "nnz": entries,
        "bytes": bytes_needed(layer, sizes.inputs),
        "dense": None if dense is None else dense.tolist(),
        "input": None if x is None else x.tolist(),
        "output": None if y is None else y.tolist(),
        "rank": found.rank,
        "largest_singular_value": found.largest,
        "smallest_singular_value": found.smallest,
        "condition": found.condition if found.condition is None or isfinite(found.condition) else None,
        "bound": found.bound,
        "method": found.method,
        "amplifies": found.amplifies,
        "transpose": None if back is None else str(back),
    }
    return Answer(data, blocks)


Places = dict[tuple[int, int], list[int]]
"""The weights of each entry, by their places in the flattened weight."""


def _places(question: Question) -> Places:
    places: Places = {}
    found = reads(question.layer, question.sizes.inputs)
    for row, column, place in zip(*(each.tolist() for each in found), strict=True):
        places.setdefault((row, column), []).append(place)
    return places


def _colours(question: Question, places: Places, dense: Any) -> list[list[int | None]]:
    """The kernel's tap of each entry, the first of several."""
    rows, columns = dense.shape
    taps = prod(question.sizes.kernel)
    return [
        [places[row, column][0] % taps if (row, column) in places else None for column in range(columns)]
        for row in range(rows)
    ]


def _letters(question: Question, dense: Any) -> list[Block]:
    """The matrix of a kernel without numbers: a letter for each of its taps."""
    places, shape = _places(question), weight_shape(question.layer, question.sizes)
    colours = _colours(question, places, dense)
    cells = [
        [
            "+".join(LETTERS[place] for place in sorted(places.get((row, column), []))) or "."
            for column in range(len(line))
        ]
        for row, line in enumerate(colours)
    ]
    which = f"The letters are the weight of shape {times(shape if prod(shape[:2]) > 1 else shape[2:])}, row by row."
    return [Grid(cells, colours), which]


def _numbers(question: Question, dense: Any, x: Any, y: Any) -> list[Block]:
    """The matrix, a dot where no tap is, under the flattened input; the product on its right."""
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
    layer, sizes, _, _ = question
    lines = [
        ("input", _flattened(sizes.in_channels, sizes.inputs, found.columns)),
        ("output", _flattened(found.rows // max(1, prod(sizes.outputs)), sizes.outputs, found.rows)),
        ("memory", f"{bytes_needed(layer, sizes.inputs):,} bytes sparse, {8 * found.rows * found.columns:,} dense"),
    ]
    if question.weight is None and isinstance(layer, Conv | ConvTranspose):
        lines.append(("weight", "all ones, for what follows: --weight gives numbers"))
    most = min(found.rows, found.columns)
    if found.rank is not None:
        lines.append(("rank", f"{found.rank:,}, full" if found.rank == most else f"{found.rank:,} of {most:,}"))
    else:
        lines.append(("rank", f"at most {most:,}: too large to compute"))
    if found.smallest is not None and found.largest is not None:
        lines.append(("singular values", f"{found.largest:.4g} to {found.smallest:.4g} ({_way(found)})"))
    elif found.largest is not None:
        lines.append(("singular values", f"largest {found.largest:.4g} ({_way(found)}), at most {found.bound:.4g}"))
    else:
        lines.append(("singular values", f"at most {found.bound:.4g}; too large to compute"))
    if found.condition is not None:
        lines.append(("condition", f"{found.condition:.4g}" if isfinite(found.condition) else "infinite"))
    lines.append(("amplifies", found.amplifies))
    back = _transpose(question)
    if back is not None:
        lines.append(("transpose", f"{back}, of the same weight"))
    return Facts(lines)


def _way(found: Stability) -> str:
    return "estimated by Lanczos" if found.method == "Lanczos" else str(found.method)


def _flattened(channels: int, sizes: tuple[int, ...], count: int) -> str:
    shape = (channels, *sizes) if channels > 1 else sizes
    return f"{times(shape)}, flattened to {count:,}" if len(shape) > 1 else times(shape)


def _transpose(question: Question) -> Layer | None:
    """The layer of the transposed matrix, where there is one."""
    try:
        return adjoint(question.layer, question.sizes.inputs)
    except ParameterError:
        return None
