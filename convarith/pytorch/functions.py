"""Torch's functions and tensor methods as layers: a table of converters by the name of the function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.elementwise import TABLE
from convarith.layers.registry import build
from convarith.layers.reshaping import Narrow
from convarith.pytorch.calls import (
    Call,
    Constant,
    Shape,
    Sized,
    Stream,
    Unclear,
    Value,
    contains,
    found,
    match,
    of_channels,
    offset,
    own,
    scale,
    sized,
)

# The converters -------------------------------------------------------------------------------------------------------


def same(call: Call) -> Value:
    """The first argument itself: its shape does not change."""
    return call.x


def constant(call: Call) -> Value:
    """A tensor with numbers of its own. Its shape is not noted, because it varies with the input's."""
    return Constant()


def _elementwise(word: str) -> Callable[[Call], Value]:
    names = tuple(TABLE[word][0])

    def convert(call: Call) -> Value:
        return call.layer(word, **call.plain(*names))

    return convert


def _dropout(word: str) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        return call.layer(word, **call.plain("p"))

    return convert


def _norm(stem: str, *names: str) -> Callable[[Call], Value]:
    """batch_norm and instance_norm; `names` are the parameters in torch's order."""

    def convert(call: Call) -> Value:
        given = call.bound(*names)
        weight, mean = given.get("weight"), given.get("running_mean")
        features = _length(weight if isinstance(weight, Constant) else mean) or _channels(call)
        return call.layer(
            f"{stem}{max(call.rank() - 2, 1)}d", num_features=features, affine=weight is not None,
            track_running_stats=mean is not None, bias=weight is None or given.get("bias") is not None,
        )  # fmt: skip

    return convert


def _affine(given: dict[str, Value]) -> tuple[bool, bool]:
    """(has a scale, has a shift); without a scale the shift is True, which is torch's default."""
    affine = given.get("weight") is not None
    return affine, not affine or given.get("bias") is not None


def _length(tensor: Value) -> int | None:
    return tensor.shape[0] if isinstance(tensor, Constant) and tensor.shape else None


def _channels(call: Call) -> int:
    shape = call.shape()
    if shape is None:
        raise Unclear(f"{call.function} depends on the number of channels")
    return shape[1]


def _group_norm(call: Call) -> Value:
    given = call.bound("num_groups", "weight", "bias")
    channels = _length(given.get("weight")) or _channels(call)
    affine, bias = _affine(given)
    return call.layer("GroupNorm", num_groups=given["num_groups"], num_channels=channels, affine=affine, bias=bias)


def _layer_norm(call: Call) -> Value:
    given = call.bound("normalized_shape", "weight", "bias")
    affine, bias = _affine(given)
    shape = given["normalized_shape"]
    if contains(shape, Sized):
        raise Unclear("layer_norm over sizes that are computed")
    return call.layer("LayerNorm", normalized_shape=tuple(shape), elementwise_affine=affine, bias=bias)


def _prelu(call: Call) -> Value:
    return call.layer("PReLU", num_parameters=_length(call.bound("weight").get("weight")) or 1)


def _pool(name: str, *names: str) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        given = {word: value for word, value in call.plain(*names).items() if value is not None}
        return_indices = given.pop("return_indices", False) or call.function.endswith("_with_indices")
        pooled = call.layer(name, **given)
        return (pooled, Constant()) if return_indices else pooled

    return convert


def _adaptive(name: str) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        given = call.bound("output_size", "return_indices")
        if contains(given["output_size"], Sized):
            return match(call, call.x, given["output_size"])
        pooled = call.layer(name, output_size=given["output_size"])
        return (pooled, Constant()) if given.get("return_indices") or "indices" in call.function else pooled

    return convert


def _unpool(name: str) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        given = call.bound("indices", "kernel_size", "stride", "padding", "output_size")
        size = given.pop("output_size", None)
        del given["indices"]
        layer = build(name, {word: value for word, value in given.items() if value is not None})
        return sized_call(call, layer, size)

    return convert


