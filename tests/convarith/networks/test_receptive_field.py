"""Receptive fields compared with torch's gradients.

Random stacks (convolutions with dilation, asymmetric padding and rectangular kernels, pools, transposed convolutions,
upsampling, pixel shuffles, branches joined by Add and Concat) get weights of one, and averages replace maxima. The
gradient of one output is then nonzero exactly from the first to the last input that the output sees.

- Every interior output sees as many inputs as its phase says; the receptive field is the maximum over the phases.
- The field of an interior output of the first phase is centred at start + jump * output.
- After one cycle of all phases the field has moved by jump * (outputs per cycle).
- Alignment is the middle between the first and the last centre minus the middle of the input.
- Layers that run channels-last between two permutations do not change the field.
"""

from __future__ import annotations

import random
from fractions import Fraction
from math import prod
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.base import Layer
from convarith.networks.network import INPUT, Node
from convarith.networks.trace import Row

LARGEST = 400
LARGEST_JUMP = 12
SHORTEST = 6
STACKS = 400


def axes(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    return rng.randint(low, high), rng.randint(low, high)


def conv(rng: random.Random, channels: int, stride: int | None = None) -> tuple[Layer, int]:
    padding: Any = rng.choice((0, axes(rng, 0, 2), (axes(rng, 0, 3), axes(rng, 0, 3))))
    layer = ca.Conv(
        kernel_size=axes(rng, 1, 4), stride=stride or axes(rng, 1, 3), padding=padding, dilation=axes(rng, 1, 3),
        in_channels=channels, out_channels=channels, ndim=2,
    )  # fmt: skip
    return layer, channels


def same_conv(rng: random.Random, channels: int) -> tuple[Layer, int]:
    layer = ca.Conv(
        kernel_size=axes(rng, 1, 5), padding="same", dilation=axes(rng, 1, 2), in_channels=channels,
        out_channels=channels, ndim=2,
    )  # fmt: skip
    return layer, channels


def pool(rng: random.Random, channels: int) -> tuple[Layer, int]:
    kernel = axes(rng, 1, 4)
    padding = (rng.randint(0, kernel[0] // 2), rng.randint(0, kernel[1] // 2))
    stride = axes(rng, 1, 3)
    if rng.random() < 0.5:
        return ca.AvgPool(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=rng.random() < 0.3), channels
    dilation = axes(rng, 1, 2)
    return ca.MaxPool(kernel_size=kernel, stride=stride, padding=padding, dilation=dilation), channels


def transposed(rng: random.Random, channels: int) -> tuple[Layer, int]:
    layer = ca.ConvTranspose(
        kernel_size=axes(rng, 1, 4), stride=axes(rng, 1, 3), padding=axes(rng, 0, 2), dilation=axes(rng, 1, 2),
        in_channels=channels, out_channels=channels, ndim=2,
    )  # fmt: skip
    return layer, channels


def upsample(rng: random.Random, channels: int) -> tuple[Layer, int]:
    mode = rng.choice(("nearest", "nearest-exact", "bilinear"))
    return ca.Upsample(scale_factor=(float(rng.randint(1, 3)), float(rng.randint(1, 3))), mode=mode), channels


def shuffle(rng: random.Random, channels: int) -> tuple[Layer, int]:
    if channels == 4:
        return ca.PixelShuffle(upscale_factor=2), 1
    return ca.PixelUnshuffle(downscale_factor=2), 4


def pad(rng: random.Random, channels: int) -> tuple[Layer, int]:
    return ca.Pad(padding=((rng.randint(-2, 2), rng.randint(-2, 2)), (rng.randint(-2, 2), 0)), ndim=2), channels


def zero_insert(rng: random.Random, channels: int) -> tuple[Layer, int]:
    return ca.ZeroInsert(stride=axes(rng, 1, 2)), channels


MAKERS = (conv, conv, same_conv, pool, pool, transposed, transposed, upsample, shuffle, pad, zero_insert)


def stack(rng: random.Random) -> ca.Network:
    """One to five layers, some of them in two branches that are joined."""
    nodes: list[Node] = []
    channels = rng.choice((1, 4))
    before = INPUT

    def add(layer: Layer, *inputs: str) -> str:
        nodes.append(Node(f"n{len(nodes)}", layer, inputs))
        return nodes[-1].name

    for _ in range(rng.randint(1, 5)):
        if rng.random() < 0.25:
            sides = [add(same_conv(rng, channels)[0], before) for _ in range(rng.randint(1, 2))]
            layer = rng.choice((ca.Add(), ca.Concat()))
            before = add(layer, *sides, *((before,) if len(sides) == 1 else ()))
            if layer == ca.Concat():
                before = add(ca.Conv(kernel_size=1, in_channels=2 * channels, out_channels=channels, ndim=2), before)
            continue
        layer, channels = rng.choice(MAKERS)(rng, channels)
        before = add(layer, before)
        if isinstance(layer, ca.PixelUnshuffle):  # a trace does not distinguish channels, so they must mix
            before = add(ca.Conv(kernel_size=1, in_channels=4, out_channels=4, ndim=2), before)
    return ca.Network(tuple(nodes))


def first_channels(net: ca.Network) -> int:
    """The input channels of the first layer that determines them."""
    channels = 4
    for node in reversed(net.nodes):
        given = getattr(node.layer, "in_channels", None)
        if isinstance(node.layer, ca.PixelShuffle):
            channels = 4
        elif isinstance(node.layer, ca.PixelUnshuffle):
            channels = 1
        elif given and node.layer.kind != "concat" and given in (1, 4):
            channels = given
    return channels


def run(torch: ModuleType, net: ca.Network, values: Any) -> Any:
    """Run the network with weights of one and averages in place of maxima."""
    results = {INPUT: values}
    for node in net.nodes:
        given = [results[name] for name in node.inputs]
        results[node.name] = apply(torch, node.layer, given)
    return results[net.nodes[-1].name]


def apply(torch: ModuleType, layer: Layer, given: list[Any]) -> Any:
    if isinstance(layer, ca.Add):
        return sum(given)
    if isinstance(layer, ca.Concat):
        return torch.cat(given, 1)
    if isinstance(layer, ca.MaxPool):  # a sum over the same window, channel by channel
        x, channels = given[0], given[0].shape[1]
        weight = torch.ones(channels, 1, *layer.kernel_size, dtype=x.dtype)
        return torch.nn.functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, channels)
    module = ca.pytorch.to_module(layer).double()
    for name, weight in module.named_parameters():
        torch.nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)
    return module(given[0])


Ends = tuple[int, int] | None


def seen(torch: ModuleType, output: Any, values: Any, axis: int, at: int) -> Ends:
    """The first and last input positions along an axis that an output position depends on."""
    if not output.requires_grad:
        return None
    gradient = torch.autograd.grad(output.select(2 + axis, at).sum(), values, retain_graph=True)[0]
    positions = (gradient[0].sum((0, 2 - axis)) > 0).nonzero().flatten().tolist()
    return (positions[0], positions[-1]) if positions else None


def turn(net: ca.Network, axis: int) -> int:
    """A number of outputs after which the phases repeat: the product of all upsampling factors."""
    rises = {
        "conv-transpose": lambda layer: layer.at("stride", axis),
        "zero-insert": lambda layer: layer.at("stride", axis),
        "upsample": lambda layer: int(layer.factor_at(axis)),
        "pixel-shuffle": lambda layer: layer.upscale_factor,
    }
    return prod(rises[node.layer.kind](node.layer) for node in net.nodes if node.layer.kind in rises)


def interior(net: ca.Network, row: Row, axis: int, input_size: int) -> list[int]:
    """Outputs around the middle whose fields, including anything that was cropped, lie inside the input."""
    cropped = sum(2 for node in net.nodes if isinstance(node.layer, ca.Pad))
    jump, size, start = row.jump[axis], row.receptive_field[axis], row.start[axis] or 0
    assert jump is not None
    assert size is not None
    margin = size + cropped * LARGEST_JUMP
    outputs = range(row.output[1 + axis])
    return [u for u in outputs if margin <= start + jump * u < input_size - margin]


@pytest.fixture(scope="module")
def stacks() -> list[tuple[ca.Network, int, tuple[int, ...]]]:
    """Stacks, the axis to test, and an input that is long along that axis."""
    rng = random.Random(5)
    found = []
    while len(found) < STACKS:
        net, axis = stack(rng), len(found) % 2
        sizes = [2 * rng.randint(70, 90), 2 * rng.randint(12, 20)]
        shape = (first_channels(net), *(sizes if axis == 0 else sizes[::-1]))
        try:
            output = net.output_shape(shape)
        except ca.ConvarithError:
            continue
        row = net.trace(shape).rows[-1]
        if row.receptive_field[1 - axis] == 0 or output[2 - axis] < SHORTEST:  # nothing is seen, or only the border
            continue
        if min(output) > 0 and max(output) <= LARGEST and interior(net, row, axis, shape[1 + axis]):
            found.append((net, axis, shape))
    return found


def test_gradients_match_the_trace(torch: ModuleType, stacks: list[tuple[ca.Network, int, tuple[int, ...]]]) -> None:
    centred = phased = 0
    for net, axis, shape in stacks:
        row = net.trace(shape).rows[-1]
        values = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
        output = run(torch, net, values)
        assert tuple(output.shape)[1:] == row.output
        jump, start, phases = row.jump[axis], row.start[axis], row.phases[axis] or (row.receptive_field[axis],)
        assert jump is not None
        inside, repeat = interior(net, row, axis, shape[1 + axis]), turn(net, axis)
        assert repeat % len(phases) == 0
        middle = inside[max(0, len(inside) // 2 - repeat) :][: 2 * repeat]
        ends: dict[int, Ends] = {at: seen(torch, output, values, axis, at) for at in middle}
        for at, found in ends.items():
            assert (0 if found is None else found[1] - found[0] + 1) == phases[at % len(phases)], (net, axis, at)
            if at - repeat in ends:
                before = ends[at - repeat]
                assert (found and found[0]) == (before and before[0] + jump * repeat), (net, axis, at)
            if at % repeat == 0:
                centre = None if found is None else Fraction(sum(found), 2)
                assert centre == (None if start is None else start + jump * at), (net, axis, at)
                centred += 1
        assert row.receptive_field[axis] == max(phases)
        phased += len(phases) > 1
    assert centred > STACKS // 2
    assert phased > STACKS // 10


def test_alignment_is_the_offset_of_the_middle(torch: ModuleType) -> None:
    """A 3x3 convolution with stride 2 and no padding sees 0..6 of 8 positions: half a position before the middle."""
    net = ca.parse_network("Conv2d(1, 1, 3, stride=2)")
    row = net.trace((1, 8, 9)).rows[0]
    assert row.alignment == (Fraction(-1, 2), 0)
    values = torch.ones(1, 1, 8, 9, dtype=torch.float64, requires_grad=True)
    output = run(torch, net, values)
    for axis, size in enumerate((8, 9)):
        first, last = (seen(torch, output, values, axis, at) for at in (0, output.shape[2 + axis] - 1))
        assert first is not None
        assert last is not None
        assert Fraction(sum(first) + sum(last), 4) - Fraction(size - 1, 2) == row.alignment[axis]


def test_channels_last_layers_keep_the_field() -> None:
    plain = "Conv2d(3, 4, 4, stride=(4, 2)); Conv2d(4, 4, (7, 5), padding=(3, 2))"
    net = ca.parse_network(f"{plain}; Permute((0, 2, 3, 1)); LayerNorm(4); Linear(4, 9); Permute((0, 3, 1, 2))")
    wanted = ca.parse_network(plain).trace((3, 32, 40)).rows[-1]
    for shape in ((3, 32, 40), (1, 3, 32, 40)):
        for row in net.trace(shape).rows[1:]:
            assert (row.receptive_field, row.jump, row.start) == (wanted.receptive_field, wanted.jump, wanted.start)
            assert row.alignment == wanted.alignment
    lost = ca.parse_network("Conv2d(3, 4, 3); Permute((0, 3, 2, 1)); MaxPool2d(2)").trace((3, 9, 9)).rows[-1]
    assert lost.receptive_field == (None, None)
