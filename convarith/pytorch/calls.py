"""A call in a torch model as the conversion sees it: its arguments, and which of its sizes follow from which tensor.

The values in a model are represented as follows. A `Stream` is the output of a node of the network. A `Sized` is a
number (or a tuple, or a slice) that is computed from the shapes of streams. A `Constant` is a tensor that does not
depend on the input. All other values are plain Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from convarith.layers.base import Layer
from convarith.layers.registry import build
from convarith.networks.network import INPUT, Node

Shape: TypeAlias = tuple[int, ...]
ShapeOf: TypeAlias = Callable[[str], Shape]
Value: TypeAlias = Any
"""A Stream, a Sized, a Constant, or a plain Python value: a number, a text, a tuple of values."""


class Unclear(Exception):
    """This call is not a known layer, or cannot be recognised as one without the shapes."""


@dataclass(frozen=True)
class Stream:
    """The output of a node of the network."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A tensor that is not followed: a weight, random numbers, the indices of a pool."""

    shape: Shape | None = None
    held: bool = False
    """Is it a weight or a buffer of the model?"""


@dataclass(frozen=True, eq=False)
class Sized:
    """A value that is computed from the shapes of the streams `sources`."""

    evaluate: Callable[[ShapeOf], Any]
    sources: frozenset[str]


def found(value: Value, kind: type) -> Iterator[Any]:
    """Yield every value of one kind inside a value, in order.

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


def contains(value: Value, *kinds: type) -> bool:
    """Is there a value of one of these kinds inside a value?

    >>> contains((1, [Stream("a")]), Stream), contains((1, 2), Stream, Sized)
    (True, False)
    """
    return any(True for kind in kinds for _ in found(value, kind))


def evaluated(value: Value, shape_of: ShapeOf) -> Any:
    """Compute every Sized inside a value for these shapes.

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
    """The result of a function of values with a Sized among them, computed when the shapes are known."""
    sources = frozenset(source for each in found(tuple(arguments), Sized) for source in each.sources)
    return Sized(lambda shape_of: function(*evaluated(tuple(arguments), shape_of)), sources)


@dataclass
class Builder:
    """The nodes of the network so far, with their shapes if these are known."""

    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    ranks: dict[str, int | None] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def emit(self, name: str, layer: Layer, inputs: Iterable[Stream], shape: Shape | None = None) -> Stream:
        """Add a node under a unique name. Raises ShapeError if the layer does not accept the shapes that reach it."""
        given = tuple(stream.name for stream in inputs)
        if shape is None and all(each in self.shapes for each in given):
            shape = layer.output_shape(*(self.shapes[each] for each in given))
        unique, count = name, 0
        while unique == INPUT or unique in self.ranks:
            count += 1
            unique = f"{name}_{count}"
        self.nodes.append(Node(unique, layer, given))
        self.ranks[unique] = layer.output_rank(self.ranks[given[0]]) if shape is None else len(shape)
        if shape is not None:
            self.shapes[unique] = shape
        return Stream(unique)

    def undo(self, length: int) -> None:
        """Remove all nodes but the first `length`."""
        for node in self.nodes[length:]:
            self.shapes.pop(node.name, None)
            del self.ranks[node.name]
        del self.nodes[length:]


