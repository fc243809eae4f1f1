"""Applying a network to a picture of any size in pieces that overlap by the receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from math import ceil, floor, lcm
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convarith.errors import ShapeError
from convarith.networks.network import Network
from convarith.networks.trace import Row
from convarith.pytorch import from_module
from convarith.sizes.normalise import times

SIDE = 256
"""The rows and columns of a piece including its overlap, unless the receptive field needs more."""


class Reach(NamedTuple):
    """What a network sees along one axis: for the inputs a to b, multiples of `step`, from a - before to b + after.

    Attributes:
        scale: outputs per input.
        step: shifting the inputs by this many shifts the outputs and changes nothing else.
        before, after: inputs that are seen beyond the two ends, multiples of `step`.
    """

    scale: int
    step: int
    before: int
    after: int


class Piece(NamedTuple):
    """One piece along one axis.

    Attributes:
        start, end: the range of inputs that the piece reads.
        first, last: the range of outputs that the piece gives, in the coordinates of the whole picture.
        skipped: the number of the piece's own outputs before `first`.
    """

    start: int
    end: int
    first: int
    last: int
    skipped: int


class Tiling:
    """A plan for applying a network to pictures of any size.

    Attributes:
        network: the layers of the network.
        scale: output pixels per input pixel, along both axes.
        channels: the number of output channels.
        reaches: the reach along each axis; empty if the network sees the whole picture, which is then one piece.

    Raises ShapeError if the output is not an integer multiple of the input.

    >>> tiling = Tiling(nn.Sequential(nn.Conv2d(1, 1, 5, padding=2), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)))
    >>> tiling.reaches[0]
    Reach(scale=1, step=2, before=2, after=4)
    >>> tiling.legal_size((7, 10))
    (8, 10)
    """

    def __init__(self, module: nn.Module | Network, shape: tuple[int, ...] = (1, 64, 64)) -> None:
        found = module if isinstance(module, Network) else from_module(module, shape)
        self.network = found if isinstance(found, Network) else Network.chain([found])
        rows = self.network.trace((1, *shape), batched=True).rows
        factors = {Fraction(after, size) for size, after in zip(shape[1:], rows[-1].output[2:], strict=True)}
        if len(factors) != 1 or (factor := factors.pop()).denominator != 1 or not factor:
            raise ShapeError(
                f"the network turns {times(shape[1:])} into {times(rows[-1].output[2:])}: a restorer must give the "
                "same size or an integer multiple of it"
            )
        self.shape = shape
        self.scale = int(factor)
        self.channels = rows[-1].output[1]
        seen = all(_is_local(row) for row in rows)
        self.reaches = tuple(_reach(rows, axis, self.scale) for axis in range(len(shape) - 1)) if seen else ()

    def legal_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The smallest size, at least this one, whose output is `scale` times as large.

        Raises ShapeError if there is none.
        """
        if self.reaches:
            return tuple(self._legal(axis, extent) for axis, extent in enumerate(size))
        wanted = tuple(self.scale * extent for extent in size)
        try:
            if self.network.output_shape((1, self.shape[0], *size), batched=True)[2:] == wanted:
                return size
        except ShapeError:
            pass
        raise self._refusal(size)

    def pieces(self, size: tuple[int, ...], side: int = SIDE) -> list[tuple[Piece, ...]]:
        """The pieces of a picture of a legal size, one Piece per axis; each reads about `side` inputs along it."""
        if not self.reaches:
            return [tuple(Piece(0, extent, 0, self.scale * extent, 0) for extent in size)]
        axes = [_cut(reach, extent, side) for reach, extent in zip(self.reaches, size, strict=True)]
        return list(product(*axes))

    def _legal(self, axis: int, extent: int) -> int:
        sizes = self.network.size_map(axis, self.shape)
        period = lcm(sizes.period or 1, self.reaches[axis].step)
        for size in range(extent, max(extent, sizes.minimum or 0) + period + 1):
            if sizes(size) == self.scale * size:
                return size
        raise self._refusal((extent,))

    def _refusal(self, size: tuple[int, ...]) -> ShapeError:
        task = "keeps the size" if self.scale == 1 else f"enlarges {self.scale} times"
        return ShapeError(
            f"the network {task} for {times(self.shape[1:])}, but not for {times(size)}: crop the picture, or train a "
            "network with padded convolutions"
        )


