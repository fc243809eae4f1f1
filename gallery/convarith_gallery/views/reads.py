"""What every output of a layer reads: which inputs, through which taps of the kernel, with which factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import inf, prod
from typing import NamedTuple

from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.registry import KINDS, class_of_kind

Index = tuple[int, ...]
"""A channel, then a position along each axis; for a weight, PyTorch's index."""
Number = int | float | Fraction
Values = Mapping[Index, Number]


class Term(NamedTuple):
    """One input that an output reads.

    Attributes:
        source: the input; None if the layer reads a zero that is not part of the input.
        place: (channel, *position) of the window's tap, counted from the first input; for a transposed convolution,
            in the stretched input. Places outside the input are padding.
        tap: the index of the weight; None for a layer without weights.
        share: the factor in addition to the weight.
    """

    source: Index | None
    place: Index
    tap: Index | None
    share: Fraction = Fraction(1)


class Read(NamedTuple):
    """One output: the sum of its terms, or their maximum if `how` is 'max'."""

    target: Index
    terms: tuple[Term, ...]
    how: str = "sum"


class _Reach(NamedTuple):
    """A term along one axis."""

    source: int | None
    place: int
    tap: int
    share: Fraction = Fraction(1)


def reads(layer: Layer, shape: Sequence[int]) -> Iterator[Read]:
    """Every output of a layer with an input of `shape`, (channels, *spatial), in row-major order.

    Raises ParameterError for a layer whose reads are not known, ShapeError if the layer does not accept the shape.

    >>> import convarith as ca
    >>> first = next(reads(ca.parse("Conv2d(1, 1, 2, padding=1)"), (1, 3, 3)))
    >>> first.target, [(term.source, term.tap) for term in first.terms][-1]
    ((0, 0, 0), ((0, 0, 0), (0, 0, 1, 1)))
    """
    if not isinstance(layer, SpatialLayer) or not layer.title or getattr(layer, "mode", "") in ("bicubic", "area"):
        known = ", ".join(kind for kind in KINDS if class_of_kind(kind).title)
        raise ParameterError(f"{layer} cannot be drawn: the layers that can are {known}, max-unpool")
    return _reads(layer, tuple(shape))


def output_shape(layer: Layer, shape: Sequence[int]) -> tuple[int, ...]:
    """(channels, *spatial) of the output. Raises ShapeError if the layer does not accept the shape.

    >>> import convarith as ca
    >>> output_shape(ca.parse("Upsample(scale_factor=2)"), (1, 3, 3))
    (1, 6, 6)
    """
    return layer.output_shape((1, *shape))[1:]


def value_of(read: Read, values: Values, weight: Values | None) -> Number:
    """The value of an output for these values of the inputs and weights; a term without a source reads 0.

    >>> read = Read((0, 0), (Term((0, 0), (0, 0), (0, 0, 0)), Term(None, (0, 1), (0, 0, 1))))
    >>> value_of(read, {(0, 0): 3}, {(0, 0, 0): 2})
    6
    """
    if read.how == "max":
        found = [values[term.source] for term in read.terms if term.source is not None]
        return max(found, default=-inf)  # a dilated window may read nothing but padding
    return sum((term_value(term, values, weight) for term in read.terms if term.source is not None), start=0)


def term_value(term: Term, values: Values, weight: Values | None) -> Number:
    """The value of one term."""
    if term.source is None:
        return 0
    factor: Number = 1 if term.tap is None or weight is None else weight[term.tap]
    return values[term.source] * factor * term.share if term.share != 1 else values[term.source] * factor


def _reads(layer: SpatialLayer, shape: tuple[int, ...]) -> Iterator[Read]:
    target_shape = output_shape(layer, shape)
    (channels, *sizes), (out_channels, *outputs) = shape, target_shape
    axes = [
        [_reaches(layer, axis, size, output, at, len(sizes)) for at in range(output)]
        for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True))
    ]
    for target in range(out_channels):
        for position in product(*map(range, outputs)):
            meetings = list(product(*(axis[at] for axis, at in zip(axes, position, strict=True))))
            terms = tuple(
                _term(channel, lead, reaches)
                for channel, lead, only in layer.channels_read(target, position, channels, out_channels)
                for reaches in meetings
                if only is None or only == tuple(reach.tap for reach in reaches)
            )
            yield Read((target, *position), terms, "max" if layer.combines == "max" else "sum")


def _term(channel: int, lead: Index | None, reaches: Sequence[_Reach]) -> Term:
    sources = [reach.source for reach in reaches if reach.source is not None]
    return Term(
        (channel, *sources) if len(sources) == len(reaches) else None,
        (channel, *(reach.place for reach in reaches)),
        None if lead is None else (*lead, *(reach.tap for reach in reaches)),
        prod((reach.share for reach in reaches), start=Fraction(1)),
    )


def _reaches(layer: SpatialLayer, axis: int, size: int, output: int, at: int, ndim: int) -> list[_Reach]:
    """What one output reads along one axis; for a layer with weights, every tap, including those without an input."""
    reads = layer.reads(axis, size, output, ndim)
    assert reads is not None, f"{layer} has a title but does not say what it reads"
    weighted = layer.weight_shape(1) is not None
    taps = range(reads.kernel) if weighted else (reads.tap(at, each) for each in range(reads.candidates))
    found = []
    for tap in taps:
        source, misses = reads.source(at, tap, size)
        if misses and not weighted:
            continue
        place = reads.place(at, tap) if weighted else reads.at(at, tap)[0]
        share = reads.share(at, tap, size) * layer.constant_share(axis)
        found.append(_Reach(source if not misses and 0 <= source < size else None, place, tap, share))
    return sorted(found, key=lambda reach: reach.place)
