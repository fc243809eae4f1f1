"""A strategy for random films: grids of cells, labels and lines that change."""

from __future__ import annotations

from typing import Any

from convarith_gallery.drawing.film import Box, Film, Item, Line
from hypothesis import strategies as st

FILLS = ("input", "kernel", "now", "empty")
SIDE = 18

looks: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(FILLS), "edge": st.sampled_from(("edge", "edge", "guide", None)),
        "text": st.sampled_from(("", "7", "−12", "10000000")), "note": st.sampled_from(("", "", "3")),
        "bold": st.booleans(), "hatched": st.booleans(), "heavy": st.booleans(),
        "ink": st.sampled_from((None, None, "dark")), "align": st.sampled_from(("left", "center", "right")),
    }
)  # fmt: skip


@st.composite
def films(draw: st.DrawFn, most_frames: int = 6) -> Film:
    """A flat or slanted grid, a label of changing width below it, and at most two lines; a frame may change nothing."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    slant = draw(st.sampled_from((0, 0, 7, 10.3, -6)))
    wide, tall = SIDE * (columns + 3) + 10, SIDE * rows + 40
    boxes = [
        Box(40.4 + column * SIDE + (rows - 1 - row) * slant, 6.7 + row * SIDE, SIDE, SIDE, size=10, slant=slant)
        for row in range(rows)
        for column in range(columns)
    ]
    labels = [Box(4, tall - 20, width, 14, align="left", size=9) for width in (wide / 3, wide - 8)]
    points = st.tuples(st.floats(-5, wide + 5), st.floats(-5, tall + 5))
    lines = st.builds(
        Line, st.lists(points, min_size=2, max_size=3).map(tuple), st.just("guide"), width=st.sampled_from((1, 1.5))
    )

    def item(number: int) -> Item | None:
        if number < len(boxes):
            return boxes[number]._replace(**draw(looks)) if draw(st.integers(0, 5)) else None
        if number == len(boxes):
            return draw(st.sampled_from(labels))._replace(text=draw(st.sampled_from(("step 1", "Schritt zwei", ""))))
        return draw(st.one_of(st.none(), lines))

    count = len(boxes) + 3
    items = tuple(item(number) for number in range(count))
    frames = tuple(
        {number: item(number) for number in sorted(draw(st.sets(st.integers(0, count - 1), max_size=4)))}
        for _ in range(draw(st.integers(1, most_frames)))
    )
    captions = tuple(f"step {number}" for number in range(len(frames)))
    return Film(wide, tall, items, frames, captions, "Random <cells> & lines", 'A grid → "changes"')
