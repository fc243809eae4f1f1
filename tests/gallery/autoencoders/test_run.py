"""Recipes, trained from beginning to end with tiny settings.

- Every kind of recipe gives its numbers, and its pictures exist.
- Users can train on their own pairs of noisy pictures.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command_line import run_here

pytest.importorskip("torch", reason="trains with torch, which is not installed")
pytest.importorskip("skimage", reason="measures with scikit-image, which is not installed")

from convarith_gallery.autoencoders.recipe import read_recipe

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.usefixtures("torch")


def test_a_users_own_noisy_pairs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part in "ab":
        (tmp_path / "own" / part).mkdir(parents=True)
        for name in ("1.png", "2.png", "3.png"):
            values = random.integers(0, 256, (100, 120, 3), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / "own" / part / name)
    few = ("--set", "width=3", "--set", "images=24", "--epochs", "1", "--out", str(tmp_path / "runs"))
    result = run_here("train", "noise2noise", "--pairs", str(tmp_path / "own"), *few, "--json")
    assert result.exit_code == 0, result.err
    (found,) = json.loads(result.out)["results"]
    assert found["data"] == "pairs"
    assert [variant["label"] for variant in found["variants"]] == ["targets=pairs"]
    (tmp_path / "own/a/3.png").rename(tmp_path / "own/a/4.png")
    result = run_here("train", "noise2noise", "--pairs", str(tmp_path / "own"), *few)
    assert "Error: " in result.err
    assert "3.png is only in one of the folders a and b" in result.err


@pytest.mark.parametrize(
    ("recipe", "changes", "metrics"),
    [
        ("denoise-2d", ["epochs=2"], {"test MSE", "distance to E[X | noisy X], RMS"}),
        ("upscale", ["epochs=1", "images=256", "width=4"], {"PSNR vs. bicubic, dB", "checkerboard of decoder.2"}),
        ("segment", ["epochs=1", "images=256", "width=4"], {"pixel accuracy", "mean IoU"}),
        ("noise2noise", ["epochs=1", "images=24", "width=3"], {"PSNR lost by noisy targets, dB"}),
        ("mdsr", ["epochs=1", "images=32", "width=4", "depth=1"], {f"PSNR x{scale} of {kind}, dB" for scale in (2, 3, 4) for kind in ("photographs", "drawings")}),
        ("anomaly", ["epochs=1", "images=256", "digit=3"], {"AUROC"}),
        ("speech", ["epochs=1", "images=256", "width=4"], {"SNR gain, dB"}),
        ("sdae", ["epochs=1", "latent=12"], {"test error, %"}),
        ("filters", ["epochs=1", "images=256", "level=0.25"], {"SSIM"}),
    ],
)  # fmt: skip
def test_recipes_train_end_to_end(recipe: str, changes: list[str], metrics: set[str], tmp_path: Path) -> None:
    options = [word for change in changes for word in ("--set", change)]
    data = ["--data", "digits"] if read_recipe(recipe).settings.dataset in ("mnist", "segment") else []
    result = run_here("train", recipe, *options, *data, "--out", str(tmp_path), "--json")
    assert result.exit_code == 0, result.err
    found = json.loads(result.out)["results"][0]
    assert metrics <= {number["metric"] for number in found["numbers"]}
    for picture in found["pictures"]:
        assert (tmp_path / recipe / picture["file"]).stat().st_size > 0
