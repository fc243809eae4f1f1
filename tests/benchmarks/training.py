"""Training the deep autoencoder, against the lecture's own loop: a DataLoader, plain Adam, .item() at every step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from comparing import Comparison, Side

IMAGES, BATCH, LATENT = 1024, 128, 8


def images() -> object:
    """As many stored images as an epoch here has."""
    from convarith_gallery.autoencoders.data import digits

    return digits().train[:IMAGES]


def ours(precision: str) -> Callable[[], Callable[[], object]]:
    """An epoch of this trainer, its checkpoint at the end included."""

    def prepare() -> Callable[[], object]:
        import torch
        from convarith_gallery.autoencoders.recipe import changed, read_recipe
        from convarith_gallery.autoencoders.training import train

        changes = {"latent": LATENT, "batch": BATCH, "epochs": 1, "validation": 0.0, "precision": precision}
        settings, stored = changed(read_recipe("deep").settings, changes), images()

        def epoch() -> object:
            with tempfile.TemporaryDirectory() as folder:
                return train(settings, stored, Path(folder), torch.device("cpu"))  # type: ignore[arg-type]

        return epoch

    return prepare


def lecture() -> Callable[[], object]:
    """An epoch as the lectures write it."""
    import torch
    from convarith_gallery.autoencoders.recipe import changed, read_recipe
    from convarith_gallery.autoencoders.training import build
    from torch.utils.data import DataLoader, TensorDataset

    model = build(changed(read_recipe("deep").settings, {"latent": LATENT}), (1, 28, 28))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=False)
    loader = DataLoader(TensorDataset(images().float() / 255), batch_size=BATCH, shuffle=True)  # type: ignore[attr-defined]

    def epoch() -> object:
        losses = []
        for (batch,) in loader:
            output = model.decode(model.codes(batch))
            loss = 0.5 * (output - batch).pow(2).sum() / batch.size(0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    return epoch


def comparisons() -> list[Comparison]:
    """fp32, and bf16 where the processor multiplies it; where torch is installed."""
    if not find_spec("torch"):
        return []
    import torch
    from convarith_gallery.autoencoders.devices import has_fast_bf16

    other = Side("the lecture's loop", lecture)
    found = [Comparison("train-deep", Side("an epoch of deep, fp32", ours("fp32")), other, at_least=1.15)]
    if has_fast_bf16(torch.device("cpu")):
        found.append(Comparison("train-deep-bf16", Side("an epoch of deep, bf16", ours("bf16")), other, at_least=3))
    return found
