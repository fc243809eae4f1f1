"""What is trained to undo something.

- Every recipe builds, its table counts its weights, its loss is finite and reaches them all.
- Examples are the corrupted and the clean, two noisy ones, the two of a pair, or the picture and its classes.
- What is random in an error is the same in every call.
- Losses are those of torch.distributions; PSNR and SSIM those of scikit-image, overlap that of scikit-learn.
- E[X | noisy X] is that of a sum over every point.
- Settings that contradict each other are refused.
- Recipes train end to end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_here

pytest.importorskip("torch", reason="trains with torch, which is not installed")
pytest.importorskip("skimage", reason="measures with scikit-image, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.evaluation.restoration import (
    confusion,
    mean_overlap,
    posterior_mean,
    psnr,
    similarity,
)
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings, changed, names, read_recipe
from convarith_gallery.autoencoders.training.losses import Objective, misfit
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import confusion_matrix, jaccard_score  # type: ignore[import-untyped]
from torch.distributions import Categorical, Laplace

from convarith.errors import ConvarithError

pytestmark = pytest.mark.slow

SHAPES = {
    "mnist": (1, 28, 28), "circle": (2,), "natural": (3, 96, 96), "segment": (2, 32, 32), "speech": (1, 256),
}  # fmt: skip
RESTORING = [name for name in names() if read_recipe(name).settings.restores]
SMALL = {"unet": {"width": 6}, "edsr": {"width": 4, "depth": 1}, "mdsr": {"width": 4, "depth": 1}}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("name", RESTORING)
def test_every_recipe_builds_and_its_table_counts_its_weights(name: str) -> None:
    for _, settings in read_recipe(name).variants():
        shape = SHAPES[settings.dataset]
        model = Restorer(changed(settings, SMALL.get(settings.network, {})), shape)
        weights = sum(weight.numel() for weight in model.at().parameters())
        assert model.trace().params == weights
        items = torch.rand(2, *shape)
        if settings.classes:
            items[:, -1] = torch.randint(settings.classes, (2, 32, 32)) / 255
        loss, fit, _, _ = Objective(model, settings)(items)
        assert 0 < loss == fit < float("inf")
        loss.backward()
        reached = [weight.grad is not None for weight in model.parameters()]
        assert all(reached) or settings.network == "mdsr"
        assert model.training_flops > 0


def restorer(**changes: Any) -> Restorer:
    return Restorer(Settings(**({"encoder": "Conv2d(1, 4, 3, padding=1)"} | changes)), (1, 8, 8))


def test_examples() -> None:
    items = torch.rand(3, 1, 8, 8)
    seeded = torch.Generator().manual_seed
    given, targets = restorer(corruption="erasure", level=0.5).examples(items, seeded(0))
    assert targets is items
    assert set((given / items).unique().tolist()) == {0.0, 1.0}
    given, targets = restorer(corruption="noise", level=0.1, targets="noisy").examples(items, seeded(0))
    noises = given - items, targets - items
    assert float((noises[0] * noises[1]).mean()) == pytest.approx(0, abs=0.003)
    assert all(float(noise.std()) == pytest.approx(0.1, rel=0.2) for noise in noises)
    pairs = Restorer(Settings("Conv2d(1, 4, 3, padding=1)", targets="pairs"), (2, 8, 8))
    given, targets = pairs.examples(torch.cat((items, items + 1), dim=1))
    assert torch.equal(given + 1, targets)
    named = Restorer(Settings(network="segnet", classes=4, likelihood="categorical", width=2, depth=1), (2, 8, 8))
    classes = torch.randint(4, (3, 8, 8))
    given, targets = named.examples(torch.cat((items, classes[:, None] / 255), dim=1))
    assert torch.equal(given, items)
    assert torch.equal(targets, classes)


def test_errors_are_the_same_in_every_call() -> None:
    model = restorer(corruption="noise", level=0.5)
    items = torch.rand(3, 1, 8, 8)
    assert torch.equal(model.squared_errors(items), model.squared_errors(items))


def test_fits_are_minus_log_likelihoods() -> None:
    outputs, images = torch.randn(5, 1, 4, 4, dtype=torch.float64), torch.rand(5, 1, 4, 4, dtype=torch.float64)
    laplace = -Laplace(outputs, 1.0).log_prob(images).sum((1, 2, 3)) - 16 * np.log(2)
    torch.testing.assert_close(misfit(outputs, images, "laplace"), laplace)
    logits, classes = torch.randn(5, 3, 4, 4, dtype=torch.float64), torch.randint(3, (5, 4, 4))
    categorical = -Categorical(logits=logits.movedim(1, -1)).log_prob(classes).sum((1, 2))
    torch.testing.assert_close(misfit(logits, classes, "categorical"), categorical)


def test_measures_are_those_of_their_packages() -> None:
    clean, made = torch.rand(2, 4, 3, 20, 20)
    ratios = [peak_signal_noise_ratio(*pair, data_range=1.0) for pair in zip(clean.numpy(), made.numpy(), strict=True)]  # type: ignore[no-untyped-call]
    assert psnr(made, clean) == pytest.approx(float(np.mean(ratios)), rel=1e-5)
    alike = [
        structural_similarity(*pair, channel_axis=0, data_range=1.0)  # type: ignore[no-untyped-call]
        for pair in zip(clean.numpy(), made.numpy(), strict=True)
    ]
    assert similarity(made, clean) == pytest.approx(float(np.mean(alike)))
    truth, said = torch.randint(4, (2, 500))
    counts = confusion(said, truth, 5)
    assert np.array_equal(counts.numpy(), confusion_matrix(truth, said, labels=range(5)))
    assert mean_overlap(counts) == pytest.approx(jaccard_score(truth, said, average="macro"))


def test_the_posterior_mean_is_the_sum_over_all_points() -> None:
    clean, places = torch.randn(30, 2, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    for place, mean in zip(places, posterior_mean(places, clean, 0.3), strict=True):
        weights = [np.exp(-float((place - point).square().sum()) / (2 * 0.3**2)) for point in clean]
        expected = sum(weight * point for weight, point in zip(weights, clean, strict=True)) / sum(weights)
        torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "an encoder to mirror, or another network"),
        ({"encoder": "ReLU()", "network": "unet"}, "an encoder to mirror, or another network"),
        ({"network": "unet", "corruption": "blur", "mean": 0.5}, "mean and deviation go with a mirrored network"),
        ({"encoder": "ReLU()", "deviation": 0.0}, "deviation is above 0: got 0"),
        ({"network": "unet"}, "unet restores or classifies pixels: give a corruption, pairs or classes"),
        ({"network": "segnet", "classes": 3}, "classes go with likelihood categorical: got 3 and gaussian"),
        ({"encoder": "ReLU()", "corruption": "blurr"}, "corruption is one of , erasure, blur"),
        ({"encoder": "ReLU()", "corruption": "blur", "variational": True}, "what restores is not variational"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        Settings(**changes)


@pytest.mark.usefixtures("torch")
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
    assert [run["label"] for run in found["runs"]] == ["targets=pairs"]
    (tmp_path / "own/a/3.png").rename(tmp_path / "own/a/4.png")
    result = run_here("train", "noise2noise", "--pairs", str(tmp_path / "own"), *few)
    assert "Error: " in result.err
    assert "3.png is in one of a and b only" in result.err


@pytest.mark.parametrize(
    ("recipe", "changes", "metrics"),
    [
        ("denoise-2d", ["epochs=2"], {"test MSE", "distance to E[X | noisy X], RMS"}),
        ("upscale", ["epochs=1", "images=256", "width=4"], {"PSNR beside bicubic, dB", "checkerboard of decoder.2"}),
        ("segment", ["epochs=1", "images=256", "width=4"], {"pixel accuracy", "mean IoU"}),
        ("noise2noise", ["epochs=1", "images=24", "width=3"], {"PSNR lost by noisy targets, dB"}),
        ("mdsr", ["epochs=1", "images=32", "width=4", "depth=1"], {f"PSNR x{scale} of {kind}, dB" for scale in (2, 3, 4) for kind in ("photographs", "drawings")}),
        ("anomaly", ["epochs=1", "images=256", "digit=3"], {"AUROC"}),
        ("speech", ["epochs=1", "images=256", "width=4"], {"SNR gain, dB"}),
        ("sdae", ["epochs=1", "latent=12"], {"test error, %"}),
        ("filters", ["epochs=1", "images=256", "level=0.25"], {"SSIM"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("torch")
def test_recipes_train_end_to_end(recipe: str, changes: list[str], metrics: set[str], tmp_path: Path) -> None:
    options = [word for change in changes for word in ("--set", change)]
    data = ["--data", "digits"] if read_recipe(recipe).settings.dataset in ("mnist", "segment") else []
    result = run_here("train", recipe, *options, *data, "--out", str(tmp_path), "--json")
    assert result.exit_code == 0, result.err
    found = json.loads(result.out)["results"][0]
    assert metrics <= {number["metric"] for number in found["numbers"]}
    for picture in found["pictures"]:
        assert (tmp_path / recipe / picture["file"]).stat().st_size > 0
