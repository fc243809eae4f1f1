"""Evaluations of a decoder as a generative model: the quality of its samples, and the likelihood of test images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.evaluation.batches import all_codes, decoded
from convarith_gallery.autoencoders.evaluation.context import SHOWN, EvaluationContext, Number
from convarith_gallery.autoencoders.evaluation.sample_quality import sample_distance
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.seeds import seed_from
from convarith_gallery.autoencoders.training.losses import divergence, drawn, misfit


@torch.no_grad()
def sampling(context: EvaluationContext) -> None:
    """Images decoded from random codes and their Frechet distance, compared with random codes of PCA."""
    count, test, pca = context.option("samples", 5000), context.data.test, context.pca
    with torch.enable_grad():
        judge = context.judge
    accuracy = judge.accuracy(test, context.data.test_labels)
    floor = sample_distance(judge, as_float(context.data.train[:count]), test)
    rows = []
    for variant in context.variants:
        model, seed, latent = variant.autoencoder, variant.settings.seed, variant.autoencoder.latent
        generator = torch.Generator().manual_seed(seed_from(seed, "samples"))
        noise = torch.randn(count, latent, generator=generator).to(pca.mean.device)
        baseline = sample_distance(judge, pca.decode(pca.deviations[:latent] * noise), test)
        samples = decoded(model, drawn_codes(model, variant.training_images, count, seed))
        distance = sample_distance(judge, samples, test)
        name = f"PCA-{latent} with a Gaussian"
        context.add(Number("Frechet distance of samples", distance, variant.label, baseline, name))
        law = "N(0, 1)" if model.variational else "a diagonal Gaussian"
        rows.append((f"{variant.label or 'samples'}, codes from {law}: distance {distance:.1f}", samples[:SHOWN]))
    caption = (
        "samples; the distance is the Frechet distance in the features of a classifier with an accuracy of "
        f"{100 * accuracy:.1f} %; for {min(count, len(context.data.train)):,} training images it is {floor:.1f}"
    )
    context.show("samples.png", caption, pictures.grid(rows))


@torch.no_grad()
def likelihood(context: EvaluationContext) -> None:
    """The evidence lower bound in nats, its two terms, and the likelihood estimated by importance sampling."""
    images = as_float(context.data.test[: context.option("nll_images", len(context.data.test))])
    samples = context.option("nll_samples", 5000)
    generator = torch.Generator().manual_seed(seed_from("binarised test images"))
    binary = torch.bernoulli(images.cpu(), generator=generator).to(images.device)
    for variant in context.variants:
        model, settings, label = variant.autoencoder, variant.settings, variant.label
        items, kind = (binary if settings.binarise else images), settings.likelihood
        mean = as_float(variant.training_images).mean(0, keepdim=True)
        plain = torch.logit(mean.clamp(1e-3, 1 - 1e-3)) if kind == "bernoulli" else mean
        baseline = float(misfit(plain.expand_as(items), items, kind).mean())
        fit, kl = bound(model, items, kind, settings.seed)
        nll, error = negative_log_likelihood(model, items, kind, samples, settings.seed)
        context.add(
            Number("-ELBO, nats", fit + kl, label, baseline, "mean image"),
            Number("fit, nats", fit, label, baseline, "mean image"),
            Number("KL, nats", kl, label),
            Number("NLL, nats", nll, label, baseline, "mean image"),
            Number("standard error of the NLL, nats", error, label),
        )


@torch.no_grad()
def drawn_codes(model: Autoencoder, stored: Tensor, count: int, seed: int) -> Tensor:
    """Random codes (count, latent): from N(0, 1) for a variational model, else from a Gaussian fitted to real codes.

    The Gaussian is diagonal: it has the mean and the standard deviation of each code unit.
    """
    generator = torch.Generator().manual_seed(seed_from(seed, "samples"))
    noise = torch.randn(count, model.latent, generator=generator).to(stored.device)
    if model.variational:
        return noise
    codes = all_codes(model, stored)
    return codes.mean(0) + codes.std(0) * noise


@torch.no_grad()
def bound(model: Autoencoder, images: Tensor, likelihood: str, seed: int, size: int = 500) -> tuple[float, float]:
    """The terms (fit, KL) of -ELBO in nats per image, for images (N, *shape) from 0 to 1, with one sample per image."""
    torch.manual_seed(seed_from(seed, "bound"))
    fits, kls = [], []
    for part in torch.split(images, size):
        mean, log_variance = model.posterior(part)
        fits.append(misfit(model.outputs(drawn(mean, log_variance)).float(), part, likelihood))
        kls.append(divergence(mean, log_variance))
    return float(torch.cat(fits).cpu().double().mean()), float(torch.cat(kls).cpu().double().mean())


@torch.no_grad()
def negative_log_likelihood(
    model: Autoencoder, images: Tensor, likelihood: str, samples: int, seed: int, size: int = 1000
) -> tuple[float, float]:
    """-log p(x) in nats per image by importance sampling, and its standard error, for images (N, *shape) from 0 to 1.

    log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) with z_k from q is a lower bound of log p(x) that becomes tight as K,
    here `samples`, grows (Burda et al., arXiv 1509.00519, equation 8).
    """
    torch.manual_seed(seed_from(seed, "importance"))
    values = []
    for image in images:
        mean, log_variance = model.posterior(image.unsqueeze(0))
        logs = []
        for done in range(0, samples, size):
            count = min(size, samples - done)
            noise = torch.randn(count, model.latent, device=images.device)
            codes = mean + noise * (0.5 * log_variance).exp()
            prior_over_posterior = 0.5 * (noise.square() - codes.square() + log_variance).sum(1)
            fit = misfit(model.outputs(codes).float(), image.expand(count, *image.shape), likelihood)
            logs.append(prior_over_posterior - fit)
        values.append(math.log(samples) - float(torch.cat(logs).logsumexp(0)))
    found = torch.tensor(values, dtype=torch.float64)
    return float(found.mean()), float(found.std() / math.sqrt(len(found)))
