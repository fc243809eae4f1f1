"""Saving a film as a file, in the format that the suffix of the path names.

Except for video, every format is written here frame by frame from what has changed, which needs the memory of two
frames. It also keeps steps that look the same as separate frames; Pillow's own writers merge equal neighbours.
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
    from PIL.Image import Image

    from convarith_gallery.drawing.raster import Frame

MOST_FRAMES = 10_000
MOST_PIXELS = 40_000_000
MOST_WORK = 10_000_000_000
"""The largest number of pixels in all frames together."""
SUFFIXES = (".gif", ".png", ".apng", ".webp", ".svg", ".mp4")
SHEET_GAP = 12
"""The space between the frames of a contact sheet, in points."""


class Saved(NamedTuple):
    """What was written: the file, the number of frames and bytes, and the size in pixels, or in points for an .svg."""

    path: str
    frames: int
    bytes: int
    width: int
    height: int


class _Playback(NamedTuple):
    """How a film is played: the seconds of each frame, the number of loops, and the description."""

    seconds: list[float]
    loops: int
    text: str


_ONE_PIXEL = (0, 0, 1, 1)
"""The area written for a frame in which nothing changed, because the formats do not allow an empty one."""
_Writer = Callable[[BinaryIO, "Iterator[Frame]", _Playback], None]


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
        film: the film.
        path: the file; it is written atomically.
        theme: 'light' or 'dark'; for an .svg also 'auto', which follows the reader's preference.
        scale: pixels per point. An .svg is sharp at any size and is always written in points.
        seconds: how long each frame is shown. It is rounded to 1/100 s in a .gif or .apng and to 1/1000 s in a .webp.
        hold: how long the last frame is shown, if that is longer; in an .mp4 it is rounded to a multiple of `seconds`.
        loops: how often the film plays; 0 to play forever. In an .mp4 this is left to the player.
        frame: write only this frame, as a still; counted from 0, or from the end if negative. The default for a .png is
            the last frame.
        sheet: write all frames side by side as a still, in this many columns.
        progress: called after each frame with the number of frames done and the total.

    Raises:
        ParameterError: the film or the options are invalid; raised before anything is drawn.
        MissingDependencyError: Pillow is not installed, or, for an .mp4, imageio-ffmpeg.
        ConvarithError: the file cannot be written.

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
        raise ParameterError(
            f"frame {frame} and a sheet with {sheet} column{'s' if sheet != 1 else ''} are two pictures: "
            "leave one of them out"
        )
    _check_playback(scale, seconds, hold, loops)
    film = film if frame is None else still(film, frame)
    film = film if sheet is None else contact_sheet(film, sheet)
    count = len(film.frames)
    playback = _Playback([seconds] * (count - 1) + [max(seconds, hold)], loops, film.alt or film.title)
    if suffix == ".svg":
        refuse_too_large(count, film.width, film.height, 1)
        from convarith_gallery.drawing.svg import svg

        text = svg(film, theme, seconds, hold, loops, progress)
        with whole_file(path) as beside:
            size = Path(beside).write_bytes(text.encode())
        return Saved(path, count, size, film.width, film.height)
    refuse_too_large(count, film.width, film.height, scale)
    if theme == "auto":
        raise ParameterError(f"theme 'auto' is only for .svg, a {suffix} has fixed colours: choose light or dark")
    width, height = film.width * scale, film.height * scale
    if (most := _MOST_SIDE.get(suffix)) is not None and max(width, height) > most:
        raise ParameterError(
            f"the picture is {width}x{height} pixels, but a {suffix} has at most {most} per side: lower --scale"
        )
    drawn = _drawn(film, theme_named(theme), scale, progress)
    with whole_file(path) as beside:
        if suffix == ".mp4":
            width, height = _write_mp4(beside, drawn, playback, film.title)
        else:
            with open(beside, "wb") as file:
                _WRITERS[suffix](file, drawn, playback)
        size = Path(beside).stat().st_size
    return Saved(path, count, size, width, height)


def suffix_of(path: str) -> str:
    """The suffix of a path, in lower case. Raises ParameterError if it is not a format that can be written.

    >>> suffix_of("docs/Up.GIF")
    '.gif'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        kind = f"a {suffix!r} file" if suffix else "a file without a suffix"
        raise ParameterError(f"{path}: cannot write {kind}: choose from {', '.join(SUFFIXES)}")
    return suffix


