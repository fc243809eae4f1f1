"""The steps of a decoder, one by one. The oracle is torch, counting, or the text of the layers.

- A step puts a value back around the place where the encoder's window took it from.
- Blocks of branches are undone as one layer, or by a resize if they are like no layer.
- A stage that halves the feature map gets a skip, and no other.
- Norms and activations take the shape that they have in the decoder.
- The report names what the user should know; a decoder that does not restore a shape is refused.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from itertools import product
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.decoders.encoder_stages import stages_of
from convarith.decoders.inverses import uneven_axes
from convarith.layers.ways_back import Way


def text_of(network: ca.Network) -> list[str]:
    return [str(node.layer) for node in network.nodes]


def mirrored(text: str, shape: tuple[int, ...], **options: Any) -> list[str]:
    return text_of(ca.mirror(ca.parse_network(text), shape, **options).network)


def ones(torch: ModuleType, layers: list[Any], values: Any) -> Any:
    """The output of torch's layers with all weights set to one and without biases."""
    with torch.no_grad():
        for layer in layers:
            module = ca.pytorch.to_module(layer).double()
            for name, parameter in module.named_parameters():
                torch.nn.init.constant_(parameter, 0 if name == "bias" else 1)
            values = module(values)
    return values


@pytest.mark.parametrize("upsample", ["transposed", "resize", "pixel-shuffle"])
def test_a_value_returns_to_the_middle_of_its_window(torch: ModuleType, upsample: str) -> None:
    """For one value of the latent, the middle of what it becomes; a resize or a shuffle may be off by half a position."""
    for kernel, stride, dilation, padding in product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2), (0, 1, 2)):
        conv = f"Conv2d(1, 1, {kernel}, {stride}, {padding}, {dilation}, bias=False)"
        decoder = ca.mirror(ca.parse_network(conv), (1, 40, 41), upsample=upsample)
        latent = torch.zeros(1, *decoder.latent_shape, dtype=torch.float64)
        at = tuple(size // 2 for size in decoder.latent_shape[1:])
        latent[0, 0, at[0], at[1]] = 1
        found = ones(torch, [node.layer for node in decoder.network.nodes], latent)[0, 0]
        for axis in range(2):
            line = found.sum(1 - axis)
            middle = float((line * torch.arange(len(line))).sum() / line.sum())
            window = at[axis] * stride - padding + dilation * (kernel - 1) / 2
            assert abs(middle - window) <= (0 if upsample == "transposed" else 0.5), (conv, axis)


@pytest.mark.parametrize("pool", ["MaxPool", "AvgPool"])
def test_a_repeated_value_lies_around_its_window(torch: ModuleType, pool: str) -> None:
    for kernel, stride, padding in product((1, 2, 3, 4, 5), (1, 2, 3, 4), (0, 1, 2)):
        if padding > kernel // 2:
            continue
        for size in (20, 21, 22, 23):
            net = ca.parse_network(f"{pool}1d({kernel}, {stride}, {padding})")
            decoder = ca.mirror(net, (1, size), upsample="resize")
            count = decoder.latent_shape[1]
            values = torch.arange(count, dtype=torch.float64).reshape(1, 1, count)
            found = ones(torch, [node.layer for node in decoder.network.nodes], values)[0, 0].tolist()
            assert len(found) == size
            for window in range(1, count - 1):
                places = [at for at, value in enumerate(found) if value == window]
                middle = stride * window - padding + (kernel - 1) / 2
                assert len(places) == stride
                assert sum(places) / stride - middle in (0, 0.5), (kernel, stride, padding, size)


# Blocks --------------------------------------------------------------------------------------------------------------

RESNET = """
a: Conv2d(2, 4, 3, stride=2, padding=1{bias}); {norm}r: ReLU(); b: Conv2d(4, 6, 3, padding=1)
short: Conv2d(2, 6, 1, stride=2)(input)
sum: Add()(b, short)
last: ReLU()
"""
GROWING = "a: ConvTranspose2d(8, 1, 3, stride=2); b: Upsample(scale_factor=2)(input); c: Conv2d(8, 1, 2, padding=1); Add()(a, c)"
POOLED = "a: AdaptiveAvgPool2d({0}); b: AdaptiveMaxPool2d({0})(input); Add()(a, b)"


@pytest.mark.parametrize(
    ("text", "shape", "layers"),
    [
        (RESNET.format(bias="", norm=""), (2, 16, 15), "ConvTranspose2d(6, 2, 3, stride=2, padding=1, output_padding=(1, 0))"),
        (RESNET.format(bias=", bias=False", norm="n: BatchNorm2d(4); "), (2, 16, 15),
         "ConvTranspose2d(6, 2, 3, stride=2, padding=1, output_padding=(1, 0), bias=False)"),
        ("a: Conv1d(1, 2, 5, stride=2, padding=2); b: Conv1d(1, 2, 3, stride=2, padding=1)(input); Add()(a, b)", (1, 9),
         "ConvTranspose1d(2, 1, 5, stride=2, padding=2)"),
        ("a: MaxPool1d(3, 2, 1); b: Conv1d(2, 2, 7, padding=3); c: AvgPool1d(2, ceil_mode=True)(input); Add()(b, c)", (2, 9),
         "ConvTranspose1d(2, 2, 3, stride=2, padding=1)"),
        ("a: Conv3d(1, 2, 3); b: Conv3d(1, 2, 1)(input); c: AvgPool3d(3, stride=1)(b); Add()(a, c)", (1, 5, 6, 7),
         "ConvTranspose3d(2, 1, 3)"),
        (GROWING, (8, 5, 5), "AdaptiveAvgPool2d(output_size=5); Conv2d(1, 8, 3, padding=1)"),
        (POOLED.format(3), (2, 9, 8), "Upsample(size=(9, 8)); Conv2d(2, 2, 3, padding=1)"),
        (POOLED.format("(12, 3)"), (2, 4, 5), "AdaptiveAvgPool2d(output_size=(4, 5)); Conv2d(2, 2, 3, padding=1)"),
        (POOLED.format("(3, 12)"), (2, 5, 4), "AdaptiveAvgPool2d(output_size=(5, 4)); Conv2d(2, 2, 3, padding=1)"),
        (POOLED.format("(4, 3)"), (2, 3, 4), "Upsample(size=(3, 4)); Conv2d(2, 2, 3, padding=1)"),
        ("a: AdaptiveAvgPool2d(5); b: Conv2d(1, 2, 1); c: AdaptiveMaxPool2d(5)(input); d: Conv2d(1, 2, 1); Add()(b, d)",
         (1, 5, 5), "Conv2d(2, 1, 3, padding=1)"),
        ("a: Linear(8, 4); r: ReLU(); b: Linear(4, 6); s: Linear(8, 6)(input); Add()(b, s)", (8,), "Linear(6, 8)"),
        ("a: Permute((0, 2, 1, 3, 4)); b: Permute((0, 2, 1, 3, 4))(input); Add()(a, b)", (2, 3, 4, 5),
         "Upsample(size=(3, 4, 5)); Conv3d(3, 2, 3, padding=1)"),
    ],
)  # fmt: skip
def test_a_block_is_undone_as_one(torch: ModuleType, text: str, shape: tuple[int, ...], layers: str) -> None:
    net = ca.parse_network(text)
    decoder = ca.mirror(net, shape)
    assert "; ".join(text_of(decoder.network)) == layers
    (remark,) = decoder.report.remarks
    block = net.nodes[:-1] if net.nodes[-1].name == "last" else net.nodes
    assert remark == f"{block[0].name} .. {block[-1].name}: a block of branches, mirrored as a single layer"
    assert decoder.steps[0].stage.text == f"block of {len(block)} layers"
    output = ones(torch, [node.layer for node in decoder.network.nodes], torch.ones(2, *decoder.latent_shape).double())
    assert output.shape[1:] == shape


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("a: Flatten(); b: Flatten()(input); Add()(a, b)", (2, 3, 4), "block of 3 layers turns 2x3x4 into 24, which cannot be"),
        ("a: Permute((0, 2, 1, 3, 4, 5)); b: Permute((0, 2, 1, 3, 4, 5))(input); Add()(a, b)", (2, 3, 4, 5, 6),
         "turns 2x3x4x5x6 into 3x2x4x5x6, which cannot be mirrored"),
        ("a: Narrow(0, 1); b: Narrow(0, 1)(input); Add()(a, b)", (2, 3, 4, 5, 6),
         "turns 2x3x4x5x6 into 1x3x4x5x6, which cannot be mirrored"),
        ("Conv2d(1, 1, 2); a: Flatten(0); Add()(a, a)", (1, 9, 9), r"2: Add\(\) turns .* into .*, which cannot be mirrored"),
    ],
)  # fmt: skip
def test_a_block_without_a_way_back_is_refused(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ca.ShapeError, match=message):
        ca.mirror(ca.parse_network(text), shape)