def sized_call(call: Call, layer: Layer, size: Value) -> Stream:
    """A layer whose forward may be given its output size, in numbers or as that of another stream."""
    if size is None:
        return call.emit(layer, call.x)
    if contains(size, Sized):
        return match(call, call.emit(layer, call.x), size)
    shape = call.shape()
    if shape is None or call.output is None:
        raise Unclear(f"{call.function} with an output_size")
    assert isinstance(layer, SpatialLayer)
    return call.emit(layer.with_output(shape[2:], call.output[2:]), call.x)


def layer_call(call: Call, layer: Layer) -> Value:
    """Add the nodes of a module that is a known layer."""
    if layer.forward_arguments:
        return sized_call(call, layer, call.bound(*layer.forward_arguments).get("output_size"))
    stream = call.emit(layer, call.x)
    return (stream, Constant()) if getattr(layer, "return_indices", False) else stream


def _conv(ndim: int) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        weight, bias, given = _weights(call, "stride", "padding", "dilation", "groups")
        inputs, outputs = weight[1] * given.get("groups", 1), weight[0]
        return call.layer(
            f"Conv{ndim}d", in_channels=inputs, out_channels=outputs, kernel_size=weight[2:], bias=bias, **given
        )

    return convert


def _conv_transpose(ndim: int) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        weight, bias, given = _weights(call, "stride", "padding", "output_padding", "groups", "dilation")
        inputs, outputs = weight[0], weight[1] * given.get("groups", 1)
        return call.layer(
            f"ConvTranspose{ndim}d", in_channels=inputs, out_channels=outputs, kernel_size=weight[2:], bias=bias,
            **given,
        )  # fmt: skip

    return convert


def _weights(call: Call, *names: str) -> tuple[Shape, bool, dict[str, Any]]:
    """Return (the shape of the weight, is there a bias?, the numbers by name)."""
    given = call.bound("weight", "bias", *names)
    weight, bias = given.pop("weight"), given.pop("bias", None)
    numbers = {word: tuple(value) if isinstance(value, list) else value for word, value in given.items()}
    if not isinstance(weight, Constant) or not weight.shape or contains(given, Sized):
        raise Unclear(f"{call.function} with a weight that is computed")
    return weight.shape, bias is not None, numbers


def _linear(call: Call) -> Value:
    weight, bias, _ = _weights(call)
    return call.layer("Linear", in_features=weight[1], out_features=weight[0], bias=bias)


def _interpolate(call: Call) -> Value:
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
    given = {word: value for word, value in call.bound(*names).items() if value is not None}
    size = given.get("size")
    if call.function in ("upsample_nearest", "upsample_bilinear"):
        return call.layer(f"Upsampling{call.function[9:].title()}2d", **call.plain("size", "scale_factor"))
    if contains(size, Sized):
        if not own(call, size):
            return match(call, call.x, size)
        del given["size"]
        given["scale_factor"] = _factors(call, size)
    given = {word: tuple(value) if isinstance(value, list) else value for word, value in given.items()}
    return call.layer("Upsample", **given)


def _factors(call: Call, size: Value) -> float | tuple[float, ...]:
    rank = call.rank()
    if isinstance(size, Sized) and rank > 3:  # a tuple as a whole, as in x.shape[2:]
        size = [sized(lambda sizes, at=at: sizes[at], (size,)) for at in range(rank - 2)]
    sizes = size if isinstance(size, (tuple, list)) else (size,)
    factors = tuple(scale(call, each, axis) for axis, each in enumerate(sizes, start=rank - len(sizes)))
    return factors[0] if len(set(factors)) == 1 else factors


def _pad(call: Call) -> Value:
    given = call.bound("pad", "mode", "value")
    pad = given["pad"]
    if contains(pad, Sized):
        return match(call, call.x, pad)
    rank = call.rank()
    pairs = [*zip(pad[::2], pad[1::2], strict=True)]
    if len(pairs) > rank - 2:
        raise Unclear("a pad of the channels")
    padding = tuple(reversed([*pairs, *[(0, 0)] * (rank - 2 - len(pairs))]))
    mode = given.get("mode", "constant")
    from convarith.layers.padding import Pad

    layer = Pad(
        padding=padding, mode="zeros" if mode == "constant" else mode, value=given.get("value") or 0.0, ndim=rank - 2
    )
    return call.emit(layer, call.x)


