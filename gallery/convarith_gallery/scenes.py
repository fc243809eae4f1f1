"""The named scenes, read from scenes.toml: each one describes a picture as data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from convarith.errors import ParameterError
from convarith.sizes.normalise import nearest
from convarith_gallery.drawing.film import Film
from convarith_gallery.render import NETWORK_VIEWS, film_of_layer, film_of_network
from convarith_gallery.views.reads import Number


class Scene(NamedTuple):
    """One named picture.

    Attributes:
        name: the name, in the style of conv_arithmetic.
        group: the heading under which the gallery lists it.
        text: one sentence that says what to look at.
        subject: the call that makes the layer, or the text of the network.
        size: the size of the input: *spatial, or (channels, *spatial).
        view: one of LAYER_VIEWS or NETWORK_VIEWS in `render`; None for the layer's default.
        style: 'flat' or 'slanted'.
        values, weight: the numbers of the input and of the kernel, flat and row-major; None for small numbers.
        numbers: whether the numbers are shown; None shows them if values or a weight are given.
    """

    name: str
    group: str
    text: str
    subject: str
    size: tuple[int, ...]
    view: str | None = None
    style: str = "flat"
    values: tuple[Number, ...] | None = None
    weight: tuple[Number, ...] | None = None
    numbers: bool | None = None

    @property
    def is_network(self) -> bool:
        """Is the subject a network, rather than one layer?

        >>> scene("hourglass").is_network, scene("dilation").is_network
        (True, False)
        """
        return self.view in NETWORK_VIEWS

    def film(self, style: str | None = None, bare: bool = False) -> Film:
        """The scene's film. `style` overrides the scene's own; `bare` leaves out the title and the captions.

        >>> len(scene("no_padding_no_strides").film().frames)
        4
        """
        from convarith_gallery.views.subject import Subject

        if self.is_network:
            from convarith.networks.parser import parse_network

            return film_of_network(parse_network(self.subject), self.size, self.view, style or self.style, bare)
        from convarith.layers.parser import parse

        subject = Subject.of(parse(self.subject), self.size, self.values, self.weight, self.numbers)
        return film_of_layer(subject, self.view, style or self.style, bare)


@cache
def scenes() -> dict[str, Scene]:
    """Every scene by name, in the order of the gallery.

    >>> len([each for each in scenes().values() if each.group == "A guide to convolution arithmetic"])
    19
    """
    found: dict[str, dict[str, Any]] = tomllib.loads(
        files("convarith_gallery").joinpath("scenes.toml").read_text("utf-8")
    )
    return {name: _scene(name, entry) for name, entry in found.items()}


def _scene(name: str, entry: dict[str, Any]) -> Scene:
    """A scene from its TOML entry; lists become tuples."""
    known: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Scene(name, **known)


def scene(name: str) -> Scene:
    """The scene with this name, in which '-' may stand for '_'. Raises ParameterError for an unknown name.

    >>> scene("padding-strides").subject
    'Conv2d(1, 1, 3, stride=2, padding=1)'
    """
    known = scenes()
    name = name.replace("-", "_")
    if name not in known:
        raise ParameterError(f"unknown scene {name!r}: {nearest(name, known)}")
    return known[name]
