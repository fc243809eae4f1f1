"""From a layer or a network and the name of a view to a film: the tables of views, and the choice between them.

A new view is one file in views/ and one line in LAYER_VIEWS or NETWORK_VIEWS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Literal, NamedTuple

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import ConvTranspose
from convarith.layers.unpooling import MaxUnpool
from convarith.networks.network import Network
from convarith.sizes.normalise import nearest, times
from convarith_gallery.drawing.film import Film
from convarith_gallery.drawing.hourglass import hourglass
from convarith_gallery.drawing.layout import film_of_story
from convarith_gallery.views import counting, growing, rows, scattering, sliding, stretching, together, unpooling
from convarith_gallery.views.story import Story
from convarith_gallery.views.subject import Subject


class LayerView(NamedTuple):
    """A view of one layer.

    Attributes:
        tell: the function that computes the story.
        shows: the class of the layers that the view can show.
        except_for: subclasses of `shows` that it cannot show.
        step_per: whether each step of the story is about one input or one output.
    """

    tell: Callable[[Subject], Story]
    shows: type[Layer] = Layer
    except_for: tuple[type[Layer], ...] = ()
    step_per: Literal["input", "output"] = "output"

    def fits(self, layer: Layer) -> bool:
        """Can the view show this layer?

        >>> import convarith as ca
        >>> conv = ca.Conv(kernel_size=3)
        >>> LAYER_VIEWS["slide"].fits(conv), LAYER_VIEWS["scatter"].fits(conv)
        (True, False)
        """
        return isinstance(layer, self.shows) and not isinstance(layer, self.except_for)


LAYER_VIEWS = {
    "scatter": LayerView(scattering.tell, ConvTranspose, step_per="input"),
    "unpool": LayerView(unpooling.tell, MaxUnpool, step_per="input"),
    "slide": LayerView(sliding.tell, except_for=(MaxUnpool,)),
    "matrix": LayerView(rows.tell, except_for=(MaxUnpool,)),
    "zero-insert": LayerView(stretching.tell, ConvTranspose),
    "overlap": LayerView(counting.tell, ConvTranspose, step_per="input"),
    "together": LayerView(together.tell, ConvTranspose),
}
"""The views of one layer, by name. The first one that fits a layer is that layer's default."""

NetworkFilm = Callable[[Network, Sequence[int], str, bool], Film]
"""Draws a network from its input shape, in a style, with or without the text around the picture (`bare`)."""

NETWORK_VIEWS: dict[str, NetworkFilm] = {
    "hourglass": lambda network, shape, style, bare: hourglass(network, shape, bare),
    "field": lambda network, shape, style, bare: film_of_story(growing.tell(network, shape), style, bare),
}
"""The views of a network, by name. The first one is the default."""

MOST_STEPS = 10_000
MOST_PRODUCTS = 2_000_000


def views_for(layer: Layer) -> list[str]:
    """The names of the views that can show a layer, the default first.

    >>> import convarith as ca
    >>> views_for(ca.MaxPool(kernel_size=2))
    ['slide', 'matrix']
    """
    return [name for name, view in LAYER_VIEWS.items() if view.fits(layer)]


def default_view(layer: Layer) -> str:
    """The view in which a layer is shown if no other is asked for.

    >>> import convarith as ca
    >>> default_view(ca.ConvTranspose(kernel_size=3)), default_view(ca.Conv(kernel_size=3))
    ('scatter', 'slide')
    """
    return views_for(layer)[0]


def film_of_layer(subject: Subject, view: str | None = None, style: str = "flat", bare: bool = False) -> Film:
    """The film of a layer.

    Args:
        subject: the layer with its input and its numbers.
        view: one of LAYER_VIEWS; None for the layer's default.
        style: 'flat' or 'slanted'.
        bare: leave out the title and the captions, for a page that shows them beside the picture.

    Raises:
        ParameterError: the view or the style is unknown or does not suit the layer, or the film would be too long.

    >>> import convarith as ca
    >>> len(film_of_layer(Subject.of(ca.MaxPool(kernel_size=2), (4, 4))).frames)
    4
    """
    return film_of_story(story_of(subject, view), style, bare)


def story_of(subject: Subject, view: str | None = None) -> Story:
    """The story of a layer in a view. Raises ParameterError as `film_of_layer` does.

    >>> import convarith as ca
    >>> story_of(Subject.of(ca.Conv(kernel_size=3), (4, 4))).title
    'Convolution: 4 × 4 → 2 × 2'
    """
    layer = subject.layer
    view = view or default_view(layer)
    if view in NETWORK_VIEWS:
        raise ParameterError(f"view {view} shows a network, not one layer: give its layers, joined by ';'")
    if view not in LAYER_VIEWS:
        raise ParameterError(f"view {view!r} is unknown: {nearest(view, (*LAYER_VIEWS, *NETWORK_VIEWS))}")
    chosen = LAYER_VIEWS[view]
    fitting = " or ".join(views_for(layer))
    if not isinstance(layer, chosen.shows):
        raise ParameterError(f"view {view} is for {chosen.shows.kind}, not for {layer}: use {fitting}")
    if not chosen.fits(layer):
        raise ParameterError(f"{layer} is shown by view {fitting}, not by {view}")
    _refuse_long(subject, chosen)
    return chosen.tell(subject)


def _refuse_long(subject: Subject, view: LayerView) -> None:
    """Raise ParameterError if the story would have too many steps or products; checked before the first is computed."""
    steps = prod(subject.shape if view.step_per == "input" else subject.output)
    products = prod(subject.output) * (len(subject.weight) if subject.weight else 1)
    if steps > MOST_STEPS or products > MOST_PRODUCTS:
        raise ParameterError(
            f"{subject.layer} at {times(subject.shape)} takes {steps:,} steps and {products:,} products, more than the "
            f"{MOST_STEPS:,} and {MOST_PRODUCTS:,} that are drawn: use a smaller -i"
        )


def film_of_network(
    network: Network, input_shape: Sequence[int], view: str | None = None, style: str = "flat", bare: bool = False
) -> Film:  # fmt: skip
    """The film of a network.

    Args:
        network: the network.
        input_shape: (channels, *spatial) of its input.
        view: one of NETWORK_VIEWS; None for the shapes as an hourglass.
        style: 'flat' or 'slanted', in the view that draws maps.
        bare: leave out the title and the captions, for a page that shows them beside the picture.

    Raises:
        ParameterError: the view is unknown or shows one layer, or it cannot show this network.

    >>> import convarith as ca
    >>> film = film_of_network(ca.parse_network("Conv2d(1, 8, 3); MaxPool2d(2)"), (1, 28, 28))
    >>> len(film.frames)
    3
    """
    view = view or next(iter(NETWORK_VIEWS))
    if view in LAYER_VIEWS:
        raise ParameterError(f"view {view} shows one layer: a network is shown by {' or '.join(NETWORK_VIEWS)}")
    if view not in NETWORK_VIEWS:
        raise ParameterError(f"view {view!r} is unknown: {nearest(view, (*LAYER_VIEWS, *NETWORK_VIEWS))}")
    return NETWORK_VIEWS[view](network, input_shape, style, bare)
