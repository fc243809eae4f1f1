"""The inverse of one step of an encoder, as data: layers, and how other sizes are fitted to the encoder's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convarith.errors import ShapeError

if TYPE_CHECKING:
    from convarith.layers.base import Layer


class NoWayBackError(ShapeError):
    """The layer cannot be mirrored; the message says which change to it would help."""


class Passage(NamedTuple):
    """One step of an encoder that is to be mirrored.

    Attributes:
        name, text: the name of the step and the text of its layer, for remarks and messages.
        before, after: the input and output shapes, without the batch.
        upsample: how sizes grow: 'transposed', 'resize', 'pixel-shuffle' or 'unpool'.
        even: whether transposed convolutions use the nearest kernel that makes no checkerboard.
    """

    name: str
    text: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    upsample: str
    even: bool

    @property
    def ndim(self) -> int:
        """The number of spatial axes of the input."""
        return len(self.before) - 1


class Way(NamedTuple):
    """Layers from the output of a step back to its input.

    Attributes:
        layers: the layers for the sizes of one input.
        fit: how every other size is fitted to the encoder's: '' not at all, 'crop' by cropping the end, 'interpolate',
            'pool', 'unflatten', 'unpool' (which takes the indices of the encoder's pool).
        open: the layers before the fit; together with `close` they replace `layers` if sizes follow the encoder.
        close: the layers after the fit.
        remark: what the report should say.
    """

    layers: tuple[Layer, ...]
    fit: str = ""
    open: tuple[Layer, ...] = ()
    close: tuple[Layer, ...] = ()
    remark: str = ""

    @classmethod
    def exact(cls, *layers: Layer) -> Way:
        """Layers that restore every input size."""
        return cls(layers, open=layers)
