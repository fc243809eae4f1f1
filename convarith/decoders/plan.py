"""The plan of a decoder as data: its steps, and its report."""

from __future__ import annotations

from typing import NamedTuple

from convarith.decoders.encoder_stages import Stage
from convarith.layers.base import Layer
from convarith.layers.ways_back import Way
from convarith.sizes.sets import SizeSet


class Step(NamedTuple):
    """One step of a decoder: the layers that undo one stage of the encoder, and the layers after them.

    Attributes:
        stage: the encoder's stage; the step's output has the shape of that stage's input.
        way: the layers that lead from the stage's output shape back to its input shape.
        skip: the node of the encoder whose output is concatenated to the result, or None.
        run: layers that keep the shape: with a skip, a convolution of both; then norm, activation and dropout.
    """

    stage: Stage
    way: Way
    skip: str | None
    run: tuple[Layer, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The output shape of the step, without the batch."""
        return self.stage.before


class Checkerboard(NamedTuple):
    """A transposed convolution of a decoder that hits its outputs unevenly.

    Attributes:
        name, layer: the node and its layer.
        axes: the axes along which it is uneven.
        remedy: the even transposed convolution with the same sizes.
    """

    name: str
    layer: Layer
    axes: tuple[int, ...]
    remedy: Layer


class Report(NamedTuple):
    """The properties of a decoder.

    Attributes:
        exact: whether every intermediate shape of the encoder is restored for the given input shape.
        serves: for each spatial axis, its letter and the input sizes that are restored (other axes as given).
        follows: whether the decoder follows the encoder's sizes, so that every accepted input size is restored.
        checkerboards: the transposed convolutions that would leave a checkerboard.
        parameters: the number of trainable parameters.
        cost_of_even: how many of these are due to the even kernels.
        remarks: decisions that the user should know about.
    """

    exact: bool
    serves: tuple[tuple[str, SizeSet], ...]
    follows: bool
    checkerboards: tuple[Checkerboard, ...]
    parameters: int
    cost_of_even: int
    remarks: tuple[str, ...]