def _shuffle(name: str, word: str) -> Callable[[Call], Value]:
    def convert(call: Call) -> Value:
        return call.layer(name, **call.plain(word))

    return convert


def _concat(call: Call) -> Value:
    tensors = call.arguments[0] if call.arguments else call.named["tensors"]
    if not all(isinstance(each, Stream) for each in tensors):
        raise Unclear("a concatenation with a constant tensor")
    dim = call.plain("dim", "axis")
    return call.emit(build("Concat", {"dim": next(iter(dim.values()), 0)}), *tensors)


def _joined(name: str) -> Callable[[Call], Value]:
    """Add or Multiply. With a number or a constant tensor it is the stream itself: the shape does not change."""

    def convert(call: Call) -> Value:
        streams = call.streams
        if len(streams) > 1:
            return call.emit(build(name, {}), *streams)
        for weight in found(call.arguments, Constant):
            if weight.held and weight.shape and prod(weight.shape) > 1:
                remark = f"{call.name}: a tensor of {prod(weight.shape):,} numbers is not part of any layer"
                call.builder.remarks.append(remark)
        return streams[0]

    return convert


def _size(call: Call) -> Value:
    """x.size() or x.size(dim)."""
    name, dim = call.x.name, call.bound("dim").get("dim")
    whole = Sized(lambda shape_of: shape_of(name), frozenset({name}))
    return whole if dim is None else sized(lambda shape, at: shape[at], (whole, dim))


def _rank_of(call: Call) -> Value:
    return sized(len, (_size(replace(call, arguments=(call.x,), named={})),))


def _attribute(call: Call) -> Value:
    """x.shape, x.ndim and x.data; all other attributes (dtype, device) do not concern sizes."""
    word = call.arguments[1]
    if word in ("shape", "ndim"):
        plain = replace(call, arguments=(call.x,))
        return _size(plain) if word == "shape" else _rank_of(plain)
    if word == "data":
        return call.x
    if call.output is not None:
        raise Unclear(f"the attribute {word}")
    return Constant()


# Views ----------------------------------------------------------------------------------------------------------------


def _flatten(call: Call) -> Value:
    given = call.plain("start_dim", "end_dim")
    layer = build("Flatten", {"start_dim": 0, "end_dim": -1} | given)
    return call.emit(layer, call.x)


def _unflatten(call: Call) -> Value:
    given = call.plain("dim", "sizes")
    return call.layer("Unflatten", dim=given["dim"], unflattened_size=tuple(given["sizes"]))


def _view(call: Call) -> Value:
    sizes = call.rest()
    if len(sizes) == 1 and isinstance(sizes[0], Sized) and call.output is None:
        raise Unclear(f"{call.function} to a shape that is computed")
    before = call.shape()
    if before is not None and call.output is not None:
        known = sizes if len(sizes) == len(call.output) else (-1,) * len(call.output)
        return regrouped(call, before, call.output, [_fixed(each) for each in known])
    return _view_without_shapes(call, sizes)


def _fixed(size: Value) -> bool:
    """Is this size a number for every input?"""
    return isinstance(size, int) and size != -1


def _view_without_shapes(call: Call, sizes: tuple[Value, ...]) -> Value:
    """The usual forms: (N, -1), (N, C, -1), and (N, C, H, W) from a flat tensor."""
    rank = call.builder.ranks[call.x.name]
    if len(sizes) == 2:
        return call.x if rank == 2 else call.emit(build("Flatten", {}), call.x)
    if len(sizes) == 3 and sizes[2] == -1 and isinstance(sizes[1], Sized) and rank != 2:
        return call.emit(build("Flatten", {"start_dim": 2}), call.x)
    parts = tuple(size if _fixed(size) else -1 for size in sizes[1:])
    if call.rank() != 2 or parts.count(-1) > 1:
        raise Unclear(f"{call.function} depends on the sizes")
    return call.layer("Unflatten", dim=1, unflattened_size=parts)


