"""A film becomes a file: its suffix says which format.

Every format but the video is written here frame by frame from what has changed, in the memory of two frames. That also
keeps steps that look alike as frames of their own, where Pillow's writers merge equal neighbours into one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from zlib import compress, crc32

from convarith.errors import MissingDependencyError, ParameterError
from convarith_gallery.atomic_file import whole_file
from convarith_gallery.drawing.film import Film, moved
from convarith_gallery.drawing.theme import Theme
from convarith_gallery.drawing.theme import theme as theme_named

if TYPE_CHECKING:
    from convarith_gallery.drawing.raster import Frame

MOST_FRAMES = 10_000
MOST_PIXELS = 40_000_000
MOST_WORK = 10_000_000_000
"""Pixels of all frames together."""
SUFFIXES = (".gif", ".png", ".apng", ".webp", ".svg", ".mp4")
SHEET_GAP = 12
"""Points between the frames of a contact sheet."""


class Saved(NamedTuple):
    """What was written: the file, its frames, its bytes, and the picture's size in pixels, of an .svg in points."""

    path: str
    frames: int
    bytes: int
    width: int
    height: int


class _Show(NamedTuple):
    """How a film is shown: seconds of each frame, how often, and what is said about it."""

    seconds: list[float]
    loops: int
    text: str


_ONE_PIXEL = (0, 0, 1, 1)
"""What a frame holds in which nothing changed: a file cannot say 'nothing'."""
_Writer = Callable[[BinaryIO, "Iterator[Frame]", _Show], None]


