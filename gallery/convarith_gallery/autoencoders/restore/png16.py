"""PNG files with 16 bits per channel, which Pillow reduces to 8 bits if they are in colour."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convarith.errors import ConvarithError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""The channels of each colour type; type 3 is a palette, which has at most 8 bits."""


def is_png16(content: bytes) -> bool:
    """Whether this is a PNG file with 16 bits per channel."""
    return content.startswith(SIGNATURE) and content[24:25] == b"\x10"


def decode(content: bytes) -> NDArray[np.uint16]:
    """The pixels (H, W, channels) of a file. Raises ConvarithError if it is damaged or interlaced.

    >>> pixels = np.array([[[1, 500, 65535]], [[2, 700, 0]]], np.uint16)
    >>> bool((decode(encode(pixels)) == pixels).all())
    True
    """
    try:
        width, height, _, kind, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
        if interlaced:
            raise ConvarithError("it is interlaced: save it without interlacing, or with 8 bits per channel")
        size = 2 * CHANNELS[kind]
        raw = np.frombuffer(zlib.decompress(b"".join(_data(content))), np.uint8).reshape(height, 1 + width * size)
    except (struct.error, KeyError, ValueError, zlib.error) as error:
        if isinstance(error, ConvarithError):
            raise
        raise ConvarithError("it is damaged: its data does not match its size") from None
    plain = _unfiltered(raw[:, 0], raw[:, 1:].reshape(height, width, size))
    return np.ascontiguousarray(plain).view(">u2").astype(np.uint16)


def encode(pixels: NDArray[np.uint16]) -> bytes:
    """The content of a file with these pixels (H, W, 1 to 4 channels)."""
    height, width, channels = pixels.shape
    kind = {count: kind for kind, count in CHANNELS.items()}[channels]
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), np.uint8))  # each row minus the one above
    stream = zlib.compress(np.pad(filtered, ((0, 0), (1, 0)), constant_values=2).tobytes(), 6)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _data(content: bytes) -> Iterator[bytes]:
    at = len(SIGNATURE)
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 8 + length
        name, checksum = content[at + 4 : at + 8], content[end : end + 4]
        if checksum != struct.pack(">I", zlib.crc32(content[at + 4 : end])):
            raise ValueError(f"the checksum of {name!r} does not match")
        if name == b"IDAT":
            yield content[at + 8 : end]
        at = end + 4


def _unfiltered(filters: NDArray[np.uint8], rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the five filters (PNG specification, section 9), one diagonal at a time so that all neighbours are known."""
    height, width, size = rows.shape
    result = np.zeros((height + 1, width + 1, size), np.uint8)
    for diagonal in range(height + width - 1):
        y = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        x = diagonal - y
        left, above, corner = (result[down, right].astype(np.int16) for down, right in ((y + 1, x), (y, x + 1), (y, x)))
        guess = left + above - corner
        far, near, other = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
        paeth = np.where((far <= near) & (far <= other), left, np.where(near <= other, above, corner))
        choices = [np.zeros_like(left), left, above, (left + above) // 2, paeth]
        predicted = np.choose(filters[y, None], choices, mode="clip")
        result[y + 1, x + 1] = rows[y, x] + predicted.astype(np.uint8)
    return result[1:, 1:]
