"""The data: MNIST and Fashion-MNIST from IDX files, the digits that scikit-learn ships, and clouds of 2-D points."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest

FOLDER_VARIABLE = "CONVARITH_DATA"

RAW_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
"""The md5 of every file, uncompressed: archives of the same file differ."""


class Dataset(NamedTuple):
    """Images and labels, held as they are stored.

    Attributes:
        name: 'mnist', 'digits', ...
        source: what was used, in words, for the output.
        train, test: (N, 1, 28, 28) uint8, or (N, 2) float32 points of a cloud.
        train_labels, test_labels: (N,) int64.
        held_out: how many of `train` come first that are for choosing by, and are never trained on.
    """

    name: str
    source: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    held_out: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return tuple(self.train.shape[1:])

    def training(self, count: int = 0, validation: float = 0.0, label: int = -1) -> Tensor:
        """So many items to train on (0: all) with this label (-1: any); the part to choose by comes first."""
        items = self.train if label < 0 else self.train[self.train_labels == label]
        if not 0 < count < len(items):
            return items
        chosen_by = int(validation * count)
        begin = max(chosen_by, self.held_out)
        return torch.cat((items[:chosen_by], items[begin : begin + count - chosen_by]))

    def to(self, device: torch.device) -> Dataset:
        """The same data on a device."""
        return self._replace(
            train=self.train.to(device), train_labels=self.train_labels.to(device),
            test=self.test.to(device), test_labels=self.test_labels.to(device),
        )  # fmt: skip


def as_float(items: Tensor) -> Tensor:
    """Images of 0..255 as 0..1; points as they are.

    >>> as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    return items.float() / 255 if items.dtype == torch.uint8 else items


def read_idx(path: Path) -> tuple[np.ndarray, str]:
    """The array of an IDX file, gzipped or raw, and the md5 of its raw bytes.

    Raises ConvarithError for a file that is no IDX file, or shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
        raw = gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ConvarithError(
            f"{path} is damaged: its gzip stream ends too early or is broken; fetch it again"
        ) from None
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:  # 8: unsigned bytes
        raise ConvarithError(f"{path} is no IDX file of bytes: it begins with {raw[:4].hex(' ') or 'nothing'}")
    shape = struct.unpack_from(f">{raw[3]}I", raw, 4)
    start, needed = 4 + 4 * len(shape), math.prod(shape)
    if len(raw) != start + needed:
        raise ConvarithError(
            f"{path} is damaged: its header promises {needed:,} bytes, {len(raw) - start:,} follow; fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape), hashlib.md5(
        raw, usedforsecurity=False
    ).hexdigest()


def read_folder(folder: Path, name: str | None = None) -> Dataset:
    """The data set whose four IDX files lie in a folder; `name` says which one it has to be.

    Raises ConvarithError for a missing, damaged or changed file.
    """
    found = {stem: read_idx(_file(folder, stem)) for stem in RAW_MD5["mnist"]}
    md5 = {stem: digest for stem, (_, digest) in found.items()}
    wanted = [name] if name else list(RAW_MD5)
    best = max(wanted, key=lambda known: sum(RAW_MD5[known][stem] == digest for stem, digest in md5.items()))
    for stem, digest in md5.items():
        if digest != RAW_MD5[best][stem]:
            raise ConvarithError(
                f"{_file(folder, stem)} is not {best}'s: its raw md5 is {digest}, not {RAW_MD5[best][stem]}; "
                "fetch it again"
            )
    train, train_labels, test, test_labels = (array for array, _ in found.values())
    return Dataset(
        best, f"{best}: {len(train):,} training and {len(test):,} test images of 28x28, raw md5 checked",
        _images(train), _labels(train_labels), _images(test), _labels(test_labels),
    )  # fmt: skip


def _file(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    raise ConvarithError(f"there is no {stem} or {stem}.gz in {folder}")


def _images(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).unsqueeze(1)


def _labels(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


MOVES = [(down, right) for down in (-2, 0, 2) for right in (-2, 0, 2)]
"""Where each of the small digits is put, in pixels off the middle."""


def digits() -> Dataset:
    """The 1,797 handwritten digits of 8x8 that scikit-learn ships, enlarged to 28x28, each at 9 places; no download.

    >>> data = digits()
    >>> data.train.shape, data.test.shape, data.train.dtype
    (torch.Size([13500, 1, 28, 28]), torch.Size([2673, 1, 28, 28]), torch.uint8)
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    small = torch.tensor(bunch.images / 16, dtype=torch.float32).unsqueeze(1)
    large = torch.nn.functional.interpolate(small, size=(20, 20), mode="bicubic")
    sharp = torch.nn.functional.pad((2 * large - 0.5).clamp(0, 1), (4, 4, 4, 4))  # strokes as MNIST has them
    images = torch.stack([sharp.roll(move, dims=(2, 3)) for move in MOVES], dim=1).mul(255).round().to(torch.uint8)
    labels = torch.tensor(bunch.target, dtype=torch.int64).repeat_interleave(len(MOVES))
    source = (
        "digits: 13,500 training and 2,673 test images, the 1,797 digits of 8x8 that scikit-learn ships, enlarged to "
        "28x28, at 9 places each"
    )
    train, test = (part.flatten(0, 1) for part in (images[:1500], images[1500:]))
    return Dataset("digits", source, train, labels[: len(train)], test, labels[len(train) :])


