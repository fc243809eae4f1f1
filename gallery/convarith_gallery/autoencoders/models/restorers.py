"""Networks that are trained to undo what was done to their input, or to say what every pixel shows."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from convarith.networks.network import Network
from convarith.networks.trace import Trace
from convarith.pytorch import from_module
from convarith_gallery.autoencoders.datasets.corruptions import SHRINKING, corrupted
from convarith_gallery.autoencoders.models.autoencoder import chain_of, decoder_of, encoder_of, training_flops
from convarith_gallery.autoencoders.models.edsr import SCALES, Edsr, Mdsr, Size
from convarith_gallery.autoencoders.models.segnet import SegNet
from convarith_gallery.autoencoders.models.unet import UNet
from convarith_gallery.autoencoders.recipe import Settings


class Restorer(nn.Module):
    """A network and what it is trained on: stored items become what it is given and what it should answer.

    Attributes:
        input_shape: of an item: a picture; with a class a pixel as its last channel; or a picture twice, one behind
            the other, both noisy.
        given_shape: of what the network is given.
        scales: how many times larger its answer may be.
    """

    def __init__(self, settings: Settings, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.settings = settings
        self.input_shape = input_shape
        channels, *spatial = input_shape
        channels = channels // 2 if settings.targets == "pairs" else channels - bool(settings.classes)
        if settings.network == "mdsr":
            self.scales: tuple[int, ...] = SCALES
        else:
            self.scales = (int(settings.level),) if settings.corruption in SHRINKING else (1,)
        self.given_shape = (channels, *(extent // self.scales[0] for extent in spatial))
        self.module = _module(settings, self.given_shape, (channels, *spatial))

    def at(self, scale: int | None = None) -> nn.Module:
        """The network that enlarges by one of the scales, the first unless given."""
        return self.module.at(scale or self.scales[0]) if isinstance(self.module, Mdsr) else self.module

    def forward(self, given: Tensor, scale: int | None = None) -> Tensor:
        """The network's answer: the restored pictures, or the logits of the classes."""
        answer: Tensor = self.at(scale)(given)
        return answer

    def examples(
        self, items: Tensor, generator: Generator | None = None, scale: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the network is given and what it should answer, from items (N, *input_shape) in 0..1.

        What is random comes from the generator, torch's own unless given; so does the scale of an MDSR.
        """
        settings = self.settings
        if settings.classes:
            return items[:, :-1], (items[:, -1] * 255).round().long()
        if settings.targets == "pairs":
            first, second = items.chunk(2, dim=1)
            return first, second
        level = settings.level
        if settings.corruption in SHRINKING:
            level = float(scale or self.scales[0])
        given = corrupted(settings.corruption, items, level, generator)
        if settings.targets == "noisy":
            return given, corrupted(settings.corruption, items, level, generator)
        return given, items

    def drawn_scale(self) -> int:
        """One of the scales, drawn by torch's own generator."""
        return self.scales[int(torch.randint(len(self.scales), ()))] if len(self.scales) > 1 else self.scales[0]

    def squared_errors(self, items: Tensor) -> Tensor:
        """The squared error of each item (N,), a mean over its numbers; of classes that of their probabilities.

        What is random is drawn from the same seed in every call.
        """
        given, targets = self.examples(items, torch.Generator(items.device).manual_seed(0))
        answers: Tensor = self(given).float()
        if self.settings.classes:
            wanted = functional.one_hot(targets, self.settings.classes).movedim(-1, 1)
            return (answers.softmax(1) - wanted).square().sum(1).reshape(len(items), -1).mean(1)
        return (answers - targets).square().flatten(1).mean(1)

    @cached_property
    def network(self) -> Network:
        """The layers, at the first scale."""
        found = from_module(self.at(), self.given_shape)
        return found if isinstance(found, Network) else Network.chain([found])

    def trace(self) -> Trace:
        """The layer table."""
        return self.network.trace((1, *self.given_shape), batched=True)

    @property
    def training_flops(self) -> int:
        """FLOPs of one item in training."""
        return training_flops(self.trace())


class Mirrored(nn.Module):
    """An encoder and a decoder, one behind the other, with pixels standardised between them."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mean, self.deviation = mean, deviation

    def forward(self, given: Tensor) -> Tensor:
        """The restored items."""
        restored: Tensor = self.decoder(self.encoder((given - self.mean) / self.deviation))
        return restored * self.deviation + self.mean


def _module(settings: Settings, given: tuple[int, ...], answered: tuple[int, ...]) -> nn.Module:
    """The network of the settings, for inputs and outputs of these shapes."""
    channels, width, depth = given[0], settings.width, settings.depth
    size = Size(depth, width, 0.1 if width >= 256 else 1.0)  # arXiv 1707.02921, section 3.3
    match settings.network:
        case "unet":
            return UNet(channels, width, depth)
        case "edsr":
            return Edsr(int(settings.level), channels, size)
        case "mdsr":
            return Mdsr(channels, size)
        case "segnet":
            return SegNet(channels, settings.classes, settings.upsample, width, depth)
        case "classifier":
            return encoder_of(settings, given)[0]
    encoder, _ = encoder_of(settings, given)
    decoder = chain_of(decoder_of(settings, answered).network)
    return Mirrored(encoder, decoder, settings.mean, settings.deviation)
