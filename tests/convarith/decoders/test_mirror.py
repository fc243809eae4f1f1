"""The laws of mirrored decoders. The oracle is torch, which runs every layer.

For random encoders:

- Each step of a decoder ends with the shape that torch's encoder has there; the last step ends with the input shape.
- Even decoders hit every position equally often; for others, the report lists exactly the layers that do not.
- A remedy for a checkerboard is even and has the same sizes as the layer that it replaces.
- If the decoder follows the encoder's sizes, every input that the encoder accepts is restored.
- A decoder of fixed layers serves exactly the sizes that torch restores.

The last two use a batch of two: with a batch of one, a GroupNorm refuses sizes that leave a group a single value.

Examples:

- The decoders of the lectures and DeconvNet are as published; an audio codec restores every length.
- A norm after a mirrored layer has the channels of that layer; the final activation is only at the end.
- An encoder that cannot be mirrored is refused, with the change that would help.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import ceil, prod
from types import ModuleType
from typing import Any

import pytest
from support.random_encoders import random_encoder

import convarith as ca
from convarith.decoders.inverses import STRATEGIES
from convarith.pytorch import to_module

pytestmark = pytest.mark.slow

REFUSALS = (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError)
DEEP = "Conv2d(1, 32, 5); ReLU(); Conv2d(32, 32, 5); ReLU(); Conv2d(32, 32, 4, stride=2); ReLU(); "
DEEP += "Conv2d(32, 32, 3, stride=2); ReLU(); Conv2d(32, {latent}, 4)"


def encoders(count: int) -> Iterator[tuple[random.Random, ca.Network, tuple[int, ...]]]:
    for number in range(count):
        rng = random.Random(number)
        yield rng, *random_encoder(rng)


def modules(network: ca.Network) -> list[Any]:
    return [to_module(node.layer).eval() for node in network.nodes]


def run(torch: ModuleType, layers: list[Any], values: Any) -> Any:
    """The output of a chain of modules; None if torch refuses the input."""
    try:
        with torch.no_grad():
            for layer in layers:
                values = layer(values)
    except REFUSALS:
        return None
    return values


def text_of(network: ca.Network) -> list[str]:
    return [str(node.layer) for node in network.nodes]


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("upsample", ["transposed", "resize", "pixel-shuffle"])
def test_every_step_restores_the_shape_of_torchs_encoder(
    torch: ModuleType, random_encoders: int, upsample: str, even: bool
) -> None:
    for rng, net, shape in encoders(random_encoders):
        decoder = ca.mirror(net, shape, upsample=upsample, even=even, final=rng.choice((None, "Sigmoid")))
        assert decoder.stands_alone
        values = {"input": torch.zeros(1, *shape)}
        with torch.no_grad():
            for node, module in zip(net.nodes, modules(net), strict=True):
                values[node.name] = module(values[node.inputs[0]])
            latent = values[net.nodes[-1].name]
            back, mirrored = torch.rand(latent.shape), decoder.mirrors
            for node, module in zip(decoder.network.nodes, modules(decoder.network), strict=True):
                back = module(back)
                assert tuple(back.shape[1:]) == decoder.shapes[node.name], f"{net}\non {shape}: {node.name}"
                following = mirrored.get(str(int(node.name) + 1))
                if following is not mirrored[node.name]:  # the step ends here
                    theirs = values[mirrored[node.name].stage.entry].shape
                    assert back.shape == theirs, f"{net}\non {shape}: {node.name}"
        assert tuple(back.shape[1:]) == shape, f"{net}\non {shape}"


def test_there_is_a_step_for_every_stage(random_encoders: int) -> None:
    for _, net, shape in encoders(random_encoders):
        steps = ca.mirror(net, shape).steps
        assert [step.stage.name for step in steps] == [
            node.name for node in reversed(net.nodes) if not hasattr(node.layer, "word")
        ]
        assert steps[-1].shape == shape


@cache
def hits_evenly(kernel: int, stride: int, dilation: int) -> bool:
    """Brute force: with ones as input and kernel, every inner position has the same sum."""
    import torch

    span = dilation * (kernel - 1) + 1
    count = span // stride + 2 * stride + 2
    ones = torch.ones(1, 1, count)
    hits = torch.nn.functional.conv_transpose1d(ones, torch.ones(1, 1, kernel), stride=stride, dilation=dilation)
    inside = hits[0, 0, span - 1 : (count - 1) * stride + 1]
    assert len(inside) >= stride
    return len(set(inside.tolist())) == 1


def uneven(layer: ca.Layer) -> tuple[int, ...]:
    """The axes along which a transposed convolution is uneven."""
    if not isinstance(layer, ca.ConvTranspose):
        return ()
    assert layer.ndim is not None
    names = ("kernel_size", "stride", "dilation")
    return tuple(axis for axis in range(layer.ndim) if not hits_evenly(*(layer.at(name, axis) for name in names)))


def test_even_decoders_hit_every_position_equally_often(torch: ModuleType, random_encoders: int) -> None:
    transposed = 0
    for rng, net, shape in encoders(random_encoders):
        decoder = ca.mirror(net, shape, even=True, any_size=rng.random() < 0.3)
        assert not any(uneven(node.layer) for node in decoder.network.nodes), f"{net}\non {shape}"
        assert not decoder.report.checkerboards
        transposed += sum(isinstance(node.layer, ca.ConvTranspose) for node in decoder.network.nodes)
    assert transposed > random_encoders


def test_the_report_counts_every_checkerboard_and_its_remedy_is_even(torch: ModuleType, random_encoders: int) -> None:
    found = 0
    for rng, net, shape in encoders(random_encoders):
        decoder = ca.mirror(net, shape, upsample=rng.choice(("transposed", "transposed", "pixel-shuffle", "resize")))
        counted = {node.name: uneven(node.layer) for node in decoder.network.nodes if uneven(node.layer)}
        report = decoder.report
        assert {each.name: each.axes for each in report.checkerboards} == counted, f"{net}\non {shape}"
        given = {node.name: node.inputs[0] for node in decoder.network.nodes}
        for each in report.checkerboards[:2]:
            assert uneven(each.remedy) == ()
            values = torch.zeros(1, *decoder.shapes.get(given[each.name], decoder.latent_shape))
            pair = [run(torch, [to_module(layer)], values).shape for layer in (each.layer, each.remedy)]
            assert pair[0] == pair[1], f"{each.layer} {each.remedy}"
        found += len(counted)
    assert found > random_encoders // 3


def test_the_cost_of_even_kernels_is_counted(torch: ModuleType, random_encoders: int) -> None:
    for _, net, shape in encoders(random_encoders // 5):
        counts = []
        for even in (False, True):
            decoder = ca.mirror(net, shape, even=even)
            counts.append(sum(each.numel() for layer in modules(decoder.network) for each in layer.parameters()))
            assert decoder.report.parameters == counts[-1]
        assert decoder.report.cost_of_even == counts[1] - counts[0]


def test_a_decoder_that_follows_sizes_restores_every_accepted_input(random_encoders: int) -> None:
    taken = 0
    for rng, net, shape in encoders(random_encoders):
        upsample, skips = rng.choice(STRATEGIES), rng.random() < 0.3
        decoder = ca.mirror(net, shape, upsample=upsample, any_size=True, skips=skips, even=rng.random() < 0.3)
        whole, axis = decoder.autoencoder, rng.randrange(len(shape) - 1)
        assert decoder.report.follows
        if net.nodes[-1].layer.kind != "linear":
            sizes = whole.size_map(axis, shape)
            assert sizes.comes_back == sizes.domain == net.size_map(axis, shape).domain, f"{net}\non {shape}"
        tried = [tuple(max(1, size + rng.randint(-12, 12)) for size in shape[1:]) for _ in range(8)]
        tried += [(*shape[1 : 1 + axis], size, *shape[2 + axis :]) for size in rng.sample(range(1, 3 * shape[-1]), 12)]
        for spatial in tried:
            given = (shape[0], *spatial)
            try:
                net.output_shape((2, *given))
            except ca.ShapeError:
                continue
            taken += 1
            assert whole.output_shape((2, *given)) == (2, *given), f"{upsample} {skips}: {net}\non {given}"
    assert taken > 3 * random_encoders


def test_a_fixed_decoder_serves_exactly_the_sizes_that_torch_restores(torch: ModuleType, random_encoders: int) -> None:
    returned = checked = 0
    for rng, net, shape in encoders(random_encoders // 6):
        if prod(shape) > 2_500:
            continue
        decoder = ca.mirror(net, shape, upsample=rng.choice(("transposed", "resize", "pixel-shuffle")))
        there, back = modules(net), modules(decoder.network)
        for axis, (letter, serves) in enumerate(decoder.report.serves, start=1):
            scan = range(max(1, shape[axis] - 24), shape[axis] + 36)
            theirs = set()
            for size in scan:
                values = torch.zeros(2, *shape[:axis], size, *shape[axis + 1 :])
                result = run(torch, [*there, *back], values)
                if result is not None and result.shape == values.shape:
                    theirs.add(size)
            assert {size for size in scan if size in serves} == theirs, f"{net}\non {shape}: {letter}"
            assert shape[axis] in theirs
            returned, checked = returned + len(theirs), checked + 1
    assert returned > 2 * checked > random_encoders // 20


# The lectures ----------------------------------------------------------------------------------------------------------


def test_the_decoder_of_sutd_is_as_published() -> None:
    net = ca.parse_network(
        "Conv2d(1, 16, 3, stride=2, padding=1); ReLU(); Conv2d(16, 32, 3, stride=2, padding=1); ReLU(); Conv2d(32, 64, 7)"
    )
    printed = [
        "ConvTranspose2d(64, 32, 7)", "ReLU()",
        "ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)", "ReLU()",
        "ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1)",
    ]  # fmt: skip
    assert text_of(ca.mirror(net, (1, 28, 28)).network) == printed
    assert text_of(ca.mirror(net, (1, 28, 28), final="ReLU").network) == [*printed, "ReLU()"]
    assert text_of(ca.mirror(net, (1, 28, 28), final="sigmoid").network) == [*printed, "Sigmoid()"]


@pytest.mark.parametrize("latent", [8, 32])
def test_the_decoders_of_fleuret_are_as_published(latent: int) -> None:
    """The decoder of the deep autoencoder; with 32 channels, also that of the upscaler."""
    decoder = ca.mirror(ca.parse_network(DEEP.format(latent=latent)), (1, 28, 28))
    assert text_of(decoder.network) == [
        f"ConvTranspose2d({latent}, 32, 4)", "ReLU()",
        "ConvTranspose2d(32, 32, 3, stride=2)", "ReLU()",
        "ConvTranspose2d(32, 32, 4, stride=2)", "ReLU()",
        "ConvTranspose2d(32, 32, 5)", "ReLU()",
        "ConvTranspose2d(32, 1, 5)",
    ]  # fmt: skip
    assert decoder.latent_shape == (latent, 1, 1)


def test_the_lost_row_of_csc413_is_restored() -> None:
    decoder = ca.mirror(ca.parse_network("Conv2d(8, 8, 5, stride=2)"), (8, 64, 64))
    assert text_of(decoder.network) == ["ConvTranspose2d(8, 8, 5, stride=2, output_padding=1)"]


def test_vgg16_gives_deconvnet() -> None:
    """Noh, Hong, Han: Learning Deconvolution Network, arXiv 1505.04366, table 2, with the image instead of classes."""
    blocks = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
    lines = [
        f"Conv2d({before}, {after}, 3, padding=1); ReLU(){'; MaxPool2d(2)' if number == len(block) - 2 else ''}"
        for block in blocks
        for number, (before, after) in enumerate(pairwise(block))
    ]
    net = ca.parse_network("; ".join([*lines, "Conv2d(512, 4096, 7)", "ReLU()"]))
    decoder = ca.mirror(net, (3, 224, 224), upsample="unpool")
    table: list[tuple[str, tuple[int, ...]]] = [("ConvTranspose2d(4096, 512, 7)", (512, 7, 7))]
    for size, channels in (
        (14, (512, 512, 512, 512)), (28, (512, 512, 512, 256)), (56, (256, 256, 256, 128)), (112, (128, 128, 64)),
        (224, (64, 64, 3)),
    ):  # fmt: skip
        table.append(("MatchSize()", (channels[0], size, size)))
        for before, after in pairwise(channels):
            table.append((f"ConvTranspose2d({before}, {after}, 3, padding=1)", (after, size, size)))
    nodes = [node for node in decoder.network.nodes if node.name in decoder.mirrors]
    assert [(str(node.layer), decoder.shapes[node.name]) for node in nodes if str(node.layer) != "ReLU()"] == table
    kinds = [node.layer.kind for node in nodes]
    followed = [after for kind, after in pairwise(kinds) if kind == "conv-transpose"]
    assert set(followed) == {"elementwise"}  # a ReLU after every deconvolution except the last
    assert kinds[-1] == "conv-transpose"
    unpooled = [node.inputs[1] for node in nodes if node.layer.kind == "match-size"]
    pools = [node for node in net.nodes if node.layer.kind == "max-pool"]
    assert unpooled == [f"encoder.{pool.inputs[0]}" for pool in reversed(pools)]
    assert not decoder.stands_alone


@pytest.mark.parametrize("strides", [(2, 4, 5, 8), (2, 4, 8, 8)])
def test_audio_codecs_return_every_length(torch: ModuleType, strides: tuple[int, ...]) -> None:
    """EnCodec's encoder with few channels: the kernels are twice as large as the strides."""
    layers, channels = ["Conv1d(1, 2, 7, padding=3)"], 2
    for stride in strides:
        layers += ["ELU()", f"Conv1d({channels}, {2 * channels}, {2 * stride}, {stride}, {ceil(stride / 2)})"]
        channels *= 2
    net, period = ca.parse_network("; ".join(layers)), prod(strides)
    length = 3 * period + 37
    following, fixed = ca.mirror(net, (1, length), any_size=True), ca.mirror(net, (1, length))
    there, back = modules(net), modules(fixed.network)
    lengths = range(1, 4 * period)
    latents = {size: run(torch, there, torch.zeros(1, 1, size)) for size in lengths}
    taken = [size for size, latent in latents.items() if latent is not None]
    assert len(taken) >= 2 * period
    assert all(following.autoencoder.output_shape((1, size)) == (1, size) for size in taken)
    serves = fixed.report.serves[0][1]
    returned = [size for size in taken if run(torch, back, latents[size]).shape[-1] == size]
    assert [size for size in lengths if size in serves] == returned
    assert length in returned
    assert following.report.serves[0][1].first == taken[0]


