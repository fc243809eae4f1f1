"""Files keep these laws. Pillow, another reader of the formats, is the oracle.

- A file read back shows the drawn frames pixel for pixel, also steps that look alike, each as long as was asked for.
- A still is that frame, a contact sheet has every frame in its place.
- Each format carries the description.
- A file appears whole or not at all: after an error or an interruption the old one is as it was, nothing beside it.
- What is too large, or makes no sense, is refused in one line before anything is drawn.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
def test_what_is_read_back(tmp_path: Path, suffix: str, film: Film, theme: str, scale: int) -> None:
    path = tmp_path / f"film{suffix}"
    saved = save(film, str(path), theme=theme, scale=scale)
    assert read(path) == drawn(film, theme, scale)
    assert saved == (str(path), len(film.frames), path.stat().st_size, film.width * scale, film.height * scale)


@animated
@pytest.mark.parametrize(("seconds", "hold", "loops"), [(0.5, 2, 0), (0.29, 0, 1), (1.0, 600, 3)])
def test_how_long_and_how_often(tmp_path: Path, suffix: str, seconds: float, hold: float, loops: int) -> None:
    path = tmp_path / f"film{suffix}"
    assert save(TWINS, str(path), seconds=seconds, hold=hold, loops=loops).frames == 4
    times = []
    with Image.open(path) as image:
        # a GIF says how often it is played again, or nothing
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


def test_what_a_file_says(tmp_path: Path) -> None:
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


# imageio-ffmpeg leaves its pipes to the garbage collector
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


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(ConvarithError, match=r"cannot write .*folder\.gif: it is a folder, name a file in it"):
        save(TWINS, str(tmp_path / "folder.gif"))
    with pytest.raises(ConvarithError, match=r"cannot write .*film\.gif: No such file or directory"):
        save(TWINS, str(tmp_path / "nowhere" / "film.gif"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("film.bmp", {}, r"no picture is a '\.bmp' file: name it \.gif, \.png, \.apng, \.webp, \.svg, \.mp4$"),
        ("film", {}, r"no picture is a '' file"),
        ("film.gif", {"scale": 4}, "scale 4: pixels a point are 1, 2 or 3"),
        ("film.gif", {"seconds": 0.01}, "0.01 seconds a frame: viewers show 0.02 to 60"),
        ("film.gif", {"hold": -1}, "held for -1 seconds: take 0 to 600"),
        ("film.gif", {"loops": -1}, r"-1 loops: take 0 \(endless\) to 65535"),
        ("film.gif", {"theme": "auto"}, r"theme 'auto' is for an \.svg, \.gif has fixed colours: choose light or dark"),
        ("film.svg", {"theme": "blue"}, "theme 'blue' is unknown"),
        ("film.png", {"frame": 4}, "frame 4 of 4: they are counted from 0 to 3, or from the end from -1"),
        ("film.png", {"sheet": 0}, "a sheet of 0 columns: it has 1 or more"),
        ("film.png", {"sheet": 1, "frame": 1}, "two pictures: leave one of them out"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        save(TWINS, str(tmp_path / name), **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "size", "scale", "message"),
    [
        (0, (9, 9), 2, "the film has no frame"),
        (1_000_000, (9, 9), 1, "1000000 frames, at most 10000 are drawn: take a smaller input, or one --frame"),
        (1, (9000, 9000), 2, "a canvas of 18000x18000 pixels, at most 40000000 are drawn: lower --scale, or"),
        (1, (9000, 9000), 1, "at most 40000000 are drawn: take a smaller input"),
        (MOST_FRAMES, (2000, 2000), 1, "10000 frames of 4000000 pixels, at most 10000000000 are drawn together: lower"),
    ],
)
def test_what_is_too_large_is_refused(frames: int, size: tuple[int, int], scale: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        refuse_too_large(frames, *size, scale)


def test_too_large_a_film_is_refused_before_it_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "frames", None)
    for film in (Film(99_999, 9_999, (), ({},), ("",), "", ""), Film(9, 9, (), ({},) * 10_001, ("",) * 10_001, "", "")):
        with pytest.raises(ParameterError, match="at most"):
            save(film, str(tmp_path / "film.gif"))
    with pytest.raises(ParameterError, match=r"a \.webp has at most 16383 a side: lower --scale"):
        save(Film(10_000, 9, (), ({},), ("",), "", ""), str(tmp_path / "film.webp"))
    with pytest.raises(ParameterError, match="at most 40000000"):
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
