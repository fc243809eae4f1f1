"""The plan of a decoder, as data: the steps of the way back, and what a report says of it."""

from __future__ import annotations

from typing import NamedTuple

from convarith.decoders.encoder_stages import Stage
from convarith.layers.base import Layer
from convarith.layers.ways_back import Way
from convarith.sizes.sets import SizeSet


class Step(NamedTuple):
    """One step of a decoder: the way back through one stage, then what follows it.

    Attributes:
        stage: the encoder's stage; the step's output has the shape of that stage's input.
        way: the layers from the stage's output to its input.
        skip: the encoder's node that is joined to the result, or None.
        run: what keeps the shape: with a skip the convolution that takes both, then norm, activation, dropout.
    """

    stage: Stage
    way: Way
    skip: str | None
    run: tuple[Layer, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape the step leads back to, without the batch."""
        return self.stage.before


class Checkerboard(NamedTuple):
    """A transposed convolution of a decoder that hits its outputs unevenly, and the even one of the same sizes."""

    name: str
    layer: Layer
    axes: tuple[int, ...]
    remedy: Layer


class Report(NamedTuple):
    """What is to be known about a decoder.

    Attributes:
        exact: does every intermediate shape mirror the encoder's at this input?
        serves: for each spatial axis its letter and the input sizes that come back, the other axes as given.
        follows: do sizes follow the encoder's, so that every legal input comes back?
        checkerboards: the transposed convolutions that would leave a pattern.
        parameters: trainable numbers of the decoder.
        cost_of_even: how many of them the even kernels added.
        remarks: what had to be decided.
    """

    exact: bool
    serves: tuple[tuple[str, SizeSet], ...]
    follows: bool
    checkerboards: tuple[Checkerboard, ...]
    parameters: int
    cost_of_even: int
    remarks: tuple[str, ...]
