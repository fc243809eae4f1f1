"""Symbolic sizes: each is a function of the input sizes, together with the limits that layers put on those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from convarith.errors import ShapeError
from convarith.sizes.normalise import counted
from convarith.sizes.rules import AxisRule, FloorRule, first_size
from convarith.sizes.sets import EVERY, SizeRange, SizeSet, run
from convarith.sizes.size_map import SizeMap, meeting, preimage, simplified


class AxisSize(NamedTuple):
    """The size of one input axis, taken through a chain of rules."""

    axis: int
    rules: tuple[AxisRule, ...] = ()


class Product(NamedTuple):
    """The product of several sizes, as a Flatten produces it."""

    factors: tuple[Dim, ...]


class Unknown:
    """A size about which nothing is known in advance."""


Dim = int | AxisSize | Product | Unknown
OpenShape = tuple[Dim, ...]
"""A shape including the batch, whose sizes may be open."""

BATCH = Unknown()


class Tie(NamedTuple):
    """A constraint that ties axes together: the product of these sizes must be `value`, or must not if `excluded`."""

    node: str
    factors: tuple[Dim, ...]
    value: int
    excluded: bool = False


class Limits:
    """The input sizes that all layers accept, narrowed layer by layer while a network is followed with open sizes.

    Attributes:
        node: the name of the node that is being followed.
        domains: for each input axis, the sizes that all layers so far accept.
        bounds: for each axis, the nodes that narrowed its domain, in order.
        ties: the constraints of every Flatten that ties axes together.

    >>> limits = Limits(1)
    >>> limits.apply(FloorRule(shift=-3, step=2, offset=1, minimum=3), AxisSize(0))
    AxisSize(axis=0, rules=(FloorRule(rise=1, shift=-3, step=2, offset=1, minimum=1, maximum=None, multiple_of=1),))
    >>> limits.domains
    [SizeSet(every i >= 3)]
    """

    def __init__(self, ndim: int) -> None:
        self.node = ""
        self.domains = [EVERY] * ndim
        self.bounds: list[list[tuple[str, SizeSet]]] = [[] for _ in range(ndim)]
        self.ties: list[Tie] = []

    def apply(self, rule: AxisRule, size: Dim) -> Dim:
        """Apply a size rule to an open size, and keep only the inputs that the rule accepts."""
        if isinstance(size, int):
            result = rule(size)
            if result is None:
                raise ShapeError(f"the size here is {size}, which the layer does not accept")
            return result
        if not isinstance(size, AxisSize):
            return Unknown()
        step = rule.multiple_of if isinstance(rule, FloorRule) else 1
        accepted = run(rule.minimum + -rule.minimum % step, rule.maximum, step)
        self.allow(size, SizeSet([] if accepted is None else [accepted]))
        return AxisSize(size.axis, simplified((*size.rules, rule)))

    def allow(self, size: AxisSize, allowed: SizeSet) -> None:
        """Keep only the inputs for which this size is one of the allowed sizes."""
        self._narrow(size.axis, preimage(size.rules, allowed))

    def _narrow(self, axis: int, allowed: SizeSet) -> None:
        before = self.domains[axis]
        after = before & allowed
        if after.runs != before.runs:
            self.domains[axis] = after
            self.bounds[axis].append((self.node, after))

    def equal(self, one: Dim, other: Dim, spreads: bool) -> Dim:
        """Require two sizes to be equal and return the common size. With `spreads`, 1 is broadcast, as in Add."""
        if spreads and _always_one(one):
            return other
        if spreads and _always_one(other):
            return one
        if isinstance(one, int) and isinstance(other, int):
            if one == other:
                return one
            raise ShapeError(f"the sizes {one} and {other} are never equal")
        if isinstance(one, AxisSize) and isinstance(other, AxisSize) and one.axis == other.axis:
            self._narrow(one.axis, meeting(one.rules, other.rules))
            return min(one, other, key=lambda each: len(each.rules))
        if isinstance(one, AxisSize) and isinstance(other, int):
            self.allow(one, SizeSet([SizeRange(other, other)]))
            return other
        if isinstance(other, AxisSize) and isinstance(one, int):
            return self.equal(other, one, spreads)
        return one if not isinstance(one, Unknown) else other

    def must_be(self, size: Dim, value: int) -> None:
        """Require a size to have one value, such as the features of a Linear."""
        if isinstance(size, int) and size != value:
            raise ShapeError(f"it expects {counted(value, 'feature')}, got {size:,}")
        if isinstance(size, AxisSize):
            self.allow(size, SizeSet([SizeRange(value, value)]))
        if isinstance(size, Product) and not any(isinstance(each, Unknown) for each in size.factors):
            self.ties.append(Tie(self.node, size.factors, value))

    def must_not_be(self, size: Dim, value: int, why: str) -> None:
        """Require a size or a product not to have one value. Raises ShapeError with the reason if it always has it."""
        if size == value:
            raise ShapeError(why)
        if isinstance(size, Product):
            self.ties.append(Tie(self.node, size.factors, value, excluded=True))

    def domain(self, axis: int, fixed: tuple[int, ...] | None) -> SizeSet:
        """The sizes of one axis that every layer accepts, including the ties.

        A tie is solved with the other axes at the sizes `fixed`, or with all axes equal if `fixed` is None.
        """
        domain = self.domains[axis]
        for tie in self.ties:

            def size(value: int, tie: Tie = tie) -> int:
                return prod(_value(each, axis, value, fixed) for each in tie.factors)

            low, high = _first_reaching(size, tie.value), _first_reaching(size, tie.value + 1)
            fits = None if low is None else run(low, None if high is None else high - 1)
            sides = [run(0, low - 1) if low else None, None if high is None else run(high, None)]
            domain &= SizeSet(each for each in (sides if tie.excluded else [fits]) if each is not None)
        return domain


def product(factors: Sequence[Dim]) -> Dim:
    """The product of sizes; an integer if all of them are integers.

    >>> product((2, 3)), product((2, AxisSize(0)))
    (6, Product(factors=(2, AxisSize(axis=0, rules=()))))
    """
    flat: list[Dim] = []
    for each in factors:
        flat += each.factors if isinstance(each, Product) else (each,)
    if any(isinstance(each, Unknown) for each in flat):
        return Unknown()
    number = prod(each for each in flat if isinstance(each, int))
    open_sizes = [each for each in flat if not isinstance(each, int)]
    return Product((number, *open_sizes)) if open_sizes else number


def _always_one(size: Dim) -> bool:
    """Is the size 1 for every input, as after a global pool?"""
    if isinstance(size, AxisSize) and size.rules:
        last = size.rules[-1]
        return isinstance(last, FloorRule) and (last.rise, last.offset) == (0, 1)
    return size == 1


def _value(size: Dim, axis: int, value: int, fixed: tuple[int, ...] | None) -> int:
    if isinstance(size, int):
        return size
    assert isinstance(size, AxisSize)
    given = value if fixed is None or size.axis == axis else fixed[size.axis]
    return max(0, SizeMap(size.rules).follow(given))


def _first_reaching(size: Callable[[int], int], wanted: int) -> int | None:
    """The smallest input whose size is at least `wanted`, for a size that never decreases; None if there is none."""
    if size(0) >= wanted:
        return 0
    return first_size(lambda value: size(value) >= wanted, most=2**64)
