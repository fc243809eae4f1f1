"""Run a recipe from beginning to end: train every variant, evaluate them, and write numbers, pictures and pages."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import convarith
from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest, times
from convarith_gallery.autoencoders.datasets.dataset import Dataset, as_float
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number, TrainedVariant
from convarith_gallery.autoencoders.evaluation.registry import EVALUATIONS
from convarith_gallery.autoencoders.models.build import Model
from convarith_gallery.autoencoders.output_files import write_whole
from convarith_gallery.autoencoders.recipe import Recipe, Settings, names, read_recipe
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.reporting.pages import recipe_page, suite_page
from convarith_gallery.autoencoders.reporting.results import METRICS, gather, read_metrics, verdict, write_metrics
from convarith_gallery.autoencoders.training import checkpoints, devices
from convarith_gallery.autoencoders.training.loop import Progress, TrainingResult, train
from convarith_gallery.autoencoders.training.saved_model import save_model

Watch = Callable[[str, Progress], None]
"""Called after every step with the name of the model that is being trained."""


def run_recipe(
    recipe: Recipe,
    data: Dataset,
    out: Path,
    device: torch.device,
    *,
    resume: bool = False,
    watch: Watch = lambda name, progress: None,
    checkpoint_seconds: float = 30,
) -> dict[str, Any]:
    """Train a recipe into the folder `out/<its name>`, evaluate it, write its files, and return its metrics.

    The folder gets metrics.json, the pictures, report.html, and one folder for each variant. Variants that also belong
    to the recipe it is made `of` live in that recipe's folder and are trained only once. With `resume`, a finished
    recipe is left unchanged; if only its metrics.json is missing, it is evaluated again. Under torchrun every process
    trains, and the first one does everything else; the other processes return an empty dictionary.

    Raises ConvarithError for an unknown evaluation, and the errors of `train`.
    """
    for name in recipe.evaluations:
        if name not in EVALUATIONS:
            raise ConvarithError(f"{recipe.name}: unknown evaluation {name!r}: {nearest(name, EVALUATIONS)}")
    recipe = _on_data(recipe, data.name)
    folder = out / recipe.name
    if resume and (finished := _finished(folder, recipe)):
        return finished
    variants, records = [], []
    for label, settings in recipe.variants():
        place, shared = _folder_of(recipe, label, settings, out)
        images = data.training(settings.images, settings.validation, settings.digit)
        name = f"{place.parent.name} {label}".strip()
        result = _train_variant(
            settings, images, data, place, device, resume=resume or shared, watch=partial(watch, name),
            checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
        trained_on = images[int(settings.validation * len(images)) :].to(device)
        variants.append(TrainedVariant(label, settings, result.model, place, trained_on))
        records.append({"label": label, "settings": asdict(settings), **_record(result, settings, device)})
    if not is_first():
        return {}
    context = EvaluationContext(variants, data.to(device), folder, recipe.options)
    if all(record["history"] for record in records):
        lines = {record["label"] or recipe.name: [epoch["fit"] for epoch in record["history"]] for record in records}
        path = context.show("curves.png", "fit to the training images in nats per image, after each epoch")
        pictures.curves(path, lines, "fit, nats")
    for name in recipe.evaluations:
        EVALUATIONS[name](context)
    for record in records:
        record["seconds"] = round(record["seconds"] + context.seconds.get(record["label"], 0), 2)
    metrics = {
        "recipe": recipe.name, "about": recipe.about, "lecture": recipe.lecture,
        "data": data.name, "source": data.source,
        "numbers": [_judged(number, recipe, data.name, records) for number in context.numbers],
        "variants": records, "versions": versions(), "pictures": [picture._asdict() for picture in context.pictures],
    }  # fmt: skip
    write_metrics(folder, metrics)
    write_whole(folder / "report.html", recipe_page(metrics, folder))
    write_whole(out / "index.html", suite_page(gather([out], names()), linked=True))
    return metrics


def is_first() -> bool:
    """Whether this is the only process, or the first of several under torchrun."""
    return os.environ.get("RANK", "0") == "0"


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that influence the numbers."""
    return {"convarith": convarith.__version__, "python": platform.python_version(), "torch": torch.__version__}


