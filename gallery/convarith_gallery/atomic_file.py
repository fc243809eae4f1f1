"""Writing files atomically: a reader sees either the old file or the complete new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

from convarith.errors import ConvarithError


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Yield the path of a temporary file in the same folder, which replaces `path` when the block ends.

    If the block raises or is interrupted, the old file is left unchanged and the temporary file is removed. Raises
    ConvarithError if the file cannot be written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/a.txt") as beside:
    ...         _ = Path(beside).write_text("all of it")
    ...     os.listdir(folder)
    ['a.txt']
    """
    folder, name = os.path.split(os.path.abspath(path))
    if os.path.isdir(path):
        raise ConvarithError(f"cannot write {path}: it is a folder; name a file in it")
    beside = os.path.join(folder, f".{os.urandom(4).hex()}-{name}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise ConvarithError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            os.unlink(beside)


def write_whole(path: str, content: str | bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically.

    Args:
        path: the file; an existing one is replaced.
        content: text, which is written as UTF-8, bytes, or a function that writes to the open binary file.

    Raises:
        ConvarithError: the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/a.txt", lambda file: file.write(b"all of it"))
    ...     os.listdir(folder)
    ['a.txt']
    """
    with whole_file(path) as beside, open(beside, "wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode() if isinstance(content, str) else content)
