"""Load the data set that a recipe or a user asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pooch

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_gallery.autoencoders.datasets import mnist_variants, natural, speech
from convarith_gallery.autoencoders.datasets.clouds import CLOUDS, cloud
from convarith_gallery.autoencoders.datasets.dataset import Dataset
from convarith_gallery.autoencoders.datasets.digits import digits
from convarith_gallery.autoencoders.datasets.download import fetch
from convarith_gallery.autoencoders.datasets.idx_files import RAW_MD5, holds_idx_files, read_folder

FOLDER_VARIABLE = "CONVARITH_DATA"


def load(wanted: str, data: str | None = None, download: bool = False) -> Dataset:
    """The data set for a recipe.

    Args:
        wanted: the data set of the recipe: 'mnist', 'fashion-mnist', 'digits', a cloud, 'natural', 'natural-grey',
            'speech', 'segment', or a variant of MNIST.
        data: the data set that the user asks for instead: one of these names, or a folder with IDX files.
        download: whether missing files may be downloaded.

    If `data` is not given and the recipe's images are not found, the digits replace them, and `source` says so.
    Raises ConvarithError for an unknown name, and for files that are missing or have the wrong content.
    """
    known = (*RAW_MD5, "digits", *CLOUDS, *natural.NAMES, "speech", *mnist_variants.NAMES)
    if wanted not in known:
        raise ConvarithError(f"unknown data set {wanted!r}: {nearest(wanted, known)}")
    if data is not None and data not in known and not Path(data).is_dir():
        raise ConvarithError(
            f"there is no folder {data}: --data takes a folder with IDX files, or a name; {nearest(data, known)}"
        )
    if wanted in CLOUDS:
        return cloud(wanted)
    if wanted == "speech":
        return speech.speech()
    if wanted in natural.NAMES:
        return natural.natural(data if data in natural.NAMES else wanted)
    if wanted in mnist_variants.NAMES or data in mnist_variants.NAMES:
        base, name = (None, data) if data in mnist_variants.NAMES else (data, wanted)
        return mnist_variants.made(name, load("mnist", base, download))
    if data is not None and data not in known:
        return _from_folder(Path(data), wanted)
    if data in CLOUDS:
        raise ConvarithError(f"this recipe needs images, but {data} is a cloud of points: choose a data set of images")
    name = data or wanted
    if name == "digits":
        return digits()
    for folder in _folders(name):
        if holds_idx_files(folder):
            return read_folder(folder, name)
    if download:
        return read_folder(fetch(name, cache_folder() / name), name)
    if data is None:
        stand_in = digits()
        return stand_in._replace(
            source=f"{stand_in.source} (used because {name} was not found: give its folder with --data or "
            f"${FOLDER_VARIABLE}, or download it with --download)"
        )
    raise ConvarithError(
        f"{name} is neither in ${FOLDER_VARIABLE} nor in the cache: give its folder with --data, or download it with "
        "--download"
    )


def cache_folder() -> Path:
    """The folder that downloads are kept in, one folder per data set."""
    return Path(pooch.os_cache("convarith"))


def _from_folder(folder: Path, wanted: str) -> Dataset:
    inside = folder / wanted
    return read_folder(inside, wanted) if wanted in RAW_MD5 and holds_idx_files(inside) else read_folder(folder)


def _folders(name: str) -> Iterator[Path]:
    """The folders that a data set is searched in, in this order."""
    if given := os.environ.get(FOLDER_VARIABLE):
        yield from (Path(given, name), Path(given))
    yield cache_folder() / name
