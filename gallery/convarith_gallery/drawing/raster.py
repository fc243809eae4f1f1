"""Drawing a film as frames of pixels: sprites on a canvas of palette numbers, where only what changes is redrawn.

Each pixel whose centre lies in a box belongs to that box alone, including the part of the outline that falls on it. The
other half of an outline falls on the paper, or on a neighbour, which draws it itself. Neighbours therefore share their
outline without a gap, and a box that changes its colours or its text can be redrawn without looking at its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from convarith.errors import ParameterError
from convarith_gallery.drawing.film import Box, Changes, Film, Line
from convarith_gallery.drawing.outline import (
    CAP_HEIGHT,
    HEAVY,
    NOTE,
    OUTLINE,
    TEXT_MARGIN,
    Quad,
    is_bare,
    outline_role,
    quad,
    text_room,
)
from convarith_gallery.drawing.theme import Colour, Theme

Area: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_SUBPIXELS = 3
_LINE_SUBPIXELS = 2  # enough for the few steps of a line
_MOST_COLOURS = 255  # leaves one of 256 for a format that needs a transparent colour
_STEPS = ((6, 2), (5, 2), (4, 2), (3, 2), (2, 2), (1, 1))  # of text and slanted outlines, and of lines: best first
_HATCH_SHARE = 0.4
_HATCH_SPACING = 6
_MOST_SPRITES = 1024
FONTS = Path(__file__).parent / "fonts"
"""The folder of the two fonts that are drawn with."""


class Frame(NamedTuple):
    """One frame.

    Attributes:
        image: a palette picture (mode "P") of the whole canvas. All frames of a film have the same palette.
        changed: the area outside which the frame equals the previous one; None if nothing changed.
    """

    image: Image.Image
    changed: Area | None


def frames(film: Film, theme: Theme, scale: int = 2) -> Iterator[Frame]:
    """Draw the frames of a film one after the other, at `scale` pixels per point.

    >>> from convarith_gallery.drawing.theme import THEMES
    >>> film = Film(20, 10, (Box(0, 0, 9, 9, "input"),), ({}, {0: Box(0, 0, 9, 9, "now")}), ("a", "b"), "", "")
    >>> [(frame.image.size, frame.changed) for frame in frames(film, THEMES["light"])]
    [((40, 20), (0, 0, 40, 20)), ((40, 20), (0, 0, 18, 18))]
    """
    painter = _Painter(film, theme, scale)
    for changes in film.frames:
        yield painter.step(changes)


class _Palette:
    """The colours of a film, numbered so that blending the numbers of a ramp blends its colours.

    A ramp leads in even steps from a background colour to the ink drawn on it, and smooth text takes its shades from
    the steps. The same colour may have several numbers.
    """

    def __init__(self, theme: Theme, boxes: Iterable[Box], lines: Iterable[Line]) -> None:
        looks = [Box(0, 0, 1, 1, *look) for look in {box[4:] for box in boxes}]
        edges = [(edge, look) for look in looks if (edge := outline_role(look)) is not None]
        fills = {"paper", *(look.fill for look in looks)}
        # an upright box has no partly covered pixels
        slanted = {(edge, under) for edge, look in edges if look.slant for under in (look.fill, "paper")}
        ramps = sorted({(ink(look, theme), look.fill) for look in looks} | slanted)
        strokes = sorted((line, fill) for line in {line.colour for line in lines} for fill in fills)
        alone = sorted(fills.union((edge for edge, _ in edges), *strokes))
        for self._steps, self._stroke_steps in _STEPS:
            if len(alone) + len(ramps) * (self._steps + 1) + len(strokes) * (self._stroke_steps - 1) <= _MOST_COLOURS:
                break
        else:
            raise ParameterError(
                f"the picture has {len(ramps)} pairs of ink and fill, which do not fit in a palette of "
                f"{_MOST_COLOURS} colours: use fewer inks"
            )
        self._theme, self._colours, self._grounds = theme, list[Colour](), list[str]()
        self._alone = {role: self._add(role, role, 0, 1) for role in alone}
        self._start = {pair: self._add_all(pair, range(self._steps + 1), self._steps) for pair in ramps}
        self._strokes = {
            pair: self._add_all(pair, range(1, self._stroke_steps), self._stroke_steps) for pair in strokes
        }
        self.bytes = bytes(part for colour in self._colours for part in colour)

    def _add(self, over: str, under: str, step: int, steps: int) -> int:
        above, below = self._theme.colours[over], self._theme.colours[under]
        red, green, blue = (round((step * a + (steps - step) * b) / steps) for a, b in zip(above, below, strict=True))
        self._colours.append((red, green, blue))
        self._grounds.append(over if 2 * step > steps else under)
        return len(self._colours) - 1

    def _add_all(self, pair: tuple[str, str], part: range, steps: int) -> int:
        """Add the given steps of a ramp, and return the number of the first."""
        for step in part:
            self._add(*pair, step, steps)
        return len(self._colours) - len(part)

    def alone(self, role: str) -> int:
        """The number of a role's colour."""
        return self._alone[role]

    def ends(self, over: str, under: str) -> tuple[int, int]:
        """The first and the last number of a ramp: the background and the ink."""
        start = self._start[over, under]
        return start, start + self._steps

    def ramp(self, over: str, under: str) -> list[int]:
        """The number of the colour for each coverage from 0 to 255."""
        start = self._start[over, under]
        return [start + round(coverage / 255 * self._steps) for coverage in range(256)]

    def stroke(self, over: str) -> list[list[int] | int]:
        """For each step of coverage by a line: the number that replaces each number, or one number for all of them."""
        tables: list[list[int] | int] = []
        for step in range(1, self._stroke_steps):
            becomes = list(range(256))
            for number, under in enumerate(self._grounds):
                if (over, under) in self._strokes:
                    becomes[number] = self._strokes[over, under] + step - 1
                elif 2 * step > self._stroke_steps:
                    becomes[number] = self._alone[over]
            tables.append(becomes)
        return [*tables, self._alone[over]]