def _axes_of_one(call: Call) -> Value:
    """squeeze, unsqueeze and x[:, None], which add or remove axes of size 1."""
    before = call.shape()
    if before is None or call.output is None:
        raise Unclear(f"{call.function} depends on the sizes")
    return regrouped(call, before, call.output, [size == 1 for size in call.output])


def regrouped(call: Call, before: Shape, after: Shape, fixed: list[bool]) -> Stream:
    """Add the Flatten or Unflatten that leads from one shape to another.

    `fixed` says for every size of `after` whether it is the same for all inputs.
    """
    if before == after:
        return call.x
    first = _common(before, after)
    last = _common(before[first:][::-1], after[first:][::-1])
    if first + last == min(len(before), len(after)):  # only axes of size 1 differ: they join their neighbour
        first, last = (first - 1, last) if first > 1 or not last else (first, last - 1)
    old, new = before[first : len(before) - last], after[first : len(after) - last]
    if len(new) == 1:
        return call.layer("Flatten", start_dim=first, end_dim=first + len(old) - 1 if last else -1)
    if len(old) == 1:
        channel = first == 1 and len(before) > 2  # the number of channels is the same for every input
        sizes = tuple(
            size if known or channel else -1 for size, known in zip(new, fixed[first : len(after) - last], strict=True)
        )
        if sizes.count(-1) < 2:
            return call.layer("Unflatten", dim=first, unflattened_size=sizes)
    raise Unclear(f"{call.function} regroups several axes")


