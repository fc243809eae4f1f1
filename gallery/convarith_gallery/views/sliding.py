"""A window that slides over the input: convolutions, pools, and other layers that read a few inputs per output."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from convarith.layers.base import SpatialLayer
from convarith.layers.padding import Pad
from convarith.layers.window import WindowLayer
from convarith.sizes.normalise import times
from convarith_gallery.views.reads import Read, Term, reads, value_of
from convarith_gallery.views.story import Area, Cell, Place, Step, Story
from convarith_gallery.views.subject import Sheet, Subject, written

MOST_TERMS = 9
"""The largest number of terms of a sum in a caption."""


def tell(subject: Subject) -> Story:
    """One step per output: the inputs that it reads, their weights, and the result.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.Conv(kernel_size=2), (3, 3), range(1, 10), [0, 1, 2, 3]))
    >>> len(story.steps), story.steps[0].caption
    (4, 'output (0, 0) = 1·0 + 2·1 + 4·2 + 5·3 = 25')
    """
    layer = subject.layer
    found = list(reads(layer, subject.shape))
    inputs = _input_sheet(subject)
    shown = [read for read in found if not layer.pads_only or read.terms[0].place not in subject.values] or found
    kernel = _kernel_sheet(subject, inputs.end)
    outputs = Sheet.of("output", subject.output, kernel.end if kernel else inputs.end)
    steps = tuple(_step(subject, read, inputs, kernel, outputs) for read in shown)
    groups = {"input": f"input {size_text(subject.shape)}"}
    if kernel is not None:
        groups["kernel"] = f"kernel {size_text((1, *kernel.extents))}"
    groups["output"] = f"output {size_text(subject.output)}"
    panels = inputs.panels(_input_cells(subject, inputs, found))
    if kernel is not None:
        panels += kernel.panels(kernel_cells(subject, kernel, 0))
    stepped = {read.target for read in shown}
    panels += outputs.panels({
        outputs.place(read.target): Cell("empty") if read.target in stepped
        else Cell("output", subject.text(value_of(read, subject.values, subject.weight)))
        for read in found
    })  # fmt: skip
    return Story(
        title_of(subject), groups, panels, steps, subject.formula, str(layer), remarks_of(subject),
        ("∗", "=") if kernel is not None else ("→",),
    )  # fmt: skip


def size_text(shape: Sequence[int]) -> str:
    """The size of (channels, *spatial) as in a label, with the channels if there are several.

    >>> size_text((1, 4, 4)), size_text((2, 7))
    ('4 × 4', '7, 2 channels')
    """
    spatial = times(shape[1:]).replace("x", " × ")
    return spatial if shape[0] == 1 else f"{spatial}, {shape[0]} channels"


def title_of(subject: Subject) -> str:
    """The title: the layer in words, and its sizes."""
    return f"{subject.layer.title}: {size_text(subject.shape)} → {size_text(subject.output)}"


def remarks_of(subject: Subject) -> tuple[str, ...]:
    """The positions that the stride leaves unread, if any."""
    if not isinstance(subject.layer, SpatialLayer) or subject.layer.pads_only:
        return ()
    unread = subject.layer.unread(subject.shape[1:])
    if not any(unread):
        return ()
    names = ("column",) if len(unread) == 1 else ("slice", "row", "column")[3 - len(unread) :]
    told = [f"{left} {name}{'s' if left > 1 else ''}" for left, name in zip(unread, names, strict=True) if left]
    return (f"no window reaches the last {' and '.join(told)} (padding included)",)


def _input_sheet(subject: Subject) -> Sheet:
    """The input with its padding, and with the positions beyond it that a window in ceil_mode covers."""
    sheet = Sheet.of("input", subject.shape)
    if isinstance(subject.layer, Pad):
        pads = [subject.layer.pads(axis) for axis in range(len(sheet.low))]
        low = tuple(-max(0, before) for before, _ in pads)
        return sheet._replace(low=low, high=tuple(
            size + max(0, after) for size, (_, after) in zip(sheet.high, pads, strict=True)
        ))  # fmt: skip
    if not isinstance(subject.layer, WindowLayer):
        return sheet
    window = subject.layer
    pads = [window.pads(axis) for axis in range(len(sheet.low))]
    over = [max(0, -left) for left in window.leftover(subject.shape[1:])]
    return sheet._replace(
        low=tuple(-before for before, _ in pads),
        high=tuple(size + after + more for size, (_, after), more in zip(sheet.high, pads, over, strict=True)),
    )


def _kernel_sheet(subject: Subject, first: int) -> Sheet | None:
    """The weights of one output channel; None for a layer without weights."""
    shape = subject.layer.weight_shape(len(subject.shape) - 1)
    return None if shape is None else Sheet.of("kernel", shape[1:], first)


def _input_cells(subject: Subject, sheet: Sheet, found: Sequence[Read]) -> dict[Place, Cell]:
    """The cells of the input, its padding, and the positions that no window reads."""
    read = {term.source for each in found for term in each.terms}
    copies = {term.place: term.source for each in found for term in each.terms}  # all places that a window reads
    cells = {}
    for index in sheet.indices():
        if index in subject.values:
            unread = index not in read
            cell = Cell("unread" if unread else "input", subject.text(subject.values[index]), hatched=unread)
        else:
            unread = index not in copies
            cell = Cell("padding", _padding_text(subject, copies.get(index)), hatched=unread)
        cells[sheet.place(index)] = cell
    return cells


def _padding_text(subject: Subject, source: tuple[int, ...] | None) -> str:
    if source is not None:
        return subject.text(subject.values[source])
    if subject.layer.combines == "max":
        return subject.text(-inf)
    value = getattr(subject.layer, "value", 0)
    return subject.text(value)


def kernel_cells(subject: Subject, sheet: Sheet, channel: int) -> dict[Place, Cell]:
    """The weights of one output channel; for a transposed convolution, of one input channel.

    >>> import convarith as ca
    >>> subject = Subject.of(ca.Conv(kernel_size=2, ndim=1), (3,), weight=[5, 7])
    >>> [cell.text for cell in kernel_cells(subject, Sheet.of("kernel", (1, 2)), 0).values()]
    ['5', '7']
    """
    assert subject.weight is not None
    return {
        sheet.place(index): Cell("kernel", subject.text(subject.weight[channel, *index])) for index in sheet.indices()
    }


def _step(subject: Subject, read: Read, inputs: Sheet, kernel: Sheet | None, outputs: Sheet) -> Step:
    number = value_of(read, subject.values, subject.weight)
    target = outputs.place(read.target)
    shown = subject.text(number)
    marks = {}
    best = None
    if read.how == "max":
        best = next((term for term in read.terms if term.source and subject.values[term.source] == number), None)
    for term in read.terms:
        heavy = term is best and subject.numbers
        marks[inputs.place(term.place)] = Cell("kernel", _under(subject, term), _note(subject, term), heavy=heavy)
        if term.source is not None and term.source != term.place:  # the value that the padding copies
            marks[inputs.place(term.source)] = Cell("kernel", subject.text(subject.values[term.source]), heavy=True)
    if kernel is not None and subject.weight is not None and read.target[0]:
        marks |= kernel_cells(subject, kernel, read.target[0])
    marks[target] = Cell("now", shown, heavy=True)
    links = tuple((area, Area.at(target)) for area in areas([inputs.place(term.place) for term in read.terms]))
    return Step(marks, {target: Cell("output", shown)}, _caption(subject, read, number), links)


def _under(subject: Subject, term: Term) -> str:
    if term.source is None:
        return _padding_text(subject, None)
    return subject.text(subject.values[term.source])


def _note(subject: Subject, term: Term) -> str:
    """The weight of a value, as a small number in the corner of its cell."""
    if not subject.numbers:
        return ""
    if term.tap is not None and subject.weight is not None:
        return f"×{written(subject.weight[term.tap])}"
    return "" if term.share == 1 else f"×{term.share}"


def areas(places: Sequence[Place]) -> list[Area]:
    """The rectangle around the places of each panel.

    >>> areas([(0, 1, 1), (0, 3, 3)])
    [Area(panel=0, top=1, left=1, bottom=4, right=4)]
    """
    panels = dict.fromkeys(panel for panel, _, _ in places)
    found = []
    for panel in panels:
        rows = [row for at, row, _ in places if at == panel]
        columns = [column for at, _, column in places if at == panel]
        found.append(Area(panel, min(rows), min(columns), max(rows) + 1, max(columns) + 1))
    return found


def position(index: Sequence[int], channels: int) -> str:
    """An index in words.

    >>> position((0, 2, 3), 1), position((1, 2), 4)
    ('(2, 3)', '2 of channel 1')
    """
    channel, *place = index
    text = str(place[0]) if len(place) == 1 else f"({', '.join(map(str, place))})"
    return text if channels == 1 else f"{text} of channel {channel}"


def _caption(subject: Subject, read: Read, number: object) -> str:
    where = f"output {position(read.target, subject.output[0])}"
    sources = [term for term in read.terms if term.source is not None]
    if not subject.numbers:
        padded = len(read.terms) - len(sources)
        return f"{where} reads {len(sources)} input{'s' if len(sources) != 1 else ''}" + (
            f" and {padded} position{'s' if padded != 1 else ''} of the padding" if padded else ""
        )
    result = written(value_of(read, subject.values, subject.weight))
    if not sources:
        return f"{where} = {result}"
    if read.how == "max":
        rivals = ", ".join(written(subject.values[term.source]) for term in sources if term.source is not None)
        return f"{where} = max({rivals}) = {result}"
    words = [_product(subject, term) for term in sources]
    if len(words) > MOST_TERMS:
        return f"{where} = {' + '.join(words[: MOST_TERMS - 1])} + … = {result}"
    return f"{where} = {' + '.join(words)} = {result}" if words != [result] else f"{where} = {result}"


def _product(subject: Subject, term: Term) -> str:
    assert term.source is not None
    value = written(subject.values[term.source])
    if term.tap is not None and subject.weight is not None:
        return f"{value}·{written(subject.weight[term.tap])}"
    return value if term.share == 1 else f"{value}·{term.share}"
