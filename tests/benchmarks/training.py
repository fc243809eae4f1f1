"""Training the deep autoencoder, compared with the lecture's loop (DataLoader, Adam, .item() at every step) and pythae."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparing import Comparison, Side

if TYPE_CHECKING:
    from torch import Tensor

IMAGES, BATCH, LATENT = 1024, 128, 8


def images() -> Tensor:
    """The stored images of one epoch."""
    from convarith_gallery.autoencoders.datasets.load import digits

    return digits().train[:IMAGES]


def ours(precision: str) -> Callable[[], Callable[[], object]]:
    """An epoch of convarith's trainer, including the checkpoint at its end."""

    def prepare() -> Callable[[], object]:
        import torch
        from convarith_gallery.autoencoders.recipe import changed, read_recipe
        from convarith_gallery.autoencoders.training.loop import train

        changes = {"latent": LATENT, "batch": BATCH, "epochs": 1, "validation": 0.0, "precision": precision}
        settings, stored = changed(read_recipe("deep").settings, changes), images()

        def epoch() -> object:
            with tempfile.TemporaryDirectory() as folder:
                return train(settings, stored, Path(folder), torch.device("cpu"))

        return epoch

    return prepare


def lecture() -> Callable[[], object]:
    """An epoch of the loop that the lectures show."""
    import torch
    from convarith_gallery.autoencoders.recipe import changed, read_recipe
    from convarith_gallery.autoencoders.training.loop import build
    from torch.utils.data import DataLoader, TensorDataset

    model = build(changed(read_recipe("deep").settings, {"latent": LATENT}), (1, 28, 28))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=False)
    loader = DataLoader(TensorDataset(images().float() / 255), batch_size=BATCH, shuffle=True)

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


def pythae() -> Callable[[], object]:
    """An epoch of the same network in pythae (github.com/clementchadebec/benchmark_VAE)."""
    import torch
    from convarith_gallery.autoencoders.recipe import changed, read_recipe
    from convarith_gallery.autoencoders.training.loop import build
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    model = build(changed(read_recipe("deep").settings, {"latent": LATENT}), (1, 28, 28))

    class Encoder(BaseEncoder):
        def forward(self, x: Tensor) -> Any:
            return ModelOutput(embedding=model.codes(x))

    class Decoder(BaseDecoder):
        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=model.decode(z))

    encoder, decoder = Encoder(), Decoder()
    encoder.layers, decoder.layers = model.encoder, model.decoder
    theirs = AE(AEConfig(input_dim=(1, 28, 28), latent_dim=LATENT), encoder, decoder)
    pixels = images().float() / 255
    stored = BaseDataset(pixels, torch.zeros(len(pixels)))

    def epoch() -> object:
        with tempfile.TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                output_dir=folder, num_epochs=1, per_device_train_batch_size=BATCH, learning_rate=1e-3, no_cuda=True
            )
            return BaseTrainer(model=theirs, train_dataset=stored, training_config=config).train()

    return epoch


def comparisons() -> list[Comparison]:
    """fp32, bf16 if the processor has fast bf16, and pythae if it is installed; nothing without torch."""
    if not find_spec("torch"):
        return []
    import torch
    from convarith_gallery.autoencoders.training.devices import has_fast_bf16

    other = Side("the lecture's loop", lecture)
    found = [Comparison("train-deep", Side("an epoch of deep, fp32", ours("fp32")), other, at_least=1.15)]
    if has_fast_bf16(torch.device("cpu")):
        found.append(Comparison("train-deep-bf16", Side("an epoch of deep, bf16", ours("bf16")), other, at_least=3))
    if find_spec("pythae"):
        found.append(Comparison("train-pythae", found[0].ours, Side("pythae's trainer", pythae), at_least=1))
    return found
