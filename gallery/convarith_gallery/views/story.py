"""A story: panels of cells, and what each step shows. Drawing it requires no knowledge of convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[int, int, int]
"""(panel, row, column)"""


class Cell(NamedTuple):
    """One square: its role in the theme, the number in it, and a small number in its corner."""

    role: str
    text: str = ""
    note: str = ""
    hatched: bool = False
    heavy: bool = False


class Panel(NamedTuple):
    """A map, a kernel or a matrix: rows of cells before the first step.

    Attributes:
        group: the name of its group; the panels of a group are drawn together under the label of the group.
        rows: its cells; None leaves a place empty.
        label: what distinguishes it from the others of its group, such as 'channel 1'.
    """

    group: str
    rows: tuple[tuple[Cell | None, ...], ...]
    label: str = ""


class Area(NamedTuple):
    """A rectangle of a panel: the first row and column, and the row and column after the last."""

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
        marks: cells that look different during this step only.
        keeps: cells that change from this step on; marks are drawn over them.
        caption: the step in words.
        links: areas that belong together, such as a window and its output.
    """

    marks: Mapping[Place, Cell]
    keeps: Mapping[Place, Cell]
    caption: str
    links: tuple[tuple[Area, Area], ...] = ()


@dataclass(frozen=True)
class Story:
    """The content of a picture.

    Attributes:
        title: what is shown.
        groups: the label of each group of panels, in the order in which they are drawn.
        panels: all panels.
        steps: one per frame.
        formula: the size formula with its numbers; one line, or one per axis if the axes differ.
        call: the layer as a call of PyTorch.
        remarks: further lines, such as which positions the stride leaves unread.
        joins: the sign before each group except the first, such as '∗' and '='.
        breaks: the groups that start a new row.
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
        """A description of the whole picture in words, for people who cannot see it."""
        shown = ", ".join(self.groups.values())
        count = f"{len(self.steps):,} step{'s' if len(self.steps) != 1 else ''}"
        facts = ". ".join((*self.formula, *self.remarks))
        return f"{self.title}, in {count}: {shown}. {self.call}. {facts}."
