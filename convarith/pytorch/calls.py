"""A call of a torch model as the conversion sees it: what its arguments are, and which sizes follow from which tensor.

A call's values are followed as they stand in the model: a `Stream` is what a node of the network gives, `Sized` a
number (or a tuple, or a slice) that follows from the shapes of streams, `Constant` a tensor that does not follow from
the input. Everything else is Python's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.registry import build
from convarith.networks.network import INPUT, Node

Shape: TypeAlias = tuple[int, ...]
ShapeOf: TypeAlias = Callable[[str], Shape]
Value: TypeAlias = Any
"""A Stream, a Sized, a Constant, or what Python has: numbers, texts, tuples of values."""


class Unclear(Exception):
    """This call is no layer that is known, or it is one only where the shapes are known."""


@dataclass(frozen=True)
class Stream:
    """The tensor that a node of the network gives."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A tensor that does not follow from the input: a weight, random numbers, the indices of a pool."""

    shape: Shape | None = None
    held: bool = False
    """Does the model hold it, as a weight or a buffer?"""


@dataclass(frozen=True, eq=False)
class Sized:
    """Something that follows from the shapes of the streams `sources`."""

    evaluate: Callable[[ShapeOf], Any]
    sources: frozenset[str]


def found(value: Value, kind: type) -> Iterator[Any]:
    """Every value of one kind in a value, in order.

    >>> list(found((Stream("a"), [Stream("b"), 1]), Stream))
    [Stream(name='a'), Stream(name='b')]
    """
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping):
        yield from found(tuple(value.values()), kind)
    elif isinstance(value, slice):
        yield from found((value.start, value.stop, value.step), kind)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from found(each, kind)


def evaluated(value: Value, shape_of: ShapeOf) -> Any:
    """A value with every Sized in it worked out for these shapes.

    >>> evaluated((Sized(lambda shape_of: shape_of("a")[2], frozenset({"a"})), 1), lambda name: (1, 8, 28))
    (28, 1)
    """
    if isinstance(value, Sized):
        return value.evaluate(shape_of)
    if isinstance(value, slice):
        return slice(*(evaluated(each, shape_of) for each in (value.start, value.stop, value.step)))
    if isinstance(value, (tuple, list)):
        return type(value)(evaluated(each, shape_of) for each in value)
    return value


def sized(function: Callable[..., Any], arguments: Sequence[Value]) -> Sized:
    """What a function makes of values with a Sized among them."""
    sources = frozenset(source for each in found(tuple(arguments), Sized) for source in each.sources)
    return Sized(lambda shape_of: function(*evaluated(tuple(arguments), shape_of)), sources)


@dataclass
class Builder:
    """The nodes of the network so far, with their shapes where those are known."""

    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    ranks: dict[str, int | None] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def emit(self, name: str, layer: Layer, inputs: Iterable[Stream], shape: Shape | None = None) -> Stream:
        """Add a node, its name made unique. Raises ShapeError where the layer refuses what is known to reach it."""
        given = tuple(stream.name for stream in inputs)
        if shape is None and all(each in self.shapes for each in given):
            shape = layer.output_shape(*(self.shapes[each] for each in given))
        unique, count = name, 0
        while unique == INPUT or unique in self.ranks:
            count += 1
            unique = f"{name}_{count}"
        self.nodes.append(Node(unique, layer, given))
        self.ranks[unique] = _rank(layer, self.ranks[given[0]]) if shape is None else len(shape)
        if shape is not None:
            self.shapes[unique] = shape
        return Stream(unique)

    def undo(self, length: int) -> None:
        """Drop the nodes from number `length` on."""
        for node in self.nodes[length:]:
            self.shapes.pop(node.name, None)
            del self.ranks[node.name]
        del self.nodes[length:]


def _rank(layer: Layer, before: int | None) -> int | None:
    """How many axes the output has, batch included."""
    if isinstance(layer, SpatialLayer) and layer.ndim is not None:
        return layer.ndim + 2
    if layer.kind == "flatten":
        return 2 if (layer.start_dim, layer.end_dim) == (1, -1) else None  # type: ignore[attr-defined]
    if layer.kind == "unflatten":
        return None if before is None else before + len(layer.unflattened_size) - 1  # type: ignore[attr-defined]
    return before


