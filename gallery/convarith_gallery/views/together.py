"""A transposed convolution in three views at once: scattered kernels, the stretched input, and the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from convarith.layers.convolution import ConvTranspose
from convarith_gallery.views import rows, stretching
from convarith_gallery.views.reads import Read, reads, value_of
from convarith_gallery.views.sliding import position, size_text
from convarith_gallery.views.story import Cell, Panel, Place, Step, Story
from convarith_gallery.views.subject import Sheet, Subject, written


def tell(subject: Subject) -> Story:
    """One step per output, in all three views: the inputs that reach it, its window, and its row.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.ConvTranspose(kernel_size=2, stride=2, ndim=1), (2,)))
    >>> list(story.groups.values())[:2], len(story.steps)
    (['input 2, scattered', 'output 4'], 4)
    """
    stories = [meet(subject), stretching.tell(subject), rows.tell(subject)]
    groups: dict[str, str] = {}
    panels: list[Panel] = []
    joins: list[str] = []
    firsts: list[int] = []
    for number, story in enumerate(stories):
        firsts.append(len(panels))
        groups |= {f"{number} {name}": label for name, label in story.groups.items()}
        panels += [panel._replace(group=f"{number} {panel.group}") for panel in story.panels]
        joins += ["|"] * bool(number) + list(story.joins)
    steps = []
    for each in zip(*(story.steps for story in stories), strict=True):
        marks: dict[Place, Cell] = {}
        keeps: dict[Place, Cell] = {}
        for step, first in zip(each, firsts, strict=True):
            marks |= _moved(step.marks, first)
            keeps |= _moved(step.keeps, first)
        steps.append(Step(marks, keeps, each[0].caption))
    return replace(
        stories[0], groups=groups, panels=tuple(panels), steps=tuple(steps), joins=tuple(joins),
        remarks=("three views of the same sum: scattered kernels, a window over inserted zeros, a row of the matrix",),
        breaks=tuple(f"{number} {next(iter(story.groups))}" for number, story in enumerate(stories) if number),
    )  # fmt: skip


def meet(subject: Subject) -> Story:
    """One step per output: the inputs whose kernels reach it, each with its weight."""
    layer = subject.layer
    assert isinstance(layer, ConvTranspose)
    inputs = Sheet.of("input", subject.shape)
    outputs = Sheet.of("output", subject.output, inputs.end)
    panels = inputs.panels(
        {inputs.place(at): Cell("input", subject.text(subject.values[at])) for at in inputs.indices()}
    )
    panels += outputs.panels({outputs.place(index): Cell("empty") for index in outputs.indices()})
    steps = tuple(_step(subject, read, inputs, outputs) for read in reads(layer, subject.shape))
    groups = {"input": f"input {size_text(subject.shape)}, scattered", "output": f"output {size_text(subject.output)}"}
    title = f"Transposed convolution: {size_text(subject.shape)} → {size_text(subject.output)}"
    return Story(title, groups, panels, steps, subject.formula, str(layer), (), ("→",))


def _step(subject: Subject, read: Read, inputs: Sheet, outputs: Sheet) -> Step:
    number = value_of(read, subject.values, subject.weight)
    marks, words = {}, []
    for term in read.terms:
        if term.source is not None and term.tap is not None and subject.weight is not None:
            value, weight = written(subject.values[term.source]), written(subject.weight[term.tap])
            words.append(f"{value}·{weight}")
            note = f"×{weight}" if subject.numbers else ""
            marks[inputs.place(term.source)] = Cell("kernel", subject.text(subject.values[term.source]), note)
    target = outputs.place(read.target)
    marks[target] = Cell("now", subject.text(number), heavy=True)
    where = f"output {position(read.target, subject.output[0])}"
    caption = f"{where}: {len(words)} input{'s' if len(words) != 1 else ''} reach{'es' if len(words) == 1 else ''} it"
    if subject.numbers:
        caption = f"{where} = {' + '.join(words) or '0'} = {written(number)}"
    return Step(marks, {target: Cell("output", subject.text(number))}, caption)


def _moved(cells: Mapping[Place, Cell], by: int) -> dict[Place, Cell]:
    return {(panel + by, row, column): cell for (panel, row, column), cell in cells.items()}
