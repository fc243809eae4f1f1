"""Drawing films as pixels. The laws:

- A film drawn change by change shows the same as each frame drawn on its own.
- Outside its `changed` area, a frame equals the previous one.
- The middle of a box has the theme's colour, at every scale and in both themes.
- Neighbours share an outline: no paper shows between them, and the shared outline is one outline wide.
- Text and notes stay inside their box.
- A frame has at most 255 colours; a picture that needs more is rejected.
- A long film is drawn in bounded memory.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from math import hypot

import pytest
from convarith_gallery.drawing.encoding import still
from convarith_gallery.drawing.film import Box, Film, Line
from convarith_gallery.drawing.raster import frames
from convarith_gallery.drawing.theme import THEMES, Theme
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from support.random_films import films

from convarith.errors import ParameterError

pytestmark = pytest.mark.slow

LIGHT = THEMES["light"]
scales = st.sampled_from((1, 2, 3))
themes = st.sampled_from(tuple(THEMES.values()))


def picture(*items: Box | Line, scale: int = 1, theme: Theme = LIGHT, size: tuple[int, int] = (80, 60)) -> Image.Image:
    (frame,) = frames(Film(*size, items, ({},), ("",), "", ""), theme, scale)
    return frame.image.convert("RGB")


def area(image: Image.Image) -> tuple[int, int, int, int]:
    """The area of all pixels that are not 0; there must be one."""
    found = image.getbbox()
    assert found is not None
    return found


@settings(max_examples=60)
@given(films(), themes, scales)
def test_drawing_changes_equals_drawing_each_frame_on_its_own(film: Film, theme: Theme, scale: int) -> None:
    before = None
    for number, (image, changed) in enumerate(frames(film, theme, scale)):
        colours = image.convert("RGB")
        (alone,) = frames(still(film, number), theme, scale)
        assert colours.tobytes() == alone.image.convert("RGB").tobytes()
        if before is not None:
            different = ImageChops.difference(colours, before).getbbox()
            if different is not None:
                assert changed is not None
                assert all(side <= most for side, most in zip(changed[:2], different[:2], strict=True))
                assert all(side >= least for side, least in zip(changed[2:], different[2:], strict=True))
        before = colours


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("slant", [0, 9, -9])
@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_a_box_has_the_colour_of_its_role(theme: Theme, slant: float, scale: int) -> None:
    for role in set(theme.colours) - {"ink"}:
        drawn = picture(Box(20, 10, 30, 20, role, "edge", slant=slant), scale=scale, theme=theme)
        assert drawn.getpixel((round((35 + slant / 2) * scale), 20 * scale)) == theme.colours[role]
        assert drawn.getpixel((scale, scale)) == theme.colours["paper"]


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("slant", [0, 5, 14, -14])
@pytest.mark.parametrize("heavy", [False, True])
def test_a_box_is_where_it_should_be(slant: float, heavy: bool, scale: int) -> None:
    """Its pixels in each row are one run from side to side, half an outline wider on both ends."""
    drawn = picture(Box(25, 20, 24, 15, "input", "edge", slant=slant, heavy=heavy), scale=scale).convert("L")
    marked = drawn.point([255] * 255 + [0])
    assert area(marked)[1::2] == (20 * scale - scale // 2, 35 * scale + (scale + 1) // 2)
    beside = scale * hypot(1, slant / 15) + 1
    for row in range(21 * scale, 34 * scale):
        left, _, right, _ = area(marked.crop((0, row, marked.width, row + 1)))
        shift = slant * (35 - (row + 0.5) / scale) / 15
        assert left == pytest.approx((25 + shift) * scale, abs=beside)
        assert right == pytest.approx((49 + shift) * scale, abs=beside + 1)
        assert set(marked.crop((left, row, right, row + 1)).tobytes()) == {255}


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("slant", "first"), [(0, "input"), (0, "kernel"), (6.6, "input"), (11, "kernel")])
def test_neighbours_share_their_outline(slant: float, first: str, scale: int) -> None:
    """A row through the middle of the cells has one outline, and no paper, between two fills."""
    fills = (first, "input", "kernel")
    boxes = [Box(10.3 + 16 * at, 10.3, 16, 16, fill, "edge", slant=slant) for at, fill in enumerate(fills)]
    drawn = picture(*boxes, scale=scale)
    row = round(18.3 * scale)
    middle = [round((18.3 + slant / 2 + 16 * at) * scale) for at in range(3)]
    between = [drawn.getpixel((x, row)) for x in range(middle[0], middle[2])]
    assert LIGHT.colours["paper"] not in between
    plain = {LIGHT.colours[fill] for fill in fills}
    outlines = [colour for colour in between if colour not in plain]
    most = 2 * scale if not slant else 2 * (scale + 2)
    assert 2 * scale <= len(outlines) <= most
    below = [drawn.getpixel((x, round(26.3 * scale))) for x in range(round(11.3 * scale), round(57.3 * scale))]
    assert set(below) == {LIGHT.colours["edge"]}


@pytest.mark.parametrize("text", ["1", "−12.5", "a long text that cannot fit in its size", "Ñg"])
@pytest.mark.parametrize("align", ["left", "center", "right"])
@pytest.mark.parametrize("slant", [0, 8])
def test_a_text_stays_inside_its_box(text: str, align: str, slant: float) -> None:
    blank = Box(20, 15, 24, 20, "input", "edge", size=14, slant=slant)
    written = blank._replace(text=text, align=align, note="9")
    left, top, right, bottom = area(ImageChops.difference(picture(blank, scale=3), picture(written, scale=3)))
    assert 3 * 20 < left <= right < 3 * (44 + slant)
    assert 3 * 15 < top <= bottom < 3 * 35


def test_a_text_is_smooth() -> None:
    drawn = picture(Box(0, 0, 80, 60, text="Ox", size=30), scale=2)
    between = {colour for _, colour in drawn.getcolors() or ()}
    assert len(between) == 7


def test_a_note_is_in_the_lower_right_corner() -> None:
    blank = Box(20, 10, 40, 40, "input", "edge", size=16)
    left, top, right, bottom = area(ImageChops.difference(picture(blank), picture(blank._replace(note="3"))))
    assert 45 < left <= right <= 59
    assert 35 < top <= bottom <= 49


def test_hatched_and_heavy_boxes_differ_without_colour() -> None:
    plain = Box(10, 10, 40, 40, "input", "edge")
    shown = [
        picture(box).convert("L").tobytes() for box in (plain, plain._replace(hatched=True), plain._replace(heavy=True))
    ]
    assert len(set(shown)) == 3


def test_a_line_lies_on_top() -> None:
    line = Line(((0, 30), (80, 30)), width=3)
    drawn = picture(Box(10, 10, 40, 40, "input", "edge"), line)
    assert {drawn.getpixel((x, 30)) for x in range(1, 79)} == {LIGHT.colours["guide"]}


def test_a_slanting_line_is_smooth_on_paper() -> None:
    drawn = picture(Line(((5, 5), (75, 25))))
    assert len(drawn.getcolors() or ()) == 3


def test_too_many_colours_are_rejected() -> None:
    roles = list(LIGHT.colours)
    boxes = [Box(0, 0, 5, 5, fill, text="1", ink=ink) for fill in roles for ink in roles]
    with pytest.raises(
        ParameterError,
        match=f"{len(boxes)} pairs of ink and fill, which do not fit in a palette of 255 colours: use fewer",
    ):
        picture(*boxes)


def test_all_frames_have_the_same_palette() -> None:
    film = Film(20, 10, (Box(0, 0, 9, 9, "input"),), ({}, {0: Box(0, 0, 9, 9, "now", text="8")}), ("a", "b"), "", "")
    one, other = (frame.image.getpalette() for frame in frames(film, LIGHT))
    assert one == other
    assert one is not None
    assert len(one) <= 3 * 255


def test_a_long_film_is_drawn_in_bounded_memory() -> None:
    """The 2000 frames take 7.5 kB each in Pillow; Python's own memory must grow by no more than the caches."""
    box = Box(0, 0, 40, 40, "input")
    film = Film(50, 50, (box,), tuple({0: box._replace(text=str(at))} for at in range(2000)), ("",) * 2000, "", "")
    drawn = frames(film, LIGHT, 1)
    for _ in range(1500):
        next(drawn)
    tracemalloc.start()
    for _ in drawn:
        pass
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 2_000_000


def test_drawing_loads_no_numpy() -> None:
    code = (
        "import sys; from convarith_gallery.drawing.encoding import save; from convarith_gallery.drawing.film import Film, Box;"
        "from convarith_gallery.drawing.raster import frames; from convarith_gallery.drawing.theme import THEMES;"
        "list(frames(Film(9, 9, (Box(0, 0, 9, 9, text='1'),), ({},), ('',), '', ''), THEMES['light']));"
        "print(sorted({'numpy', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"
