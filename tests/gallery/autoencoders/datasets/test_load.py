"""Loading data sets.

- An IDX file gives the array that was written, gzipped or not; a truncated, padded or different file is refused.
- A file whose raw md5 is not that of the data set is refused by its name.
- If the images for a recipe are not found, the digits replace them and the output says so; nothing is downloaded.
- A downloaded file has the known hash, or it is not kept.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets import download, idx_files, load
from convarith_gallery.autoencoders.datasets.clouds import CLOUDS, cloud

from convarith.errors import ConvarithError

pytestmark = pytest.mark.slow

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
    monkeypatch.setitem(idx_files.RAW_MD5, "mnist", hashes)
    monkeypatch.delenv(load.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(load, "cache_folder", lambda: tmp_path / "cache")
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 28, 28)])
def test_an_array_is_read_as_it_was_written(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    found, md5 = idx_files.read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert md5 == hashlib.md5(idx(array)).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: raw[:-1], "damaged: its header announces 12 bytes, but 11 follow"),
        (lambda raw: raw + b"x", "announces 12 bytes, but 13 follow"),
        (lambda raw: b"", "not an IDX file of bytes: it begins with nothing"),
        (lambda raw: raw[:7], "not an IDX file"),
        (lambda raw: b"PK" + raw, "not an IDX file of bytes: it begins with 50 4b"),
    ],
)
def test_an_incomplete_file_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(spoil(idx(np.zeros((3, 4), np.uint8))))
    with pytest.raises(ConvarithError, match=message):
        idx_files.read_idx(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_cut_archive_is_refused(little: Path, keep: float) -> None:
    path = little / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ConvarithError, match=r"train-images-idx3-ubyte.gz is damaged: its gzip stream"):
        idx_files.read_folder(little)


def test_a_changed_pixel_is_refused(little: Path) -> None:
    array = arrays()["t10k-images-idx3-ubyte"]
    array[1, 20, 20] ^= 1
    (little / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    match = r"t10k-images-idx3-ubyte.gz is not the file of mnist: its raw md5 is \w{32}, not"
    with pytest.raises(ConvarithError, match=match):
        idx_files.read_folder(little)


def test_a_missing_file_is_named(little: Path) -> None:
    (little / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ConvarithError, match="has no t10k-labels-idx1-ubyte or"):
        idx_files.read_folder(little)


def test_a_folder_by_option_by_variable_or_the_one_around_it(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = load.load("mnist", str(little))
    monkeypatch.setenv(load.FOLDER_VARIABLE, str(little))
    by_variable = load.load("mnist")
    (little.parent / "mnist").symlink_to(little)
    around = load.load("mnist", str(little.parent))
    for found in (by_option, by_variable, around):
        assert found.name == "mnist"
        assert found.train.dtype == torch.uint8
        np.testing.assert_array_equal(found.train[:, 0].numpy(), arrays()["train-images-idx3-ubyte"])
        np.testing.assert_array_equal(found.test_labels.numpy(), arrays()["t10k-labels-idx1-ubyte"])


def test_nothing_is_downloaded_without_the_option(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "fetch", lambda *_: pytest.fail("downloaded"))
    found = load.load("mnist")
    assert found.name == "digits"
    assert "mnist was not found: give its folder with --data or $CONVARITH_DATA, or download it" in found.source
    with pytest.raises(ConvarithError, match=r"mnist is neither in .* nor in the cache"):
        load.load("mnist", "mnist")


@pytest.mark.parametrize(
    ("wanted", "given", "message"),
    [
        ("mnits", None, "unknown data set 'mnits': did you mean 'mnist'"),
        ("mnist", "no-such-folder", "there is no folder no-such-folder"),
        ("natural", "no-such-folder", "there is no folder no-such-folder"),
        ("circle", "no-such-folder", "there is no folder no-such-folder"),
        ("mnist", "circle", "this recipe needs images, but circle is a cloud of points"),
    ],
)
def test_unknown_data_is_refused(wanted: str, given: str | None, message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        load.load(wanted, given)


@pytest.fixture
def served(little: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A local server with the little data set."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=little))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setitem(download.ADDRESS, "mnist", f"http://127.0.0.1:{server.server_port}/")
    hashes = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in little.iterdir()}
    monkeypatch.setitem(download.ARCHIVE_MD5, "mnist", hashes)
    yield little
    server.shutdown()
    server.server_close()


def test_downloaded_files_are_read_and_kept(served: Path) -> None:
    found = load.load("mnist", download=True)
    np.testing.assert_array_equal(found.train[:, 0].numpy(), arrays()["train-images-idx3-ubyte"])
    assert load.load("mnist").name == "mnist"  # from the cache


def test_a_file_with_another_hash_is_not_kept(served: Path) -> None:
    (served / "train-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ConvarithError, match=r"cannot download .*train-labels-idx1-ubyte.gz .* --data"):
        load.load("mnist", download=True)
    assert not (load.cache_folder() / "mnist" / "train-labels-idx1-ubyte.gz").exists()


def test_no_network_is_one_line(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(download.ADDRESS, "mnist", "http://127.0.0.1:9/")
    with pytest.raises(ConvarithError, match="cannot download") as caught:
        load.load("mnist", "mnist", download=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_lie_about_their_curve(name: str) -> None:
    """Without noise, every point is on the curve; with noise, the distances are of its size."""
    plain, noisy = cloud(name, noise=0.0), cloud(name, noise=0.05)
    curve = torch.stack(CLOUDS[name](torch.linspace(0, 1, 20_001)), dim=1)
    assert torch.cdist(plain.train, curve).amin(1).max() < 1e-3
    off = (noisy.train - cloud(name, noise=0.1).train).norm(dim=1)
    assert 0 < off.mean() < 0.1
    assert not torch.equal(plain.train, plain.test)


@pytest.mark.skipif(load.FOLDER_VARIABLE not in os.environ, reason="needs the real files")
def test_the_real_files_are_read() -> None:
    found = load.load("mnist", os.environ[load.FOLDER_VARIABLE])
    assert (found.name, found.train.shape, found.test.shape) == ("mnist", (60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert found.test_labels[:12].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6]  # the lecture's first row
