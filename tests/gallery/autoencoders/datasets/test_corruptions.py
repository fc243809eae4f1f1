"""Corruptions of images.

- On MNIST's test images, the errors of the identity are the known ones for the lecture's corruptions.
- Erasure and masks remove their share; a blur is that of scipy; noise has its standard deviation.
- A reduced picture is that of Pillow.
- The same seed gives the same batch, and the batch stays on its device.
- An unknown corruption, or a level out of range, is refused.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="corrupts tensors of torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets.corruptions import CORRUPTIONS, corrupted
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.datasets.load import load
from PIL import Image
from scipy.ndimage import gaussian_filter

from convarith.errors import ConvarithError

IDENTITY = [
    ("erasure", 0.5, 0.0569), ("erasure", 0.9, 0.1026), ("blur", 2, 0.0371), ("blur", 4, 0.0629),
    ("mask", 10, 0.0260), ("mask", 16, 0.0710),
]  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "level", "expected"), IDENTITY)
def test_the_errors_of_doing_nothing(name: str, level: float, expected: float) -> None:
    try:
        data = load("mnist", "mnist")
    except ConvarithError:
        pytest.skip("MNIST was not found")
    images = as_float(data.test)
    error = float((corrupted(name, images, level, seeded()) - images).square().mean())
    assert error == pytest.approx(expected, rel=0.008)


def test_erasure_erases_its_share() -> None:
    images = torch.rand(40, 1, 28, 28) + 0.1
    result = corrupted("erasure", images, 0.3, seeded())
    assert float((result == 0).double().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(result[result != 0], images[result != 0])


@pytest.mark.parametrize("side", [1, 5, 8])
def test_a_mask_is_one_block_inside_anywhere(side: int) -> None:
    covered = corrupted("mask", torch.ones(2000, 1, 8, 9), side, seeded())[:, 0] == 0
    places = set()
    for image in covered:
        rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
        assert len(rows) == len(columns) == side
        assert image.sum() == side**2
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) == (8 - side + 1) * (9 - side + 1)


@pytest.mark.parametrize("level", [0.7, 2.0, 4.0])
def test_a_blur_is_scipys(level: float) -> None:
    images = torch.rand(2, 3, 20, 17, dtype=torch.float64)
    reach = int(np.ceil(3 * level))
    expected = gaussian_filter(images.numpy(), sigma=(0, 0, level, level), mode="constant", radius=(0, 0, reach, reach))
    torch.testing.assert_close(corrupted("blur", images, level), torch.from_numpy(expected))


def test_noise_has_its_deviation_and_no_mean() -> None:
    noise = corrupted("noise", torch.zeros(100, 1, 28, 28), 0.2, seeded())
    assert float(noise.std()) == pytest.approx(0.2, rel=0.01)
    assert abs(float(noise.mean())) < 0.002


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_reduced_picture_is_pillows(scale: int) -> None:
    picture = np.random.default_rng(0).random((24, 36), dtype=np.float32)
    expected = Image.fromarray(picture).resize((36 // scale, 24 // scale), Image.Resampling.BICUBIC)
    result = corrupted("reduce", torch.from_numpy(picture)[None, None], scale)[0, 0]
    np.testing.assert_allclose(result.numpy(), np.clip(np.asarray(expected), 0, 1), atol=1e-5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_seed_decides_the_batch(name: str) -> None:
    level = {"erasure": 0.5, "noise": 0.1}.get(name, 2)
    images = torch.rand(4, 1, 8, 8)
    first, again = (corrupted(name, images, level, seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    torch.manual_seed(5)
    drawn = corrupted(name, images, level)
    torch.manual_seed(5)
    assert torch.equal(drawn, corrupted(name, images, level))
    assert corrupted(name, images.double(), level).dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("blurr", 2, "unknown corruption 'blurr': did you mean 'blur'"),
        ("erasure", 1.5, "the level of erasure must be at least 0 and at most 1: got 1.5"),
        ("blur", 0, "the level of blur must be above 0: got 0"),
        ("mask", 9, "a mask of 9 x 9 does not fit into 8 x 8: give a smaller level"),
        ("reduce", 0.5, "the level of reduce must be at least 1: got 0.5"),
    ],
)
def test_an_invalid_corruption_is_refused(name: str, level: float, message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        corrupted(name, torch.zeros(1, 1, 8, 8), level)
