"""How the overlap counts build up: every input adds one to each output that its kernel hits."""

from __future__ import annotations

from convarith.checkerboards.overlap import overlap
from convarith.errors import ParameterError
from convarith.layers.convolution import ConvTranspose
from convarith_gallery.views.reads import Index
from convarith_gallery.views.scattering import landings_of
from convarith_gallery.views.sliding import areas, position, size_text
from convarith_gallery.views.story import Area, Cell, Place, Step, Story
from convarith_gallery.views.subject import Sheet, Subject

LEVELS = 5
"""The number of colours for counts, from the smallest above 0 to the largest."""


def tell(subject: Subject) -> Story:
    """One step per input: how often each output has been hit so far. The first remark is the verdict.

    Raises ParameterError if the layer is not a transposed convolution; no other drawn layer can hit outputs unevenly.

    >>> import convarith as ca
    >>> story = tell(Subject.of(ca.ConvTranspose(kernel_size=3, stride=2, ndim=1), (3,)))
    >>> [cell.text for cell in list(story.steps[-1].keeps.values())], story.remarks[0]
    (['2', '1', '1'], 'uneven: stride 2 does not divide kernel_size 3: counts of 1 and 2')
    """
    layer = subject.layer
    if not isinstance(layer, ConvTranspose):
        raise ParameterError(f"{layer} hits every output once: view overlap is for conv-transpose")
    landings = landings_of(subject)
    found = overlap(layer, subject.shape[1:])
    inputs = Sheet("input", 1, (0,) * (len(subject.shape) - 1), subject.shape[1:])
    outputs = Sheet("output", 1, inputs.low, subject.output[1:], inputs.end)
    panels = inputs.panels({inputs.place(index): Cell("input") for index in inputs.indices()})
    panels += outputs.panels({outputs.place(index): Cell("empty", "0") for index in outputs.indices()})
    counts: dict[Index, int] = {}
    steps = []
    for source in inputs.indices():
        hit = [target for target in landings.get(source, {}) if target[0] == 0 and _inside(target, subject.output)]
        keeps: dict[Place, Cell] = {}
        marks = {inputs.place(source): Cell("kernel", heavy=True)}
        for target in hit:
            counts[target] = counts.get(target, 0) + 1
            cell = Cell(level(counts[target], found.max), str(counts[target]))
            keeps[outputs.place(target)] = cell
            marks[outputs.place(target)] = cell._replace(heavy=True)
        landed = areas([outputs.place(target) for target in hit])
        links = tuple((Area.at(inputs.place(source)), area) for area in landed)
        caption = f"input {position(source, 1)} hits {len(hit)} output{'s' if len(hit) != 1 else ''}"
        steps.append(Step(marks, keeps, caption, links))
    verdict = ("even" if found.even else "uneven") + f": {found.why}"
    contrast = f"away from the border, some outputs are hit {found.contrast} times as often as others"
    remarks = (verdict, contrast) if found.contrast not in (None, 1) else (verdict,)
    groups = {
        "input": f"input {size_text((1, *subject.shape[1:]))}",
        "output": f"how often each of the {size_text((1, *subject.output[1:]))} outputs is hit",
    }
    title = f"Overlap: {size_text((1, *subject.shape[1:]))} → {size_text((1, *subject.output[1:]))}"
    return Story(title, groups, panels, tuple(steps), subject.formula, str(layer), remarks, ("→",))


def level(number: int, most: int) -> str:
    """The role of a cell with a count: one of five levels up to the largest count.

    >>> [level(number, 4) for number in range(5)]
    ['empty', 'level1', 'level2', 'level4', 'level5']
    """
    if number == 0:
        return "empty"
    return f"level{1 if most == 1 else 1 + round((number - 1) * (LEVELS - 1) / (most - 1))}"


def _inside(target: Index, output: tuple[int, ...]) -> bool:
    return all(0 <= at < size for at, size in zip(target[1:], output[1:], strict=True))