@cache
def _steps(count: int) -> list[list[int]]:
    """A lookup table for each step of coverage: 255 for the coverages from 0 to 255 that are nearest to the step."""
    return [[255 * (round(each / 255 * count) == step) for each in range(256)] for step in range(1, count + 1)]


def ink(box: Box, theme: Theme) -> str:
    """The role of the text of a box.

    >>> from convarith_gallery.drawing.theme import THEMES
    >>> ink(Box(0, 0, 9, 9, "input"), THEMES["light"]), ink(Box(0, 0, 9, 9, ink="faint"), THEMES["light"])
    ('light', 'faint')
    """
    return box.ink or theme.ink_on(box.fill)


class _Stamp(NamedTuple):
    """A picture of palette numbers, the mask of its pixels, and its offset from the corner of the box."""

    image: Image.Image
    mask: Image.Image | None
    offset: int

    def put(self, canvas: Image.Image, x: int, y: int) -> None:
        canvas.paste(self.image, (x + self.offset, y + self.offset), self.mask)


class _Sprite(NamedTuple):
    """The pixels of a box, and its outline on the paper around it: all pixels of it, and the fully covered ones."""

    face: _Stamp
    halo: _Stamp | None
    firm: _Stamp | None


class _Stroke(NamedTuple):
    """All lines of one colour: their area, and a mask of the pixels for each step of coverage."""

    colour: str
    area: Area
    masks: list[Image.Image]


class _Placed(NamedTuple):
    """A sprite at its position. Two boxes with equal `bounds` cover the same pixels, outlines included."""

    sprite: _Sprite
    x: int
    y: int
    area: Area
    bare: bool
    bounds: tuple[int, int, Quad, str | None]

    def covers(self, area: Area) -> bool:
        left, top, right, bottom = self.area
        return left < area[2] and area[0] < right and top < area[3] and area[1] < bottom


