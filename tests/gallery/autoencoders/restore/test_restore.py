"""convarith restore: a trained restorer on a user's picture.

- 16-bit colour files are read as they were written, whatever filters they use, and Pillow reads ours.
- Pictures of every kind keep their size, bits and transparency; an identity network leaves them unchanged.
- A network for grey is applied to each colour; a network for colours also works on grey pictures.
- The command restores and enlarges with a model of `convarith train`, prints its document, and writes complete files.
- Bad pictures, wrong models, unsuitable sizes and endings that would lose data give a one-line error and no file.
"""

from __future__ import annotations

import json
import struct
import zlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from support.command_line import assert_refused, run_here
from support.tiny_trainings import write_recipe

pytest.importorskip("torch", reason="restores with torch, which is not installed")

import torch
from convarith_gallery.autoencoders.restore import png16
from convarith_gallery.autoencoders.restore.picture_files import Picture, read_picture, write_picture
from convarith_gallery.autoencoders.restore.restoring import restore
from convarith_gallery.autoencoders.restore.tiling import Tiling
from torch import nn

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch")]

RANDOM = np.random.default_rng(0)
CPU = torch.device("cpu")
DENOISER = "Conv2d(1, 4, 4, stride=2, padding=1); ReLU(); Conv2d(4, 8, 3, padding=1)"


def picture_of(kind: str, height: int = 37, width: int = 53) -> Image.Image:
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 1}[kind]
    values = RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze(2) if channels == 1 else values).convert(kind)


