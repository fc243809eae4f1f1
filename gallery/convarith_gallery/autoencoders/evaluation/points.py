"""Evaluations of networks on points in the plane."""

from __future__ import annotations

import torch
from torch import Tensor

from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.losses import mean_squared_error


@torch.no_grad()
def points(context: EvaluationContext) -> None:
    """The reconstructions of points in the plane and their error, compared with the best straight line."""
    test, labels = context.data.test, context.data.test_labels
    panels = {"points": (test, labels)}
    for variant in context.variants:
        model = variant.autoencoder
        baseline = context.pca.error(test, model.latent)
        error = mean_squared_error(model, test)
        context.add(Number("test MSE", error, variant.label, baseline, f"PCA-{model.latent}"))
        title = variant.label or f"through {model.latent} number{'s' if model.latent != 1 else ''}"
        panels[title] = (model(test), labels)
    pictures.scatter(context.show("points.png", "test points and their reconstructions"), panels)


@torch.no_grad()
def field(context: EvaluationContext) -> None:
    """Where a denoiser sends the points of the plane, compared with E[X | noisy X] for the known distribution."""
    variant = context.variants[0]
    clean = as_float(context.data.train)
    axis = torch.linspace(-1.5, 1.5, 25, device=clean.device)
    places = torch.cartesian_prod(axis, axis)
    means = posterior_mean(places, clean, variant.settings.level)
    near = torch.cdist(places, clean).amin(1) < 3 * variant.settings.level
    sent = variant.restorer(places)
    distance = float((sent - means)[near].square().sum(1).mean().sqrt())
    idle = float((places - means)[near].square().sum(1).mean().sqrt())
    context.add(Number("distance to E[X | noisy X], RMS", distance, variant.label, idle, "identity"))
    caption = (
        "noisy points, where the network sends them, and E[X | noisy X]; in the opening of the circle, the answer with "
        "the least squared error is a place where there are no points"
    )
    panels = {"the network": (places[near], sent[near]), "E[X | noisy X]": (places[near], means[near])}
    pictures.arrows(context.show("field.png", caption), clean, panels)


def posterior_mean(places: Tensor, clean: Tensor, deviation: float) -> Tensor:
    """E[X | X + noise = place] for places (M, D), if X is any of the clean points (N, D), equally likely: (M, D).

    >>> posterior_mean(torch.zeros(1, 2), torch.tensor([[1.0, 1.0], [-1.0, 1.0]]), 0.5)
    tensor([[0., 1.]])
    """
    weights = (-torch.cdist(places, clean).square() / (2 * deviation**2)).softmax(1)
    return weights @ clean
