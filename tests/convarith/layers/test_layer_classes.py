"""What all layer classes have in common.

- A layer is built from keywords, cannot be changed afterwards, and is equal to another one with the same parameters.
- Its repr is its text, and a copy with a change differs in that alone.
- Numbers are checked at their limits, with a message that says what is allowed.
- A layer without a property says so: no weights, no matrix, no order.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

import convarith as ca
from convarith.layers.base import Layer, SpatialLayer, axis_names, kind_of
from convarith.layers.registry import KINDS, MODULES, build, class_of_kind, layer_class, resolve
from convarith.sizes.letters import Unknown

TEXTS = [
    "Conv2d(1, 8, 3)", "ConvTranspose2d(1, 8, 3)", "MaxPool2d(kernel_size=2)", "AvgPool2d(kernel_size=2)", "LPPool2d(2, kernel_size=3)",
    "FractionalMaxPool2d(kernel_size=2, output_size=4)", "AdaptiveAvgPool2d(output_size=3)", "AdaptiveMaxPool2d(output_size=3)", "MaxUnpool2d(kernel_size=2)",
    "Upsample(size=3)", "ZeroInsert2d(2)", "PixelShuffle(2)", "PixelUnshuffle(2)", "ZeroPad2d(1)", "Crop2d(1)",
    "Fold(output_size=4, kernel_size=2)", "Unfold(kernel_size=2)", "Linear(3, 4)", "Flatten()", "Unflatten(1, (2, 3))", "Permute((0, 2, 1))",
    "Narrow(0, 3)", "GLU()", "ReLU()", "Add()", "Multiply()", "Concat()", "MatchSize()",
]  # fmt: skip


def test_every_class_is_here() -> None:
    assert {type(ca.parse(text)).__name__ for text in TEXTS} == set(MODULES)
    assert {type(ca.parse(text)).kind for text in TEXTS} == set(KINDS)


@pytest.mark.parametrize("text", TEXTS)
def test_a_layer_is_a_value(text: str) -> None:
    layer, same = ca.parse(text), ca.parse(text)
    assert layer == same
    assert hash(layer) == hash(same)
    assert repr(layer) == str(layer) == text
    assert layer.changed() == layer
    for name in [field.name for field in fields(layer)] or ["anything"]:  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(layer, name, 1)
    if not text.startswith("ReLU"):
        with pytest.raises(TypeError):
            type(layer)(3, 3)  # type: ignore[call-arg]
    assert layer_class(type(layer).__name__) is class_of_kind(layer.kind) is type(layer)


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_layer_says_of_itself(text: str) -> None:
    layer = ca.parse(text)
    weighted = text.startswith(("Conv2d", "ConvT", "Linear"))
    assert (layer.parameter_count > 0) == weighted
    linear = ("Conv2d", "ConvT", "AvgPool", "ZeroInsert", "Unfold", "Upsample", "Crop")
    assert layer.has_matrix == text.startswith(linear)
    joins = text.startswith(("Add", "Multiply", "Concat"))
    assert layer.joins == joins
    assert layer.keeps_positions == (joins or text.startswith(("ReLU", "MatchSize")))
    assert layer.broadcasts == (not text.startswith(("MatchSize", "Concat")))
    assert layer.keeps_indices == text.startswith(("MaxPool", "AdaptiveMax", "Fractional"))
    assert layer.pads_only == text.startswith(("ZeroPad", "Crop"))
    assert layer.row_per_tap == text.startswith("Unfold")
    assert layer.hides_axes == text.startswith(("Fold", "Flatten"))
    assert layer.windows_follow_size == text.startswith("Adaptive")
    assert layer.needs_all_positions == text.startswith("Adaptive")
    assert layer.keeps_fields((0, 1, 2)) == text.startswith(("Linear", "Permute"))
    mixing = ("Linear", "Flatten", "Unflatten", "Permute", "Narrow", "GLU")
    assert layer.mixes_positions == text.startswith(mixing)
    combined = {
        "Max": "max",
        "AdaptiveMax": "max",
        "Fractional": "max",
        "Avg": "mean",
        "AdaptiveAvg": "mean",
        "LP": "norm",
    }
    expected = next((how for word, how in combined.items() if text.startswith(word)), "sum")
    assert layer.combines == ("sum" if text.startswith("MaxUnpool") else expected)
    assert (layer.weight_shape(2) is not None) == text.startswith(("Conv2d", "ConvT"))
    if isinstance(layer, SpatialLayer):
        assert all(share == 1 for share in (layer.constant_share(0), layer.constant_share(1)))


def test_names_of_axes_and_kinds() -> None:
    assert [axis_names(ndim) for ndim in (1, 2, 3)] == [("L",), ("H", "W"), ("D", "H", "W")]
    assert axis_names(4) == ("axis 0", "axis 1", "axis 2", "axis 3")
    assert [kind_of(name) for name in ("Conv", "LPPool", "GLU", "AdaptiveAvgPool")] == [
        "conv", "lp-pool", "glu", "adaptive-avg-pool",
    ]  # fmt: skip


LEAST = [
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "kernel_size", 1),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "stride", 1),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "padding", 0),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "dilation", 1),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "in_channels", 0),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "out_channels", 1),
    ("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, "groups", 1),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "kernel_size", 1),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "stride", 1),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "padding", 0),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "output_padding", 0),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "dilation", 1),
    ("ConvTranspose2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2}, "in_channels", 1),
    ("MaxPool2d", {"kernel_size": 3}, "kernel_size", 1), ("MaxPool2d", {"kernel_size": 3}, "stride", 1),
    ("MaxPool2d", {"kernel_size": 3}, "padding", 0), ("MaxPool2d", {"kernel_size": 3}, "dilation", 1),
    ("MaxUnpool2d", {"kernel_size": 3}, "kernel_size", 1), ("MaxUnpool2d", {"kernel_size": 3}, "stride", 1),
    ("FractionalMaxPool2d", {"kernel_size": 2, "output_size": 2}, "kernel_size", 1),
    ("Unfold", {"kernel_size": 2}, "kernel_size", 1), ("Unfold", {"kernel_size": 2}, "stride", 1),
    ("Unfold", {"kernel_size": 2}, "padding", 0), ("Unfold", {"kernel_size": 2}, "dilation", 1),
    ("ZeroInsert2d", {"stride": 2}, "stride", 1), ("PixelShuffle", {"upscale_factor": 2}, "upscale_factor", 1),
    ("PixelUnshuffle", {"downscale_factor": 2}, "downscale_factor", 1), ("Crop2d", {"crop": 1}, "crop", 0),
    ("Linear", {"in_features": 3, "out_features": 3}, "in_features", 0),
    ("Linear", {"in_features": 3, "out_features": 3}, "out_features", 0),
    ("Narrow", {"start": 1, "length": 2}, "start", 0), ("Narrow", {"start": 1, "length": 2}, "length", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "parameter", "least"), LEAST)
def test_a_number_has_its_smallest_value(name: str, arguments: dict[str, Any], parameter: str, least: int) -> None:
    found = getattr(build(name, arguments | {parameter: least}), parameter)
    assert found in (least, (least, least))
    with pytest.raises(ca.ParameterError, match=f"{parameter} is {least - 1}: it must be at least {least}"):
        build(name, arguments | {parameter: least - 1})


def test_targets_may_be_zero() -> None:
    assert ca.AdaptiveAvgPool(output_size=0).output_size((3, 3)) == (0, 0)
    assert ca.FractionalMaxPool(kernel_size=1, output_size=0).output_size((3, 3)) == (0, 0)
    assert ca.Upsample(size=0, mode="area").output_size((3, 3)) == (0, 0)
    makers: list[tuple[Any, dict[str, int]]] = [(ca.AdaptiveAvgPool, {}), (ca.FractionalMaxPool, {"kernel_size": 1})]
    for cls, more in makers:
        with pytest.raises(ca.ParameterError, match="is -1: it must be at least 0"):
            cls(output_size=-1, **more)
    with pytest.raises(ca.ParameterError, match="size is 0: it must be at least 1"):
        ca.Upsample(size=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Upsample((1, 2, 3, 4))", "Upsample takes 1 to 3 spatial axes, got 4 values"),
        ("Upsample(scale_factor=-1)", r"scale_factor is -1: it must be a positive number"),
        ("Upsample(scale_factor='2')", "scale_factor must be a number, got '2'"),
        ("Upsample(2, recompute_scale_factor=True)", "recompute_scale_factor has no meaning with a size"),
        ("Upsample(2, mode='area', align_corners=False)", "align_corners has no meaning for mode 'area'"),
        ("AvgPool2d(2, divisor_override=0)", "divisor_override is 0: it must not be 0"),
        ("LPPool2d(0, 2)", "norm_type must be a number other than 0, got 0"),
        ("FractionalMaxPool2d(2, output_ratio=1)", "output_ratio must be a number between 0 and 1, got 1"),
        ("FractionalMaxPool2d(2, output_size=3, output_ratio=0.5)", "exactly one of output_size and output_ratio"),
        ("Permute(3)", "dims must be a tuple of integers, got 3"),
        ("Permute((0, 0))", r"dims is \(0, 0\): it must name each axis from 0 to 1 once"),
        ("Permute((0, 2))", r"dims is \(0, 2\): it must name each axis from 0 to 1 once"),
        ("Permute((0, -3))", r"dims is \(0, -3\): it must name each axis from 0 to 1 once"),
        ("Unflatten(1, 3)", "unflattened_size must be a tuple of integers, got 3"),
        ("Unflatten(1, (2, -2))", "sizes must be at least 0, and one of them may be -1"),
        ("ReflectionPad2d('same')", "the padding of a padding layer must be numbers, got 'same'"),
        ("ConstantPad2d(1, 'x')", "value must be a number, got 'x'"),
        ("ConstantPad2d(1)", "ConstantPad needs a value"),
        ("ReflectionPad2d((1, 2))", "ReflectionPad2d takes 1 padding value or 4, got 2"),
        ("ZeroPad2d((1, 2, 3, 4, 5, 6))", "ZeroPad2d takes 1 padding value or 4, got 6"),
        ("Conv2d(1, 1, 3, bias=2)", "bias must be True or False, got 2"),
        ("ConvTranspose2d(1, 1, 3, padding_mode='circular')", "only supports padding_mode 'zeros', got 'circular'"),
        ("ConvTranspose2d(1, 1, 3, dilation=3, output_padding=3)", "so at most 2"),
        ("Conv2d(1, 1, (3,))", "kernel_size has 1 value"),
        ("Conv2d(1, 1, 3, stride=(1, 2), padding='same')", r"padding='same' needs stride 1, got \(1, 2\)"),
        ("MaxPool2d(3, padding=2)", "must be at most half the kernel size 3, so at most 1"),
        ("MaxPool2d(4, padding=3)", "must be at most half the kernel size 4, so at most 2"),
    ],
)
def test_what_no_layer_is_built_with(text: str, message: str) -> None:
    with pytest.raises(ca.ParseError, match=message):
        ca.parse(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Permute((0, -1, 1))", "Permute((0, 2, 1))"),
        ("Permute((0, -2, 2))", "Permute((0, 1, 2))"),
        ("ZeroPad2d((1, 2))", "ZeroPad2d((1, 2, 0, 0))"),
        ("ZeroPad2d((-1, -1, -1, -1))", "ZeroPad2d(-1)"),
        ("Upsample(2, scale_factor=0)", "Upsample(2)"),
        ("MaxPool2d(3, stride=())", "MaxPool2d(3)"),
        ("MaxPool2d(3, stride=None)", "MaxPool2d(3, 3)"),
        ("Conv2d(1, 1, 3, padding=(1,))", "Conv2d(1, 1, 3, padding=1)"),
        ("ConvTranspose2d(1, 1, 3, dilation=3, output_padding=2)",
         "ConvTranspose2d(1, 1, 3, dilation=(3, 3), output_padding=(2, 2))"),
        ("LazyConv3d(4, 3)", "Conv3d(None, 4, 3)"),
        ("LazyLinear(4)", "Linear(None, 4)"),
        ("LazyBatchNorm2d()", "BatchNorm2d(None)"),
        ("LazyInstanceNorm1d(0.1)", "InstanceNorm1d(None, eps=0.1)"),
        ("UpsamplingBilinear2d(scale_factor=2)", "Upsample(scale_factor=2, mode='bilinear', align_corners=True)"),
        ("ReplicationPad1d((1, 1))", "ReplicationPad1d(1)"),
        ("ZeroPad2d(1, 0)", "ZeroPad2d(1)"),
        ("LayerNorm([3, 4])", "LayerNorm((3, 4))"),
    ],
)  # fmt: skip
def test_two_texts_of_the_same_layer(text: str, same: str) -> None:
    assert ca.parse(text) == ca.parse(same)


@pytest.mark.parametrize(
    "name", ["Pad2d", "Pad", "Elementwise", "Elementwise2d", "Conv", "Conv2", "Conv0d", "Linear2d", "UpsamplingNearest1d",
             "UpsamplingBilinear3d", "FractionalMaxPool1d", "ZeroPad4d", "LazyMaxPool2d", "LazyReLU", "PixelShuffle2d"]
)  # fmt: skip
def test_names_that_torch_does_not_know(name: str) -> None:
    if name == "Conv":
        assert resolve(name)[:2] == ("Conv", None)
        return
    with pytest.raises(KeyError):
        resolve(name)
    with pytest.raises(ca.ParameterError, match=f"unknown layer '{name}'"):
        build(name, {})


def test_a_layer_of_one_input_takes_one() -> None:
    for text in ("ReLU()", "Conv2d(1, 8, 3)"):
        with pytest.raises(ca.ShapeError, match="takes one input, got 2"):
            ca.parse(text).output_shape((1, 8, 8), (1, 8, 8))


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("Conv2d(1, 8, 3)", (1, 2, 3, 4, 5), r"takes \(N, C, H, W\) or \(C, H, W\), got 5 sizes: 1x2x3x4x5"),
        ("Conv2d(1, 8, 3)", (3, 4), r"takes \(N, C, H, W\) or \(C, H, W\), got 2 sizes: 3x4"),
        ("Conv2d(2, 8, 3)", (1, 9, 9), r"expects 2 channels \(in_channels\), got 1"),
        ("Conv2d(None, 8, 3, groups=2)", (3, 9, 9), "got 3 channels, which is not divisible by groups=2"),
        ("Conv2d(out_channels=None, in_channels=1, kernel_size=3)", (1, 9, 9), "has no out_channels"),
        ("ConvTranspose2d(1, 1, 1, padding=1)", (1, 2, 2), r"H of 2x2: the output would be 0 \(i=2, k=1, s=1, p=1\)"),
        ("MaxUnpool2d(1, padding=1)", (1, 1, 3), r"H of 1x3: the output would be -1 \(i=1\): needs an input >= 2"),
        ("Fold((5, 6), (2, 3))", (1, 24, 15), "Fold to 5x6 needs 16 columns, got 15"),
        ("Fold((5, 6), (2, 3))", (1, 0, 16), "got 0 rows, which is not a positive multiple of the kernel's 6 taps"),
        ("Fold((5, 6), (2, 3))", (1, 1, 24, 16), r"takes \(N, C\*k\*k, columns\) or \(C\*k\*k, columns\), got 1x1x24x16"),
        ("PixelShuffle(2)", (1, 9, 3, 3), r"got 9 channels, which is not divisible by 2\^2 = 4: use 8 or 12"),
        ("PixelShuffle(2)", (3, 3, 3), r"not divisible by 2\^2 = 4: use 4$"),
        ("PixelShuffle(2)", (4, 3), r"takes \(\.\.\., C, H, W\), got 2 sizes: 4x3"),
        ("PixelUnshuffle(3)", (1, 7, 9), "H of 7x9: 7 is not divisible by 3: use 6 or 9"),
        ("LPPool3d(2, 3, ceil_mode=True)", (1, 2, 9, 9), "the kernel spans 3"),
        ("PReLU(2)", (3,), r"expects 2 channels \(num_parameters\), got 1$"),
        ("GLU()", (2, 3), "GLU halves dim 1 of 2x3, but 3 is odd"),
        ("Narrow(3, 2)", (1, 4), "Narrow reads channels 3 to 4, but the input has 4 channels"),
        ("Narrow(3, 1)", (1, 3), "Narrow reads channel 3, but the input has 3 channels"),
        ("Narrow(3, 1)", (4,), r"Narrow takes \(N, C, \.\.\.\), got 4"),
        ("Permute((0, 2, 1))", (1, 2), "Permute reorders 3 axes, got 2: 1x2"),
        ("Unflatten(1, (2, -1))", (1, 3), "the size 3 is not divisible by 2"),
        ("Unflatten(1, (2, 2))", (1, 3), "needs a size of 4, got 3"),
        ("Unflatten(1, (0, -1))", (1, 3), "the size 3 is not divisible by 0"),
        ("Flatten(2, 1)", (1, 2, 3), "start_dim 2 comes after end_dim 1 in 1x2x3"),
        ("Flatten(3)", (1, 2, 3), "start_dim is 3, but the input has 3 axes: choose from -3 to 2"),
        ("Linear(4, 5)", (), "Linear takes .*, got a shape with no axes"),
        ("Linear(4, 5)", (2, 2), "expects 4 features in the last axis, got 2: 2x2 flattens to 4"),
        ("Linear(4, 5)", (2, 3), "expects 4 features in the last axis, got 3$"),
        ("Upsample(scale_factor=2)", (1, 2), "always with a batch, got 1x2"),
        ("Upsample(scale_factor=2, mode='bilinear')", (1, 2, 3), r"takes \(N, C, H, W\), always with a batch"),
        ("Upsample(scale_factor=2)", (1, 2, 3, 3, 3, 3), "always with a batch, got 1x2x3x3x3x3"),
        ("Unfold(1, padding=1)", (1, 0, 5), "the input is 0: it must be at least 1"),
        ("ReflectionPad2d(3)", (1, 3, 9), "reflection padding must be smaller than the input, needs an input >= 4"),
        ("CircularPad2d(4)", (1, 3, 9), "circular padding must not be larger than the input, needs an input >= 4"),
        ("ZeroPad2d(-2)", (1, 3, 9), r"the input is 3 with padding \(-2, -2\): needs an input >= 4"),
        ("AvgPool3d(3, padding=1)", (1, 2, 9, 9), "in 3-D it must be at least the kernel size 3, without the padding"),
        ("FractionalMaxPool2d(3, output_size=4)", (1, 5, 9), "windows of size 3 do not fit an input of 5 .*>= 6"),
        ("Conv2d(1, 1, 3, padding_mode='reflect', padding=3)", (1, 3, 9),
         "needs padding less than the input size, got padding 3 for an input of 3: needs an input >= 4"),
        ("Conv2d(1, 1, 3, padding_mode='circular', padding=4)", (1, 3, 9),
         "needs padding at most the input size, got padding 4 for an input of 3: needs an input >= 4"),
        ("Conv2d(1, 1, 5)", (1, 4, 9), "the kernel spans 5 .k=5. but the padded input is 4: needs an input >= 5, "
         "padding >= 1 or kernel_size <= 4"),
        ("Conv2d(1, 1, 3, dilation=4)", (1, 6, 9), r"spans 9 \(k=3, d=4\) but the padded input is 6: needs an input >= 9, "
         "padding >= 2 or dilation <= 2"),
        ("MaxPool2d(7)", (1, 4, 9), "needs an input >= 7, padding >= 2 or kernel_size <= 4"),
        ("MaxPool2d(3)", (1, 1, 9), "needs an input >= 3, padding >= 1 or kernel_size <= 1"),
        ("MaxPool2d(4, dilation=3)", (1, 1, 9), "needs an input >= 10 or kernel_size <= 1"),
        ("Crop2d((2, 3))", (1, 4, 9), "a crop of 4 leaves nothing of 4 positions: needs an input >= 5"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_would_work(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ca.ShapeError, match=message):
        ca.parse(text).output_shape(shape)


def test_an_open_dimension_needs_a_batch() -> None:
    with pytest.raises(ca.ShapeError, match=r"Conv takes \(N, C, \*spatial\), got 1x2; set ndim to allow"):
        ca.Conv(kernel_size=1).output_shape((1, 2))
    assert ca.MaxPool(kernel_size=2).output_shape((1, 2, 8)) == (1, 2, 4)
    assert ca.MaxPool(kernel_size=2).output_shape((1, 2, 8, 9)) == (1, 2, 4, 4)


def test_a_layer_without_an_open_shape_gives_unknown_sizes() -> None:
    shape = Layer().open_shape([(1, 2, 3)], None)  # type: ignore[arg-type]
    assert len(shape) == 3
    assert all(isinstance(size, Unknown) for size in shape)


@pytest.mark.parametrize(
    ("layer", "input_size", "asked", "reach"),
    [
        (ca.ConvTranspose(kernel_size=3, stride=2, padding=1), 14, range(27, 29), "27 to 28"),
        (ca.ConvTranspose(kernel_size=1, stride=3, padding=1), 1, range(1, 2), "1 to 1"),
        (ca.ConvTranspose(kernel_size=3, stride=3, output_padding=1), 4, range(12, 15), "12 to 14"),
        (ca.MaxUnpool(kernel_size=2), 4, range(7, 10), "7 to 9"),
        (ca.MaxUnpool(kernel_size=2, stride=4), 1, range(6), "0 to 5"),
        (ca.MaxUnpool(kernel_size=3, padding=1), 3, range(5, 10), "5 to 9"),
    ],
)
def test_the_output_size_may_be_asked_for(
    layer: ca.ConvTranspose | ca.MaxUnpool, input_size: int, asked: range, reach: str
) -> None:
    for size in range(asked.start - 3, asked.stop + 3):
        if size in asked:
            assert layer.output_size((input_size,), output_size=(size,)) == (size,)
        elif size >= 0:
            with pytest.raises(ca.ShapeError, match=f"output_size {size} is out of range: choose a size from {reach}"):
                layer.output_size((input_size,), output_size=(size,))
    with pytest.raises(ca.ShapeError, match="out of range"):
        layer.output_size((0,), output_size=(asked.start,))
    with pytest.raises(ca.ShapeError, match="output_size 3x3 has 2 sizes, but the input has 1"):
        layer.output_size((5,), output_size=(3, 3))
