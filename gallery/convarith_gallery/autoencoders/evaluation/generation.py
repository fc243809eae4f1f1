"""How good is what a decoder makes: the distance of its samples from real images, and the likelihood of a test set."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarith_gallery.autoencoders.datasets.load import Dataset, as_float
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.training.loop import number_from
from convarith_gallery.autoencoders.training.losses import divergence, drawn, misfit


class Judge(nn.Module):
    """A small classifier whose last hidden layer says what an image shows; trained with one seed, always the same."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """The features of images (N, 1, 28, 28) in 0..1: (N, 64)."""
        features: Tensor = self.features(images)
        return features

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """The share of stored images it names rightly."""
        right = [(self.head(self(as_float(part))).argmax(1)) for part in torch.split(images, 1000)]
        return float((torch.cat(right) == labels).cpu().double().mean())


def train_judge(data: Dataset, epochs: int = 2, batch: int = 128) -> Judge:
    """The judge of a data set, trained on its training images."""
    torch.manual_seed(number_from("judge"))
    judge = Judge().to(data.train.device)
    optimiser = torch.optim.Adam(judge.parameters(), lr=1e-3)
    for _ in range(epochs):
        for index in torch.split(torch.randperm(len(data.train)).to(data.train.device), batch):
            loss = functional.cross_entropy(judge.head(judge(as_float(data.train[index]))), data.train_labels[index])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    return judge.eval()


@torch.no_grad()
def frechet_distance(first: Tensor, second: Tensor) -> float:
    """The Frechet distance, squared, of Gaussians fitted to two sets of features (N, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): Heusel et al., arXiv 1706.08500, equation 6.

    >>> points = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
    >>> round(frechet_distance(points, points), 6), round(frechet_distance(points, points + 3), 6)
    (0.0, 18.0)
    """
    first, second = first.cpu().double(), second.cpu().double()
    means = (first.mean(0) - second.mean(0)).square().sum()
    one, two = first.T.cov(), second.T.cov()
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt().sum()
    return float(means + one.trace() + two.trace() - 2 * shared)


@torch.no_grad()
def sample_distance(judge: Judge, samples: Tensor, real: Tensor) -> float:
    """The Frechet distance of samples (N, 1, 28, 28) in 0..1 from stored real images, in the judge's features."""
    seen = torch.cat([judge(as_float(part)) for part in torch.split(real, 1000)])
    return frechet_distance(torch.cat([judge(part.clamp(0, 1)) for part in torch.split(samples, 1000)]), seen)


@torch.no_grad()
def all_codes(model: Autoencoder, stored: Tensor, size: int = 500) -> Tensor:
    """The codes of stored images: (N, latent)."""
    return torch.cat([model.codes(as_float(part)).float() for part in torch.split(stored, size)])


@torch.no_grad()
def decoded(model: Autoencoder, codes: Tensor, size: int = 500) -> Tensor:
    """The images of codes (N, latent): (N, *shape)."""
    return torch.cat([model.decode(part).float() for part in torch.split(codes, size)])


@torch.no_grad()
def drawn_codes(model: Autoencoder, stored: Tensor, count: int, seed: int) -> Tensor:
    """New codes (count, latent): of a variational model from N(0, 1), else from a diagonal Gaussian of real codes."""
    generator = torch.Generator().manual_seed(number_from(seed, "samples"))
    noise = torch.randn(count, model.latent, generator=generator).to(stored.device)
    if model.variational:
        return noise
    codes = all_codes(model, stored)
    return codes.mean(0) + codes.std(0) * noise


@torch.no_grad()
def bound(model: Autoencoder, images: Tensor, likelihood: str, seed: int, size: int = 500) -> tuple[float, float]:
    """(fit, KL) in nats an image, the means over images (N, *shape) in 0..1; one sample each. -ELBO is their sum."""
    torch.manual_seed(number_from(seed, "bound"))
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
    """-log p(x) in nats by importance sampling, and its standard error over images (N, *shape) in 0..1.

    log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x), z_k from q: a bound that `samples` makes tight (Burda et al., arXiv
    1509.00519, equation 8).
    """
    torch.manual_seed(number_from(seed, "importance"))
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
