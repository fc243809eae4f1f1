"""Parsing text to a layer, and writing a layer as text.

- parse(str(layer)) is equal to the layer, for every kind of layer, with or without a dimension.
- parse(repr(module)) is equal to from_module(module), except for what torch's repr omits, which is listed here.
- Positional arguments have torch's order, and omitted ones have torch's defaults.
- The forms that torch printed in its first versions are accepted, with an optional prefix nn. or torch.nn.
- An error message gives the line, the column and the remedy.
- Nothing in the text is executed.
- Any text gives a layer or a ParseError.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.strategies import (
    Call,
    any_text,
    calls,
    damaged_text,
    layers,
    odd_calls,
    open_layers,
    token_text,
    torch_calls,
)

import convarith as ca
from convarith.layers.base import Layer
from convarith.layers.registry import all_names, build, resolve

pytestmark = pytest.mark.slow

LEFT_OUT = {
    "MaxPool": {"return_indices"},
    "AdaptiveMaxPool": {"return_indices"},
    "AvgPool": {"ceil_mode", "count_include_pad", "divisor_override"},
    "Upsample": {"align_corners", "recompute_scale_factor"},
    "FractionalMaxPool": {"kernel_size", "output_size", "output_ratio", "return_indices"},
    "PReLU": {"init"},
}
"""What torch's repr of a module omits, by the beginning of the class name."""


def left_out(name: str) -> set[str]:
    return next((words for stem, words in LEFT_OUT.items() if name.startswith(stem)), set())


def told_by_repr(call: Call) -> dict[str, Any]:
    return {word: value for word, value in call.arguments.items() if word not in left_out(call.name)}


# Round trips ---------------------------------------------------------------------------------------------------------


@settings(max_examples=400)
@given(layers)
def test_text_of_a_layer_parses_to_the_layer(layer: Layer) -> None:
    assert ca.parse(str(layer)) == layer
    assert hash(ca.parse(str(layer))) == hash(layer)


@given(open_layers())
def test_text_of_a_layer_without_dimension_parses_to_the_layer(call: Call) -> None:
    assert call.layer.ndim is None
    assert ca.parse(str(call.layer)) == call.layer


@given(calls)
def test_a_call_parses_to_the_layer_it_builds(call: Call) -> None:
    assert ca.parse(str(call)) == call.layer
    assert ca.parse(f"nn.{call}") == call.layer
    assert ca.parse(f"  torch.nn.{call}\n") == call.layer


@settings(max_examples=300)
@given(torch_calls.filter(lambda call: not call.name.startswith("FractionalMaxPool")))
def test_repr_of_a_module_parses_to_its_layer(torch: ModuleType, call: Call) -> None:
    told = Call(call.name, told_by_repr(call))
    module = getattr(torch.nn, told.name)(**told.arguments)
    assert ca.parse(repr(module)) == ca.pytorch.from_module(module)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MaxPool2d(2)", "MaxPool2d(2, return_indices=True)"),
        ("AdaptiveMaxPool2d(2)", "AdaptiveMaxPool2d(2, return_indices=True)"),
        ("AvgPool2d(2)", "AvgPool2d(2, ceil_mode=True)"),
        ("AvgPool2d(2)", "AvgPool2d(2, count_include_pad=False)"),
        ("AvgPool2d(2)", "AvgPool2d(2, divisor_override=3)"),
        ("Upsample(size=4, mode='bilinear')", "Upsample(size=4, mode='bilinear', align_corners=True)"),
        ("Upsample(scale_factor=2.0)", "Upsample(scale_factor=2.0, recompute_scale_factor=True)"),
        ("FractionalMaxPool2d(2, output_size=4)", "FractionalMaxPool2d(3, output_ratio=0.5)"),
        ("PReLU(2)", "PReLU(2, init=0.5)"),
    ],
)
def test_the_listed_parameters_are_missing_in_the_repr(torch: ModuleType, one: str, other: str) -> None:
    names = vars(torch.nn)
    assert repr(eval(one, names)) == repr(eval(other, names))
    assert ca.parse(one) != ca.parse(other)


# Order and defaults as in torch --------------------------------------------------------------------------------------

