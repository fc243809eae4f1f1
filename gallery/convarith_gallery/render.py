"""Which view shows what: from a layer or network, its input and a view's name, to a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import prod
from typing import cast

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.networks.network import Network
from convarith.sizes.normalise import nearest, times
from convarith_gallery.drawing.film import Film
from convarith_gallery.drawing.layout import stage
from convarith_gallery.views.story import Story
from convarith_gallery.views.subject import Subject

LAYER_VIEWS = {
    "slide": "sliding",
    "scatter": "scattering",
    "zero-insert": "stretching",
    "matrix": "rows",
    "overlap": "counting",
    "unpool": "unpooling",
    "together": "together",
}
"""Views of one layer, and the module of each, loaded when it is asked for."""
NETWORK_VIEWS = ("hourglass", "field")
INPUT_STEPS = ("scatter", "overlap", "unpool")
"""Views that take a step an input; the others take one an output."""
TRANSPOSED_ONLY = ("scatter", "zero-insert", "overlap", "together")

MOST_STEPS = 10_000
MOST_READS = 2_000_000


def default_view(layer: Layer) -> str:
    """The view that shows what a layer computes.

    >>> import convarith as ca
    >>> default_view(ca.ConvTranspose(kernel_size=3)), default_view(ca.Conv(kernel_size=3))
    ('scatter', 'slide')
    """
    return {"conv-transpose": "scatter", "max-unpool": "unpool"}.get(layer.kind, "slide")


def film_of_layer(subject: Subject, view: str | None = None, style: str = "flat", bare: bool = False) -> Film:
    """The film of a layer; `view` None takes the layer's own, `bare` leaves out title and captions.

    Raises ParameterError where view, style and layer do not fit.

    >>> import convarith as ca
    >>> len(film_of_layer(Subject.of(ca.MaxPool(kernel_size=2), (4, 4))).frames)
    4
    """
    return stage(story_of(subject, view), style, bare)


def story_of(subject: Subject, view: str | None = None) -> Story:
    """The story of a layer; raises what `film_of_layer` raises."""
    layer = subject.layer
    view = view or default_view(layer)
    if view in NETWORK_VIEWS:
        raise ParameterError(f"view {view} shows a network, not one layer: give its layers, joined by ';'")
    if view not in LAYER_VIEWS:
        raise ParameterError(f"view {view!r} is unknown: {nearest(view, (*LAYER_VIEWS, *NETWORK_VIEWS))}")
    if view in TRANSPOSED_ONLY and layer.kind != "conv-transpose":
        raise ParameterError(f"view {view} is for conv-transpose, not for {layer}: take slide or matrix")
    if (view == "unpool") != (layer.kind == "max-unpool"):
        raise ParameterError(f"{layer} is shown by view {default_view(layer)}, not by {view}")
    _refuse_long(subject, view)
    module = import_module(f"convarith_gallery.views.{LAYER_VIEWS[view]}")
    return cast(Callable[[Subject], Story], module.tell)(subject)


def _refuse_long(subject: Subject, view: str) -> None:
    """Count the steps, and what they look at, before the first."""
    steps = prod(subject.shape if view in INPUT_STEPS else subject.output)
    reads = prod(subject.output) * (len(subject.weight) if subject.weight else 1)
    if steps > MOST_STEPS or reads > MOST_READS:
        raise ParameterError(
            f"{subject.layer} at {times(subject.shape)} takes {steps:,} steps and {reads:,} products, more than the "
            f"{MOST_STEPS:,} and {MOST_READS:,} that are drawn: take a smaller -i"
        )


def film_of_network(
    network: Network, input_shape: Sequence[int], view: str | None = None, style: str = "flat", bare: bool = False
) -> Film:  # fmt: skip
    """The film of a network: its shapes as an hourglass (the default), or a receptive field growing.

    Raises ParameterError for another view, and for a network that the view cannot show.

    >>> import convarith as ca
    >>> film = film_of_network(ca.parse_network("Conv2d(1, 8, 3); MaxPool2d(2)"), (1, 28, 28))
    >>> len(film.frames)
    3
    """
    if view in (None, "hourglass"):
        from convarith_gallery.drawing.hourglass import hourglass

        return hourglass(network, input_shape, bare)
    if view != "field":
        raise ParameterError(f"view {view} shows one layer: a network is shown by {' or '.join(NETWORK_VIEWS)}")
    from convarith_gallery.views.growing import tell

    return stage(tell(network, input_shape), style, bare)
