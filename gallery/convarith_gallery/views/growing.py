"""A receptive field growing through a network: from one output back to all inputs that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.networks.network import Network
from convarith.sizes.normalise import times
from convarith_gallery.views.sliding import position, size_text
from convarith_gallery.views.story import Cell, Panel, Place, Step, Story

MOST_SHOWN = 12
"""Maps with at most this many positions per axis are shown completely; of larger ones, one row along the last axis."""
LONGEST = 128
"""The cells of a longer row would be too small to see."""


def tell(network: Network, input_shape: Sequence[int]) -> Story:
    """One step per layer, from an output in the middle back to the input; then the same for its neighbour.

    Raises ParameterError if the network branches or has no field to draw, ShapeError if it does not accept the shape.

    >>> import convarith as ca
    >>> story = tell(ca.parse_network("Conv1d(1, 1, 3); Conv1d(1, 1, 3, stride=2)"), (1, 11))
    >>> [step.caption for step in story.steps][:3]
    ['output 1', 'Conv1d(1, 1, 3, stride=2): output 1 depends on 3', 'Conv1d(1, 1, 3): output 1 depends on 5']
    """
    if not network.is_chain:
        raise ParameterError("the network branches: view field needs a chain of layers")
    trace = network.trace(tuple(input_shape), False)
    rows = [row for row in trace.rows if not row.layer.keeps_positions]
    if not rows:
        raise ParameterError("the network has no layer that reads more than one position")
    shapes = [trace.input, *(row.output for row in rows)]
    if any(len(shape) != len(shapes[0]) or len(shape) < 2 for shape in shapes):
        raise ParameterError("view field needs a network that keeps its axes: leave out the layers from the Flatten on")
    whole = max(max(shape[1:]) for shape in shapes) <= MOST_SHOWN and len(shapes[0]) == 3
    sizes = [shape[1:] if whole else shape[-1:] for shape in shapes]
    longest = max(map(max, sizes))
    if longest > LONGEST:
        raise ParameterError(f"the cells of a row of {longest} are too small to see: use an input of at most {LONGEST}")
    first = tuple((size - 1) // 2 for size in sizes[-1])
    outputs = [first] + [(*first[:-1], first[-1] + 1)] * (first[-1] + 1 < sizes[-1][-1])
    groups = {f"map {len(rows)}": f"output {size_text(shapes[-1])}"}
    for number in range(len(rows) - 1, -1, -1):
        name = "input" if number == 0 else rows[number - 1].layer.name
        groups[f"map {number}"] = f"{name} {size_text(shapes[number])}"
    order = range(len(rows), -1, -1)
    panels = tuple(_panel(number, sizes[number], len(rows)) for number in order)
    layers = [row.layer for row in rows]
    steps = [step for output in outputs for step in _walk(output, layers, sizes, rows[-1].receptive_field)]
    last = rows[-1]
    field = " × ".join("all" if each is None else str(each) for each in last.receptive_field)
    jump = " × ".join(str(each) for each in last.jump)
    remarks = (f"an output depends on {field} inputs; the field of the next output is shifted by {jump}",)
    call = "; ".join(str(layer) for layer in layers)
    title = f"Receptive field: {times(shapes[0])} → {times(shapes[-1])}".replace("x", " × ")
    return Story(title, groups, panels, tuple(steps), (), call, remarks, ("←",) * len(rows))


def _panel(number: int, size: tuple[int, ...], last: int) -> Panel:
    role = "output" if number == last else "input"
    height, width = (1, *size) if len(size) == 1 else size
    return Panel(f"map {number}", ((Cell(role),) * width,) * height)


def _walk(
    output: tuple[int, ...], layers: Sequence[Layer], sizes: Sequence[tuple[int, ...]], field: Sequence[int | None]
) -> list[Step]:
    """The steps back from one output; all marks stay until the next output."""
    last = len(layers)
    seen = [{at} for at in output]
    where = position((0, *output), 1)
    marks = _marked(0, seen, "now")
    steps = [Step(dict(marks), {}, f"output {where}")]
    for number in range(last - 1, -1, -1):
        layer, size, given = layers[number], sizes[number], sizes[number + 1]
        offset = len(field) - len(size)
        seen = [_seen(layer, offset + axis, size[axis], given[axis], positions) for axis, positions in enumerate(seen)]
        marks |= _marked(last - number, seen, "kernel")
        count = " × ".join(str(len(each)) for each in seen)
        steps.append(Step(dict(marks), {}, f"{layer}: output {where} depends on {count}"))
    return steps


def _seen(layer: Layer, axis: int, size: int, output: int, positions: set[int]) -> set[int]:
    """The inputs that these outputs read along one axis, without the padding."""
    found = layer.reads(axis, size, output)
    if found is None or found.whole:
        return set(range(size))
    return {at for position in positions for at in found.seen(position) if 0 <= at < size}


def _marked(panel: int, seen: Sequence[set[int]], role: str) -> dict[Place, Cell]:
    rows = [{0}, *seen] if len(seen) == 1 else seen
    return {(panel, row, column): Cell(role, heavy=True) for row, column in product(*map(sorted, rows))}
