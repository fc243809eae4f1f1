"""Writing the files of a training: completely or not at all, in a new folder if needed, with a copy of the last one."""

import os
from pathlib import Path

from convarith.errors import ConvarithError
from convarith_gallery.atomic_file import whole_file


def write_whole(path: Path, content: bytes | str, keep: Path | None = None) -> None:
    """Write a file completely or not at all; an existing file is moved to `keep`, if that is given.

    Raises ConvarithError if that is not possible; an existing file is then unchanged.

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
        raise ConvarithError(f"cannot create the folder {path.parent}: {error.strerror}") from None
    with whole_file(str(path)) as beside:
        with open(beside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # a rename may reach the disk before the content does
        if keep is not None and path.exists():
            os.replace(path, keep)
