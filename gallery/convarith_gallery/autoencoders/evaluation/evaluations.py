"""The evaluations a recipe names: trained models in; numbers with their baselines, and pictures, out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.load import Dataset, as_float
from convarith_gallery.autoencoders.evaluation.baselines import Pca, fit_pca
from convarith_gallery.autoencoders.evaluation.generation import (
    Judge,
    all_codes,
    bound,
    decoded,
    drawn_codes,
    negative_log_likelihood,
    sample_distance,
    train_judge,
)
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.reporting import pictures
from convarith_gallery.autoencoders.training.loop import mean_squared_error, number_from
from convarith_gallery.autoencoders.training.losses import misfit

SHOWN = 36
"""How many test images a grid shows: the first three rows of twelve, as in the lecture."""


class Number(NamedTuple):
    """One measured number.

    Attributes:
        variant: which of the recipe's trainings, '' of all.
        baseline, baseline_name: the number that costs no training, and what it is.
    """

    metric: str
    value: float
    variant: str = ""
    baseline: float | None = None
    baseline_name: str = ""
    lower_is_better: bool = True


class Picture(NamedTuple):
    """A file in the recipe's folder, and what it shows."""

    file: str
    caption: str


class Run(NamedTuple):
    """One trained model, what it was trained with, its folder, and the training images it saw.

    The model is an Autoencoder, or a Restorer where the settings restore.
    """

    label: str
    settings: Settings
    model: Any
    folder: Path
    seen: Tensor


@dataclass
class Evaluator:
    """What the evaluations share, and what they find."""

    runs: list[Run]
    data: Dataset
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of training that was part of an evaluation, by variant."""

    @cached_property
    def pca(self) -> Pca:
        """The principal axes of the training images."""
        return fit_pca(self.data.train)

    @cached_property
    def judge(self) -> Judge:
        """The classifier that samples are judged by."""
        return train_judge(self.data)

    @property
    def shown(self) -> Tensor:
        """The test images that pictures show, in 0..1."""
        return as_float(self.data.test[:SHOWN])

    def option(self, name: str, default: int) -> int:
        """A number of the recipe's [options]."""
        return int(self.options.get(name, default))

    def add(self, *numbers: Number) -> None:
        """Keep numbers."""
        self.numbers += numbers

    def show(self, file: str, caption: str, picture: Image.Image | None = None) -> Path:
        """Keep a picture of this name, written here or by the caller; its path."""
        path = self.folder / file
        if picture is not None:
            pictures.save(path, picture)
        self.pictures.append(Picture(file, caption))
        return path


@torch.no_grad()
def reconstruction(on: Evaluator) -> None:
    """What comes back of test images, beside the same number of principal components."""
    rows = [("originals", on.shown)]
    for run in on.runs:
        latent, label = run.model.latent, run.label or f"latent={run.model.latent}"
        baseline = on.pca.error(on.data.test, latent)
        error = mean_squared_error(run.model, on.data.test)
        on.add(Number("test MSE", error, run.label, baseline, f"PCA-{latent}"))
        rows.append((f"{label}: MSE {error:.5f}", run.model(on.shown)))
        rows.append((f"PCA-{latent}: MSE {baseline:.5f}", on.pca.decode(on.pca.codes(on.shown, latent))))
        frames = [Image.open(file) for file in sorted(run.folder.glob("epoch-*.png"))]
        if frames:
            file = f"epochs-{run.label}.gif" if run.label else "epochs.gif"
            pictures.save_animation(on.show(file, f"{label}: reconstructions after each epoch"), frames)
    if on.shown.ndim == 4:
        on.show("reconstructions.png", "test images, what the model and what PCA bring back", pictures.grid(rows))


@torch.no_grad()
def interpolation(on: Evaluator) -> None:
    """Lines between the codes of two images; how far the middle is from any real image, beside PCA's."""
    steps, lines, pairs = 12, 6, on.option("pairs", 500)
    order = torch.randperm(len(on.data.test), generator=torch.Generator().manual_seed(number_from("pairs")))
    first, second = (
        as_float(on.data.test[index.to(on.data.test.device)]) for index in order[: 2 * pairs].tensor_split(2)
    )
    longest = max(run.model.latent for run in on.runs)
    real = as_float(on.data.train[:10_000]).flatten(1)
    at = torch.linspace(0, 1, steps, device=first.device)

    def line(encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, float]:
        one, two = encode(first), encode(second)
        middle = decode((one + two) / 2).flatten(1)
        far = float((torch.cdist(middle, real).amin(1).square() / real.shape[1]).mean())
        points = torch.lerp(one[:lines, None], two[:lines, None], at[None, :, None])
        return decode(points.flatten(0, 1)), far

    shown, baseline = line(lambda images: on.pca.codes(images, longest), on.pca.decode)
    rows = [(f"PCA-{longest}", shown)]
    for run in on.runs:
        images, far = line(run.model.codes, run.model.decode)
        on.add(Number("middle to nearest image, MSE", far, run.label, baseline, f"PCA-{longest}"))
        rows.append((run.label, images))
    on.show("interpolation.png", "lines in code space between two test images", pictures.grid(rows, columns=steps))
    frames = [
        pictures.grid([(label, images[step::steps]) for label, images in rows])
        for step in (*range(steps), *range(steps - 2, 0, -1))
    ]
    pictures.save_animation(on.show("interpolation.gif", "the same lines, walked"), frames, 150)


