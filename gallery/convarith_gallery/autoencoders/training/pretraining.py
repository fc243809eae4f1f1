"""Stacked denoising autoencoders: layer upon layer trained to restore its input, then all of them to classify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convarith_gallery.autoencoders.datasets.load import as_float
from convarith_gallery.autoencoders.evaluation.evaluations import Evaluator, Number, Run
from convarith_gallery.autoencoders.recipe import Settings, changed
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.loop import train

CLASSES = 10
SHOWN = 12
"""Of the images that are named wrongly."""


def pretraining(on: Evaluator) -> None:
    """Test errors of the classifier that begins with each run's layers, beside one that begins at random.

    Vincent et al., JMLR 2010, section 6.2: the run is the first layer, trained by the recipe; `depth` counts them all.
    """
    images, labels = as_float(on.data.test), on.data.test_labels
    rows = [("test images", on.shown)]
    scratch = _percentage(_named(on, on.runs[0], "from-scratch", {}) != labels)
    for run in on.runs:
        said = _named(on, run, "classifier", _stacked(on, run))
        wrong = said != labels
        on.add(Number("test error, %", _percentage(wrong), run.label, scratch, "no pretraining"))
        names = " ".join(map(str, said[wrong][:SHOWN].tolist()))
        rows.append((f"{run.label or 'classifier'}: named wrongly, as {names or 'none'}", images[wrong][:SHOWN]))
    on.show("named.png", "test images, and those that the classifiers name wrongly", pictures.grid(rows))


def _stacked(on: Evaluator, run: Run) -> dict[str, Tensor]:
    """The weights of the classifier's layers, each trained on the codes of those below."""
    deeper = changed(run.settings, {"encoder": "Linear({latent}, {latent}); Sigmoid()"})
    start: dict[str, Tensor] = {}
    codes, model = on.data.train, run.model
    for layer in range(run.settings.depth):
        if layer:
            folder = run.folder / f"layer-{layer + 1}"
            model = _trained(on, run, deeper, codes, folder)
        encoder = model.module.encoder
        for name, weight in next(each for each in encoder if list(each.parameters())).state_dict().items():
            start[f"module.{2 * layer}.{name}"] = weight
        with torch.no_grad():
            codes = torch.cat([encoder(as_float(part)) for part in torch.split(codes, 1000)])
    return start


def _named(on: Evaluator, run: Run, folder: str, start: Mapping[str, Tensor]) -> Tensor:
    """The class (N,) that the trained classifier gives to each test image."""
    items = _labelled(on.data.train, on.data.train_labels)
    settings = classifier_of(run.settings, items.shape[1] - 1)
    model = _trained(on, run, settings, items, run.folder / folder, start)
    with torch.no_grad():
        answers: Tensor = model(as_float(on.data.test).flatten(1))
    return answers.argmax(1)


def _percentage(chosen: Tensor) -> float:
    """How many of a hundred are chosen, of booleans (N,)."""
    return 100 * float(chosen.double().mean())


def _trained(
    on: Evaluator, run: Run, settings: Settings, items: Tensor, folder: Path, start: Mapping[str, Tensor] | None = None
) -> Any:
    """The model of a further training of the run; its seconds count with the run's."""
    trained = train(settings, items, folder, items.device, resume=True, start=start)
    on.seconds[run.label] = on.seconds.get(run.label, 0) + trained.seconds
    return trained.model


def classifier_of(settings: Settings, inputs: int) -> Settings:
    """The classifier whose layers a stack of the settings' autoencoders begins.

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
    """Images as rows of numbers, their class as the last, as items with classes have it."""
    return torch.cat((as_float(images).flatten(1), labels[:, None] / 255), dim=1)
