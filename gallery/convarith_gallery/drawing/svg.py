"""Drawing a film as an animated SVG, without a script, so that it also plays in an <img> of a README.

Items that are visible in the same frames form one group, whose visibility is one CSS animation. Items that never change
are written once, without an animation. Readers who prefer reduced motion, and viewers without CSS animations, get the
last frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html import escape
from typing import TypeAlias

from convarith_gallery.drawing.film import Box, Film, Item, Line
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
from convarith_gallery.drawing.theme import THEMES, Theme
from convarith_gallery.drawing.theme import theme as theme_named

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""The frames in which an item is visible: the first one and the one after the last, of each time that it appears."""

_FAMILY = "'DejaVu Sans', Verdana, sans-serif"
_HATCH_SPACING = 6


def svg(
    film: Film,
    theme: str = "light",
    seconds: float = 0.5,
    hold: float = 2.0,
    loops: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """The text of an SVG file that plays the film. A film with one frame becomes a still picture.

    Args:
        film: the film; its points become the units of the file.
        theme: 'light', 'dark', or 'auto' for the reader's own preference.
        seconds: how long each frame is shown.
        hold: how long the last frame is shown, if that is longer than `seconds`.
        loops: how often the film plays; 0 to play forever.
        progress: called after each frame with the number of frames done and the total.

    Raises:
        ParameterError: the theme is unknown.

    >>> film = Film(20, 10, (Box(0, 0, 9, 9, "input"),), ({}, {0: Box(0, 0, 9, 9, "now")}), ("a", "b"), "two", "")
    >>> text = svg(film)
    >>> text.count("@keyframes"), "@keyframes" in svg(Film(20, 10, film.items, ({},), ("a",), "one", ""))
    (2, False)
    """
    names = ("light", "dark") if theme == "auto" else (theme_named(theme).name,)
    layers: tuple[dict[Spans, list[str]], ...] = ({}, {}, {})
    looks: set[Box] = set()
    strokes: set[str] = set()
    for item, spans in _visible_spans(film, progress):
        if isinstance(item, Line):
            layer = 2
            strokes.add(item.colour)
        else:
            # half of an outline lies outside its box, on top of neighbours that have none
            layer = int(outline_role(item) is not None)
            looks.add(Box(0, 0, 0, 0, item.fill, item.edge, ink=item.ink, hatched=item.hatched, heavy=item.heavy))
        layers[layer].setdefault(spans, []).append(drawn(item))
    whole: Spans = ((0, len(film.frames)),)
    moving = sorted({spans for layer in layers for spans in layer} - {whole})
    numbers = {spans: number for number, spans in enumerate(moving)}
    body = []
    for groups in layers:
        for spans, elements in sorted(groups.items(), key=lambda entry: (entry[0] != whole, entry[0])):
            content = "\n".join(elements)
            body.append(content if spans == whole else f'<g class="t{numbers[spans]}">\n{content}\n</g>')
    style = [
        f"text{{font-family:{_FAMILY};text-anchor:middle}}.l{{text-anchor:start}}.r{{text-anchor:end}}.b{{font-weight:bold}}"
    ]
    style += [_colours(THEMES[names[0]], looks, strokes)]
    style += [f"@media(prefers-color-scheme:dark){{{_colours(THEMES[name], looks, strokes)}}}" for name in names[1:]]
    style += _animations(moving, len(film.frames), seconds, max(seconds, hold), loops)
    hatches = [
        f'<pattern id="h-{name}" width="{_HATCH_SPACING}" height="{_HATCH_SPACING}" patternUnits="userSpaceOnUse"'
        f' patternTransform="rotate(45)"><path class="l-{name}" d="M0,0v{_HATCH_SPACING}"/></pattern>'
        for name in sorted({_ink(look) for look in looks if look.hatched})
    ]
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{film.width}" height="{film.height}"'
        f' viewBox="0 0 {film.width} {film.height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{_text(film.title)}</title>',
        f'<desc id="desc">{_text(film.alt)}</desc>',
        "<style>", *style, "</style>",
        *(["<defs>", *hatches, "</defs>"] if hatches else []),
        f'<rect class="f-paper" width="{film.width}" height="{film.height}"/>',
    ]  # fmt: skip
    return "\n".join([*head, *body, "</svg>", ""])


def _visible_spans(film: Film, progress: Callable[[int, int], None] | None) -> Iterator[tuple[Item, Spans]]:
    """Every item that a number shows, with the frames in which it is visible, in the order of the numbers."""
    count = len(film.frames)
    since: list[tuple[int, Item | None]] = [(0, item) for item in film.items]
    spans: list[dict[Item, list[tuple[int, int]]]] = [{} for _ in film.items]
    for frame, changes in enumerate((*film.frames, dict(enumerate((None,) * len(film.items))))):
        for number, item in changes.items():
            start, old = since[number]
            if old != item or frame == count:
                if old is not None and start < frame:
                    spans[number].setdefault(old, []).append((start, frame))
                since[number] = frame, item
        if progress is not None and frame < count:
            progress(frame + 1, count)
    for looks in spans:
        for item, times in looks.items():
            yield item, tuple(times)


def _animations(moving: Sequence[Spans], count: int, seconds: float, hold: float, loops: int) -> Iterator[str]:
    """The CSS rules of the animation: for each group, when it becomes visible or hidden, and its final state."""
    if not moving:
        return
    length = seconds * (count - 1) + hold
    yield f"g{{animation:{_number(length)}s step-end {loops or 'infinite'}}}"
    for number, spans in enumerate(moving):
        seen = {frame: visible for span in spans for frame, visible in zip(span, ("visible", "hidden"), strict=True)}
        in_the_end = seen.pop(count, "hidden") == "hidden" and spans[-1][1] == count
        steps = "".join(
            f"{_number(100 * frame * seconds / length, 5)}%{{visibility:{visible}}}"
            for frame, visible in sorted(({0: "hidden"} | seen).items())
        )
        last = "visible" if in_the_end else "hidden"
        yield f".t{number}{{visibility:{last};animation-name:t{number}}}@keyframes t{number}{{{steps}}}"
    yield "@media(prefers-reduced-motion:reduce){g{animation:none!important}}"