def test_the_stages_of_an_encoder() -> None:
    net = ca.parse_network("""
        first: ReLU()
        c: Conv2d(2, 3, 3, padding=1); n: BatchNorm2d(3); t: Tanh()
        a: Conv2d(3, 3, 3, padding=1); bn: BatchNorm2d(3); dead: MaxPool2d(2)(a); plus: Add()(bn, t); act: SiLU()
        p: MaxPool2d(2)
        x: Conv2d(3, 4, 2, stride=2); xn: GroupNorm(2, 4); xd: Dropout(); y: Conv2d(3, 4, 2, stride=2)(p); s: Sigmoid()
        m: Multiply()(xd, s); z: Identity()
        f: Flatten(); l: Linear(16, 3)
    """)
    shown = [
        (stage.name, stage.entry, stage.exit, stage.text, stage.before, stage.after)
        for stage in stages_of(net, (2, 8, 8))
    ]
    assert shown == [
        ("c", "first", "c", "Conv2d(2, 3, 3, padding=1)", (2, 8, 8), (3, 8, 8)),
        ("p", "act", "p", "MaxPool2d(kernel_size=2)", (3, 8, 8), (3, 4, 4)),
        ("x .. m", "p", "m", "block of 6 layers", (3, 4, 4), (4, 2, 2)),
        ("f", "z", "f", "Flatten()", (4, 2, 2), (16,)),
        ("l", "f", "l", "Linear(16, 3)", (16,), (3,)),
    ]
    runs = [[str(layer) for layer in stage.run] for stage in stages_of(net, (2, 8, 8))]
    assert runs == [["BatchNorm2d(3)", "Tanh()", "SiLU()"], [], ["GroupNorm(2, 4)", "Identity()"], [], []]
    assert str(stages_of(net, (2, 8, 8))[2].layer) == "Conv2d(3, 4, 2, stride=2, bias=False)"