@dataclass(frozen=True)
class Call:
    """One call of the model: the node's name, the function's, the arguments as values, and what it gave."""

    name: str
    function: str
    arguments: tuple[Value, ...]
    named: dict[str, Value]
    builder: Builder
    output: Shape | None
    """The shape of the tensor it gave, or of the first one; None where nothing ran."""
    start: int = -1
    """How many nodes there were before."""

    @property
    def x(self) -> Stream:
        """The first argument, which must be a stream."""
        first = self.arguments[0] if self.arguments else next(iter(self.named.values()), None)
        if not isinstance(first, Stream):
            raise Unclear(f"{self.function} of something that is not one tensor")
        return first

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams among the arguments."""
        return tuple(found((self.arguments, self.named), Stream))

    def bound(self, *names: str) -> dict[str, Value]:
        """The arguments after the first by their names, those that are given."""
        named = {word: value for word, value in self.named.items() if word in names}
        return dict(zip(names, self.arguments[1:], strict=False)) | named

    def plain(self, *names: str) -> dict[str, Value]:
        """The same, where no argument may depend on a shape or be a tensor."""
        given = self.bound(*names)
        if any(True for kind in (Sized, Stream, Constant) for _ in found(given, kind)):
            raise Unclear(f"{self.function} with a parameter that follows from a tensor")
        return given

    def rest(self) -> tuple[Value, ...]:
        """The sizes after the first argument, given one by one or as one tuple."""
        given = self.arguments[1:] or tuple(each for word, each in self.named.items() if word not in ("input", "self"))
        return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given

    def emit(self, layer: Layer, *inputs: Stream) -> Stream:
        """A node of this call; a second one has its kind behind the first's name, as in 'unpool.match_size'."""
        name = self.name
        if len(self.builder.nodes) > self.start:
            name = f"{self.builder.nodes[self.start].name}.{layer.kind.replace('-', '_')}"
        return self.builder.emit(name, layer, inputs)

    def layer(self, name: str, **arguments: Any) -> Stream:
        """A node with torch's layer of this name, reading the first argument."""
        return self.emit(build(name, arguments), self.x)

    def shape(self, stream: Stream | None = None) -> Shape | None:
        """A stream's shape, where it is known."""
        return self.builder.shapes.get((stream or self.x).name)

    def rank(self) -> int:
        """How many axes the first argument has."""
        rank = self.builder.ranks[self.x.name]
        if rank is None:
            raise Unclear(f"{self.function} depends on the number of axes")
        return rank


# Sizes that follow from a tensor's ------------------------------------------------------------------------------------

PROBE = (2, 3, 1_048_576, 1_048_583, 1_048_589)
"""A shape that no model has: what comes back unchanged from it was taken from the shape as it is."""
STEPS = (0, 1, 2, 3, 5, 7, 1000)


def reference(call: Call, value: Value) -> Stream:
    """The other stream whose positions a value stands for."""
    sources = {source for each in found(value, Sized) for source in each.sources} - {call.x.name}
    shapes = call.builder.shapes
    if call.output is not None:
        for name in (each for each in shapes if each in sources):
            if len(shapes[name]) == len(call.output) and shapes[name][2:] == call.output[2:]:
                return Stream(name)
    elif len(sources) == 1:
        try:
            probed = tuple(evaluated(value, lambda _: PROBE))
        except Exception as error:
            raise Unclear(f"{call.function} takes its size from a computation") from error
        if probed in (PROBE[2 : 2 + len(probed)], PROBE[len(PROBE) - len(probed) :]):
            return Stream(sources.pop())
    raise Unclear(f"{call.function} takes its size from a computation")


def match(call: Call, stream: Stream, value: Value) -> Stream:
    """The stream brought to the positions of the stream that `value` follows from."""
    return call.emit(build("MatchSize", {}), stream, reference(call, value))


def own(call: Call, value: Value) -> bool:
    """Does a value follow from the shape of the first argument alone?"""
    return all(each.sources <= {call.x.name} for each in found(value, Sized))


def _moved(call: Call, axis: int) -> Iterator[tuple[int, ShapeOf]]:
    """Sizes of one axis of the first argument, each with the shapes that have it."""
    shape = PROBE[: call.rank()]
    for step in STEPS:
        size = PROBE[2] + step
        moved = (*shape[:axis], size, *shape[axis + 1 :])
        yield size, lambda _, moved=moved: moved  # type: ignore[misc]


def scale(call: Call, value: Value, axis: int) -> float:
    """The factor by which a value is the first argument's size along one axis."""
    pairs = [(size, evaluated(value, shape_of)) for size, shape_of in _moved(call, axis)]
    factor: float = pairs[0][1] / pairs[0][0]
    whole = (factor * 1024).is_integer()  # only such a factor's products are exact
    if not whole or any(int(size * factor) != result for size, result in pairs):
        raise Unclear(f"{call.function} takes its size from a computation")
    return factor


def offset(call: Call, value: Value, axis: int, of_end: bool) -> int:
    """A slice's end in positions from the end of the axis, or its start from the first."""
    results = {evaluated(value, shape_of) - (size if of_end else 0) for size, shape_of in _moved(call, axis)}
    if len(results) > 1:
        raise Unclear(f"{call.function} cuts at a place that is computed")
    return int(results.pop())


def of_channels(call: Call, value: Value) -> Any:
    """A value worked out, where it follows from numbers of channels only."""
    shapes = call.builder.shapes

    def larger(step: int) -> ShapeOf:
        return lambda name: (*shapes[name][:2], *(size + step for size in shapes[name][2:]))

    results = [evaluated(value, larger(step)) for step in STEPS]
    if any(result != results[0] for result in results):
        raise Unclear(f"{call.function} takes a number from a computation")
    return results[0]
