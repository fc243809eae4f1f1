"""Which input positions an output position sees, along one axis.

A field is kept for every phase: behind a transposed or an upsampling layer neighbouring outputs see different numbers
of inputs. Positions in the padding count as if the input went on there. Each axis is followed by
itself, and channels are not kept apart: an output counts as seeing what any channel below it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import ceil, floor, gcd, lcm
from typing import NamedTuple

from convarith.layers.base import Layer

MOST_PHASES = 20_000
"""Beyond this many phases a field is no longer followed."""


class Field(NamedTuple):
    """The fields of one axis: output u sees the inputs low[u % P] + shift * (u // P) to high[u % P] + ...

    Attributes:
        lows, highs: first and last input of each phase; None for a phase that sees nothing.
        shift: how far the field moves in P = len(lows) outputs.

    >>> field = Field((0,), (0,), 1).behind(Taps(1, 2, lambda u: range(2 * u - 1, 2 * u + 2)))     # k=3 s=2 p=1
    >>> field.sizes, field.jump, field.start
    ((3,), Fraction(2, 1), Fraction(0, 1))
    """

    lows: tuple[int | None, ...]
    highs: tuple[int | None, ...]
    shift: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many inputs each phase sees, first to last; 0 for none."""
        return tuple(
            0 if low is None or high is None else high - low + 1
            for low, high in zip(self.lows, self.highs, strict=True)
        )

    @property
    def jump(self) -> Fraction:
        """Input positions from one output to the next, on average: the product of strides."""
        return Fraction(self.shift, len(self.lows))

    @property
    def start(self) -> Fraction | None:
        """The centre of the first output's field, in input positions from 0."""
        return self.centre(0)

    def centre(self, output: int) -> Fraction | None:
        """The centre of one output's field."""
        turns, phase = divmod(output, len(self.lows))
        low, high = self.lows[phase], self.highs[phase]
        return None if low is None or high is None else Fraction(low + high, 2) + self.shift * turns

    def behind(self, taps: Taps) -> Field | None:
        """The field behind one more layer; None when it has too many phases."""
        old = len(self.lows)
        turns = old // gcd(old, taps.shift)
        phases = taps.phases * turns
        if phases > MOST_PHASES:
            return None
        lows: list[int | None] = []
        highs: list[int | None] = []
        for output in range(phases):
            low: int | None = None
            high: int | None = None
            for position in taps.seen(output):
                moved, phase = divmod(position, old)
                one, other = self.lows[phase], self.highs[phase]
                if one is None or other is None:
                    continue
                one, other = one + self.shift * moved, other + self.shift * moved
                low, high = (one, other) if low is None or high is None else (min(low, one), max(high, other))
            lows.append(low)
            highs.append(high)
        return Field(tuple(lows), tuple(highs), self.shift * taps.shift * turns // old).reduced()

    def reduced(self) -> Field:
        """The same field with as few phases as possible."""
        phases = len(self.lows)
        for shorter in range(1, phases // 2 + 1):
            if phases % shorter or self.shift * shorter % phases:
                continue
            step = self.shift * shorter // phases
            if all(
                _moved(values[at], step) == values[at + shorter]
                for values in (self.lows, self.highs) for at in range(phases - shorter)
            ):  # fmt: skip
                return Field(self.lows[:shorter], self.highs[:shorter], step)
        return self

    def __or__(self, other: Field) -> Field | None:
        """What an output sees that reads both; None where the two move at different pace."""
        phases = lcm(len(self.lows), len(other.lows))
        if self.jump != other.jump or phases > MOST_PHASES:
            return None
        lows, highs = [], []
        for output in range(phases):
            ends = [field._at(output) for field in (self, other)]
            known = [(low, high) for low, high in ends if low is not None and high is not None]
            lows.append(min((low for low, _ in known), default=None))
            highs.append(max((high for _, high in known), default=None))
        return Field(tuple(lows), tuple(highs), int(self.jump * phases)).reduced()

    def _at(self, output: int) -> tuple[int | None, int | None]:
        turns, phase = divmod(output, len(self.lows))
        return _moved(self.lows[phase], self.shift * turns), _moved(self.highs[phase], self.shift * turns)


def _moved(position: int | None, by: int) -> int | None:
    return None if position is None else position + by


POINT = Field((0,), (0,), 1)
"""An input position sees itself."""


class Taps(NamedTuple):
    """The inputs one layer's outputs read: seen(u + phases) = seen(u) moved by `shift`."""

    phases: int
    shift: int
    seen: Callable[[int], Iterable[int]]


def taps(layer: Layer, axis: int, size: int, output: int) -> Taps | None:
    """What an output of this layer reads along one axis, for these sizes; None where it sees the whole axis."""
    found = _BY_KIND.get(layer.kind)
    return found(layer, axis, size, output) if found else None


def _same(layer: Layer, axis: int, size: int, output: int) -> Taps:
    return Taps(1, 1, lambda u: (u,))


def _window(layer: Layer, axis: int, size: int, output: int) -> Taps:
    k, s, d = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))  # type: ignore[attr-defined]
    before, _ = layer.pads(axis)  # type: ignore[attr-defined]
    return Taps(1, s, lambda u: (s * u - before + d * tap for tap in range(k)))


def _transposed(layer: Layer, axis: int, size: int, output: int) -> Taps:
    k, s, p, d = (layer.at(name, axis) for name in ("kernel_size", "stride", "padding", "dilation"))  # type: ignore[attr-defined]
    # Input n reaches u = s n - p + d j.
    return Taps(s, 1, lambda u: ((u + p - d * tap) // s for tap in range(k) if (u + p - d * tap) % s == 0))


def _unpool(layer: Layer, axis: int, size: int, output: int) -> Taps:
    k, s, p = (layer.at(name, axis) for name in ("kernel_size", "stride", "padding"))  # type: ignore[attr-defined]
    return Taps(s, 1, lambda u: range(-((k - 1 - u - p) // s), (u + p) // s + 1))


def _pad(layer: Layer, axis: int, size: int, output: int) -> Taps:
    before, _ = layer.pads(axis)  # type: ignore[attr-defined]
    return Taps(1, 1, lambda u: (u - before,))


def _zero_insert(layer: Layer, axis: int, size: int, output: int) -> Taps:
    s = layer.at("stride", axis)  # type: ignore[attr-defined]
    return Taps(s, 1, lambda u: (u // s,) if u % s == 0 else ())


def _shuffle(layer: Layer, axis: int, size: int, output: int) -> Taps:
    r: int = layer.upscale_factor  # type: ignore[attr-defined]
    return Taps(r, 1, lambda u: (u // r,))


def _unshuffle(layer: Layer, axis: int, size: int, output: int) -> Taps:
    r: int = layer.downscale_factor  # type: ignore[attr-defined]
    return Taps(1, r, lambda u: range(r * u, r * u + r))


def _adaptive(layer: Layer, axis: int, size: int, output: int) -> Taps | None:
    if output <= 1:
        return None
    common = gcd(size, output)
    return Taps(output // common, size // common, lambda u: range(u * size // output, -(-(u + 1) * size // output)))


def _upsample(layer: Layer, axis: int, size: int, output: int) -> Taps | None:
    if output < 1:
        return None
    mode: str = layer.mode  # type: ignore[attr-defined]
    if mode == "area":
        return _adaptive(layer, axis, size, output)
    given = layer.factor_at(axis)  # type: ignore[attr-defined]
    again = given is None or layer.recompute_scale_factor  # type: ignore[attr-defined]
    scale = Fraction(size, output) if again else 1 / Fraction(given).limit_denominator(10**6)
    if layer.align_corners:  # type: ignore[attr-defined]
        scale = Fraction(size - 1, output - 1) if output > 1 else Fraction(0)
    if scale == 0:
        return None

    def seen(u: int) -> Iterable[int]:
        if mode == "nearest":
            return (floor(u * scale),)
        if mode == "nearest-exact":
            return (floor((u + Fraction(1, 2)) * scale),)
        at = u * scale if layer.align_corners else (u + Fraction(1, 2)) * scale - Fraction(1, 2)  # type: ignore[attr-defined]
        if at.denominator == 1:
            return (int(at),)
        low, high = floor(at), ceil(at)
        return range(low - 1, high + 2) if mode == "bicubic" else (low, high)

    return Taps(scale.denominator, scale.numerator, seen)


_BY_KIND: dict[str, Callable[[Layer, int, int, int], Taps | None]] = {
    "elementwise": _same,
    "glu": _same,
    "narrow": _same,
    "conv": _window,
    "max-pool": _window,
    "avg-pool": _window,
    "lp-pool": _window,
    "conv-transpose": _transposed,
    "max-unpool": _unpool,
    "pad": _pad,
    "zero-insert": _zero_insert,
    "pixel-shuffle": _shuffle,
    "pixel-unshuffle": _unshuffle,
    "adaptive-avg-pool": _adaptive,
    "adaptive-max-pool": _adaptive,
    "upsample": _upsample,
}
"""By kind, so that a network loads only the layers it has. What is missing here sees the whole axis."""
