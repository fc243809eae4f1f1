"""Recipes.

- A file has settings, a sweep and targets; invalid entries are refused by name, with the nearest valid one.
- A setting from the command line replaces the sweep over it; another encoder removes the published numbers.
- Settings that contradict each other are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from convarith_gallery.autoencoders.recipe import FOLDER, Settings, changed, names, read_change, read_recipe

from convarith.errors import ConvarithError

CHAIN = '[settings]\nencoder = "Conv2d(1, {latent}, 28)"\n'


def test_every_file_is_listed() -> None:
    assert sorted(names()) == sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", names())
def test_every_recipe_says_what_it_shows(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.about.endswith(".")
    assert recipe.lecture
    labels = [label for label, _ in recipe.variants()]
    assert len(set(labels)) == len(labels)
    for target in recipe.targets:
        assert {"", *(label.partition("=")[2] for label in labels)} >= set(target.values)


def test_targets_are_found_by_variant_and_data() -> None:
    deep = read_recipe("deep")
    published = (0.01466, "the lecture's training loop, 3 epochs (d = 8: 10)")
    assert deep.target("test MSE", "latent=8", "mnist") == published
    assert deep.target("test MSE", "latent=8", "digits") is None
    assert deep.target("test MSE", "latent=9", "mnist") is None


def test_a_change_replaces_the_sweep() -> None:
    deep = read_recipe("deep").with_changes({"latent": 3, "epochs": 2})
    ((label, settings),) = deep.variants()
    assert (label, settings.latent, settings.epochs) == ("latent=3", 3, 2)


def test_another_encoder_is_another_model() -> None:
    own = read_recipe("deep").with_changes({"encoder": "my.py:Encoder"})
    assert own.targets == ()
    assert [label for label, _ in own.variants()] == [""]
    swept = read_recipe("deep").with_changes({"encoder": "Conv2d(1, {latent}, 28)"})
    assert len(swept.variants()) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", r"own.toml is not valid TOML"),
        ("", r"a recipe needs \[settings\] with an encoder"),
        (f"{CHAIN}latnet = 3", "unknown setting 'latnet': did you mean 'latent'"),
        (f"sweeps = 1\n{CHAIN}", "unknown entry 'sweeps': did you mean 'sweep'"),
        (f"{CHAIN}latent = 2.5", "latent must be an integer: got 2.5"),
        (f"{CHAIN}latent = true", "latent must be an integer: got True"),
        (f"{CHAIN}latent = 0", "latent must be at least 1: got 0"),
        (f"{CHAIN}dropout = 1", "dropout must be at least 0 and below 1"),
        (f"{CHAIN}learning_rate = nan", "learning_rate must be at least 0: got nan"),
        (f'{CHAIN}schedule = "cosin"', "schedule must be one of constant, cosine: got 'cosin'"),
        (f"{CHAIN}[sweep]\nlatent = [1]\nl1 = [0.1]", r"\[sweep\] must have exactly one setting: got 2"),
        (f'{CHAIN}[sweep]\nlatent = ["a"]', "latent must be an integer: got 'a'"),
        ('of = "deeep"', "unknown recipe 'deeep': did you mean 'deep'"),
    ],
)
def test_an_invalid_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConvarithError, match=message):
        read_recipe(str(path))


def test_an_unknown_name_in_braces_is_refused() -> None:
    with pytest.raises(ConvarithError, match=r"the encoder names an unknown setting \{latnet\}: did you mean 'latent'"):
        _ = Settings("Linear(2, {latnet})").layers


def test_a_variational_encoder_ends_in_twice_as_many() -> None:
    settings = changed(Settings("Linear(2, {latent})"), {"latent": 3, "variational": True})
    assert (settings.layers, settings.mirrored_layers) == ("Linear(2, 6)", "Linear(2, 3)")


@pytest.mark.parametrize("text", ["latent", "=3", ""])
def test_a_change_has_a_key_and_a_value(text: str) -> None:
    with pytest.raises(ConvarithError, match="--set takes key=value"):
        read_change(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "the network mirror needs an encoder: give an encoder or another network"),
        ({"encoder": "ReLU()", "network": "unet"}, "the network unet does not take an encoder: give an encoder or"),
        (
            {"network": "unet", "corruption": "blur", "mean": 0.5},
            "mean and deviation need a mirrored network, not unet",
        ),
        ({"encoder": "ReLU()", "deviation": 0.0}, "deviation must be above 0: got 0"),
        ({"network": "unet"}, "unet restores or classifies pixels: give a corruption, pairs or classes"),
        (
            {"network": "segnet", "classes": 3},
            "classes and the likelihood categorical need each other: got 3 classes and gaussian",
        ),
        ({"encoder": "ReLU()", "corruption": "blurr"}, "corruption must be one of '', erasure, blur"),
        (
            {"encoder": "ReLU()", "corruption": "blur", "variational": True},
            "a network that restores cannot be variational",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvarithError, match=message):
        Settings(**changes)
