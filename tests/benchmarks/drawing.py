"""Drawing a film and writing it as a GIF, against writing the same finished frames with Pillow."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from comparing import Comparison, Side
from convarith_gallery.film import Box, Changes, Film, Item

SIDE = 38


def sliding(input_size: int) -> Film:
    """A window of 3 that slides over a square map beside its output: a frame an output."""
    output_size = input_size - 2
    width, height = SIDE * (input_size + output_size + 2) + 40, SIDE * input_size + 120
    maps = [
        Box(20 + SIDE * column, 80 + SIDE * row, SIDE, SIDE, "input", "edge", str((row * column) % 10))
        for row in range(input_size)
        for column in range(input_size)
    ] + [
        Box(20 + SIDE * (input_size + 2 + column), 80 + SIDE * row, SIDE, SIDE, "empty", "edge")
        for row in range(output_size)
        for column in range(output_size)
    ]
    title = Box(20, 20, width - 40, 24, text=f"Conv2d(1, 1, 3) on {input_size} × {input_size}", size=17, bold=True)
    caption = Box(20, height - 30, width - 40, 22, align="left")
    items: tuple[Item, ...] = (*maps, title, caption)
    frames: list[Changes] = []
    before: dict[int, Item | None] = {}
    for step in range(output_size**2):
        top, left = divmod(step, output_size)
        window = [input_size * (top + row) + left + column for row in range(3) for column in range(3)]
        marked: dict[int, Item | None] = {at: maps[at]._replace(fill="kernel", note="×1") for at in window}
        done = input_size**2 + step
        caption_now = caption._replace(text=f"output ({top}, {left}) of {output_size} × {output_size}")
        frames.append(
            before | marked | {done: maps[done]._replace(fill="now", text="9", heavy=True), len(maps) + 1: caption_now}
        )
        before = {at: maps[at] for at in window} | {done: maps[done]._replace(fill="output", text="9")}
    return Film(
        width, height, items, tuple(frames), ("",) * len(frames), "A window slides", "A window slides over a map"
    )


def drawing(input_size: int) -> Side:
    """From the film to the file."""

    def prepare() -> Callable[[], object]:
        from convarith_gallery.encoding import save

        film, folder = sliding(input_size), TemporaryDirectory()
        return lambda: save(film, f"{folder.name}/film.gif")

    return Side(f"draw and write {(input_size - 2) ** 2} frames", prepare)


def writing(input_size: int) -> Side:
    """Finished frames, with Pillow's own writer."""

    def prepare() -> Callable[[], object]:
        from convarith_gallery.raster import frames
        from convarith_gallery.theme import THEMES

        first, *others = (frame.image for frame in frames(sliding(input_size), THEMES["light"]))
        folder = TemporaryDirectory()
        return lambda: first.save(f"{folder.name}/film.gif", save_all=True, append_images=others, duration=500, loop=0)

    return Side("Pillow writes them, drawn", prepare)


def comparisons() -> list[Comparison]:
    """Short and long films, where Pillow is installed."""
    if not find_spec("PIL"):
        return []
    return [Comparison(f"draw-{(size - 2) ** 2}", drawing(size), writing(size), at_most=1.5) for size in (4, 5, 9)]