# Norms, activations, refusals ----------------------------------------------------------------------------------------


def test_a_norm_takes_the_channels_of_the_layer_before_it() -> None:
    net = ca.parse_network("""
        Conv2d(3, 16, 4, 2, 1); BatchNorm2d(16); LeakyReLU(0.2)
        Conv2d(16, 24, 4, 2, 1); GroupNorm(8, 24); ReLU(); Dropout2d(0.1)
        Conv2d(24, 32, 4, 2, 1); BatchNorm2d(32); Tanh()
    """)
    assert text_of(ca.mirror(net, (3, 32, 32), final="Sigmoid").network) == [
        "ConvTranspose2d(32, 24, 4, stride=2, padding=1)", "GroupNorm(8, 24)", "ReLU()", "Dropout2d(p=0.1)",
        "ConvTranspose2d(24, 16, 4, stride=2, padding=1)", "BatchNorm2d(16)", "LeakyReLU(negative_slope=0.2)",
        "ConvTranspose2d(16, 3, 4, stride=2, padding=1)", "Sigmoid()",
    ]  # fmt: skip


def test_a_norm_of_a_single_value_is_left_out(torch: ModuleType) -> None:
    net = ca.parse_network("Conv2d(1, 2, 1); GroupNorm(2, 2); MaxPool2d(2); Conv2d(2, 4, 1)")
    assert any("GroupNorm" in each for each in text_of(ca.mirror(net, (1, 4, 4)).network))
    tiny = ca.parse_network("AdaptiveAvgPool2d(2); Conv2d(1, 2, 2); GroupNorm(1, 2); Conv2d(2, 1, 1)")
    decoder = ca.mirror(tiny, (1, 4, 4))
    assert run(torch, modules(decoder.network), torch.zeros(1, *decoder.latent_shape)).shape == (1, 1, 4, 4)