def test_a_block_that_keeps_the_shape_lends_its_norm_and_activation() -> None:
    block = "a: Conv1d(2, 2, 3, padding=1); n: BatchNorm1d(2); r: ELU(); d: Dropout(); b: Conv1d(2, 2, 1); Add()(b, c)"
    assert mirrored(f"c: Conv1d(1, 2, 2); {block}; Conv1d(2, 3, 2)", (1, 9)) == [
        "ConvTranspose1d(3, 2, 2)", "BatchNorm1d(2)", "ELU()", "ConvTranspose1d(2, 1, 2)",
    ]  # fmt: skip
    assert mirrored(f"c: Conv1d(1, 2, 2); t: Tanh(); {block.replace('(b, c)', '(b, t)')}; Conv1d(2, 3, 2)", (1, 9)) == [
        "ConvTranspose1d(3, 2, 2)", "Tanh()", "ConvTranspose1d(2, 1, 2)",
    ]  # fmt: skip
    two = block.replace("d: Dropout(); ", "m: InstanceNorm1d(2); q: SiLU(); d: Dropout(); ")
    assert mirrored(f"c: Conv1d(1, 2, 2); {two}; Conv1d(2, 3, 2)", (1, 9)) == [
        "ConvTranspose1d(3, 2, 2)", "BatchNorm1d(2)", "SiLU()", "ConvTranspose1d(2, 1, 2)",
    ]  # fmt: skip
    alone = block.replace("(2, 2, 3, padding=1)", "(2, 2, 3, padding=1)(input)").replace("(b, c)", "(b, input)")
    assert mirrored(alone, (2, 9)) == ["ConvTranspose1d(2, 2, 3, padding=1, bias=False)"]


