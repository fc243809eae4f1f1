"""The text around a picture: title and call above, formula and remarks below, caption and frame counter at the end."""

from __future__ import annotations

from collections.abc import Sequence

from convarith_gallery.drawing.film import Box, Film, Item, moved

MARGIN = 24
HEADER = 56
LEAST_WIDTH = 440
LINE = 20


def framed(body: Film, call: str, formula: Sequence[str] = (), remarks: Sequence[str] = (), bare: bool = False) -> Film:
    """Add the title, the call, the formula, the remarks and the captions around a film.

    `bare` leaves out the title, the call, the captions and the counter, for a page that shows them beside the picture.

    >>> body = Film(40, 40, (Box(0, 0, 40, 40),), ({},), ("the only one",), "One box", "")
    >>> [item.text for item in next(iter(framed(body, "Box()", ["o = 1"]).shown())) if item.text]
    ['One box', 'Box()', 'o = 1', 'the only one', '1 / 1']
    """
    width = round(max(body.width, LEAST_WIDTH) + 2 * MARGIN)
    x, y = (width - body.width) // 2, MARGIN + (0 if bare else HEADER)
    items: list[Item | None] = [None if item is None else moved(item, x, y) for item in body.items]
    frames = [
        {number: None if item is None else moved(item, x, y) for number, item in changes.items()}
        for changes in body.frames
    ]
    line = Box(MARGIN, 0, width - 2 * MARGIN, LINE, align="left", ink="ink")
    if not bare:
        items.append(line._replace(y=MARGIN - 6, height=24, text=body.title, size=17, bold=True))
        items.append(line._replace(y=MARGIN + 20, text=call, size=12.5, ink="faint"))
    foot = y + body.height + 16
    for text in formula:
        items.append(line._replace(y=foot, text=text, size=13.5))
        foot += LINE
    for text in remarks:
        items.append(line._replace(y=foot, text=text, size=12.5, ink="faint"))
        foot += LINE
    if not bare:
        caption = line._replace(y=foot + 6, width=line.width - 70, height=22, size=13.5)
        counter = Box(width - MARGIN - 66, foot + 6, 66, 22, size=12.5, align="right", ink="faint")
        for at, (changes, text) in enumerate(zip(frames, body.captions, strict=True), start=1):
            changes[len(items)] = caption._replace(text=text)
            changes[len(items) + 1] = counter._replace(text=f"{at:,} / {len(frames):,}")
        items += [None, None]
        foot += 28
    height = round(foot + MARGIN / 2)
    return Film(width, height, tuple(items), tuple(frames), body.captions, body.title, body.alt)
