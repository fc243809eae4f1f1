"""The evaluations of what restores, enlarges, finds the odd one out, or says what every pixel shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convarith.checkerboards import artefacts
from convarith_gallery.autoencoders.datasets.corruptions import corrupted
from convarith_gallery.autoencoders.datasets.load import as_float
from convarith_gallery.autoencoders.evaluation.baselines import fit_pca
from convarith_gallery.autoencoders.evaluation.evaluations import Evaluator, Number, Run
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.loop import build

SIMILARITY_IMAGES = 100
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
ENLARGED = {"test": "photographs", "drawings": "drawings"}
"""The parts of the pictures that whole ones are enlarged of, and what they show."""
DETAIL = 160
"""Pixels on a side of what is shown of an enlarged picture."""


def psnr(answers: Tensor, clean: Tensor) -> float:
    """The peak signal-to-noise ratio of images in 0..1 in dB: the mean over images (N, ...) of -10 log10 MSE.

    >>> psnr(torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.1))
    20.0
    """
    errors = (answers.clamp(0, 1) - clean).square().flatten(1).mean(1).double().cpu()
    return round(float((-10 * errors.clamp(min=1e-10).log10()).mean()), 6)


def similarity(answers: Tensor, clean: Tensor) -> float:
    """The mean structural similarity (SSIM) of images (N, C, H, W) in 0..1.

    >>> similarity(torch.eye(16)[None, None], torch.eye(16)[None, None])
    1.0
    """
    from skimage import metrics

    measure: Any = metrics.structural_similarity
    pairs = zip(answers.clamp(0, 1).cpu().numpy(), clean.cpu().numpy(), strict=True)
    return float(np.mean([measure(*pair, channel_axis=0, data_range=1.0) for pair in pairs]))


def enlarged(images: Tensor, scale: int, mode: str) -> Tensor:
    """Images (N, C, H, W) so many times larger, by torch's interpolation of this name."""
    return functional.interpolate(images, scale_factor=scale, mode=mode).clamp(0, 1)


@torch.no_grad()
def answered(run: Run, stored: Tensor, size: int = 100) -> tuple[Tensor, Tensor, Tensor]:
    """What a restorer is given of stored items, its answers, and the clean ones; the noise is always the same."""
    generator = torch.Generator(stored.device).manual_seed(0)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in torch.split(stored, size):
        items = as_float(part)
        given, targets = run.model.examples(items, generator)
        found.append((given, run.model(given).float(), targets if run.settings.targets == "pairs" else items))
    given, answers, clean = (torch.cat(parts) for parts in zip(*found, strict=True))
    return given, answers, clean


def restoration(on: Evaluator) -> None:
    """Restored test items beside what the network was given, or beside what interpolation makes of it."""
    by_targets = {}
    for run in on.runs:
        given, answers, clean = answered(run, on.data.test)
        scale = run.model.scales[0]
        name = "clean" if run.settings.targets != "pairs" else "the other picture"
        plain = {"identity": given} if scale == 1 else {mode: enlarged(given, scale, mode) for mode in INTERPOLATIONS}
        best = list(plain)[-1]
        error, baseline = (float((each - clean).square().mean()) for each in (answers, plain[best]))
        on.add(Number("test MSE", error, run.label, baseline, best))
        if clean.ndim == 4:
            for other, values in plain.items():
                on.add(
                    Number(
                        f"PSNR beside {other}, dB", psnr(answers, clean), run.label, psnr(values, clean), other, False
                    )
                )
            some = slice(0, SIMILARITY_IMAGES)
            likeness = [similarity(each[some], clean[some]) for each in (answers, plain[best])]
            on.add(Number("SSIM", likeness[0], run.label, likeness[1], best, False))
            by_targets[run.settings.targets] = (psnr(answers, clean), run.label)
            shown = [(name, clean), (f"given: {run.settings.corruption or 'noisy'} {run.settings.level:g}", given)]
            shown += [] if scale == 1 else list(plain.items())[1:]
            rows = [(label, values[:24]) for label, values in (*shown, ("restored", answers))]
            digits = clean.shape[2:] == (28, 28)
            grid = pictures.grid(rows, columns=12 if digits else 6, negative=digits)
            on.show(f"restored-{run.label}.png" if run.label else "restored.png", f"{run.label} test images", grid)
        elif clean.ndim == 3:
            noise, left = ((each - clean).square().sum((1, 2)).clamp(min=1e-9) for each in (given, answers))
            gain = float((10 * (noise / left).log10()).mean())
            on.add(Number("SNR gain, dB", gain, run.label, 0.0, "identity", lower_is_better=False))
    if {"clean", "noisy"} <= by_targets.keys():
        gap = by_targets["clean"][0] - by_targets["noisy"][0]
        on.add(Number("PSNR lost by noisy targets, dB", gap, by_targets["noisy"][1]))


