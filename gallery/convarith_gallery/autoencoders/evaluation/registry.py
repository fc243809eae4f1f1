"""Every evaluation, by the name that recipes use."""

from __future__ import annotations

from collections.abc import Callable

from convarith_gallery.autoencoders.evaluation.anomaly import anomaly
from convarith_gallery.autoencoders.evaluation.codes import (
    embedding,
    interpolation,
    latents,
    redundancy,
    sparsity,
    traversals,
)
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext
from convarith_gallery.autoencoders.evaluation.generation import likelihood, sampling
from convarith_gallery.autoencoders.evaluation.layers import checkerboards, filters
from convarith_gallery.autoencoders.evaluation.points import field, points
from convarith_gallery.autoencoders.evaluation.pretraining import pretraining
from convarith_gallery.autoencoders.evaluation.reconstruction import gap, reconstruction
from convarith_gallery.autoencoders.evaluation.restoration import enlargement, restoration
from convarith_gallery.autoencoders.evaluation.segmentation import segmentation

EVALUATIONS: dict[str, Callable[[EvaluationContext], None]] = {
    function.__name__: function
    for function in (
        reconstruction, interpolation, sampling, likelihood, latents, traversals, gap, sparsity, redundancy, embedding,
        points, restoration, enlargement, anomaly, segmentation, checkerboards, field, filters, pretraining,
    )
}  # fmt: skip
"""The names are those of the functions."""
