"""The files of a run: whole or not at all, in a folder that is made, the one before kept where that is asked for."""

import os
from pathlib import Path

from convarith.errors import ConvarithError
from convarith_gallery.atomic_file import whole_file


def write_whole(path: Path, content: bytes | str, keep: Path | None = None) -> None:
    """Write a file that appears whole; what stood there before moves to `keep`, if that is given.

    Raises ConvarithError where that cannot be; the file that stood there is then as it was.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "new", "a.txt"), "one")
    ...     write_whole(Path(folder, "new", "a.txt"), "two", keep=Path(folder, "new", "b.txt"))
    ...     [file.read_text() for file in sorted(Path(folder, "new").iterdir())]
    ['two', 'one']
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConvarithError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    with whole_file(str(path)) as beside:
        with open(beside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # a rename may reach the disk before the content does
        if keep is not None and path.exists():
            os.replace(path, keep)
