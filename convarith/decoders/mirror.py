"""The mirrored decoder: from an encoder to layers that lead every intermediate shape back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from convarith.decoders.encoder_stages import Stage, stages_of
from convarith.decoders.inverses import STRATEGIES, Way, uneven_axes, way_back
from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import AXIS_NAMES, Layer
from convarith.layers.convolution import Conv, ConvolutionLayer, even
from convarith.layers.elementwise import TABLE, Elementwise
from convarith.layers.merging import Concat, MatchSize
from convarith.layers.reshaping import Linear, Unflatten
from convarith.layers.window import WindowLayer
from convarith.networks.network import INPUT, Network, Node
from convarith.sizes.normalise import nearest, shape_of, times
from convarith.sizes.sets import SizeRange, SizeSet

if TYPE_CHECKING:
    from convarith.decoders.trial_run import Trial


class Step(NamedTuple):
    """One step of a decoder: the way back through one stage, then what follows it.

    Attributes:
        stage: the encoder's stage; the step's output has the shape of that stage's input.
        way: the layers from the stage's output to its input.
        skip: the encoder's node that is joined to the result, or None.
        run: what keeps the shape: with a skip the convolution that takes both, then norm, activation, dropout.
    """

    stage: Stage
    way: Way
    skip: str | None
    run: tuple[Layer, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape the step leads back to, without the batch."""
        return self.stage.before


class Checkerboard(NamedTuple):
    """A transposed convolution of a decoder that hits its outputs unevenly, and the even one of the same sizes."""

    name: str
    layer: Layer
    axes: tuple[int, ...]
    remedy: Layer


class Report(NamedTuple):
    """What is to be known about a decoder.

    Attributes:
        exact: does every intermediate shape mirror the encoder's at this input?
        serves: for each spatial axis its letter and the input sizes that come back, the other axes as given.
        follows: do sizes follow the encoder's, so that every legal input comes back?
        checkerboards: the transposed convolutions that would leave a pattern.
        parameters: trainable numbers of the decoder.
        cost_of_even: how many of them the even kernels added.
        remarks: what had to be decided.
    """

    exact: bool
    serves: tuple[tuple[str, SizeSet], ...]
    follows: bool
    checkerboards: tuple[Checkerboard, ...]
    parameters: int
    cost_of_even: int
    remarks: tuple[str, ...]


def mirror(
    network: Network | Layer,
    input_shape: Sequence[int],
    *,
    upsample: str = "transposed",
    even: bool = False,
    any_size: bool = False,
    skips: bool = False,
    final: str | None = None,
) -> Decoder:
    """The decoder of an encoder: every intermediate shape comes back.

    The encoder's layers are led back one by one, its blocks of branches (a residual block, say) as one layer each,
    where they change the shape. Behind every layer with weights stand the norm, activation and dropout of the
    encoder's layer with that output.

    Args:
        network: the encoder.
        input_shape: (C, *spatial), without a batch.
        upsample: 'transposed' convolutions with the encoder's own parameters; 'resize', interpolation and a
            convolution; 'pixel-shuffle', sub-pixels; 'unpool', the indices of the encoder's max pools.
        even: transposed convolutions take the nearest kernel that leaves no checkerboard.
        any_size: the decoder follows the encoder's sizes, so that every legal input comes back.
        skips: a U-Net: where the encoder halves its maps, they are joined to the decoder's. Sizes follow, too.
        final: the activation at the end, by torch's name ('Sigmoid').

    Raises ParameterError for an unknown word, ShapeError for an input that the encoder refuses and for a layer that
    has no mirror, with the change that would give it one.

    >>> import convarith as ca
    >>> net = ca.parse_network("Conv2d(1, 16, 3, stride=2, padding=1); ReLU(); Conv2d(16, 32, 3, stride=2, padding=1)")
    >>> decoder = ca.mirror(net, (1, 28, 28), final="Sigmoid")
    >>> print(decoder.network)
    0: ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
    1: ReLU()
    2: ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1)
    3: Sigmoid()
    >>> decoder.report.serves[0][1].words("H")
    'H = 0 (mod 4), H >= 4'
    """
    if upsample not in STRATEGIES:
        raise ParameterError(f"upsample {upsample!r} is unknown: {nearest(str(upsample), STRATEGIES)}")
    last = _final(final)
    encoder = network if isinstance(network, Network) else Network.chain([network])
    shape = shape_of(input_shape, "input shape")
    if not shape:
        raise ShapeError("the input shape is empty: give it channels first, without a batch, such as 1x28x28")
    if encoder.ndim and len(shape) != encoder.ndim + 1:
        raise ShapeError(
            f"the input shape {times(shape)} has {len(shape)} sizes, the encoder takes {encoder.ndim + 1}: "
            "channels first, without a batch"
        )
    stages = stages_of(encoder, shape)
    if not stages:
        raise ShapeError("the encoder has no layer that changes a shape or has weights: there is nothing to mirror")
    steps = tuple(_steps(stages, upsample, even, skips, last))
    decoder = Decoder(encoder, shape, steps, upsample, even, any_size or skips, skips)
    decoder._check()
    return decoder


