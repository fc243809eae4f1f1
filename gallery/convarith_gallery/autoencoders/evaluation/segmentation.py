"""Evaluation of networks that classify every pixel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.evaluation.restoration import answered
from convarith_gallery.autoencoders.reporting import pictures

SHOWN = 24


@torch.no_grad()
def segmentation(context: EvaluationContext) -> None:
    """Pixel accuracy and mean IoU, compared with predicting the background everywhere."""
    rows: list[tuple[str, Tensor]] = []
    overlaps: dict[str, float] = {}
    for variant in context.variants:
        classes, label = variant.settings.classes, variant.label
        given, logits, items = answered(variant, context.data.test)
        truth, predicted = (items[:, -1] * 255).round().long(), logits.argmax(1)
        counts, blank = (confusion(each, truth, classes).cpu() for each in (predicted, torch.zeros_like(truth)))
        for metric, measure in (("pixel accuracy", pixel_accuracy), ("mean IoU", mean_overlap)):
            context.add(Number(metric, measure(counts), label, measure(blank), "all background", lower_is_better=False))
        overlaps[variant.settings.upsample] = mean_overlap(counts)
        missed = int((counts - counts.diagonal().diag())[1:].sum())
        rows = rows or [("pictures", given[:SHOWN].expand(-1, 3, -1, -1)), ("classes", coloured(truth[:SHOWN]))]
        rows.append((f"{label}: {missed:,} stroke pixels misclassified", coloured(predicted[:SHOWN])))
    indices = overlaps.pop("unpool", None)
    if indices is not None and overlaps:
        best = max(overlaps, key=overlaps.__getitem__)
        name = f"{best}, without indices"
        context.add(Number("mean IoU with indices", indices, "", overlaps[best], name, lower_is_better=False))
    caption = "pictures, the class of every pixel, and the predictions of the networks"
    context.show("classes.png", caption, pictures.grid(rows, negative=False))


def confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """The confusion matrix (classes, classes): true classes in rows, predicted classes in columns.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([[1, 1],
            [0, 1]])
    """
    return torch.bincount(truth.flatten() * classes + predicted.flatten(), minlength=classes**2).reshape(classes, -1)


def mean_overlap(counts: Tensor) -> float:
    """The intersection over union of a confusion matrix, averaged over the classes that occur.

    >>> mean_overlap(torch.tensor([[1, 1], [0, 1]]))
    0.5
    """
    both = counts.diagonal().double()
    either = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return float((both[either > 0] / either[either > 0]).mean())


def pixel_accuracy(counts: Tensor) -> float:
    """The share of correct predictions in a confusion matrix.

    >>> pixel_accuracy(torch.tensor([[2, 1], [0, 1]]))
    0.75
    """
    return float(counts.diagonal().sum() / counts.sum())


def coloured(classes: Tensor) -> Tensor:
    """Classes (N, H, W) as colours (N, 3, H, W): white for class 0, matplotlib's tab10 in turn for the others.

    >>> coloured(torch.tensor([[[0, 1]]]))[0, :, 0, 1]
    tensor([0.1216, 0.4667, 0.7059])
    """
    from matplotlib import colormaps

    colours = torch.from_numpy(colormaps["tab10"](np.arange(10)))[:, :3].float()
    table = torch.cat((torch.ones(1, 3), colours)).to(classes.device)
    return table[torch.where(classes > 0, 1 + (classes - 1) % len(colours), 0)].movedim(-1, 1)
