"""The generated code of decoders of random encoders, run in torch.

- With all options, the whole autoencoder restores the shape that it was designed for, every parameter of the decoder
  gets a gradient, and the number of parameters is as reported.
- If the decoder follows the encoder's sizes, it also restores another shape that the encoder accepts.
"""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
from support.random_encoders import random_encoder

import convarith as ca

pytestmark = pytest.mark.slow

WAYS: list[dict[str, Any]] = [
    {}, {"upsample": "unpool"}, {"upsample": "unpool", "any_size": True, "even": True}, {"any_size": True},
    {"upsample": "resize", "any_size": True}, {"upsample": "pixel-shuffle", "any_size": True},
    {"skips": True}, {"upsample": "unpool", "skips": True},
]  # fmt: skip


def other_shape(rng: random.Random, net: ca.Network, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Another shape that the encoder accepts, or the same shape if none was found."""
    for _ in range(10):
        other = (shape[0], *(max(1, size + rng.randint(-4, 9)) for size in shape[1:]))
        try:
            net.output_shape((2, *other))
        except ca.ShapeError:
            continue
        return other
    return shape


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_code_restores_every_shape(torch: ModuleType, random_encoders: int, way: dict[str, Any]) -> None:
    others = 0
    for number in range(random_encoders // 8):
        rng = random.Random(number)
        net, shape = random_encoder(rng)
        decoder = ca.mirror(net, shape, **way)
        trial = decoder.verify()
        assert trial.problems == (), f"{net}\non {shape}"
        if not decoder.follows:
            continue
        names: dict[str, Any] = {}
        exec(decoder.code(autoencoder=True), names)
        other = other_shape(rng, net, shape)
        others += other != shape
        assert names["Autoencoder"]()(torch.rand(2, *other)).shape[1:] == other, f"{net}\non {other}"
        decoder_parameters = sum(each.numel() for each in names["Decoder"]().parameters())
        assert decoder_parameters == decoder.report.parameters
    assert others > 0 or not way.get("any_size", way.get("skips", False))


def test_a_pixel_shuffle_alone_needs_no_initialisation(torch: ModuleType) -> None:
    net = ca.parse_network("PixelUnshuffle(2); Conv2d(4, 8, 3, stride=2, padding=1)")
    decoder = ca.mirror(net, (1, 20, 20), upsample="resize", any_size=True)
    assert decoder.verify().problems == ()
    assert "icnr_" not in decoder.code()
    assert "icnr_(self.block0)" in ca.mirror(net, (1, 20, 20), upsample="pixel-shuffle", any_size=True).code()


def test_a_decoder_without_layers_returns_its_latent() -> None:
    code = ca.mirror(ca.parse_network("ReLU(); Flatten()"), (5,)).code()
    assert code.rstrip().endswith("return latent")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["Decoder"]()(7) == 7