def _final(word: str | None) -> tuple[Layer, ...]:
    if word is None:
        return ()
    known = {name.lower(): name for name in TABLE if not any(part in name for part in ("Norm", "Dropout", "Shuffle"))}
    if str(word).lower() not in known:
        raise ParameterError(f"final activation {word!r} is unknown: {nearest(str(word), known.values())}")
    return (Elementwise(known[str(word).lower()]),)


def _steps(stages: list[Stage], upsample: str, even: bool, skips: bool, last: tuple[Layer, ...]) -> Iterator[Step]:
    """The stages led back, the deepest first."""
    waiting: tuple[Elementwise, ...] = ()
    for number in range(len(stages) - 1, -1, -1):
        stage = stages[number]
        try:
            way = way_back(stage, upsample, even)
        except ConvarithError as error:
            if str(error).startswith(stage.name):
                raise
            raise ShapeError(f"{stage.name}: {stage.text} has no mirror at {times(stage.before)}: {error}") from None
        if any(isinstance(layer, (ConvolutionLayer, Linear)) for layer in way.layers):
            waiting = _run_before(stages, number)
        run: tuple[Layer, ...] = ()
        reshaped_next = number > 0 and len(stages[number - 1].before) != len(stage.before)
        skip = stage.entry if skips and stage.entry != INPUT and _shrinks(stage) else None
        if skip is not None:
            channels, ndim = stage.before[0], len(stage.before) - 1
            join = Conv(kernel_size=3, padding=1, in_channels=2 * channels, out_channels=channels, ndim=ndim)
            run = (join, *_fitted(_run_before(stages, number) or (Elementwise("ReLU"),), stage.before))
            waiting = ()
        elif waiting and not reshaped_next:
            run, waiting = tuple(_fitted(waiting, stage.before)), ()
        yield Step(stage, way, skip, run if number else (*run, *last))


def _shrinks(stage: Stage) -> bool:
    """Does a stage halve the map, or more, along some axis?"""
    return len(stage.before) == len(stage.after) and any(
        size >= 2 * after - 1 and size > after + 1
        for size, after in zip(stage.before[1:], stage.after[1:], strict=True)
    )


def _run_before(stages: list[Stage], number: int) -> tuple[Elementwise, ...]:
    """What followed the last layer with weights before this stage, up to it."""
    run: tuple[Elementwise, ...] = ()
    for stage in reversed(stages[:number]):
        run = (*stage.run, *run)
        if isinstance(stage.layer, (ConvolutionLayer, Linear)) or len(stage.nodes) > 1:
            kept: list[Elementwise] = []
            for layer in run:
                kept += [layer] if layer not in kept else []
            return tuple(kept)
    return ()


def _fitted(run: tuple[Elementwise, ...], shape: tuple[int, ...]) -> Iterator[Layer]:
    """Norms, activations and dropout with the channels of another shape; what cannot stand there is left out."""
    channels, ndim = shape[0], len(shape) - 1
    for layer in run:
        word, given = layer.word, dict(layer.values)
        if word in ("Identity", "ChannelShuffle") or "Softm" in word or word == "LogSoftmax":
            continue
        if word.startswith(("BatchNorm", "InstanceNorm")):
            word = f"{word[:-2]}{ndim or 1}d"
        if word.startswith("Dropout") and word != "Dropout":
            word = f"Dropout{ndim}d" if ndim else "Dropout"
        settings = layer.settings
        if "num_features" in settings:
            given["num_features"] = channels
        if "num_channels" in settings:
            given |= {"num_channels": channels, "num_groups": gcd(channels, settings["num_groups"])}
        if settings.get("num_parameters", 1) != 1:
            given["num_parameters"] = channels
        if "normalized_shape" in settings:
            wanted = settings["normalized_shape"]
            given["normalized_shape"] = shape[-len(wanted) :] if isinstance(wanted, tuple) else shape[-1]
        fitted = Elementwise(word, **given)
        try:
            fitted.output_shape((1, *shape))
        except ShapeError:
            continue
        yield fitted


