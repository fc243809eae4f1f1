"""Evaluations of networks that restore or enlarge images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convarith_gallery.autoencoders.datasets.corruptions import corrupted
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.datasets.natural import pictures as natural_pictures
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number, TrainedVariant
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.restore.tiling import restored

SIMILARITY_IMAGES = 100
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
ENLARGED = {"test": "photographs", "drawings": "drawings"}
"""The parts of the natural pictures that are enlarged whole, and what they show."""
DETAIL = 160
"""The side in pixels of the detail that is shown of an enlarged picture."""


def psnr(answers: Tensor, clean: Tensor) -> float:
    """The peak signal-to-noise ratio in dB of images (N, ...) from 0 to 1: the mean over images of -10 log10 MSE.

    >>> psnr(torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.1))
    20.0
    """
    errors = (answers.clamp(0, 1) - clean).square().flatten(1).mean(1).double().cpu()
    return round(float((-10 * errors.clamp(min=1e-10).log10()).mean()), 6)


def similarity(answers: Tensor, clean: Tensor) -> float:
    """The mean structural similarity (SSIM) of images (N, C, H, W) from 0 to 1.

    >>> similarity(torch.eye(16)[None, None], torch.eye(16)[None, None])
    1.0
    """
    from skimage.metrics import structural_similarity

    pairs = zip(answers.clamp(0, 1).cpu().numpy(), clean.cpu().numpy(), strict=True)
    return float(np.mean([structural_similarity(*pair, channel_axis=0, data_range=1.0) for pair in pairs]))


def enlarged(images: Tensor, scale: int, mode: str) -> Tensor:
    """Images (N, C, H, W) enlarged `scale` times by one of torch's interpolation modes."""
    return functional.interpolate(images, scale_factor=scale, mode=mode).clamp(0, 1)


@torch.no_grad()
def answered(variant: TrainedVariant, stored: Tensor, size: int = 100) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs of a restorer for stored items, its outputs, and the clean items. The noise is always the same."""
    model = variant.restorer
    generator = torch.Generator(stored.device).manual_seed(0)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in torch.split(stored, size):
        items = as_float(part)
        given, targets = model.examples(items, generator)
        found.append((given, model(given).float(), targets if variant.settings.targets == "pairs" else items))
    given, answers, clean = (torch.cat(parts) for parts in zip(*found, strict=True))
    return given, answers, clean


def restoration(context: EvaluationContext) -> None:
    """Restored test items, compared with the network's input or with interpolations of it."""
    by_targets = {}
    for variant in context.variants:
        settings, label = variant.settings, variant.label
        given, answers, clean = answered(variant, context.data.test)
        scale = variant.restorer.scales[0]
        plain = {"identity": given} if scale == 1 else {mode: enlarged(given, scale, mode) for mode in INTERPOLATIONS}
        best = list(plain)[-1]
        error, baseline = (float((each - clean).square().mean()) for each in (answers, plain[best]))
        context.add(Number("test MSE", error, label, baseline, best))
        if clean.ndim == 4:
            ratio = psnr(answers, clean)
            for other, values in plain.items():
                context.add(Number(f"PSNR vs. {other}, dB", ratio, label, psnr(values, clean), other, False))
            some = slice(0, SIMILARITY_IMAGES)
            likeness = [similarity(each[some], clean[some]) for each in (answers, plain[best])]
            context.add(Number("SSIM", likeness[0], label, likeness[1], best, False))
            by_targets[settings.targets] = (ratio, label)
            name = "clean" if settings.targets != "pairs" else "the other picture of each pair"
            shown = [(name, clean), (f"input: {settings.corruption or 'noisy'} {settings.level:g}", given)]
            shown += [] if scale == 1 else list(plain.items())[1:]
            rows = [(row, values[:24]) for row, values in (*shown, ("restored", answers))]
            digits = clean.shape[2:] == (28, 28)
            grid = pictures.grid(rows, columns=12 if digits else 6, negative=digits)
            caption = f"{label}: restored test images" if label else "restored test images"
            context.show(variant.file_name("restored"), caption, grid)
        elif clean.ndim == 3:
            noise, left = ((each - clean).square().sum((1, 2)).clamp(min=1e-9) for each in (given, answers))
            gain = float((10 * (noise / left).log10()).mean())
            context.add(Number("SNR gain, dB", gain, label, 0.0, "identity", lower_is_better=False))
    if {"clean", "noisy"} <= by_targets.keys():
        gap = by_targets["clean"][0] - by_targets["noisy"][0]
        context.add(Number("PSNR lost by noisy targets, dB", gap, by_targets["noisy"][1]))


def enlargement(context: EvaluationContext) -> None:
    """Whole pictures that were not used for training, reduced and enlarged again, compared with interpolation."""
    for variant in context.variants:
        label = variant.label
        for scale in variant.restorer.scales:
            for part, kind in ENLARGED.items():
                ratios, rows = _enlarged_pictures(variant, part, scale, context.data.test.device)
                own, best = (sum(ratios[mode]) / len(ratios[mode]) for mode in ("model", "bicubic"))
                context.add(
                    Number(f"PSNR x{scale} of {kind}, dB", own, label, best, "bicubic", lower_is_better=False),
                    Number(f"dB above bicubic, {kind} x{scale}", own - best, label, lower_is_better=False),
                )
                caption = f"the centre of {kind} that were not used for training, enlarged {scale} times"
                context.show(f"enlarged-{kind}-x{scale}.png", caption, pictures.grid(rows, negative=False))


def _enlarged_pictures(
    variant: TrainedVariant, part: str, scale: int, device: torch.device
) -> tuple[dict[str, list[float]], list[tuple[str, Tensor]]]:
    """The PSNR of each picture of the part for each way to enlarge it, and the rows of a grid that shows them."""
    model = variant.restorer
    found = natural_pictures(part, colour=model.given_shape[0] == 3)
    ratios: dict[str, list[float]] = {}
    rows = []
    for name, picture in zip(found.names, found.pictures, strict=True):
        height, width = (extent // scale * scale for extent in picture.shape[1:])
        clean = as_float(picture[:, :height, :width])[None].to(device)
        small = corrupted("reduce", clean, scale)
        made = {mode: enlarged(small, scale, mode) for mode in INTERPOLATIONS}
        made["model"] = restored(model.at(scale), small[0])[None]
        inner = (..., slice(scale, -scale), slice(scale, -scale))  # papers leave the border out, too
        for mode, values in made.items():
            ratios.setdefault(mode, []).append(psnr(values[inner], clean[inner]))
        best, own = ratios["bicubic"][-1], ratios["model"][-1]
        label = f"{name}: reduced {scale} times, bicubic ({best:.2f} dB), network ({own:.2f} dB), original"
        shown = torch.cat([made["nearest"], made["bicubic"], made["model"], clean])
        rows.append((label, _centre(shown, DETAIL)))
    return ratios, rows


def _centre(images: Tensor, side: int) -> Tensor:
    """The central square of images (N, C, H, W), with `side` pixels along each axis."""
    top, left = ((extent - side) // 2 for extent in images.shape[2:])
    return images[:, :, top : top + side, left : left + side]