def test_a_linear_latent_is_restored_through_its_flatten() -> None:
    net = ca.parse_network("Conv2d(1, 8, 3, 2, 1); ReLU(); Flatten(); Linear(1568, 32); ReLU(); Linear(32, 8)")
    assert text_of(ca.mirror(net, (1, 28, 28)).network) == [
        "Linear(8, 32)", "ReLU()", "Linear(32, 1568)", "Unflatten(1, (8, 14, 14))", "ReLU()",
        "ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1)",
    ]  # fmt: skip


def test_a_crop_larger_than_the_rest_is_padded_first() -> None:
    net = ca.parse_network("ReplicationPad1d((2, -2)); Conv1d(1, 2, 1)")
    decoder = ca.mirror(net, (1, 8))
    assert text_of(decoder.network)[1:] == ["ZeroPad1d((0, 2))", "ZeroPad1d((-2, 0))"]
    assert decoder.report.serves[0][1].first == 1


@pytest.mark.parametrize("first", ["MaxPool2d(2)", "Conv2d(8, 8, 2, 2)"])
def test_a_linear_after_a_flatten_bounds_the_sizes_that_can_be_followed(first: str) -> None:
    net = ca.parse_network(f"{first}; Flatten(); Linear(72, 10)")
    served = dict(ca.mirror(net, (8, 7, 7), any_size=True).report.serves)
    assert {letter: list(sizes) for letter, sizes in served.items()} == {"H": [6, 7], "W": [6, 7]}


