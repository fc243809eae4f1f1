"""The exact geometry of a box, shared by the pixel and the vector drawing."""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

from convarith_gallery.drawing.film import Box

OUTLINE = 1.0
"""Width of an outline in points. It is centred on the border of the box, so that neighbouring boxes share it."""
HEAVY = 2.0
"""How far a heavy outline reaches into its box, in points."""
CAP_HEIGHT = 0.73
"""Height of capitals and digits in the font of the pictures, as a share of the font size."""
TEXT_MARGIN = 2.5
"""Space between a text and the border of its box, in points."""
NOTE = 0.62
"""Font size of a note, as a share of the font size of the text."""


class Quad(NamedTuple):
    """A rectangle or parallelogram with horizontal upper and lower edges."""

    top: float
    bottom: float
    left_top: float
    left_bottom: float
    right_top: float
    right_bottom: float

    @property
    def straight(self) -> bool:
        """Is it a rectangle?"""
        return self.left_top == self.left_bottom and self.right_top == self.right_bottom

    def moved(self, x: float, y: float) -> Quad:
        """The same shape, moved by x and y.

        >>> Quad(0, 2, 1, 0, 3, 2).moved(1, 5)
        Quad(top=5, bottom=7, left_top=2, left_bottom=1, right_top=4, right_bottom=3)
        """
        left_right = (edge + x for edge in self[2:])
        return Quad(self.top + y, self.bottom + y, *left_right)

    def sides(self, y: float) -> tuple[float, float]:
        """The x coordinates of the left and the right side at this height.

        >>> Quad(0, 2, 1, 0, 3, 2).sides(1)
        (0.5, 2.5)
        """
        share = (self.bottom - y) / (self.bottom - self.top)
        left = self.left_bottom + (self.left_top - self.left_bottom) * share
        return left, self.right_bottom + (self.right_top - self.right_bottom) * share

    def outset(self, distance: float) -> Quad:
        """The shape whose border is this far outside this one, or inside for a negative distance.

        If the border would move past the middle, the shape collapses to a line instead of turning inside out.

        >>> Quad(0, 8, 0, 0, 6, 6).outset(-1)
        Quad(top=1, bottom=7, left_top=1.0, left_bottom=1.0, right_top=5.0, right_bottom=5.0)
        """
        height = self.bottom - self.top
        top, bottom = self.top - distance, self.bottom + distance
        if bottom <= top:
            top = bottom = (top + bottom) / 2
        (left_top, right_top), (left_bottom, right_bottom) = self.sides(top), self.sides(bottom)
        left = distance * hypot(1, (self.left_top - self.left_bottom) / height)
        right = distance * hypot(1, (self.right_top - self.right_bottom) / height)
        return Quad(top, bottom, left_top - left, left_bottom - left, right_top + right, right_bottom + right)


def quad(box: Box) -> Quad:
    """The outline of a box, in points.

    >>> quad(Box(10, 0, 20, 8, slant=4))
    Quad(top=0, bottom=8, left_top=14, left_bottom=10, right_top=34, right_bottom=30)
    """
    left, right = box.x, box.x + box.width
    return Quad(box.y, box.y + box.height, left + box.slant, left, right + box.slant, right)


def is_bare(box: Box) -> bool:
    """Is the box only text on the paper? The outlines of its neighbours are then drawn over it.

    >>> is_bare(Box(0, 0, 9, 9, text="input")), is_bare(Box(0, 0, 9, 9, "input"))
    (True, False)
    """
    return box.fill == "paper" and outline_role(box) is None and not box.hatched


def outline_role(box: Box) -> str | None:
    """The role of the outline, or None without one. A heavy box without an edge uses the role 'edge'.

    >>> outline_role(Box(0, 0, 9, 9, heavy=True))
    'edge'
    """
    return box.edge or ("edge" if box.heavy else None)


def text_room(box: Box) -> tuple[float, float, float]:
    """The width and the height available to the text, and how far its middle is above the middle of the box, in points.

    A note takes some of the space below the text.

    >>> text_room(Box(0, 0, 30, 20, "input", text="7"))
    (25.0, 15.0, 0.0)
    """
    margin = 0 if is_bare(box) else TEXT_MARGIN
    lift = (box.size * NOTE * CAP_HEIGHT + 1) / 2 if box.note else 0.0
    height = max(box.height - 2 * margin - 2 * lift, 1)
    slanted = abs(box.slant) * min(box.size * CAP_HEIGHT / box.height, 1)
    return max(box.width - 2 * margin - slanted, 1), height, lift