def _common(one: Shape, other: Shape) -> int:
    """The number of leading sizes that are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _permute(call: Call) -> Value:
    dims = call.rest()
    if not all(isinstance(dim, int) for dim in dims):
        raise Unclear("permute by computed axes")
    return call.emit(build("Permute", {"dims": dims}), call.x)


def _transpose(call: Call) -> Value:
    given = call.plain("dim0", "dim1")
    dims = list(range(call.rank()))
    one, other = given["dim0"], given["dim1"]
    dims[one], dims[other] = dims[other], dims[one]
    return call.emit(build("Permute", {"dims": tuple(dims)}), call.x)


def _expand(call: Call) -> Value:
    sizes = call.rest()
    if isinstance(sizes[0], Stream):  # expand_as
        return call.emit(build("MatchSize", {}), call.x, sizes[0])
    if call.shape() is not None and call.shape() == call.output and own(call, sizes):
        return call.x
    return match(call, call.x, sizes)


# Pools over all positions, and slices ---------------------------------------------------------------------------------


def _reduction(pool: str) -> Callable[[Call], Value]:
    """mean or amax over all spatial axes, which is a global pool."""

    def convert(call: Call) -> Value:
        given = call.plain("dim", "keepdim")
        dims = given.get("dim")
        dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
        ndim = len(dims)
        rank = call.builder.ranks[call.x.name] or ndim + 2
        if not dims or sorted(dim % rank for dim in dims) != list(range(2, rank)):
            raise Unclear(f"{call.function} over axes other than all spatial ones")
        pooled = call.emit(build(f"{pool}{ndim}d", {"output_size": 1}), call.x)
        return pooled if given.get("keepdim") else call.emit(build("Flatten", {}), pooled)

    return convert


def _pieces(call: Call) -> Value:
    """chunk and split along the channels."""
    given = call.bound("sizes", "dim") | call.named
    dim, channels = given.pop("dim", 0), _channels(call)
    if dim not in (1, 1 - call.rank()):
        raise Unclear(f"{call.function} of an axis other than the channels")
    (sizes,) = given.values()  # the parameter has four names in torch
    sizes = of_channels(call, sizes)
    if isinstance(sizes, int):
        length = -(-channels // sizes) if call.function == "chunk" else sizes
        sizes = [min(length, channels - start) for start in range(0, channels, length)]
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    return tuple(
        call.builder.emit(f"{call.name}.{at}", Narrow(start=start, length=length), [call.x])
        for at, (start, length) in enumerate(zip(starts, sizes, strict=True))
    )


def _narrow(call: Call) -> Value:
    given = call.plain("dim", "start", "length")
    if given["dim"] not in (1, 1 - call.rank()):
        raise Unclear("narrow of an axis other than the channels")
    return call.emit(Narrow(start=given["start"], length=given["length"]), call.x)


WHOLE = (slice(None), slice(0, None), slice(0, None, 1), slice(None, None, 1))


def _getitem(call: Call) -> Value:
    """x[:, :, a:-b, c:-d], which crops; with a step n it keeps every n-th position."""
    index = call.arguments[1]
    entries = list(index) if isinstance(index, tuple) else [index]
    if any(each is None for each in entries) and all(each in (None, Ellipsis, *WHOLE) for each in entries):
        return _axes_of_one(call)
    if not all(isinstance(each, slice) or each is Ellipsis for each in entries):
        raise Unclear("an index that is not a slice")
    rank = call.rank()
    if Ellipsis in entries:
        at = entries.index(Ellipsis)
        entries[at : at + 1] = [slice(None)] * (rank - len(entries) + 1)
    entries += [slice(None)] * (rank - len(entries))
    if entries[0] not in WHOLE:
        raise Unclear("a slice of the batch")
    stream = call.x if entries[1] in WHOLE else _some_channels(call, entries[1])
    if not own(call, entries):
        return match(call, stream, tuple(entries))
    cuts = [_cut(call, each, axis) for axis, each in enumerate(entries[2:], start=2)]
    return _cropped(call, stream, cuts)


def _some_channels(call: Call, entry: slice) -> Stream:
    if contains(entry, Sized) or entry.step not in (None, 1):
        raise Unclear("a slice of the channels that is computed or has a step")
    start, stop, _ = entry.indices(_channels(call))
    return call.emit(Narrow(start=start, length=stop - start), call.x)


def _cut(call: Call, entry: slice, axis: int) -> tuple[int, int, int]:
    """A slice of an axis as (padding before, padding after, step); the paddings are negative or 0."""
    start = offset(call, entry.start or 0, axis, of_end=False)
    stop = entry.stop
    end = 0 if stop is None else stop if isinstance(stop, int) else offset(call, stop, axis, of_end=True)
    step = 1 if entry.step is None else entry.step
    if start < 0 or end > 0 or (isinstance(stop, int) and stop >= 0) or not isinstance(step, int):
        raise Unclear("a slice of a fixed size")
    return -start, end, step


def _cropped(call: Call, stream: Stream, cuts: list[tuple[int, int, int]]) -> Value:
    from convarith.layers.padding import Pad

    ndim = len(cuts)
    padding = tuple((before, after) for before, after, _ in cuts)
    steps = tuple(step for *_, step in cuts)
    if any(padding[axis] != (0, 0) for axis in range(ndim)):
        stream = call.emit(Pad(padding=padding, ndim=ndim), stream)
    if set(steps) != {1}:  # a pool with a window of one position
        pool = build(f"AvgPool{ndim}d", {"kernel_size": 1, "stride": steps})
        stream = call.emit(pool, stream)
    return stream


# The table ------------------------------------------------------------------------------------------------------------

SAME = (
    "abs clamp clip clone contiguous cpu detach double exp float half log log1p neg pos pow reciprocal rsqrt sign sin "
    "cos sqrt square to type type_as erf normalize nan_to_num requires_grad bfloat16 clamp_min clamp_max cuda"
)
"""Functions that keep the shape and are not layers."""

LIKE = "empty_like full_like ones_like rand_like randint_like randn_like zeros_like"
"""Functions that return a tensor of the same shape with other numbers."""

WORDS = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "elu": "ELU", "celu": "CELU", "selu": "SELU",
    "gelu": "GELU", "silu": "SiLU", "mish": "Mish", "sigmoid": "Sigmoid", "logsigmoid": "LogSigmoid",
    "hardsigmoid": "Hardsigmoid", "hardswish": "Hardswish", "hardtanh": "Hardtanh", "tanh": "Tanh",
    "tanhshrink": "Tanhshrink", "softplus": "Softplus", "softsign": "Softsign", "softshrink": "Softshrink",
    "hardshrink": "Hardshrink", "threshold": "Threshold", "softmax": "Softmax", "log_softmax": "LogSoftmax",
    "softmin": "Softmin", "local_response_norm": "LocalResponseNorm", "channel_shuffle": "ChannelShuffle",
}  # fmt: skip
"""Functions that keep the shape, and the layers that they are."""

DROPOUTS = {
    "dropout": "Dropout", "dropout1d": "Dropout1d", "dropout2d": "Dropout2d", "dropout3d": "Dropout3d",
    "alpha_dropout": "AlphaDropout", "feature_alpha_dropout": "FeatureAlphaDropout", "rrelu": "RReLU",
}  # fmt: skip

CONVERTERS: dict[str, Callable[[Call], Value]] = {
    **dict.fromkeys(SAME.split(), same),
    **dict.fromkeys(LIKE.split(), constant),
    **{name: _elementwise(word) for name, word in WORDS.items()},
    **{name: _dropout(word) for name, word in DROPOUTS.items() if name != "rrelu"},
    "rrelu": _shuffle("RReLU", "lower"),
    "batch_norm": _norm("BatchNorm", "running_mean", "running_var", "weight", "bias"),
    "instance_norm": _norm("InstanceNorm", "running_mean", "running_var", "weight", "bias"),
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "prelu": _prelu,
    "linear": _linear,
    "interpolate": _interpolate,
    "upsample": _interpolate,
    "upsample_nearest": _interpolate,
    "upsample_bilinear": _interpolate,
    "pad": _pad,
    "pixel_shuffle": _shuffle("PixelShuffle", "upscale_factor"),
    "pixel_unshuffle": _shuffle("PixelUnshuffle", "downscale_factor"),
    "glu": _shuffle("GLU", "dim"),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    **dict.fromkeys(("add", "iadd", "radd", "sub", "isub", "rsub", "subtract", "maximum", "minimum"), _joined("Add")),
    **dict.fromkeys(
        ("mul", "imul", "rmul", "multiply", "div", "divide", "truediv", "itruediv", "rtruediv", "true_divide"),
        _joined("Multiply"),
    ),
    "size": _size,
    "dim": _rank_of,
    "ndimension": _rank_of,
    "getattr": _attribute,
    "flatten": _flatten,
    "unflatten": _unflatten,
    **dict.fromkeys(("view", "reshape"), _view),
    **dict.fromkeys(("squeeze", "unsqueeze"), _axes_of_one),
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    "mean": _reduction("AdaptiveAvgPool"),
    "amax": _reduction("AdaptiveMaxPool"),
    "getitem": _getitem,
    **dict.fromkeys(("chunk", "split", "split_with_sizes"), _pieces),
    "narrow": _narrow,
}
"""The converters by the name of the function, without underscores at its ends."""

for _ndim in (1, 2, 3):
    _max = _pool(f"MaxPool{_ndim}d", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    CONVERTERS |= {
        f"conv{_ndim}d": _conv(_ndim),
        f"conv_transpose{_ndim}d": _conv_transpose(_ndim),
        f"max_pool{_ndim}d": _max,
        f"max_pool{_ndim}d_with_indices": _max,
        f"avg_pool{_ndim}d": _pool(
            f"AvgPool{_ndim}d", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
            *(("divisor_override",) if _ndim > 1 else ()),
        ),
        f"lp_pool{_ndim}d": _pool(f"LPPool{_ndim}d", "norm_type", "kernel_size", "stride", "ceil_mode"),
        f"adaptive_avg_pool{_ndim}d": _adaptive(f"AdaptiveAvgPool{_ndim}d"),
        f"adaptive_max_pool{_ndim}d": _adaptive(f"AdaptiveMaxPool{_ndim}d"),
        f"adaptive_max_pool{_ndim}d_with_indices": _adaptive(f"AdaptiveMaxPool{_ndim}d"),
        f"max_unpool{_ndim}d": _unpool(f"MaxUnpool{_ndim}d"),
    }  # fmt: skip