class _Painter:
    """The canvas with all boxes, and the current lines."""

    def __init__(self, film: Film, theme: Theme, scale: int) -> None:
        every = [*film.items, *(item for changes in film.frames for item in changes.values())]
        self._theme, self._scale = theme, scale
        self._palette = _Palette(
            theme, (item for item in every if isinstance(item, Box)), (item for item in every if isinstance(item, Line))
        )
        self._size = film.width * scale, film.height * scale
        self._whole = (0, 0, *self._size)
        self._canvas = Image.new("L", self._size)
        self._boxes: list[_Placed | None] = [None] * len(film.items)
        self._lines: dict[int, Line] = {}
        self._first: Changes | None = {number: item for number, item in enumerate(film.items) if item is not None}
        self._place = lru_cache(4 * _MOST_SPRITES)(self._find_place)
        self._sprite = lru_cache(_MOST_SPRITES)(self._draw_sprite)
        self._outline = lru_cache(_MOST_SPRITES)(self._draw_outline)
        self._coverage = lru_cache(_MOST_SPRITES)(self._cover_outline)
        self._stroke = lru_cache(None)(self._palette.stroke)
        self._ramp = lru_cache(None)(self._palette.ramp)
        self._hatch = lru_cache(_MOST_SPRITES)(self._draw_hatch)
        self._strokes = lru_cache(2)(self._draw_strokes)

    def step(self, changes: Changes) -> Frame:
        """The next frame."""
        if self._first is not None:
            self._take({**self._first, **changes})
            self._first = None
            self._repaint(self._whole)
            changed: Area | None = self._whole
        else:
            before = tuple(self._lines.values())
            areas = list(self._change(changes))
            after = tuple(self._lines.values())
            if before != after:
                areas += [stroke.area for lines in (before, after) for stroke in self._strokes(lines)]
            changed = _union(areas, self._whole)
        image = self._canvas.copy()
        for stroke in self._strokes(tuple(self._lines.values())):
            below = image.crop(stroke.area)
            for mask, becomes in zip(stroke.masks, self._stroke(stroke.colour), strict=True):
                over = becomes if isinstance(becomes, int) else below.point(becomes)
                image.paste(over, stroke.area, mask)
        image.putpalette(self._palette.bytes)
        return Frame(image, changed)

    def _take(self, changes: Changes) -> dict[int, _Placed | None]:
        """Record the changed items without drawing them, and return the boxes that they replace."""
        gone = {number: self._boxes[number] for number in changes}
        for number, item in changes.items():
            self._boxes[number] = self._place(item) if isinstance(item, Box) else None
            self._lines.pop(number, None)
            if isinstance(item, Line):
                self._lines[number] = item
        self._lines = dict(sorted(self._lines.items()))
        return gone

    def _change(self, changes: Changes) -> Iterator[Area]:
        """Draw the changed boxes, and yield the areas that were redrawn."""
        for number, old in self._take(changes).items():
            new = self._boxes[number]
            if old is new:
                continue
            if old is not None and new is not None and old.bounds == new.bounds and not new.bare:
                new.sprite.face.put(self._canvas, new.x, new.y)
                yield _inside(new)
                continue
            for area in {box.area: None for box in (old, new) if box is not None}:
                self._repaint(area)
                yield area

    def _repaint(self, area: Area) -> None:
        """Redraw everything in an area: text on the paper, then outlines on the paper, then boxes."""
        left, top, right, bottom = area
        piece = Image.new("L", (right - left, bottom - top), self._palette.alone("paper"))
        near = [box for box in self._boxes if box is not None and box.covers(area)]
        for box in near:
            if box.bare:
                box.sprite.face.put(piece, box.x - left, box.y - top)
        for box in near:
            if box.sprite.halo is not None:
                box.sprite.halo.put(piece, box.x - left, box.y - top)
        for box in near:
            # the faint edge of one outline must not hide another outline
            if box.sprite.firm is not None:
                box.sprite.firm.put(piece, box.x - left, box.y - top)
        for box in near:
            if not box.bare:
                box.sprite.face.put(piece, box.x - left, box.y - top)
        self._canvas.paste(piece, (left, top))

    def _find_place(self, box: Box) -> _Placed:
        """Position a box with all its corners rounded to whole pixels, so that neighbours have the same corners."""
        corners = Quad(*(floor(length * self._scale + 0.5 + 1e-6) for length in quad(box)))
        x, y = int(min(corners[2:])), int(corners.top)
        shape = corners.moved(-x, -y)
        margin = 0 if is_bare(box) else self._margin(shape)
        right, bottom = int(max(corners[2:])), int(corners.bottom)
        area = (x - margin, y - margin, right + margin, bottom + margin)
        bounds = (x, y, shape, outline_role(box))
        return _Placed(self._sprite(shape, box._replace(x=0, y=0)), x, y, area, is_bare(box), bounds)

    def _margin(self, shape: Quad) -> int:
        """How far an outline can reach beyond its box, which is further at a sharp corner."""
        return ceil(OUTLINE * self._scale) * (1 if shape.straight else 2)

    def _draw_sprite(self, shape: Quad, box: Box) -> _Sprite:
        margin = self._margin(shape)
        below, above = self._palette.ends(ink(box, self._theme), box.fill)
        face = Image.new("L", _size(shape, margin), below)
        if box.hatched:
            face.paste(round(below + _HATCH_SHARE * (above - below)), (0, 0), self._hatch(face.size))
        if box.text or box.note:
            self._write(face, shape.moved(margin, margin), box, above)
        halo = firm = None
        if (edge := outline_role(box)) is not None:
            self._outline(shape, edge, box.fill, box.heavy).put(face, margin, margin)
            halo = self._outline(shape, edge, "paper", False)
            if not shape.straight:
                firm = halo._replace(mask=self._coverage(shape, False).point(_WHOLE, "1"))
        if shape.straight:
            inside = face.crop((margin, margin, face.width - margin, face.height - margin))
            return _Sprite(_Stamp(inside, None, 0), halo, firm)
        return _Sprite(_Stamp(face, _filled(face.size, shape.moved(margin, margin)), -margin), halo, firm)

    def _draw_outline(self, shape: Quad, edge: str, under: str, heavy: bool) -> _Stamp:
        coverage = self._coverage(shape, heavy)
        if shape.straight:
            # no pixel is partly covered
            return _Stamp(Image.new("L", coverage.size, self._palette.alone(edge)), coverage, -self._margin(shape))
        return _Stamp(coverage.point(self._ramp(edge, under)), coverage.point(_COVERED, "1"), -self._margin(shape))

    def _cover_outline(self, shape: Quad, heavy: bool) -> Image.Image:
        width, margin = OUTLINE * self._scale, self._margin(shape)
        # an odd number of pixels cannot be split evenly between the two sides of a border
        shift = margin + width % 2 / 2
        border = shape.moved(shift, shift)
        finer = 1 if shape.straight else _SUBPIXELS
        columns, rows = (length * finer for length in _size(shape, margin))
        coverage = _filled((columns, rows), border.outset(width / 2), finer)
        inside = border.outset(-HEAVY * self._scale if heavy else -width / 2)
        coverage.paste(0, (0, 0), _filled((columns, rows), inside, finer))
        return coverage.reduce(finer)

    def _draw_hatch(self, size: tuple[int, int]) -> Image.Image:
        """The coverage by diagonal lines that rise to the right."""
        columns, rows = (length * _SUBPIXELS for length in size)
        coverage = Image.new("L", (columns, rows))
        draw = ImageDraw.Draw(coverage)
        unit = self._scale * _SUBPIXELS
        for start in range(0, columns + rows, _HATCH_SPACING * unit):
            draw.line((start - rows, rows, start, 0), 255, round(1.25 * unit))
        return coverage.reduce(_SUBPIXELS)

    def _write(self, face: Image.Image, shape: Quad, box: Box, number: int) -> None:
        """Draw the text, and the note in the lower right corner."""
        scale = self._scale
        width, height, lift = (length * scale for length in text_room(box))
        gap = 0 if is_bare(box) else TEXT_MARGIN * scale
        if box.text:
            text = _fitting(box.text, box.size * scale, box.bold, width, height)
            middle = (shape.top + shape.bottom) / 2 - lift
            left, right = shape.sides(middle)
            start = {"left": left + gap, "center": (left + right - text.length) / 2, "right": right - gap - text.length}
            text.put(face, start[box.align], middle + text.height / 2, number)
        if box.note:
            note = _fitting(box.note, box.size * NOTE * scale, False, width, (shape.bottom - shape.top) / 2)
            baseline = shape.bottom - gap
            note.put(face, shape.sides(baseline - note.height / 2)[1] - gap - note.length, baseline, number)

    def _draw_strokes(self, lines: tuple[Line, ...]) -> list[_Stroke]:
        colours: dict[str, list[Line]] = {}
        for line in lines:
            colours.setdefault(line.colour, []).append(line)
        strokes = []
        for colour, group in colours.items():
            beside = max(line.width for line in group) / 2 * self._scale + 1
            across, down = zip(
                *((x * self._scale, y * self._scale) for line in group for x, y in line.points), strict=True
            )
            low = floor(min(across) - beside), floor(min(down) - beside)
            high = ceil(max(across) + beside), ceil(max(down) + beside)
            if (area := _union([(*low, *high)], self._whole)) is not None:
                coverage = self._cover(group, area)
                steps = len(self._stroke(colour))
                masks = [coverage.point(mask, "1") for mask in _steps(steps)]
                strokes.append(_Stroke(colour, area, masks))
        return strokes

    def _cover(self, lines: Iterable[Line], area: Area) -> Image.Image:
        left, top, right, bottom = area
        coverage = Image.new("L", ((right - left) * _LINE_SUBPIXELS, (bottom - top) * _LINE_SUBPIXELS))
        draw = ImageDraw.Draw(coverage)
        for line in lines:
            points = [
                ((x * self._scale - left) * _LINE_SUBPIXELS, (y * self._scale - top) * _LINE_SUBPIXELS)
                for x, y in line.points
            ]
            draw.line(points, 255, round(line.width * self._scale * _LINE_SUBPIXELS), "curve")
        return coverage.reduce(_LINE_SUBPIXELS)


