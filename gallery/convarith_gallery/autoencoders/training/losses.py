"""Losses in nats per image: the misfit summed over pixels, and the penalties on the code."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.models.build import Model
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings

PARTS = ("loss", "fit", "kl", "l1")
"""The numbers that an Objective returns, in this order; kl and l1 are not yet multiplied by their weights."""


def misfit(outputs: Tensor, images: Tensor, likelihood: str) -> Tensor:
    """-log p(image | output) in nats for each image, summed over its pixels: (N,).

    gaussian: half the squared error, which is unit variance without the constant; laplace: the absolute error;
    bernoulli: the cross-entropy of logits (Kingma and Welling, arXiv 1312.6114, appendix C); categorical: the
    cross-entropy of logits (N, classes, ...) with the classes (N, ...).

    >>> misfit(torch.zeros(1, 4), torch.ones(1, 4), "gaussian")
    tensor([2.])
    >>> misfit(torch.zeros(1, 4), torch.ones(1, 4), "bernoulli")
    tensor([2.7726])
    """
    if likelihood == "gaussian":
        return 0.5 * (outputs - images).square().flatten(1).sum(1)
    if likelihood == "laplace":
        return (outputs - images).abs().flatten(1).sum(1)
    if likelihood == "categorical":
        return functional.cross_entropy(outputs, images, reduction="none").reshape(len(images), -1).sum(1)
    return functional.binary_cross_entropy_with_logits(outputs, images, reduction="none").flatten(1).sum(1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats for each row, summed over its numbers: (N,).

    arXiv 1312.6114, appendix B.

    >>> divergence(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.5000])
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A sample from the distribution of each row; gradients flow to the mean and the log-variance."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()


class Objective(nn.Module):
    """The model with its loss: maps a batch of stored images to the four numbers of PARTS."""

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__()
        self.model = model
        self.likelihood = settings.likelihood
        self.beta = settings.beta
        self.l1 = settings.l1
        self.binarise = settings.binarise

    def forward(self, batch: Tensor) -> Tensor:
        """The four numbers, averaged over the batch: (4,)."""
        images = as_float(batch)
        if isinstance(self.model, Restorer):
            scale = self.model.drawn_scale()
            given, targets = self.model.examples(images, scale=scale)
            fit = misfit(self.model(given, scale).float(), targets, self.likelihood).mean()
            return torch.stack((fit, fit, *fit.new_zeros(2)))
        if self.binarise:
            images = torch.bernoulli(images)
        kl = l1 = images.new_zeros(())
        if self.model.variational:
            mean, log_variance = self.model.posterior(images)
            codes = drawn(mean, log_variance)
            kl = divergence(mean, log_variance).mean()
        else:
            codes = self.model.codes(images)
            if self.l1:
                l1 = codes.float().abs().sum(1).mean()
        fit = misfit(self.model.outputs(codes).float(), images, self.likelihood).mean()
        return torch.stack((fit + self.beta * kl + self.l1 * l1, fit, kl, l1))


@torch.no_grad()
def mean_squared_error(model: Model, images: Tensor, size: int = 500) -> float:
    """The mean squared error of stored images, which are converted by `as_float` first."""
    parts = map(as_float, torch.split(images, size))
    return float(torch.cat([model.squared_errors(part) for part in parts]).cpu().double().mean())
