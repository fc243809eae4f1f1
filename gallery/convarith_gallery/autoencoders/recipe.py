"""A recipe: a small TOML file that says what is trained, on what, how long, and how it is judged."""

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
    """Everything that decides a training: on one device, the same settings give the same weights.

    Attributes:
        encoder: layers as `convarith trace` reads them, the names of other settings in braces, or code.py:Name.
        network: mirror, the encoder and its mirrored decoder; classifier, the encoder alone; or unet, edsr, mdsr,
            segnet, of `width` and `depth`.
        mirrored: layers that the decoder mirrors where these are not the encoder's.
        corruption: what is done to the input, by its name in corruptions.py, at this `level`; '' for nothing.
        targets: what the answer is compared with: clean images, noisy ones, or the second of a pair of noisy ones.
        classes: of every pixel, or item, the last channel of the items; 0 where there are none.
        digit: the only class that is trained on; -1 for all.
        depth: pools of a U-Net or a SegNet, residual blocks of EDSR and MDSR, layers of a stack.
        final: the decoder's last activation, by torch's name; '' for none.
        mean, deviation: of the training pixels: the layers get them less the mean, over the deviation, and give them
            back so, but for logits.
        upsample: how the mirrored decoder grows back: transposed, resize or pixel-shuffle.
        likelihood: gaussian (half the squared error), laplace (the absolute error), bernoulli or categorical
            (cross-entropy); the loss is the sum over pixels in nats, the mean over images.
        variational: does the encoder give a distribution, with `beta` as the weight of its KL?
        l1: weight of the sum of the code's absolute values.
        dropout: what {dropout} in the encoder stands for.
        binarise: are pixels drawn anew as 0 or 1 in every batch?
        images: how many training images are used; 0 for all.
        validation: which part of them is held out to choose by.
        schedule: constant, or cosine down to 0; both after `warmup`, a part of all steps.
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
        """Refuse what cannot be trained."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConvarithError(f"{name} is one of {', '.join(choices)}: got {getattr(self, name)!r}")
        for name in ("latent", "width", "depth", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ConvarithError(f"{name} is at least 1: got {getattr(self, name)}")
        for name in ("dropout", "validation", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ConvarithError(f"{name} is at least 0 and below 1: got {getattr(self, name)}")
        for name in ("learning_rate", "beta", "l1", "weight_decay", "images"):
            if not getattr(self, name) >= 0:
                raise ConvarithError(f"{name} is at least 0: got {getattr(self, name)}")

        if not self.deviation > 0:
            raise ConvarithError(f"deviation is above 0: got {self.deviation}")
        if (self.mean, self.deviation) != (0, 1) and self.network != "mirror":
            raise ConvarithError(
                f"mean and deviation go with a mirrored network, not with {self.network}: leave them out"
            )

        if (self.network in ("mirror", "classifier")) != bool(self.encoder):
            raise ConvarithError("a model has an encoder to mirror, or another network: give one of the two")
        if (self.likelihood == "categorical") != bool(self.classes):
            raise ConvarithError(f"classes go with likelihood categorical: got {self.classes} and {self.likelihood}")
        if self.restores and (self.variational or self.likelihood == "bernoulli"):
            raise ConvarithError("what restores is not variational, and its likelihood is gaussian or laplace")
        if not self.restores and self.network != "mirror":
            raise ConvarithError(f"{self.network} restores or classifies pixels: give a corruption, pairs or classes")

    @property
    def restores(self) -> bool:
        """Is it trained to undo something or to classify pixels, and not to give back what it gets?"""
        return bool(self.corruption or self.classes or self.targets == "pairs")

    @property
    def layers(self) -> str:
        """The encoder's text with every setting in its place; a variational one ends in means and log-variances."""
        return self._filled(self.encoder, 2 * self.latent if self.variational else self.latent)

    @property
    def mirrored_layers(self) -> str:
        """The text that the decoder mirrors: from one number a latent."""
        return self._filled(self.mirrored or self.encoder, self.latent)

    def _filled(self, text: str, latent: int) -> str:
        values = {each.name: getattr(self, each.name) for each in fields(self)} | {"latent": latent}

        def value(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise ConvarithError(f"the encoder names {match[0]}: {nearest(match[1], values)}")
            return str(values[match[1]])

        return re.sub(r"\{(\w+)\}", value, text)


class Target(NamedTuple):
    """A published or measured number of a metric, and where it is from.

    Attributes:
        values: the number of each variant, by its value in the sweep; of the only one under ''.
        data: the data set it holds for.
    """

    metric: str
    source: str
    values: Mapping[str, float]
    data: str = "mnist"


@dataclass(frozen=True)
class Recipe:
    """What one file says.

    Attributes:
        about: what it shows, in a sentence; lecture: where it is taught.
        sweep: the settings that are trained one after the other: a name and its values, or nothing.
        evaluations: what is measured and drawn afterwards, by name.
        of: the recipe whose trained models are looked at; they are trained if they are not there.
        options: numbers for the evaluations.
        changes: what differs from the file: settings by name.
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
        """(label, settings) of every training.

        >>> [label for label, _ in read_recipe("deep").variants()]
        ['latent=2', 'latent=4', 'latent=8', 'latent=16', 'latent=32']
        """
        if self.sweep is None:
            return [("", self.settings)]
        name, values = self.sweep
        return [(f"{name}={value}", changed(self.settings, {name: value})) for value in values]

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with other settings; one that is swept over is then trained at that value only.

        Another encoder is another model: the published numbers are not its own, and what it does not name is not swept.

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
        """The number to compare with and its source, where one is known for this data."""
        value = label.partition("=")[2]
        for target in self.targets:
            if target.metric == metric and target.data == data and value in target.values:
                return target.values[value], target.source
        return None


def names() -> list[str]:
    """The recipes that come with the package, in the order they are trained in.

    >>> names()[:3]
    ['fc', 'conv', 'deep']
    """
    return (FOLDER / "ORDER").read_text(encoding="utf-8").split()


def read_recipe(name: str) -> Recipe:
    """A recipe by its name, or from the user's own .toml file.

    Raises ConvarithError for a name that is unknown and a file that is no recipe.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in names():
            raise ConvarithError(f"unknown recipe {name!r}: {nearest(name, names())} (a .toml file is read, too)")
        path = FOLDER / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConvarithError(f"{path} is no TOML: {error}") from None
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
        raise ConvarithError("a recipe has [settings] with an encoder or a network, or 'of', the recipe it looks at")
    sweep = None
    if table.get("sweep"):
        if len(table["sweep"]) != 1:
            raise ConvarithError(f"one setting is swept over, not {len(table['sweep'])}")
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
    """Settings with other values, each of the type it has.

    Raises ConvarithError for an unknown name and a value of another type.

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
            raise ConvarithError(f"{name} is {_WORDS[kind]}: got {value!r}")
        converted[name] = kind(value)
    return replace(settings, **converted)


_WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def read_change(text: str) -> tuple[str, Any]:
    """A 'key=value' of the command line, the value written as in TOML, text without quotes too.

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
