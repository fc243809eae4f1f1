"""A recipe: a small TOML file that says what is trained, on what, for how long, and how it is evaluated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest

FOLDER = Path(__file__).parent / "recipes"

CHOICES = {
    "network": ("mirror", "unet", "edsr", "mdsr", "segnet", "classifier"),
    "corruption": ("", "erasure", "blur", "mask", "noise", "shrink", "reduce"),
    "targets": ("clean", "noisy", "pairs"),
    "likelihood": ("gaussian", "laplace", "bernoulli", "categorical"),
    "schedule": ("constant", "cosine"),
    "precision": ("auto", "fp32", "bf16"),
    "upsample": ("transposed", "resize", "pixel-shuffle", "unpool"),
}


@dataclass(frozen=True)
class Settings:
    """Everything that determines a training: on the same device, the same settings give the same weights.

    Attributes:
        encoder: layers as in `convarith trace`, with the names of other settings in braces, or code.py:Name.
        network: mirror (the encoder and its mirrored decoder), classifier (the encoder alone), or one of unet, edsr,
            mdsr and segnet, with `width` and `depth`.
        mirrored: the layers that the decoder mirrors, if they are not those of the encoder.
        corruption: the corruption of the input, by its name in corruptions.py, with this `level`; '' for none.
        targets: the targets of the output: clean images, noisy images, or the second image of a pair of noisy ones.
        classes: the number of classes of each pixel or item, whose class is its last channel; 0 for none.
        digit: the only class in the training images; -1 for all classes.
        width: the channels of U-Net, EDSR, MDSR and SegNet, and the value of {width} in the encoder.
        depth: the pools of U-Net and SegNet, the residual blocks of EDSR and MDSR, or the layers of a stack.
        final: the decoder's last activation, by its name in torch; '' for none.
        mean, deviation: of the training pixels. Inputs are standardised with them, and outputs are scaled back, except
            for logits.
        upsample: how the decoder upsamples: transposed, resize, pixel-shuffle or unpool.
        likelihood: gaussian (half the squared error), laplace (the absolute error), bernoulli or categorical
            (cross-entropy). The loss is summed over pixels and averaged over images, in nats.
        variational: whether the encoder gives a distribution; `beta` is then the weight of the KL divergence.
        l1: the weight of the sum of the absolute values in the code.
        dropout: the value of {dropout} in the encoder.
        binarise: whether pixels are replaced by random 0s and 1s in every batch.
        images: the number of training images; 0 for all.
        validation: the share of the training images that is held out for validation.
        schedule: constant, or cosine down to 0; both start after `warmup`, a share of all steps.
    """

    encoder: str = ""
    network: str = "mirror"
    mirrored: str = ""
    corruption: str = ""
    level: float = 0.0
    targets: str = "clean"
    classes: int = 0
    digit: int = -1
    dataset: str = "mnist"
    latent: int = 8
    width: int = 32
    depth: int = 5
    final: str = ""
    mean: float = 0.0
    deviation: float = 1.0
    upsample: str = "transposed"
    likelihood: str = "gaussian"
    variational: bool = False
    beta: float = 1.0
    l1: float = 0.0
    dropout: float = 0.0
    binarise: bool = False
    images: int = 0
    validation: float = 1 / 12
    epochs: int = 10
    batch: int = 128
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    precision: str = "auto"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ConvarithError for settings that cannot be trained."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                shown = ", ".join(choice or "''" for choice in choices)
                raise ConvarithError(f"{name} must be one of {shown}: got {getattr(self, name)!r}")
        for name in ("latent", "width", "depth", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ConvarithError(f"{name} must be at least 1: got {getattr(self, name)}")
        for name in ("dropout", "validation", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ConvarithError(f"{name} must be at least 0 and below 1: got {getattr(self, name)}")
        for name in ("learning_rate", "beta", "l1", "weight_decay", "images"):
            if not getattr(self, name) >= 0:
                raise ConvarithError(f"{name} must be at least 0: got {getattr(self, name)}")

        if not self.deviation > 0:
            raise ConvarithError(f"deviation must be above 0: got {self.deviation}")
        if (self.mean, self.deviation) != (0, 1) and self.network != "mirror":
            raise ConvarithError(f"mean and deviation need a mirrored network, not {self.network}: remove them")

        if (self.network in ("mirror", "classifier")) != bool(self.encoder):
            raise ConvarithError(
                f"the network {self.network} {'needs' if not self.encoder else 'does not take'} an encoder: give an "
                "encoder or another network, such as unet, but not both"
            )
        if (self.likelihood == "categorical") != bool(self.classes):
            raise ConvarithError(
                f"classes and the likelihood categorical need each other: got {self.classes} classes and "
                f"{self.likelihood}"
            )
        if self.restores and (self.variational or self.likelihood == "bernoulli"):
            raise ConvarithError(
                "a network that restores cannot be variational, and its likelihood must be gaussian or laplace: remove "
                "the corruption, pairs or classes, or change the other settings"
            )
        if not self.restores and self.network != "mirror":
            raise ConvarithError(f"{self.network} restores or classifies pixels: give a corruption, pairs or classes")

    @property
    def restores(self) -> bool:
        """Whether the model is trained to restore or classify its input, and not to reproduce it."""
        return bool(self.corruption or self.classes or self.targets == "pairs")

    @property
    def layers(self) -> str:
        """The text of the encoder with all settings filled in. A variational one ends in means and log-variances."""
        return self._filled(self.encoder, 2 * self.latent if self.variational else self.latent)

    @property
    def mirrored_layers(self) -> str:
        """The text that the decoder mirrors; it starts from one number per latent."""
        return self._filled(self.mirrored or self.encoder, self.latent)

    def _filled(self, text: str, latent: int) -> str:
        values = {each.name: getattr(self, each.name) for each in fields(self)} | {"latent": latent}

        def value(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise ConvarithError(f"the encoder names an unknown setting {match[0]}: {nearest(match[1], values)}")
            return str(values[match[1]])

        return re.sub(r"\{(\w+)\}", value, text)


class Target(NamedTuple):
    """A published number, or a threshold, that a metric is compared with.

    Attributes:
        source: where the number is from.
        values: the number for each variant, by its value in the sweep; for a single variant, by ''.
        data: the data set that the number holds for.
    """

    metric: str
    source: str
    values: Mapping[str, float]
    data: str = "mnist"


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe's file, with the changes of the user.

    Attributes:
        about: what the recipe shows, in a sentence.
        lecture: where it is taught.
        sweep: the setting that makes the variants, with its values; None for a single variant.
        evaluations: the names of the evaluations.
        of: the recipe whose trained models are evaluated; they are trained if they do not exist.
        options: numbers that the evaluations read.
        changes: the settings that the user changed, by name.
    """

    name: str
    about: str
    lecture: str
    settings: Settings
    sweep: tuple[str, tuple[Any, ...]] | None = None
    evaluations: tuple[str, ...] = ("reconstruction",)
    targets: tuple[Target, ...] = ()
    of: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def variants(self) -> list[tuple[str, Settings]]:
        """The label and the settings of every model that is trained.

        >>> [label for label, _ in read_recipe("deep").variants()]
        ['latent=2', 'latent=4', 'latent=8', 'latent=16', 'latent=32']
        """
        if self.sweep is None:
            return [("", self.settings)]
        name, values = self.sweep
        return [(f"{name}={value}", changed(self.settings, {name: value})) for value in values]

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with changed settings; a sweep over a changed setting is reduced to the new value.

        Another encoder makes another model: the published numbers are removed, and so is a sweep over a setting that
        the encoder does not contain.

        >>> read_recipe("deep").with_changes({"latent": 8, "epochs": 3}).variants()[0][1].epochs
        3
        """
        settings, sweep, targets = changed(self.settings, changes), self.sweep, self.targets
        if sweep is not None and sweep[0] in changes:
            sweep = (sweep[0], (getattr(settings, sweep[0]),))
        if "encoder" in changes:
            targets = ()
            if sweep is not None and f"{{{sweep[0]}}}" in self.settings.encoder and sweep[0] not in settings.encoder:
                sweep = None
        return replace(self, settings=settings, sweep=sweep, targets=targets, changes={**self.changes, **changes})

    def target(self, metric: str, label: str, data: str) -> tuple[float, str] | None:
        """The published number for a metric and its source, if there is one for this data set."""
        value = label.partition("=")[2]
        for target in self.targets:
            if target.metric == metric and target.data == data and value in target.values:
                return target.values[value], target.source
        return None


def names() -> list[str]:
    """The names of the recipes in the package, in the order in which they are trained.

    >>> names()[:3]
    ['fc', 'conv', 'deep']
    """
    return (FOLDER / "ORDER").read_text(encoding="utf-8").split()


def read_recipe(name: str) -> Recipe:
    """The recipe with this name, or the recipe in the user's own .toml file.

    Raises ConvarithError for an unknown name, and for a file that is not a valid recipe.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in names():
            known = nearest(name, names())
            raise ConvarithError(f"unknown recipe {name!r}: {known} (a .toml file works, too)")
        path = FOLDER / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConvarithError(f"{path} is not valid TOML: {error}") from None
    try:
        return _recipe(path.stem, table)
    except ConvarithError as error:
        raise ConvarithError(f"{path}: {error}") from None