def filtered(pixels: np.ndarray, filters: list[int]) -> bytes:
    """A 16-bit PNG whose rows use these filters, written as in the specification."""
    height, width, channels = pixels.shape
    size = 2 * channels
    raw = pixels.astype(">u2").tobytes()
    rows = [raw[at : at + width * size] for at in range(0, len(raw), width * size)]
    stream = b""
    for y, row in enumerate(rows):
        kind, line = filters[y % len(filters)], bytearray()
        for x, value in enumerate(row):
            left = row[x - size] if x >= size else 0
            above = rows[y - 1][x] if y else 0
            corner = rows[y - 1][x - size] if y and x >= size else 0
            guess = left + above - corner
            paeth = min((left, above, corner), key=lambda each: abs(guess - each))
            line.append((value - (0, left, above, (left + above) // 2, paeth)[kind]) % 256)
        stream += bytes([kind]) + line
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(stream)), (b"IEND", b""))
    return png16.SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_read_as_written(channels: int) -> None:
    pixels = RANDOM.integers(0, 65536, (11, 7, channels), dtype=np.uint16)
    assert np.array_equal(png16.decode(png16.encode(pixels)), pixels)
    assert np.array_equal(png16.decode(filtered(pixels, [0, 1, 2, 3, 4, 4, 3, 1])), pixels)


def test_pillow_reads_what_we_write(tmp_path: Path) -> None:
    grey = RANDOM.integers(0, 65536, (9, 5, 1), dtype=np.uint16)
    colour = RANDOM.integers(0, 65536, (9, 5, 3), dtype=np.uint16)
    for name, pixels in (("grey", grey), ("colour", colour)):
        (tmp_path / f"{name}.png").write_bytes(png16.encode(pixels))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grey.png")), grey[..., 0])
    eight = np.asarray(Image.open(tmp_path / "colour.png"))  # Pillow keeps the upper byte
    assert np.abs(eight.astype(int) - colour // 256).max() <= 1


@pytest.mark.parametrize("kind", ["L", "LA", "RGB", "RGBA", "P", "16", "16 colour", "16 alpha"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_changes_nothing_changes_nothing(kind: str, channels: int, tmp_path: Path) -> None:
    path = str(tmp_path / "picture.png")
    if kind.startswith("16"):
        count = {"16": 1, "16 colour": 3, "16 alpha": 4}[kind]
        Path(path).write_bytes(png16.encode(RANDOM.integers(0, 65536, (37, 53, count), dtype=np.uint16)))
    else:
        picture_of(kind).save(path)
    given = read_picture(path)
    module = nn.Identity()
    tiling = Tiling(nn.Conv2d(channels, channels, 3, padding=1), (channels, 64, 64))
    restored = restore(module, tiling, given, CPU, side=16)
    write_picture(str(tmp_path / "out.png"), restored)
    again = read_picture(str(tmp_path / "out.png"))
    assert again.bits == given.bits == (16 if "16" in kind else 8)
    assert np.array_equal(again.pixels, given.pixels)
    assert (again.alpha is None) == (given.alpha is None) == (kind not in ("LA", "RGBA", "16 alpha"))
    assert given.alpha is None or np.array_equal(again.alpha, given.alpha)


def test_an_enlarged_picture_keeps_its_transparency() -> None:
    pixels = RANDOM.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    alpha = np.full((8, 9, 1), 128, np.uint8)
    module = nn.Upsample(scale_factor=3)
    restored = restore(module, Tiling(module, (3, 64, 64)), Picture(pixels, alpha), CPU)
    assert np.array_equal(restored.pixels, pixels.repeat(3, 0).repeat(3, 1))
    assert restored.alpha is not None
    assert restored.alpha.shape == (24, 27, 1)
    assert (restored.alpha == 128).all()


def test_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    image = picture_of("RGB", 10, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_picture(str(tmp_path / "turned.png")).size == (20, 10)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A denoiser of grey pictures, an enlarger of colours with two levels, and a plain autoencoder."""
    folder = tmp_path_factory.mktemp("runs")
    recipes = [
        write_recipe(folder, "denoise", [], DENOISER, 'corruption = "noise"\nlevel = 0.2'),
        write_recipe(folder, "plain", [], "Flatten(); Linear(784, {latent})"),
        write_recipe(folder, "fixed", [], "Flatten(); Linear(784, {latent})", 'corruption = "noise"\nlevel = 0.2'),
    ]  # fmt: skip
    enlarge = folder / "enlarge.toml"
    enlarge.write_text(
        'evaluations = []\n[settings]\nnetwork = "edsr"\ndataset = "natural"\nwidth = 4\ndepth = 1\n'
        'corruption = "reduce"\nlevel = 2.0\nlikelihood = "laplace"\nimages = 48\nepochs = 1\nbatch = 4\n'
        "[sweep]\nlevel = [2.0, 3.0]\n",
        encoding="utf-8",
    )
    for recipe in (*recipes, str(enlarge)):
        result = run_here("train", recipe, "--out", str(folder / "runs"))
        assert result.exit_code == 0, result.err
    return folder / "runs"


def test_the_command_restores(runs: Path, tmp_path: Path) -> None:
    picture_of("RGBA", 100, 71).save(tmp_path / "in.png")
    out = tmp_path / "out.webp"
    result = run_here(
        "restore", str(runs / "denoise"), str(tmp_path / "in.png"), "-o", str(out), "--tile", "32", "--json"
    )
    document: dict[str, Any] = json.loads(result.out)
    schema = json.loads((files("convarith_cli") / "schemas/restore.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)
    assert document["size"] == document["output_size"] == [100, 71]
    assert document["pieces"] > 4
    with Image.open(out) as image:
        assert (image.size, image.mode) == ((71, 100), "RGBA")


def test_the_command_enlarges(runs: Path, tmp_path: Path) -> None:
    picture_of("L", 21, 34).save(tmp_path / "in.png")
    model = runs / "enlarge/level=3.0/model.safetensors"
    result = run_here("restore", str(model), str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"))
    assert result.exit_code == 0
    assert "out.png: 102 x 63" in result.out
    assert "edsr, 3 times larger" in result.out
    with Image.open(tmp_path / "out.png") as image:
        assert (image.size, image.mode) == ((102, 63), "L")


def refused(*arguments: object) -> str:
    return assert_refused(run_here("restore", *map(str, arguments)))


def test_wrong_models_give_a_one_line_error(runs: Path, tmp_path: Path) -> None:
    picture = tmp_path / "in.png"
    picture_of("L").save(picture)
    out = tmp_path / "out.png"
    for model, message in (
        (runs / "no", "there is no "), (runs, "there is no model.safetensors in "), (tmp_path, "there is no model.safetensors in "),
        (runs / "enlarge", "has 2 models: choose "), (picture, "is not a model of `convarith train`"),
        (runs / "plain", "was not trained to restore pictures: train "),
        (runs / "fixed", "the network keeps the size for 28x28, but not for 37x53"),
    ):  # fmt: skip
        assert message in refused(model, picture, "-o", out)
    assert "enlarges 3 times: got --scale 4" in refused(runs / "enlarge/level=3.0", picture, "-o", out, "--scale", 4)
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes((runs / "plain/model/model.safetensors").read_bytes()[:-9])
    assert "is damaged" in refused(damaged, picture, "-o", out)
    assert not out.exists()


def test_bad_pictures_give_a_one_line_error(runs: Path, tmp_path: Path) -> None:
    model, out = runs / "denoise", tmp_path / "out.png"
    good, text, short, moving, deep = (tmp_path / name for name in ("a.png", "b.png", "c.png", "d.gif", "e.png"))
    picture_of("RGBA").save(good)
    text.write_text("no picture", encoding="utf-8")
    short.write_bytes(good.read_bytes()[:200])
    picture_of("P").save(moving, save_all=True, append_images=[picture_of("P")])
    deep.write_bytes(png16.encode(np.zeros((4, 4, 3), np.uint16)))
    for picture, message in (
        (tmp_path / "no.png", "cannot read "), (text, "is not a picture in a known format: give a PNG"),
        (short, "is damaged: "), (moving, "has 2 frames: give a picture with a single frame"),
    ):  # fmt: skip
        assert message in refused(model, picture, "-o", out)
    assert "cannot hold the picture's transparency: write a .png" in refused(model, good, "-o", tmp_path / "a.jpg")
    assert "has an unknown ending: choose one of .png" in refused(model, good, "-o", tmp_path / "a.xyz")
    assert "cannot hold the picture's 16 bits: write a .png" in refused(model, deep, "-o", tmp_path / "a.tif")
    (tmp_path / "cut.png").write_bytes(deep.read_bytes()[:-13])
    assert "it is damaged" in refused(model, tmp_path / "cut.png", "-o", out)
    assert "cannot write" in refused(model, good, "-o", tmp_path / "no/out.png")
    assert not out.exists()