def refuse_too_large(frames: int, width: int, height: int, scale: int = 2) -> None:
    """Raise ParameterError if the film has more frames or pixels than are worth waiting for. Sizes are in points.

    >>> refuse_too_large(9, 400, 300)
    """
    pixels = width * height * scale**2
    if frames < 1:
        raise ParameterError("the film has no frames: there is nothing to draw")
    if frames > MOST_FRAMES:
        raise ParameterError(
            f"the film has {frames:,} frames, but at most {MOST_FRAMES:,} are drawn: "
            "use a smaller input, or one --frame"
        )
    if pixels > MOST_PIXELS:
        raise ParameterError(
            f"the picture is {width * scale}x{height * scale} pixels, but at most {MOST_PIXELS:,} pixels are drawn: "
            + ("lower --scale, or use a smaller input" if scale > 1 else "use a smaller input")
        )
    if frames * pixels > MOST_WORK:
        raise ParameterError(
            f"the film has {frames:,} frames of {pixels:,} pixels, but at most {MOST_WORK:,} pixels are drawn in all: "
            "lower --scale, or use a smaller input or one --frame"
        )


def still(film: Film, frame: int) -> Film:
    """A film of a single frame, counted from 0, or from the end if negative.

    Raises ParameterError if there is no such frame.

    >>> from convarith_gallery.drawing.film import Box
    >>> film = Film(9, 9, (Box(0, 0, 9, 9),), ({}, {0: None}), ("a", "b"), "", "")
    >>> still(film, -1).items, still(film, 0).captions
    ((None,), ('a',))
    """
    count = len(film.frames)
    if not -count <= frame < count:
        raise ParameterError(
            f"there is no frame {frame}: the film has {count}, counted from 0 to {count - 1}, or back from -1"
        )
    items = list(film.items)
    for changes in film.frames[: frame % count + 1]:
        for number, item in changes.items():
            items[number] = item
    return replace(film, items=tuple(items), frames=({},), captions=(film.captions[frame],))


def contact_sheet(film: Film, columns: int) -> Film:
    """A film with one frame that shows all frames side by side, row by row.

    Raises ParameterError if `columns` is less than 1 or the sheet would be too large.

    >>> from convarith_gallery.drawing.film import Box
    >>> film = Film(10, 10, (Box(0, 0, 9, 9),), ({}, {}, {}), ("a", "b", "c"), "", "")
    >>> sheet = contact_sheet(film, 2)
    >>> (sheet.width, sheet.height), [box[:2] for box in sheet.items]
    ((32, 32), [(0, 0), (22, 0), (0, 22)])
    """
    if columns < 1:
        raise ParameterError(f"a sheet cannot have {columns} columns: give 1 or more")
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


def _check_playback(scale: int, seconds: float, hold: float, loops: int) -> None:
    if scale not in (1, 2, 3):
        raise ParameterError(f"scale {scale} is out of range: use 1, 2 or 3 pixels per point")
    if not 0.02 <= seconds <= 60:
        raise ParameterError(f"{seconds:g} seconds per frame is out of range: use 0.02 to 60")
    if not 0 <= hold <= 600:
        raise ParameterError(f"holding the last frame for {hold:g} seconds is out of range: use 0 to 600")
    if not 0 <= loops <= 65535:
        raise ParameterError(f"{loops} loops is out of range: use 0 (forever) to 65535")


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


def _write_gif(file: BinaryIO, frames: Iterator[Frame], playback: _Playback) -> None:
    """Write a GIF. Pixels that did not change are transparent, which compresses well."""
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
            _write_gif_header(file, image.size, palette, playback)
        words = {"duration": 10 * round(100 * playback.seconds[number]), "disposal": 1, "transparency": clear}
        file.writelines(GifImagePlugin.getdata(part, area[:2], **words))
        before = image
    file.write(b";")


def _write_gif_header(file: BinaryIO, size: tuple[int, int], palette: bytes, playback: _Playback) -> None:
    bits = (len(palette) // 3).bit_length()
    file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x80 | 0x70 | (bits - 1), 0, 0))
    file.write(palette.ljust(3 << bits, b"\0"))
    if playback.loops != 1:
        # the number of repetitions after the first, 0 for forever; without this block a GIF plays once
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(playback.loops - 1, 0), 0))
    file.write(b"!\xfe")
    text = playback.text.encode()
    for start in range(0, len(text), 255):
        block = text[start : start + 255]
        file.write(bytes((len(block),)) + block)
    file.write(b"\0")