_COVERED = [0] + [255] * 255
_WHOLE = [0] * 255 + [255]


def _size(shape: Quad, margin: int) -> tuple[int, int]:
    return int(max(shape[2:])) + 2 * margin, int(shape.bottom) + 2 * margin


def _inside(box: _Placed) -> Area:
    face = box.sprite.face
    left, top = box.x + face.offset, box.y + face.offset
    return left, top, left + face.image.width, top + face.image.height


def _union(areas: list[Area], within: Area) -> Area | None:
    """The smallest area that contains all of these, clipped to `within`; None if it is empty."""
    if not areas:
        return None
    left, top, right, bottom = zip(*areas, strict=True)
    area = max(min(left), within[0]), max(min(top), within[1]), min(max(right), within[2]), min(max(bottom), within[3])
    return area if area[0] < area[2] and area[1] < area[3] else None


def _filled(size: tuple[int, int], shape: Quad, finer: int = 1) -> Image.Image:
    """255 for pixels whose centre is in the shape, otherwise 0. Shapes that share a side have no pixel in common."""
    columns, rows = size
    top, bottom = round(shape.top * finer), round(shape.bottom * finer)
    height = shape.bottom - shape.top or 1
    left_lean, right_lean = (
        (shape.left_top - shape.left_bottom) / height,
        (shape.right_top - shape.right_bottom) / height,
    )
    lines = [bytes(columns)] * rows
    for row in range(top, bottom):
        up = shape.bottom - (row + 0.5) / finer
        start = max(ceil((shape.left_bottom + left_lean * up) * finer - 0.5 - 1e-6), 0)
        stop = min(ceil((shape.right_bottom + right_lean * up) * finer - 0.5 - 1e-6), columns)
        lines[row] = (b"\xff" * (stop - start)).rjust(stop, b"\0").ljust(columns, b"\0")
    return Image.frombytes("L", size, b"".join(lines))


