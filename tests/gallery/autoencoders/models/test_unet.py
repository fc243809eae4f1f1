"""The U-Net of noise2noise.

- It has exactly the number of parameters in the paper, and convarith counts the same.
- Its layers and shapes are those of the paper's table.
- Before training, it returns its input.
- It keeps the sizes that are multiples of 32, according to convarith and to torch.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="builds networks of torch, which is not installed")

import torch
from convarith_gallery.autoencoders.models.unet import UNet

import convarith as ca

TABLE = {  # name: (channels after the layer, factor of reduction), arXiv 1803.04189, table 2
    "enc_conv0": (48, 1), "enc_conv1": (48, 1), "enc_conv2": (48, 2), "enc_conv3": (48, 4), "enc_conv4": (48, 8),
    "enc_conv5": (48, 16), "enc_conv6": (48, 32), "dec_conv5a": (96, 16), "dec_conv5b": (96, 16),
    "dec_conv4a": (96, 8), "dec_conv4b": (96, 8), "dec_conv3a": (96, 4), "dec_conv3b": (96, 4),
    "dec_conv2a": (96, 2), "dec_conv2b": (96, 2), "dec_conv1a": (64, 1), "dec_conv1b": (32, 1), "dec_conv1c": (3, 1),
}  # fmt: skip


@pytest.mark.parametrize(("channels", "parameters"), [(3, 991_203), (1, 988_609)])
def test_parameters_are_the_papers(channels: int, parameters: int) -> None:
    model = UNet(channels)
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert ca.pytorch.from_module(model).parameter_count == parameters


def test_layers_are_the_tables() -> None:
    network = ca.pytorch.from_module(UNet(3))
    assert isinstance(network, ca.Network)
    found = {
        row.name.removesuffix(".0"): (row.output[0], 256 // row.output[1])
        for row in network.trace((3, 256, 256)).rows
        if row.layer.kind == "conv"
    }
    assert found == TABLE
    joined = [row.output[0] for row in network.trace((3, 256, 256)).rows if row.layer.kind == "concat"]
    assert joined == [96, 144, 144, 144, 99]


@pytest.mark.parametrize(("channels", "depth"), [(1, 1), (1, 2), (3, 1), (3, 3)])
def test_it_begins_as_the_identity(channels: int, depth: int) -> None:
    images = torch.rand(2, channels, 16, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(UNet(channels, width=6, depth=depth)(images), images)


def test_sizes_that_come_back() -> None:
    model = UNet(1, width=3)
    network = ca.pytorch.from_module(model)
    assert isinstance(network, ca.Network)
    assert network.size_map(0).comes_back.words("H") == "H = 0 (mod 32), H >= 32"
    torch.set_num_threads(1)
    for size in (31, 32, 33, 64, 80):
        image = torch.zeros(1, 1, size, 32)
        if size in network.size_map(0).comes_back:
            assert model(image).shape == image.shape
        else:
            with pytest.raises(RuntimeError):
                model(image)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ca.ParameterError, match=r"channels, width and depth must be at least 1: got \(3, 48, 0\)"):
        UNet(3, depth=0)