def enlargement(on: Evaluator) -> None:
    """Whole pictures that no crop was trained on, made small and enlarged again in pieces, beside interpolation."""
    for run in on.runs:
        for scale in run.model.scales:
            for part, kind in ENLARGED.items():
                ratios, rows = _enlarged(run, part, scale, on.data.test.device)
                own, best = (sum(ratios[mode]) / len(ratios[mode]) for mode in ("model", "bicubic"))
                on.add(
                    Number(f"PSNR x{scale} of {kind}, dB", own, run.label, best, "bicubic", lower_is_better=False),
                    Number(f"dB above bicubic, {kind} x{scale}", own - best, run.label, lower_is_better=False),
                )
                caption = f"the middle of {kind} of which nothing was trained on, {scale} times enlarged"
                on.show(f"enlarged-{kind}-x{scale}.png", caption, pictures.grid(rows, negative=False))


def _enlarged(
    run: Run, part: str, scale: int, device: torch.device
) -> tuple[dict[str, list[float]], list[tuple[str, Tensor]]]:
    """The PSNR of each picture of the part by every way to enlarge it, and rows that show them."""
    from convarith_gallery.autoencoders.datasets.natural import pictures as natural_pictures
    from convarith_gallery.autoencoders.restore.tiling import restored

    found = natural_pictures(part, colour=run.model.given_shape[0] == 3)
    ratios: dict[str, list[float]] = {}
    rows = []
    for name, picture in zip(found.names, found.pictures, strict=True):
        height, width = (extent // scale * scale for extent in picture.shape[1:])
        clean = as_float(picture[:, :height, :width])[None].to(device)
        small = corrupted("reduce", clean, scale)
        made = {mode: enlarged(small, scale, mode) for mode in INTERPOLATIONS}
        made["model"] = restored(run.model.at(scale), small[0])[None]
        inner = (..., slice(scale, -scale), slice(scale, -scale))  # as papers leave the border out
        for mode, values in made.items():
            ratios.setdefault(mode, []).append(psnr(values[inner], clean[inner]))
        best, own = ratios["bicubic"][-1], ratios["model"][-1]
        label = f"{name}, {scale} times smaller, by bicubic interpolation ({best:.2f} dB), "
        shown = torch.cat([made["nearest"], made["bicubic"], made["model"], clean])
        rows.append((f"{label}by the network ({own:.2f} dB), original", _middle(shown, DETAIL)))
    return ratios, rows


def _middle(images: Tensor, side: int) -> Tensor:
    """The square of so many pixels in the middle of images (N, C, H, W)."""
    top, left = ((extent - side) // 2 for extent in images.shape[2:])
    return images[:, :, top : top + side, left : left + side]


def anomaly(on: Evaluator) -> None:
    """How well the error of what comes back tells the digit that was trained on from the nine others."""
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    found, plain = [], []
    for run in on.runs:
        odd = (on.data.test_labels != run.settings.digit).cpu().numpy()
        with torch.no_grad():
            errors = torch.cat([run.model.squared_errors(as_float(part)) for part in torch.split(on.data.test, 500)])
        pca = fit_pca(run.seen)
        items = as_float(on.data.test)
        back = pca.decode(pca.codes(items, run.model.latent))
        straight = (back - items).square().flatten(1).mean(1)
        found.append(float(roc_auc_score(odd, errors.cpu().numpy())))
        plain.append(float(roc_auc_score(odd, straight.cpu().numpy())))
        on.add(Number("AUROC", found[-1], run.label, plain[-1], f"PCA-{run.model.latent}", lower_is_better=False))
        strangest = errors.argsort(descending=True)[:12]
        usual = errors.argsort()[:12]
        with torch.no_grad():
            rows = [
                (f"{run.label}: the least error", items[usual]), ("comes back", run.model(items[usual])),
                ("the most", items[strangest]), ("comes back", run.model(items[strangest])),
            ]  # fmt: skip
        on.show(f"anomalies-{run.label}.png", f"{run.label}: the usual and the strange", pictures.grid(rows))
    if len(found) > 1:
        means = [sum(each) / len(each) for each in (found, plain)]
        on.add(Number("mean AUROC", means[0], "", means[1], f"PCA-{on.runs[0].model.latent}", lower_is_better=False))


def confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """How many items of each class (rows) were called each (columns): (classes, classes).

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([[1, 1],
            [0, 1]])
    """
    return torch.bincount(truth.flatten() * classes + predicted.flatten(), minlength=classes**2).reshape(classes, -1)


def mean_overlap(counts: Tensor) -> float:
    """The mean over classes of intersection over union, from a confusion matrix; classes that are nowhere left out.

    >>> mean_overlap(torch.tensor([[1, 1], [0, 1]]))
    0.5
    """
    both = counts.diagonal().double()
    either = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return float((both[either > 0] / either[either > 0]).mean())


@torch.no_grad()
def segmentation(on: Evaluator) -> None:
    """Pixels named rightly, and the mean overlap of classes, beside calling everything background."""
    rows: list[tuple[str, Tensor]] = []
    overlaps: dict[str, float] = {}
    for run in on.runs:
        classes = run.settings.classes
        given, logits, items = answered(run, on.data.test)
        truth, predicted = (items[:, -1] * 255).round().long(), logits.argmax(1)
        counts, blank = (confusion(each, truth, classes).cpu() for each in (predicted, torch.zeros_like(truth)))
        for metric, measure in (("pixel accuracy", _accuracy), ("mean IoU", mean_overlap)):
            on.add(Number(metric, measure(counts), run.label, measure(blank), "all background", lower_is_better=False))
        overlaps[run.settings.upsample] = mean_overlap(counts)
        drawn = int((counts - counts.diagonal().diag())[1:].sum())
        rows = rows or [("pictures", given[:SHOWN].expand(-1, 3, -1, -1)), ("classes", coloured(truth[:SHOWN]))]
        rows.append((f"{run.label}: {drawn:,} pixels of strokes wrong", coloured(predicted[:SHOWN])))
    indices = overlaps.pop("unpool", None)
    if indices is not None and overlaps:
        best = max(overlaps, key=overlaps.__getitem__)
        on.add(Number("mean IoU with indices", indices, "", overlaps[best], f"{best}, without", lower_is_better=False))
    on.show(
        "classes.png",
        "pictures, the class of every pixel, and what the networks say",
        pictures.grid(rows, negative=False),
    )


def coloured(classes: Tensor) -> Tensor:
    """Classes (N, H, W) as colours (N, 3, H, W): 0 is white, the others are those of matplotlib's tab10, in turn.

    >>> coloured(torch.tensor([[[0, 1]]]))[0, :, 0, 1]
    tensor([0.1216, 0.4667, 0.7059])
    """
    from matplotlib import colormaps

    colours = torch.tensor([*colormaps["tab10"].colors])  # type: ignore[attr-defined]
    table = torch.cat((torch.ones(1, 3), colours)).to(classes.device)
    return table[torch.where(classes > 0, 1 + (classes - 1) % len(colours), 0)].movedim(-1, 1)


SHOWN = 24


def _accuracy(counts: Tensor) -> float:
    return float(counts.diagonal().sum() / counts.sum())


def checkerboards(on: Evaluator) -> None:
    """How strong a checkerboard each layer that grows back leaves, before training and after."""
    for run in on.runs:
        before = _strengths(build(run.settings, run.model.input_shape))
        for name, strength in _strengths(run.model).items():
            on.add(Number(f"checkerboard of {name}", strength, run.label, before[name], "before training"))


def _strengths(model: Any) -> dict[str, float]:
    """The strength at each layer of a restorer's network, or of an autoencoder's decoder."""
    network = model.at() if hasattr(model, "at") else model.decoder
    weights = {name: weight.cpu() for name, weight in network.state_dict().items()}
    return {each.name: float(each.strength) for each in artefacts.strengths(network, weights).artefacts}


@torch.no_grad()
def field(on: Evaluator) -> None:
    """Where noisy points of the plane are sent, beside the mean of the points they can have been."""
    run = on.runs[0]
    clean = as_float(on.data.train)
    axis = torch.linspace(-1.5, 1.5, 25, device=clean.device)
    places = torch.cartesian_prod(axis, axis)
    means = posterior_mean(places, clean, run.settings.level)
    near = torch.cdist(places, clean).amin(1) < 3 * run.settings.level
    sent = run.model(places)
    distance = float((sent - means)[near].square().sum(1).mean().sqrt())
    idle = float((places - means)[near].square().sum(1).mean().sqrt())
    on.add(Number("distance to E[X | noisy X], RMS", distance, run.label, idle, "identity"))
    path = on.show("field.png", "noisy points, where the network sends them, and E[X | noisy X]: in the opening of the "
                   "circle the best answer in the mean is a place where no point is")  # fmt: skip
    pictures.arrows(
        path, clean, {"the network": (places[near], sent[near]), "E[X | noisy X]": (places[near], means[near])}
    )


def posterior_mean(places: Tensor, clean: Tensor, deviation: float) -> Tensor:
    """E[X | X + noise = place] for places (M, D) where X is one of the clean points (N, D), all as likely: (M, D).

    >>> posterior_mean(torch.zeros(1, 2), torch.tensor([[1.0, 1.0], [-1.0, 1.0]]), 0.5)
    tensor([[0., 1.]])
    """
    weights = (-torch.cdist(places, clean).square() / (2 * deviation**2)).softmax(1)
    return weights @ clean


def filters(on: Evaluator) -> None:
    """The weights of the first layer as pictures, each stretched to its own range."""
    rows = []
    for run in on.runs:
        network = run.model.at() if hasattr(run.model, "at") else run.model
        weights = next(weight for weight in network.parameters() if weight.ndim > 1).detach()
        side = round((weights[0].numel() / on.data.shape[0]) ** 0.5)
        tiles = weights.reshape(len(weights), -1, side, side)[:, :1]
        low, high = tiles.flatten(1).amin(1), tiles.flatten(1).amax(1)
        shown = (tiles - low[:, None, None, None]) / (high - low).clamp(min=1e-9)[:, None, None, None]
        rows.append((run.label or "filters", shown[:48]))
    on.show("filters.png", "the first layer's weights", pictures.grid(rows, columns=12, negative=False))


RESTORATIONS: dict[str, Callable[[Evaluator], None]] = {
    function.__name__: function
    for function in (restoration, enlargement, anomaly, segmentation, checkerboards, field, filters)
}
"""By the name a recipe gives."""
