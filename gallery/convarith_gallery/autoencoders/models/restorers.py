"""Networks that are trained to undo a corruption of their input, or to classify every pixel."""

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
    """A network with the examples it is trained on: it makes inputs and targets from stored items.

    Attributes:
        input_shape: the shape of an item: a picture; a picture with the class of each pixel as its last channel; or the
            channels of two noisy pictures, one after the other.
        given_shape: the shape of the network's input.
        scales: the factors by which the network can enlarge.
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
        """The network for one of the scales, by default the first."""
        return self.module.at(scale or self.scales[0]) if isinstance(self.module, Mdsr) else self.module

    def forward(self, given: Tensor, scale: int | None = None) -> Tensor:
        """The network's output: the restored pictures, or the logits of the classes."""
        answer: Tensor = self.at(scale)(given)
        return answer

    def examples(
        self, items: Tensor, generator: Generator | None = None, scale: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """The network's inputs and targets, made from items (N, *input_shape) from 0 to 1.

        Random numbers come from the generator; without one they come from torch's own.
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
        """One of the scales, drawn at random with torch's own generator."""
        return self.scales[int(torch.randint(len(self.scales), ()))] if len(self.scales) > 1 else self.scales[0]

    def squared_errors(self, items: Tensor) -> Tensor:
        """The squared error of each item (N,), averaged over its numbers; for classes, the error of the probabilities.

        Every call draws the same random numbers.
        """
        given, targets = self.examples(items, torch.Generator(items.device).manual_seed(0))
        answers: Tensor = self(given).float()
        if self.settings.classes:
            wanted = functional.one_hot(targets, self.settings.classes).movedim(-1, 1)
            return (answers.softmax(1) - wanted).square().sum(1).reshape(len(items), -1).mean(1)
        return (answers - targets).square().flatten(1).mean(1)

    @cached_property
    def network(self) -> Network:
        """The layers of the network for the first scale."""
        found = from_module(self.at(), self.given_shape)
        return found if isinstance(found, Network) else Network.chain([found])

    def trace(self) -> Trace:
        """The table of layers."""
        return self.network.trace((1, *self.given_shape), batched=True)

    @property
    def training_flops(self) -> int:
        """The FLOPs of a training step per item."""
        return training_flops(self.trace())


class Mirrored(nn.Module):
    """An encoder followed by a decoder, on standardised pixels."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mean, self.deviation = mean, deviation

    def forward(self, given: Tensor) -> Tensor:
        """The restored items."""
        restored: Tensor = self.decoder(self.encoder((given - self.mean) / self.deviation))
        return restored * self.deviation + self.mean


def _module(settings: Settings, given: tuple[int, ...], answered: tuple[int, ...]) -> nn.Module:
    """The network of the settings, for inputs and outputs with these shapes."""
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