def save(
    film: Film,
    path: str,
    *,
    theme: str = "light",
    scale: int = 2,
    seconds: float = 0.5,
    hold: float = 2.0,
    loops: int = 0,
    frame: int | None = None,
    sheet: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Saved:
    """Draw a film and write it in the format of the path's suffix: .gif, .png, .apng, .webp, .svg or .mp4.

    Args:
        film: what is seen.
        path: of the file; it appears whole or not at all.
        theme: 'light', 'dark'; for an .svg also 'auto', which is what the reader prefers.
        scale: pixels a point. An .svg is sharp at any size and stays in points.
        seconds: how long each frame is shown. A .gif and an .apng count in 1/100 s, a .webp in 1/1000 s.
        hold: how long the last frame is shown, if that is longer; in an .mp4 a multiple of `seconds`.
        loops: how often the film plays, 0 for endlessly. An .mp4 leaves that to its player.
        frame: a still of this frame alone, counted from 0, from the end if negative. A .png takes the last one.
        sheet: a still of all frames side by side, in this many columns.
        progress: called after each frame with how many are done and how many there are.

    Raises ParameterError for what cannot be drawn, before anything is; MissingDependencyError without Pillow, or
    without imageio-ffmpeg for an .mp4; ConvarithError where the file cannot be written.

    >>> import tempfile
    >>> from convarith_gallery.drawing.film import Box
    >>> film = Film(20, 10, (Box(0, 0, 9, 9, "input"),), ({}, {0: Box(0, 0, 9, 9, "now")}), ("a", "b"), "two", "")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(film, f"{folder}/two.gif")[1:]
    (2, 299, 40, 20)
    """
    suffix = suffix_of(path)
    if suffix == ".png" and sheet is None and frame is None:
        frame = -1
    if frame is not None and sheet is not None:
        raise ParameterError(f"frame {frame} and a sheet of {sheet} columns are two pictures: leave one of them out")
    _check_show(scale, seconds, hold, loops)
    film = film if frame is None else still(film, frame)
    film = film if sheet is None else contact_sheet(film, sheet)
    count = len(film.frames)
    show = _Show([seconds] * (count - 1) + [max(seconds, hold)], loops, film.alt or film.title)
    if suffix == ".svg":
        refuse_too_large(count, film.width, film.height, 1)
        from convarith_gallery.drawing.svg import svg

        text = svg(film, theme, seconds, hold, loops, progress)
        with whole_file(path) as beside:
            size = Path(beside).write_bytes(text.encode())
        return Saved(path, count, size, film.width, film.height)
    refuse_too_large(count, film.width, film.height, scale)
    if theme == "auto":
        raise ParameterError(f"theme 'auto' is for an .svg, {suffix} has fixed colours: choose light or dark")
    width, height = film.width * scale, film.height * scale
    if (most := _MOST_SIDE.get(suffix)) is not None and max(width, height) > most:
        raise ParameterError(f"{width}x{height} pixels: a {suffix} has at most {most} a side: lower --scale")
    drawn = _drawn(film, theme_named(theme), scale, progress)
    with whole_file(path) as beside:
        if suffix == ".mp4":
            width, height = _write_mp4(beside, drawn, show, film.title)
        else:
            with open(beside, "wb") as file:
                _WRITERS[suffix](file, drawn, show)
        size = Path(beside).stat().st_size
    return Saved(path, count, size, width, height)


def suffix_of(path: str) -> str:
    """The format that a path names. Raises ParameterError for any other.

    >>> suffix_of("docs/Up.GIF")
    '.gif'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError(f"{path}: no picture is a {suffix!r} file: name it {', '.join(SUFFIXES)}")
    return suffix


def refuse_too_large(frames: int, width: int, height: int, scale: int = 2) -> None:
    """Raise ParameterError for more frames or pixels than one wants to wait for. Sizes are in points.

    >>> refuse_too_large(9, 400, 300)
    """
    pixels = width * height * scale**2
    if frames < 1:
        raise ParameterError("the film has no frame: nothing to draw")
    if frames > MOST_FRAMES:
        raise ParameterError(f"{frames} frames, at most {MOST_FRAMES} are drawn: take a smaller input, or one --frame")
    if pixels > MOST_PIXELS:
        raise ParameterError(
            f"a canvas of {width * scale}x{height * scale} pixels, at most {MOST_PIXELS} are drawn: "
            + ("lower --scale, or take a smaller input" if scale > 1 else "take a smaller input")
        )
    if frames * pixels > MOST_WORK:
        raise ParameterError(
            f"{frames} frames of {pixels} pixels, at most {MOST_WORK} are drawn together: "
            "lower --scale, take a smaller input, or one --frame"
        )


def still(film: Film, frame: int) -> Film:
    """A film of one of its frames, counted from 0, from the end if negative. Raises ParameterError beyond the last.

    >>> from convarith_gallery.drawing.film import Box
    >>> film = Film(9, 9, (Box(0, 0, 9, 9),), ({}, {0: None}), ("a", "b"), "", "")
    >>> still(film, -1).items, still(film, 0).captions
    ((None,), ('a',))
    """
    count = len(film.frames)
    if not -count <= frame < count:
        raise ParameterError(
            f"frame {frame} of {count}: they are counted from 0 to {count - 1}, or from the end from -1"
        )
    items = list(film.items)
    for changes in film.frames[: frame % count + 1]:
        for number, item in changes.items():
            items[number] = item
    return replace(film, items=tuple(items), frames=({},), captions=(film.captions[frame],))


def contact_sheet(film: Film, columns: int) -> Film:
    """A film of one frame with all frames of this one side by side, row by row. Raises ParameterError for no column.

    >>> from convarith_gallery.drawing.film import Box
    >>> film = Film(10, 10, (Box(0, 0, 9, 9),), ({}, {}, {}), ("a", "b", "c"), "", "")
    >>> sheet = contact_sheet(film, 2)
    >>> (sheet.width, sheet.height), [box[:2] for box in sheet.items]
    ((32, 32), [(0, 0), (22, 0), (0, 22)])
    """
    if columns < 1:
        raise ParameterError(f"a sheet of {columns} columns: it has 1 or more")
    count = len(film.frames)
    columns, rows = min(columns, count), -(-count // columns)
    across, down = film.width + SHEET_GAP, film.height + SHEET_GAP
    width, height = columns * across - SHEET_GAP, rows * down - SHEET_GAP
    refuse_too_large(1, width, height, 1)
    items = tuple(
        moved(item, number % columns * across, number // columns * down)
        for number, shown in enumerate(film.shown())
        for item in shown
        if item is not None
    )
    return replace(film, width=width, height=height, items=items, frames=({},), captions=("; ".join(film.captions),))


def _check_show(scale: int, seconds: float, hold: float, loops: int) -> None:
    if scale not in (1, 2, 3):
        raise ParameterError(f"scale {scale}: pixels a point are 1, 2 or 3")
    if not 0.02 <= seconds <= 60:
        raise ParameterError(f"{seconds:g} seconds a frame: viewers show 0.02 to 60")
    if not 0 <= hold <= 600:
        raise ParameterError(f"the last frame is held for {hold:g} seconds: take 0 to 600")
    if not 0 <= loops <= 65535:
        raise ParameterError(f"{loops} loops: take 0 (endless) to 65535")


def _drawn(film: Film, theme: Theme, scale: int, progress: Callable[[int, int], None] | None) -> Iterator[Frame]:
    frames = _needs("convarith_gallery.drawing.raster", "PIL", "pillow", "pillow").frames
    return _counted(frames(film, theme, scale), len(film.frames), progress)


def _counted(frames: Iterator[Frame], count: int, progress: Callable[[int, int], None] | None) -> Iterator[Frame]:
    for done, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress(done, count)


def _needs(module: str, package: str, distribution: str, wanted: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"this picture needs {distribution}, which is not installed: pip install {wanted}"
        ) from None


# GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt -----------------------------------------------------------------


def _write_gif(file: BinaryIO, frames: Iterator[Frame], show: _Show) -> None:
    """Whatever has not changed is transparent, which packs into little."""
    from PIL import GifImagePlugin, Image, ImageChops

    unchanged = [255] + [0] * 255
    clear, before = 0, Image.new("P", (1, 1))
    for number, (image, changed) in enumerate(frames):
        area = changed or _ONE_PIXEL
        part = image.crop(area)
        if number:
            part.paste(clear, (0, 0), ImageChops.subtract_modulo(part, before.crop(area)).point(unchanged, "1"))
        else:
            palette = bytes(image.getpalette() or ())
            clear = len(palette) // 3
            _write_gif_header(file, image.size, palette, show)
        words = {"duration": 10 * round(100 * show.seconds[number]), "disposal": 1, "transparency": clear}
        file.writelines(GifImagePlugin.getdata(part, area[:2], **words))
        before = image
    file.write(b";")


def _write_gif_header(file: BinaryIO, size: tuple[int, int], palette: bytes, show: _Show) -> None:
    bits = (len(palette) // 3).bit_length()
    file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x80 | 0x70 | (bits - 1), 0, 0))
    file.write(palette.ljust(3 << bits, b"\0"))
    if show.loops != 1:
        # this number says how often it plays again, 0 endlessly; without it a picture plays once
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(show.loops - 1, 0), 0))
    file.write(b"!\xfe")
    text = show.text.encode()
    for start in range(0, len(text), 255):
        block = text[start : start + 255]
        file.write(bytes((len(block),)) + block)
    file.write(b"\0")


# PNG and APNG: https://www.w3.org/TR/png-3 ----------------------------------------------------------------------------


def _write_png(file: BinaryIO, frames: Iterator[Frame], show: _Show) -> None:
    """One frame is a plain PNG; more make it an APNG."""
    count = len(show.seconds)
    for number, (image, changed) in enumerate(frames):
        if not number:
            file.write(b"\x89PNG\r\n\x1a\n")
            _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", *image.size, 8, 3, 0, 0, 0))
            _write_chunk(file, b"iTXt", b"Description\0\0\0\0\0" + show.text.encode())
            if count > 1:
                _write_chunk(file, b"acTL", struct.pack(">II", count, show.loops))
            _write_chunk(file, b"PLTE", bytes(image.getpalette() or ()))
        area = changed or _ONE_PIXEL
        left, top, right, bottom = area
        # controls and data after the first frame's are counted in one sequence
        sequence = max(2 * number - 1, 0)
        if count > 1:
            place = struct.pack(">IIIII", sequence, right - left, bottom - top, left, top)
            _write_chunk(file, b"fcTL", place + struct.pack(">HHBB", round(100 * show.seconds[number]), 100, 0, 0))
        data = _png_data(image.crop(area))
        if number:
            _write_chunk(file, b"fdAT", struct.pack(">I", sequence + 1) + data)
        else:
            _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IEND", b"")


def _png_data(image: Any) -> bytes:
    pixels, width = image.tobytes(), image.width
    return compress(b"".join(b"\0" + pixels[start : start + width] for start in range(0, len(pixels), width)))


def _write_chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data)))


# WebP: https://developers.google.com/speed/webp/docs/riff_container ---------------------------------------------------

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>'
)


def _write_webp(file: BinaryIO, frames: Iterator[Frame], show: _Show) -> None:
    """Without loss."""
    for number, (image, changed) in enumerate(frames):
        if not number:
            width, height = image.size
            file.write(b"RIFF\0\0\0\0WEBP")
            extended = struct.pack("<I", 0b110) + _three_bytes(width - 1) + _three_bytes(height - 1)  # animation, XMP
            file.write(_webp_chunk(b"VP8X", extended) + _webp_chunk(b"ANIM", struct.pack("<IH", 0, show.loops)))
        left, top, right, bottom = changed or _ONE_PIXEL
        # a frame begins at even places
        left, top = left & ~1, top & ~1
        place = b"".join(map(_three_bytes, (left // 2, top // 2, right - left - 1, bottom - top - 1)))
        still = BytesIO()
        image.crop((left, top, right, bottom)).save(still, "WEBP", lossless=True)
        times = _three_bytes(round(1000 * show.seconds[number])) + b"\x02"  # not blended with what is below
        file.write(_webp_chunk(b"ANMF", place + times + still.getvalue()[12:]))
    from html import escape

    file.write(_webp_chunk(b"XMP ", _XMP.format(escape(show.text)).encode()))
    size = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", size))


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


# MP4 ------------------------------------------------------------------------------------------------------------------


def _write_mp4(path: str, frames: Iterator[Frame], show: _Show, title: str) -> tuple[int, int]:
    """The size of the picture: even, as H.264 asks for."""
    ffmpeg = _needs("imageio_ffmpeg", "imageio_ffmpeg", "imageio-ffmpeg", "'convarith[video]'")
    from PIL import Image

    video, size, colour = None, (0, 0), (0, 0, 0)
    try:
        for (image, _), seconds in zip(frames, show.seconds, strict=True):
            if video is None:
                size = image.width + image.width % 2, image.height + image.height % 2
                colour = _last_pixel(image)
                words = ["-metadata", f"title={title}", "-metadata", f"comment={show.text}", "-movflags", "faststart"]
                video = ffmpeg.write_frames(
                    path,
                    size,
                    fps=1 / show.seconds[0],
                    macro_block_size=2,
                    output_params=words,
                    ffmpeg_log_level="error",
                )
                video.send(None)
            even = Image.new("RGB", size, colour)
            even.paste(image)
            pixels = even.tobytes()
            for _ in range(max(round(seconds / show.seconds[0]), 1)):
                video.send(pixels)
    finally:
        if video is not None:
            video.close()
    return size


def _last_pixel(image: Any) -> Any:
    return image.convert("RGB").getpixel((image.width - 1, image.height - 1))


_WRITERS: dict[str, _Writer] = {".gif": _write_gif, ".png": _write_png, ".apng": _write_png, ".webp": _write_webp}
_MOST_SIDE = {".gif": 65535, ".webp": 16383, ".mp4": 16384}