def _recipe(name: str, table: dict[str, Any]) -> Recipe:
    keys = ("about", "lecture", "of", "settings", "sweep", "evaluations", "targets", "options")
    for key in table:
        if key not in keys:
            raise ConvarithError(f"unknown entry {key!r}: {nearest(key, keys)}")
    of = table.get("of", "")
    given = table.get("settings", {})
    if of:
        settings = changed(read_recipe(of).settings, given)
    elif "encoder" in given or "network" in given:
        settings = changed(Settings(encoder="Identity()"), {"encoder": "", **given})
    else:
        raise ConvarithError(
            "a recipe needs [settings] with an encoder or a network, or 'of' with the name of a recipe"
        )
    sweep = None
    if table.get("sweep"):
        if len(table["sweep"]) != 1:
            raise ConvarithError(f"[sweep] must have exactly one setting: got {len(table['sweep'])}")
        ((swept, values),) = table["sweep"].items()
        sweep = (swept, tuple(getattr(changed(settings, {swept: value}), swept) for value in values))
    targets = [
        Target(
            str(entry["metric"]), str(entry["source"]),
            {str(key): float(value) for key, value in entry.get("values", {"": entry.get("value")}).items()},
            str(entry.get("data", "mnist")),
        )
        for entry in table.get("targets", ())
    ]  # fmt: skip
    return Recipe(
        name=name, about=str(table.get("about", "")), lecture=str(table.get("lecture", "")), settings=settings,
        sweep=sweep, evaluations=tuple(table.get("evaluations", ("reconstruction",))), targets=tuple(targets), of=of,
        options=dict(table.get("options", {})),
    )  # fmt: skip


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with changed values, converted to the types of the settings.

    Raises ConvarithError for an unknown name, and for a value of the wrong type.

    >>> changed(Settings("Conv2d(1, 8, 3)"), {"learning_rate": 1}).learning_rate
    1.0
    """
    kinds = {each.name: type(getattr(settings, each.name)) for each in fields(settings)}
    converted = {}
    for name, value in changes.items():
        if name not in kinds:
            raise ConvarithError(f"unknown setting {name!r}: {nearest(name, kinds)}")
        kind = kinds[name]
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits and not (kind is float and isinstance(value, int) and not isinstance(value, bool)):
            raise ConvarithError(f"{name} must be {_WORDS[kind]}: got {value!r}")
        converted[name] = kind(value)
    return replace(settings, **converted)


_WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def read_change(text: str) -> tuple[str, Any]:
    """The key and the value of 'key=value'; the value is TOML, and text needs no quotes.

    >>> read_change("latent=16"), read_change("schedule=constant"), read_change("variational=true")
    (('latent', 16), ('schedule', 'constant'), ('variational', True))
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConvarithError(f"--set takes key=value: got {text!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
