"""The matrix of a layer as a figure: the position of its entries, with one colour per tap of the kernel."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from convarith.layers.base import Layer, SpatialLayer
from convarith.matrices.matrix import LayerSizes, measured, reads, shape_of_matrix
from convarith.sizes.normalise import times
from convarith_gallery.plots.figure import as_bytes, format_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 400
"""The largest number of cells along one side. In a larger matrix, one cell stands for several entries."""
NAMED = 27
"""The largest number of taps that a legend names. More taps get a colour bar instead."""
GRIDDED = 40
"""The largest number of rows and columns for which a grid separates the cells."""


def picture(layer: Layer, input_size: tuple[int, ...], path: str) -> bytes:
    """The figure as the bytes of a file, in the format that the suffix of `path` names. Nothing is written.

    Raises ParameterError for an unknown format, MissingDependencyError if matplotlib is missing, and the errors of
    `convarith.matrices.matrix.reads`.

    >>> import convarith as ca
    >>> picture(ca.Conv(kernel_size=3), (7,), "m.png")[1:4]
    b'PNG'
    """
    ending = format_of(path)
    return as_bytes(figure_of(layer, input_size), ending)


def figure_of(layer: Layer, input_size: tuple[int, ...]) -> Figure:
    """The figure: rows are the flattened outputs and columns the flattened inputs, as in `conv_matrix`."""
    import numpy as np

    sizes, (rows, columns) = _measured(layer, input_size)
    figure = new_figure(*_inches(rows, columns))
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    taps = prod(sizes.kernel)
    cells = _cells(layer, input_size, taps)
    colours = colormaps["turbo"](np.linspace(0.06, 0.94, taps)) if taps > 10 else colormaps["tab10"](range(taps))
    axes = figure.subplots()
    drawn = axes.imshow(
        cells, cmap=ListedColormap(list(colours)), norm=BoundaryNorm(np.arange(taps + 1) - 0.5, taps),
        interpolation="nearest", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), aspect="auto",
    )  # fmt: skip
    axes.set_xlabel(f"input, {_flattened(sizes.in_channels, sizes.inputs)}")
    channels = taps if rows > sizes.out_channels * prod(sizes.outputs) else sizes.out_channels
    axes.set_ylabel(f"output, {_flattened(channels, sizes.outputs)}")
    axes.locator_params(integer=True)
    figure.suptitle(f"{rows:,} x {columns:,} matrix of {layer}", fontsize=12, fontweight="bold", wrap=True)
    if max(rows, columns) <= GRIDDED:
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.9", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
        axes.set_axisbelow(True)
    if 1 < taps <= NAMED:
        names = [times(place) if len(place) == 1 else str(place) for place in product(*map(range, sizes.kernel))]
        patches = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=True)]
        figure.legend(handles=patches, title="tap", loc="outside right upper", frameon=False, fontsize=9)
    elif taps > NAMED:
        figure.colorbar(drawn, ax=axes, label="tap, row by row", ticks=[0, taps - 1])
    return figure


def _measured(layer: Layer, input_size: tuple[int, ...]) -> tuple[LayerSizes, tuple[int, int]]:
    """The sizes of a layer, and (rows, columns) of its matrix. Raises ParameterError if it has none."""
    sizes = measured(layer, input_size)
    assert isinstance(layer, SpatialLayer)  # measured raises for every other layer
    return sizes, shape_of_matrix(layer, sizes)


def _cells(layer: Layer, input_size: tuple[int, ...], taps: int) -> Any:
    """The tap of each cell, NaN without an entry. If a cell stands for several entries, it shows the first one."""
    import numpy as np

    found = reads(layer, input_size)
    _, (rows, columns) = _measured(layer, input_size)
    step = max(1, -(-max(rows, columns) // LARGEST))
    cells = np.full((-(-rows // step), -(-columns // step)), np.nan)
    # written in reverse, so that the first of several entries is the one that stays
    cells[found.rows[::-1] // step, found.columns[::-1] // step] = found.weights[::-1] % taps
    return cells


def _inches(rows: int, columns: int) -> tuple[float, float]:
    """The width and height: cells are square unless the figure would then not fit on a page."""
    ratio = min(3.0, max(1 / 3, rows / max(1, columns)))
    return (9.0, 1.6 + 6.4 * ratio) if ratio <= 1 else (2.4 + 7.0 / ratio, 8.6)


def _flattened(channels: int, sizes: tuple[int, ...]) -> str:
    return f"{times((channels, *sizes) if channels > 1 else sizes)} flattened"