# Windows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "upsample", "layers"),
    [
        ("MaxPool2d(3, 2, 1)", (2, 9, 10), "resize", "Upsample(scale_factor=2.0); ZeroPad2d((0, 0, 0, -1))"),
        ("MaxPool2d(3, 2)", (2, 9, 10), "resize", "Upsample(scale_factor=2.0); ReplicationPad2d((1, 1, 1, 0))"),
        ("AvgPool2d(2, (2, 3))", (2, 9, 9), "resize", "Upsample(scale_factor=(2.0, 3.0)); ReplicationPad2d((0, 0, 0, 1))"),
        ("AvgPool1d(3, 1, 1)", (2, 9), "resize", ""),
        ("MaxPool1d(2, 3)", (2, 9), "pixel-shuffle", "ConvTranspose1d(2, 2, 3, stride=3)"),
        ("Conv2d(1, 2, 3, (1, 2))", (1, 9, 9), "pixel-shuffle",
         "ConvTranspose2d(2, 1, (3, 4), stride=(1, 2), padding=(0, 1), output_padding=(0, 1))"),
        ("Conv2d(1, 2, 3)", (1, 9, 9), "pixel-shuffle", "ConvTranspose2d(2, 1, 3)"),
        ("Conv2d(1, 2, 3)", (1, 9, 9), "resize", "ConvTranspose2d(2, 1, 3)"),
        ("Conv2d(4, 6, 3, 3, groups=2, bias=False)", (4, 9, 9), "pixel-shuffle",
         "Conv2d(6, 36, 3, padding=1, groups=2, bias=False); PixelShuffle(3)"),
        ("Conv2d(4, 6, 3, 3, groups=2, bias=False)", (4, 9, 9), "resize",
         "Upsample(scale_factor=3.0); Conv2d(6, 4, 3, padding=1, groups=2, bias=False)"),
        ("AvgPool2d(3)", (4, 9, 9), "pixel-shuffle", "Conv2d(4, 36, 3, padding=1); PixelShuffle(3)"),
        ("Conv2d(None, 2, 2, 2)", (3, 8, 8), "transposed", "ConvTranspose2d(2, 3, 2, stride=2)"),
        ("MaxPool2d(2)", (3, 8, 8), "transposed", "ConvTranspose2d(3, 3, 2, stride=2)"),
    ],
)  # fmt: skip
def test_the_way_back_through_a_window(text: str, shape: tuple[int, ...], upsample: str, layers: str) -> None:
    assert "; ".join(mirrored(text, shape, upsample=upsample)) == layers


@pytest.mark.parametrize(
    ("text", "shape", "options", "remarks"),
    [
        ("Conv2d(1, 2, 2, 2)", (1, 9, 9), {}, []),
        ("Conv2d(1, 2, 2, 3)", (1, 9, 9), {}, ["larger"]),
        ("Conv2d(1, 2, (2, 3), 3)", (1, 9, 9), {}, ["larger"]),
        ("Conv2d(1, 2, (3, 2), 3)", (1, 9, 9), {}, ["larger"]),
        ("Conv2d(1, 2, 2, 3, dilation=2)", (1, 9, 9), {}, []),
        ("a: Conv1d(1, 2, 1, 2); b: Conv1d(1, 2, 1, 2)(input); Add()(a, b)", (1, 9), {}, ["block"]),
        ("Conv1d(1, 2, 2, 2)", (1, 9), {"upsample": "pixel-shuffle"}, ["PixelShuffle"]),
        ("Conv1d(1, 2, 2, 3)", (1, 9), {"upsample": "pixel-shuffle"}, ["PixelShuffle", "larger"]),
        ("Conv2d(1, 2, 2, 2)", (1, 9, 9), {"upsample": "pixel-shuffle"}, []),
    ],
)
def test_the_report_remarks_on_what_is_unusual(
    text: str, shape: tuple[int, ...], options: dict[str, Any], remarks: list[str]
) -> None:
    known = {
        "larger": "0: the stride is larger than the kernel; the decoder also restores the positions that are never read",
        "block": "a .. 2: a block of branches, mirrored as a single layer",
        "PixelShuffle": "0: PixelShuffle needs 2-D inputs and equal strides; "
        "an equivalent even transposed convolution is used instead",
    }
    assert list(ca.mirror(ca.parse_network(text), shape, **options).report.remarks) == [known[each] for each in remarks]


def test_an_open_layer_is_uneven_along_its_only_axis() -> None:
    assert uneven_axes(ca.ConvTranspose(kernel_size=3, stride=2)) == [0]
    assert uneven_axes(ca.parse("ConvTranspose3d(1, 1, (3, 4, 5), stride=2)")) == [0, 2]
    assert uneven_axes(ca.ConvTranspose(kernel_size=4, stride=2)) == uneven_axes(ca.parse("Conv1d(1, 1, 3, 2)")) == []


