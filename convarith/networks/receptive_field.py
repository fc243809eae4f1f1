"""The receptive field: which input positions an output position sees, along one axis.

A field is kept for every phase, because after a transposed or an upsampling layer neighbouring outputs see different
numbers of inputs. Positions in the padding count as if the input continued there. Each axis is followed separately.
Channels are not distinguished: an output sees everything that any channel of its inputs sees.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from convarith.layers.reads import Reads

MOST_PHASES = 20_000
"""A field with more phases than this is not followed."""


class Field(NamedTuple):
    """The fields along one axis: output u sees the inputs lows[u % P] + shift * (u // P) to highs[u % P] + ...

    Attributes:
        lows, highs: the first and last input of each phase; None for a phase that sees nothing.
        shift: how far the field moves over P = len(lows) outputs.

    >>> from convarith.layers.reads import Window
    >>> field = Field((0,), (0,), 1).behind(Window(size=3, stride=2, before=1))
    >>> field.sizes, field.jump, field.start
    ((3,), Fraction(2, 1), Fraction(0, 1))
    """

    lows: tuple[int | None, ...]
    highs: tuple[int | None, ...]
    shift: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of the field of each phase, from the first input to the last; 0 if it sees nothing."""
        return tuple(
            0 if low is None or high is None else high - low + 1
            for low, high in zip(self.lows, self.highs, strict=True)
        )

    @property
    def jump(self) -> Fraction:
        """Input positions from one output to the next, on average: the product of the strides."""
        return Fraction(self.shift, len(self.lows))

    @property
    def start(self) -> Fraction | None:
        """The centre of the field of the first output, in input positions counted from 0."""
        return self.centre(0)

    def centre(self, output: int) -> Fraction | None:
        """The centre of the field of one output; None if it sees nothing."""
        turns, phase = divmod(output, len(self.lows))
        low, high = self.lows[phase], self.highs[phase]
        return None if low is None or high is None else Fraction(low + high, 2) + self.shift * turns

    def behind(self, reads: Reads | None) -> Field | None:
        """The field after a layer with these reads; None if it is the whole axis or has too many phases."""
        if reads is None or reads.whole:
            return None
        own_phases, shift = reads.cycle
        old = len(self.lows)
        turns = old // gcd(old, shift)
        phases = own_phases * turns
        if phases > MOST_PHASES:
            return None
        lows: list[int | None] = []
        highs: list[int | None] = []
        for output in range(phases):
            low: int | None = None
            high: int | None = None
            for position in reads.seen(output):
                moved, phase = divmod(position, old)
                one, other = self.lows[phase], self.highs[phase]
                if one is None or other is None:
                    continue
                one, other = one + self.shift * moved, other + self.shift * moved
                low, high = (one, other) if low is None or high is None else (min(low, one), max(high, other))
            lows.append(low)
            highs.append(high)
        return Field(tuple(lows), tuple(highs), self.shift * shift * turns // old).reduced()

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
        """The field of an output that reads both; None if the two have different jumps or too many phases."""
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
"""The field of the input: each position sees itself."""
