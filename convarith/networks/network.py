"""A network: named layers in order, each with its inputs. Add and Concat join branches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer, axis_names
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
        name: a unique name, with dots as in torch's module names: 'encoder.0'.
        layer: the layer itself.
        inputs: the names of the nodes it reads, or 'input'.
        line, column: its place in the source text, counted from 1, if there is one.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...] = (INPUT,)
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """The name, with the place in the source text if there is one."""
        return self.name if self.line is None else f"{self.name} (line {self.line}, column {self.column})"


@dataclass(frozen=True)
class Network:
    """Layers in the order in which they run. The output of the last one is the output of the network.

    Attributes:
        nodes: the layers, each after the ones it reads.
        remarks: assumptions made when the network was read, as sentences for people.

    Raises ParameterError for a name that is used twice or unknown, and for a cycle.

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
        """Connect layers in sequence, named by their number as in nn.Sequential.

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
        """The number of spatial axes of the input, from the first layer that determines it; 0 before a Linear."""
        for node in self.nodes:
            if node.layer.hides_axes:
                return None
            if node.layer.input_ndim is not None:
                return node.layer.input_ndim
        return None

    @property
    def is_chain(self) -> bool:
        """Does every layer read only the one before it?"""
        names = [INPUT, *(node.name for node in self.nodes)]
        return all(node.inputs == (before,) for before, node in zip(names, self.nodes, strict=False))

    @property
    def parameter_count(self) -> int:
        """The trainable parameters of all layers. Raises ParameterError if some channels are open."""
        return sum(node.layer.parameter_count for node in self.nodes)

    def shapes(self, input_shape: Sequence[int], batched: bool | None = None) -> dict[str, tuple[int, ...]]:
        """The output shape of every node, with a batch if the input has one.

        The number of axes tells whether it has one; `batched` decides if the layers leave the number open.

        Raises ShapeError, which names the first layer that fails, its input, and the nearest network input that works.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 8, 5); MaxPool2d(2)").shapes((1, 28, 28))
        {'0': (8, 24, 24), '1': (8, 12, 12)}
        """
        shape = shape_of(input_shape, "input shape")
        shapes, strip = self._shapes(shape, batched)
        return {name: each[1:] for name, each in shapes.items()} if strip else shapes

    def _shapes(self, shape: tuple[int, ...], batched: bool | None) -> tuple[dict[str, tuple[int, ...]], bool]:
        """The shape of every node with a batch, and whether that batch was added here."""
        with_batch = self.batched(shape) if batched is None else batched
        if with_batch is not None:
            return self._run(shape if with_batch else (1, *shape), strip=not with_batch), not with_batch
        try:  # with a Flatten or a Linear first, a batch looks the same as features
            return self._run((1, *shape), strip=True), True
        except ShapeError as error:
            try:
                return self._run(shape, strip=False), False
            except ShapeError:
                raise error from None

    def batched(self, shape: tuple[int, ...]) -> bool | None:
        """Does this input shape have a batch? None if the layers do not determine it.

        Raises ShapeError for a shape with too few or too many axes.
        """
        if self.ndim is None:  # a layer with an open dimension takes (N, C, *spatial)
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
        """The nearest input sizes that the network accepts, or that at least pass this node."""
        from convarith.networks.open_sizes import OpenSizes

        try:
            domains = self.sizes.domains
            if not all(domains):
                domains = OpenSizes(self, until=node.name).domains
        except (ConvarithError, OverflowError):
            return ""
        near = []
        for name, size, domain in zip(axis_names(len(sizes)), sizes, domains, strict=False):
            if domain and size not in domain:
                choices = " or ".join(str(choice) for choice in domain.next_to(size) if choice is not None)
                near.append(f"{name} = {choices}")
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
        """The multiply-accumulates of all layers for this input."""
        return sum(row.macs for row in self.trace(input_shape).rows)

    def trace(self, input_shape: Sequence[int], batched: bool | None = None) -> Trace:
        """One row per layer: name, layer, output shape, receptive field, jump, start, parameters, MACs.

        >>> import convarith as ca
        >>> net = ca.parse_network("Conv2d(1, 8, 5); MaxPool2d(2); Conv2d(8, 16, 5)")
        >>> [(row.name, row.output, row.receptive_field) for row in net.trace((1, 28, 28)).rows]
        [('0', (8, 24, 24), (5, 5)), ('1', (8, 12, 12), (6, 6)), ('2', (16, 8, 8), (14, 14))]
        """
        from convarith.networks.trace import trace

        return trace(self, shape_of(input_shape, "input shape"), batched)

    @cached_property
    def sizes(self) -> OpenSizes:
        """The network with symbolic input sizes."""
        from convarith.networks.open_sizes import OpenSizes

        return OpenSizes(self)

    def size_map(self, axis: int = 0, input_shape: Sequence[int] | None = None) -> SizeMap:
        """The output size along one spatial axis, for every input size.

        If a Flatten ties the axes together (the Linear after it accepts only one product), the other axes have the
        sizes of `input_shape`, or are all equal if it is None. If the output has no positions, the map gives the size
        at the last node that has them, and its `ends_at` is the name of the next node.

        Raises ConvarithError for a network without spatial axes.

        >>> import convarith as ca
        >>> net = ca.parse_network("Conv2d(1, 8, 3, stride=2, padding=1); ConvTranspose2d(8, 1, 4, 2, 1)")
        >>> net.size_map(0).comes_back.words("H")
        'H = 0 (mod 2), H >= 2'
        """
        return self.sizes.map(axis, None if input_shape is None else shape_of(input_shape, "input shape"))

    def __str__(self) -> str:
        """The network as text; `parse_network` turns it back into an equal network."""
        lines, before = [], INPUT
        for node in self.nodes:
            names = (name if name.isidentifier() or name.isdigit() else repr(name) for name in node.inputs)
            reads = "" if node.inputs == (before,) else f"({', '.join(names)})"
            lines.append(f"{node.name}: {node.layer}{reads}")
            before = node.name
        return "\n".join(lines)


def in_order(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Sort the nodes so that each comes after the ones it reads; unchanged if that is already the case."""
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
    """Sort the nodes topologically."""
    from graphlib import CycleError, TopologicalSorter

    by_name = {node.name: node for node in nodes}
    sorter = TopologicalSorter({node.name: [name for name in node.inputs if name != INPUT] for node in nodes})
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        first = by_name[error.args[1][0]]
        raise ParameterError(f"{first.place}: the layers form a cycle: {cycle}") from None