# Skips ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "window", "skip"),
    [
        (6, "2, 2", True), (5, "3, 2, 1", True), (4, "2, 2", True), (3, "3, 1", True), (3, "2, 2", True),
        (3, "3, 2, 1", False), (2, "2, 2", False), (4, "2, 1", False), (6, "3, 1", False), (7, "2, 2", True),
        (9, "5, 1", True), (8, "4, 1", False), (8, "(4, 5), 1", True), (8, "(5, 4), 1", True),
    ],
)  # fmt: skip
def test_a_stage_that_halves_the_map_gets_a_skip(size: int, window: str, skip: bool) -> None:
    net = ca.parse_network(f"Conv2d(1, 2, 1); Tanh(); BatchNorm2d(2); p: Conv2d(2, 3, {window})")
    decoder = ca.mirror(net, (1, size, size), skips=True)
    joined = [node.inputs[1] for node in decoder.network.nodes if str(node.layer) == "Concat()"]
    assert joined == (["encoder.2"] if skip else [])
    after = [str(decoder.network.nodes[-4 + at].layer) for at in range(4)]
    assert after == [
        *(["Conv2d(4, 2, 3, padding=1)"] if skip else after[:1]),
        "Tanh()",
        "BatchNorm2d(2)",
        "ConvTranspose2d(2, 1, 1)",
    ]


def test_the_first_map_has_no_skip_and_a_skip_without_activation_gets_one() -> None:
    net = ca.parse_network("MaxPool1d(2); MaxPool1d(2); Conv1d(2, 3, 1)")
    nodes = ca.mirror(net, (2, 16), skips=True).network.nodes
    assert [node.name for node in nodes] == [f"encoder.{at}" for at in range(3)] + [f"decoder.{at}" for at in range(8)]
    assert [str(node.layer) for node in nodes[3:]] == [
        "ConvTranspose1d(3, 2, 1)", "ConvTranspose1d(2, 2, 2, stride=2, output_padding=1)", "MatchSize()", "Concat()",
        "Conv1d(4, 2, 3, padding=1)", "ReLU()", "ConvTranspose1d(2, 2, 2, stride=2, output_padding=1)", "MatchSize()",
    ]  # fmt: skip


# Norms and activations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "fitted"),
    [
        ("LayerNorm((4, 8, 10))", ["LayerNorm((4, 4, 5))"]),
        ("LayerNorm((8, 10))", ["LayerNorm((4, 5))"]),
        ("LayerNorm((10,))", ["LayerNorm((5,))"]),
        ("LayerNorm(10)", ["LayerNorm(5)"]),
        ("PReLU(4)", ["PReLU(num_parameters=4)"]),
        ("PReLU()", ["PReLU()"]),
        ("Softmax(1)", []), ("Softmax2d()", []), ("LogSoftmax(1)", []), ("Softmin(1)", []), ("Identity()", []),
        ("ChannelShuffle(2)", []), ("Softplus()", ["Softplus()"]), ("Softsign()", ["Softsign()"]),
        ("Dropout()", ["Dropout()"]), ("Dropout2d()", ["Dropout2d()"]), ("InstanceNorm2d(4)", ["InstanceNorm2d(4)"]),
    ],
)  # fmt: skip
def test_what_follows_a_layer_takes_its_shape_in_the_decoder(layer: str, fitted: list[str]) -> None:
    net = f"Conv2d(1, 4, 1); {layer}; MaxPool2d(2); Conv2d(4, 6, 1)"
    again = [str(ca.parse(layer))] if fitted else []  # the pool is undone by a convolution, too
    assert mirrored(net, (1, 8, 10))[1:-1] == [*fitted, "ConvTranspose2d(4, 4, 2, stride=2)", *again]


