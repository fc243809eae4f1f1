"""The overlap of a layer or network as a figure: the counts as a heat map, and their spectrum beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from convarith.checkerboards.overlap import Overlap
from convarith.dependencies import require_numpy
from convarith.layers.base import AXIS_NAMES
from convarith.networks.network import Network
from convarith.sizes.normalise import times
from convarith_gallery.plots.figure import as_bytes, format_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 20
"""The largest number of rows and columns for which each count is written in its cell."""
LARGEST = 1024
"""The largest number of positions along one side of the map. If the output is larger, only the first ones are shown."""
INSIDE = 8
"""The smallest number of positions along one side if no input size is given. The map then shows whole periods."""
LEVELS = 12
"""The largest number of distinct counts for which the colour bar has one step per count."""


def picture(found: Overlap, path: str) -> bytes:
    """The figure as the bytes of a file, in the format that the suffix of `path` names. Nothing is written.

    Raises ParameterError for an unknown format, MissingDependencyError if numpy or matplotlib is missing.

    >>> import convarith as ca
    >>> picture(ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2), 5), "o.png")[1:4]
    b'PNG'
    """
    ending = format_of(path)
    return as_bytes(figure_of(found), ending)


def figure_of(found: Overlap) -> Figure:
    """The figure: the counts, and beside them the spectrum of the interior along each axis.

    Raises MissingDependencyError if numpy or matplotlib is missing.
    """
    require_numpy()
    flat = len(found.axes) == 1
    figure = new_figure(11, 3 if flat else 5.4)
    counts, spectrum = figure.subplots(1, 2, width_ratios=(1.6, 1))
    figure.suptitle(_title(found), fontsize=13, fontweight="bold", x=0.01, ha="left", wrap=True)
    _draw_counts(counts, found)
    _draw_spectrum(spectrum, found)
    return figure


def _title(found: Overlap) -> str:
    subject = found.subject
    name = _network_name(subject) if isinstance(subject, Network) else str(subject)
    return f"{'Even' if found.even else 'Uneven'}: {name}"


def _network_name(network: Network) -> str:
    count = len(network.nodes)
    return f"a network of {count} layer{'s' if count != 1 else ''}"


def _shown(found: Overlap) -> Any:
    """The counts as a 2-D map: all of them, or whole periods of the interior. In 3-D, the middle plane along D."""
    import numpy as np

    values = found.map()
    if found.counts is None:
        values = np.tile(values, [-(-INSIDE // size) for size in values.shape])
    while values.ndim > 2:
        values = values[len(values) // 2]
    return np.atleast_2d(values)[:LARGEST, :LARGEST].astype(float)


def _draw_counts(axes: Axes, found: Overlap) -> None:
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm

    values = _shown(found)
    levels = np.unique(values)
    steps = len(levels) <= LEVELS
    colours = colormaps["cividis"]
    norm = None
    if steps:
        middles = (levels[:-1] + levels[1:]) / 2
        ends = [levels[0] - 0.5, *middles, levels[-1] + 0.5]
        # a colour map needs at least two colours, even for a single count
        colours = colours.resampled(max(2, len(levels)))
        norm = BoundaryNorm(ends, len(levels)) if len(levels) > 1 else None
    rows, columns = values.shape
    aspect: Literal["equal", "auto"] = "equal" if rows > 1 else "auto"
    drawn = axes.imshow(values, cmap=colours, norm=norm, interpolation="nearest", aspect=aspect)
    axes.locator_params(integer=True)
    if max(rows, columns) <= NUMBERED:
        _write_counts(axes, values, drawn)
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
    what = "output" if found.side == "output" else "input"
    how = "is hit" if found.side == "output" else "is read, and so receives a gradient"
    size = times(map(len, found.counts)) if found.counts else "interior"
    axes.set_title(f"How often each {what} {how} ({size})", fontsize=10, loc="left")
    names = AXIS_NAMES[len(found.axes)]
    axes.set_xlabel(f"{what} position along {names[-1]}")
    if len(names) > 1:
        axes.set_ylabel(f"{what} position along {names[-2]}")
    else:
        axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if axes.figure is not None and len(levels) > 1 and (rows > 1 or columns > NUMBERED):
        orientation = "vertical" if rows > 1 else "horizontal"
        bar = axes.figure.colorbar(drawn, ax=axes, orientation=orientation, shrink=0.85, label="count")
        if steps:
            bar.set_ticks(list(levels), labels=[f"{level:g}" for level in levels])


def _write_counts(axes: Axes, values: Any, drawn: Any) -> None:
    """Write each count in its cell, in black or white, whichever is readable on the colour."""
    size = 11 if max(values.shape) <= 12 else 8
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            red, green, blue, _ = drawn.cmap(drawn.norm(value))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
            axes.text(column, row, f"{value:g}", ha="center", va="center", color=ink, fontsize=size)


def _draw_spectrum(axes: Axes, found: Overlap) -> None:
    import numpy as np

    colours = ("#0072B2", "#D55E00", "#009E73")  # blue, vermilion and green of Okabe and Ito
    names = AXIS_NAMES[len(found.axes)]
    alike = len(set(found.interior)) == 1
    drawn = False
    for axis, counts in enumerate(found.interior[:1] if alike else found.interior):
        transform = np.abs(np.fft.rfft(counts)) / max(1, sum(counts))
        cycles = np.arange(len(transform)) / len(counts)
        there = [number for number in range(1, len(transform)) if transform[number] > 1e-9]
        if not there:
            continue
        drawn = True
        label = None if alike else names[axis]
        stems = axes.stem(cycles[there], transform[there], basefmt=" ", label=label)
        stems.markerline.set(color=colours[axis % 3], markersize=8)
        stems.stemlines.set(color=colours[axis % 3], linewidth=2.5)
        if len(there) <= 4:
            for number in there:
                axes.annotate(
                    f"{transform[number]:.2g}", (cycles[number], transform[number]), (0, 8),
                    textcoords="offset points", ha="center", fontsize=9,
                )  # fmt: skip
    axes.set(xlim=(0, 0.53), ylim=(0, None if drawn else 1), xlabel="cycles per position", ylabel="amplitude / mean")
    axes.set_xticks([0, 1 / 8, 1 / 4, 3 / 8, 1 / 2], ["0", "1/8", "1/4", "3/8", "1/2"])
    axes.set_ylim(0, axes.get_ylim()[1] * (1.12 if drawn else 1))  # room for the numbers
    axes.set_title(
        "Spectrum of the interior" + (f" (same along {' and '.join(names)})" if alike and len(names) > 1 else ""),
        fontsize=10,
        loc="left",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    if not drawn:
        axes.text(
            0.5, 0.5, "no pattern: all interior counts are equal", transform=axes.transAxes, ha="center", color="0.35"
        )
    elif not alike:
        axes.legend(frameon=False)