NEEDED = {
    "in_channels": 4, "out_channels": 4, "kernel_size": 2, "output_size": 3, "padding": 1, "value": 1.5,
    "norm_type": 2, "upscale_factor": 2, "downscale_factor": 2, "in_features": 3, "out_features": 3, "dim": 1,
    "unflattened_size": (2, 2), "num_features": 4, "num_groups": 2, "num_channels": 4, "normalized_shape": (3,),
    "size": 3, "groups": 2, "threshold": 0.5,
}  # fmt: skip
"""A value for each parameter without a default."""

NOT_READ = {"self", "device", "dtype", "_random_samples", "process_group", "min_value", "max_value"}
"""Parameters of torch that do not affect the layer."""


def signature_of(torch: ModuleType, name: str) -> dict[str, inspect.Parameter]:
    found = inspect.signature(getattr(torch.nn, name).__init__).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name: each for each in found if each.name not in NOT_READ and each.kind in named}


def test_positional_order_is_that_of_torch(torch: ModuleType) -> None:
    compared = 0
    for name in all_names():
        if hasattr(torch.nn, name):
            theirs, ours = list(signature_of(torch, name)), resolve(name)[3]
            assert [word for word in ours if word in theirs] == theirs, name
            compared += 1
    assert compared > 80


def test_defaults_are_those_of_torch(torch: ModuleType) -> None:
    compared = 0
    for name in all_names():
        if not hasattr(torch.nn, name):
            continue
        parameters = signature_of(torch, name)
        needed = {
            word: NEEDED[word]
            for word, each in parameters.items()
            if each.default is each.empty
            or (name, word) in (("Upsample", "size"), ("FractionalMaxPool2d", "output_size"))
            or (name, word) == ("FractionalMaxPool3d", "output_size")
        }
        for word, each in parameters.items():
            if word not in needed:
                assert build(name, needed) == build(name, needed | {word: each.default}), f"{name}, {word}"
                compared += 1
    assert compared > 150


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Conv2d(1, 16, 3, 2)", "Conv2d(1, 16, 3, stride=2)"),
        ("Conv2d(4, 16, 3, 2, 1, 2, 4, False, 'reflect')",
         "Conv2d(4, 16, 3, stride=2, padding=1, dilation=2, groups=4, bias=False, padding_mode='reflect')"),
        ("ConvTranspose2d(4, 16, 3, 2, 1, 1, 4, False, 3)",
         "ConvTranspose2d(4, 16, 3, stride=2, padding=1, output_padding=1, groups=4, bias=False, dilation=3)"),
        ("MaxPool2d(3, 2, 1, 2, False, True)", "MaxPool2d(3, stride=2, padding=1, dilation=2, ceil_mode=True)"),
        ("AvgPool2d(3, 2, 1, True, False)",
         "AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)"),
        ("ReLU(True)", "ReLU(inplace=True)"),
        ("LeakyReLU(0.2, True)", "LeakyReLU(negative_slope=0.2, inplace=True)"),
        ("UpsamplingNearest2d(None, 2)", "Upsample(scale_factor=2)"),
        ("UpsamplingBilinear2d(7)", "Upsample(size=7, mode='bilinear', align_corners=True)"),
        ("LazyConv2d(16, 3)", "Conv2d(out_channels=16, kernel_size=3)"),
    ],
)  # fmt: skip
def test_positional_arguments(text: str, expected: str) -> None:
    assert ca.parse(text) == ca.parse(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ReLU (inplace)", "ReLU(inplace=True)"),
        ("ReLU ()", "ReLU()"),
        ("Linear (784 -> 5)", "Linear(784, 5)"),
        ("Linear(784 -> 5)", "Linear(784, 5)"),
        ("Linear ( 784 -> 5 )", "Linear(784, 5)"),
        ("LeakyReLU (0.2, inplace)", "LeakyReLU(0.2, inplace=True)"),
        ("ReLU6 (inplace)", "ReLU6(inplace=True)"),
        ("ELU (alpha=1.0, inplace)", "ELU(1.0, inplace=True)"),
        ("ZeroPad2d(padding=(1, 1, 1, 1), value=0.0)", "ZeroPad2d(1)"),
        ("SyncBatchNorm(8, 1e-05, 0.1, True, True, None)", "SyncBatchNorm(8)"),
        ("Conv2d(1, 2, 3, bias=None)", "Conv2d(1, 2, 3, bias=False)"),
        ("Dropout (p = 0.5)", "Dropout()"),
        ("Dropout (p = 0.25)", "Dropout(0.25)"),
        ("MaxPool2d (size=(2, 2), stride=(2, 2), dilation=(1, 1))", "MaxPool2d(2)"),
        ("MaxPool2d (size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1))", "MaxPool2d(3, 2, 1)"),
        ("AvgPool2d (size=7, stride=7, padding=0, ceil_mode=False, count_include_pad=True)", "AvgPool2d(7)"),
        ("Conv2d(1, 32, kernel_size=(5, 5), stride=(1, 1))", "Conv2d(1, 32, 5)"),
        ("Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)",
         "Conv2d(3, 64, 7, stride=2, padding=3, bias=False)"),
        ("Conv2d(1, 1, kernel_size=(4, 4), stride=(1, 1), padding=same)", "Conv2d(1, 1, 4, padding='same')"),
        ("BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True)", "BatchNorm2d(64)"),
        ("Upsample(scale_factor=2, mode=nearest)", "Upsample(scale_factor=2)"),
        ("Upsample(scale_factor=2.0, mode=bilinear)", "Upsample(scale_factor=2, mode='bilinear')"),
        ("AdaptiveAvgPool2d(output_size=(1, 1))", "AdaptiveAvgPool2d(1)"),
        ("Unflatten(dim=1, unflattened_size=torch.Size([64, 7, 7]))", "Unflatten(1, (64, 7, 7))"),
        ("ConstantPad2d(padding=(1, 2, 3, 4), value=1.5)", "ConstantPad2d((1, 2, 3, 4), 1.5)"),
        ("nn.Linear(28*28, 128)", "Linear(784, 128)"),
        ("torch.nn.Sigmoid()", "Sigmoid()"),
        ("nn.ReLU", "ReLU()"),
        ("Conv2d(1, 16, 3, device='cuda', dtype=None)", "Conv2d(1, 16, 3)"),
    ],
)  # fmt: skip
def test_printed_and_older_forms(text: str, expected: str) -> None:
    assert ca.parse(text) == ca.parse(expected)


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("Conv2d(1, 16, 3, strid=2)", 1, 18, "Conv2d has no parameter 'strid': did you mean 'stride'\\?"),
        ("Conv2d(1, 16,\n       3,\n       strid=2)", 3, 8, "Conv2d has no parameter 'strid'"),
        ("Conv2d(1, 16, x)", 1, 15, "expected a number, a string or a tuple: other values are not supported"),
        ("Conv2d(1, 16, 3, stride=(2, y))", 1, 29, "expected a number, a string or a tuple"),
        ("  Conv2d(1, x, 3)", 1, 13, "expected a number, a string or a tuple"),
        ("\n\n  Conv2d(1, x, 3)", 3, 13, "expected a number, a string or a tuple"),
        ("\n  Conv2d(1,\n x, 3)", 3, 2, "expected a number, a string or a tuple"),
        ("Conv2d('é∗', x, 3)", 1, 14, "expected a number, a string or a tuple"),
        ("\n Conv2d(1,,2)", 2, 11, "is not a layer: write a call such as"),
        ("Conv2d(1, 1, 3j)", 1, 14, "expected a number"),
        ("Conv2d(1, 1, b'3')", 1, 14, "expected a number"),
        ("Conv2d(1, 1, *[3])", 1, 14, "expected a number"),
        ("Conv2d(1,,2)", 1, 10, r"'Conv2d\(1,,2\)' is not a layer: write a call such as Conv2d\(1, 16, 3\)"),
        ("Conv2d(1, 16, 3", 1, 7, "is not a layer: write a call such as"),
        ("Linear (784 -> five)", 1, 13, "is not a layer: write a call such as"),
        ("Conv2d(1, 1, 3, 3, 3, 3, 3, 3, 3, 3)", 1, 35, "Conv2d takes at most 9 arguments, got 10"),
        ("Conv2d(1, 1, 3, kernel_size=3)", 1, 17, "Conv2d got kernel_size twice"),
        ("ReLU(inplace, inplace=True)", 1, 6, "expected a number, a string or a tuple"),
        ("Conv2d(1, 1, **{})", 1, 16, r"\*\* is not supported: write the arguments out"),
        ("foo.Conv2d(1, 1, 3)", 1, 1, "expected the name of a layer, such as Conv2d, nn.Conv2d or torch.nn.Conv2d"),
        ("Conv2d(1, 1, 3)(x)", 1, 1, "expected the name of a layer, such as Conv2d"),
        ("3", 1, 1, "'3' is not a layer"),
        ("", 1, 1, "'' is not a layer"),
        ("x = 3", 1, 3, "'x = 3' is not a layer"),
        ("[Conv2d(1, 1, 3)]", 1, 1, "is not a layer"),
        ("Cnov2d(1, 1, 3)", 1, 1, "unknown layer 'Cnov2d': did you mean 'Conv2d'\\?"),
        ("conv2d(1, 1, 3)", 1, 1, "unknown layer 'conv2d': did you mean 'Conv2d'\\?"),
        ("Conv4d(1, 1, 3)", 1, 1, "unknown layer 'Conv4d'"),
        ("PixelShuffle2d(2)", 1, 1, "unknown layer 'PixelShuffle2d': did you mean 'PixelShuffle'\\?"),
        ("Conv2d(1, 1, 0)", 1, 1, "kernel_size is 0: it must be at least 1"),
        ("Conv2d(1, 1, 'a')", 1, 1, "kernel_size must be an integer, got 'a'"),
        ("Conv2d(1, 1, 3.0)", 1, 1, r"kernel_size must be an integer, got 3\.0"),
        ("Conv2d(1, 1, (3, 3, 3))", 1, 1, r"kernel_size has 3 values \(3, 3, 3\) but Conv2d has 2 spatial axes"),
        ("Conv2d(3, 4, 3, groups=2)", 1, 1, "in_channels is 3, which is not divisible by groups=2"),
        ("Conv2d(1, 1, 3, padding='sme')", 1, 1, "padding 'sme' is unknown: did you mean 'same'\\?"),
        ("Conv2d(1, 1, 3, stride=2, padding='same')", 1, 1, "padding='same' needs stride 1"),
        ("Conv2d(1, 1, 3, padding_mode='mirror')", 1, 1, "padding_mode 'mirror' is unknown"),
        ("ConvTranspose2d(1, 1, 3, stride=2, output_padding=2)", 1, 1,
         r"output_padding is 2: it must be less than the stride \(2\) or the dilation \(1\), so at most 1"),
        ("ConvTranspose2d(1, 1, 3, padding='same')", 1, 1, "the padding of a transposed convolution must be a number, got 'same'"),
        ("MaxPool2d(3, padding=2)", 1, 1, "padding is 2: it must be at most half the kernel"),
        ("MaxPool2d()", 1, 1, "MaxPool2d needs kernel_size"),
        ("Linear()", 1, 1, "Linear needs out_features"),
        ("BatchNorm2d()", 1, 1, "BatchNorm2d needs num_features"),
        ("GroupNorm(3, 4)", 1, 1, "num_channels 4 is not divisible by num_groups 3"),
        ("Dropout(1.5)", 1, 1, r"p is 1\.5: a dropout probability must be between 0 and 1"),
        ("Upsample()", 1, 1, "Upsample needs exactly one of size and scale_factor"),
        ("Upsample(2, mode='cubic')", 1, 1, "mode 'cubic' is unknown: did you mean 'bicubic'\\?"),
        ("AdaptiveAvgPool1d(None)", 1, 1, "AdaptiveAvgPool1d needs an integer as output_size"),
        ("AvgPool1d(2, divisor_override=3)", 1, 1, "AvgPool1d has no divisor_override"),
        ("ZeroPad2d((1, 2, 3))", 1, 1, r"ZeroPad2d takes 1 padding value or 4, got 3: \(1, 2, 3\)"),
        ("Unflatten(1, (2, -1, -1))", 1, 1, "one of them may be -1"),
        ("ZeroPad2d(1, value=2)", 1, 1, "ZeroPad pads with 0, got value 2: use ConstantPad"),
        ("FractionalMaxPool2d()", 1, 1, "FractionalMaxPool2d needs kernel_size"),
    ],
)  # fmt: skip
def test_an_error_names_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ca.ParseError, match=rf"^line {line}, column {column}: .*{message}") as caught:
        ca.parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value) == f"line {line}, column {column}: {caught.value.message}"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Conv2d({}, 1, 3)",
        "Conv2d(1, 1, kernel_size={})",
        "Conv2d(1, 1, ({},))",
        "Conv2d(1, 1, [{} for _ in (1,)])",
        "Conv2d(1, 1, (lambda: {})())",
        "Conv2d(1, 1, f'{{{}}}')",
        "Conv2d(1, 1, {} or 3)",
        "Conv2d(1, 1, (x := {}))",
        "Conv2d(1, 1, {{1: {}}})",
        "Conv2d(1, 1, -{})",
        "Conv2d(1, 1, 2 * {})",
        "Conv2d(1, 1, torch.Size({}))",
        "Identity({})",
        "(Conv2d if {} else ReLU)()",
        "ReLU()[{}]",
    ],
)
def test_nothing_is_executed(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "trace"
    action = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    source = text.format(action)
    with suppress(ca.ParseError):
        ca.parse(source)
    assert not trace.exists()
    eval(action)
    assert trace.exists()


# Any text ------------------------------------------------------------------------------------------------------------


def parse_or_refuse(text: str) -> Layer | None:
    try:
        layer = ca.parse(text)
    except ca.ParseError as error:
        refusal = error
    else:
        assert isinstance(layer, Layer)
        return layer
    assert refusal.line >= 1
    assert refusal.column >= 1
    assert "\n" not in str(refusal)
    return None


@settings(max_examples=300)
@given(st.one_of(any_text, token_text))
@example("")
@example("\x00")
@example("\ud800")
@example("ReLU(\x00)")
@example("'\ud800'")
@example("\ufeffReLU()")
@example("ReLU()\\")
@example("\u2028ReLU()")
def test_any_text_is_a_layer_or_a_parse_error(text: str) -> None:
    layer = parse_or_refuse(text)
    assert layer is None or ca.parse(str(layer)) == layer


@settings(max_examples=300)
@given(damaged_text().filter(lambda text: "Hardtanh" not in text))
def test_damaged_text_is_a_layer_or_a_parse_error(text: str) -> None:
    layer = parse_or_refuse(text)
    assert layer is None or ca.parse(str(layer)) == layer


@settings(max_examples=300)
@given(odd_calls([name for name in all_names() if name != "Hardtanh"]))
def test_odd_values_are_accepted_or_a_parse_error(text: str) -> None:
    layer = parse_or_refuse(text)
    assert layer is None or ca.parse(str(layer)) == layer


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "Conv2d(1, 1, " + "(" * 50_000 + "3" + ")" * 50_000 + ")",
        "Conv2d(1, 1, " + "-" * 100_000 + "3)",
        "Conv2d(1, 1, " + "[" * 90 + "]" * 90 + ")",
        "a." * 50_000 + "Conv2d(1, 1, 3)",
        "Conv2d" + "()" * 50_000,
        "Conv2d(1, 1, " + " * ".join(["1"] * 50_000) + ")",
        "Conv2d(1, 1, " + "9" * 5_000 + ")",
        "Conv2d(1, 1, 1e999)",
        "Conv2d(1, 1, " + "3, " * 100_000 + ")",
        "x" * 1_000_000,
        "Conv2d(" + " " * 1_000_000 + "1, 1, 3, oops)",
        "Conv2d(1, 1, '" + "y" * 1_000_000 + "')",
        "\n" * 1_000_000,
        "Linear (" + "1" * 100_000 + " -> ",
        "ReLU()" + "\x00" * 1000,
    ],
    ids=lambda text: f"{text[:20]!r}... of {len(text)}",
)
def test_huge_text_is_a_parse_error(text: str) -> None:
    with pytest.raises(ca.ParseError):
        ca.parse(text)


def test_an_error_shortens_a_long_text() -> None:
    with pytest.raises(ca.ParseError, match="is not a layer") as caught:
        ca.parse("(" * 1_000_000)
    assert len(str(caught.value)) < 200


@given(st.integers(1, 10**4000))
def test_huge_integers_are_exact(number: int) -> None:
    linear = ca.parse(f"Linear({number}, {number})")
    assert linear.output_shape((number,)) == (number,)
    assert ca.parse(str(linear)) == linear
