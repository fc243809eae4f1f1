"""Autoencoders and their losses.

- The decoders of conv and deep are those printed in the lectures; their parameters and FLOPs are the known numbers.
- The mean and deviation of the pixels change what the layers see, and nothing else.
- Losses are those of torch.distributions.
- A user's module can be the encoder; an encoder that cannot be mirrored or doubled is refused.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import torch
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.build import build
from convarith_gallery.autoencoders.recipe import Settings, changed, names, read_recipe
from convarith_gallery.autoencoders.training.losses import Objective, divergence, misfit
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from convarith.errors import ConvarithError

IMAGE = (1, 28, 28)

FLEURET = [
    nn.ConvTranspose2d(8, 32, 4), nn.ReLU(), nn.ConvTranspose2d(32, 32, 3, stride=2), nn.ReLU(),
    nn.ConvTranspose2d(32, 32, 4, stride=2), nn.ReLU(), nn.ConvTranspose2d(32, 32, 5), nn.ReLU(),
    nn.ConvTranspose2d(32, 1, 5),
]  # fmt: skip
SUTD = [
    nn.ConvTranspose2d(64, 32, 7), nn.ReLU(), nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
    nn.ReLU(), nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "changes", "printed", "parameters", "flops"),
    [
        ("deep", {"latent": 8}, FLEURET, 112_457, 145.23e6),
        ("conv", {"final": "ReLU"}, SUTD, 210_369, 4.196e6),
    ],
)
def test_decoders_are_the_lectures(
    recipe: str, changes: dict[str, object], printed: list[nn.Module], parameters: int, flops: float
) -> None:
    model = Autoencoder(changed(read_recipe(recipe).settings, changes), IMAGE)
    assert repr(model.decoder) == repr(nn.Sequential(*printed))
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert model.training_flops == pytest.approx(flops, rel=1e-3)


@pytest.mark.parametrize("name", [name for name in names() if not read_recipe(name).settings.restores])
def test_every_recipe_builds_and_its_table_counts_its_weights(name: str) -> None:
    recipe = read_recipe(name)
    shape = IMAGE if recipe.settings.dataset == "mnist" else (2,)
    for _, settings in recipe.variants():
        model = Autoencoder(settings, shape)
        items = torch.rand(2, *shape)
        assert model(items).shape == items.shape
        assert model.codes(items).shape == (2, settings.latent)
        assert model.trace().parameters == sum(weight.numel() for weight in model.parameters())
        loss, fit, _, _ = Objective(model, settings)(items)
        assert 0 < fit <= loss


@pytest.mark.parametrize("corruption", ["", "erasure"])
def test_layers_see_standardised_pixels(corruption: str) -> None:
    plain = changed(read_recipe("deep").settings, {"mean": 0.0, "deviation": 1.0, "corruption": corruption})
    torch.manual_seed(0)
    given = torch.rand(2, *IMAGE)
    built = [build(changed(plain, changes), IMAGE) for changes in ({}, {"mean": 0.25, "deviation": 0.5})]
    expected = 0.5 * built[0]((given - 0.25) / 0.5) + 0.25
    torch.testing.assert_close(built[1](given), expected)


def test_fits_are_minus_log_likelihoods() -> None:
    outputs, images = torch.randn(5, 1, 4, 4, dtype=torch.float64), torch.rand(5, 1, 4, 4, dtype=torch.float64).round()
    constant = 8 * torch.log(torch.tensor(2 * torch.pi))  # for 16 pixels of unit variance
    gaussian = -Normal(outputs, 1.0).log_prob(images).sum((1, 2, 3)) - constant
    torch.testing.assert_close(misfit(outputs, images, "gaussian"), gaussian)
    bernoulli = -Bernoulli(logits=outputs).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(misfit(outputs, images, "bernoulli"), bernoulli)


def test_the_divergence_is_torchs() -> None:
    mean, log_variance = torch.randn(2, 6, 3, dtype=torch.float64)
    normal = Normal(mean, (0.5 * log_variance).exp())
    torch.testing.assert_close(divergence(mean, log_variance), kl_divergence(normal, Normal(0.0, 1.0)).sum(1))


def test_a_price_on_the_code_is_paid() -> None:
    settings = Settings("Flatten(); Linear(16, {latent})", l1=0.25)
    model, images = Autoencoder(settings, (1, 4, 4)), torch.rand(3, 1, 4, 4)
    loss, fit, kl, l1 = Objective(model, settings)(images)
    torch.testing.assert_close(l1, model.codes(images).abs().sum() / 3)
    torch.testing.assert_close(loss, fit + 0.25 * l1)
    assert kl == 0


OWN = '''
from torch import nn

class Encoder(nn.Module):
    """A branch, so that this is not a chain of layers."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.last = nn.Conv2d(4, 6, 14)

    def forward(self, images):
        images = self.first(images).relu()
        return self.last(images + self.second(images))

def number():
    return 3

def broken():
    raise RuntimeError("no")
'''


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return str(path)


def test_a_users_module_is_the_encoder(own: str) -> None:
    model = Autoencoder(Settings(f"{own}:Encoder"), IMAGE)
    assert type(model.encoder).__name__ == "Encoder"
    assert model.latent == 6
    assert model(torch.rand(2, *IMAGE)).shape == (2, *IMAGE)
    assert model.trace().parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "returns int, not a torch.nn.Module"),
        ("broken", "raised RuntimeError: no"),
        ("missing", "has no .missing.: choose from"),
    ],
)
def test_code_that_gives_no_module_is_refused(own: str, name: str, message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        Autoencoder(Settings(f"{own}:{name}"), IMAGE)


def test_code_cannot_be_made_variational(own: str) -> None:
    with pytest.raises(
        ConvarithError, match=r"a variational encoder needs \{latent\} means and .*: write it as layers"
    ):
        Autoencoder(Settings(f"{own}:Encoder", variational=True), IMAGE)
