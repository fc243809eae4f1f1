"""Evaluation of stacked denoising autoencoders: greedy layer-wise pretraining, then a classifier on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number, TrainedVariant
from convarith_gallery.autoencoders.models.build import Model
from convarith_gallery.autoencoders.models.restorers import Mirrored, Restorer
from convarith_gallery.autoencoders.recipe import Settings, changed
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.loop import train

CLASSES = 10
SHOWN = 12
"""The number of misclassified images that the picture shows."""


def pretraining(context: EvaluationContext) -> None:
    """The test error of a classifier initialised with pretrained layers, compared with a random initialisation.

    Vincent et al., JMLR 2010, section 6.2. The recipe trains the first layer; `depth` is the number of all layers.
    """
    images, labels = as_float(context.data.test), context.data.test_labels
    rows = [("test images", context.shown)]
    scratch = _percentage(_predicted(context, context.variants[0], "from-scratch", {}) != labels)
    for variant in context.variants:
        predicted = _predicted(context, variant, "classifier", _pretrained_weights(context, variant))
        wrong = predicted != labels
        context.add(Number("test error, %", _percentage(wrong), variant.label, scratch, "no pretraining"))
        names = " ".join(map(str, predicted[wrong][:SHOWN].tolist()))
        rows.append((f"{variant.label or 'classifier'}: misclassified as {names or 'none'}", images[wrong][:SHOWN]))
    context.show("named.png", "test images, and those that the classifiers get wrong", pictures.grid(rows))


def _pretrained_weights(context: EvaluationContext, variant: TrainedVariant) -> dict[str, Tensor]:
    """The weights of the classifier's hidden layers, each trained on the codes of the layer below."""
    deeper = changed(variant.settings, {"encoder": "Linear({latent}, {latent}); Sigmoid()"})
    start: dict[str, Tensor] = {}
    codes, model = context.data.train, variant.model
    for layer in range(variant.settings.depth):
        if layer:
            folder = variant.folder / f"layer-{layer + 1}"
            model = _trained(context, variant, deeper, codes, folder)
        encoder = _encoder_of(model)
        linear = next(each for each in encoder.children() if list(each.parameters()))
        for name, weight in linear.state_dict().items():
            start[f"module.{2 * layer}.{name}"] = weight
        with torch.no_grad():
            codes = torch.cat([encoder(as_float(part)) for part in torch.split(codes, 1000)])
    return start


def _encoder_of(model: Model) -> nn.Module:
    if not isinstance(model, Restorer) or not isinstance(model.module, Mirrored):
        raise ConvarithError(
            "pretraining needs an encoder whose mirrored decoder restores corrupted images: add an encoder and a "
            "corruption to the recipe"
        )
    return model.module.encoder


def _predicted(context: EvaluationContext, variant: TrainedVariant, folder: str, start: Mapping[str, Tensor]) -> Tensor:
    """The class (N,) that the trained classifier predicts for each test image."""
    items = _labelled(context.data.train, context.data.train_labels)
    settings = classifier_of(variant.settings, items.shape[1] - 1)
    model = _trained(context, variant, settings, items, variant.folder / folder, start)
    with torch.no_grad():
        answers: Tensor = model(as_float(context.data.test).flatten(1))
    return answers.argmax(1)


def _percentage(chosen: Tensor) -> float:
    """The percentage of booleans (N,) that are true."""
    return 100 * float(chosen.double().mean())


def _trained(
    context: EvaluationContext, variant: TrainedVariant, settings: Settings, items: Tensor, folder: Path,
    start: Mapping[str, Tensor] | None = None,
) -> Model:  # fmt: skip
    """The model of an additional training; its seconds are added to those of the variant."""
    result = train(settings, items, folder, items.device, resume=True, start=start)
    context.seconds[variant.label] = context.seconds.get(variant.label, 0) + result.seconds
    return result.model


def classifier_of(settings: Settings, inputs: int) -> Settings:
    """The settings of a classifier whose hidden layers have the shapes of the stacked encoders.

    >>> classifier_of(Settings("Flatten(); Linear(784, {latent}); Sigmoid()", depth=2), 784).layers
    'Linear(784, 8); Sigmoid(); Linear(8, 8); Sigmoid(); Linear(8, 10)'
    """
    widths = [inputs, *["{latent}"] * settings.depth]
    hidden = "".join(f"Linear({below}, {{latent}}); Sigmoid(); " for below in widths[:-1])
    return changed(
        settings,
        {
            "network": "classifier", "encoder": f"{hidden}Linear({{latent}}, {CLASSES})", "classes": CLASSES,
            "likelihood": "categorical", "corruption": "", "level": 0.0, "final": "",
        },
    )  # fmt: skip


def _labelled(images: Tensor, labels: Tensor) -> Tensor:
    """Images as rows of numbers with the class as the last number, which is how items with classes are stored."""
    return torch.cat((as_float(images).flatten(1), labels[:, None] / 255), dim=1)
