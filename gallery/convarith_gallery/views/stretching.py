"""A transposed convolution as a convolution: the flipped kernel slides over the input with zeros inserted.

This gives the same numbers, but most of the products are with zeros, so frameworks do not compute it this way.
"""

from __future__ import annotations

from convarith.layers.convolution import ConvTranspose
from convarith_gallery.views.reads import Index, Read, reads, value_of
from convarith_gallery.views.scattering import extra_note, transposed_remarks
from convarith_gallery.views.sliding import areas, position, size_text, title_of
from convarith_gallery.views.story import Area, Cell, Place, Step, Story
from convarith_gallery.views.subject import Sheet, Subject, written


def tell(subject: Subject) -> Story:
    """One step per output: the window of the flipped kernel over the stretched input.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.ConvTranspose(kernel_size=2, stride=2, ndim=1), (2,), [1, 2], [3, 4]))
    >>> [[cell.text for cell in panel.rows[0]] for panel in story.panels[:2]]
    [['0', '1', '0', '2', '0'], ['4', '3']]
    """
    layer = subject.layer
    assert isinstance(layer, ConvTranspose)
    found = list(reads(layer, subject.shape))
    inputs = _stretched(subject, layer, found)
    kernel = Sheet("kernel", subject.shape[0] // layer.groups, *_spans(layer, len(subject.shape) - 1), inputs.end)
    outputs = Sheet.of("output", subject.output, kernel.end)
    reached = {term.place for read in found for term in read.terms}
    panels = inputs.panels(
        {inputs.place(index): _input_cell(subject, layer, index, reached) for index in inputs.indices()}
    )
    panels += kernel.panels(_kernel_cells(subject, kernel, layer, 0))
    panels += outputs.panels(
        {outputs.place(index): Cell("empty", note=extra_note(subject, index)) for index in outputs.indices()}
    )
    steps = tuple(_step(subject, layer, read, inputs, kernel, outputs) for read in found)
    groups = {
        "input": f"input {size_text(subject.shape)} with zeros inserted",
        "kernel": "flipped kernel",
        "output": f"output {size_text(subject.output)}",
    }
    remarks = ("for illustration only: frameworks do not multiply by these zeros", *transposed_remarks(subject))
    return Story(title_of(subject), groups, panels, steps, subject.formula, str(layer), remarks, ("∗", "="))


def _spans(layer: ConvTranspose, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (0,) * ndim, tuple(layer.at("kernel_size", axis) for axis in range(ndim))


def _stretched(subject: Subject, layer: ConvTranspose, found: list[Read]) -> Sheet:
    """The stretched input, from the first place of a window or an input to the last."""
    places = [term.place[1:] for read in found for term in read.terms]
    low, high = [], []
    for axis, size in enumerate(subject.shape[1:]):
        taken = [place[axis] for place in places]
        low.append(min(0, *taken))
        high.append(max(layer.at("stride", axis) * (size - 1), *taken) + 1)
    return Sheet("input", subject.shape[0], tuple(low), tuple(high))


def _source(subject: Subject, layer: ConvTranspose, place: Index) -> Index | None:
    """The input at a place of the stretched input; None for a zero."""
    channel, *position = place
    found = [channel]
    for axis, at in enumerate(position):
        source, rest = divmod(at, layer.at("stride", axis))
        if rest or not 0 <= source < subject.shape[1 + axis]:
            return None
        found.append(source)
    return tuple(found)


def _is_between(subject: Subject, layer: ConvTranspose, place: Index) -> bool:
    """Whether a place lies between inputs and not outside them."""
    ends = (layer.at("stride", axis) * (size - 1) for axis, size in enumerate(subject.shape[1:]))
    return all(0 <= at <= end for at, end in zip(place[1:], ends, strict=True))


def _input_cell(subject: Subject, layer: ConvTranspose, place: Index, reached: set[Index]) -> Cell:
    source = _source(subject, layer, place)
    if source is not None:
        lost = place not in reached
        return Cell("unread" if lost else "input", subject.text(subject.values[source]), hatched=lost)
    return Cell("zero" if _is_between(subject, layer, place) else "padding", subject.text(0))


def _kernel_cells(subject: Subject, sheet: Sheet, layer: ConvTranspose, target: int) -> dict[Place, Cell]:
    """The weights of one output channel, with every axis reversed."""
    assert subject.weight is not None
    out = subject.output[0] // layer.groups
    first = target // out * (subject.shape[0] // layer.groups)
    cells = {}
    for channel, *tap in sheet.indices():
        turned = (extent - 1 - at for at, extent in zip(tap, sheet.extents, strict=True))
        weight = subject.weight[first + channel, target % out, *turned]
        cells[sheet.place((channel, *tap))] = Cell("kernel", subject.text(weight))
    return cells


def _step(
    subject: Subject, layer: ConvTranspose, read: Read, inputs: Sheet, kernel: Sheet, outputs: Sheet
) -> Step:  # fmt: skip
    number = value_of(read, subject.values, subject.weight)
    target = outputs.place(read.target)
    marks = {}
    for term in read.terms:
        text = subject.text(0 if term.source is None else subject.values[term.source])
        assert term.tap is not None
        assert subject.weight is not None
        note = f"×{written(subject.weight[term.tap])}" if subject.numbers else ""
        marks[inputs.place(term.place)] = Cell("kernel", text, note, heavy=term.source is not None)
    if read.target[0]:
        marks |= _kernel_cells(subject, kernel, layer, read.target[0])
    kept = Cell("output", subject.text(number), extra_note(subject, read.target))
    marks[target] = kept._replace(role="now", heavy=True)
    met = sum(term.source is not None for term in read.terms)
    caption = f"output {position(read.target, subject.output[0])}: {met} of {len(read.terms)} taps read an input"
    if subject.numbers:
        caption += f", sum {written(number)}"
    windows = areas([inputs.place(term.place) for term in read.terms])
    links = tuple((window, Area.at(target)) for window in windows)
    return Step(marks, {target: kept}, caption, links)
