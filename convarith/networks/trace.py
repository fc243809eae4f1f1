"""Follow a network layer by layer for one input shape; the result is the rows of a table."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer, Order
from convarith.networks.receptive_field import POINT, Field

if TYPE_CHECKING:
    from convarith.networks.network import Network, Node


class Row(NamedTuple):
    """One layer of a network, for one input shape.

    Attributes:
        output: the output shape, with a batch if the input has one.
        receptive_field: how many input positions an output sees along each axis, the maximum if phases differ; None
            if it sees the whole axis; empty if the output has no positions.
        phases: for each axis, the number that each phase sees; empty if all phases see the same number.
        jump: input positions from one output to the next, along each axis.
        start: the centre of the field of the first output along each axis, in input positions counted from 0.
        alignment: the offset of the grid of all centres from the middle of the input, along each axis; 0 is centred.
        parameters: the number of trainable parameters; None if channels are open.
        macs: the number of multiply-accumulates for this input.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    output: tuple[int, ...]
    receptive_field: tuple[int | None, ...]
    phases: tuple[tuple[int, ...], ...]
    jump: tuple[Fraction | None, ...]
    start: tuple[Fraction | None, ...]
    alignment: tuple[Fraction | None, ...]
    parameters: int | None
    macs: int


class Trace(NamedTuple):
    """All rows of a network, for one input shape."""

    input: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def output(self) -> tuple[int, ...]:
        """The output shape of the network."""
        return self.rows[-1].output if self.rows else self.input

    @property
    def parameters(self) -> int | None:
        """The total number of trainable parameters; None if some channels are open."""
        counts = [row.parameters for row in self.rows]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def macs(self) -> int:
        """The total number of multiply-accumulates."""
        return sum(row.macs for row in self.rows)


Fields = tuple[Field | None, ...]
"""The field along every axis; None for an axis that is seen completely."""


def trace(network: Network, input_shape: tuple[int, ...], with_batch: bool | None = None) -> Trace:
    """Follow an input shape through a network, layer by layer."""
    shapes = network.shapes(input_shape, with_batch)
    batched = _is_batched(network, input_shape) if with_batch is None else with_batch
    ndim = len(input_shape) - 1 - batched
    fields: dict[str, Fields] = {"input": (POINT,) * ndim}
    given = {"input": input_shape, **shapes}
    orders: dict[str, Order] = {"input": None}
    rows = []
    for node in network.nodes:
        inputs = [given[name] for name in node.inputs]
        output = shapes[node.name]
        before = [orders[name] for name in node.inputs]
        order = orders[node.name] = node.layer.order(before)
        if node.layer.keeps_fields(order):
            seen = fields[node.inputs[0]]
        elif any(before) and not order:
            seen = (None,) * (len(output) - 1 - batched)
        else:
            seen = _fields(node, [fields[name] for name in node.inputs], inputs, output, 1 + batched)
        fields[node.name] = seen
        full = [shape if batched else (1, *shape) for shape in inputs]
        sizes, counts = input_shape[1 + batched :], _in_order(output, order, batched)[1 + batched :]
        rows.append(_row(node, seen, sizes, output, counts, node.layer.macs(*full)))
    return Trace(input_shape, tuple(rows))


def _in_order(shape: tuple[int, ...], order: Order, batched: bool) -> tuple[int, ...]:
    """A shape with its axes back in the order of torch's layers."""
    if order is None:
        return shape
    full = shape if batched else (1, *shape)
    back = tuple(full[order.index(axis)] for axis in range(len(full)))
    return back if batched else back[1:]


def _is_batched(network: Network, input_shape: tuple[int, ...]) -> bool:
    decided = network.batched(input_shape)
    if decided is not None:
        return decided
    try:
        network.shapes(input_shape, batched=False)
    except ConvarithError:
        return True
    return False


def _fields(
    node: Node, fields: list[Fields], inputs: list[tuple[int, ...]], output: tuple[int, ...], lead: int
) -> Fields:
    """The fields of the output of a node, from those of its inputs."""
    ndim = len(output) - lead
    if node.layer.joins:
        joined = [each for each in fields if len(each) == ndim]
        result = joined[0] if joined else (None,) * ndim
        for other in joined[1:]:
            result = tuple(
                None if one is None or each is None else one | each for one, each in zip(result, other, strict=True)
            )
        return result
    if len(fields[0]) != ndim:
        return (None,) * ndim
    reads = (node.layer.reads(axis, inputs[0][lead + axis], output[lead + axis], ndim) for axis in range(ndim))
    return tuple(None if field is None else field.behind(each) for field, each in zip(fields[0], reads, strict=True))


def _row(
    node: Node, fields: Fields, sizes: tuple[int, ...], output: tuple[int, ...], counts: tuple[int, ...], macs: int
) -> Row:  # fmt: skip
    try:
        parameters = node.layer.parameter_count
    except ParameterError:
        parameters = None
    return Row(
        name=node.name,
        layer=node.layer,
        inputs=node.inputs,
        output=output,
        receptive_field=tuple(None if field is None else max(field.sizes) for field in fields),
        phases=tuple(() if field is None or len(set(field.sizes)) == 1 else field.sizes for field in fields),
        jump=tuple(None if field is None else field.jump for field in fields),
        start=tuple(None if field is None else field.start for field in fields),
        alignment=tuple(
            _alignment(field, count, size)
            for field, count, size in zip(fields, counts, (*sizes, *(0,) * len(output)), strict=False)
        ),
        parameters=parameters,
        macs=macs,
    )


def _alignment(field: Field | None, count: int, size: int) -> Fraction | None:
    if field is None or count < 1:
        return None
    first, last = field.centre(0), field.centre(count - 1)
    return None if first is None or last is None else (first + last) / 2 - Fraction(size - 1, 2)
