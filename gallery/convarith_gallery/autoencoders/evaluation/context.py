"""What every evaluation gets and what it adds to: the trained variants and the data, the numbers and the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.dataset import Dataset, as_float
from convarith_gallery.autoencoders.evaluation.baselines import Pca, fit_pca
from convarith_gallery.autoencoders.evaluation.sample_quality import Judge, train_judge
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.build import Model
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.reporting import pictures

SHOWN = 36
"""The number of test images in a grid: the first three rows of twelve, as in the lecture."""


class Number(NamedTuple):
    """One measured number.

    Attributes:
        variant: the label of the variant that was measured; '' for the recipe as a whole.
        baseline, baseline_name: the same number for a method that needs no training, and the name of that method.
    """

    metric: str
    value: float
    variant: str = ""
    baseline: float | None = None
    baseline_name: str = ""
    lower_is_better: bool = True


class Picture(NamedTuple):
    """A file in the recipe's folder, and what it shows."""

    file: str
    caption: str


class TrainedVariant(NamedTuple):
    """One trained model of a recipe.

    Attributes:
        label: the setting that makes this variant, such as 'latent=8'; '' if there is only one variant.
        settings: what the model was trained with.
        folder: where its files are.
        training_images: the images it was trained on, without those held out for validation.
    """

    label: str
    settings: Settings
    model: Model
    folder: Path
    training_images: Tensor

    @property
    def autoencoder(self) -> Autoencoder:
        """The model. Raises ConvarithError if it is a restorer, which has no code."""
        if isinstance(self.model, Restorer):
            raise ConvarithError(
                "this evaluation needs an autoencoder that reproduces its input: remove corruption, pairs and classes "
                "from the recipe, or choose another evaluation"
            )
        return self.model

    @property
    def restorer(self) -> Restorer:
        """The model. Raises ConvarithError if it is an autoencoder, which only reproduces its input."""
        if not isinstance(self.model, Restorer):
            raise ConvarithError(
                "this evaluation needs a model that restores or classifies: add a corruption, pairs or classes to the "
                "recipe, or choose another evaluation"
            )
        return self.model

    def file_name(self, name: str, ending: str = "png") -> str:
        """The name of a file for this variant, such as latents-latent=8.png; latents.png if it has no label."""
        return f"{name}-{self.label}.{ending}" if self.label else f"{name}.{ending}"


@dataclass
class EvaluationContext:
    """What the evaluations of one recipe share, and what they find."""

    variants: list[TrainedVariant]
    data: Dataset
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that an evaluation spent on further training, by the variant's label."""

    @cached_property
    def pca(self) -> Pca:
        """The principal axes of the training images."""
        return fit_pca(self.data.train)

    @cached_property
    def judge(self) -> Judge:
        """The classifier whose features measure the quality of samples."""
        return train_judge(self.data)

    @property
    def shown(self) -> Tensor:
        """The test images that pictures show, with values from 0 to 1."""
        return as_float(self.data.test[:SHOWN])

    def option(self, name: str, default: int) -> int:
        """A number from the recipe's [options]."""
        return int(self.options.get(name, default))

    def add(self, *numbers: Number) -> None:
        """Add numbers to the results."""
        self.numbers += numbers

    def show(self, file: str, caption: str, picture: Image.Image | None = None) -> Path:
        """Add a picture to the results and return its path. It is written here if it is given, else by the caller."""
        path = self.folder / file
        if picture is not None:
            pictures.save(path, picture)
        self.pictures.append(Picture(file, caption))
        return path
