"""A network: named layers in order, each with its inputs; branches meet in Add and Concat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.sizes.normalise import nearest, shape_of, times

if TYPE_CHECKING:
    from convarith.networks.open_sizes import OpenSizes
    from convarith.networks.trace import Trace
    from convarith.sizes.size_map import SizeMap

INPUT = "input"
"""The name of the network's own input."""


@dataclass(frozen=True)
class Node:
    """One layer of a network.

    Attributes:
        name: unique, dotted as torch names modules: 'encoder.0'.
        layer: what it computes.
        inputs: the nodes it reads, or 'input'.
        line, column: its place in the text it was read from, from 1.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...] = (INPUT,)
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """The name, and the place in the text where there is one."""
        return self.name if self.line is None else f"{self.name} (line {self.line}, column {self.column})"


@dataclass(frozen=True)
class Network:
    """Layers in the order they run. The last one's output is the network's.

    Attributes:
        nodes: the layers, each after those it reads.
        remarks: what the reader of a text had to assume, for people.

    Raises ParameterError for a name that is used twice or unknown, and for a circle.

    >>> import convarith as ca
    >>> net = ca.parse_network("Conv2d(1, 16, 3, stride=2, padding=1); ReLU(); Conv2d(16, 32, 3, stride=2, padding=1)")
    >>> net.output_shape((1, 28, 28)), net.parameter_count
    ((32, 7, 7), 4800)
    """

    nodes: tuple[Node, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Check the names and put the nodes in an order in which they can run."""
        object.__setattr__(self, "nodes", in_order(tuple(self.nodes)))

    @classmethod
    def chain(cls, layers: Iterable[Layer], remarks: tuple[str, ...] = ()) -> Network:
        """Layers one after the other, named by their number as in nn.Sequential.

        >>> import convarith as ca
        >>> ca.Network.chain([ca.parse("Conv2d(1, 8, 3)"), ca.parse("MaxPool2d(2)")]).output_shape((1, 28, 28))
        (8, 13, 13)
        """
        nodes, before = [], INPUT
        for number, layer in enumerate(layers):
            nodes.append(Node(str(number), layer, (before,)))
            before = str(number)
        return cls(tuple(nodes), remarks)

    @cached_property
    def ndim(self) -> int | None:
        """Spatial axes of the network's input: from the first layer that has some; 0 where it begins with Linear."""
        for node in self.nodes:
            if node.layer.hides_axes:
                return None
            if node.layer.input_ndim is not None:
                return node.layer.input_ndim
        return None

    @property
    def is_chain(self) -> bool:
        """Does every layer read the one before it, and nothing else?"""
        names = [INPUT, *(node.name for node in self.nodes)]
        return all(node.inputs == (before,) for before, node in zip(names, self.nodes, strict=False))

    @property
    def parameter_count(self) -> int:
        """Trainable numbers of all layers. Raises ParameterError while some channel count is open."""
        return sum(node.layer.parameter_count for node in self.nodes)

    def shapes(self, input_shape: Sequence[int], batched: bool | None = None) -> dict[str, tuple[int, ...]]:
        """Every node's output shape, with a batch exactly where the input has one.

        Whether it has one follows from the number of axes; `batched` says it where the layers leave them open.

        Raises ShapeError that names the first layer that refuses, what reached it, and the nearest input that works.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 8, 5); MaxPool2d(2)").shapes((1, 28, 28))
        {'0': (8, 24, 24), '1': (8, 12, 12)}
        """
        shape = shape_of(input_shape, "input shape")
        shapes, strip = self._shapes(shape, batched)
        return {name: each[1:] for name, each in shapes.items()} if strip else shapes

    def _shapes(self, shape: tuple[int, ...], batched: bool | None) -> tuple[dict[str, tuple[int, ...]], bool]:
        """Every node's shape with a batch, and whether that batch is not the caller's."""
        with_batch = self.batched(shape) if batched is None else batched
        if with_batch is not None:
            return self._run(shape if with_batch else (1, *shape), strip=not with_batch), not with_batch
        try:  # a Flatten or a Linear comes first, and nothing tells a batch from features
            return self._run((1, *shape), strip=True), True
        except ShapeError as error:
            try:
                return self._run(shape, strip=False), False
            except ShapeError:
                raise error from None

    def batched(self, shape: tuple[int, ...]) -> bool | None:
        """Does this input shape have a batch? None where the layers do not tell.

        Raises ShapeError for a shape with too few or too many axes.
        """
        if self.ndim is None:  # an open layer takes (N, C, *spatial), by itself as in a network
            return True if any(isinstance(node.layer, SpatialLayer) for node in self.nodes) else None
        if self.ndim == 0:
            return len(shape) > 1
        if len(shape) in (self.ndim + 1, self.ndim + 2):
            return len(shape) == self.ndim + 2
        axes = f"{self.ndim + 1} sizes, channels first, or {self.ndim + 2} with a batch"
        raise ShapeError(f"the network takes {axes}: got {len(shape)}, {times(shape)}")

    def _run(self, shape: tuple[int, ...], strip: bool) -> dict[str, tuple[int, ...]]:
        shapes = {INPUT: shape}
        node = None
        try:
            for node in self.nodes:
                shapes[node.name] = node.layer.joined_shape(*[shapes[name] for name in node.inputs])
        except ConvarithError as error:
            assert node is not None
            raise self._refusal(node, [shapes[name] for name in node.inputs], shape, strip, error) from None
        del shapes[INPUT]
        return shapes

    def _refusal(
        self, node: Node, given: list[tuple[int, ...]], shape: tuple[int, ...], strip: bool, error: ConvarithError
    ) -> ShapeError:
        shown = " and ".join(times(each[1:] if strip else each) for each in given)
        message = f"{node.place}: {node.layer} got {shown}: {error}"
        return ShapeError(message + self._remedy(node, shape[-self.ndim :] if self.ndim else ()) + self._doubt())

    def _remedy(self, node: Node, sizes: tuple[int, ...]) -> str:
        """The input sizes nearest to these that the network takes, or that at least get past this node."""
        from convarith.networks.open_sizes import OpenSizes

        try:
            domains = self.sizes.domains
            if not all(domains):
                domains = OpenSizes(self, until=node.name).domains
        except (ConvarithError, OverflowError):
            return ""
        near = []
        for axis, (size, domain) in enumerate(zip(sizes, domains, strict=False)):
            if domain and size not in domain:
                choices = " or ".join(str(choice) for choice in domain.next_to(size) if choice is not None)
                near.append(choices if len(sizes) == 1 else f"axis {axis}: {choices}")
        return f"; the nearest input that works has {', '.join(near)}" if near else ""

    def _doubt(self) -> str:
        return f" ({'; '.join(self.remarks)})" if self.remarks else ""

    def output_shape(self, input_shape: Sequence[int], batched: bool | None = None) -> tuple[int, ...]:
        """The output shape. Raises ShapeError as `shapes` does."""
        given = shape_of(input_shape, "input shape")
        if not self.nodes:
            return given
        shapes, strip = self._shapes(given, batched)
        last = shapes[self.nodes[-1].name]
        return last[1:] if strip else last

    def macs(self, input_shape: Sequence[int]) -> int:
        """Multiply-accumulates of all layers for this input."""
        return sum(row.macs for row in self.trace(input_shape).rows)

    def trace(self, input_shape: Sequence[int], batched: bool | None = None) -> Trace:
        """One row a layer: name, layer, output shape, receptive field, jump, start, parameters, MACs.

        >>> import convarith as ca
        >>> net = ca.parse_network("Conv2d(1, 8, 5); MaxPool2d(2); Conv2d(8, 16, 5)")
        >>> [(row.name, row.output, row.receptive_field) for row in net.trace((1, 28, 28)).rows]
        [('0', (8, 24, 24), (5, 5)), ('1', (8, 12, 12), (6, 6)), ('2', (16, 8, 8), (14, 14))]
        """
        from convarith.networks.trace import trace

        return trace(self, shape_of(input_shape, "input shape"), batched)

    @cached_property
    def sizes(self) -> OpenSizes:
        """What the network does to sizes that stay open."""
        from convarith.networks.open_sizes import OpenSizes

        return OpenSizes(self)

    def size_map(self, axis: int = 0, input_shape: Sequence[int] | None = None) -> SizeMap:
        """The output size along one spatial axis, for every input size.

        Where a Flatten ties the axes together (a Linear behind it takes one product only), the other axes are as in
        `input_shape`, or all equal without it. Where the output has no positions, the map leads to the last node
        that has, and its `ends_at` names the next.

        Raises ConvarithError for a network without spatial axes.

        >>> import convarith as ca
        >>> net = ca.parse_network("Conv2d(1, 8, 3, stride=2, padding=1); ConvTranspose2d(8, 1, 4, 2, 1)")
        >>> net.size_map(0).comes_back.words("H")
        'H = 0 (mod 2), H >= 2'
        """
        return self.sizes.map(axis, None if input_shape is None else shape_of(input_shape, "input shape"))

    def __str__(self) -> str:
        """The network as text that `parse_network` reads back."""
        lines, before = [], INPUT
        for node in self.nodes:
            names = (name if name.isidentifier() or name.isdigit() else repr(name) for name in node.inputs)
            reads = "" if node.inputs == (before,) else f"({', '.join(names)})"
            lines.append(f"{node.name}: {node.layer}{reads}")
            before = node.name
        return "\n".join(lines)


def in_order(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes, each after those it reads; as they are where that holds already."""
    known = {INPUT}
    for node in nodes:
        if node.name in known:
            raise ParameterError(f"{node.place}: the name {node.name!r} is used twice")
        known.add(node.name)
    for node in nodes:
        for name in node.inputs:
            if name not in known:
                raise ParameterError(f"{node.place}: its input {name!r} is unknown: {nearest(name, known)}")
        if not node.inputs:
            raise ParameterError(f"{node.place}: it has no input")
    done = {INPUT}
    for node in nodes:
        if not done.issuperset(node.inputs):
            return _sorted(nodes)
        done.add(node.name)
    return nodes


def _sorted(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """A topological order, as near to the given one as can be (Kahn)."""
    from graphlib import CycleError, TopologicalSorter

    by_name = {node.name: node for node in nodes}
    sorter = TopologicalSorter({node.name: [name for name in node.inputs if name != INPUT] for node in nodes})
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        first = by_name[error.args[1][0]]
        raise ParameterError(f"{first.place}: the layers read each other in a circle: {circle}") from None