def _circle(at: Tensor) -> tuple[Tensor, Tensor]:
    """A circle with an opening on the right."""
    angle = 0.15 * math.pi + 1.7 * math.pi * at
    return angle.cos(), angle.sin()


def _spiral(at: Tensor) -> tuple[Tensor, Tensor]:
    """One turn and a half, from the middle outwards."""
    angle = 3 * math.pi * at
    return (0.2 + 0.8 * at) * angle.cos(), (0.2 + 0.8 * at) * angle.sin()


def _wave(at: Tensor) -> tuple[Tensor, Tensor]:
    """One period of a sine."""
    return 2 * at - 1, 0.6 * (2 * math.pi * at).sin()


CLOUDS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"circle": _circle, "spiral": _spiral, "wave": _wave}
"""Curves in the plane; a position in 0..1 becomes (x, y)."""


def cloud(name: str, count: int = 2000, noise: float = 0.03, seed: int = 0) -> Dataset:
    """Points scattered about a curve of CLOUDS, as many to test on as to train on; the label is the place in tenths.

    >>> cloud("spiral", count=5).train.shape
    torch.Size([5, 2])
    """
    if name not in CLOUDS:
        raise ConvarithError(f"unknown cloud {name!r}: {nearest(name, CLOUDS)}")
    generator = torch.Generator().manual_seed(seed)
    at = torch.rand(2 * count, generator=generator)
    points = torch.stack(CLOUDS[name](at), dim=1) + noise * torch.randn(2 * count, 2, generator=generator)
    labels = (10 * at).long()
    source = f"{name}: {count:,} training and {count:,} test points about a curve in the plane, drawn"
    return Dataset(name, source, points[:count], labels[:count], points[count:], labels[count:])


def cache_folder() -> Path:
    """Where downloads are kept, one folder a data set."""
    import pooch  # type: ignore[import-untyped]

    return Path(pooch.os_cache("convarith"))


def load(wanted: str, data: str | None = None, download: bool = False) -> Dataset:
    """The data of a recipe.

    Args:
        wanted: what the recipe asks for: 'mnist', 'fashion-mnist', 'digits', a cloud, 'natural', 'natural-grey',
            'speech', 'segment', or a variant of MNIST.
        data: what the user asks for instead: one of these names, or a folder with IDX files.
        download: may files be fetched that are in no folder?

    Without `data`, where the recipe's images are in no folder, these are the digits, and `source` says why.
    Raises ConvarithError for an unknown name, and for files that are missing or are not what they should be.
    """
    from convarith_gallery.autoencoders.datasets import natural, speech, variants

    known = (*RAW_MD5, "digits", *CLOUDS, *natural.NAMES, "speech", *variants.NAMES)
    if wanted not in known:
        raise ConvarithError(f"unknown data set {wanted!r}: {nearest(wanted, known)}")
    if data is not None and data not in known and not Path(data).is_dir():
        raise ConvarithError(
            f"there is no folder {data}: --data takes one with IDX files, or a name; {nearest(data, known)}"
        )
    if wanted in CLOUDS:
        return cloud(wanted)
    if wanted == "speech":
        return speech.speech()
    if wanted in natural.NAMES:
        return natural.natural(data if data in natural.NAMES else wanted)
    if wanted in variants.NAMES or data in variants.NAMES:
        base, name = (None, data) if data in variants.NAMES else (data, wanted)
        return variants.made(name, load("mnist", base, download))
    if data is not None and data not in known:
        return _from_folder(Path(data), wanted)
    if data in CLOUDS:
        raise ConvarithError(f"the recipe takes images: {data} is a cloud of points")
    name = data or wanted
    if name == "digits":
        return digits()
    for folder in _folders(name):
        if _holds(folder):
            return read_folder(folder, name)
    if download:
        from convarith_gallery.autoencoders.datasets.download import fetch

        return read_folder(fetch(name, cache_folder() / name), name)
    if data is None:
        stand_in = digits()
        return stand_in._replace(
            source=f"{stand_in.source} (no {name} here: give its folder with --data or ${FOLDER_VARIABLE}, "
            "or fetch it with --download)"
        )
    raise ConvarithError(
        f"there is no {name} in ${FOLDER_VARIABLE} or the cache: give its folder with --data, or fetch it with "
        "--download"
    )


def _from_folder(folder: Path, wanted: str) -> Dataset:
    inside = folder / wanted
    return read_folder(inside, wanted) if wanted in RAW_MD5 and _holds(inside) else read_folder(folder)


def _folders(name: str) -> Iterator[Path]:
    """Where a data set is looked for, in this order."""
    if given := os.environ.get(FOLDER_VARIABLE):
        yield from (Path(given, name), Path(given))
    yield cache_folder() / name


def _holds(folder: Path) -> bool:
    return any(folder.glob("train-images-idx3-ubyte*"))
