"""Saving films. The oracle is Pillow, an independent reader of the formats. The laws:

- A file read back shows the drawn frames pixel for pixel, each for the requested time; steps that look the same are kept.
- A still shows the requested frame, and a contact sheet shows every frame in its place.
- Each format contains the description.
- A file is written atomically: after an error or an interruption the old file is unchanged and no other file is left.
- Films that are too large and invalid options are rejected with one line before anything is drawn.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TypedDict

import pytest
from convarith_gallery.drawing import encoding, raster
from convarith_gallery.drawing.encoding import MOST_FRAMES, SHEET_GAP, contact_sheet, refuse_too_large, save, still
from convarith_gallery.drawing.film import Box, Film
from convarith_gallery.drawing.theme import THEMES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.random_films import films

from convarith.errors import ConvarithError, MissingDependencyError, ParameterError

CELL = Box(2, 2, 20, 20, "input", "edge", "1")
TWINS = Film(
    31, 25, (CELL,), ({}, {}, {0: CELL._replace(fill="now")}, {}), ("a", "b", "c", "d"), "Twins", "One cell → two"
)
ANIMATED = (".gif", ".apng", ".webp")
animated = pytest.mark.parametrize("suffix", ANIMATED)


class Options(TypedDict, total=False):
    """The options of `save` that can be invalid."""

    theme: str
    scale: int
    seconds: float
    hold: float
    loops: int
    frame: int
    sheet: int


def drawn(film: Film, theme: str = "light", scale: int = 2) -> list[bytes]:
    return [frame.image.convert("RGB").tobytes() for frame in raster.frames(film, THEMES[theme], scale)]


def read(path: Path) -> list[bytes]:
    with Image.open(path) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(image.convert("RGB").tobytes())
        return found


@animated
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(film=films(), theme=st.sampled_from(("light", "dark")), scale=st.sampled_from((1, 2)))
def test_a_file_read_back_shows_the_drawn_frames(
    tmp_path: Path, suffix: str, film: Film, theme: str, scale: int
) -> None:
    path = tmp_path / f"film{suffix}"
    saved = save(film, str(path), theme=theme, scale=scale)
    assert read(path) == drawn(film, theme, scale)
    assert saved == (str(path), len(film.frames), path.stat().st_size, film.width * scale, film.height * scale)


@animated
@pytest.mark.parametrize(("seconds", "hold", "loops"), [(0.5, 2, 0), (0.29, 0, 1), (1.0, 600, 3)])
def test_durations_and_loops_are_those_requested(
    tmp_path: Path, suffix: str, seconds: float, hold: float, loops: int
) -> None:
    path = tmp_path / f"film{suffix}"
    assert save(TWINS, str(path), seconds=seconds, hold=hold, loops=loops).frames == 4
    times = []
    with Image.open(path) as image:
        # a GIF stores the number of repetitions after the first, or nothing
        assert image.info.get("loop") == (loops if suffix != ".gif" else {0: 0, 1: None, 3: 2}[loops])
        assert getattr(image, "n_frames", 1) == 4
        for number in range(4):
            image.seek(number)
            image.load()
            times.append(image.info["duration"])
    assert times == pytest.approx([1000 * seconds] * 3 + [1000 * max(seconds, hold)])


def test_a_gif_counts_in_hundredths(tmp_path: Path) -> None:
    save(TWINS, str(tmp_path / "film.gif"), seconds=1 / 3)
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["duration"] == 330


@pytest.mark.parametrize(("frame", "shown"), [(None, 3), (0, 0), (2, 2), (-2, 2)])
@pytest.mark.parametrize("suffix", [".png", ".gif", ".webp", ".apng"])
def test_a_still(tmp_path: Path, suffix: str, frame: int | None, shown: int) -> None:
    path = tmp_path / f"still{suffix}"
    save(TWINS, str(path), frame=frame if suffix == ".png" else frame or 0)
    assert read(path) == [drawn(TWINS)[shown if suffix == ".png" else (frame or 0) % 4]]


@given(films())
def test_a_still_is_that_frame(film: Film) -> None:
    for number, shown in enumerate(film.shown()):
        assert still(film, number).items == shown
        assert still(film, number - len(film.frames)).items == shown


def test_a_contact_sheet(tmp_path: Path) -> None:
    save(TWINS, str(tmp_path / "sheet.png"), sheet=3, scale=1)
    frames = drawn(TWINS, scale=1)
    with Image.open(tmp_path / "sheet.png") as image:
        across, down = 31 + SHEET_GAP, 25 + SHEET_GAP
        assert image.size == (3 * across - SHEET_GAP, 2 * down - SHEET_GAP)
        for number, frame in enumerate(frames):
            x, y = number % 3 * across, number // 3 * down
            assert image.crop((x, y, x + 31, y + 25)).convert("RGB").tobytes() == frame


def test_each_format_contains_the_description(tmp_path: Path) -> None:
    for suffix in (".gif", ".png", ".apng", ".webp"):
        save(TWINS, str(tmp_path / f"film{suffix}"))
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["comment"].decode() == TWINS.alt
    for suffix in (".png", ".apng"):
        with Image.open(tmp_path / f"film{suffix}") as image:
            assert image.info["Description"] == TWINS.alt
    with Image.open(tmp_path / "film.webp") as image:
        assert TWINS.alt in image.info["xmp"].decode()


def test_the_same_film_makes_the_same_bytes(tmp_path: Path) -> None:
    for suffix in (*ANIMATED, ".png", ".svg"):
        pair = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for path in pair:
            save(TWINS, str(path))
        assert pair[0].read_bytes() == pair[1].read_bytes()


# imageio-ffmpeg leaves closing its pipes to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_video(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="videos need imageio-ffmpeg")
    path = tmp_path / "film.mp4"
    saved = save(TWINS, str(path), scale=1, seconds=0.5, hold=2)
    assert (saved.frames, saved.width, saved.height) == (4, 32, 26)
    reader = ffmpeg.read_frames(str(path))
    assert next(reader)["size"] == (32, 26)
    frames = list(reader)
    assert len(frames) == 3 + 4
    colours = [tuple(frame[3 * (6 * 32 + 6) :][:3]) for frame in (frames[0], frames[-1])]
    for colour, role in zip(colours, ("input", "now"), strict=True):
        assert colour == pytest.approx(THEMES["light"].colours[role], abs=24)


@pytest.mark.parametrize("suffix", [".gif", ".svg", ".webp", ".apng"])
def test_progress(tmp_path: Path, suffix: str) -> None:
    steps: list[tuple[int, int]] = []
    save(TWINS, str(tmp_path / f"film{suffix}"), progress=lambda done, count: steps.append((done, count)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp", ".svg", ".png"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, suffix: str, error: type[BaseException]) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_text("old")

    def interrupt(done: int, count: int) -> None:
        raise error

    with pytest.raises(error):
        save(TWINS, str(path), progress=interrupt)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(ConvarithError, match=r"cannot write .*folder\.gif: it is a folder; name a file in it"):
        save(TWINS, str(tmp_path / "folder.gif"))
    with pytest.raises(ConvarithError, match=r"cannot write .*film\.gif: No such file or directory"):
        save(TWINS, str(tmp_path / "nowhere" / "film.gif"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "film.bmp",
            {},
            r"film\.bmp: cannot write a '\.bmp' file: choose from \.gif, \.png, \.apng, \.webp, \.svg, \.mp4$",
        ),
        ("film", {}, "film: cannot write a file without a suffix: choose from"),
        ("film.gif", {"scale": 4}, "scale 4 is out of range: use 1, 2 or 3 pixels per point"),
        ("film.gif", {"seconds": 0.01}, "0.01 seconds per frame is out of range: use 0.02 to 60"),
        ("film.gif", {"hold": -1}, "holding the last frame for -1 seconds is out of range: use 0 to 600"),
        ("film.gif", {"loops": -1}, r"-1 loops is out of range: use 0 \(forever\) to 65535"),
        ("film.gif", {"theme": "auto"}, r"theme 'auto' is only for \.svg, a \.gif has fixed colours: choose light"),
        ("film.svg", {"theme": "blue"}, "theme 'blue' is unknown"),
        ("film.png", {"frame": 4}, "there is no frame 4: the film has 4, counted from 0 to 3, or back from -1"),
        ("film.png", {"sheet": 0}, "a sheet cannot have 0 columns: give 1 or more"),
        (
            "film.png",
            {"sheet": 1, "frame": 1},
            "frame 1 and a sheet with 1 column are two pictures: leave one of them out",
        ),
    ],
)
def test_invalid_options_are_rejected(tmp_path: Path, name: str, options: Options, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        save(TWINS, str(tmp_path / name), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "size", "scale", "message"),
    [
        (0, (9, 9), 2, "the film has no frames: there is nothing to draw"),
        (1_000_000, (9, 9), 1, "the film has 1,000,000 frames, but at most 10,000 are drawn: use a smaller input"),
        (1, (9000, 9000), 2, "the picture is 18000x18000 pixels, but at most 40,000,000 pixels are drawn: lower"),
        (1, (9000, 9000), 1, "at most 40,000,000 pixels are drawn: use a smaller input"),
        (MOST_FRAMES, (2000, 2000), 1, "10,000 frames of 4,000,000 pixels, but at most 10,000,000,000 pixels are"),
    ],
)
def test_films_that_are_too_large_are_rejected(frames: int, size: tuple[int, int], scale: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        refuse_too_large(frames, *size, scale)


def test_a_film_that_is_too_large_is_rejected_before_it_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "frames", None)
    for film in (Film(99_999, 9_999, (), ({},), ("",), "", ""), Film(9, 9, (), ({},) * 10_001, ("",) * 10_001, "", "")):
        with pytest.raises(ParameterError, match="at most"):
            save(film, str(tmp_path / "film.gif"))
    with pytest.raises(
        ParameterError, match=r"20000x18 pixels, but a \.webp has at most 16383 per side: lower --scale"
    ):
        save(Film(10_000, 9, (), ({},), ("",), "", ""), str(tmp_path / "film.webp"))
    with pytest.raises(ParameterError, match="at most 40,000,000"):
        contact_sheet(Film(9_000, 4_000, (), ({},) * 2, ("",) * 2, "", ""), 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "package", "line"),
    [
        (".gif", "PIL", r"needs pillow, which is not installed: pip install pillow"),
        (".mp4", "imageio_ffmpeg", r"needs imageio-ffmpeg, which is not installed: pip install 'convarith\[video\]'"),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, line: str
) -> None:
    real = importlib.import_module

    def without(name: str) -> ModuleType:
        if name == package or (package == "PIL" and name == "convarith_gallery.drawing.raster"):
            raise ModuleNotFoundError(name=package)
        return real(name)

    monkeypatch.setattr(encoding, "import_module", without)
    with pytest.raises(MissingDependencyError, match=line):
        save(TWINS, str(tmp_path / f"film{suffix}"))
    assert not list(tmp_path.iterdir())


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import json, sys, tempfile; from convarith_gallery.drawing.encoding import save; before = 'PIL' in sys.modules;"
        "from convarith_gallery.drawing.film import Film, Box;"
        "film = Film(9, 9, (Box(0, 0, 9, 9, text='1'),), ({},), ('',), '', '');"
        "folder = tempfile.mkdtemp(); save(film, folder + '/a.svg'); vector = 'PIL' in sys.modules;"
        "save(film, folder + '/a.gif'); print(json.dumps([before, vector, 'PIL' in sys.modules, 'numpy' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == [False, False, True, False]
