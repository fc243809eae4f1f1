"""The subject of a view: a layer, its input shape, and the numbers in its input and its weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import inf, prod
from typing import NamedTuple

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.convolution import ConvolutionLayer
from convarith.layers.unpooling import MaxUnpool
from convarith.sizes.normalise import counted, times
from convarith_gallery.views.reads import Index, Number, Values, output_shape
from convarith_gallery.views.story import Cell, Panel, Place


@dataclass(frozen=True)
class Subject:
    """A layer with one input.

    Attributes:
        layer: the layer, with its dimension and channels filled in.
        shape: (channels, *spatial) of the input.
        values: the numbers of the input, by index; for an unpooling layer, those before the pool.
        weight: the weights, by PyTorch's index; None for a layer without weights.
        numbers: whether the numbers are shown.

    >>> import convarith as ca
    >>> subject = Subject.of(ca.Conv(kernel_size=3), (4, 4))
    >>> subject.layer, subject.shape, subject.output
    (Conv2d(1, 1, 3), (1, 4, 4), (1, 2, 2))
    """

    layer: Layer
    shape: tuple[int, ...]
    values: Values
    weight: Values | None
    numbers: bool = False

    @classmethod
    def of(
        cls, layer: Layer, size: Sequence[int], values: Sequence[Number] | None = None,
        weight: Sequence[Number] | None = None, numbers: bool | None = None,
    ) -> Subject:  # fmt: skip
        """A layer with an input of (channels, *spatial) or *spatial; numbers are flat and row-major, by default small.

        With `numbers` None, they are shown if values or weights are given. Raises ShapeError if the layer does not
        accept the size, ParameterError for too few or too many numbers.
        """
        layer, shape = _settled(layer, tuple(size))
        output = output_shape(layer, shape)
        _refuse_many(max(prod(shape), prod(output)), f"{layer} at {times(shape)}")
        valued = output if isinstance(layer, MaxUnpool) else shape
        known = _numbered(_indices(valued), values, "--values", f"a map of {times(valued)}", _SMALL_VALUES)
        if numbers is None:
            numbers = values is not None or weight is not None
        kernel = layer.weight_shape(len(shape) - 1)
        if kernel is None:
            if weight is not None:
                raise ParameterError(f"{layer} has no weight: leave --weight out")
            return cls(layer, shape, known, None, numbers)
        taps = _numbered(_indices(kernel), weight, "--weight", f"the weight {times(kernel)}", _SMALL_WEIGHTS)
        return cls(layer, shape, known, taps, numbers)

    @cached_property
    def output(self) -> tuple[int, ...]:
        """(channels, *spatial) of the output."""
        return output_shape(self.layer, self.shape)

    @property
    def formula(self) -> tuple[str, ...]:
        """The size formula with its numbers; one line if all axes agree, otherwise one per axis."""
        if not isinstance(self.layer, SpatialLayer):
            return ()
        names = ("o",) if len(self.output) == 2 else ("depth", "height", "width")[4 - len(self.output) :]
        lines = []
        for axis, (size, output) in enumerate(zip(self.shape[1:], self.output[1:], strict=True)):
            sides = self.layer.formula(axis, i=size, **self.layer.letters(axis)), str(output)
            lines.append(" = ".join(dict.fromkeys(sides)).replace("*", "·").replace("-", "−"))
        if len(set(lines)) == 1:
            return (f"output size = {lines[0]}",)
        return tuple(f"{name} = {line}" for name, line in zip(names, lines, strict=True))

    def text(self, number: Number) -> str:
        """A number as written in a cell; empty if numbers are not shown."""
        return written(number) if self.numbers else ""


MOST_CELLS = 20_000
"""Maps with more cells are not drawn."""
_SMALL_VALUES = (3, 1, 2, 4, 2, 1, 0, 3, 1, 5, 2, 2, 1, 4)
_SMALL_WEIGHTS = (1, 2, 0, 2, 1, 1, 0, 1, 2)


def _refuse_many(count: int, what: str) -> None:
    if count > MOST_CELLS:
        raise ParameterError(
            f"{what} has {count:,} cells, more than the {MOST_CELLS:,} that can be drawn: use a smaller -i"
        )


def written(number: Number) -> str:
    """A number with few characters.

    >>> written(7), written(3.5), written(1 / 3), written(-2)
    ('7', '3.5', '0.33', '−2')
    """
    if number == -inf:
        return "−∞"
    whole = isinstance(number, int) or number == int(number)
    text = str(int(number)) if whole else f"{float(number):.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _settled(layer: Layer, size: tuple[int, ...]) -> tuple[Layer, tuple[int, ...]]:
    """The layer with its dimension and channels filled in, and (channels, *spatial)."""
    ndim = layer.ndim
    if ndim is None:
        ndim = len(size) if len(size) < 3 else len(size) - 1
        if layer.dimensions:
            layer = layer.changed(ndim=ndim)
    if len(size) == 1:
        size = size * ndim
    if len(size) not in (ndim, ndim + 1):
        raise ShapeError(
            f"{layer} takes {ndim} size{'s' if ndim != 1 else ''}, or {ndim + 1} with the channels first: "
            f"got {times(size)}"
        )
    given = size[0] if len(size) == ndim + 1 else None
    if not isinstance(layer, ConvolutionLayer):
        least = getattr(layer, "upscale_factor", 1) ** 2
        return layer, size if given is not None else (least, *size)
    channels = layer.in_channels if layer.in_channels is not None else given or layer.groups
    if given not in (None, channels):
        raise ShapeError(f"{layer} takes {counted(channels, 'channel')}, got {times(size)}")
    out = layer.out_channels if layer.out_channels is not None else layer.groups
    return layer.changed(in_channels=channels, out_channels=out), (channels, *size[-ndim:])


def _indices(shape: Sequence[int]) -> Iterable[Index]:
    return product(*map(range, shape))


def _numbered(
    indices: Iterable[Index], given: Sequence[Number] | None, flag: str, what: str, small: Sequence[int]
) -> Values:
    places = list(indices)
    if given is None:
        return {place: small[number % len(small)] for number, place in enumerate(places)}
    if len(given) != len(places):
        raise ParameterError(
            f"{flag} has {counted(len(given), 'number')}, but {what} takes {len(places)}: give {len(places)}"
        )
    return dict(zip(places, given, strict=True))


class Sheet(NamedTuple):
    """One group of panels: one per channel (in 3-D, per slice), each with the positions from `low` up to `high`."""

    group: str
    channels: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    first: int = 0

    @classmethod
    def of(cls, group: str, shape: Sequence[int], first: int = 0) -> Sheet:
        """The panels of a map of (channels, *spatial); `first` is the number of the first panel."""
        return cls(group, shape[0], (0,) * (len(shape) - 1), tuple(shape[1:]), first)

    @property
    def extents(self) -> tuple[int, ...]:
        """The number of positions along each axis."""
        return tuple(high - low for low, high in zip(self.low, self.high, strict=True))

    @property
    def panel_count(self) -> int:
        """The number of panels."""
        return self.channels * prod(self.extents[:-2])

    @property
    def end(self) -> int:
        """The number of the first panel after these."""
        return self.first + self.panel_count

    def place(self, index: Index) -> Place:
        """The place of (channel, *position)."""
        channel, *position = index
        shifted = [at - low for at, low in zip(position, self.low, strict=True)]
        *lead, row, column = (0, *shifted) if len(shifted) == 1 else shifted
        panel = channel
        for at, extent in zip(lead, self.extents, strict=False):
            panel = panel * extent + at
        return self.first + panel, row, column

    def indices(self) -> Iterator[Index]:
        """Every (channel, *position), row-major. Raises ParameterError for more than can be drawn."""
        _refuse_many(self.channels * prod(self.extents), f"the {self.group} with its surroundings")
        spans = (range(low, high) for low, high in zip(self.low, self.high, strict=True))
        return product(range(self.channels), *spans)

    def panels(self, cells: dict[Place, Cell]) -> tuple[Panel, ...]:
        """The panels with these cells; a place without a cell stays empty."""
        *lead, columns = self.extents
        rows = lead[-1] if lead else 1
        return tuple(
            Panel(
                self.group,
                tuple(tuple(cells.get((panel, row, column)) for column in range(columns)) for row in range(rows)),
                self._label(panel - self.first),
            )
            for panel in range(self.first, self.end)
        )

    def _label(self, number: int) -> str:
        if self.panel_count == 1:
            return ""
        slices = prod(self.extents[:-2])
        channel, at = divmod(number, slices)
        words = [f"channel {channel}"] * (self.channels > 1) + [f"slice {at + self.low[0]}"] * (slices > 1)
        return ", ".join(words)
