"""EDSR and MDSR.

- They have the numbers of parameters in the papers, and convarith counts the same.
- Shapes are those of torch, at every scale.
- The network for one scale of an MDSR shares its weights; training one scale leaves the tails of the others unchanged.
- The mean of the pictures is not learnt: a network of zeros returns it.
- An untrained network is torch's linear interpolation, except at the border.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="builds networks of torch, which is not installed")

import torch
from convarith_gallery.autoencoders.models.edsr import MEAN, SCALES, SIZES, Edsr, Mdsr
from torch import nn
from torch.nn.functional import interpolate

import convarith as ca


def count(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(("scale", "parameters"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571)])
def test_baselines_have_the_papers_parameters(scale: int, parameters: int) -> None:
    model = Edsr(scale)
    network = ca.pytorch.from_module(model)
    assert isinstance(network, ca.Network)
    assert count(model) == parameters == network.parameter_count
    assert network.output_shape((3, 20, 30)) == (3, 20 * scale, 30 * scale)


def test_the_full_networks_have_the_papers_parameters() -> None:
    with torch.device("meta"):
        assert count(Edsr(2, size=SIZES["full"])) == 40_729_603  # the paper's table has 43 M, for x4
        assert count(Edsr(4, size=SIZES["full"])) == pytest.approx(43e6, rel=0.01)
        assert count(Mdsr()) == pytest.approx(8e6, rel=0.01)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(scale: int, channels: int) -> None:
    image = torch.rand(1, channels, 5, 9)
    shape = (1, channels, 5 * scale, 9 * scale)
    assert Edsr(scale, channels, SIZES["tiny"])(image).shape == shape
    model = Mdsr(channels, SIZES["tiny"])
    assert model(image, scale).shape == shape
    assert torch.equal(model.at(scale)(image), model(image, scale))


def test_one_scale_trains_what_is_shared_and_its_own_end() -> None:
    model = Mdsr(size=SIZES["tiny"])
    model(torch.rand(1, 3, 4, 4), 3).sum().backward()
    touched = {
        name.split(".")[0] + ("." + name.split(".")[1] if name[0] in "eb" else "")
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    assert {"head", "tail", "before.3", "enlarge.3", "body.0"} <= touched
    assert not {"before.2", "before.4", "enlarge.2", "enlarge.4"} & touched


def test_the_mean_is_given() -> None:
    model = Edsr(2, size=SIZES["tiny"])
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    torch.testing.assert_close(model(torch.rand(1, 3, 4, 4))[0, :, 2, 2], torch.tensor(MEAN))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_beginning_is_linear_interpolation(scale: int, channels: int) -> None:
    pictures = torch.rand(2, channels, 9, 7)
    expected = pictures
    for factor in (2, 2) if scale == 4 else (scale,):
        expected = interpolate(expected, scale_factor=factor, mode="bilinear")
    inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    for model in (Edsr(scale, channels, SIZES["tiny"]), Mdsr(channels, SIZES["tiny"]).at(scale)):
        torch.testing.assert_close(model(pictures)[inner], expected[inner])


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ca.ParameterError, match="EDSR enlarges 2, 3, 4 times: got 5"):
        Edsr(5)
    with pytest.raises(ca.ParameterError, match="pictures have 1 or 3 channels: got 2"):
        Mdsr(2)
    with pytest.raises(ca.ParameterError, match="this MDSR enlarges 2, 3 times: got 4"):
        Mdsr(scales=(2, 3)).at(4)