def _colours(theme: Theme, looks: set[Box], strokes: set[str]) -> str:
    """The CSS rules of the colours. Prefixes: f- fill, e- outline, i- text, l- hatching, s- line."""

    def colour(role: str) -> str:
        return "#{:02x}{:02x}{:02x}".format(*theme.colours[role])

    rules = {f".f-{role}{{fill:{colour(role)}}}" for role in {"paper"} | {look.fill for look in looks}}
    for look in looks:
        if (edge := outline_role(look)) is not None:
            rules.add(f".e-{edge}{{stroke:{colour(edge)};stroke-width:{_number(OUTLINE)}}}")
        role = look.ink or theme.ink_on(look.fill)
        rules.add(f".i-{_ink(look)}{{fill:{colour(role)}}}")
        if look.hatched:
            rules.add(f".l-{_ink(look)}{{stroke:{colour(role)};stroke-width:2.5;opacity:.4}}")
    rules |= {f".s-{role}{{stroke:{colour(role)};fill:none;stroke-linejoin:round}}" for role in strokes}
    return "".join(sorted(rules))


def _ink(look: Box) -> str:
    """The name of an ink. Without one, the theme chooses the ink that is readable on the fill."""
    return look.ink or f"on-{look.fill}"


def drawn(item: Item) -> str:
    """The SVG elements of an item.

    >>> drawn(Line(((0, 0), (4, 2))))
    '<polyline class="s-guide" stroke-width="1.5" points="0,0 4,2"/>'
    """
    if isinstance(item, Line):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in item.points)
        return f'<polyline class="s-{item.colour}" stroke-width="{_number(item.width)}" points="{points}"/>'
    return "".join(_parts(item))


def _parts(box: Box) -> Iterator[str]:
    shape, edge = quad(box), outline_role(box)
    classes, wide = f"f-{box.fill}", ""
    if box.heavy:
        # reaches as far outside the border as any outline, but further inside
        width = OUTLINE / 2 + HEAVY
        shape, wide = shape.outset(OUTLINE / 2 - width / 2), f' style="stroke-width:{_number(width)}"'
    if edge is not None:
        classes += f" e-{edge}"
    if not is_bare(box):
        if box.hatched:
            yield f'<path class="f-{box.fill}" d="{_path(shape)}"/>'
            yield f'<path fill="url(#h-{_ink(box)})"{_stroked(edge)}{wide} d="{_path(shape)}"/>'
        else:
            yield f'<path class="{classes}"{wide} d="{_path(shape)}"/>'
    shape = quad(box)
    width, height, lift = text_room(box)
    gap = 0 if is_bare(box) else TEXT_MARGIN
    if box.text:
        size = _fitted(box.text, box.size, box.bold, width, height)
        middle = (shape.top + shape.bottom) / 2 - lift
        left, right = shape.sides(middle)
        x, align = {"left": (left + gap, " l"), "center": ((left + right) / 2, ""), "right": (right - gap, " r")}[
            box.align
        ]
        yield _written(f"i-{_ink(box)}{align}{' b' * box.bold}", x, middle + CAP_HEIGHT * size / 2, size, box.text)
    if box.note:
        size = _fitted(box.note, box.size * NOTE, False, width, box.height / 2)
        baseline = shape.bottom - gap
        right = shape.sides(baseline - CAP_HEIGHT * size / 2)[1]
        yield _written(f"i-{_ink(box)} r", right - gap, baseline, size, box.note)


def _stroked(edge: str | None) -> str:
    return "" if edge is None else f' class="e-{edge}"'


def _written(classes: str, x: float, y: float, size: float, text: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" font-size="{_number(size)}"'
    return f'<text class="{classes}" {place}>{_text(text)}</text>'


def _path(shape: Quad) -> str:
    points = (
        (shape.left_bottom, shape.bottom), (shape.right_bottom, shape.bottom),
        (shape.right_top, shape.top), (shape.left_top, shape.top),
    )  # fmt: skip
    return "M" + " ".join(f"{_number(x)},{_number(y)}" for x, y in points) + "z"


@cache
def _fitted(text: str, size: float, bold: bool, width: float, height: float) -> float:
    """The font size in which a text fits, even in the widest of the fonts that a reader may have."""
    return min(size, height / CAP_HEIGHT, width / max(text_width(text, bold), 0.01))


_NARROW = frozenset(" .,:;'|!ijlI()[]{}·⌊⌋ftr/-\\\"*")
_WIDE = frozenset("mwMWOQGDNHU@%&—→←↔×+−=<>≤≥≠±~^#…½¼¾")


def text_width(text: str, bold: bool = False) -> float:
    """An upper bound on the width of a text, as a multiple of its font size, in DejaVu Sans, Verdana or narrower fonts.

    >>> text_width("12"), text_width("12", bold=True)
    (1.28, 1.4)
    """
    return sum(
        (0.48 if letter in _NARROW else 1.0 if letter in _WIDE else 0.77 if letter.isupper() else 0.64)
        + (0.06 if bold else 0)
        for letter in text
    )


def _text(text: str) -> str:
    """A text escaped for XML, without the characters that XML does not allow."""
    return escape("".join(letter for letter in text if letter >= " " or letter in "\t\n"), quote=False)


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0"
