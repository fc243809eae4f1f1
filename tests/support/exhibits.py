"""Exhibits for the tests of the page: small films that use every feature of a film."""

from __future__ import annotations

from convarith_gallery.drawing.film import Box, Changes, Film, Line
from convarith_gallery.page.page import Exhibit

CELL = 36
HOSTILE = "</script><script>alert('&amp;')</script> \"quoted\" ⌊5/2⌋ \u2028 &lt;"


def window_film(size: int, slant: float = 0, title: str = "A window over a map") -> Film:
    """A 3x3 window that moves over a square map, with labels, notes, hatching, heavy outlines and lines."""
    outputs = size - 2
    right = CELL * (size + 2) + slant * size
    width, height = round(right + CELL * (max(outputs, 3) + 1) + slant * outputs), CELL * (size + 3)

    def cell(
        row: int, column: int, x: float, rows: int, fill: str, text: str | None = None, hatched: bool = False
    ) -> Box:
        text = str(row * rows + column) if text is None else text
        left, top = x + CELL * column + slant * (rows - 1 - row), CELL * (row + 1.5)
        return Box(left, top, CELL, CELL, fill, "edge", text, slant=slant, hatched=hatched)

    inputs = [cell(row, column, CELL, size, fill="input") for row in range(size) for column in range(size)]
    empty = [
        cell(row, column, right, outputs, fill="empty", text="") for row in range(outputs) for column in range(outputs)
    ]
    labels = [
        Box(CELL, 8, CELL * size, 24, text=f"input {size} × {size}", size=15, bold=True, align="left"),
        Box(right, 8, CELL * 3, 24, text=f"output {outputs} × {outputs}", size=15, bold=True, align="left"),
        Box(
            CELL, height - 40, width - 2 * CELL, 22, text=f"⌊({size} − 3)/1⌋ + 1 = {outputs}", ink="faint", align="left"
        ),
    ]
    joins = len(inputs) + len(empty) + len(labels)

    frames: list[Changes] = []
    under: set[int] = set()
    for step in range(outputs**2):
        top, left = divmod(step, outputs)
        window = {(top + row) * size + left + column: row * 3 + column for row in range(3) for column in range(3)}
        changes: dict[int, Box | Line | None] = {number: inputs[number] for number in under - window.keys()}
        for number, tap in window.items():
            changes[number] = inputs[number]._replace(fill="kernel", note=f"×{tap}", heavy=tap == 4)
        done = cell(top, left, right, outputs, fill="output", text=str(step * 7), hatched=True)
        changes[size**2 + step] = done._replace(fill="now", hatched=False, heavy=True)
        if step:
            before = divmod(step - 1, outputs)
            changes[size**2 + step - 1] = cell(*before, right, outputs, fill="output", hatched=True)
        x, y = CELL * (left + 2.5) + slant * (size - top - 2), CELL * (top + 3)
        changes[joins] = Line(((x, y), (done.x + CELL / 2 + slant / 2, done.y + CELL / 2)))
        frames.append(changes)
        under = set(window)
    # in the last frame one item is gone, and the line has become a box
    frames[-1] = {**frames[-1], joins - 1: None, joins: Box(right, height - 40, CELL * 3, 22, text="done")}
    captions = tuple(f"Output {divmod(step, outputs)} reads 9 inputs." for step in range(outputs**2))
    return Film(width, height, (*inputs, *empty, *labels, None), tuple(frames), captions, title, f"{title}: {size}.")


def exhibit(name: str, group: str, title: str, film: Film) -> Exhibit:
    return Exhibit(
        name,
        group,
        title,
        film,
        call="nn.Conv2d(1, 1, kernel_size=3, stride=1, padding=0)",
        command=f"convarith animate {name} --view slide -o {name}.gif",
        text="The window stays within the input, so that the output is smaller by two.",
        parameters=(("input size", "5 × 5"), ("kernel size", "3"), ("stride", "1"), ("padding", "0")),
    )


EXHIBITS = [
    exhibit("no_padding_no_strides", "Convolution", "No padding, unit strides", window_film(5)),
    exhibit("slanted", "Convolution", "Seen from the side", window_film(4, slant=14)),
    exhibit("wide.and-long", "Transposed convolution", "A larger map", window_film(8)),
    exhibit("still", "Convolution", "One step", window_film(3)),
    exhibit("hostile", HOSTILE, HOSTILE, window_film(4, title=HOSTILE))._replace(
        call=HOSTILE, command=HOSTILE, text=HOSTILE, parameters=((HOSTILE, HOSTILE),)
    ),
]
"""They include a group that is not contiguous, a film with one frame, and text that could break out of HTML or a script."""
