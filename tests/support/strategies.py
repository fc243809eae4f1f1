"""All hypothesis strategies of the tests: layers of each kind by their calls, sizes, and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from convarith.layers.base import Layer
from convarith.layers.registry import build
from convarith.sizes.rules import FloorRule

Strategy = st.SearchStrategy
Numbers = int | tuple[int, ...]


class Call(NamedTuple):
    """A layer as a call: torch's name, with or without its dimension, and named arguments."""

    name: str
    arguments: dict[str, Any]

    @property
    def layer(self) -> Layer:
        return build(self.name, self.arguments)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


class Window(NamedTuple):
    """The numbers of a sliding window along one axis."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int


# Sizes ---------------------------------------------------------------------------------------------------------------

sizes = st.integers(1, 40)
huge_sizes = st.integers(10**18, 10**18 + 1000)


def per_axis(ndim: int, low: int, high: int) -> Strategy[Numbers]:
    """One number, or one number per axis."""
    number = st.integers(low, high)
    return st.one_of(number, st.tuples(*(number,) * ndim))


def at(value: Any, axis: int) -> Any:
    """The value of a parameter along one axis."""
    return value[axis] if isinstance(value, tuple) else value


@st.composite
def windows(draw: st.DrawFn, asymmetric: bool = True) -> Window:
    """Any window, with symmetric or asymmetric padding."""
    before = draw(st.integers(0, 4))
    after = draw(st.integers(0, 4)) if asymmetric else before
    return Window(draw(st.integers(1, 6)), draw(st.integers(1, 5)), before, after, draw(st.integers(1, 3)))


floor_rules = st.builds(
    FloorRule,
    rise=st.integers(0, 4), shift=st.integers(-12, 12), step=st.integers(1, 5), offset=st.integers(-6, 6),
    minimum=st.integers(0, 12), maximum=st.one_of(st.none(), st.integers(0, 50)), multiple_of=st.integers(1, 4),
)  # fmt: skip
"""Size rules of one axis, including ones that no existing layer has."""


# Layers by their calls -----------------------------------------------------------------------------------------------


def _some(draw: st.DrawFn, **choices: Strategy[Any]) -> dict[str, Any]:
    """A random subset of the parameters; the others keep their defaults."""
    return {name: draw(strategy) for name, strategy in choices.items() if draw(st.booleans())}


def _channels(draw: st.DrawFn) -> dict[str, int]:
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels = {"in_channels": groups * draw(st.integers(1, 2)), "out_channels": groups * draw(st.integers(1, 2))}
    return channels | ({"groups": groups} if groups > 1 else {})


@st.composite
def convs(draw: st.DrawFn, ndim: int) -> Call:
    arguments: dict[str, Any] = _channels(draw) | {"kernel_size": draw(per_axis(ndim, 1, 4))}
    arguments |= _some(draw, dilation=per_axis(ndim, 1, 3), bias=st.booleans())
    if draw(st.integers(0, 3)) == 0:
        arguments["padding"] = draw(st.sampled_from(("same", "valid")))
    else:
        arguments |= _some(draw, stride=per_axis(ndim, 1, 4), padding=per_axis(ndim, 0, 3))
    arguments |= _some(draw, padding_mode=st.sampled_from(("zeros", "reflect", "replicate", "circular")))
    return Call(f"Conv{ndim}d", arguments)


@st.composite
def conv_transposes(draw: st.DrawFn, ndim: int) -> Call:
    stride, dilation = draw(per_axis(ndim, 1, 4)), draw(per_axis(ndim, 1, 4))
    extra = tuple(draw(st.integers(0, max(at(stride, axis), at(dilation, axis)) - 1)) for axis in range(ndim))
    arguments: dict[str, Any] = _channels(draw) | {
        "kernel_size": draw(per_axis(ndim, 1, 4)), "stride": stride, "output_padding": extra, "dilation": dilation,
    }  # fmt: skip
    return Call(f"ConvTranspose{ndim}d", arguments | _some(draw, padding=per_axis(ndim, 0, 3), bias=st.booleans()))


def _half(draw: st.DrawFn, kernel: Numbers, ndim: int) -> Numbers:
    """Padding of at most half the kernel size, as pools require."""
    return tuple(draw(st.integers(0, at(kernel, axis) // 2)) for axis in range(ndim))


@st.composite
def max_pools(draw: st.DrawFn, ndim: int) -> Call:
    kernel = draw(per_axis(ndim, 1, 5))
    arguments = {"kernel_size": kernel, "padding": _half(draw, kernel, ndim)}
    options = _some(draw, stride=per_axis(ndim, 1, 4), dilation=per_axis(ndim, 1, 3), ceil_mode=st.booleans())
    return Call(f"MaxPool{ndim}d", arguments | options | _some(draw, return_indices=st.booleans()))


@st.composite
def avg_pools(draw: st.DrawFn, ndim: int) -> Call:
    kernel = draw(per_axis(ndim, 1, 5))
    arguments = {"kernel_size": kernel, "padding": _half(draw, kernel, ndim)}
    options = {"stride": per_axis(ndim, 1, 4), "ceil_mode": st.booleans(), "count_include_pad": st.booleans()}
    if ndim > 1:
        options["divisor_override"] = st.integers(1, 4)
    return Call(f"AvgPool{ndim}d", arguments | _some(draw, **options))


@st.composite
def lp_pools(draw: st.DrawFn, ndim: int) -> Call:
    window = st.integers(1, 5) if ndim == 1 else per_axis(ndim, 1, 5)  # torch accepts a 1-D kernel only as a number
    arguments = {"norm_type": draw(st.sampled_from((1, 2, 2.5))), "kernel_size": draw(window)}
    return Call(f"LPPool{ndim}d", arguments | _some(draw, stride=window, ceil_mode=st.booleans()))


@st.composite
def max_unpools(draw: st.DrawFn, ndim: int) -> Call:
    arguments = {"kernel_size": draw(per_axis(ndim, 1, 4))}
    return Call(f"MaxUnpool{ndim}d", arguments | _some(draw, stride=per_axis(ndim, 1, 4), padding=per_axis(ndim, 0, 2)))


@st.composite
def fractional_pools(draw: st.DrawFn, ndim: int) -> Call:
    arguments: dict[str, Any] = {"kernel_size": draw(per_axis(ndim, 1, 4))}
    if draw(st.booleans()):
        arguments["output_size"] = draw(per_axis(ndim, 1, 6))
    else:
        ratio = st.sampled_from((0.1, 0.29, 0.5, 0.57, 0.7, 0.999))
        arguments["output_ratio"] = draw(st.one_of(ratio, st.tuples(*(ratio,) * ndim)))
    return Call(f"FractionalMaxPool{ndim}d", arguments | _some(draw, return_indices=st.booleans()))


@st.composite
def adaptive_pools(draw: st.DrawFn, ndim: int) -> Call:
    name = draw(st.sampled_from(("AdaptiveAvgPool", "AdaptiveMaxPool")))
    target: Any = draw(per_axis(ndim, 1, 9))
    if ndim > 1 and draw(st.booleans()):
        target = (None, *(at(target, axis) for axis in range(1, ndim)))
    arguments = {"output_size": target}
    if name == "AdaptiveMaxPool":
        arguments |= _some(draw, return_indices=st.booleans())
    return Call(f"{name}{ndim}d", arguments)


@st.composite
def pads(draw: st.DrawFn, ndim: int) -> Call:
    stem = draw(st.sampled_from(("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad")))
    side = st.integers(-2, 4)
    padding = draw(st.one_of(side, st.tuples(*(side,) * (2 * ndim))))
    return Call(f"{stem}{ndim}d", {"padding": padding} | ({"value": 1.5} if stem == "ConstantPad" else {}))


@st.composite
def upsamples(draw: st.DrawFn) -> Call:
    ndim, mode = draw(st.sampled_from((
        (1, "linear"), (2, "bilinear"), (2, "bicubic"), (3, "trilinear"),
        (1, "nearest"), (2, "nearest"), (3, "nearest"), (2, "nearest-exact"), (2, "area"),
    )))  # fmt: skip
    arguments: dict[str, Any] = {"mode": mode} if mode != "nearest" or draw(st.booleans()) else {}
    if draw(st.booleans()):
        arguments["size"] = draw(per_axis(ndim, 1, 12))
    else:
        factor = st.sampled_from((0.29, 0.5, 0.57, 1.5, 1.9999, 2, 2.0, 2.5, 3))
        arguments["scale_factor"] = draw(st.one_of(factor, st.tuples(*(factor,) * ndim)))
    if "linear" in mode or mode == "bicubic":
        arguments |= _some(draw, align_corners=st.booleans())
    return Call("Upsample", arguments)


@st.composite
def zero_inserts(draw: st.DrawFn, ndim: int) -> Call:
    return Call(f"ZeroInsert{ndim}d", {"stride": draw(per_axis(ndim, 1, 4))})


@st.composite
def pixel_layers(draw: st.DrawFn) -> Call:
    name, parameter = draw(
        st.sampled_from((("PixelShuffle", "upscale_factor"), ("PixelUnshuffle", "downscale_factor")))
    )
    return Call(name, {parameter: draw(st.integers(1, 4))})


@st.composite
def blocks(draw: st.DrawFn) -> Call:
    arguments = {"kernel_size": draw(per_axis(2, 1, 3))} | _some(
        draw, dilation=per_axis(2, 1, 2), padding=per_axis(2, 0, 2), stride=per_axis(2, 1, 3)
    )
    if draw(st.booleans()):
        return Call("Unfold", arguments)
    return Call("Fold", {"output_size": draw(per_axis(2, 6, 12))} | arguments)


@st.composite
def dense(draw: st.DrawFn) -> Call:
    name = draw(st.sampled_from(("Linear", "Flatten", "Unflatten", "GLU")))
    if name == "Linear":
        arguments: dict[str, Any] = {
            "in_features": draw(st.integers(1, 9)), "out_features": draw(st.integers(1, 9)),
        } | _some(draw, bias=st.booleans())  # fmt: skip
    elif name == "Flatten":
        arguments = _some(draw, start_dim=st.integers(0, 2), end_dim=st.integers(-3, -1))
    elif name == "Unflatten":
        shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.sampled_from((-1, 2)))
        arguments = {"dim": draw(st.integers(-2, 2)), "unflattened_size": tuple(shape)}
    else:
        arguments = _some(draw, dim=st.integers(-3, 3))
    return Call(name, arguments)


ACTIVATIONS: dict[str, dict[str, Strategy[Any]]] = {
    "Identity": {}, "ReLU": {"inplace": st.booleans()}, "ReLU6": {"inplace": st.booleans()}, "Sigmoid": {},
    "Tanh": {}, "SiLU": {}, "GELU": {"approximate": st.sampled_from(("none", "tanh"))},
    "LeakyReLU": {"negative_slope": st.sampled_from((0.01, 0.2)), "inplace": st.booleans()},
    "ELU": {"alpha": st.sampled_from((1.0, 0.5))}, "Softplus": {"beta": st.sampled_from((1.0, 2.0))},
    "Hardtanh": {"min_val": st.just(-2.0), "max_val": st.just(3.0)}, "PReLU": {"num_parameters": st.integers(1, 4)},
    "Softmax": {"dim": st.integers(-2, 2)}, "LogSoftmax": {"dim": st.integers(-2, 2)}, "Softmax2d": {},
    "Dropout": {"p": st.sampled_from((0.0, 0.25, 0.5))}, "Dropout2d": {"p": st.sampled_from((0.1, 0.5))},
}  # fmt: skip
"""Layers that keep the shape and have no required argument."""


@st.composite
def activations(draw: st.DrawFn) -> Call:
    name = draw(st.sampled_from(sorted(ACTIVATIONS)))
    return Call(name, _some(draw, **ACTIVATIONS[name]))


@st.composite
def norms(draw: st.DrawFn) -> Call:
    ndim, features = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    affine, bias = st.booleans(), st.booleans()
    name = draw(st.sampled_from(("BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm", "RMSNorm")))
    if name in ("BatchNorm", "InstanceNorm"):
        options = _some(draw, affine=affine, track_running_stats=st.booleans(), eps=st.just(1e-3))
        return Call(f"{name}{ndim}d", {"num_features": features} | options)
    if name == "GroupNorm":
        groups = draw(st.integers(1, 3))
        return Call(name, {"num_groups": groups, "num_channels": groups * features} | _some(draw, affine=affine))
    shape = draw(st.one_of(st.integers(1, 5), st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)))
    options = _some(draw, elementwise_affine=affine, **({"bias": bias} if name == "LayerNorm" else {}))
    return Call(name, {"normalized_shape": shape} | options)


@st.composite
def merges(draw: st.DrawFn) -> Call:
    return Call(*draw(st.sampled_from((("Add", {}), ("Concat", {}), ("Concat", {"dim": 2}), ("Concat", {"dim": -1})))))


def _dimensions(make: Callable[[int], Strategy[Call]], *ndims: int) -> Strategy[Call]:
    return st.sampled_from(ndims).flatmap(make)


def _kinds(*kinds: Strategy[Call]) -> Strategy[Call]:
    """Every kind with equal probability."""
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


def window_calls(*ndims: int) -> Strategy[Call]:
    """Convolutions and pools."""
    return _kinds(*(_dimensions(make, *ndims) for make in (convs, max_pools, avg_pools, lp_pools)))


def size_calls(*ndims: int) -> Strategy[Call]:
    """Layers with a size rule per axis, in these dimensions."""
    makers = (
        convs, conv_transposes, max_pools, avg_pools, lp_pools, max_unpools, adaptive_pools, pads, zero_inserts,
    )  # fmt: skip
    flat = (fractional_pools(2), upsamples(), pixel_layers()) if 2 in ndims else ()
    return _kinds(*(_dimensions(make, *ndims) for make in makers), *flat)


calls = _kinds(
    *(size_calls(1, 2, 3),) * 4, fractional_pools(3), blocks(), dense(), activations(), norms(), merges()
)  # fmt: skip
"""Every kind of layer."""

torch_calls = calls.filter(lambda call: not call.name.startswith(("ZeroInsert", "Add", "Concat")))
"""Every kind of layer that torch has a module for."""

layers = calls.map(lambda call: call.layer)


@st.composite
def open_layers(draw: st.DrawFn) -> Call:
    """Layers with an open dimension and open channels."""
    make = draw(st.sampled_from((convs, conv_transposes, max_pools, avg_pools, lp_pools, max_unpools, zero_inserts)))
    call = draw(make(1))
    arguments = {name: at(value, 0) for name, value in call.arguments.items() if name not in ("in_channels", "groups")}
    if "out_channels" in arguments and draw(st.booleans()):
        del arguments["out_channels"]
    return Call(call.name.removesuffix("1d"), arguments)


@st.composite
def asymmetric_convs(draw: st.DrawFn, ndim: int) -> tuple[dict[str, Any], Window]:
    """The channels and padding mode of a convolution with asymmetric padding, and its window."""
    window = draw(windows())
    mode = draw(st.sampled_from(("zeros", "zeros", "reflect", "replicate", "circular")))
    return {**_channels(draw), "padding_mode": mode, "ndim": ndim}, window


# Text ----------------------------------------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=60)
"""Any characters, including lone surrogates and NUL."""

_TOKENS = (
    "Conv2d", "nn.", "torch.nn.", "MaxPool2d", "ReLU", "Linear", "Flatten", "Upsample", "BatchNorm2d", "Identity",
    "AdaptiveAvgPool2d", "ZeroPad2d", "PixelShuffle", "Fold", "LPPool2d", "Unflatten", "GroupNorm", "LayerNorm",
    "(", ")", "(", ")", ",", ", ", "=", "[", "]", "*", "**", "->", ":", ";", "#", ".", "-", "+", "\n", " ", "\\", "'",
    "kernel_size", "stride", "padding", "size", "scale_factor", "inplace", "bias", "mode", "output_size", "dim",
    "0", "1", "2", "3", "-1", "1e3", "1.5", "28*28", "1_000", "0x10", "10**9", "1j", "None", "True", "False", "inf",
    "'same'", "same", "b'x'", "f'{1}'", "lambda: 0", "x for x in y", "...", "torch.Size([2, 3])", "__import__('os')",
    "yield", "await", ":=", "if", "else", "not", "@", "\x00", "\ud800", "é", "\u2028",
)  # fmt: skip

token_text = st.lists(st.sampled_from(_TOKENS), max_size=14).map("".join)
"""Pieces of calls in random order."""


@st.composite
def damaged_text(draw: st.DrawFn) -> str:
    """The text of a layer with some characters removed, doubled or replaced."""
    text = str(draw(calls))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + draw(st.one_of(st.sampled_from(_TOKENS), st.just(text[start:end] * 2))) + text[end:]
    return text


@st.composite
def odd_calls(draw: st.DrawFn, names: Sequence[str]) -> str:
    """A call of a known layer with unexpected values."""
    value = st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-3, 30), st.floats(allow_nan=False), st.text("abc=' \n", max_size=4)
        ),
        lambda inner: st.lists(inner, max_size=3).map(tuple),
        max_leaves=4,
    )
    words = st.sampled_from(("kernel_size", "stride", "padding", "size", "output_size", "dim", "p", "bias", "oops"))
    positional = draw(st.lists(value, max_size=4))
    named = draw(st.dictionaries(words, value, max_size=3))
    arguments = [repr(each) for each in positional] + [f"{word}={each!r}" for word, each in named.items()]
    return f"{draw(st.sampled_from(names))}({', '.join(arguments)})"


words = st.text(st.characters(exclude_characters="\x00"), max_size=12)
"""A word on a command line, which cannot contain NUL."""

_ODD_TEXTS = (
    "", "0", "-1", "3", "28", "28x28", "28x", "x", "1x2x3", "1x2x3x4", "3.5", "1e3", "same", "valid", "full",
    "1:0", ":", "1:", "-1:2", "2..5", "5..2", "..", "1..3..5", "reflect", "bilinear", "--", "-", "NaN", "inf",
    "9" * 19, "28 x 28", "28\u00d728", "\u00b2", "\u0663", "True", "None", "()", "Conv2d(1, 1, 3)", "\ud800",
)  # fmt: skip
_ODD_VALUES = st.one_of(st.sampled_from(_ODD_TEXTS), st.integers(-5, 60).map(str), words)
_ODD_OPTIONS = (
    "-k", "--kernel", "-s", "--stride", "-p", "--padding", "-d", "--dilation", "--output-padding", "--op",
    "--output-size", "--size", "--scale-factor", "--upscale-factor", "--downscale-factor", "--output-ratio",
    "--norm-type", "--mode", "--padding-mode", "--in-channels", "--out-channels", "--groups", "--in-features",
    "--out-features", "-i", "--input", "-o", "--output", "--most",
)  # fmt: skip


@st.composite
def command_lines(draw: st.DrawFn, kinds: Sequence[str]) -> list[str]:
    """A valid command, a layer or something similar, and options with possibly invalid values."""
    line = [draw(st.sampled_from(("shape", "solve")))]
    line += draw(st.lists(st.one_of(st.sampled_from(kinds), calls.map(str), words), max_size=1))
    for option in draw(st.lists(st.sampled_from(_ODD_OPTIONS), max_size=4)):
        line += [option, draw(_ODD_VALUES)]
    return line + draw(st.lists(st.sampled_from(("--ceil-mode", "--json", "--help", "--version", "--")), max_size=2))