def layer_table(model: Model) -> list[dict[str, Any]]:
    """The layers of a model, each with its name, layer, output, parameters and macs."""
    return [
        {"name": row.name, "layer": str(row.layer), "output": times(row.output[1:]), "parameters": row.parameters}
        | {"macs": row.macs}
        for row in model.trace().rows
    ]


def _on_data(recipe: Recipe, data: str) -> Recipe:
    """The recipe with this data set; its name changes unless this is its own data set or the digits that replace it.

    >>> [_on_data(read_recipe("sdae"), data).name for data in ("mnist", "digits", "rot")]
    ['sdae', 'sdae', 'sdae-rot']
    """
    known = data.removesuffix("-digits") in (recipe.settings.dataset, "digits")
    name = recipe.name if known else f"{recipe.name}-{data}"
    return replace(recipe.with_changes({"dataset": data}), name=name)


def _finished(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The metrics in a folder if they are of this recipe with the same settings, else None."""
    if not (folder / METRICS).exists():
        return None
    metrics = read_metrics(folder / METRICS)
    # A setting that did not exist yet when the model was trained gets its default.
    before = [Settings(**variant["settings"]) for variant in metrics["variants"]]
    return metrics if before == [settings for _, settings in recipe.variants()] else None


def _folder_of(recipe: Recipe, label: str, settings: Settings, out: Path) -> tuple[Path, bool]:
    """The folder of a variant, and whether it belongs to another recipe."""
    if recipe.of:
        base = _on_data(read_recipe(recipe.of), recipe.settings.dataset).with_changes(recipe.changes)
        for other, same in base.variants():
            if same == settings:
                return out / base.name / (other or "model"), True
    return out / recipe.name / (label or "model"), False


def _train_variant(
    settings: Settings, images: Tensor, data: Dataset, folder: Path, device: torch.device, *, resume: bool,
    watch: Callable[[Progress], None], checkpoint_seconds: float,
) -> TrainingResult:  # fmt: skip
    """Train one variant, or continue its training, and save the model in its folder."""
    if not resume and (folder / checkpoints.LAST).exists():
        raise ConvarithError(
            f"{folder} already contains a training: continue it with --resume, or choose another folder with --out"
        )
    shown = as_float(data.test[:24]).to(device)

    @torch.no_grad()
    def frame(model: Model, epoch: int) -> None:
        if shown.ndim == 4 and not settings.restores:
            picture = pictures.grid([("originals", shown), (f"after epoch {epoch + 1}", model(shown))])
            pictures.save(folder / f"epoch-{epoch + 1:04}.png", picture)

    result = train(
        settings, images, folder, device, resume=resume, watch=watch, each_epoch=frame,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    if is_first():
        save_model(folder, result.model, settings)
    return result


def _record(result: TrainingResult, settings: Settings, device: torch.device) -> dict[str, Any]:
    """How a training went: its device, speed, work, and the fraction of the device's peak that it reached."""
    dtype = devices.precision_of(settings.precision, device)
    flops = result.model.training_flops
    peak = devices.peak_flops(device, dtype)
    return {
        "epochs": len(result.history),
        "seconds": round(result.seconds, 2),
        "images_per_second": round(result.images_per_second, 1),
        "parameters": sum(weight.numel() for weight in result.model.parameters()),
        "flops_per_step": flops * settings.batch,
        "peak_flops_per_second": round(peak),
        "fraction_of_peak": round(flops * result.images_per_second / peak, 4),
        "device": devices.describe(device),
        "precision": str(dtype).removeprefix("torch."),
        "history": result.history,
        "layers": layer_table(result.model),
    }


def _judged(number: Number, recipe: Recipe, data: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """A number with its published value, its verdict, and how the variant that it belongs to was trained."""
    record = next(record for record in records if record["label"] == number.variant or not number.variant)
    value, source = recipe.target(number.metric, number.variant, data) or (None, "")
    return {
        **number._asdict(), "published": value, "published_source": source, "seed": record["settings"]["seed"],
        "epochs": record["epochs"], "seconds": record["seconds"],
        "verdict": verdict(number.value, number.lower_is_better, number.baseline, value),
    }  # fmt: skip
