"""The only module that downloads: known addresses, known hashes, a progress bar, and only on request."""

from __future__ import annotations

import sys
from pathlib import Path

import pooch

from convarith.errors import ConvarithError

ADDRESS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
ARCHIVE_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}
"""The md5 of the files at these addresses; a file with another md5 is not kept."""


class Bar:
    """A rich progress bar on standard error if it is a terminal, with the interface that pooch expects."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn(label), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._progress.add_task(label)
        self._progress.start()
        self.total = 0

    def update(self, amount: int) -> None:
        """Add a number of downloaded bytes."""
        self._progress.update(self._task, advance=amount, total=self.total)

    def reset(self) -> None:
        """Start again from zero."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()


def fetch(name: str, folder: Path) -> Path:
    """Download the files of a data set into a folder, unless they are already there, and return the folder.

    Raises ConvarithError with the file that failed and a remedy.
    """
    pooch.get_logger().setLevel("WARNING")
    for file, md5 in ARCHIVE_MD5[name].items():
        url = ADDRESS[name] + file
        bar = Bar(f"{name}/{file}")
        try:
            pooch.retrieve(
                url, known_hash=f"md5:{md5}", fname=file, path=folder, downloader=pooch.HTTPDownloader(progressbar=bar)
            )
        except (OSError, ValueError) as error:  # no network, an HTTP error, another hash, a full disk
            raise ConvarithError(
                f"cannot download {url} ({str(error).splitlines()[0]}): try again, or put the four IDX files of "
                f"{name} into a folder and give it with --data"
            ) from None
        finally:
            bar.close()
    return folder
