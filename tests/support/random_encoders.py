"""Random encoders: chains of layers that downsample, in 1-D, 2-D and 3-D, each with an input shape that it accepts."""

import random
from math import prod
from typing import Any

from convarith import ConvarithError, Network
from convarith.layers.base import Layer
from convarith.layers.registry import build

LAYERS = (
    *["Conv"] * 6, *["MaxPool"] * 2, *["AvgPool"] * 2, "LPPool", "AdaptiveAvgPool", "AdaptiveMaxPool",
    "PixelUnshuffle", "Pad",
)  # fmt: skip
CHANNELS = (1, 2, 3, 4, 6, 8)
MOST_VALUES = 40_000
MOST_FEATURES = 600
LARGEST = {1: 256, 2: 64, 3: 20}


def random_encoder(rng: random.Random) -> tuple[Network, tuple[int, ...]]:
    """(chain of 2 to 6 layers that change the shape, with norms and activations in between; input shape)."""
    ndim = rng.choice((1, 1, 2, 2, 2, 3))
    while True:
        start = shape = (rng.choice(CHANNELS), *(rng.randint(8, LARGEST[ndim]) for _ in range(ndim)))
        layers: list[Layer] = []
        for _ in range(rng.randint(2, 6)):
            layer = _layer(rng, ndim, shape)
            if layer is None:
                break
            shape = layer.output_shape((1, *shape))[1:]
            layers += [layer, *_behind(rng, ndim, shape)]
        else:
            layers += _end(rng, shape)
            network = Network.chain(layers)
            try:
                network.output_shape((1, *start))
            except ConvarithError:  # a norm of a single value
                continue
            return network, start


def _layer(rng: random.Random, ndim: int, shape: tuple[int, ...]) -> Layer | None:
    """A layer that accepts this shape; None if there is none after twenty attempts."""
    for _ in range(20):
        name = rng.choice(LAYERS)
        if name == "Pad":
            name = rng.choice(("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"))
        if name == "PixelUnshuffle" and (ndim != 2 or shape[0] > 2):
            continue
        arguments = _arguments(rng, name, ndim, shape)
        try:
            layer = build(name if name == "PixelUnshuffle" else f"{name}{ndim}d", arguments)
            after = layer.output_shape((1, *shape))
        except ConvarithError:
            continue
        if 0 < prod(after) <= MOST_VALUES:
            return layer
    return None


def _arguments(rng: random.Random, name: str, ndim: int, shape: tuple[int, ...]) -> dict[str, Any]:
    def axes(low: int, high: int) -> Any:
        return rng.randint(low, high) if rng.random() < 0.6 else tuple(rng.randint(low, high) for _ in range(ndim))

    if name == "Conv":
        groups = rng.choice([each for each in (1, 1, 1, 2, 4) if shape[0] % each == 0])
        after = rng.choice([each for each in CHANNELS if each % groups == 0])
        given = {"in_channels": shape[0], "out_channels": after, "kernel_size": axes(1, 7), "groups": groups}
        given |= {"padding": "same"} if rng.random() < 0.15 else {"stride": axes(1, 4), "padding": axes(0, 3)}
        given |= {"dilation": axes(1, 3)} if rng.random() < 0.3 else {}
        given |= {"padding_mode": rng.choice(("reflect", "replicate", "circular"))} if rng.random() < 0.2 else {}
        return given | {"bias": rng.random() < 0.7}
    if name in ("MaxPool", "AvgPool"):
        given = {"kernel_size": axes(1, 4), "ceil_mode": rng.random() < 0.4}
        given |= {"stride": axes(1, 4)} if rng.random() < 0.5 else {}
        given |= {"padding": axes(0, 2)} if rng.random() < 0.4 else {}
        return given | ({"dilation": axes(1, 3)} if name == "MaxPool" and rng.random() < 0.3 else {})
    if name == "LPPool":
        given = {"norm_type": 2, "kernel_size": axes(1, 3), "ceil_mode": rng.random() < 0.4}
        return given | ({"stride": axes(1, 3)} if rng.random() < 0.5 else {})
    if name == "PixelUnshuffle":
        return {"downscale_factor": rng.choice((2, 2, 3))}
    if name.startswith("Adaptive"):
        return {"output_size": axes(1, 6)}
    pairs = [(rng.randint(-2, 3), rng.randint(-2, 3)) for _ in range(ndim)]
    if name == "CircularPad":  # torch would wrap a cropped axis around uninitialised memory
        pairs = [(before, max(0, after) if before > 0 else after) for before, after in pairs]
        pairs = [(before, min(0, after) if before < 0 else after) for before, after in pairs]
    return {"padding": tuple(side for pair in pairs for side in pair)}


def _behind(rng: random.Random, ndim: int, shape: tuple[int, ...]) -> list[Layer]:
    """Layers that may follow a layer: a norm, an activation, a dropout."""
    channels = shape[0]
    kept = []
    if rng.random() < 0.3:
        groups = rng.choice([each for each in (1, 2, 3, 4) if channels % each == 0])
        kept.append(
            build(f"BatchNorm{ndim}d", {"num_features": channels})
            if rng.random() < 0.6
            else build("GroupNorm", {"num_groups": groups, "num_channels": channels})
        )
    if rng.random() < 0.5:
        kept.append(build(rng.choice(("ReLU", "LeakyReLU", "Tanh", "SiLU")), {}))
    if rng.random() < 0.15:
        kept.append(build(rng.choice(("Dropout", f"Dropout{ndim}d")), {}))
    return kept


def _end(rng: random.Random, shape: tuple[int, ...]) -> list[Layer]:
    if rng.random() > 0.2 or prod(shape) > MOST_FEATURES:
        return []
    layers = [build("Flatten", {}), build("Linear", {"in_features": prod(shape), "out_features": 6})]
    return (
        layers
        if rng.random() < 0.6
        else [*layers, build("ReLU", {}), build("Linear", {"in_features": 6, "out_features": 2})]
    )
