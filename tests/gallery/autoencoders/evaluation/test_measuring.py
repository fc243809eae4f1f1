"""What is measured, against what is known otherwise.

- PCA is scikit-learn's; Frechet's distance is the formula with scipy's matrix root.
- The likelihood of a linear Gaussian model by importance sampling is its closed form; the bound is below it, and
  equal to it where the posterior is exact.
- Sparsity, redundancy and the gap say what they should of codes that are made for it.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets.load import Dataset, as_float, digits
from convarith_gallery.autoencoders.evaluation.baselines import fit_pca
from convarith_gallery.autoencoders.evaluation.evaluations import Evaluator, Run, redundancy, sparsity
from convarith_gallery.autoencoders.evaluation.generation import bound, frechet_distance, negative_log_likelihood
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.recipe import Settings
from torch.distributions import MultivariateNormal

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("count", [1, 5, 40])
def test_pca_is_scikit_learns(count: int) -> None:
    from sklearn.decomposition import PCA

    train, test = digits().train[:600], digits().test[:200]
    oracle = PCA(count, svd_solver="full").fit(as_float(train).flatten(1).double().numpy())
    items = as_float(test).flatten(1).double().numpy()
    expected = float(np.square(oracle.inverse_transform(oracle.transform(items)) - items).mean())
    pca = fit_pca(train, size=77)
    assert pca.error(test, count) == pytest.approx(expected, rel=1e-4)
    codes = pca.codes(as_float(train), count)
    torch.testing.assert_close(codes.std(0, correction=0), pca.deviations[:count], rtol=1e-3, atol=1e-4)


def test_frechet_distance_is_the_formula() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 6)), rng.normal(size=(70, 6)) @ rng.normal(size=(6, 6)) + 1
    one, two = np.cov(first.T), np.cov(second.T)
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(torch.tensor(first), torch.tensor(second)) == pytest.approx(expected)


def linear_gaussian(exact: bool) -> tuple[Autoencoder, torch.Tensor, float]:
    """A linear decoder of 3 numbers to 6 pixels of unit variance; images; the mean of -log p(x) in closed form.

    The posterior of z given x is N(S W^T x, S) with S = (I + W^T W)^-1; W is chosen so that S is diagonal.
    """
    settings = Settings("Flatten(); Linear(6, {latent})", latent=3, variational=True)
    model = Autoencoder(settings, (1, 2, 3)).eval()
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(6, 3)).Q * torch.tensor([2.0, 1.0, 0.5])
    variance = 1 / (1 + (weight.T @ weight).diagonal())
    spread = variance if exact else 1.5 * variance
    linear, back = model.encoder[1], model.decoder[0]  # type: ignore[index]
    with torch.no_grad():
        linear.weight.copy_(torch.cat([variance[:, None] * weight.T, torch.zeros(3, 6)]))  # type: ignore[union-attr,operator]
        linear.bias.copy_(torch.cat([torch.zeros(3), spread.log()]))  # type: ignore[union-attr,operator]
        back.weight.copy_(weight)  # type: ignore[union-attr,operator]
        back.bias.zero_()  # type: ignore[union-attr,operator]
    images = torch.randn(20, 6) @ torch.eye(6) + torch.randn(20, 3) @ weight.T
    law = MultivariateNormal(torch.zeros(6), torch.eye(6) + weight @ weight.T)
    constant = 3 * math.log(2 * math.pi)  # of 6 pixels, left out of a Gaussian misfit
    return model, images.reshape(20, 1, 2, 3), float(-law.log_prob(images).mean()) - constant


@pytest.mark.parametrize("exact", [True, False])
def test_the_likelihood_is_the_closed_form(exact: bool) -> None:
    model, images, expected = linear_gaussian(exact)
    nll, error = negative_log_likelihood(model, images, "gaussian", 4000, seed=0)
    assert nll == pytest.approx(expected, abs=0.02)
    assert error > 0
    fits, kls = zip(*(bound(model, images, "gaussian", seed) for seed in range(300)), strict=True)
    gap = float(np.mean(fits) + np.mean(kls)) - expected
    assert gap == pytest.approx(0, abs=0.05) if exact else gap > 0.05


def evaluator(tmp_path: Path, codes: torch.Tensor) -> Evaluator:
    """A model whose encoder and decoder are the identity on vectors, so that the items are their own codes."""
    width = codes.shape[1]
    model = Autoencoder(Settings(f"Linear({width}, {{latent}})", latent=width), (width,)).eval()
    with torch.no_grad():
        for layer in (model.encoder[0], model.decoder[0]):  # type: ignore[index]
            layer.weight.copy_(torch.eye(width))  # type: ignore[union-attr,operator]
            layer.bias.zero_()  # type: ignore[union-attr,operator]
    labels = torch.zeros(len(codes), dtype=torch.int64)
    data = Dataset("points", "points", codes, labels, codes, labels)
    return Evaluator([Run("a=1", Settings("Linear(1, 1)"), model, tmp_path, codes)], data, tmp_path)


@pytest.mark.parametrize(
    ("code", "expected"), [([0.0, 3.0, 0.0, 0.0], (0.75, 1.0)), ([2.0, 2.0, 2.0, 2.0], (0.0, 0.0))]
)
def test_sparsity_of_one_and_of_all(tmp_path: Path, code: list[float], expected: tuple[float, float]) -> None:
    on = evaluator(tmp_path, torch.tensor([code] * 7))
    sparsity(on)
    assert [number.value for number in on.numbers] == pytest.approx(expected, abs=1e-6)


def test_redundancy_of_copies_and_of_independent_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    alone = torch.randn(20_000, 4)
    for codes, expected in ((alone, 0.0), (alone[:, :1] + 0.01 * alone, 1.0)):
        on = evaluator(tmp_path, codes)
        redundancy(on)
        assert on.numbers[0].value == pytest.approx(expected, abs=0.01)
        # Each number is doubled or dropped, so that its expected squared error is its square.
        assert on.numbers[1].value == pytest.approx(float(codes.square().mean()), rel=0.02)
