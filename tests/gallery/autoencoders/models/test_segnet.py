"""SegNet, which classifies every pixel.

- Every decoder gives the classes in the size of the images; convarith computes the same size and number of weights.
- Networks with and without indices have the same weights: the indices are the only difference.
- Unpooling with indices puts a value back where it was.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="builds networks of torch, which is not installed")

import torch
from convarith_gallery.autoencoders.models.segnet import DECODERS, SegNet
from torch import nn

import convarith as ca


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_shapes_and_tables(decoder: str, depth: int) -> None:
    model = SegNet(2, 5, decoder, width=4, depth=depth).eval()
    images = torch.rand(2, 2, 16, 24)
    assert model(images).shape == (2, 5, 16, 24)
    network = ca.pytorch.from_module(model)
    assert isinstance(network, ca.Network)
    assert network.output_shape((2, 16, 24)) == (5, 16, 24)
    assert network.parameter_count == sum(weight.numel() for weight in model.parameters())


def test_indices_cost_no_weights() -> None:
    shapes = [[weight.shape for weight in SegNet(1, 11, decoder).parameters()] for decoder in ("unpool", "resize")]
    assert shapes[0] == shapes[1]


def test_indices_lead_back_to_the_place() -> None:
    model = SegNet(1, 1, "unpool", width=1, depth=1).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.weight.zero_()[0, 0, 1, 1] = 1
                assert module.bias is not None
                module.bias.zero_()
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 2] = 1
    torch.testing.assert_close(model(image), image, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ca.ParameterError, match="unknown decoder 'unpol': did you mean 'unpool'"):
        SegNet(decoder="unpol")
    with pytest.raises(ca.ParameterError, match=r"must be at least 1: got \(1, 0, 16, 2\)"):
        SegNet(classes=0)
