"""The data that describes an animated picture: boxes and lines, and what changes from frame to frame.

A film is independent of convolutions and of file formats. Lengths are in points from the upper left corner, and colours
are roles of a theme. Boxes do not overlap each other and lines lie on top of them, so that a writer can redraw only
what changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle, or a parallelogram if it has a slant, with optional text in it.

    Attributes:
        x, y, width, height: the upper left corner and the size. The lower edge of a slanted box starts at x.
        fill, edge: roles of the theme. Without an edge the box has no outline.
        text, size, bold, align: the text and its font size in points; it shrinks to fit. `align` is 'left', 'center'
            or 'right'.
        ink: the role of the text; None for the ink that is readable on the fill.
        note: small text in the lower right corner.
        slant: how far the upper edge is shifted to the right.
        hatched: whether diagonal lines cover the fill, so that colour is not the only cue.
        heavy: whether the outline is thick.
    """

    x: float
    y: float
    width: float
    height: float
    fill: str = "paper"
    edge: str | None = None
    text: str = ""
    size: float = 14
    bold: bool = False
    align: str = "center"
    ink: str | None = None
    note: str = ""
    slant: float = 0
    hatched: bool = False
    heavy: bool = False


class Line(NamedTuple):
    """A polyline, drawn on top of every box."""

    points: tuple[tuple[float, float], ...]
    colour: str = "guide"
    width: float = 1.5


Item = Box | Line


def moved(item: Item, x: float, y: float) -> Item:
    """The item, moved by x and y.

    >>> moved(Line(((0, 0), (1, 2))), 10, 20).points
    ((10, 20), (11, 22))
    """
    if isinstance(item, Line):
        return item._replace(points=tuple((across + x, down + y) for across, down in item.points))
    return item._replace(x=item.x + x, y=item.y + y)


Changes = Mapping[int, Item | None]


@dataclass(frozen=True)
class Film:
    """An animated picture: the items before the first frame, and the changes that each frame makes to them.

    Attributes:
        width, height: the size of the picture.
        items: the items by number; None for a number that a later frame fills.
        frames: for each frame, the new item (or None) of each number that changes.
        captions: one per frame, also for readers who cannot see the picture.
        title: what the film shows.
        alt: a description of the whole film.
    """

    width: int
    height: int
    items: tuple[Item | None, ...]
    frames: tuple[Changes, ...]
    captions: tuple[str, ...]
    title: str
    alt: str

    def shown(self) -> Iterator[Sequence[Item | None]]:
        """Yield all items of each frame.

        >>> film = Film(9, 9, (Box(0, 0, 9, 9),), ({}, {0: None}), ("a", "b"), "", "")
        >>> [items[0] is None for items in film.shown()]
        [False, True]
        """
        items = list(self.items)
        for changes in self.frames:
            for number, item in changes.items():
                items[number] = item
            yield tuple(items)
