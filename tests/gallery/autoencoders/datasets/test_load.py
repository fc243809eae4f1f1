"""The data sets.

- An IDX file gives the array that was written, gzipped or not; one that is cut, padded or no IDX file is refused.
- A file whose raw md5 is not the data set's is refused, by its name.
- Without the images a recipe asks for, the digits take their place and the output says so; nothing is fetched.
- What is fetched is what its hash says, or is not kept.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import struct
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets import download as fetching
from convarith_gallery.autoencoders.datasets import load as data

from convarith.errors import ConvarithError

SHAPES = {
    "train-images-idx3-ubyte": (6, 28, 28), "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (2, 28, 28), "t10k-labels-idx1-ubyte": (2,),
}  # fmt: skip


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {stem: rng.integers(0, 10, shape, dtype=np.uint8) for stem, shape in SHAPES.items()}


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of eight images that passes for MNIST."""
    folder = tmp_path / "little"
    folder.mkdir()
    hashes = {}
    for stem, array in arrays().items():
        raw = idx(array)
        hashes[stem] = hashlib.md5(raw).hexdigest()
        (folder / f"{stem}.gz").write_bytes(gzip.compress(raw))
    monkeypatch.setitem(data.RAW_MD5, "mnist", hashes)
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 28, 28)])
def test_an_array_comes_back(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    found, md5 = data.read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert md5 == hashlib.md5(idx(array)).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: raw[:-1], "damaged: its header promises 12 bytes, 11 follow"),
        (lambda raw: raw + b"x", "promises 12 bytes, 13 follow"),
        (lambda raw: b"", "no IDX file of bytes: it begins with nothing"),
        (lambda raw: raw[:7], "no IDX file"),
        (lambda raw: b"PK" + raw, "no IDX file of bytes: it begins with 50 4b"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, spoil: object, message: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(spoil(idx(np.zeros((3, 4), np.uint8))))  # type: ignore[operator]
    with pytest.raises(ConvarithError, match=message):
        data.read_idx(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_cut_archive_is_refused(little: Path, keep: float) -> None:
    path = little / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ConvarithError, match=r"train-images-idx3-ubyte.gz is damaged: its gzip stream"):
        data.read_folder(little)


def test_a_changed_pixel_is_refused(little: Path) -> None:
    array = arrays()["t10k-images-idx3-ubyte"]
    array[1, 20, 20] ^= 1
    (little / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    with pytest.raises(ConvarithError, match=r"t10k-images-idx3-ubyte.gz is not mnist's: its raw md5 is \w{32}, not"):
        data.read_folder(little)


def test_a_missing_file_is_named(little: Path) -> None:
    (little / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ConvarithError, match="there is no t10k-labels-idx1-ubyte or"):
        data.read_folder(little)


def test_a_folder_by_option_by_variable_or_the_one_around_it(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = data.load("mnist", str(little))
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(little))
    by_variable = data.load("mnist")
    (little.parent / "mnist").symlink_to(little)
    around = data.load("mnist", str(little.parent))
    for found in (by_option, by_variable, around):
        assert found.name == "mnist"
        assert found.train.dtype == torch.uint8
        np.testing.assert_array_equal(found.train[:, 0].numpy(), arrays()["train-images-idx3-ubyte"])
        np.testing.assert_array_equal(found.test_labels.numpy(), arrays()["t10k-labels-idx1-ubyte"])


def test_nothing_is_fetched_unasked(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "fetch", lambda *_: pytest.fail("fetched"))
    found = data.load("mnist")
    assert found.name == "digits"
    assert "no mnist here: give its folder with --data or $CONVARITH_DATA, or fetch it with --download" in found.source
    with pytest.raises(ConvarithError, match=r"there is no mnist in .* the cache"):
        data.load("mnist", "mnist")


@pytest.mark.parametrize(
    ("wanted", "given", "message"),
    [
        ("mnits", None, "unknown data set 'mnits': did you mean 'mnist'"),
        ("mnist", "no-such-folder", "there is no folder no-such-folder"),
        ("natural", "no-such-folder", "there is no folder no-such-folder"),
        ("circle", "no-such-folder", "there is no folder no-such-folder"),
        ("mnist", "circle", "the recipe takes images: circle is a cloud"),
    ],
)
def test_what_is_no_data_is_refused(wanted: str, given: str | None, message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        data.load(wanted, given)


@pytest.fixture
def served(little: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The little data set at an address of this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=little))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setitem(fetching.ADDRESS, "mnist", f"http://127.0.0.1:{server.server_port}/")
    hashes = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in little.iterdir()}
    monkeypatch.setitem(fetching.ARCHIVE_MD5, "mnist", hashes)
    yield little
    server.shutdown()
    server.server_close()


def test_what_is_fetched_is_read_and_kept(served: Path) -> None:
    found = data.load("mnist", download=True)
    np.testing.assert_array_equal(found.train[:, 0].numpy(), arrays()["train-images-idx3-ubyte"])
    assert data.load("mnist").name == "mnist"  # from the cache


def test_what_has_another_hash_is_not_kept(served: Path) -> None:
    (served / "train-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ConvarithError, match=r"train-labels-idx1-ubyte.gz could not be fetched .* --data"):
        data.load("mnist", download=True)
    assert not (data.cache_folder() / "mnist" / "train-labels-idx1-ubyte.gz").exists()


def test_no_network_is_one_line(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fetching.ADDRESS, "mnist", "http://127.0.0.1:9/")
    with pytest.raises(ConvarithError, match="could not be fetched") as caught:
        data.load("mnist", "mnist", download=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", data.CLOUDS)
def test_clouds_lie_about_their_curve(name: str) -> None:
    """Without noise every point is on the curve; with noise it is so far off as the noise says."""
    plain, noisy = data.cloud(name, noise=0.0), data.cloud(name, noise=0.05)
    curve = torch.stack(data.CLOUDS[name](torch.linspace(0, 1, 20_001)), dim=1)
    assert torch.cdist(plain.train, curve).amin(1).max() < 1e-3
    off = (noisy.train - data.cloud(name, noise=0.1).train).norm(dim=1)
    assert 0 < off.mean() < 0.1
    assert not torch.equal(plain.train, plain.test)


@pytest.mark.skipif(data.FOLDER_VARIABLE not in os.environ, reason="needs the real files")
def test_the_real_files_are_read() -> None:
    found = data.load("mnist", os.environ[data.FOLDER_VARIABLE])
    assert (found.name, found.train.shape, found.test.shape) == ("mnist", (60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert found.test_labels[:12].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6]  # the lecture's first row
