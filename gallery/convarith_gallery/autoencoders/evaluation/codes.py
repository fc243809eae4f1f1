"""Evaluations of codes: what lies between them, how they are distributed, and how well classifiers use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.evaluation.batches import all_codes, decoded
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.seeds import seed_from


@torch.no_grad()
def interpolation(context: EvaluationContext) -> None:
    """Lines between the codes of two images, and the distance of the midpoint from real images, compared with PCA."""
    steps, lines, pairs = 12, 6, context.option("pairs", 500)
    test, pca = context.data.test, context.pca
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed_from("pairs")))
    first, second = (as_float(test[index.to(test.device)]) for index in order[: 2 * pairs].tensor_split(2))
    longest = max(variant.autoencoder.latent for variant in context.variants)
    real = as_float(context.data.train[:10_000]).flatten(1)
    at = torch.linspace(0, 1, steps, device=first.device)

    def line(encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, float]:
        one, two = encode(first), encode(second)
        middle = decode((one + two) / 2).flatten(1)
        distance = float((torch.cdist(middle, real).amin(1).square() / real.shape[1]).mean())
        points = torch.lerp(one[:lines, None], two[:lines, None], at[None, :, None])
        return decode(points.flatten(0, 1)), distance

    shown, baseline = line(lambda images: pca.codes(images, longest), pca.decode)
    rows = [(f"PCA-{longest}", shown)]
    for variant in context.variants:
        images, distance = line(variant.autoencoder.codes, variant.autoencoder.decode)
        metric = "MSE from midpoint to nearest image"
        context.add(Number(metric, distance, variant.label, baseline, f"PCA-{longest}"))
        rows.append((variant.label, images))
    caption = "lines between the codes of two test images"
    context.show("interpolation.png", caption, pictures.grid(rows, columns=steps))
    frames = [
        pictures.grid([(label, images[step::steps]) for label, images in rows])
        for step in (*range(steps), *range(steps - 2, 0, -1))
    ]
    pictures.save_animation(context.show("interpolation.gif", "the same lines as an animation"), frames, 150)


@torch.no_grad()
def latents(context: EvaluationContext) -> None:
    """The Kolmogorov-Smirnov distance of the codes from N(0, 1), averaged over the code units, and histograms."""
    for variant in context.variants:
        model = variant.autoencoder
        codes = all_codes(model, context.data.test)
        if model.variational:
            torch.manual_seed(seed_from(variant.settings.seed, "latents"))
            parts = [model.posterior(as_float(part)) for part in torch.split(context.data.test, 500)]
            spread = torch.cat([log_variance for _, log_variance in parts])
            codes = codes + torch.randn_like(codes) * (0.5 * spread).exp()
        ranks = torch.linspace(0, 1, len(codes), device=codes.device)[:, None]
        normal = torch.special.ndtr(codes.sort(0).values)
        gap = float((normal - ranks).abs().amax(0).mean())
        context.add(Number("Kolmogorov-Smirnov distance from N(0, 1)", gap, variant.label))
        chosen = {f"code unit {at}": codes[:, at] for at in codes.var(0).argsort(descending=True)[:2].tolist()}
        caption = ": ".join(filter(None, (variant.label, "the distribution of two code units")))
        pictures.histograms(context.show(variant.file_name("latents"), caption), chosen)


@torch.no_grad()
def traversals(context: EvaluationContext) -> None:
    """Images for one code unit changed from -3 to 3 while the others are fixed; one row per informative unit."""
    for variant in context.variants:
        model = variant.autoencoder
        if not model.variational:
            raise ConvarithError("traversals need a variational code: set variational = true")
        mean, log_variance = model.posterior(context.shown)
        weight = (mean.square() + log_variance.exp() - log_variance - 1).mean(0)
        rows = []
        for at in weight.argsort(descending=True)[:10].tolist():
            codes = mean[:1].repeat(12, 1)
            codes[:, at] = torch.linspace(-3, 3, 12)
            rows.append((f"code unit {at}: {0.5 * float(weight[at]):.2f} nats", model.decode(codes)))
        caption = ": ".join(filter(None, (variant.label, "one code unit at a time, from -3 to 3")))
        context.show(variant.file_name("traversals"), caption, pictures.grid(rows))


def sparsity(context: EvaluationContext) -> None:
    """The share of code units below 1/100 of the largest value, and Hoyer's measure, compared with the first variant.

    Hoyer: (sqrt(n) - |z|_1 / |z|_2) / (sqrt(n) - 1), which is 0 if all units are equal and 1 if a single unit is not
    zero (JMLR 5, 2004).
    """
    plain = None
    for variant in context.variants:
        codes = all_codes(variant.autoencoder, context.data.test).abs()
        inactive = float((codes < 0.01 * codes.max()).cpu().double().mean())
        root = codes.shape[1] ** 0.5
        hoyer = (root - codes.sum(1) / codes.norm(dim=1).clamp(min=1e-9)) / (root - 1)
        found = (inactive, float(hoyer.mean()))
        plain = plain or found
        name = context.variants[0].label
        for metric, value, first in zip(("inactive share of the code", "Hoyer sparsity"), found, plain, strict=True):
            context.add(Number(metric, value, variant.label, first, name, lower_is_better=False))


@torch.no_grad()
def redundancy(context: EvaluationContext) -> None:
    """How well each code unit follows from the others, and the error if each is dropped with probability 1/2."""
    first: tuple[float, float] | None = None
    for variant in context.variants:
        model, name = variant.autoencoder, context.variants[0].label
        codes = all_codes(model, context.data.test).cpu().double()
        codes = codes[:, codes.std(0) > 1e-6]
        inverse = torch.linalg.inv(codes.T.corrcoef() + 1e-6 * torch.eye(codes.shape[1]))
        explained = float((1 - 1 / inverse.diagonal()).mean())  # R^2 of each unit from all others
        torch.manual_seed(seed_from(variant.settings.seed, "dropped"))
        whole = all_codes(model, context.data.test)
        dropped = decoded(model, 2 * whole * torch.bernoulli(torch.full_like(whole, 0.5)))
        lost = float((dropped - as_float(context.data.test)).square().mean())
        first = first or (explained, lost)
        context.add(
            Number("R^2 of one code unit from the others", explained, variant.label, first[0], name, False),
            Number("test MSE, half the code dropped", lost, variant.label, first[1], name),
        )


def embedding(context: EvaluationContext) -> None:
    """Classifiers on the codes, with many labels and with few, compared with raw pixels; and a map of the codes."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.manifold import TSNE
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    count, mapped = context.option("labels", 10_000), context.option("mapped", 2000)
    train, test = context.data.train[:count], context.data.test
    labels, truth = context.data.train_labels[:count].cpu().numpy(), context.data.test_labels.cpu().numpy()
    classifiers: dict[str, tuple[Callable[[], Any], int]] = {
        "5-NN": (lambda: KNeighborsClassifier(5), count),
        "SVM": (lambda: SVC(C=5), count),
        "random forest": (lambda: RandomForestClassifier(100, random_state=0), count),
        "SVM, 1,000 labels": (lambda: SVC(C=5), 1000),
        "SVM, 100 labels": (lambda: SVC(C=5), 100),
    }

    def scores(features: Tensor, unseen: Tensor) -> list[float]:
        scale = features.std().item()
        known, asked = features.cpu().numpy() / scale, unseen.cpu().numpy() / scale
        return [
            float((build().fit(known[:some], labels[:some]).predict(asked) == truth).mean())
            for build, some in classifiers.values()
        ]

    raw = scores(as_float(train).flatten(1), as_float(test).flatten(1))
    maps = {}
    for variant in context.variants:
        codes, asked = all_codes(variant.autoencoder, train), all_codes(variant.autoencoder, test)
        for name, value, baseline in zip(classifiers, scores(codes, asked), raw, strict=True):
            metric = f"accuracy, {name}"
            context.add(Number(metric, value, variant.label, baseline, "raw pixels", lower_is_better=False))
        placed = TSNE(random_state=0).fit_transform(asked[:mapped].cpu().numpy())
        maps[variant.label or "codes"] = (torch.from_numpy(placed), context.data.test_labels[:mapped])
    caption = f"t-SNE of the codes of {mapped:,} test images, coloured by digit"
    pictures.scatter(context.show("map.png", caption), maps)
