"""Measures, compared with formulas and with the results of other packages.

- PCA is that of scikit-learn; the Frechet distance is its formula with scipy's matrix square root.
- The importance-sampled likelihood of a linear Gaussian model is the closed form; the bound is below it, and equal to
  it if the posterior is exact.
- Sparsity and redundancy are as expected for codes made for the purpose.
- PSNR and SSIM are those of scikit-image, confusion and overlap those of scikit-learn.
- E[X | noisy X] is a weighted mean of all points.
- An evaluation that does not fit the model says which models it needs.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets.dataset import Dataset, as_float
from convarith_gallery.autoencoders.datasets.digits import digits
from convarith_gallery.autoencoders.evaluation.baselines import fit_pca
from convarith_gallery.autoencoders.evaluation.codes import redundancy, sparsity
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, TrainedVariant
from convarith_gallery.autoencoders.evaluation.generation import bound, negative_log_likelihood
from convarith_gallery.autoencoders.evaluation.points import posterior_mean
from convarith_gallery.autoencoders.evaluation.reconstruction import reconstruction
from convarith_gallery.autoencoders.evaluation.restoration import psnr, restoration, similarity
from convarith_gallery.autoencoders.evaluation.sample_quality import frechet_distance
from convarith_gallery.autoencoders.evaluation.segmentation import confusion, mean_overlap
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import confusion_matrix, jaccard_score
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from convarith.errors import ConvarithError

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


@torch.no_grad()
def set_linear(module: nn.Module, weight: Tensor, last_biases: Tensor | None = None) -> None:
    """Set the only linear layer of a module; its bias becomes zeros that end in `last_biases`."""
    (layer,) = [each for each in module.modules() if isinstance(each, nn.Linear)]
    layer.weight.copy_(weight)
    layer.bias.zero_()
    if last_biases is not None:
        layer.bias[-len(last_biases) :] = last_biases


def linear_gaussian(exact: bool) -> tuple[Autoencoder, Tensor, float]:
    """A model with a linear decoder of 3 numbers to 6 pixels of unit variance, images, and their mean -log p(x).

    The last is in closed form: the posterior of z given x is N(S W^T x, S) with S = (I + W^T W)^-1, and W is chosen so
    that S is diagonal.
    """
    settings = Settings("Flatten(); Linear(6, {latent})", latent=3, variational=True)
    model = Autoencoder(settings, (1, 2, 3)).eval()
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(6, 3)).Q * torch.tensor([2.0, 1.0, 0.5])
    variance = 1 / (1 + (weight.T @ weight).diagonal())
    spread = variance if exact else 1.5 * variance
    set_linear(model.encoder, torch.cat([variance[:, None] * weight.T, torch.zeros(3, 6)]), spread.log())
    set_linear(model.decoder, weight)
    images = torch.randn(20, 6) @ torch.eye(6) + torch.randn(20, 3) @ weight.T
    law = MultivariateNormal(torch.zeros(6), torch.eye(6) + weight @ weight.T)
    constant = 3 * math.log(2 * math.pi)  # for 6 pixels; a Gaussian misfit leaves it out
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


def context_of(model: Autoencoder | Restorer, items: Tensor, folder: Path) -> EvaluationContext:
    labels = torch.zeros(len(items), dtype=torch.int64)
    data = Dataset("points", "points", items, labels, items, labels)
    return EvaluationContext([TrainedVariant("a=1", Settings("Linear(1, 1)"), model, folder, items)], data, folder)


def identity_context(folder: Path, codes: Tensor) -> EvaluationContext:
    """A model whose encoder and decoder are the identity, so that the items are their own codes."""
    width = codes.shape[1]
    model = Autoencoder(Settings(f"Linear({width}, {{latent}})", latent=width), (width,)).eval()
    for module in (model.encoder, model.decoder):
        set_linear(module, torch.eye(width))
    return context_of(model, codes, folder)


@pytest.mark.parametrize(
    ("code", "expected"), [([0.0, 3.0, 0.0, 0.0], (0.75, 1.0)), ([2.0, 2.0, 2.0, 2.0], (0.0, 0.0))]
)
def test_sparsity_of_one_and_of_all(tmp_path: Path, code: list[float], expected: tuple[float, float]) -> None:
    context = identity_context(tmp_path, torch.tensor([code] * 7))
    sparsity(context)
    assert [number.value for number in context.numbers] == pytest.approx(expected, abs=1e-6)


def test_redundancy_of_copies_and_of_independent_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    alone = torch.randn(20_000, 4)
    for codes, expected in ((alone, 0.0), (alone[:, :1] + 0.01 * alone, 1.0)):
        context = identity_context(tmp_path, codes)
        redundancy(context)
        assert context.numbers[0].value == pytest.approx(expected, abs=0.01)
        # Each number is doubled or set to 0, so that its expected squared error is its square.
        assert context.numbers[1].value == pytest.approx(float(codes.square().mean()), rel=0.02)


def test_measures_are_those_of_their_packages() -> None:
    clean, made = torch.rand(2, 4, 3, 20, 20)
    ratios = [peak_signal_noise_ratio(*pair, data_range=1.0) for pair in zip(clean.numpy(), made.numpy(), strict=True)]
    assert psnr(made, clean) == pytest.approx(float(np.mean(ratios)), rel=1e-5)
    alike = [
        structural_similarity(*pair, channel_axis=0, data_range=1.0)
        for pair in zip(clean.numpy(), made.numpy(), strict=True)
    ]
    assert similarity(made, clean) == pytest.approx(float(np.mean(alike)))
    truth, predicted = torch.randint(4, (2, 500))
    counts = confusion(predicted, truth, 5)
    assert np.array_equal(counts.numpy(), confusion_matrix(truth, predicted, labels=range(5)))
    assert mean_overlap(counts) == pytest.approx(jaccard_score(truth, predicted, average="macro"))


def test_the_posterior_mean_is_the_sum_over_all_points() -> None:
    clean, places = torch.randn(30, 2, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    for place, mean in zip(places, posterior_mean(places, clean, 0.3), strict=True):
        weights = [np.exp(-float((place - point).square().sum()) / (2 * 0.3**2)) for point in clean]
        expected = sum(weight * point for weight, point in zip(weights, clean, strict=True)) / sum(weights)
        torch.testing.assert_close(mean, expected)


def test_an_evaluation_that_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    images = torch.rand(4, 1, 8, 8)
    encoder = "Conv2d(1, 2, 3, padding=1)"
    restorer = Restorer(Settings(encoder, corruption="noise", level=0.1), (1, 8, 8))
    with pytest.raises(ConvarithError, match="needs an autoencoder that reproduces its input: remove corruption"):
        reconstruction(context_of(restorer, images, tmp_path))
    with pytest.raises(ConvarithError, match="needs a model that restores or classifies: add a corruption"):
        restoration(context_of(Autoencoder(Settings(encoder), (1, 8, 8)), images, tmp_path))
