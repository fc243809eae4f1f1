"""A film: boxes and lines, and what changes from frame to frame. It knows nothing of convolution, or of pixels.

Lengths are in points from the upper left corner; colours are the roles of a theme. Boxes do not overlap one another,
and lines lie on top of them, so that a writer may draw only what changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle or, with a slant, a parallelogram; with a text in it.

    Attributes:
        x, y, width, height: the upper left corner and the size. A slanted box's lower edge starts at x.
        fill, edge: roles of the theme; without an edge there is no outline.
        text, size, bold, align: what is written in it, in points; it shrinks to fit. Align is left, center or right.
        ink: the text's role; without one, the ink that reads on the fill.
        note: a small text in the lower right corner.
        slant: how far the upper edge is moved to the right.
        hatched: diagonal lines over the fill, so that colour is not the only sign.
        heavy: a thick outline.
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
    """A line through points, on top of every box."""

    points: tuple[tuple[float, float], ...]
    colour: str = "guide"
    width: float = 1.5


Item = Box | Line


def moved(item: Item, x: float, y: float) -> Item:
    """The item elsewhere.

    >>> moved(Line(((0, 0), (1, 2))), 10, 20).points
    ((10, 20), (11, 22))
    """
    if isinstance(item, Line):
        return item._replace(points=tuple((across + x, down + y) for across, down in item.points))
    return item._replace(x=item.x + x, y=item.y + y)


Changes = Mapping[int, Item | None]


@dataclass(frozen=True)
class Film:
    """What is seen: `items` before the first frame, then for each frame the items that are other than before.

    Attributes:
        width, height: of the picture.
        items: by number; None where a later frame puts one.
        frames: of each frame, what each changed number shows from now on.
        captions: one a frame, for readers who do not see it.
        title: what the film shows.
        alt: the whole in words.
    """

    width: int
    height: int
    items: tuple[Item | None, ...]
    frames: tuple[Changes, ...]
    captions: tuple[str, ...]
    title: str
    alt: str

    def shown(self) -> Iterator[Sequence[Item | None]]:
        """All items of each frame.

        >>> film = Film(9, 9, (Box(0, 0, 9, 9),), ({}, {0: None}), ("a", "b"), "", "")
        >>> [items[0] is None for items in film.shown()]
        [False, True]
        """
        items = list(self.items)
        for changes in self.frames:
            for number, item in changes.items():
                items[number] = item
            yield tuple(items)
