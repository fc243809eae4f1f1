"""Max pooling and unpooling: every maximum returns to its original position, with zeros elsewhere."""

from __future__ import annotations

from typing import cast

from convarith.layers.pooling import MaxPool
from convarith.layers.unpooling import MaxUnpool
from convarith_gallery.views.reads import Index, reads
from convarith_gallery.views.sliding import position, size_text
from convarith_gallery.views.story import Area, Cell, Step, Story
from convarith_gallery.views.subject import Sheet, Subject, written


def tell(subject: Subject) -> Story:
    """One step per pooled value: it returns to the position of the maximum of its window, which is kept as an index.

    The subject is the unpooling layer; the values of the subject are the input of the pool before it.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.MaxUnpool(kernel_size=2, ndim=1), (2,), [1, 4, 3, 2]))
    >>> story.steps[0].caption, [cell.text for cell in story.panels[1].rows[0]]
    ('4, the maximum of its window, returns to 1', ['4', '3'])
    """
    layer = cast(MaxUnpool, subject.layer)
    pool = MaxPool(kernel_size=layer.kernel_size, stride=layer.stride, padding=layer.padding, ndim=layer.ndim)
    before = Subject.of(pool, subject.output, list(subject.values.values()), numbers=True)
    inputs = Sheet.of("before", before.shape)
    pooled = Sheet.of("pooled", before.output, inputs.end)
    outputs = Sheet.of("output", subject.output, pooled.end)
    cells, steps = {}, []
    for read in reads(pool, before.shape):
        best = max((term.source for term in read.terms if term.source), key=lambda source: before.values[source])
        text = written(before.values[best])
        cells[pooled.place(read.target)] = Cell("input", text, _index(best))
        marks = {
            inputs.place(term.source): Cell("zero", written(before.values[term.source]))
            for term in read.terms
            if term.source
        }
        marks[inputs.place(best)] = Cell("kernel", text, heavy=True)
        marks[pooled.place(read.target)] = Cell("kernel", text, _index(best), heavy=True)
        target = outputs.place(best)
        marks[target] = Cell("now", text, heavy=True)
        caption = f"{text}, the maximum of its window, returns to {position(best, before.shape[0])}"
        link = (Area.at(pooled.place(read.target)), Area.at(target))
        steps.append(Step(marks, {target: Cell("output", text)}, caption, (link,)))
    panels = inputs.panels(
        {inputs.place(index): Cell("input", written(number)) for index, number in before.values.items()}
    )
    panels += pooled.panels(cells)
    panels += outputs.panels({outputs.place(index): Cell("zero", "0") for index in outputs.indices()})
    groups = {
        "before": f"before the pool {size_text(before.shape)}",
        "pooled": f"input {size_text(before.output)} with indices",
        "output": f"output {size_text(subject.output)}",
    }
    title = f"Max unpooling: {size_text(subject.shape)} → {size_text(subject.output)}"
    return Story(title, groups, panels, tuple(steps), subject.formula, f"{pool}, then {layer}", (), ("→", "→"))


def _index(source: Index) -> str:
    """A position as a small number next to its value."""
    return ",".join(map(str, source[1:]))
