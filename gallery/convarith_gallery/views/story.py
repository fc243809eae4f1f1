"""A story: panels of cells, and what each step marks, writes and claims. Drawing it needs no word of convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[int, int, int]
"""(panel, row, column)"""


class Cell(NamedTuple):
    """One square: its role in the theme, the number in it, a small number in its corner."""

    role: str
    text: str = ""
    note: str = ""
    hatched: bool = False
    heavy: bool = False


class Panel(NamedTuple):
    """A map, a kernel, a matrix: rows of cells as they are before the first step.

    Attributes:
        group: the panels of a group stand together under its label.
        rows: its cells; None leaves a place open.
        label: what tells it from the others of its group, as 'channel 1'.
    """

    group: str
    rows: tuple[tuple[Cell | None, ...], ...]
    label: str = ""


class Area(NamedTuple):
    """A rectangle of a panel: the first row and column, and those behind the last."""

    panel: int
    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def at(cls, place: Place) -> Area:
        """The area of one cell.

        >>> Area.at((0, 2, 3))
        Area(panel=0, top=2, left=3, bottom=3, right=4)
        """
        panel, row, column = place
        return cls(panel, row, column, row + 1, column + 1)


class Step(NamedTuple):
    """One step.

    Attributes:
        marks: cells that look different during this step.
        keeps: cells that look so from this step on, under the marks.
        caption: the step in words.
        links: areas that belong together, as a window and the output it gives.
    """

    marks: Mapping[Place, Cell]
    keeps: Mapping[Place, Cell]
    caption: str
    links: tuple[tuple[Area, Area], ...] = ()


@dataclass(frozen=True)
class Story:
    """What a picture tells.

    Attributes:
        title: what is shown.
        groups: of each group of panels, its label, in the order in which they stand.
        panels: all panels.
        steps: one a frame.
        formula: the size formula with its numbers, one line an axis that differs.
        call: the layer as the framework is called.
        remarks: further lines, as what the stride never reads.
        joins: the sign before each group but the first, as '∗' and '='.
        breaks: groups that begin a new line.
    """

    title: str
    groups: Mapping[str, str]
    panels: tuple[Panel, ...]
    steps: tuple[Step, ...]
    formula: tuple[str, ...]
    call: str
    remarks: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()

    @property
    def alt(self) -> str:
        """The whole in words, for those who do not see it."""
        shown = ", ".join(self.groups.values())
        count = f"{len(self.steps):,} step{'s' if len(self.steps) != 1 else ''}"
        facts = ". ".join((*self.formula, *self.remarks))
        return f"{self.title}, in {count}: {shown}. {self.call}. {facts}."
