"""Evaluations of reconstructions: the error on test images, and how much larger it is than on training images."""

from __future__ import annotations

import torch
from PIL import Image

from convarith_gallery.autoencoders.evaluation.baselines import fit_pca
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.losses import mean_squared_error


@torch.no_grad()
def reconstruction(context: EvaluationContext) -> None:
    """Reconstructions of test images, compared with the same number of principal components."""
    rows = [("originals", context.shown)]
    for variant in context.variants:
        model = variant.autoencoder
        latent, label = model.latent, variant.label or f"latent={model.latent}"
        baseline = context.pca.error(context.data.test, latent)
        error = mean_squared_error(model, context.data.test)
        context.add(Number("test MSE", error, variant.label, baseline, f"PCA-{latent}"))
        rows.append((f"{label}: MSE {error:.5f}", model(context.shown)))
        components = context.pca.decode(context.pca.codes(context.shown, latent))
        rows.append((f"PCA-{latent}: MSE {baseline:.5f}", components))
        frames = [Image.open(file) for file in sorted(variant.folder.glob("epoch-*.png"))]
        if frames:
            path = context.show(variant.file_name("epochs", "gif"), f"{label}: reconstructions after each epoch")
            pictures.save_animation(path, frames)
    if context.shown.ndim == 4:
        caption = "test images and their reconstructions by the models and by PCA"
        context.show("reconstructions.png", caption, pictures.grid(rows))


def gap(context: EvaluationContext) -> None:
    """The test error divided by the training error, compared with a PCA that is fitted to the same images."""
    for variant in context.variants:
        model, seen, unseen = variant.autoencoder, variant.training_images, context.data.test
        pca = fit_pca(seen)
        errors = [mean_squared_error(model, images) for images in (seen, unseen)]
        baselines = [pca.error(images, model.latent) for images in (seen, unseen)]
        name = f"PCA-{model.latent} of the same {len(seen):,} images"
        ratio = baselines[1] / max(baselines[0], 1e-9)
        context.add(
            Number("training MSE", errors[0], variant.label, baselines[0], name),
            Number("test MSE", errors[1], variant.label, baselines[1], name),
            Number("test over training MSE", errors[1] / errors[0], variant.label, ratio, name),
        )
