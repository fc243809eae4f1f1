"""Evaluations of single layers: the checkerboards that they leave, and the filters that they learn."""

from __future__ import annotations

from convarith.checkerboards import artefacts
from convarith_gallery.autoencoders.evaluation.context import EvaluationContext, Number
from convarith_gallery.autoencoders.models.build import Model, build
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.reporting import pictures


def checkerboards(context: EvaluationContext) -> None:
    """The strength of the checkerboard that each upsampling layer leaves, before and after training."""
    for variant in context.variants:
        before = _strengths(build(variant.settings, variant.model.input_shape))
        for name, strength in _strengths(variant.model).items():
            context.add(Number(f"checkerboard of {name}", strength, variant.label, before[name], "before training"))


def _strengths(model: Model) -> dict[str, float]:
    """The strength at each layer of a restorer's network, or of an autoencoder's decoder."""
    network = model.at() if isinstance(model, Restorer) else model.decoder
    weights = {name: weight.cpu() for name, weight in network.state_dict().items()}
    return {each.name: float(each.strength) for each in artefacts.strengths(network, weights).artefacts}


def filters(context: EvaluationContext) -> None:
    """The weights of the first layer as pictures, each scaled to its own range."""
    rows = []
    for variant in context.variants:
        network = variant.model.at() if isinstance(variant.model, Restorer) else variant.model
        weights = next(weight for weight in network.parameters() if weight.ndim > 1).detach()
        side = round((weights[0].numel() / context.data.shape[0]) ** 0.5)
        tiles = weights.reshape(len(weights), -1, side, side)[:, :1]
        low, high = tiles.flatten(1).amin(1), tiles.flatten(1).amax(1)
        scaled = (tiles - low[:, None, None, None]) / (high - low).clamp(min=1e-9)[:, None, None, None]
        rows.append((variant.label or "filters", scaled[:48]))
    context.show("filters.png", "the weights of the first layer", pictures.grid(rows, columns=12, negative=False))
