"""Drawing a scene and writing it as a GIF, compared with writing the finished frames with Pillow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from tempfile import TemporaryDirectory

from comparing import Comparison, Side

SCENES = ("no_padding_strides", "numerical_padding_strides", "scatter", "zero_insertion", "full_padding_no_strides")
"""4 frames slanted, 9 flat with numbers, 4 and 36 flat with numbers, 49 slanted."""


def drawing(name: str) -> Side:
    """Draw the film and write the file."""

    def prepare() -> Callable[[], object]:
        from convarith_gallery.drawing.encoding import save
        from convarith_gallery.scenes import scene

        film, folder, numbers = scene(name).film(), TemporaryDirectory(), count()
        return lambda: save(film, f"{folder.name}/{next(numbers)}.gif")  # replacing a file would wait for the disk

    return Side(f"draw and write {name}", prepare)


def writing(name: str) -> Side:
    """Write the finished frames with Pillow's own writer."""

    def prepare() -> Callable[[], object]:
        from convarith_gallery.drawing.raster import frames
        from convarith_gallery.drawing.theme import THEMES
        from convarith_gallery.scenes import scene

        first, *others = (frame.image.copy() for frame in frames(scene(name).film(), THEMES["light"]))
        folder, numbers = TemporaryDirectory(), count()
        options = {"save_all": True, "append_images": others, "duration": 500, "loop": 0}
        return lambda: first.save(f"{folder.name}/{next(numbers)}.gif", **options)

    return Side("Pillow writes the frames", prepare)


def comparisons() -> list[Comparison]:
    """One comparison for each of some short and long, flat and slanted scenes."""
    return [Comparison(f"draw-{name}", drawing(name), writing(name), at_most=1.5) for name in SCENES]
