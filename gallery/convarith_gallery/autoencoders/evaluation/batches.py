"""Encoding and decoding in batches, so that a whole data set fits into memory."""

from __future__ import annotations

import torch
from torch import Tensor

from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder


@torch.no_grad()
def all_codes(model: Autoencoder, stored: Tensor, size: int = 500) -> Tensor:
    """The codes of stored images: (N, latent)."""
    return torch.cat([model.codes(as_float(part)).float() for part in torch.split(stored, size)])


@torch.no_grad()
def decoded(model: Autoencoder, codes: Tensor, size: int = 500) -> Tensor:
    """The images of codes (N, latent): (N, *shape)."""
    return torch.cat([model.decode(part).float() for part in torch.split(codes, size)])
