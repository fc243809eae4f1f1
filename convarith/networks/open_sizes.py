"""Shapes of a network with its spatial sizes left open: each axis as a function of the input's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from convarith.errors import ConvarithError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.reshaping import axis_of
from convarith.sizes.rules import AxisRule, FloorRule
from convarith.sizes.sets import EVERY, SizeRange, SizeSet, run
from convarith.sizes.size_map import SizeMap, meeting, preimage, simplified

if TYPE_CHECKING:
    from convarith.networks.network import Network


class AxisSize(NamedTuple):
    """The size of one input axis, taken through a chain of rules."""

    axis: int
    rules: tuple[AxisRule, ...] = ()


class Product(NamedTuple):
    """The product of several sizes: what a Flatten makes."""

    factors: tuple[Dim, ...]


class Unknown:
    """A size of which nothing is known beforehand."""


Dim = int | AxisSize | Product | Unknown
BATCH = Unknown()


class Tie(NamedTuple):
    """Axes tied together: the product of these sizes must be `value` at this node, or must not where `excluded`."""

    node: str
    factors: tuple[Dim, ...]
    value: int
    excluded: bool = False


class Sizes:
    """The open sizes of a network: every node's shape, and which inputs each layer allows.

    Attributes:
        shapes: each node's output shape, its sizes open.
        domains: for each input axis the sizes that all layers take.
        bounds: for each axis the nodes that narrowed its domain, in order.
        ties: where a Flatten ties axes together.
    """

    def __init__(self, network: Network, until: str | None = None) -> None:
        self.network = network
        self.ndim = 1 if network.ndim is None else network.ndim
        self.domains = [EVERY] * self.ndim
        self.bounds: list[list[tuple[str, SizeSet]]] = [[] for _ in range(self.ndim)]
        self.ties: list[Tie] = []
        start: tuple[Dim, ...] = (BATCH, Unknown(), *(AxisSize(axis) for axis in range(self.ndim)))
        self.shapes: dict[str, tuple[Dim, ...]] = {"input": start if self.ndim else (BATCH, Unknown())}
        for node in network.nodes:
            self._node = node.name
            given = [self.shapes[name] for name in node.inputs]
            try:
                self.shapes[node.name] = self._through(node.layer, given)
            except ConvarithError as error:
                if node.name == until:
                    return
                raise ShapeError(f"{node.place}: {node.layer}: {error}") from None
            if node.name == until:
                return

    # What a layer does to open sizes ---------------------------------------------------------------------------------

    def _through(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        special: dict[str, Callable[[Layer, list[tuple[Dim, ...]]], tuple[Dim, ...]]] = {
            "add": self._add,
            "multiply": self._add,
            "concat": self._concat,
            "match-size": self._match,
            "flatten": self._flatten,
            "unflatten": self._unflatten,
            "permute": self._permute,
            "narrow": self._part,
            "linear": self._linear,
            "glu": self._glu,
            "fold": self._fold,
            "unfold": self._unfold,
            "opaque": self._opaque,
            "elementwise": self._elementwise,
        }
        if layer.kind in special:
            return special[layer.kind](layer, given)
        if isinstance(layer, SpatialLayer):
            return self._spatial(layer, given[0])
        return given[0]

    def _spatial(self, layer: SpatialLayer, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
        ndim = layer.ndim or max(1, len(shape) - 2)
        if len(shape) < ndim + 1:
            raise ShapeError(f"it takes {ndim} spatial axes, but {len(shape) - 2} are left")
        *lead, channels = shape[: len(shape) - ndim]
        sizes = [
            self._apply(rule, size) for rule, size in zip(layer.rules(ndim), shape[len(shape) - ndim :], strict=True)
        ]
        return (*lead, self._channels(layer, channels), *sizes)

    def _channels(self, layer: SpatialLayer, channels: Dim) -> Dim:
        if isinstance(channels, int):
            return layer._channels(channels) if getattr(layer, "out_channels", 1) is not None else Unknown()
        if isinstance(channels, AxisSize):
            return channels
        given = getattr(layer, "out_channels", None)
        return given if isinstance(given, int) else Unknown()

    def _apply(self, rule: AxisRule, size: Dim) -> Dim:
        if isinstance(size, int):
            result = rule(size)
            if result is None:
                raise ShapeError(f"the size is {size} here, which it refuses")
            return result
        if not isinstance(size, AxisSize):
            return Unknown()
        step = rule.multiple_of if isinstance(rule, FloorRule) else 1
        accepted = run(rule.minimum + -rule.minimum % step, rule.maximum, step)
        self._allow(size, SizeSet([] if accepted is None else [accepted]))
        return AxisSize(size.axis, simplified((*size.rules, rule)))

    def _allow(self, size: AxisSize, allowed: SizeSet) -> None:
        """Only inputs that lead this size into a set of allowed sizes remain."""
        self._narrow(size.axis, preimage(size.rules, allowed))

    def _narrow(self, axis: int, allowed: SizeSet) -> None:
        before = self.domains[axis]
        after = before & allowed
        if after.runs != before.runs:
            self.domains[axis] = after
            self.bounds[axis].append((self._node, after))

    def _equal(self, one: Dim, other: Dim, spreads: bool) -> Dim:
        """Two sizes that must agree; the size they agree on. `spreads`: an axis of 1 is spread, as Add does."""
        if isinstance(one, int) and isinstance(other, int):
            if one == other or (spreads and 1 in (one, other)):
                return max(one, other)
            raise ShapeError(f"the sizes {one} and {other} never meet")
        if spreads and 1 in (one, other):
            return other if one == 1 else one
        if isinstance(one, AxisSize) and isinstance(other, AxisSize) and one.axis == other.axis:
            self._narrow(one.axis, meeting(one.rules, other.rules))
            return min(one, other, key=lambda each: len(each.rules))
        if isinstance(one, AxisSize) and isinstance(other, int):
            self._allow(one, SizeSet([SizeRange(other, other)]))
            return other
        if isinstance(other, AxisSize) and isinstance(one, int):
            return self._equal(other, one, spreads)
        return one if not isinstance(one, Unknown) else other

    def _add(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        result = given[0]
        for shape in given[1:]:
            length = max(len(result), len(shape))
            ones: tuple[Dim, ...] = (1,) * length
            pairs = zip((*ones[len(result) :], *result), (*ones[len(shape) :], *shape), strict=True)
            result = tuple(self._equal(one, other, spreads=True) for one, other in pairs)
        return result

    def _concat(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        ranks = {len(shape) for shape in given}
        if len(ranks) > 1:
            raise ShapeError("its inputs have different axes")
        along = axis_of(layer.dim, len(given[0]), "dim")  # type: ignore[attr-defined]
        joined: list[Dim] = []
        for axis, sizes in enumerate(zip(*given, strict=True)):
            if axis == along:
                total = sum(size for size in sizes if isinstance(size, int))
                joined.append(total if all(isinstance(size, int) for size in sizes) else Unknown())
                continue
            size = sizes[0]
            for other in sizes[1:]:
                size = self._equal(size, other, spreads=False)
            joined.append(size)
        return tuple(joined)

    def _match(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        return (*given[0][:2], *given[1][2:])

    def _flatten(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        shape = given[0]
        first = axis_of(layer.start_dim, len(shape), "start_dim")  # type: ignore[attr-defined]
        last = axis_of(layer.end_dim, len(shape), "end_dim")  # type: ignore[attr-defined]
        return (*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :])

    def _unflatten(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        shape = given[0]
        axis = axis_of(layer.dim, len(shape), "dim")  # type: ignore[attr-defined]
        sizes: tuple[int, ...] = layer.unflattened_size  # type: ignore[attr-defined]
        size = shape[axis]
        if isinstance(size, int):
            return (*shape[:axis], *layer.output_shape((size,) * (axis + 1))[axis:], *shape[axis + 1 :])
        if -1 not in sizes:
            self._must_be(size, prod(sizes))
        return (*shape[:axis], *(Unknown() if each == -1 else each for each in sizes), *shape[axis + 1 :])

    def _permute(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        dims: tuple[int, ...] = layer.dims  # type: ignore[attr-defined]
        if len(given[0]) != len(dims):
            raise ShapeError(f"it orders {len(dims)} axes, but the input has {len(given[0])}")
        return tuple(given[0][dim] for dim in dims)

    def _part(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        batch, channels, *positions = given[0]
        if isinstance(channels, int):
            layer.output_shape((1, channels))
        return (batch, layer.length, *positions)  # type: ignore[attr-defined]

    def _linear(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        shape = given[0]
        features: int | None = layer.in_features  # type: ignore[attr-defined]
        if features is not None:
            self._must_be(shape[-1], features)
        return (*shape[:-1], layer.out_features)  # type: ignore[attr-defined]

    def _must_be(self, size: Dim, value: int) -> None:
        if isinstance(size, int) and size != value:
            raise ShapeError(f"it expects {value} features, got {size}")
        if isinstance(size, AxisSize):
            self._allow(size, SizeSet([SizeRange(value, value)]))
        if isinstance(size, Product) and not any(isinstance(each, Unknown) for each in size.factors):
            self.ties.append(Tie(self._node, size.factors, value))

    def _glu(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        shape = list(given[0])
        axis = axis_of(layer.dim, len(shape), "dim")  # type: ignore[attr-defined]
        shape[axis] = self._apply(FloorRule(step=2, multiple_of=2, minimum=0), shape[axis])
        return tuple(shape)

    def _fold(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        self._must_be(given[0][-1], layer.columns)  # type: ignore[attr-defined]
        volume = layer.at("kernel_size", 0) * layer.at("kernel_size", 1)  # type: ignore[attr-defined]
        rows = given[0][-2]
        return (*given[0][:-2], rows // volume if isinstance(rows, int) else Unknown(), *layer._target)  # type: ignore[attr-defined]

    def _unfold(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        *lead, rows, height, width = self._spatial(layer, given[0])  # type: ignore[arg-type]
        return (*lead, rows, product((height, width)))

    def _elementwise(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        shape, settings = given[0], layer.settings  # type: ignore[attr-defined]
        if "normalized_shape" in settings:
            wanted = settings["normalized_shape"]
            wanted = wanted if isinstance(wanted, tuple) else (wanted,)
            for size, value in zip(reversed(shape), reversed(wanted), strict=False):
                self._must_be(size, value)
        elif len(shape) > 1 and isinstance(shape[1], int):
            layer.output_shape([each if isinstance(each, int) else 2 for each in shape])
        if layer.name.startswith("InstanceNorm") and not settings["track_running_stats"]:
            positions = product(shape[2:])
            if positions == 1:
                raise ShapeError("it needs more than one position")
            if isinstance(positions, Product):
                self.ties.append(Tie(self._node, positions.factors, 1, excluded=True))
        return shape

    def _opaque(self, layer: Layer, given: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
        return (BATCH, *(Unknown() for _ in layer.recorded_output[1:]))  # type: ignore[attr-defined]

    # The answers -----------------------------------------------------------------------------------------------------

    def domain(self, axis: int, input_shape: tuple[int, ...] | None = None) -> SizeSet:
        """The sizes of one axis that every layer takes, ties included.

        A tie is solved with the other axes as in `input_shape`, or with all axes equal.
        """
        domain = self.domains[axis]
        fixed = None if input_shape is None else input_shape[-self.ndim :]
        for tie in self.ties:

            def size(value: int, tie: Tie = tie) -> int:
                return prod(_value(each, axis, value, fixed) for each in tie.factors)

            low, high = _first_reaching(size, tie.value), _first_reaching(size, tie.value + 1)
            fits = None if low is None else run(low, None if high is None else high - 1)
            sides = [run(0, low - 1) if low else None, None if high is None else run(high, None)]
            domain &= SizeSet(each for each in (sides if tie.excluded else [fits]) if each is not None)
        return domain

    def map(self, axis: int, input_shape: tuple[int, ...] | None = None) -> SizeMap:
        """The size map of one axis, at the output or where the axis ends."""
        if self.network.ndim is None:  # every axis is alike
            axis = 0
        if not -self.ndim <= axis < self.ndim:
            raise ShapeError(f"the network has {self.ndim} spatial axes, there is no axis {axis}")
        axis %= self.ndim
        domain = self.domain(axis, input_shape)
        ends_at = None
        for node in reversed(self.network.nodes):
            shape = self.shapes[node.name]
            size = shape[2 + axis] if len(shape) == self.ndim + 2 else Unknown()
            if isinstance(size, int):
                return SizeMap((FloorRule(rise=0, offset=size),), domain, ends_at)
            if isinstance(size, AxisSize) and size.axis == axis:
                return SizeMap(size.rules, domain, ends_at)
            ends_at = node.name
        return SizeMap((), domain, ends_at)


def product(factors: Sequence[Dim]) -> Dim:
    """The product of sizes, an integer where all are."""
    flat: list[Dim] = []
    for each in factors:
        flat += each.factors if isinstance(each, Product) else (each,)
    if any(isinstance(each, Unknown) for each in flat):
        return Unknown()
    number = prod(each for each in flat if isinstance(each, int))
    open_sizes = [each for each in flat if not isinstance(each, int)]
    return Product((number, *open_sizes)) if open_sizes else number


def _value(size: Dim, axis: int, value: int, fixed: tuple[int, ...] | None) -> int:
    if isinstance(size, int):
        return size
    assert isinstance(size, AxisSize)
    given = value if fixed is None or size.axis == axis else fixed[size.axis]
    return max(0, SizeMap(size.rules).follow(given))


def _first_reaching(size: Callable[[int], int], wanted: int) -> int | None:
    """The smallest input whose (never falling) size is at least `wanted`; None when none is."""
    high = 1
    while size(high) < wanted:
        high *= 2
        if high > 2**63:
            return None
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) >= wanted else (middle + 1, high)
    return low