@torch.no_grad()
def sampling(on: Evaluator) -> None:
    """Images from drawn codes, and their distance from real ones, beside codes drawn along the principal axes."""
    count = on.option("samples", 5000)
    with torch.enable_grad():
        judge = on.judge
    accuracy = judge.accuracy(on.data.test, on.data.test_labels)
    floor = sample_distance(judge, as_float(on.data.train[:count]), on.data.test)
    rows = []
    for run in on.runs:
        latent, seed = run.model.latent, run.settings.seed
        generator = torch.Generator().manual_seed(number_from(seed, "samples"))
        noise = torch.randn(count, latent, generator=generator).to(on.pca.mean.device)
        baseline = sample_distance(judge, on.pca.decode(on.pca.deviations[:latent] * noise), on.data.test)
        samples = decoded(run.model, drawn_codes(run.model, run.seen, count, seed))
        distance = sample_distance(judge, samples, on.data.test)
        on.add(Number("Frechet distance of samples", distance, run.label, baseline, f"PCA-{latent} and a Gaussian"))
        law = "N(0, 1)" if run.model.variational else "a diagonal Gaussian"
        rows.append((f"{run.label or 'samples'}, codes from {law}: distance {distance:.1f}", samples[:SHOWN]))
    caption = (
        f"samples; distance is Frechet's in the features of a classifier of {100 * accuracy:.1f} % accuracy, "
        f"of {min(count, len(on.data.train)):,} training images {floor:.1f}"
    )
    on.show("samples.png", caption, pictures.grid(rows))


@torch.no_grad()
def likelihood(on: Evaluator) -> None:
    """The evidence lower bound in nats, split in fit and KL, and the likelihood by importance sampling."""
    images = as_float(on.data.test[: on.option("nll_images", len(on.data.test))])
    generator = torch.Generator().manual_seed(number_from("binarised test images"))
    drawn = torch.bernoulli(images.cpu(), generator=generator).to(images.device)
    for run in on.runs:
        items, kind = (drawn if run.settings.binarise else images), run.settings.likelihood
        mean = as_float(run.seen).mean(0, keepdim=True)
        plain = torch.logit(mean.clamp(1e-3, 1 - 1e-3)) if kind == "bernoulli" else mean
        baseline = float(misfit(plain.expand_as(items), items, kind).mean())
        fit, kl = bound(run.model, items, kind, run.settings.seed)
        samples = on.option("nll_samples", 5000)
        nll, error = negative_log_likelihood(run.model, items, kind, samples, run.settings.seed)
        on.add(
            Number("-ELBO, nats", fit + kl, run.label, baseline, "the mean image"),
            Number("fit, nats", fit, run.label, baseline, "the mean image"),
            Number("KL, nats", kl, run.label),
            Number("NLL, nats", nll, run.label, baseline, "the mean image"),
            Number("NLL's standard error, nats", error, run.label),
        )


@torch.no_grad()
def latents(on: Evaluator) -> None:
    """Are the codes distributed as N(0, 1)? The largest gap between the distribution functions, and histograms."""
    for run in on.runs:
        codes = all_codes(run.model, on.data.test)
        if run.model.variational:
            torch.manual_seed(number_from(run.settings.seed, "latents"))
            parts = [run.model.posterior(as_float(part)) for part in torch.split(on.data.test, 500)]
            spread = torch.cat([log_variance for _, log_variance in parts])
            codes = codes + torch.randn_like(codes) * (0.5 * spread).exp()
        ranks = torch.linspace(0, 1, len(codes), device=codes.device)[:, None]
        normal = torch.special.ndtr(codes.sort(0).values)
        gap = float((normal - ranks).abs().amax(0).mean())
        on.add(Number("codes from N(0, 1), Kolmogorov-Smirnov", gap, run.label))
        chosen = {f"number {at}": codes[:, at] for at in codes.var(0).argsort(descending=True)[:2].tolist()}
        file = f"latents-{run.label}.png" if run.label else "latents.png"
        pictures.histograms(on.show(file, f"two numbers of the code {run.label}"), chosen)


@torch.no_grad()
def traversals(on: Evaluator) -> None:
    """One number of a code changed from -3 to 3, the others kept: a row each for those that say most."""
    for run in on.runs:
        if not run.model.variational:
            raise ConvarithError("traversals go through a variational code: set variational = true")
        mean, log_variance = run.model.posterior(on.shown)
        weight = (mean.square() + log_variance.exp() - log_variance - 1).mean(0)
        rows = []
        for at in weight.argsort(descending=True)[:10].tolist():
            codes = mean[:1].repeat(12, 1)
            codes[:, at] = torch.linspace(-3, 3, 12)
            rows.append((f"number {at}: {0.5 * float(weight[at]):.2f} nats", run.model.decode(codes)))
        file = f"traversals-{run.label}.png" if run.label else "traversals.png"
        on.show(file, f"one number at a time from -3 to 3 {run.label}", pictures.grid(rows))