@dataclass(frozen=True)
class Decoder:
    """What `mirror` returns.

    Attributes:
        encoder: the network it mirrors.
        input_shape: the shape it was designed for, without a batch.
        steps: the way back, the deepest stage first.
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
        """The encoder's output, without a batch."""
        return self.steps[0].stage.after

    @property
    def stands_alone(self) -> bool:
        """Does it read the latent only: no sizes, no indices, no maps of the encoder?"""
        return not any(
            step.skip is not None or step.way.fit == "unpool" or (self.follows and step.way.fit) for step in self.steps
        )

    @cached_property
    def network(self) -> Network:
        """The decoder's layers; with the encoder's before them where they read more than the latent.

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
        """Encoder and decoder as one network; a MatchSize stands where the decoder follows the encoder's sizes."""

        def named(name: str) -> str:
            return name if name == INPUT else f"encoder.{name}"

        nodes = [Node(named(node.name), node.layer, tuple(map(named, node.inputs))) for node in self.encoder.nodes]
        return Network((*nodes, *(node for _, node in self._nodes(named(self.steps[0].stage.exit), named))))

    def _nodes(self, before: str, named: Callable[[str], str]) -> Iterator[tuple[int, Node]]:
        """(step, node) of the decoder in the whole network."""
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
        """The shape of every node of `network` at the input shape, without a batch."""
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

    def _check(self) -> None:
        """Every step leads to the shape it mirrors, or ShapeError says which does not."""
        ends = {id(step): name for name, step in self.mirrors.items()}
        try:
            shapes = self.shapes
        except ConvarithError as error:
            raise ShapeError(f"this encoder has no mirror at {times(self.input_shape)}: {error}") from None
        for step in self.steps:
            end = ends.get(id(step))
            if end is not None and shapes[end] != step.shape:
                raise ShapeError(
                    f"{step.stage.name}: {step.stage.text} has no mirror: {times(shapes[end])} came back for "
                    f"{times(step.shape)}"
                )
        if self.follows:
            for letter, sizes, legal in self._served():
                if sizes != legal:
                    raise ShapeError(
                        f"sizes cannot follow this encoder: of {letter} only {sizes.words(letter)} would come back; "
                        "leave any_size and skips out"
                    )

    def _served(self) -> Iterator[tuple[str, SizeSet, SizeSet]]:
        """(letter, sizes that come back, sizes that the encoder takes) of every spatial axis."""
        spatial = self.input_shape[1:]
        names = AXIS_NAMES.get(len(spatial), tuple(f"axis {axis}" for axis in range(len(spatial))))
        for axis, (name, size) in enumerate(zip(names, spatial, strict=True)):
            only = SizeSet([SizeRange(size, size)])
            try:
                if not self.encoder.ndim:
                    raise OverflowError
                sizes = self._with_channels(self.autoencoder).size_map(axis, self.input_shape)
                legal = self._with_channels(self.encoder).size_map(axis, self.input_shape).domain
                known = sizes.ends_at is None
                yield (name, sizes.comes_back if known else only, legal if known else only)
            except (OverflowError, ConvarithError):
                yield name, only, only

    def _with_channels(self, network: Network) -> Network:
        """A network behind a layer that says how many channels come in: a pool does not, a Flatten asks."""
        channels = self.input_shape[0]
        first = Conv(kernel_size=1, in_channels=channels, out_channels=channels, ndim=self.encoder.ndim)
        nodes = (
            Node(node.name, node.layer, tuple("channels" if name == INPUT else name for name in node.inputs))
            for node in network.nodes
        )
        return Network((Node("channels", first, (INPUT,)), *nodes))

    @cached_property
    def report(self) -> Report:
        """What it serves, what would checkerboard, what it costs."""
        checkerboards = []
        for node in self._decoder_nodes():
            axes = uneven_axes(node.layer)
            if axes:
                checkerboards.append(Checkerboard(node.name, node.layer, tuple(axes), even(node.layer)))  # type: ignore[arg-type]
        cost = sum(_parameters(step.way.layers) for step in self.steps) if self.even else 0
        if self.even:
            cost -= sum(_parameters(way_back(step.stage, self.upsample, even=False).layers) for step in self.steps)
        return Report(
            exact=True,
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
                yield f"{step.stage.name}: a block of branches, mirrored as one layer"
            layer = step.stage.layer
            if (
                isinstance(layer, WindowLayer)
                and len(step.stage.nodes) == 1
                and any(layer.at("stride", axis) > layer.span(axis) for axis in range(len(step.shape) - 1))
            ):
                yield f"{step.stage.name}: its stride is larger than its kernel: positions it never reads come back"

    def code(self, autoencoder: bool = False) -> str:
        """The decoder as Python code that needs torch alone: a class Decoder, the shapes in comments.

        With `autoencoder` also the classes Encoder and Autoencoder; they come by themselves where the decoder reads
        the encoder's indices or maps.

        Raises ParameterError where the encoder has an operation that cannot be written down.

        >>> import convarith as ca
        >>> print(ca.mirror(ca.parse_network("Conv1d(1, 8, 4, stride=4)"), (1, 400)).code())
        \"\"\"The decoder that mirrors an encoder of 1 x 400: every intermediate shape comes back.\"\"\"
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
        """Run the generated code in torch once: shapes, one backward pass, the loss."""
        from convarith.decoders.trial_run import run_once

        return run_once(self)


def _parameters(layers: tuple[Layer, ...]) -> int:
    return sum(layer.parameter_count for layer in layers)