@dataclass(frozen=True)
class Call:
    """One call in the model: the name of its node, the function, the arguments, and the shape of the result."""

    name: str
    function: str
    arguments: tuple[Value, ...]
    named: dict[str, Value]
    builder: Builder
    output: Shape | None
    """The shape of the (first) tensor that the call returned; None if the model did not run."""
    start: int
    """The number of nodes before the call."""

    @property
    def x(self) -> Stream:
        """The first argument, which must be a stream."""
        first = self.arguments[0] if self.arguments else next(iter(self.named.values()), None)
        if not isinstance(first, Stream):
            raise Unclear(f"{self.function} of something that is not one tensor")
        return first

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams inside the arguments."""
        return tuple(found((self.arguments, self.named), Stream))

    def bound(self, *names: str) -> dict[str, Value]:
        """The given arguments after the first, by name; `names` is their order in torch."""
        named = {word: value for word, value in self.named.items() if word in names}
        return dict(zip(names, self.arguments[1:], strict=False)) | named

    def plain(self, *names: str) -> dict[str, Value]:
        """The same, if no argument is a tensor or depends on a shape; otherwise Unclear is raised."""
        given = self.bound(*names)
        if contains(given, Sized, Stream, Constant):
            raise Unclear(f"{self.function} with a parameter that depends on a tensor")
        return given

    def rest(self) -> tuple[Value, ...]:
        """The sizes after the first argument, which are given one by one or as one tuple."""
        given = self.arguments[1:] or tuple(each for word, each in self.named.items() if word not in ("input", "self"))
        return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given

    def emit(self, layer: Layer, *inputs: Stream) -> Stream:
        """Add a node for this call. A second one is named after the first and its own kind: 'unpool.match_size'."""
        name = self.name
        if len(self.builder.nodes) > self.start:
            name = f"{self.builder.nodes[self.start].name}.{layer.kind.replace('-', '_')}"
        return self.builder.emit(name, layer, inputs)

    def layer(self, name: str, **arguments: Any) -> Stream:
        """Add a node with the layer of this name in torch, which reads the first argument."""
        return self.emit(build(name, arguments), self.x)

    def shape(self) -> Shape | None:
        """The shape of the first argument, or None if it is not known."""
        return self.builder.shapes.get(self.x.name)

    def rank(self) -> int:
        """The number of axes of the first argument."""
        rank = self.builder.ranks[self.x.name]
        if rank is None:
            raise Unclear(f"{self.function} depends on the number of axes")
        return rank


# Sizes that follow from a tensor's ------------------------------------------------------------------------------------

PROBE = (2, 3, 1_048_576, 1_048_583, 1_048_589)
"""A shape that no model has: a number of it that a computation returns was taken from the shape unchanged."""
STEPS = range(8)
"""By how much a size is changed to see how a value depends on it."""


def reference(call: Call, value: Value) -> Stream:
    """Find the other stream that has the spatial size that a value gives."""
    sources = {source for each in found(value, Sized) for source in each.sources}
    shapes = call.builder.shapes
    if call.output is not None:
        for name in (each for each in shapes if each in sources - {call.x.name}):
            if len(shapes[name]) == len(call.output) and shapes[name][2:] == call.output[2:]:
                return Stream(name)
    elif len(sources) == 1 and call.x.name not in sources:
        try:
            probed = tuple(evaluated(value, lambda _: PROBE))
        except Exception as error:
            raise Unclear(f"{call.function} takes its size from a computation") from error
        if probed in (PROBE[2 : 2 + len(probed)], PROBE[len(PROBE) - len(probed) :]):
            return Stream(sources.pop())
    raise Unclear(f"{call.function} takes its size from a computation")


def match(call: Call, stream: Stream, value: Value) -> Stream:
    """Bring a stream to the spatial size of the stream that `value` was taken from."""
    return call.emit(build("MatchSize", {}), stream, reference(call, value))


def own(call: Call, value: Value) -> bool:
    """Does a value depend on the shape of no stream but the first argument?"""
    return all(each.sources <= {call.x.name} for each in found(value, Sized))


def _moved(call: Call, axis: int) -> Iterator[tuple[int, ShapeOf]]:
    """Some sizes of one axis of the first argument, each with the shape that has it."""
    shape = PROBE[: call.rank()]
    for step in STEPS:
        size = PROBE[2] + step
        yield size, _always((*shape[:axis], size, *shape[axis + 1 :]))


def _always(shape: Shape) -> ShapeOf:
    """The shapes where every stream has this one."""
    return lambda _: shape


def scale(call: Call, value: Value, axis: int) -> float:
    """The factor between the size of the first argument along one axis and a value that is computed from it."""
    pairs = [(size, evaluated(value, shape_of)) for size, shape_of in _moved(call, axis)]
    factor: float = pairs[0][1] / pairs[0][0]
    whole = (factor * 1024).is_integer()  # the products of other factors are rounded
    if not whole or any(int(size * factor) != result for size, result in pairs):
        raise Unclear(f"{call.function} takes its size from a computation")
    return factor


def offset(call: Call, value: Value, axis: int, of_end: bool) -> int:
    """The start of a slice as a number of positions, or its end as a number of positions from the end of the axis."""
    results = {evaluated(value, shape_of) - (size if of_end else 0) for size, shape_of in _moved(call, axis)}
    if len(results) > 1:
        raise Unclear(f"{call.function} cuts at a position that is computed from the size")
    return int(results.pop())


def of_channels(call: Call, value: Value) -> Any:
    """Compute a value that depends on channel counts only."""
    shapes = call.builder.shapes

    def larger(step: int) -> ShapeOf:
        return lambda name: (*shapes[name][:2], *(size + step for size in shapes[name][2:]))

    results = [evaluated(value, larger(step)) for step in STEPS]
    if any(result != results[0] for result in results):
        raise Unclear(f"{call.function} takes a number from a computation")
    return results[0]
