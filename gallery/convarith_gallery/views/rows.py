"""A layer as its matrix: one row per output, the flattened input on the right, and their product."""

from __future__ import annotations

from convarith.errors import ParameterError
from convarith.layers.convolution import ConvTranspose
from convarith_gallery.views.reads import Number, reads, value_of
from convarith_gallery.views.scattering import transposed_remarks
from convarith_gallery.views.sliding import remarks_of, title_of
from convarith_gallery.views.story import Area, Cell, Panel, Step, Story
from convarith_gallery.views.subject import Subject, written

MOST_CELLS = 4096
"""The cells of a matrix with more entries would be too small to see."""


def tell(subject: Subject) -> Story:
    """One step per row of the matrix: its taps, the inputs that they multiply, and the resulting output.

    Raises ParameterError for a layer that is not linear, and for a matrix that is too large to draw.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.Conv(kernel_size=2), (3, 3), range(1, 10), [0, 1, 2, 3]))
    >>> [cell.text for cell in story.panels[0].rows[0]], story.steps[-1].caption
    (['0', '1', '·', '2', '3', '·', '·', '·', '·'], 'row 3: output (1, 1) = 49')
    """
    layer = subject.layer
    found = list(reads(layer, subject.shape))
    if found[0].how != "sum":
        raise ParameterError(f"{layer} has no matrix because it is not linear: use --view slide")
    if len(found) * len(subject.values) > MOST_CELLS:
        raise ParameterError(
            f"the {len(found):,} x {len(subject.values):,} matrix has more than {MOST_CELLS:,} cells, too small to "
            "see: use a smaller input"
        )
    columns = {index: number for number, index in enumerate(subject.values)}
    grid: list[list[Cell]] = []
    sums: list[Number] = []
    for read in found:
        entries: dict[int, Number] = {}
        for term in read.terms:
            if term.source is not None:
                weight: Number = 1 if term.tap is None or subject.weight is None else subject.weight[term.tap]
                at = columns[term.source]
                entries[at] = entries.get(at, 0) + weight * term.share
        nothing = Cell("empty", "·" if subject.numbers else "")
        grid.append([
            Cell("kernel", subject.text(entries[at])) if at in entries else nothing for at in range(len(columns))
        ])  # fmt: skip
        sums.append(value_of(read, subject.values, subject.weight))
    panels = (
        Panel("matrix", tuple(map(tuple, grid))),
        Panel("input", tuple((Cell("input", subject.text(number)),) for number in subject.values.values())),
        Panel("output", tuple((Cell("empty"),) for _ in found)),
    )
    steps = []
    for number, (read, total) in enumerate(zip(found, sums, strict=True)):
        taps = [at for at, cell in enumerate(grid[number]) if cell.role == "kernel"]
        marks = {(0, number, at): cell._replace(heavy=True) for at, cell in enumerate(grid[number]) if at in taps}
        marks |= {(1, at, 0): Cell("kernel", panels[1].rows[at][0].text) for at in taps}  # type: ignore[union-attr]
        marks[2, number, 0] = Cell("now", subject.text(total), heavy=True)
        place = str(read.target[1:]) if len(read.target) > 2 else str(read.target[1])
        channel = f" of channel {read.target[0]}" if subject.output[0] > 1 else ""
        caption = f"row {number}: output {place}{channel}" + (f" = {written(total)}" if subject.numbers else "")
        links = ((Area(0, number, 0, number + 1, len(columns)), Area(2, number, 0, number + 1, 1)),)
        steps.append(Step(marks, {(2, number, 0): Cell("output", subject.text(total))}, caption, links))
    groups = {"matrix": f"matrix {len(found)} × {len(columns)}", "input": "input", "output": "output"}
    remarks = transposed_remarks(subject) if isinstance(layer, ConvTranspose) else remarks_of(subject)
    if isinstance(layer, ConvTranspose):
        remarks = ("each column holds the kernel: this is the transpose of the matrix of a convolution", *remarks)
    return Story(
        f"{title_of(subject)}, as a matrix", groups, panels, tuple(steps), subject.formula, str(layer), remarks,
        ("·", "="),
    )  # fmt: skip