def test_what_does_not_fit_is_left_out_alone() -> None:
    assert mirrored("Conv1d(1, 4, 1); Softmax(1); Tanh(); Conv1d(4, 6, 1)", (1, 8)) == [
        "ConvTranspose1d(6, 4, 1)", "Tanh()", "ConvTranspose1d(4, 1, 1)",
    ]  # fmt: skip
    single = "Conv2d(1, 2, 1); GroupNorm(2, 2); Tanh(); AdaptiveAvgPool2d(1); Conv2d(2, 4, 1)"
    assert mirrored(single, (1, 4, 4))[:2] == ["ConvTranspose2d(4, 2, 1)", "Tanh()"]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_open_layers_take_the_dimension_and_channels_of_the_input(ndim: int) -> None:
    net = ca.Network.chain([ca.Conv(kernel_size=3, out_channels=2, stride=2), ca.MaxPool(kernel_size=2)])
    decoder = ca.mirror(net, (5, 13, 14, 15)[: ndim + 1])
    code = decoder.code(autoencoder=True)
    assert f"nn.Conv{ndim}d(5, 2, 3, stride=2)" in code
    assert f"nn.MaxPool{ndim}d(kernel_size=2)" in code
    assert decoder.exact


def test_norms_take_the_dimension_and_channels_of_the_decoder() -> None:
    net = "Conv2d(1, 6, 1); GroupNorm(3, 6); PReLU(6); Dropout2d(0.1); BatchNorm2d(6); Narrow(0, 4); Conv2d(4, 6, 1)"
    found = mirrored(net, (1, 8, 10))
    assert found[0] == "ConvTranspose2d(6, 4, 1)"
    assert found[1:5] == ["GroupNorm(1, 4)", "PReLU(num_parameters=4)", "Dropout2d(p=0.1)", "BatchNorm2d(4)"]
    flat = mirrored("Linear(9, 6); BatchNorm1d(6); ReLU(); Unflatten(1, (6, 1, 1)); Conv2d(6, 2, 1)", (9,))
    assert flat == [
        "ConvTranspose2d(2, 6, 1)",
        "Flatten(end_dim=3)",
        "BatchNorm1d(6)",
        "ReLU()",
        "Linear(6, 9)",
    ]


# The decoder as a whole ----------------------------------------------------------------------------------------------


def test_the_size_that_it_was_designed_for_is_always_served() -> None:
    assert [(letter, list(sizes)) for letter, sizes in ca.mirror(ca.parse("Linear(8, 4)"), (3, 8)).report.serves] == [
        ("L", [8])
    ]
    assert ca.mirror(ca.parse("Linear(8, 4)"), (8,)).report.serves == ()
    net = ca.parse_network("Permute((0, 2, 1)); Conv1d(6, 8, 3, stride=2)")
    assert ca.mirror(net, (9, 6)).report.exact
    with pytest.raises(
        ca.ShapeError, match="cannot follow the sizes of this encoder: only L = 6 would be restored; leave"
    ):
        ca.mirror(net, (9, 6), any_size=True, skips=True)


def test_a_decoder_that_does_not_restore_a_shape_is_refused() -> None:
    decoder = ca.mirror(ca.parse_network("Conv1d(1, 2, 3); ReLU(); Conv1d(2, 4, 3, stride=2)"), (1, 9))
    assert (decoder.exact, decoder.came_back) == (True, ((2, 7), (1, 9)))
    with pytest.raises(FrozenInstanceError):
        decoder.even = True  # type: ignore[misc]
    first, last = decoder.steps
    wrong = replace(decoder, steps=(first, last._replace(way=Way((ca.parse("ConvTranspose1d(2, 1, 4)"),)))))
    assert (wrong.exact, wrong.report.exact, wrong.came_back) == (False, False, ((2, 7), (1, 10)))
    with pytest.raises(
        ca.ShapeError, match=r"0: Conv1d\(1, 2, 3\) cannot be mirrored: the decoder gives 1x10 instead of 1x9"
    ):
        wrong.check()
    broken = replace(decoder, steps=(first, last._replace(way=Way((ca.parse("ConvTranspose1d(3, 1, 4)"),)))))
    with pytest.raises(ca.ShapeError, match="this encoder cannot be mirrored at 1x9: "):
        broken.check()


def test_a_step_without_layers_changes_nothing() -> None:
    decoder = ca.mirror(ca.parse_network("Flatten(); Linear(5, 3); ReLU(); Flatten()"), (5,))
    assert decoder.came_back == (None, (5,), None)
    assert decoder.exact
    assert [str(step.stage.layer) for step in decoder.mirrors.values()] == ["Linear(5, 3)"]
    assert decoder.report.checkerboards == ()
    assert (decoder.report.parameters, decoder.report.cost_of_even) == (3 * 5 + 5, 0)
