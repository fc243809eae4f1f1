"""A decoder: its networks, its shapes, the sizes that it restores, and its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from convarith.decoders.inverses import uneven_axes, way_back
from convarith.decoders.plan import Checkerboard, Report, Step
from convarith.errors import ConvarithError, ShapeError
from convarith.layers.base import AXIS_NAMES, Layer
from convarith.layers.convolution import Conv, ConvTranspose, made_even
from convarith.layers.merging import Concat, MatchSize
from convarith.layers.reshaping import Unflatten
from convarith.layers.window import WindowLayer
from convarith.networks.network import INPUT, Network, Node
from convarith.sizes.normalise import times
from convarith.sizes.sets import SizeRange, SizeSet

if TYPE_CHECKING:
    from convarith.decoders.trial_run import Trial


@dataclass(frozen=True)
class Decoder:
    """A decoder, as returned by `mirror`.

    Attributes:
        encoder: the network that it mirrors.
        input_shape: the shape that it was designed for, without a batch.
        steps: its steps, the one for the deepest stage first.
        upsample, even, skips: the options that it was designed with.
        follows: whether it follows the sizes of the encoder.
    """

    encoder: Network
    input_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    upsample: str
    even: bool
    follows: bool
    skips: bool

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of the encoder's output, without a batch."""
        return self.steps[0].stage.after

    @property
    def stands_alone(self) -> bool:
        """Whether it reads nothing but the latent: no sizes, indices or feature maps of the encoder."""
        return not any(
            step.skip is not None or step.way.fit == "unpool" or (self.follows and step.way.fit) for step in self.steps
        )

    @cached_property
    def network(self) -> Network:
        """The layers of the decoder; if they read more than the latent, after the layers of the encoder.

        >>> import convarith as ca
        >>> print(ca.mirror(ca.parse_network("MaxPool2d(2)"), (8, 7, 7), upsample="resize").network)
        0: Upsample(scale_factor=2.0)
        1: ReplicationPad2d((0, 1, 0, 1))
        """
        if not self.stands_alone:
            return self.autoencoder
        return Network.chain(layer for step in self.steps for layer in (*step.way.layers, *step.run))

    @cached_property
    def autoencoder(self) -> Network:
        """Encoder and decoder as one network, with a MatchSize wherever the decoder follows a size of the encoder."""

        def named(name: str) -> str:
            return name if name == INPUT else f"encoder.{name}"

        nodes = [Node(named(node.name), node.layer, tuple(map(named, node.inputs))) for node in self.encoder.nodes]
        return Network((*nodes, *(node for _, node in self._nodes(named(self.steps[0].stage.exit), named))))

    def _nodes(self, before: str, named: Callable[[str], str]) -> Iterator[tuple[int, Node]]:
        """(index of the step, node) for every node of the decoder in the whole network."""
        number = 0
        for position, step in enumerate(self.steps):
            entry = named(step.stage.entry)
            layers: list[tuple[Layer, bool]] = [(layer, False) for layer in step.way.layers]
            if step.way.fit == "unpool":
                layers = [(MatchSize(), True)]
            elif self.follows and step.way.fit == "unflatten":
                some = (step.shape[0], -1, *(1,) * (len(step.shape) - 2))
                layers = [(Unflatten(dim=1, unflattened_size=some), False), (MatchSize(), True)]
            elif self.follows and step.way.fit:
                layers = [(layer, False) for layer in step.way.open]
                layers.append((MatchSize(), True))
                layers += [(layer, False) for layer in step.way.close]
            if step.skip is not None:
                layers.append((Concat(), True))
            layers += [(layer, False) for layer in step.run]
            for layer, joins in layers:
                name = f"decoder.{number}"
                yield position, Node(name, layer, (before, entry) if joins else (before,))
                before, number = name, number + 1

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The output shape of every node of `network` for the input shape, without a batch."""
        start = self.latent_shape if self.stands_alone else self.input_shape
        shapes = self.network.shapes((1, *start), batched=True)
        return {name: shape[1:] for name, shape in shapes.items()}

    @cached_property
    def mirrors(self) -> dict[str, Step]:
        """The step that each node of the decoder belongs to."""
        if self.stands_alone:
            layers = [step for step in self.steps for _ in (*step.way.layers, *step.run)]
            return {str(number): step for number, step in enumerate(layers)}
        nodes = self._nodes("", str)
        return {node.name: self.steps[position] for position, node in nodes}

    @cached_property
    def came_back(self) -> tuple[tuple[int, ...] | None, ...]:
        """The shape at the end of each step; None for a step without layers, which changes nothing."""
        ends = {id(step): name for name, step in self.mirrors.items()}
        try:
            shapes = self.shapes
        except ConvarithError as error:
            raise ShapeError(f"this encoder cannot be mirrored at {times(self.input_shape)}: {error}") from None
        return tuple(shapes[ends[id(step)]] if id(step) in ends else None for step in self.steps)

    @property
    def exact(self) -> bool:
        """Whether every intermediate shape is restored."""
        return all(shape in (None, step.shape) for shape, step in zip(self.came_back, self.steps, strict=True))

    def check(self) -> None:
        """Raise ShapeError if a step does not restore its shape, or if the encoder's sizes cannot be followed."""
        for step, shape in zip(self.steps, self.came_back, strict=True):
            if shape not in (None, step.shape):
                raise ShapeError(
                    f"{step.stage.name}: {step.stage.text} cannot be mirrored: the decoder gives {times(shape or ())} "
                    f"instead of {times(step.shape)}"
                )
        if self.follows:
            for letter, sizes, legal in self._served():
                if sizes != legal:
                    raise ShapeError(
                        f"a decoder cannot follow the sizes of this encoder: only {sizes.words(letter)} would be "
                        "restored; leave any_size and skips out"
                    )

    def _served(self) -> Iterator[tuple[str, SizeSet, SizeSet]]:
        """(letter, sizes that are restored, sizes that the encoder accepts) of every spatial axis."""
        spatial = self.input_shape[1:]
        names = AXIS_NAMES.get(len(spatial), tuple(f"axis {axis}" for axis in range(len(spatial))))
        for axis, (name, size) in enumerate(zip(names, spatial, strict=True)):
            only = SizeSet([SizeRange(size, size)])
            yield (name, *(self._served_along(axis) or (only, only)))

    def _served_along(self, axis: int) -> tuple[SizeSet, SizeSet] | None:
        """Like `_served`, for one axis; None if nothing is known except for the size that it was designed for."""
        if not self.encoder.ndim:
            return None
        try:
            sizes = self._with_channels(self.autoencoder).size_map(axis, self.input_shape)
            legal = self._with_channels(self.encoder).size_map(axis, self.input_shape).domain
            return (sizes.comes_back, legal) if sizes.ends_at is None else None
        except (OverflowError, ConvarithError):
            return None

    def _with_channels(self, network: Network) -> Network:
        """The network after a layer that fixes the input channels, which a Flatten needs and a pool does not know."""
        channels = self.input_shape[0]
        first = Conv(kernel_size=1, in_channels=channels, out_channels=channels, ndim=self.encoder.ndim)
        nodes = (
            Node(node.name, node.layer, tuple("channels" if name == INPUT else name for name in node.inputs))
            for node in network.nodes
        )
        return Network((Node("channels", first, (INPUT,)), *nodes))

    @cached_property
    def report(self) -> Report:
        """The sizes that it restores, its checkerboards, and its cost."""
        checkerboards = []
        for node in self._decoder_nodes():
            axes = uneven_axes(node.layer)
            if axes and isinstance(node.layer, ConvTranspose):
                checkerboards.append(Checkerboard(node.name, node.layer, tuple(axes), made_even(node.layer)))
        cost = sum(_parameters(step.way.layers) for step in self.steps) if self.even else 0
        if self.even:
            cost -= sum(_parameters(way_back(step.stage, self.upsample, even=False).layers) for step in self.steps)
        return Report(
            exact=self.exact,
            serves=tuple((name, sizes) for name, sizes, _ in self._served()),
            follows=self.follows,
            checkerboards=tuple(checkerboards),
            parameters=sum(node.layer.parameter_count for node in self._decoder_nodes()),
            cost_of_even=cost,
            remarks=(*self._remarks(), *self.encoder.remarks),
        )

    def _decoder_nodes(self) -> list[Node]:
        return [node for node in self.network.nodes if node.name in self.mirrors]

    def _remarks(self) -> Iterator[str]:
        for step in self.steps:
            if step.way.remark:
                yield step.way.remark
            if len(step.stage.nodes) > 1:
                yield f"{step.stage.name}: a block of branches, mirrored as a single layer"
            layer = step.stage.layer
            if (
                isinstance(layer, WindowLayer)
                and len(step.stage.nodes) == 1
                and any(layer.at("stride", axis) > layer.span(axis) for axis in range(len(step.shape) - 1))
            ):
                yield (
                    f"{step.stage.name}: the stride is larger than the kernel; "
                    "the decoder also restores the positions that are never read"
                )

    def code(self, autoencoder: bool = False) -> str:
        """The decoder as Python code that needs only torch: a class Decoder, with the shapes in comments.

        With `autoencoder`, also the classes Encoder and Autoencoder. They are always included if the decoder reads
        indices or feature maps of the encoder.

        Raises ParameterError if the encoder is needed and has an operation that cannot be written as code.

        >>> import convarith as ca
        >>> print(ca.mirror(ca.parse_network("Conv1d(1, 8, 4, stride=4)"), (1, 400)).code())
        \"\"\"Decoder for an encoder with input shape 1 x 400. It restores every intermediate shape.\"\"\"
        <BLANKLINE>
        from torch import nn
        <BLANKLINE>
        <BLANKLINE>
        class Decoder(nn.Sequential):
            \"\"\"From 8 x 100 to 1 x 400.\"\"\"
        <BLANKLINE>
            def __init__(self) -> None:
                super().__init__(
                    nn.ConvTranspose1d(8, 1, 4, stride=4),  # 1 x 400
                )
        <BLANKLINE>
        """
        from convarith.decoders.generated_code import module_code

        return module_code(self, autoencoder)

    def verify(self) -> Trial:
        """Run the generated code once in torch: shapes, a backward pass, the loss."""
        from convarith.decoders.trial_run import run_once

        return run_once(self)


def _parameters(layers: tuple[Layer, ...]) -> int:
    return sum(layer.parameter_count for layer in layers)
