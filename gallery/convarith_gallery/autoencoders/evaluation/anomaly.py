"""Evaluation of anomaly detection: the reconstruction error as the score of an anomaly."""

from __future__ import annotations

import torch

from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.evaluation.baselines import fit_pca
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.reporting import pictures


def anomaly(context: EvaluationContext) -> None:
    """How well the reconstruction error separates the digit of the training images from the nine others."""
    from sklearn.metrics import roc_auc_score

    found, plain, name = [], [], ""
    test = context.data.test
    for variant in context.variants:
        model, label = variant.autoencoder, variant.label
        odd = (context.data.test_labels != variant.settings.digit).cpu().numpy()
        with torch.no_grad():
            errors = torch.cat([model.squared_errors(as_float(part)) for part in torch.split(test, 500)])
        pca = fit_pca(variant.training_images)
        items = as_float(test)
        components = pca.decode(pca.codes(items, model.latent))
        baseline = (components - items).square().flatten(1).mean(1)
        found.append(float(roc_auc_score(odd, errors.cpu().numpy())))
        plain.append(float(roc_auc_score(odd, baseline.cpu().numpy())))
        name = name or f"PCA-{model.latent}"
        context.add(Number("AUROC", found[-1], label, plain[-1], f"PCA-{model.latent}", lower_is_better=False))
        largest, smallest = errors.argsort(descending=True)[:12], errors.argsort()[:12]
        with torch.no_grad():
            rows = [
                (f"{label}: smallest errors", items[smallest]), ("reconstructions", model(items[smallest])),
                ("largest errors", items[largest]), ("reconstructions", model(items[largest])),
            ]  # fmt: skip
        caption = f"{label}: the test images with the smallest and the largest reconstruction errors"
        context.show(f"anomalies-{label}.png", caption, pictures.grid(rows))
    if len(found) > 1:
        means = [sum(each) / len(each) for each in (found, plain)]
        context.add(Number("mean AUROC", means[0], "", means[1], name, lower_is_better=False))