class _Text(NamedTuple):
    """The pixel coverage of a text. The picture is larger than the text by `beside` pixels, about the font size."""

    coverage: Image.Image
    length: float
    height: float
    beside: int

    def put(self, canvas: Image.Image, x: float, baseline: float, number: int) -> None:
        left, top = floor(x + 0.5) - self.beside, floor(baseline + 0.5) - 2 * self.beside
        canvas.paste(number, (left, top, left + self.coverage.width, top + self.coverage.height), self.coverage)


@lru_cache(256)
def _font(bold: bool, quarters: int) -> ImageFont.FreeTypeFont:
    name = "figure-sans-bold.ttf" if bold else "figure-sans.ttf"
    return ImageFont.truetype(FONTS / name, quarters / 4, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(_MOST_SPRITES)
def _fitting(text: str, size: float, bold: bool, width: float, height: float) -> _Text:
    """A text in this font size, or in a smaller one if it would not fit."""
    quarters = max(floor(4 * min(size, height / CAP_HEIGHT)), 1)
    font = _font(bold, quarters)
    while (length := font.getlength(text)) > width and quarters > 1:
        quarters = max(min(quarters - 1, floor(quarters * width / length)), 1)
        font = _font(bold, quarters)
    beside = ceil(font.size)
    coverage = Image.new("L", (ceil(length) + 2 * beside, 3 * beside))
    ImageDraw.Draw(coverage).text((beside, 2 * beside), text, 255, font, "ls")
    return _Text(coverage, length, CAP_HEIGHT * font.size, beside)