@pytest.mark.parametrize(
    ("text", "shape", "options", "message"),
    [
        ("Conv2d(1, 8, 3)", (1, 9, 9), {"upsample": "transpose"}, "upsample 'transpose' is unknown: .*'transposed'"),
        ("Conv2d(1, 8, 3)", (1, 9, 9), {"upsample": None}, "upsample None is unknown"),
        ("Conv2d(1, 8, 3)", (1, 9, 9), {"final": "Sigmoyd"}, "final activation 'Sigmoyd' is unknown: .*'Sigmoid'"),
        ("Conv2d(1, 8, 3)", (1, 9, 9), {"final": "BatchNorm2d"}, "final activation 'BatchNorm2d' is unknown"),
        ("Conv2d(1, 8, 3)", (9, 9), {}, "the input shape 9x9 has 2 sizes, the encoder takes 3: channels first"),
        ("Conv2d(1, 8, 3)", (2, 1, 9, 9), {}, "has 4 sizes, the encoder takes 3"),
        ("Conv2d(1, 8, 3)", (), {}, "the input shape is empty"),
        (
            "Conv2d(1, 8, 3); Flatten(0)",
            (1, 9, 9),
            {},
            r"1: Flatten\(start_dim=0\) merges the batch.*use start_dim=1",
        ),
        (
            "ReLU(); Dropout()",
            (1, 9, 9),
            {},
            "no layer that changes a shape or has weights: there is nothing to mirror",
        ),
        ("Conv2d(1, 8, 5); MaxPool2d(3)", (1, 6, 6), {}, "1 .*: .*the nearest input that works has H = 7"),
        ("Conv2d(1, 8, 3)", (3, 9, 9), {}, r"expects 1 channel \(in_channels\)"),
    ],
)
def test_an_encoder_without_a_mirror_is_refused_in_one_line(
    text: str, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ca.ConvarithError, match=message) as caught:
        ca.mirror(ca.parse_network(text), shape, **options)
    assert "\n" not in str(caught.value)
