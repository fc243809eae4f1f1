"""A transposed convolution as it is computed: every input adds the kernel, times its value, to the output."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from convarith.layers.convolution import ConvTranspose
from convarith_gallery.views.reads import Index, Number, reads, term_value
from convarith_gallery.views.sliding import areas, kernel_cells, position, size_text, title_of
from convarith_gallery.views.story import Area, Cell, Step, Story
from convarith_gallery.views.subject import Sheet, Subject, written


def tell(subject: Subject) -> Story:
    """One step per input: where its kernel lands, the sums so far, and what the padding crops.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.ConvTranspose(kernel_size=2, ndim=1), (2,), [1, 2], [3, 4]))
    >>> [step.caption for step in story.steps]
    ['input 0: 1 times the kernel', 'input 1: 2 times the kernel']
    """
    layer = subject.layer
    assert isinstance(layer, ConvTranspose)
    landings = landings_of(subject)
    inputs = Sheet.of("input", subject.shape)
    shape = layer.weight_shape(len(subject.shape) - 1)
    assert shape is not None
    kernel = Sheet.of("kernel", shape[1:], inputs.end)
    outputs = _whole_output(subject, layer, kernel.end)
    panels = inputs.panels({
        inputs.place(index): Cell("input", subject.text(subject.values[index])) for index in inputs.indices()
    })  # fmt: skip
    panels += kernel.panels(kernel_cells(subject, kernel, 0))
    panels += outputs.panels({outputs.place(index): _output_cell(subject, index, None) for index in outputs.indices()})
    sums: dict[Index, Number] = {}
    steps = tuple(
        _step(subject, index, landings.get(index, {}), sums, inputs, kernel, outputs) for index in inputs.indices()
    )
    groups = {
        "input": f"input {size_text(subject.shape)}",
        "kernel": f"kernel {size_text((1, *kernel.extents))}",
        "output": f"output {size_text(subject.output)}",
    }
    return Story(
        title_of(subject), groups, panels, steps, subject.formula, str(layer), transposed_remarks(subject), ("∗", "=")
    )


def _whole_output(subject: Subject, layer: ConvTranspose, first: int) -> Sheet:
    """The output, including the ring that the padding crops."""
    low, high = [], []
    for axis, (size, output) in enumerate(zip(subject.shape[1:], subject.output[1:], strict=True)):
        cut = layer.at("padding", axis)
        low.append(-cut)
        high.append(max(output, layer.at("stride", axis) * (size - 1) + layer.span(axis) - cut))
    return Sheet("output", subject.output[0], tuple(low), tuple(high), first)


def landings_of(subject: Subject) -> dict[Index, dict[Index, Number]]:
    """For every input, what it adds to each place of the output, including the cropped ring."""
    layer = subject.layer
    assert isinstance(layer, ConvTranspose)
    found: dict[Index, dict[Index, Number]] = {}
    axes = range(len(subject.shape) - 1)
    cut = tuple(layer.at("padding", axis) for axis in axes)
    whole = replace(layer, padding=0, output_padding=0)
    for read in reads(whole, subject.shape):
        channel, *place = read.target
        target = (channel, *(at - before for at, before in zip(place, cut, strict=True)))
        for term in read.terms:
            if term.source is not None:
                found.setdefault(term.source, {})[target] = term_value(term, subject.values, subject.weight)
    return found


def transposed_remarks(subject: Subject) -> tuple[str, ...]:
    """The convolution of which this is the transpose, and what output_padding adds."""
    layer = subject.layer
    assert isinstance(layer, ConvTranspose)
    names = ("column",) if len(subject.shape) == 2 else ("slice", "row", "column")[4 - len(subject.shape) :]
    extras = [(layer.at("output_padding", axis), name) for axis, name in enumerate(names)]
    told = [f"{extra} {name}{'s' if extra > 1 else ''}" for extra, name in extras if extra]
    sizes = f"{size_text((1, *subject.output[1:]))} → {size_text((1, *subject.shape[1:]))}"
    back = layer.back(subject.shape[1:])
    remarks = [f"the transpose of {', then '.join(map(str, back))}: {sizes}"]
    if told:
        remarks.append(f"output_padding keeps the last {' and '.join(told)} (op): sums like all others, not zeros")
    return tuple(remarks)


def _output_cell(subject: Subject, index: Index, number: Number | None) -> Cell:
    """The cell for a place of the whole output, which is kept or cropped by the padding."""
    sizes = subject.output[1:]
    kept = all(0 <= at < size for at, size in zip(index[1:], sizes, strict=True))
    text = subject.text(number or 0)
    if not kept:
        return Cell("lost", text, hatched=True)
    return Cell("empty" if number is None else "output", text, extra_note(subject, index))


def extra_note(subject: Subject, index: Index) -> str:
    """'op' for an output that output_padding keeps, otherwise an empty string.

    >>> import convarith as ca
    >>> subject = Subject.of(ca.ConvTranspose(kernel_size=3, stride=2, output_padding=1, ndim=1), (2,))
    >>> [extra_note(subject, (0, at)) for at in (4, 5)]
    ['', 'op']
    """
    layer = cast(ConvTranspose, subject.layer)
    places = enumerate(zip(index[1:], subject.output[1:], strict=True))
    return "op" if any(at >= size - layer.at("output_padding", axis) for axis, (at, size) in places) else ""


def _step(
    subject: Subject, source: Index, landing: dict[Index, Number], sums: dict[Index, Number],
    inputs: Sheet, kernel: Sheet, outputs: Sheet,
) -> Step:  # fmt: skip
    marks = {inputs.place(source): Cell("kernel", subject.text(subject.values[source]), heavy=True)}
    if source[0]:
        marks |= kernel_cells(subject, kernel, source[0])
    keeps = {}
    for target, added in landing.items():
        sums[target] = sums.get(target, 0) + added
        cell = _output_cell(subject, target, sums[target])
        place = outputs.place(target)
        keeps[place] = cell
        note = f"+{written(added)}".replace("+−", "−") if subject.numbers else ""
        marks[place] = Cell("now" if cell.role == "output" else "padding", cell.text, note, heavy=cell.role == "output")
    value = written(subject.values[source])
    times_kernel = f"{value} times the kernel" if subject.numbers else "its value times the kernel"
    links: tuple[tuple[Area, Area], ...] = ()
    if landing:
        landed = areas([outputs.place(target) for target in landing])
        links = tuple((Area.at(inputs.place(source)), area) for area in landed)
    return Step(marks, keeps, f"input {position(source, subject.shape[0])}: {times_kernel}", links)
