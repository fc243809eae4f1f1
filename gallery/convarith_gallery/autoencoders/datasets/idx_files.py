"""MNIST and Fashion-MNIST from IDX files, which are checked against known hashes."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.dataset import Dataset

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
"""The md5 of each uncompressed file; compressed files of the same content may differ."""


def read_idx(path: Path) -> tuple[np.ndarray, str]:
    """The array in an IDX file, gzipped or raw, and the md5 of its raw bytes.

    Raises ConvarithError if the file is not an IDX file, or is shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
        raw = gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ConvarithError(f"{path} is damaged: its gzip stream is broken or incomplete; download it again") from None
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:  # 8: unsigned bytes
        raise ConvarithError(f"{path} is not an IDX file of bytes: it begins with {raw[:4].hex(' ') or 'nothing'}")
    shape = struct.unpack_from(f">{raw[3]}I", raw, 4)
    start, needed = 4 + 4 * len(shape), math.prod(shape)
    if len(raw) != start + needed:
        raise ConvarithError(
            f"{path} is damaged: its header announces {needed:,} bytes, but {len(raw) - start:,} follow; "
            "download it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape), hashlib.md5(
        raw, usedforsecurity=False
    ).hexdigest()


def read_folder(folder: Path, name: str | None = None) -> Dataset:
    """The data set in a folder with its four IDX files; `name` says which data set it must be.

    Raises ConvarithError if a file is missing, damaged or changed.
    """
    found = {stem: read_idx(_file(folder, stem)) for stem in RAW_MD5["mnist"]}
    md5 = {stem: digest for stem, (_, digest) in found.items()}
    wanted = [name] if name else list(RAW_MD5)
    best = max(wanted, key=lambda known: sum(RAW_MD5[known][stem] == digest for stem, digest in md5.items()))
    for stem, digest in md5.items():
        if digest != RAW_MD5[best][stem]:
            raise ConvarithError(
                f"{_file(folder, stem)} is not the file of {best}: its raw md5 is {digest}, not {RAW_MD5[best][stem]}; "
                "download it again"
            )
    train, train_labels, test, test_labels = (array for array, _ in found.values())
    return Dataset(
        best, f"{best}: {len(train):,} training and {len(test):,} test images of 28x28, verified by md5",
        _images(train), _labels(train_labels), _images(test), _labels(test_labels),
    )  # fmt: skip


def holds_idx_files(folder: Path) -> bool:
    """Whether a folder seems to contain the IDX files of a data set."""
    return any(folder.glob("train-images-idx3-ubyte*"))


def _file(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    raise ConvarithError(f"{folder} has no {stem} or {stem}.gz: give the folder with all four IDX files")


def _images(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).unsqueeze(1)


def _labels(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