# PNG and APNG: https://www.w3.org/TR/png-3 ----------------------------------------------------------------------------


def _write_png(file: BinaryIO, frames: Iterator[Frame], playback: _Playback) -> None:
    """Write a PNG for one frame, an APNG for several."""
    count = len(playback.seconds)
    for number, (image, changed) in enumerate(frames):
        if not number:
            file.write(b"\x89PNG\r\n\x1a\n")
            _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", *image.size, 8, 3, 0, 0, 0))
            _write_chunk(file, b"iTXt", b"Description\0\0\0\0\0" + playback.text.encode())
            if count > 1:
                _write_chunk(file, b"acTL", struct.pack(">II", count, playback.loops))
            _write_chunk(file, b"PLTE", bytes(image.getpalette() or ()))
        area = changed or _ONE_PIXEL
        left, top, right, bottom = area
        # frame controls and frame data, except the first frame's data, share one sequence of numbers
        sequence = max(2 * number - 1, 0)
        if count > 1:
            place = struct.pack(">IIIII", sequence, right - left, bottom - top, left, top)
            _write_chunk(file, b"fcTL", place + struct.pack(">HHBB", round(100 * playback.seconds[number]), 100, 0, 0))
        data = _png_data(image.crop(area))
        if number:
            _write_chunk(file, b"fdAT", struct.pack(">I", sequence + 1) + data)
        else:
            _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IEND", b"")


def _png_data(image: Image) -> bytes:
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


def _write_webp(file: BinaryIO, frames: Iterator[Frame], playback: _Playback) -> None:
    """Write a lossless WebP."""
    for number, (image, changed) in enumerate(frames):
        if not number:
            width, height = image.size
            file.write(b"RIFF\0\0\0\0WEBP")
            extended = struct.pack("<I", 0b110) + _three_bytes(width - 1) + _three_bytes(height - 1)  # animation, XMP
            file.write(_webp_chunk(b"VP8X", extended) + _webp_chunk(b"ANIM", struct.pack("<IH", 0, playback.loops)))
        left, top, right, bottom = changed or _ONE_PIXEL
        # WebP stores halved positions, so a frame starts at even ones
        left, top = left & ~1, top & ~1
        place = b"".join(map(_three_bytes, (left // 2, top // 2, right - left - 1, bottom - top - 1)))
        still = BytesIO()
        image.crop((left, top, right, bottom)).save(still, "WEBP", lossless=True)
        times = _three_bytes(round(1000 * playback.seconds[number])) + b"\x02"  # not blended with what is below
        file.write(_webp_chunk(b"ANMF", place + times + still.getvalue()[12:]))
    from html import escape

    file.write(_webp_chunk(b"XMP ", _XMP.format(escape(playback.text)).encode()))
    size = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", size))


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


# MP4 ------------------------------------------------------------------------------------------------------------------


def _write_mp4(path: str, frames: Iterator[Frame], playback: _Playback, title: str) -> tuple[int, int]:
    """Write an MP4, and return the size of the picture, which H.264 requires to be even."""
    ffmpeg = _needs("imageio_ffmpeg", "imageio_ffmpeg", "imageio-ffmpeg", "'convarith[video]'")
    from PIL import Image

    video, size, colour = None, (0, 0), (0, 0, 0)
    try:
        for (image, _), seconds in zip(frames, playback.seconds, strict=True):
            if video is None:
                size = image.width + image.width % 2, image.height + image.height % 2
                colour = _last_pixel(image)
                words = [
                    "-metadata", f"title={title}", "-metadata", f"comment={playback.text}", "-movflags", "faststart",
                ]  # fmt: skip
                video = ffmpeg.write_frames(
                    path,
                    size,
                    fps=1 / playback.seconds[0],
                    macro_block_size=2,
                    output_params=words,
                    ffmpeg_log_level="error",
                )
                video.send(None)
            even = Image.new("RGB", size, colour)
            even.paste(image)
            pixels = even.tobytes()
            for _ in range(max(round(seconds / playback.seconds[0]), 1)):
                video.send(pixels)
    finally:
        if video is not None:
            video.close()
    return size


def _last_pixel(image: Any) -> Any:
    return image.convert("RGB").getpixel((image.width - 1, image.height - 1))


_WRITERS: dict[str, _Writer] = {".gif": _write_gif, ".png": _write_png, ".apng": _write_png, ".webp": _write_webp}
_MOST_SIDE = {".gif": 65535, ".webp": 16383, ".mp4": 16384}
