"""A recipe from beginning to end: train every variant, evaluate, draw, write the folder."""

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
from convarith_gallery.autoencoders.datasets.load import Dataset, as_float
from convarith_gallery.autoencoders.evaluation.evaluations import EVALUATIONS, Evaluator, Run
from convarith_gallery.autoencoders.evaluation.restoration import RESTORATIONS
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Recipe, Settings, names, read_recipe
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.reporting.pages import recipe_page, suite_page
from convarith_gallery.autoencoders.reporting.results import METRICS, gather, read_metrics, verdict, write_metrics
from convarith_gallery.autoencoders.run_files import write_whole
from convarith_gallery.autoencoders.training import checkpoints, devices
from convarith_gallery.autoencoders.training.checkpoints import Checkpoint
from convarith_gallery.autoencoders.training.loop import Progress, Trained, build, train
from convarith_gallery.autoencoders.training.pretraining import pretraining

MODEL = "model.safetensors"
KNOWN = EVALUATIONS | RESTORATIONS | {"pretraining": pretraining}

Watch = Callable[[str, Progress], None]
"""Told of every step, with the name of what is trained."""


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
    """Train a recipe into `out`/its name, evaluate it, write metrics.json, pictures and report.html; the metrics.

    Trainings that the recipe shares with the one it is made `of` are taken from there, or left there. With `resume` a
    recipe that is done is left as it is; without its metrics.json it is evaluated anew. Under torchrun
    every process trains and the first one does the rest; the others get no metrics.

    Raises ConvarithError for an unknown evaluation, and what `train` raises.
    """
    for name in recipe.evaluations:
        if name not in KNOWN:
            raise ConvarithError(f"{recipe.name}: unknown evaluation {name!r}: {nearest(name, KNOWN)}")
    recipe = _on(recipe, data.name)
    folder = out / recipe.name
    if resume and (done := _done(folder, recipe)):
        return done
    runs, records = [], []
    for label, settings in recipe.variants():
        place, shared = _folder_of(recipe, label, settings, out)
        images = data.training(settings.images, settings.validation, settings.digit)
        name = f"{place.parent.name} {label}".strip()
        trained = _trained(
            settings, images, data, place, device, resume=resume or shared, watch=partial(watch, name),
            checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
        seen = images[int(settings.validation * len(images)) :].to(device)
        runs.append(Run(label, settings, trained.model, place, seen))
        records.append({"label": label, "settings": asdict(settings), **_record(trained, settings, device)})
    if not is_first():
        return {}
    evaluator = Evaluator(runs, data.to(device), folder, recipe.options)
    if all(record["history"] for record in records):
        lines = {record["label"] or recipe.name: [epoch["fit"] for epoch in record["history"]] for record in records}
        pictures.curves(evaluator.show("curves.png", "fit to the training images, nats an image"), lines, "fit, nats")
    for name in recipe.evaluations:
        KNOWN[name](evaluator)
    for record in records:
        record["seconds"] = round(record["seconds"] + evaluator.seconds.get(record["label"], 0), 2)
    metrics = {
        "recipe": recipe.name, "about": recipe.about, "lecture": recipe.lecture,
        "data": data.name, "source": data.source,
        "numbers": [_judged(number, recipe, data.name, records) for number in evaluator.numbers],
        "runs": records, "versions": versions(), "pictures": [picture._asdict() for picture in evaluator.pictures],
    }  # fmt: skip
    write_metrics(folder, metrics)
    write_whole(folder / "report.html", recipe_page(metrics, folder))
    write_whole(out / "index.html", suite_page(gather([out], names()), linked=True))
    return metrics


def is_first() -> bool:
    """Is this the only process, or the first of several under torchrun?"""
    return os.environ.get("RANK", "0") == "0"


def versions() -> dict[str, str]:
    """What ran: Python and the packages that decide numbers."""
    return {"convarith": convarith.__version__, "python": platform.python_version(), "torch": torch.__version__}


def layer_table(model: Autoencoder | Restorer) -> list[dict[str, Any]]:
    """The model's layers: name, layer, output, params, macs."""
    return [
        {"name": row.name, "layer": str(row.layer), "output": times(row.output[1:]), "parameters": row.parameters}
        | {"macs": row.macs}
        for row in model.trace().rows
    ]


def load_model(folder: Path, device: torch.device | None = None) -> Autoencoder | Restorer:
    """The trained model of a run folder, in evaluation mode. Raises ConvarithError where there is none.

    The weights are in model.safetensors, the settings that build the model in its metadata.
    """
    saved = checkpoints.read_file(folder / MODEL)
    model = build(Settings(**saved.state["settings"]), tuple(saved.state["shape"]))
    model.load_state_dict(saved.tensors)
    return model.to(device or "cpu").eval()


def _on(recipe: Recipe, data: str) -> Recipe:
    """The recipe on this data; on other data than its file names, or the stand-in for that, it has a name of its own.

    >>> [_on(read_recipe("sdae"), data).name for data in ("mnist", "digits", "rot")]
    ['sdae', 'sdae', 'sdae-rot']
    """
    known = data.removesuffix("-digits") in (recipe.settings.dataset, "digits")
    name = recipe.name if known else f"{recipe.name}-{data}"
    return replace(recipe.with_changes({"dataset": data}), name=name)


def _done(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The metrics of a recipe that was trained with these settings and evaluated."""
    if not (folder / METRICS).exists():
        return None
    metrics = read_metrics(folder / METRICS)
    before = [Settings(**run["settings"]) for run in metrics["runs"]]  # a setting that came later stood at its default
    return metrics if before == [settings for _, settings in recipe.variants()] else None


def _folder_of(recipe: Recipe, label: str, settings: Settings, out: Path) -> tuple[Path, bool]:
    """Where a training lives, and whether it is another recipe's."""
    if recipe.of:
        base = _on(read_recipe(recipe.of), recipe.settings.dataset).with_changes(recipe.changes)
        for other, same in base.variants():
            if same == settings:
                return out / base.name / (other or "model"), True
    return out / recipe.name / (label or "model"), False


def _trained(
    settings: Settings, images: Tensor, data: Dataset, folder: Path, device: torch.device, *, resume: bool,
    watch: Callable[[Progress], None], checkpoint_seconds: float,
) -> Trained:  # fmt: skip
    """Train one variant, or go on with it; its folder holds the model then."""
    if not resume and (folder / checkpoints.LAST).exists():
        raise ConvarithError(f"{folder} holds a training already: go on with --resume, or give another --out")
    shown = as_float(data.test[:24]).to(device)

    @torch.no_grad()
    def frame(model: Any, epoch: int) -> None:
        if shown.ndim == 4 and not settings.restores:
            picture = pictures.grid([("originals", shown), (f"after epoch {epoch + 1}", model(shown))])
            pictures.save(folder / f"epoch-{epoch + 1:04}.png", picture)

    trained = train(
        settings, images, folder, device, resume=resume, watch=watch, each_epoch=frame,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    if is_first():
        state = {"settings": asdict(settings), "shape": list(images.shape[1:])}
        checkpoints.write_file(folder / MODEL, Checkpoint(dict(trained.model.state_dict()), state))
    return trained


def _record(trained: Trained, settings: Settings, device: torch.device) -> dict[str, Any]:
    """How a training went: device, speed, work, and how near that is to what the device can do."""
    dtype = devices.precision_of(settings.precision, device)
    flops = trained.model.training_flops
    peak = devices.peak_flops(device, dtype)
    return {
        "epochs": len(trained.history),
        "seconds": round(trained.seconds, 2),
        "images_per_second": round(trained.images_per_second, 1),
        "parameters": sum(weight.numel() for weight in trained.model.parameters()),
        "flops_per_step": flops * settings.batch,
        "peak_flops_per_second": round(peak),
        "fraction_of_peak": round(flops * trained.images_per_second / peak, 4),
        "device": devices.describe(device),
        "precision": str(dtype).removeprefix("torch."),
        "history": trained.history,
        "layers": layer_table(trained.model),
    }


def _judged(number: Any, recipe: Recipe, data: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """A number with what it is compared with, and the training it is of."""
    record = next(record for record in records if record["label"] == number.variant or not number.variant)
    value, source = recipe.target(number.metric, number.variant, data) or (None, "")
    return {
        **number._asdict(), "published": value, "published_source": source, "seed": record["settings"]["seed"],
        "epochs": record["epochs"], "seconds": record["seconds"],
        "verdict": verdict(number.value, number.lower_is_better, number.baseline, value),
    }  # fmt: skip