def gap(on: Evaluator) -> None:
    """The error on test images over that on the training images that were seen, beside PCA's of the same images."""
    for run in on.runs:
        pca, latent = fit_pca(run.seen), run.model.latent
        seen, unseen = mean_squared_error(run.model, run.seen), mean_squared_error(run.model, on.data.test)
        ratio = pca.error(on.data.test, latent) / max(pca.error(run.seen, latent), 1e-9)
        name = f"PCA-{latent} of the same {len(run.seen):,} images"
        on.add(
            Number("training MSE", seen, run.label, pca.error(run.seen, latent), name),
            Number("test MSE", unseen, run.label, pca.error(on.data.test, latent), name),
            Number("test over training MSE", unseen / seen, run.label, ratio, name),
        )


def sparsity(on: Evaluator) -> None:
    """How much of a code is silent: the share of numbers below a hundredth of the largest, and Hoyer's measure.

    Hoyer: (sqrt(n) - |z|_1 / |z|_2) / (sqrt(n) - 1), 0 of equal numbers, 1 of a single one (JMLR 5, 2004).
    """
    plain = None
    for run in on.runs:
        codes = all_codes(run.model, on.data.test).abs()
        silent = float((codes < 0.01 * codes.max()).cpu().double().mean())
        root = codes.shape[1] ** 0.5
        hoyer = (root - codes.sum(1) / codes.norm(dim=1).clamp(min=1e-9)) / (root - 1)
        found = (silent, float(hoyer.mean()))
        plain = plain or found
        for metric, value, first in zip(("silent share of the code", "Hoyer sparsity"), found, plain, strict=True):
            on.add(Number(metric, value, run.label, first, f"{on.runs[0].label}", lower_is_better=False))


@torch.no_grad()
def redundancy(on: Evaluator) -> None:
    """How much the numbers of a code share, and what is lost when each is dropped with probability 1/2."""
    first: tuple[float, float] | None = None
    for run in on.runs:
        codes = all_codes(run.model, on.data.test).cpu().double()
        codes = codes[:, codes.std(0) > 1e-6]
        inverse = torch.linalg.inv(codes.T.corrcoef() + 1e-6 * torch.eye(codes.shape[1]))
        explained = float((1 - 1 / inverse.diagonal()).mean())  # R^2 of each number from all others
        torch.manual_seed(number_from(run.settings.seed, "dropped"))
        whole = all_codes(run.model, on.data.test)
        dropped = decoded(run.model, 2 * whole * torch.bernoulli(torch.full_like(whole, 0.5)))
        lost = float((dropped - as_float(on.data.test)).square().mean())
        first = first or (explained, lost)
        on.add(
            Number("R^2 of a number from the others", explained, run.label, first[0], on.runs[0].label, False),
            Number("test MSE, half the code dropped", lost, run.label, first[1], on.runs[0].label),
        )


def embedding(on: Evaluator) -> None:
    """The code as input to classifiers, many labels and few, beside the raw pixels; a map of the codes."""
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]
    from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]
    from sklearn.svm import SVC  # type: ignore[import-untyped]

    count, mapped = on.option("labels", 10_000), on.option("mapped", 2000)
    train, test = on.data.train[:count], on.data.test
    labels, truth = on.data.train_labels[:count].cpu().numpy(), on.data.test_labels.cpu().numpy()
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
    for run in on.runs:
        codes, asked = all_codes(run.model, train), all_codes(run.model, test)
        for name, value, baseline in zip(classifiers, scores(codes, asked), raw, strict=True):
            on.add(Number(f"accuracy, {name}", value, run.label, baseline, "raw pixels", lower_is_better=False))
        placed = TSNE(random_state=0).fit_transform(asked[:mapped].cpu().numpy())
        maps[run.label or "codes"] = (torch.from_numpy(placed), on.data.test_labels[:mapped])
    pictures.scatter(on.show("map.png", f"t-SNE of the codes of {mapped:,} test images, coloured by digit"), maps)


@torch.no_grad()
def points(on: Evaluator) -> None:
    """Where points of the plane come back to, and how far, beside the best straight line."""
    panels = {"points": (on.data.test, on.data.test_labels)}
    for run in on.runs:
        latent = run.model.latent
        baseline = on.pca.error(on.data.test, latent)
        on.add(Number("test MSE", mean_squared_error(run.model, on.data.test), run.label, baseline, f"PCA-{latent}"))
        panels[run.label or f"through {latent} number{'s' if latent != 1 else ''}"] = (
            run.model(on.data.test), on.data.test_labels,
        )  # fmt: skip
    pictures.scatter(on.show("points.png", "test points, and where they come back to"), panels)


EVALUATIONS: dict[str, Callable[[Evaluator], None]] = {
    function.__name__: function
    for function in (
        reconstruction, interpolation, sampling, likelihood, latents, traversals, gap, sparsity, redundancy, embedding,
        points,
    )
}  # fmt: skip
"""By the name a recipe gives."""