def restored_pieces(
    module: Callable[[Tensor], Tensor],
    tiling: Tiling,
    read: Callable[[Tensor, Tensor], Tensor],
    size: tuple[int, int],
    side: int = SIDE,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The rows, columns and values (C, rows, columns) of each piece of a restored picture.

    Beyond its borders the picture is reflected. Only one piece is in memory at a time.

    Args:
        read: returns the pixels (C, rows, columns) from 0 to 1 at these rows and columns.
    """
    height, width = size
    scale = tiling.scale
    for rows, columns in tiling.pieces(tiling.legal_size(size), side):
        pixels = read(_reflected(rows, height), _reflected(columns, width))
        with torch.no_grad():
            made = module(pixels.unsqueeze(0))[0]
        down, right = (slice(axis.skipped, axis.skipped + axis.last - axis.first) for axis in (rows, columns))
        last, end = min(rows.last, scale * height), min(columns.last, scale * width)
        if rows.first < last and columns.first < end:
            kept = made[:, down, right][:, : last - rows.first, : end - columns.first]
            yield slice(rows.first, last), slice(columns.first, end), kept


def restored(module: nn.Module, picture: Tensor, side: int = SIDE) -> Tensor:
    """A picture (C, H, W) restored piece by piece: (C, scale H, scale W).

    >>> blur = nn.AvgPool2d(3, stride=1, padding=1)
    >>> picture = torch.rand(1, 70, 90)
    >>> torch.equal(restored(blur, picture, side=32)[:, 1:-1, 1:-1], blur(picture[None])[0][:, 1:-1, 1:-1])
    True
    """
    tiling = Tiling(module, (len(picture), 64, 64))
    height, width = picture.shape[1:]
    result = picture.new_empty(tiling.channels, tiling.scale * height, tiling.scale * width)
    for rows, columns, values in restored_pieces(
        module, tiling, lambda rows, columns: picture[:, rows][:, :, columns], (height, width), side
    ):
        result[:, rows, columns] = values
    return result


def _is_local(row: Row) -> bool:
    """Whether each output of this layer depends only on inputs near it."""
    if None in row.receptive_field or len(row.receptive_field) != len(row.output) - 2:
        return False
    return not row.layer.needs_all_positions


def _reach(rows: tuple[Row, ...], axis: int, scale: int) -> Reach:
    """The reach of the last row. Fields move monotonically, so that the first output and the step bound all others."""
    step = lcm(*(jump.numerator for row in rows if (jump := row.jump[axis]) is not None))
    last = rows[-1]
    seen = last.phases[axis][0] if last.phases[axis] else last.receptive_field[axis]
    centre = last.start[axis]
    assert seen is not None
    assert centre is not None
    low, high = floor(centre - Fraction(seen - 1, 2)), ceil(centre + Fraction(seen - 1, 2))
    return Reach(scale, step, step * max(0, ceil(Fraction(-low, step))), step * max(0, ceil(Fraction(high + 1, step))))


def _cut(reach: Reach, extent: int, side: int) -> tuple[Piece, ...]:
    """The pieces of one axis. Each is at least as large as its overlap, so that no input is read more than twice."""
    scale, step, before, after = reach
    if extent <= side:
        return (Piece(0, extent, 0, scale * extent, 0),)
    share = max(side - before - after, before + after, step) // step * step
    pieces = []
    for first in range(0, extent, share):
        last = min(first + share, extent)
        start, end = max(0, first - before), min(extent, last + after)
        pieces.append(Piece(start, end, scale * first, scale * last, scale * (first - start)))
    return tuple(pieces)


def _reflected(piece: Piece, extent: int) -> Tensor:
    """The positions that a piece reads; positions beyond the ends are reflected."""
    places = torch.arange(piece.start, piece.end)
    if extent == 1:
        return torch.zeros_like(places)
    turn = 2 * (extent - 1)
    return extent - 1 - (places % turn - (extent - 1)).abs()
