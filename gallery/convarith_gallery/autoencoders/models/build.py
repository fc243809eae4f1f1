"""Build the model that a recipe's settings describe."""

from __future__ import annotations

import torch

from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.seeds import seed_from

Model = Autoencoder | Restorer


def build(settings: Settings, shape: tuple[int, ...]) -> Autoencoder | Restorer:
    """The untrained model; its random weights are determined by the seed."""
    torch.manual_seed(seed_from(settings.seed, "weights"))
    return Restorer(settings, shape) if settings.restores else Autoencoder(settings, shape)
