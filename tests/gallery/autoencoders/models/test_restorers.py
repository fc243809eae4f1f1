"""Restorers: networks that are trained to undo a corruption or to classify.

- Every recipe builds a model whose table counts its weights and whose finite loss has a gradient for each of them.
- Examples are corrupted and clean items, two noisy ones, the two of a pair, or a picture and its classes.
- Random corruptions are the same in every computation of an error.
- Losses are those of torch.distributions.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings, changed, names, read_recipe
from convarith_gallery.autoencoders.training.losses import Objective, misfit
from torch.distributions import Categorical, Laplace

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
        assert model.trace().parameters == weights
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
