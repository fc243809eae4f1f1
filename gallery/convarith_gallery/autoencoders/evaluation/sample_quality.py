"""The quality of samples: their Frechet distance from real images, in the features of a small classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarith_gallery.autoencoders.datasets.dataset import Dataset, as_float
from convarith_gallery.autoencoders.seeds import seed_from


class Judge(nn.Module):
    """A small classifier of digits, trained with a fixed seed; its last hidden layer gives the features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """The features of images (N, 1, 28, 28) from 0 to 1: (N, 64)."""
        features: Tensor = self.features(images)
        return features

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """The share of stored images that are classified correctly."""
        predicted = [self.head(self(as_float(part))).argmax(1) for part in torch.split(images, 1000)]
        return float((torch.cat(predicted) == labels).cpu().double().mean())


def train_judge(data: Dataset, epochs: int = 2, batch: int = 128) -> Judge:
    """The judge for a data set, trained on its training images."""
    torch.manual_seed(seed_from("judge"))
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
    """The squared Frechet distance between Gaussians that are fitted to two sets of features (N, D).

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
    """The Frechet distance of samples (N, 1, 28, 28) from 0 to 1 from stored real images, in the judge's features."""
    seen = torch.cat([judge(as_float(part)) for part in torch.split(real, 1000)])
    return frechet_distance(torch.cat([judge(part.clamp(0, 1)) for part in torch.split(samples, 1000)]), seen)
