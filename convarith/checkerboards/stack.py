"""The overlap of several layers in sequence: the frequencies that they add, and the frequencies that they remove.

The input is constant. If branches meet in an Add, Multiply or Concat, the result has the frequencies of all of them,
and their counts are added, because the next convolution reads all of them. Branches are assumed not to cancel each
other's patterns, since random weights do not.
https://distill.pub/2016/deconv-checkerboard/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple, TypeVar

from convarith.checkerboards.axis import Scatter
from convarith.checkerboards.grid import Grid
from convarith.errors import ParameterError

Value = TypeVar("Value")


class Frequency(NamedTuple):
    """A frequency that a layer of a stack adds, because its own kernel does not cancel it.

    Attributes:
        cycles: cycles per position of the last output (for gradients, of the input), at most 1/2.
        brought_by: the name of the layer that adds it.
        cured_by: the first later layer that removes it, or None if it remains.
    """

    cycles: Fraction
    brought_by: str
    cured_by: str | None


class Move(NamedTuple):
    """One layer of a stack along one axis: every x adds to the positions s*x + d*j - before for j < k.

    Attributes:
        name: the name of the layer.
        kernel, stride, dilation, before: k, s, d and the number of positions cropped at the start.
        constant: n values become s*n + constant values.
        pads, mode: how the values are padded first or, for a gradient, where the values in the padding go.
        back: whether this is a layer in the backward pass of the gradient.
    """

    name: str
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    constant: int = 0
    pads: tuple[int, int] = (0, 0)
    mode: str = "zeros"
    back: bool = False

    def spread(self, values: Sequence[int]) -> list[int]:
        """The output for these values.

        >>> Move("up", kernel=3, stride=2, constant=1).spread([1, 1, 1])
        [1, 1, 2, 1, 2, 1, 1]
        """
        size = self.stride * len(values) + self.constant
        if self.back:
            found = self._scattered(values, size + sum(self.pads))
            folded = [0] * size
            for source, value in zip(sources(size, self.pads, self.mode), found, strict=True):
                if source is not None:
                    folded[source] += value
            return folded
        padded = [0 if at is None else values[at] for at in sources(len(values), self.pads, self.mode)]
        return self._scattered(padded, size)

    def _scattered(self, values: Sequence[int], size: int) -> list[int]:
        found = [0] * size
        for tap in range(self.kernel):
            start = self.dilation * tap - self.before
            first = max(0, -(start // self.stride))
            for position, value in zip(range(start + self.stride * first, size, self.stride), values[first:]):  # noqa: B905 - stops at the end of the shorter one
                found[position] += value
        return found

    def repeat(self, pattern: Sequence[int]) -> list[int]:
        """One period of the output for an infinitely repeated pattern: exact polyphase sums.

        >>> Move("up", kernel=3, stride=2).repeat([1])
        [2, 1]
        """
        period = len(pattern) * self.stride
        found = [0] * period
        shift = (-self.pads[0] if self.back else self.stride * self.pads[0]) - self.before
        for at, value in enumerate(pattern):
            for tap in range(self.kernel):
                found[(self.stride * at + self.dilation * tap + shift) % period] += value
        return found


def sources(size: int, pads: tuple[int, int], mode: str) -> Iterator[int | None]:
    """For each place of a padded axis, the position whose value it has, or None for a zero.

    >>> list(sources(3, (1, 2), "zeros")), list(sources(3, (1, 2), "reflect"))
    ([None, 0, 1, 2, None, None], [1, 0, 1, 2, 1, 0])
    """
    last = size - 1
    for at in range(-pads[0], size + pads[1]):
        if mode == "circular":
            yield at % size
        elif mode == "replicate":
            yield min(max(at, 0), last)
        elif 0 <= at <= last:
            yield at
        else:
            yield None if mode == "zeros" else last - abs(last - abs(at))


class Step(NamedTuple):
    """A move and what it reads: the sum of earlier steps, by their index, and of sources, numbered ~0, ~1, ..."""

    move: Move
    reads: tuple[int, ...]


class Stack(NamedTuple):
    """The layers of a stack along one axis, in the order of computation; the last step gives the result.

    Attributes:
        steps: the layers.
        sizes: the number of values that enter at each source, or None if no input size was given.
        sample: the same for an input that is large enough to measure the border; not needed with one source.

    >>> twice = Stack((Step(Move("a", 3, 2), (~0,)), Step(Move("b", 4, 2), (0,))))
    >>> twice.even, [(str(each.cycles), each.brought_by, each.cured_by) for each in twice.frequencies]
    (True, [('1/4', 'a', 'b')])
    """

    steps: tuple[Step, ...]
    sizes: tuple[int, ...] | None = None
    sample: tuple[int, ...] | None = None

    def _last(self, start: Callable[[int], Value], visit: Callable[[Move, list[Value]], Value]) -> Value:
        """The result of the last step: `visit(move, its inputs)` for every step, `start(number)` for every source."""
        found: list[Value] = []
        for step in self.steps:
            found.append(visit(step.move, [start(~at) if at < 0 else found[at] for at in step.reads]))
        return found[-1]

    @property
    def phases(self) -> int:
        """The product of the strides; with branches, the least common multiple of the products."""
        return self._last(lambda _: 1, lambda move, reads: lcm(*reads) * move.stride)

    @property
    def frequencies(self) -> tuple[Frequency, ...]:
        """The frequencies, at most 1/2, that the layers add and do not cancel themselves, along any path.

        A stride of s turns every frequency f into (f + j)/s for j < s. From the constant, f = 0, it makes those that
        the layer adds. A kernel cancels f exactly if d*k*f is an integer and d*f is not.
        """
        phases, spectrum = self._last(lambda _: (1, {}), _spread_frequencies)
        return tuple(
            Frequency(Fraction(number, phases), brought_by, cured_by)
            for number in sorted(spectrum) if 2 * number <= phases
            for brought_by, cured_by in spectrum[number].items()
        )  # fmt: skip

    @property
    def _left(self) -> list[Frequency]:
        return [each for each in self.frequencies if each.cured_by is None]

    @property
    def even(self) -> bool:
        """Whether every inner position is hit equally often: every frequency is removed by some layer."""
        return not self._left

    @property
    def period(self) -> int:
        """S/gcd(S, the frequencies that remain); for a chain, this is the smallest period of the inner counts."""
        phases = self.phases
        return phases // gcd(phases, *(int(each.cycles * phases) for each in self._left))

    @property
    def interior(self) -> tuple[int, ...]:
        """One period: the count at an inner position o is interior[o % period]."""

        def repeat(move: Move, reads: list[list[int]]) -> list[int]:
            period = lcm(*map(len, reads))
            return move.repeat([sum(each[at % len(each)] for each in reads) for at in range(period)])

        return tuple(self._last(lambda _: [1], repeat)[: self.period])

    @property
    def holes(self) -> bool:
        """Whether there are inner positions that are never hit."""
        return 0 in self.interior

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        return None if self.sizes is None else tuple(self.values(self.sizes))

    def values(self, sizes: Sequence[int]) -> list[int]:
        """The count at every position if this number of ones enters at each source."""

        def spread(move: Move, reads: list[list[int]]) -> list[int]:
            size = max(map(len, reads))
            return move.spread([sum(each[at % len(each)] for each in reads) for at in range(size)])  # 1 is broadcast

        return self._last(lambda number: [1] * sizes[number], spread)

    def entering(self, source: int, inside: bool) -> int:
        """The number of values that enter at a source; with `inside`, one value stands for infinitely many."""
        return 1 if inside or self.sizes is None else self.sizes[source]

    @property
    def reach(self) -> int:
        """An upper bound, in positions of the last step, on how far the ends of the sources have an effect."""

        def grow(move: Move, reads: list[int]) -> int:
            own = move.dilation * move.kernel + abs(move.before) + sum(map(abs, move.pads))
            return max(reads) * move.stride + own

        return self._last(lambda _: 0, grow)

    @property
    def border(self) -> tuple[int, int]:
        """How far from each end the counts differ from the inner ones, measured on a sufficiently large input.

        Raises ParameterError if branches meet and the network accepts no input that is large enough.
        """
        sources = {at for step in self.steps for at in step.reads if at < 0}
        if len(sources) > 1 and self.sample is None:
            raise ParameterError(
                "the network accepts no input that is large enough to distinguish the border from the interior"
            )
        counts, pattern = self.values(self.sample or (2 * -(-self.reach // self.phases) + 2,)), self.interior
        half = len(counts) // 2
        differ = [at for at, count in enumerate(counts) if count != pattern[at % len(pattern)]]
        left = max((at + 1 for at in differ if at < half), default=0)
        return left, max((len(counts) - at for at in differ if at >= half), default=0)

    @property
    def single_path(self) -> bool:
        """Whether every step reads exactly one other."""
        return all(len(step.reads) == 1 for step in self.steps)

    def why(self, noun: str) -> str:
        """Which layer adds which frequency, and which layer removes it."""
        if len(self.steps) == 1:
            return Scatter(*self.steps[0].move[1:4]).why(noun)
        if self.phases == 1:
            return f"every stride is 1, so every {noun} is hit equally often"
        if not self.frequencies:
            return f"every layer hits its {noun}s equally often"
        told: dict[tuple[str, str | None], list[str]] = {}
        for each in self.frequencies:
            told.setdefault((each.brought_by, each.cured_by), []).append(str(each.cycles))
        return ", ".join(
            f"layer {brings} adds {_some(cycles)}, "
            + ("which no later layer removes" if cure is None else f"which layer {cure} removes")
            for (brings, cure), cycles in told.items()
        )


def _some(cycles: list[str]) -> str:
    unit = "cycles per position"
    if len(cycles) <= 4:
        return f"{' and '.join(filter(None, [', '.join(cycles[:-1]), cycles[-1]]))} {unit}"
    return f"{len(cycles)} frequencies from {cycles[0]} to {cycles[-1]} {unit}"


def grid_of(stacks: Sequence[Stack], inside: bool) -> Grid:
    """The count at every position of several axes at once; with `inside`, one period (`phases`) of the inner counts.

    Along a single path, the counts of the axes multiply; where paths meet, the products are added.

    >>> import convarith as ca
    >>> from convarith.checkerboards.from_network import stacks_of
    >>> net = ca.parse_network("a: ConvTranspose2d(1, 1, 1, 2); b: ConvTranspose2d(1, 1, 2, 2)(input); Add()(a, b)")
    >>> grid_of(stacks_of(net, None)[1], inside=True).nested()
    [[2, 1], [1, 1]]
    """
    found: list[Grid] = []
    for number, step in enumerate(stacks[0].steps):
        reads = [
            found[at] if at >= 0 else Grid.ones([each.entering(~at, inside) for each in stacks]) for at in step.reads
        ]
        sizes = zip(*(each.sizes for each in reads), strict=True)
        grid = Grid.sum(reads, [lcm(*each) if inside else max(each) for each in sizes])
        for axis, stack in enumerate(stacks):
            move = stack.steps[number].move
            grid = grid.along(axis, move.repeat if inside else move.spread)
        found.append(grid)
    return found[-1]


Spectrum = dict[int, dict[str, str | None]]
"""Frequencies as multiples of 1/phases, each with the layers that added it and the layer that removed each, or None."""


def _spread_frequencies(move: Move, reads: list[tuple[int, Spectrum]]) -> tuple[int, Spectrum]:
    """(phases, frequencies) after a move; a frequency that remains along any path counts as remaining."""
    period = lcm(*(phases for phases, _ in reads))
    phases = period * move.stride
    joined: Spectrum = {0: {}}
    for each, spectrum in reads:
        for number, origins in spectrum.items():
            known = joined.setdefault(number * (period // each), {})
            for brought_by, cured_by in origins.items():
                known[brought_by] = cured_by if known.get(brought_by, cured_by) else None
    found: Spectrum = {}
    for number, origins in joined.items():
        for image in range(number, phases, period):
            angle = image * move.dilation
            cancels = angle % phases != 0 and angle * move.kernel % phases == 0
            if number:
                cure = move.name if cancels else None
                found[image] = {brought_by: cured_by or cure for brought_by, cured_by in origins.items()}
            elif image and not cancels:
                found[image] = {move.name: None}
    return phases, found
