"""The way back through one step of an encoder, as data: layers, and what brings other sizes to the encoder's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convarith.errors import ShapeError

if TYPE_CHECKING:
    from convarith.layers.base import Layer


class NoWayBackError(ShapeError):
    """A layer that nothing leads back; the message says which change would give it a way back."""


class Passage(NamedTuple):
    """One step of an encoder that is to be led back.

    Attributes:
        name, text: the step's name, and the layer as people read it, for remarks and messages.
        before, after: its input and output shape, without the batch.
        upsample: the word for how sizes grow: 'transposed', 'resize', 'pixel-shuffle' or 'unpool'.
        even: whether transposed convolutions take the nearest kernel that leaves no checkerboard.
    """

    name: str
    text: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    upsample: str
    even: bool

    @property
    def ndim(self) -> int:
        """Spatial axes of the input."""
        return len(self.before) - 1


class Way(NamedTuple):
    """Layers from a step's output to its input.

    Attributes:
        layers: with what follows the size, for the sizes of one input.
        fit: what brings every other size to the encoder's: '' nothing, 'crop' the end is cut off, 'interpolate',
            'pool', 'unflatten', 'unpool' (which takes the indices of the encoder's pool).
        open: in place of `layers` where sizes follow the encoder: what comes before the fit ...
        close: ... and what comes after it.
        remark: what the report should say.
    """

    layers: tuple[Layer, ...]
    fit: str = ""
    open: tuple[Layer, ...] = ()
    close: tuple[Layer, ...] = ()
    remark: str = ""

    @classmethod
    def exact(cls, *layers: Layer) -> Way:
        """Layers that lead back for every size."""
        return cls(layers, open=layers)
