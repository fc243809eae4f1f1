"""From a story to a film: where each panel and cell goes, side by side, one above the other, or as slanted planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import ceil
from typing import NamedTuple

from convarith.errors import ParameterError
from convarith.sizes.normalise import nearest
from convarith_gallery.drawing.film import Box, Changes, Film, Item, Line
from convarith_gallery.drawing.frame import framed
from convarith_gallery.views.story import Area, Cell, Panel, Place, Story

JOIN = 36
"""The width reserved for the sign between two groups."""
GAP = 14
"""The space between the panels of a group."""
LABEL = 22
SIDES = ((9, 38), (14, 30), (24, 24), (48, 16))
"""(count, side): the side of a cell while no panel has more than this many rows or columns."""
SMALLEST = 10
FLATTENED = 0.6
"""The height of a slanted cell, as a share of its width."""
SLANT = 0.55
"""How far the upper edge of a slanted cell is shifted, as a share of its width."""


class _Layout(NamedTuple):
    """The position of everything: cells by place, other boxes, and the extent of all of them."""

    cells: dict[Place, Box]
    fixed: list[Box]
    width: float
    height: float


def film_of_story(story: Story, style: str = "flat", bare: bool = False) -> Film:
    """Lay out a story as a film.

    Args:
        story: what a view returns.
        style: 'flat' or 'slanted'.
        bare: leave out the title, the call, the captions and the counter, for a page that shows them beside the
            picture.

    Raises:
        ParameterError: the style is unknown, or the story cannot be drawn in it.

    >>> from convarith_gallery.views.story import Step
    >>> panel = Panel("input", ((Cell("input"),),))
    >>> step = Step({(0, 0, 0): Cell("kernel")}, {}, "the only one")
    >>> film = film_of_story(Story("One cell", {"input": "input 1"}, (panel,), (step,), ("o = 1",), "Conv1d(1, 1, 1)"))
    >>> len(film.frames), film.captions
    (1, ('the only one',))
    """
    if style not in STYLES:
        raise ParameterError(f"style {style!r} is unknown: {nearest(style, STYLES)}")
    layout = STYLES[style](story)
    shown = {place: cell for place, cell in _cells(story.panels) if place in layout.cells}
    numbers = {place: len(layout.fixed) + at for at, place in enumerate(shown)}
    items: list[Item | None] = [*layout.fixed, *(_drawn(cell, layout.cells[place]) for place, cell in shown.items())]
    lines = range(len(items), len(items) + _most_lines(story, style))
    items += [None] * len(lines)
    frames: list[Changes] = []
    marked: set[Place] = set()
    for step in story.steps:
        shown |= {place: cell for place, cell in step.keeps.items() if place in numbers}
        changed = sorted(place for place in {*marked, *step.keeps, *step.marks} if place in numbers)
        changes: dict[int, Item | None] = {
            numbers[place]: _drawn(step.marks.get(place, shown[place]), layout.cells[place]) for place in changed
        }
        if lines:
            drawn = [line for link in step.links for line in _joining(link, layout.cells)]
            changes |= dict(zip_longest(lines, drawn))
        marked = set(step.marks)
        frames.append(changes)
    captions = tuple(step.caption for step in story.steps)
    body = Film(ceil(layout.width), ceil(layout.height), tuple(items), tuple(frames), captions, story.title, story.alt)
    return framed(body, story.call, story.formula, story.remarks, bare)


def _most_lines(story: Story, style: str) -> int:
    """The largest number of lines in a frame. Only slanted planes are joined by lines."""
    return 4 * max(len(step.links) for step in story.steps) if style == "slanted" else 0


def _cells(panels: Sequence[Panel]) -> list[tuple[Place, Cell]]:
    return [
        ((number, row, column), cell)
        for number, panel in enumerate(panels)
        for row, cells in enumerate(panel.rows)
        for column, cell in enumerate(cells)
        if cell is not None
    ]


def _drawn(cell: Cell, box: Box) -> Box:
    return box._replace(fill=cell.role, text=cell.text, note=cell.note, hatched=cell.hatched, heavy=cell.heavy)


def _side(panels: Sequence[Panel]) -> int:
    """The side of a cell."""
    most = max(max(len(panel.rows), len(panel.rows[0])) for panel in panels)
    return next((side for count, side in SIDES if most <= count), SMALLEST)


def _grouped(story: Story) -> Mapping[str, list[tuple[int, Panel]]]:
    groups: dict[str, list[tuple[int, Panel]]] = {name: [] for name in story.groups}
    for number, panel in enumerate(story.panels):
        groups[panel.group].append((number, panel))
    return groups


def _flat(story: Story) -> _Layout:
    """Groups from left to right, each a column of panels under its label. A break starts a new line."""
    side = _side(story.panels)
    cells: dict[Place, Box] = {}
    fixed: list[Box] = []
    width = y = 0.0
    for line in _lines(story):
        tallest = max(_height(panels, side) for panels in line.values())
        x = 0.0
        for name, panels in line.items():
            if x:
                sign = story.joins[list(story.groups).index(name) - 1]
                fixed.append(Box(x, y + LABEL + tallest / 2 - 15, JOIN, 30, text=sign, size=22, ink="faint"))
                x += JOIN
            label = story.groups[name]
            wide = max(max(len(panel.rows[0]) for _, panel in panels) * side, _text_width(label, 13))
            top = y + LABEL + (tallest - _height(panels, side)) // 2
            fixed.append(Box(x, top - LABEL, wide, LABEL - 4, text=label, size=13, ink="ink"))
            for number, panel in panels:
                if panel.label:
                    fixed.append(Box(x, top, wide, 16, text=panel.label, size=11, ink="faint"))
                    top += 18
                left = x + (wide - len(panel.rows[0]) * side) // 2
                cells |= _squares(number, panel, left, top, side)
                top += len(panel.rows) * side + GAP
            x += wide
        width = max(width, x)
        y += LABEL + tallest + 2 * GAP
    return _Layout(cells, fixed, width, y - 2 * GAP)


def _lines(story: Story) -> list[dict[str, list[tuple[int, Panel]]]]:
    lines: list[dict[str, list[tuple[int, Panel]]]] = [{}]
    for name, panels in _grouped(story).items():
        if name in story.breaks:
            lines.append({})
        lines[-1][name] = panels
    return lines


def _squares(number: int, panel: Panel, left: float, top: float, side: float) -> dict[Place, Box]:
    """The box of each cell of a panel."""
    size = round(side * 0.4, 1)
    return {
        (number, row, column): Box(left + column * side, top + row * side, side, side, edge="edge", size=size)
        for row, line in enumerate(panel.rows)
        for column, cell in enumerate(line)
        if cell is not None
    }


def _height(panels: Sequence[tuple[int, Panel]], side: int) -> float:
    return sum(len(panel.rows) * side + (18 if panel.label else 0) + GAP for _, panel in panels) - GAP


def _text_width(text: str, size: float) -> int:
    """An estimate of the width of a text, used to reserve space for it."""
    return ceil(len(text) * size * 0.6)


def _slanted(story: Story) -> _Layout:
    """The last group above the first, as planes. A kernel between them is only drawn as its window on the input."""
    if story.breaks or "matrix" in story.groups:
        raise ParameterError("a matrix cannot be drawn in the slanted style: use --style flat")
    names = list(story.groups)
    groups = _grouped(story)
    side = round(0.66 * _side(story.panels))
    # whole points, so that every cell has the same number of pixels
    tall, slant = round(side * FLATTENED), round(side * SLANT)
    cells: dict[Place, Box] = {}
    fixed: list[Box] = []
    rows = [(names[-1], groups[names[-1]]), (names[0], groups[names[0]])]
    widths = [sum(_plane_width(panel, side, slant) + GAP for _, panel in panels) - GAP for _, panels in rows]
    label = max(_text_width(story.groups[name], 13) for name, _ in rows)
    width = max(widths)
    y = 0.0
    for (name, panels), plane in zip(rows, widths, strict=True):
        x = label + (width - plane) // 2
        tallest = max(len(panel.rows) for _, panel in panels) * tall
        fixed.append(Box(0, y + tallest - 20, label, 20, text=story.groups[name], size=13, ink="ink", align="left"))
        for number, panel in panels:
            for row, line in enumerate(panel.rows):
                left = x + (len(panel.rows) - 1 - row) * slant
                for column, cell in enumerate(line):
                    if cell is not None:
                        cells[number, row, column] = Box(
                            left + column * side, y + row * tall, side, tall,
                            edge="edge", size=round(side * 0.36, 1), slant=slant,
                        )  # fmt: skip
            x += _plane_width(panel, side, slant) + GAP
        y += tallest + 2 * side
    return _Layout(cells, fixed, label + width, y - 2 * side)


def _plane_width(panel: Panel, side: float, slant: float) -> float:
    return len(panel.rows[0]) * side + len(panel.rows) * slant


def _stacked(story: Story) -> _Layout:
    """Rows one above the other, each to the right of its label: for maps with one axis."""
    side = _side(story.panels)
    label = max(_text_width(text, 13) for text in story.groups.values()) + 12
    cells: dict[Place, Box] = {}
    fixed: list[Box] = []
    widest = max(len(panel.rows[0]) for panel in story.panels)
    y = 0.0
    for name, panels in _grouped(story).items():
        fixed.append(Box(0, y + side / 2 - 10, label, 20, text=story.groups[name], size=13, ink="ink", align="left"))
        for number, panel in panels:
            cells |= _squares(number, panel, label + (widest - len(panel.rows[0])) * side // 2, y, side)
            y += side + GAP
        y += GAP
    return _Layout(cells, fixed, label + widest * side, y - 2 * GAP)


def _side_by_side(story: Story) -> _Layout:
    """Rows one above the other if every panel is a single row, otherwise groups from left to right."""
    return _stacked(story) if all(len(panel.rows) == 1 for panel in story.panels) else _flat(story)


STYLES = {"flat": _side_by_side, "slanted": _slanted}


def _joining(link: tuple[Area, Area], boxes: Mapping[Place, Box]) -> list[Item | None]:
    """The four lines between the corners of two areas; none if one of them is not drawn."""
    ends = [_corners(area, boxes) for area in link]
    return [Line((one, other)) for one, other in zip(*ends, strict=True)] if all(ends) else []


def _corners(area: Area, boxes: Mapping[Place, Box]) -> list[tuple[float, float]]:
    """The upper left, upper right, lower left and lower right corners; empty if the area is not drawn."""
    found = []
    for row, above in ((area.top, True), (area.bottom - 1, False)):
        for column, after in ((area.left, False), (area.right - 1, True)):
            box = boxes.get((area.panel, row, column))
            if box is None:
                return []
            found.append((box.x + (box.slant if above else 0) + box.width * after, box.y + box.height * (not above)))
    return found
