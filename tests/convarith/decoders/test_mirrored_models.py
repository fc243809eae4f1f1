"""Mirrored decoders of common models, with their code run in torch.

- With all options, the code of every model's decoder restores the input shape, every parameter of the decoder gets a
  gradient, and the loss is finite. The encoder's code runs before it if the encoder can be written as code.
- After the model itself, a decoder that follows sizes restores three shapes.
- The generated code passes the linter, the formatter and mypy.
- MaxUnpool and scattering give the same result if both are possible: values return to the maximum of their window.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch", reason="builds torch models, and torch is not installed")

from support.torch_models import MODELS, Model

import convarith as ca

pytestmark = pytest.mark.slow

WAYS: list[dict[str, Any]] = [
    {}, {"even": True}, {"any_size": True}, {"skips": True}, {"upsample": "resize", "any_size": True},
    {"upsample": "pixel-shuffle", "any_size": True}, {"upsample": "unpool"},
]  # fmt: skip
UNWRITTEN = {"unet-crop", "deconvnet"}
"""Models with an operation that is not a module: their decoders run alone and have no skips and no indices."""


@pytest.fixture(scope="module")
def networks() -> dict[str, ca.Network]:
    found = {}
    for model in MODELS:
        network = ca.pytorch.from_module(model.make(), model.shapes[0])
        assert isinstance(network, ca.Network)
        found[model.name] = network
    return found


def namespace(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "decoder.py", "exec"), names)
    return names


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_model_is_mirrored(networks: dict[str, ca.Network], model: Model, way: dict[str, Any]) -> None:
    if model.name in UNWRITTEN and (way.get("skips") or way.get("upsample") == "unpool"):
        pytest.skip("its encoder has an operation that cannot be written as a module")
    trial = ca.mirror(networks[model.name], model.shapes[0], **way).verify()
    assert trial.problems == ()
    assert trial.gradients > 0


@pytest.mark.parametrize("model", [model for model in MODELS if model.name != "deconvnet"], ids=str)
def test_a_decoder_after_the_model_itself(torch: ModuleType, model: Model) -> None:
    """Except for DeconvNet, which fails for some values because its own indices can point outside its maps."""
    encoder = model.make()
    decoder = ca.mirror(ca.pytorch.from_module(encoder, model.shapes[0]), model.shapes[0], any_size=True)
    module = namespace(decoder.code())["Decoder"]()
    for shape in model.shapes:
        values = torch.rand(2, *shape)
        latent = encoder(values)
        latent = latent[0] if isinstance(latent, tuple) else latent["out"] if isinstance(latent, dict) else latent
        result = module(latent) if decoder.stands_alone else module(latent, shape[1:])
        assert result.shape == values.shape
        loss = (result - values).square().mean()
        loss.backward()
        assert torch.isfinite(loss)
        gradients = [parameter.grad for parameter in module.parameters()]
        assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_the_code_is_clean(tmp_path: Path, networks: dict[str, ca.Network]) -> None:
    for model in MODELS:
        for number, way in enumerate(WAYS):
            if model.name in UNWRITTEN and (way.get("skips") or way.get("upsample") == "unpool"):
                continue
            decoder = ca.mirror(networks[model.name], model.shapes[0], **way)
            try:
                code = decoder.code(autoencoder=True)
            except ca.ParameterError:
                code = decoder.code()
            (tmp_path / f"{model.name.replace('-', '_')}_{number}.py").write_text(code, encoding="utf-8")
    for command in (
        ["ruff", "check", "--isolated", "--select", "E,F,I,UP,SIM", "--line-length", "140", "."],
        ["ruff", "format", "--isolated", "--check", "--line-length", "140", "."],
        ["mypy", "--strict", "--no-incremental", *(f"{name}.py" for name in ("resnet18_3", "vgg16_6", "mobilenet_5"))],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_scatter_puts_values_where_the_pool_took_them(torch: ModuleType) -> None:
    encoder = ca.parse_network("MaxPool2d(2, ceil_mode=True)")
    names = namespace(ca.mirror(encoder, (3, 7, 9), upsample="unpool").code())
    plain = namespace(ca.mirror(ca.parse_network("MaxPool2d(2)"), (3, 7, 9), upsample="unpool").code())
    values = torch.rand(2, 3, 7, 9)
    for made, ceil_mode in ((names, True), (plain, False)):
        pooled, where = torch.nn.functional.max_pool2d(values, 2, ceil_mode=ceil_mode, return_indices=True)
        expected = torch.zeros_like(values).flatten(2).scatter(2, where.flatten(2), pooled.flatten(2)).view_as(values)
        torch.testing.assert_close(made["Autoencoder"]()(values), expected)


def test_overlapping_windows_add_up(torch: ModuleType) -> None:
    """Scattering is the adjoint of the pool, that is, its backward pass."""
    encoder = ca.parse_network("MaxPool2d(3, stride=1, dilation=2)")
    decoder = namespace(ca.mirror(encoder, (2, 9, 9), upsample="unpool").code())["Decoder"]()
    values = torch.rand(1, 2, 9, 9, requires_grad=True)
    pooled, where = torch.nn.functional.max_pool2d(values, 3, 1, 0, 2, return_indices=True)
    latent = torch.rand_like(pooled)
    (expected,) = torch.autograd.grad(pooled, values, latent)
    torch.testing.assert_close(decoder(latent, (9, 9), [where]), expected)
