"""Dividing an encoder into stages: single layers, and blocks of branches between nodes that all paths go through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from convarith.errors import ConvarithError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv
from convarith.layers.elementwise import Elementwise
from convarith.layers.window import WindowLayer
from convarith.networks.network import INPUT, Network, Node
from convarith.sizes.rules import FloorRule


class Stage(NamedTuple):
    """One stage of an encoder, from one node that all paths go through to the next.

    Attributes:
        entry: the node whose output it reads.
        nodes: its single node, or the nodes of a block of branches.
        layer: its layer, or one convolution with the sizes and channels of the block; None if there is none.
        before, after: its input and output shape, without the batch.
        run: the layers after it that keep the shape, up to the next stage: norms, activations, dropout.
    """

    entry: str
    nodes: tuple[Node, ...]
    layer: Layer | None
    before: tuple[int, ...]
    after: tuple[int, ...]
    run: tuple[Elementwise, ...]

    @property
    def name(self) -> str:
        """The name of its node; for a block, the names of the first and the last node."""
        first, last = self.nodes[0].name, self.nodes[-1].name
        return last if len(self.nodes) == 1 else f"{first} .. {last}"

    @property
    def exit(self) -> str:
        """The node whose output is the output of the stage."""
        return self.nodes[-1].name

    @property
    def text(self) -> str:
        """A description for people."""
        if len(self.nodes) == 1:
            return str(self.nodes[0].layer)
        return f"block of {len(self.nodes)} layers"


def stages_of(network: Network, input_shape: tuple[int, ...]) -> list[Stage]:
    """The stages of a network: its layers with weights or a change of shape, and its blocks that change the shape.

    Raises ShapeError if the network does not accept the input shape.

    >>> import convarith as ca
    >>> net = ca.parse_network("Conv2d(1, 8, 3, stride=2, padding=1); ReLU(); Flatten()")
    >>> [(stage.name, stage.before, stage.after, stage.run) for stage in stages_of(net, (1, 28, 28))]
    [('0', (1, 28, 28), (8, 14, 14), (ReLU(),)), ('2', (8, 14, 14), (1568,), ())]
    """
    nodes = used(network.nodes)
    shapes = {INPUT: input_shape} | network.shapes(input_shape, batched=False)
    found: list[Stage] = []
    for entry, group in _groups(nodes):
        before, after = shapes[entry], shapes[group[-1].name]
        only = group[0].layer if len(group) == 1 else None
        if isinstance(only, Elementwise):
            if found:
                found[-1] = found[-1]._replace(run=(*found[-1].run, only))
            continue
        if only is not None:
            found.append(Stage(entry, group, settled(only, before), before, after, ()))
        elif before == after and found:
            found[-1] = found[-1]._replace(run=found[-1].run or _run_of(group))
        else:
            found.append(Stage(entry, group, _as_one(entry, group, before, after), before, after, _run_of(group)))
    return found


def used(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that the last one depends on."""
    needed: set[str] = {nodes[-1].name} if nodes else set()
    kept = []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _groups(nodes: Sequence[Node]) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """(entry, nodes) of each group between two nodes that all paths go through."""
    last_reader = {name: number for number, node in enumerate(nodes) for name in node.inputs}
    entry, group, until = INPUT, list[Node](), last_reader.get(INPUT, 0)
    for number, node in enumerate(nodes):
        group.append(node)
        if until <= number:
            yield entry, tuple(group)
            entry, group = node.name, []
        until = max(until, last_reader.get(node.name, number))


def settled(layer: Layer, before: tuple[int, ...]) -> Layer:
    """The layer with the dimension and the channels that follow from its input shape."""
    changes: dict[str, object] = {}
    if layer.dimensions and layer.ndim is None and len(before) > 1:
        changes["ndim"] = len(before) - 1
    if getattr(layer, "in_channels", 0) is None:
        changes["in_channels"] = before[0]
    if getattr(layer, "in_features", 0) is None:
        changes["in_features"] = before[-1]
    return layer.changed(**changes) if changes else layer


def _run_of(nodes: Sequence[Node]) -> tuple[Elementwise, ...]:
    """The first norm and the last activation of a block."""
    kept = [node.layer for node in nodes if isinstance(node.layer, Elementwise)]
    norms = [layer for layer in kept if "Norm" in layer.word]
    others = [layer for layer in kept if "Norm" not in layer.word and "Dropout" not in layer.word]
    others = [layer for layer in others if layer.word not in ("Identity", "Sigmoid", "Hardsigmoid")]  # gates
    return (*norms[:1], *others[-1:])


def _as_one(entry: str, nodes: Sequence[Node], before: tuple[int, ...], after: tuple[int, ...]) -> Layer | None:
    """The convolution with the sizes and channels of a block; None if there is none.

    A chain of convolutions and pools has o = floor((i + A)/J) + 1, like a convolution with stride J and padding A + k.
    """
    ndim = len(before) - 1
    if len(after) != len(before) or not 1 <= ndim <= 3:
        return None
    inside = Network(
        tuple(
            Node(node.name, node.layer, tuple(INPUT if name == entry else name for name in node.inputs))
            for node in nodes
        )
    )
    kernels, strides, pads = [], [], []
    try:
        for axis in range(ndim):
            pieces = inside.size_map(axis).pieces or (FloorRule(),)
            rule = pieces[0]
            if len(pieces) > 1 or not isinstance(rule, FloorRule) or rule.rise != 1:
                return None
            shift, stride = rule.shift + rule.step * (rule.offset - 1), rule.step
            kernel = _kernel(nodes, axis, ndim)
            total = shift + kernel
            kernels.append(kernel)
            strides.append(stride)
            pads.append((total // 2, total - total // 2))
    except (ConvarithError, OverflowError):
        return None
    conv = Conv(
        kernel_size=tuple(kernels), stride=tuple(strides), padding=tuple(pads),
        in_channels=before[0], out_channels=after[0], bias=not any("Norm" in node.layer.name for node in nodes),
        ndim=ndim,
    )  # fmt: skip
    return conv if conv.output_size(before[1:]) == after[1:] else None


def _kernel(nodes: Sequence[Node], axis: int, ndim: int) -> int:
    """The largest kernel of the strided layers of a block along one axis; of all layers if none is strided."""
    windows = [
        (layer.at("stride", axis) > 1, layer.at("kernel_size", axis))
        for layer in (node.layer for node in nodes)
        if isinstance(layer, WindowLayer) and layer.ndim in (None, ndim)
    ]
    return max([kernel for strided, kernel in windows if strided] or [kernel for _, kernel in windows] or [1])
