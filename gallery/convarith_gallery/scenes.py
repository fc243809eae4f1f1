"""The scenes by name, read from scenes.toml: what a picture shows, as data."""

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
        name: as conv_arithmetic writes names.
        group: the heading under which it stands.
        text: what to look at, in a sentence.
        subject: a layer's call, or a network's text.
        size: what enters: *spatial, or (channels, *spatial).
        view: one of those of `showing`; None: the layer's own.
        style: 'flat' or 'slanted'.
        values, weight: the numbers, flat and row-major; None: small ones.
        numbers: are they shown? None: where values or weights are given.
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

    def film(self, style: str | None = None, bare: bool = False) -> Film:
        """The scene's film, in another style where one is given; `bare` leaves out title and captions.

        >>> len(scene("no_padding_no_strides").film().frames)
        4
        """
        from convarith_gallery.views.subject import Subject

        if self.view in NETWORK_VIEWS:
            from convarith.networks.parser import parse_network

            return film_of_network(parse_network(self.subject), self.size, self.view, style or self.style, bare)
        from convarith.layers.parser import parse

        subject = Subject.of(parse(self.subject), self.size, self.values, self.weight, self.numbers)
        return film_of_layer(subject, self.view, style or self.style, bare)


@cache
def scenes() -> dict[str, Scene]:
    """Every scene by its name, in the gallery's order.

    >>> len([each for each in scenes().values() if each.group == "A guide to convolution arithmetic"])
    19
    """
    found: dict[str, dict[str, Any]] = tomllib.loads(
        files("convarith_gallery").joinpath("scenes.toml").read_text("utf-8")
    )
    return {name: _scene(name, entry) for name, entry in found.items()}


def _scene(name: str, entry: dict[str, Any]) -> Scene:
    """A scene of its entry; TOML's lists are tuples here."""
    known: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Scene(name, **known)


def scene(name: str) -> Scene:
    """The scene of this name; '-' is as good as '_'. Raises ParameterError for an unknown one.

    >>> scene("padding-strides").subject
    'Conv2d(1, 1, 3, stride=2, padding=1)'
    """
    known = scenes()
    name = name.replace("-", "_")
    if name not in known:
        raise ParameterError(f"unknown scene {name!r}: {nearest(name, known)}")
    return known[name]
