"""Files that appear whole or not at all."""

import os
import tempfile

from convarith.errors import ConvarithError


def write_whole(path: str, text: str) -> None:
    """Write a text file beside its place, then move it there. Raises ConvarithError where that cannot be."""
    folder, name = os.path.split(os.path.abspath(path))
    if os.path.isdir(path):
        raise ConvarithError(f"cannot write {path}: it is a folder, name a file in it")
    beside = None
    try:
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{name}.", delete=False, encoding="utf-8") as file:
            beside = file.name
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except OSError as error:
        if beside is not None and os.path.exists(beside):
            os.unlink(beside)
        raise ConvarithError(f"cannot write {path}: {error.strerror}") from None
