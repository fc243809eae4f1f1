"""Random networks of all spatial layers, with branches, in 1-D, 2-D and 3-D."""

import random
from typing import Any

from convarith import ConvarithError, Network, Node
from convarith.layers.base import Layer
from convarith.layers.registry import build

LAYERS = (
    *["Conv"] * 5, *["ConvTranspose"] * 3, "MaxPool", "MaxPool", "AvgPool", "LPPool", "Upsample", "Upsample", "ZeroPad",
    "ReflectionPad", "CircularPad", "ReplicationPad", "PixelShuffle", "PixelUnshuffle", "ReLU", "BatchNorm",
    "AdaptiveAvgPool", "AdaptiveMaxPool", "ZeroInsert",
)  # fmt: skip


def random_layer(rng: random.Random, ndim: int, channels: int) -> tuple[Layer, int]:
    """A layer that accepts this many channels, and the number of its output channels."""
    while True:
        name = rng.choice(LAYERS)
        made = _arguments(rng, name, ndim, channels)
        if made is None:
            continue
        full = name if name in ("Upsample", "PixelShuffle", "PixelUnshuffle", "ReLU") else f"{name}{ndim}d"
        arguments, after = made
        try:
            return build(full, arguments), after
        except ConvarithError:
            continue


def _axes(rng: random.Random, ndim: int, low: int, high: int) -> Any:
    return rng.randint(low, high) if rng.random() < 0.6 else tuple(rng.randint(low, high) for _ in range(ndim))


def _arguments(rng: random.Random, name: str, ndim: int, channels: int) -> tuple[dict[str, Any], int] | None:
    def axes(low: int, high: int) -> Any:
        return _axes(rng, ndim, low, high)

    if name == "Conv":
        after = rng.choice((1, 2, 4))
        given: dict[str, Any] = {"in_channels": channels, "out_channels": after, "kernel_size": axes(1, 4)}
        if rng.random() < 0.15:
            given["padding"] = "same"
        else:
            given |= {"stride": axes(1, 3), "padding": axes(0, 2)}
        if rng.random() < 0.2:
            given["padding_mode"] = rng.choice(("reflect", "circular", "replicate"))
        return given | {"dilation": axes(1, 2)}, after
    if name == "ConvTranspose":
        after = rng.choice((1, 2, 4))
        given = {"in_channels": channels, "out_channels": after, "kernel_size": axes(1, 4)}
        given |= {"stride": rng.randint(1, 3), "padding": axes(0, 2), "dilation": rng.randint(1, 2)}
        return given | {"output_padding": rng.choice((0, 0, 0, 1))}, after
    if name in ("MaxPool", "AvgPool"):
        given = {"kernel_size": axes(1, 3), "stride": axes(1, 3), "padding": rng.choice((0, 0, 1))}
        return given | {"ceil_mode": rng.random() < 0.4}, channels
    if name == "LPPool":
        given = {"norm_type": 2, "kernel_size": rng.randint(1, 3), "stride": rng.randint(1, 3)}
        return given | {"ceil_mode": rng.random() < 0.4}, channels
    if name == "Upsample":
        return {"scale_factor": rng.choice((1, 2, 2, 3, 1.5, 0.5))}, channels
    if name == "ZeroPad":
        return {"padding": tuple(rng.randint(-2, 3) for _ in range(2 * ndim))}, channels
    if name.endswith("Pad"):
        return {"padding": rng.randint(0, 2)}, channels
    if name == "PixelShuffle":
        return None if ndim != 2 or channels % 4 else ({"upscale_factor": 2}, channels // 4)
    if name == "PixelUnshuffle":
        return None if ndim != 2 or channels > 4 else ({"downscale_factor": 2}, channels * 4)
    if name == "ReLU":
        return {}, channels
    if name == "BatchNorm":
        return {"num_features": channels}, channels
    if name == "ZeroInsert":
        return {"stride": rng.randint(1, 2)}, channels
    return None if rng.random() < 0.7 else ({"output_size": rng.randint(1, 5)}, channels)


def random_network(rng: random.Random, branches: bool = False) -> tuple[Network, int, int]:
    """(network, number of spatial axes, input channels), with 2 to 12 layers."""
    ndim, channels = rng.choice((1, 1, 2, 2, 3)), rng.choice((1, 2, 4))
    first, given = channels, {"input": channels}
    nodes, before = [], "input"
    for number in range(rng.randint(2, 12)):
        name = f"n{number}"
        if branches and nodes and rng.random() < 0.25:
            other = rng.choice(list(given))
            layer, channels = build("Concat", {}), given[before] + given[other]
            nodes.append(Node(name, layer, (before, other)))
        else:
            layer, channels = random_layer(rng, ndim, channels)
            nodes.append(Node(name, layer, (before,)))
        given[name], before = channels, name
    return Network(tuple(nodes)), ndim, first


def random_shape(rng: random.Random, ndim: int, channels: int) -> tuple[int, ...]:
    """An input shape that is small enough to run."""
    most = {1: 60, 2: 24, 3: 10}[ndim]
    return (1, channels, *(rng.randint(1, most) for _ in range(ndim)))
