"""The shapes of a network with symbolic sizes: each axis is a function of an input axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convarith.errors import ConvarithError, ShapeError
from convarith.sizes.letters import BATCH, AxisSize, Limits, OpenShape, Tie, Unknown
from convarith.sizes.normalise import counted
from convarith.sizes.rules import FloorRule
from convarith.sizes.sets import SizeSet
from convarith.sizes.size_map import SizeMap

if TYPE_CHECKING:
    from convarith.networks.network import Network


class OpenSizes:
    """The symbolic sizes of a network: the shape of every node, and the inputs that its layers accept.

    `until` stops at the node with that name, whether or not it accepts its input.

    Attributes:
        shapes: the output shape of each node, with symbolic sizes.
        limits: for each input axis, the sizes that all layers accept, and the nodes that limit them.
    """

    def __init__(self, network: Network, until: str | None = None) -> None:
        self.network = network
        self.ndim = 1 if network.ndim is None else network.ndim
        self.limits = Limits(self.ndim)
        start: OpenShape = (BATCH, Unknown(), *(AxisSize(axis) for axis in range(self.ndim)))
        self.shapes: dict[str, OpenShape] = {"input": start}
        for node in network.nodes:
            self.limits.node = node.name
            given = [self.shapes[name] for name in node.inputs]
            try:
                self.shapes[node.name] = node.layer.open_shape(given, self.limits)
            except ConvarithError as error:
                if node.name == until:
                    return
                raise ShapeError(f"{node.place}: {node.layer}: {error}") from None
            if node.name == until:
                return

    @property
    def domains(self) -> list[SizeSet]:
        """For each input axis, the sizes that all layers accept, ignoring ties."""
        return self.limits.domains

    @property
    def bounds(self) -> list[list[tuple[str, SizeSet]]]:
        """For each axis, the nodes that narrowed its domain, in order."""
        return self.limits.bounds

    @property
    def ties(self) -> list[Tie]:
        """The constraints of every Flatten that ties axes together."""
        return self.limits.ties

    def map(self, axis: int, input_shape: tuple[int, ...] | None = None) -> SizeMap:
        """The size map of one axis, up to the output or to the node at which the axis ends.

        A tie is solved with the other axes as in `input_shape`, or with all axes equal if it is None.
        """
        if self.network.ndim is None:  # all axes are the same
            axis = 0
        if not -self.ndim <= axis < self.ndim:
            axes = counted(self.ndim, "spatial axis", "spatial axes")
            raise ShapeError(f"the network has {axes}: there is no axis {axis}")
        axis %= self.ndim
        domain = self.limits.domain(axis, None if input_shape is None else input_shape[-self.ndim :])
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
