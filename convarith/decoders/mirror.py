"""Designing the decoder that mirrors an encoder and restores every intermediate shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from convarith.decoders.decoder import Decoder
from convarith.decoders.encoder_stages import Stage, stages_of
from convarith.decoders.inverses import STRATEGIES, way_back
from convarith.decoders.plan import Step
from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvolutionLayer
from convarith.layers.elementwise import TABLE, Elementwise
from convarith.layers.reshaping import Linear
from convarith.layers.ways_back import NoWayBackError
from convarith.networks.network import INPUT, Network
from convarith.sizes.normalise import nearest, shape_of, times


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
    """Design the decoder that mirrors an encoder and restores every intermediate shape.

    The layers of the encoder are undone one by one, from the last to the first. A block of branches (such as a residual
    block) that changes the shape is undone as a single layer. Every layer with weights is followed by the norm,
    activation and dropout that the encoder has at the corresponding place.

    Args:
        network: the encoder.
        input_shape: (C, *spatial), without a batch.
        upsample: 'transposed' for transposed convolutions with the parameters of the encoder, 'resize' for
            interpolation and a convolution, 'pixel-shuffle' for sub-pixels, 'unpool' for the indices of the encoder's
            max pools.
        even: use the nearest kernel sizes that leave no checkerboard.
        any_size: follow the encoder's sizes, so that every accepted input size is restored.
        skips: build a U-Net: where the encoder halves its feature maps, they are concatenated to those of the decoder.
            Implies any_size.
        final: the activation at the end, by PyTorch's name ('Sigmoid').

    Raises ParameterError for an unknown word, and ShapeError if the encoder does not accept the input shape or a layer
    cannot be mirrored; the message says which change would help.

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
            f"the input shape {times(shape)} has {len(shape)} size{'s' if len(shape) != 1 else ''}, "
            f"the encoder takes {encoder.ndim + 1}: channels first, without a batch"
        )
    stages = stages_of(encoder, shape)
    if not stages:
        raise ShapeError("the encoder has no layer that changes a shape or has weights: there is nothing to mirror")
    steps = tuple(_steps(stages, upsample, even, skips, last))
    decoder = Decoder(encoder, shape, steps, upsample, even, any_size or skips, skips)
    decoder.check()
    return decoder


def _final(word: str | None) -> tuple[Layer, ...]:
    if word is None:
        return ()
    known = {name.lower(): name for name in TABLE if not any(part in name for part in ("Norm", "Dropout", "Shuffle"))}
    if str(word).lower() not in known:
        raise ParameterError(f"final activation {word!r} is unknown: {nearest(str(word), known.values())}")
    return (Elementwise(known[str(word).lower()]),)


def _steps(stages: list[Stage], upsample: str, even: bool, skips: bool, last: tuple[Layer, ...]) -> Iterator[Step]:
    """The steps that undo the stages, the deepest first."""
    waiting: tuple[Elementwise, ...] = ()
    for number in range(len(stages) - 1, -1, -1):
        stage = stages[number]
        try:
            way = way_back(stage, upsample, even)
        except NoWayBackError as error:
            raise ShapeError(f"{stage.name}: {error}") from None
        except ConvarithError as error:
            raise ShapeError(
                f"{stage.name}: {stage.text} cannot be mirrored at {times(stage.before)}: {error}"
            ) from None
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
    """Whether a stage at least halves the feature map along some axis."""
    return len(stage.before) == len(stage.after) and any(
        size >= 2 * after - 1 and size > after + 1
        for size, after in zip(stage.before[1:], stage.after[1:], strict=True)
    )


def _run_before(stages: list[Stage], number: int) -> tuple[Elementwise, ...]:
    """The layers without weights between the last layer with weights before this stage and the stage itself."""
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
    """Norms, activations and dropout adapted to another shape; those that are not valid for it are left out."""
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
