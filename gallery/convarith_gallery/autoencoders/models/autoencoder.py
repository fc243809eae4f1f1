"""The autoencoder: an encoder from text or from the user's code, and the decoder that `convarith.mirror` designs."""

from __future__ import annotations

import math

from torch import Tensor, nn

from convarith.decoders.decoder import Decoder
from convarith.decoders.mirror import mirror
from convarith.errors import ParameterError
from convarith.layers.reshaping import Narrow
from convarith.networks.network import INPUT, Network, Node
from convarith.networks.parser import parse_network
from convarith.networks.trace import Trace
from convarith.pytorch import to_module
from convarith.pytorch.user_code import is_code, network_of, read_module
from convarith_gallery.autoencoders.recipe import Settings


class Autoencoder(nn.Module):
    """An encoder and its mirrored decoder. A code is one row of numbers per image, whatever its shape in the network.

    Attributes:
        network: the encoder and the decoder as convarith's layers.
        latent_shape: the shape of one code in the decoder.
        probabilities: whether the decoder's outputs are logits.
    """

    def __init__(self, settings: Settings, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        decoder = decoder_of(settings, input_shape)
        if is_code(settings.encoder) and settings.variational:
            raise ParameterError(
                "a variational encoder needs {latent} means and as many log-variances, which code does not provide: "
                "write it as layers"
            )
        self.encoder, encoder = encoder_of(settings, input_shape)
        self.decoder = chain_of(decoder.network)
        self.network = _joined(encoder, decoder.network, decoder.latent_shape[0] if settings.variational else None)
        self.input_shape = input_shape
        self.latent_shape = decoder.latent_shape
        self.variational = settings.variational
        self.probabilities = settings.likelihood == "bernoulli"
        self.mean, self.deviation = settings.mean, settings.deviation

    @property
    def latent(self) -> int:
        """The length of a code."""
        return math.prod(self.latent_shape)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The means and log-variances of a variational code, (N, latent) each."""
        mean, log_variance = self._encoded(images).float().chunk(2, dim=1)
        return mean, log_variance

    def codes(self, images: Tensor) -> Tensor:
        """The codes (N, latent) of images (N, *input_shape); for a variational model, the means."""
        return self.posterior(images)[0] if self.variational else self._encoded(images)

    def outputs(self, codes: Tensor) -> Tensor:
        """The decoder's outputs (N, *input_shape) for codes (N, latent); logits for the Bernoulli likelihood."""
        result: Tensor = self.decoder(codes.reshape(-1, *self.latent_shape))
        return result if self.probabilities else result * self.deviation + self.mean

    def decode(self, codes: Tensor) -> Tensor:
        """The images (N, *input_shape) of codes (N, latent)."""
        outputs = self.outputs(codes)
        return outputs.sigmoid() if self.probabilities else outputs

    def forward(self, images: Tensor) -> Tensor:
        """The reconstructions of images (N, *input_shape) from 0 to 1."""
        return self.decode(self.codes(images))

    def _encoded(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.encoder((images - self.mean) / self.deviation)
        return encoded.flatten(1)

    def squared_errors(self, images: Tensor) -> Tensor:
        """The squared error of each image (N,), averaged over its pixels."""
        errors: Tensor = (self(images) - images).square()
        return errors.flatten(1).mean(1)

    def trace(self) -> Trace:
        """The table of layers of the encoder and the decoder."""
        return self.network.trace((1, *self.input_shape), batched=True)

    @property
    def training_flops(self) -> int:
        """The FLOPs of a training step per image."""
        return training_flops(self.trace())


def training_flops(trace: Trace) -> int:
    """The FLOPs of a training step per input: 2 per multiply-accumulate, forwards and for both gradients.

    The first layer needs no gradient of its input.

    >>> training_flops(parse_network("Linear(10, 5); ReLU(); Linear(5, 2)").trace((10,)))
    260
    """
    first = next((row.macs for row in trace.rows if row.macs), 0)
    return 2 * (3 * trace.macs - first)


def encoder_of(settings: Settings, input_shape: tuple[int, ...]) -> tuple[nn.Module, Network]:
    """The encoder of the settings, as a module and as layers."""
    if is_code(settings.encoder):
        module = read_module(settings.encoder)
        return module, network_of(module, input_shape)
    network = read_network(settings.layers, input_shape)
    return chain_of(network), network


def decoder_of(settings: Settings, output_shape: tuple[int, ...]) -> Decoder:
    """The mirrored decoder of the settings. Raises ParameterError if it needs more than the code."""
    mirrored = read_network(settings.mirrored_layers, output_shape)
    decoder = mirror(mirrored, output_shape, upsample=settings.upsample, final=settings.final or None)
    if not decoder.stands_alone:
        raise ParameterError("the decoder needs more than the code: remove pools with return_indices from the encoder")
    return decoder


def read_network(text: str, input_shape: tuple[int, ...]) -> Network:
    """The network that a chain of layers in text, or code, describes."""
    if is_code(text):
        return network_of(read_module(text), input_shape)
    network = parse_network(text)
    if not network.is_chain:
        raise ParameterError(
            "a recipe's encoder must be a chain of layers: write an encoder with branches as code, my.py:Encoder"
        )
    return network


def chain_of(network: Network) -> nn.Module:
    """The torch module of a chain of layers."""
    return nn.Sequential(*(to_module(node.layer) for node in network.nodes))


def _joined(encoder: Network, decoder: Network, latent: int | None) -> Network:
    """The encoder and the decoder as one network. A variational decoder reads the first channels only, the means."""

    def moved(node: Node, part: str, first: str) -> Node:
        inputs = tuple(first if name == INPUT else f"{part}.{name}" for name in node.inputs)
        return Node(f"{part}.{node.name}", node.layer, inputs)

    nodes = [moved(node, "encoder", INPUT) for node in encoder.nodes]
    if latent is not None:
        nodes.append(Node("mean", Narrow(start=0, length=latent), (nodes[-1].name,)))
    last = nodes[-1].name
    return Network((*nodes, *(moved(node, "decoder", last) for node in decoder.nodes)))
