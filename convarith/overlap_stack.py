"""The overlap of layers one behind the other: which frequencies they bring, which they cure, what is left.

A stack is followed forwards where it upsamples, from the last layer on that is no part of it, such as a Linear; where
it only goes down, backwards as its gradient goes. A constant enters. https://distill.pub/2016/deconv-checkerboard/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import takewhile
from math import gcd, prod
from typing import NamedTuple, cast

from convarith.errors import ParameterError, ShapeError
from convarith.layer import Layer, SpatialLayer
from convarith.network import Network, Node
from convarith.overlapping import READING, UPSAMPLING, Scatter, scatter_of
from convarith.padding import Pad
from convarith.values import shape_of, times
from convarith.window import WindowLayer

MOST_PHASES = 2**16
"""A stack whose strides multiply to more is refused."""
PASSING = "elementwise"
"""The kind of layer that leaves every position where it is."""


class Frequency(NamedTuple):
    """A frequency that a layer of a stack brings, as its own kernel does not cancel it.

    Attributes:
        cycles: per position of the last output (of the input, for gradients), up to 1/2.
        brought_by: the layer's name.
        cured_by: the first layer behind it that cancels the frequency, or None: it is left.
    """

    cycles: Fraction
    brought_by: str
    cured_by: str | None


class Move(NamedTuple):
    """One layer of a stack along one axis: every x adds to the positions s*x + d*j - before, j < k.

    Attributes:
        name: the layer's.
        kernel, stride, dilation, before: k, s, d and what is cut off at the start.
        constant: n values give s*n + constant.
        pads, mode: how the values are padded first or, on the way back, where the values in the padding go.
        back: is this the gradient's way back?
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
        """What values give.

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
            for position, value in zip(range(start + self.stride * first, size, self.stride), values[first:]):  # noqa: B905 - the shorter ends it
                found[position] += value
        return found

    def repeat(self, pattern: Sequence[int]) -> list[int]:
        """One period of what an endless repetition of a pattern gives: exact polyphase sums.

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
    """The position that each place of a padded axis shows; None for a zero.

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


class Stack(NamedTuple):
    """The layers of a stack along one axis, in the order in which values run.

    Attributes:
        moves: the layers.
        size: how many values enter, where an input size was given.

    >>> twice = Stack((Move("a", 3, 2), Move("b", 4, 2)))
    >>> twice.is_even, [(str(each.cycles), each.brought_by, each.cured_by) for each in twice.frequencies]
    (True, [('1/4', 'a', 'b')])
    """

    moves: tuple[Move, ...]
    size: int | None = None

    @property
    def phases(self) -> int:
        """The product of strides."""
        return prod(move.stride for move in self.moves)

    @property
    def frequencies(self) -> tuple[Frequency, ...]:
        """What the layers bring and do not cancel themselves, up to 1/2.

        With S the product of all strides and T of those behind a layer, the layer cancels m/S exactly when S divides
        m*T*d*k and does not divide m*T*d. The first layer where S does not divide m*T brings it: before, it is 0.
        """
        phases, found = self.phases, []
        behind = phases
        scales = [behind := behind // move.stride for move in self.moves]
        for number in range(1, phases // 2 + 1):
            seen = [number * scale % phases for scale in scales]
            brings = next(at for at, angle in enumerate(seen) if angle)
            cancels = [
                at for at, (move, angle) in enumerate(zip(self.moves, seen, strict=True))
                if angle * move.dilation % phases and not angle * move.dilation * move.kernel % phases
            ]  # fmt: skip
            if not cancels or cancels[0] != brings:
                cured = self.moves[cancels[0]].name if cancels else None
                found.append(Frequency(Fraction(number, phases), self.moves[brings].name, cured))
        return tuple(found)

    @property
    def _left(self) -> list[Frequency]:
        return [each for each in self.frequencies if each.cured_by is None]

    @property
    def is_even(self) -> bool:
        """Is every inner position hit equally often: does a layer cancel every frequency?"""
        return not self._left

    @property
    def period(self) -> int:
        """S/gcd(S, the frequencies that are left), the smallest period of the inner counts."""
        phases = self.phases
        return phases // gcd(phases, *(int(each.cycles * phases) for each in self._left))

    @property
    def interior(self) -> tuple[int, ...]:
        """One period: the count of an inner position o is interior[o % period]."""
        pattern = [1]
        for move in self.moves:
            pattern = move.repeat(pattern)
        return tuple(pattern[: self.period])

    @property
    def holes(self) -> bool:
        """Are there inner positions that are never hit?"""
        return 0 in self.interior

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        return None if self.size is None else tuple(self._run(self.size))

    def _run(self, size: int) -> list[int]:
        values = [1] * size
        for move in self.moves:
            values = move.spread(values)
        return values

    @property
    def border(self) -> tuple[int, int]:
        """How far from each end the counts differ from the inner ones, measured where the ends do not meet."""
        reach = 0
        for move in self.moves:
            reach = reach * move.stride + move.dilation * move.kernel + abs(move.before) + sum(map(abs, move.pads))
        counts, pattern = self._run(2 * -(-reach // self.phases) + 2), self.interior
        half = len(counts) // 2
        differ = [at for at, count in enumerate(counts) if count != pattern[at % len(pattern)]]
        left = max((at + 1 for at in differ if at < half), default=0)
        return left, max((len(counts) - at for at in differ if at >= half), default=0)

    def why(self, noun: str) -> str:
        """Which layer brings what, what cures it, what is left."""
        if len(self.moves) == 1:
            return Scatter(*self.moves[0][1:4]).why(noun)
        if self.phases == 1:
            return f"stride 1 throughout hits every {noun} equally often"
        if not self.frequencies:
            return f"every layer hits its {noun}s equally often"
        told: dict[tuple[str, str | None], list[str]] = {}
        for each in self.frequencies:
            told.setdefault((each.brought_by, each.cured_by), []).append(str(each.cycles))
        return ", ".join(
            f"layer {brings} brings {_some(cycles)}, "
            + ("which stays" if cure is None else f"which layer {cure} cures")
            for (brings, cure), cycles in told.items()
        )


def _some(cycles: list[str]) -> str:
    unit = "cycles a position"
    if len(cycles) <= 4:
        return f"{' and '.join(filter(None, [', '.join(cycles[:-1]), cycles[-1]]))} {unit}"
    return f"{len(cycles)} frequencies from {cycles[0]} to {cycles[-1]} {unit}"


# From layers to moves ------------------------------------------------------------------------------------------------


def stacks_of(network: Network, input_size: int | Sequence[int] | None) -> tuple[str, tuple[Stack, ...]]:
    """('output' or 'gradient', the stack of each axis) of a chain.

    The input size is what enters the network; where a Linear or another layer that mixes positions lies in front of
    the part that is followed, what leaves the last of those.

    Raises ParameterError for a network that branches, and for one that upsamples in front of a layer that is no part
    of such a stack; ShapeError where a layer refuses its size.

    >>> import convarith as ca
    >>> side, (stack, _) = stacks_of(ca.parse_network("Linear(5, 98); Unflatten(1, (2, 7, 7)); PixelShuffle(2)"), None)
    >>> side, [(move.name, move.kernel, move.stride) for move in stack.moves]
    ('output', [('2', 2, 2)])
    """
    if not network.is_chain:
        names = ["input", *(node.name for node in network.nodes)]
        fork = next(node for node, before in zip(network.nodes, names, strict=False) if node.inputs != (before,))
        raise ParameterError(
            f"the network branches at {fork.place}, which reads {', '.join(fork.inputs)}: ask for a chain of its layers"
        )
    run = list(takewhile(lambda node: _runs_forward(node.layer), reversed(network.nodes)))[::-1]
    front = network.nodes[: len(network.nodes) - len(run)]
    lost = next((node for node in front if node.layer.kind in UPSAMPLING), None)
    if lost:
        raise ParameterError(
            f"{lost.place} upsamples in front of {front[-1].place}, {front[-1].layer}, through which no pattern is "
            "followed: ask for the layers behind it, or those in front"
        )
    reading = list(takewhile(lambda node: node.layer.kind in (*READING, "pad", PASSING), network.nodes))
    upsamples = any(node.layer.kind in UPSAMPLING for node in run)
    if not upsamples and any(node.layer.kind in READING for node in reading):
        return "gradient", _backward(reading, input_size)
    if all(node.layer.kind == PASSING for node in run):
        raise ParameterError("the network has no layer at its end that upsamples, and none at its start that reads")
    return "output", _forward(front, run, input_size)


def gradient_of(layer: Layer, input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    """The stack of each axis for one layer that reads: which windows read an input, the padding's copies included.

    >>> import convarith as ca
    >>> gradient_of(ca.Conv(kernel_size=3, padding=1, padding_mode="reflect"), 4)[0].counts
    (2, 4, 4, 2)
    """
    return _backward([Node(layer.name, layer)], input_size)


def _runs_forward(layer: Layer) -> bool:
    """Is the layer one that a stack of upsampling layers is made of?"""
    if layer.kind in ("conv", "avg-pool"):
        window = cast(WindowLayer, layer)
        return all(window.at("stride", axis) == 1 for axis in range(layer.ndim or 1))
    if layer.kind in UPSAMPLING:
        try:
            return all(scatter_of(layer, axis).kernel > 0 for axis in range(layer.ndim or 1))
        except ParameterError:
            return False
    return layer.kind in ("pad", PASSING)


def _forward(front: Sequence[Node], run: Sequence[Node], input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    ndim = _ndim(run, input_size)
    moves = [[_move(node, axis) for node in run if node.layer.kind != PASSING] for axis in range(ndim)]
    _check_phases(moves)
    if input_size is None:
        return tuple(Stack(tuple(each)) for each in moves)
    sizes = _spread(input_size, ndim)
    mixing = [
        at for at, node in enumerate(front) if node.layer.kind != PASSING and not isinstance(node.layer, SpatialLayer)
    ]
    for node in front[mixing[-1] + 1 if mixing else 0 :]:
        sizes = node.layer.output_size(sizes)
    entering = sizes
    for node in run:
        sizes = node.layer.output_size(sizes)
    return tuple(Stack(tuple(each), size) for each, size in zip(moves, entering, strict=True))


def _move(node: Node, axis: int) -> Move:
    """A layer of a stack that upsamples, along one axis."""
    layer = node.layer
    if layer.kind == "pad":
        pads = _pads(cast(Pad, layer).pads(axis), mode := cast(Pad, layer).mode, layer)
        return Move(node.name, constant=sum(pads), pads=pads, mode=mode)
    scatter = scatter_of(layer, axis)
    reach = scatter.dilation * (scatter.kernel - 1)
    if layer.kind in READING:
        mode = getattr(layer, "padding_mode", "zeros")
        pads = _pads(cast(WindowLayer, layer).pads(axis), mode, layer)
        return Move(node.name, scatter.kernel, 1, scatter.dilation, reach, sum(pads) - reach, pads, mode)
    constant = reach + 1 - scatter.stride - scatter.before - scatter.after
    return Move(node.name, scatter.kernel, scatter.stride, scatter.dilation, scatter.before, constant)


def _backward(nodes: Sequence[Node], input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    """The stacks of the gradient's way, last layer first."""
    ndim = _ndim(nodes, input_size)
    sizes = None if input_size is None else _spread(input_size, ndim)
    moves: list[list[Move]] = [[] for _ in range(ndim)]
    for node in nodes:
        layer = node.layer
        if layer.kind == PASSING:
            continue
        left = (0,) * ndim if sizes is None or layer.kind == "pad" else cast(WindowLayer, layer).leftover(sizes)
        for axis in range(ndim):
            mode = cast(Pad, layer).mode if layer.kind == "pad" else getattr(layer, "padding_mode", "zeros")
            pads = _pads(cast(WindowLayer, layer).pads(axis), mode, layer)
            scatter = Scatter(1, 1) if layer.kind == "pad" else scatter_of(layer, axis)
            constant = scatter.dilation * (scatter.kernel - 1) + 1 - scatter.stride - sum(pads) + left[axis]
            numbers = scatter.kernel, scatter.stride, scatter.dilation
            moves[axis].append(Move(node.name, *numbers, 0, constant, pads, mode, back=True))
        sizes = sizes and layer.output_size(sizes)
    _check_phases(moves)
    return tuple(Stack(tuple(each[::-1]), sizes[axis] if sizes else None) for axis, each in enumerate(moves))


def _check_phases(moves: Sequence[Sequence[Move]]) -> None:
    for each in moves:
        phases = prod(move.stride for move in each)
        if phases > MOST_PHASES:
            raise ParameterError(
                f"the strides multiply to {phases}: at most {MOST_PHASES} are followed, take fewer layers"
            )


def _pads(pads: tuple[int, int], mode: str, layer: Layer) -> tuple[int, int]:
    if mode != "zeros" and min(pads) < 0:
        raise ParameterError(f"{layer} crops in mode {mode!r}: crop in a ZeroPad of its own")
    return pads


def _ndim(nodes: Sequence[Node], input_size: int | Sequence[int] | None) -> int:
    known = next((node.layer.ndim for node in nodes if node.layer.ndim is not None), None)
    return known or (len(input_size) if isinstance(input_size, Sequence) else 1)


def _spread(input_size: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    sizes = shape_of((input_size,) * ndim if isinstance(input_size, int) else input_size, "input size")
    if len(sizes) != ndim:
        raise ShapeError(f"input size {times(sizes)} has {len(sizes)} numbers: give {ndim}, one an axis")
    return sizes
