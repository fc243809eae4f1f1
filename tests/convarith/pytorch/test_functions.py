"""Torch's functions as layers, one argument at a time.

- A function gives the layers that the table says, and the network has torch's shape wherever torch takes the input.
- Without a run it gives the same layers, or the error names what is not known.
- Recorded from one run without a graph, it has torch's shape at that input.
- A value that is computed from a size is a factor only if it is one at every size that is tried, whatever its period.
- A remark names a tensor of the model that no layer has, if it has more than one number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.recorded import Recorded
from convarith.pytorch.calls import Builder, Call, Constant, Sized, Stream, Unclear, offset, scale
from convarith.pytorch.verification import Case, Mismatch

torch = pytest.importorskip("torch", reason="reads torch models, and torch is not installed")
nn, F, Tensor = torch.nn, torch.nn.functional, torch.Tensor

pytestmark = pytest.mark.filterwarnings("ignore:`nn.functional.upsample.* is deprecated:UserWarning")


@pytest.fixture(autouse=True)
def _one_thread(torch: ModuleType) -> None:
    """The tensors are small."""


def ones(*shape: int) -> Any:
    return nn.Parameter(torch.ones(shape))


class Model(nn.Module):
    """A function of a tensor and of these parts as a model."""

    def __init__(self, function: Callable[..., Any], ndim: int = 2, traceable: bool = True) -> None:
        super().__init__()
        self.function, self.traceable = function, traceable
        self.conv = getattr(nn, f"Conv{ndim}d")(4, 4, 1)
        self.up, self.relu = nn.ConvTranspose2d(4, 3, 3, stride=2), nn.ReLU()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
        self.kernel, self.bias, self.grouped = ones(6, 4, 3, 3), ones(6), ones(6, 2, 3, 3)
        self.line, self.cube, self.head, self.head_bias = ones(6, 4, 5), ones(4, 1, 2, 2, 2), ones(5, 4), ones(5)
        self.back1, self.back2, self.back3 = ones(4, 3, 4), ones(4, 3, 3, 3), ones(4, 2, 2, 2, 2)
        self.scale, self.shift, self.tall, self.gain, self.nought = ones(4), ones(4), ones(4, 1, 1), ones(1), ones()
        self.wide, self.wide_shift = ones(16), ones(16)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("var", torch.ones(4))

    def forward(self, x: Tensor) -> Any:
        if not self.traceable and x.sum() > 1e9:
            return x
        return self.function(x, self)


def read(function: Callable[..., Any], shape: tuple[int, ...] | None = None, traceable: bool = True) -> ca.Network:
    net = ca.pytorch.from_module(Model(function, 2 if shape is None else len(shape) - 2, traceable), shape)
    assert isinstance(net, ca.Network)
    return net


def layers(net: ca.Network) -> list[str]:
    return [str(node.layer) for node in net.nodes]


def torch_shape(function: Callable[..., Any], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that torch gives; None if it refuses the input."""
    with torch.no_grad():
        try:
            return tuple(Model(function, len(shape) - 2).eval()(torch.zeros(shape)).shape)
        except (RuntimeError, ValueError, IndexError, AssertionError):
            return None


LINE, PLANE, SPACE = (1, 4, 9), (1, 4, 12, 16), (1, 4, 5, 6, 7)
AXES, CHANNELS, SIZES = "the number of axes", "the number of channels", "the sizes"
COMPUTED = "takes its size from a computation"

Row = tuple[Callable[..., Any], tuple[int, ...], str, str]
"""A function, its input, the layers separated by semicolons, and what is missing without a run ('' for nothing)."""

NORMS: list[Row] = [
    (lambda x, m: F.batch_norm(x, m.mean, m.var), PLANE, "BatchNorm2d(4, affine=False)", AXES),
    (lambda x, m: F.batch_norm(x, m.mean, m.var), SPACE, "BatchNorm3d(4, affine=False)", AXES),
    (lambda x, m: F.batch_norm(m.conv(x), m.mean, m.var, m.scale, m.shift), PLANE, "Conv2d(4, 4, 1); BatchNorm2d(4)", ""),
    (lambda x, m: F.batch_norm(m.conv(x), m.mean, m.var, weight=m.scale), PLANE,
        "Conv2d(4, 4, 1); BatchNorm2d(4, bias=False)", ""),
    (lambda x, m: F.batch_norm(x.amax((2, 3)), m.mean, m.var), PLANE,
        "AdaptiveMaxPool2d(output_size=1); Flatten(); BatchNorm1d(4, affine=False)", ""),
    (lambda x, m: F.batch_norm(x, m.mean, m.var), LINE, "BatchNorm1d(4, affine=False)", AXES),
    (lambda x, m: F.instance_norm(x, None, None, m.scale, m.shift), PLANE, "InstanceNorm2d(4, affine=True)", AXES),
    (lambda x, m: F.instance_norm(x, m.mean, m.var, use_input_stats=False), PLANE,
        "InstanceNorm2d(4, track_running_stats=True)", AXES),
    (lambda x, m: F.instance_norm(m.conv(x)), PLANE, "Conv2d(4, 4, 1); InstanceNorm2d(4)", CHANNELS),
    (lambda x, m: F.group_norm(x, 2, m.scale, m.shift), PLANE, "GroupNorm(2, 4)", ""),
    (lambda x, m: F.group_norm(x, 2, weight=m.scale), PLANE, "GroupNorm(2, 4, bias=False)", ""),
    (lambda x, m: F.group_norm(x, 2), LINE, "GroupNorm(2, 4, affine=False)", CHANNELS),
    (lambda x, m: F.layer_norm(x, (16,)), PLANE, "LayerNorm((16,), elementwise_affine=False)", ""),
    (lambda x, m: F.layer_norm(x, [16], m.wide), PLANE, "LayerNorm((16,), bias=False)", ""),
    (lambda x, m: F.layer_norm(x, (16,), m.wide, m.wide_shift), PLANE, "LayerNorm((16,))", ""),
    (lambda x, m: F.layer_norm(x, x.shape[-1:]), PLANE, "layer_norm", "sizes that are computed"),
    (lambda x, m: F.prelu(x, m.gain), PLANE, "PReLU()", ""),
    (lambda x, m: F.prelu(x, m.scale), PLANE, "PReLU(num_parameters=4)", ""),
    (lambda x, m: F.prelu(x, m.nought), PLANE, "PReLU()", ""),
]  # fmt: skip

POOLS: list[Row] = [
    (lambda x, m: F.max_pool2d(x, 2, None), PLANE, "MaxPool2d(kernel_size=2)", ""),
    (lambda x, m: torch.max_pool2d(x, 2, 1), PLANE, "MaxPool2d(kernel_size=2, stride=1)", ""),
    (lambda x, m: F.max_pool2d(x, 3, 2, 1, 2, True, False), PLANE,
        "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True)", ""),
    (lambda x, m: F.max_pool2d(x, 3, 2, 1, 1, True, True)[0], PLANE,
        "MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True)", ""),
    (lambda x, m: F.max_pool1d_with_indices(x, 2)[0], LINE, "MaxPool1d(kernel_size=2)", ""),
    (lambda x, m: F.max_pool2d_with_indices(x, 2)[0], PLANE, "MaxPool2d(kernel_size=2)", ""),
    (lambda x, m: F.max_pool3d_with_indices(x, 2)[0], SPACE, "MaxPool3d(kernel_size=2)", ""),
    (lambda x, m: F.max_pool1d(x, 3, padding=1), LINE, "MaxPool1d(kernel_size=3, padding=1)", ""),
    (lambda x, m: F.max_pool3d(x, 3, 1), SPACE, "MaxPool3d(kernel_size=3, stride=1)", ""),
    (lambda x, m: F.max_pool2d(x, x.dim() - 2), PLANE, "max_pool2d", "a parameter that depends on a tensor"),
    (lambda x, m: F.avg_pool1d(x, 3, 2, 1, True, False), LINE,
        "AvgPool1d(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)", ""),
    (lambda x, m: F.avg_pool2d(x, 3, 2, 1, False, True, 5), PLANE,
        "AvgPool2d(kernel_size=3, stride=2, padding=1, divisor_override=5)", ""),
    (lambda x, m: F.avg_pool3d(x, 2, divisor_override=3), SPACE, "AvgPool3d(kernel_size=2, divisor_override=3)", ""),
    (lambda x, m: F.lp_pool1d(x, 2, 3, 2, True), LINE, "LPPool1d(2, kernel_size=3, stride=2, ceil_mode=True)", ""),
    (lambda x, m: F.lp_pool3d(x, 1, 2), SPACE, "LPPool3d(1, kernel_size=2)", ""),
    (lambda x, m: F.adaptive_avg_pool1d(x, 3), LINE, "AdaptiveAvgPool1d(output_size=3)", ""),
    (lambda x, m: F.adaptive_avg_pool3d(x, (3, 2, 1)), SPACE, "AdaptiveAvgPool3d(output_size=(3, 2, 1))", ""),
    (lambda x, m: F.adaptive_max_pool1d(x, 3), LINE, "AdaptiveMaxPool1d(output_size=3)", ""),
    (lambda x, m: F.adaptive_max_pool3d(x, 2), SPACE, "AdaptiveMaxPool3d(output_size=2)", ""),
    (lambda x, m: F.adaptive_max_pool2d(x, 2, True)[0], PLANE, "AdaptiveMaxPool2d(output_size=2)", ""),
    (lambda x, m: F.adaptive_max_pool1d_with_indices(x, 2)[0], LINE, "AdaptiveMaxPool1d(output_size=2)", ""),
    (lambda x, m: F.adaptive_max_pool2d_with_indices(x, 2)[0], PLANE, "AdaptiveMaxPool2d(output_size=2)", ""),
    (lambda x, m: F.adaptive_max_pool3d_with_indices(x, 2)[0], SPACE, "AdaptiveMaxPool3d(output_size=2)", ""),
    (lambda x, m: F.adaptive_avg_pool2d(x, (x.size(2) // 2, x.size(3) // 2)), PLANE, "adaptive_avg_pool2d", COMPUTED),
    (lambda x, m: m.relu(m.pool(x)[0]), PLANE, "MaxPool2d(kernel_size=2, return_indices=True); ReLU()", ""),
]  # fmt: skip


def unpooled(x: Tensor, kernel: int, *arguments: Any, **named: Any) -> Tensor:
    values = F.max_pool2d_with_indices(x, kernel, *arguments)
    return F.max_unpool2d(values[0], values[1], kernel, *arguments, **named)


def unpooled_by_module(x: Tensor, m: Model, *arguments: Any, **named: Any) -> Tensor:
    values = m.pool(x)
    return m.unpool(values[0], values[1], *arguments, **named)


POOL = "MaxPool2d(kernel_size=2)"
MODULE = "MaxPool2d(kernel_size=2, return_indices=True)"
SIZED: list[Row] = [
    (lambda x, m: unpooled(x, 2), PLANE, f"{POOL}; MaxUnpool2d(kernel_size=2)", ""),
    (lambda x, m: unpooled(x, 3, 2, 1), PLANE,
        "MaxPool2d(kernel_size=3, stride=2, padding=1); MaxUnpool2d(kernel_size=3, stride=2, padding=1)", ""),
    (lambda x, m: unpooled(x, 3, output_size=x.shape), PLANE,
        "MaxPool2d(kernel_size=3); MaxUnpool2d(kernel_size=3); MatchSize()", ""),
    (lambda x, m: unpooled(x, 2, output_size=(13, 17)), PLANE, f"{POOL}; max_unpool2d", "with an output_size"),
    (lambda x, m: unpooled_by_module(x, m), PLANE, f"{MODULE}; MaxUnpool2d(kernel_size=2)", ""),
    (lambda x, m: unpooled_by_module(x, m, x.shape), PLANE, f"{MODULE}; MaxUnpool2d(kernel_size=2); MatchSize()", ""),
    (lambda x, m: unpooled_by_module(x, m, output_size=(13, 17)), PLANE, f"{MODULE}; MaxUnpool2d", "with an output_size"),
    (lambda x, m: m.up(x, output_size=(26, 33)), PLANE,
        "ConvTranspose2d(4, 3, 3, stride=2, output_padding=(1, 0))", "with an output_size"),
    (lambda x, m: m.up(x, (25, 34)), PLANE,
        "ConvTranspose2d(4, 3, 3, stride=2, output_padding=(0, 1))", "with an output_size"),
    (lambda x, m: m.up(x, None), PLANE, "ConvTranspose2d(4, 3, 3, stride=2)", ""),
]  # fmt: skip

WEIGHTS: list[Row] = [
    (lambda x, m: F.conv2d(x, m.grouped, groups=2), PLANE, "Conv2d(4, 6, 3, groups=2, bias=False)", ""),
    (lambda x, m: F.conv2d(x, m.kernel, m.bias, [2, 1], [0, 1], 2), PLANE,
        "Conv2d(4, 6, 3, stride=(2, 1), padding=(0, 1), dilation=2)", ""),
    (lambda x, m: F.conv2d(x, m.grouped, None, 3, 2, 1, 2), PLANE,
        "Conv2d(4, 6, 3, stride=3, padding=2, groups=2, bias=False)", ""),
    (lambda x, m: F.conv2d(x, m.kernel * 2), PLANE, "Conv2d(4, 6, 3, bias=False)", "a weight that is computed"),
    (lambda x, m: F.conv2d(x, m.kernel, padding=x.size(2) // 4), PLANE, "conv2d", "a weight that is computed"),
    (lambda x, m: F.conv2d(x, torch.ones_like(x)), PLANE, "conv2d", "a weight that is computed"),
    (lambda x, m: F.conv1d(x, m.line, padding=2), LINE, "Conv1d(4, 6, 5, padding=2, bias=False)", ""),
    (lambda x, m: F.conv3d(x, m.cube, groups=4, stride=2), SPACE, "Conv3d(4, 4, 2, stride=2, groups=4, bias=False)", ""),
    (lambda x, m: F.conv_transpose2d(x, m.back2, None, 3, 1, 2, 2, 2), PLANE,
        "ConvTranspose2d(4, 6, 3, stride=3, padding=1, output_padding=2, groups=2, bias=False, dilation=2)", ""),
    (lambda x, m: F.conv_transpose1d(x, m.back1, stride=3), LINE, "ConvTranspose1d(4, 3, 4, stride=3, bias=False)", ""),
    (lambda x, m: F.conv_transpose3d(x, m.back3), SPACE, "ConvTranspose3d(4, 2, 2, bias=False)", ""),
    (lambda x, m: F.linear(x.amax((2, 3)), m.head), PLANE,
        "AdaptiveMaxPool2d(output_size=1); Flatten(); Linear(4, 5, bias=False)", ""),
    (lambda x, m: F.linear(x.amax((2, 3)), m.head, m.head_bias), PLANE,
        "AdaptiveMaxPool2d(output_size=1); Flatten(); Linear(4, 5)", ""),
]  # fmt: skip


def between(x: Tensor) -> Tensor:
    """To a size that the first of two tensors has along one axis only, and the second along both."""
    y = F.max_pool2d(x, (2, 1))
    return F.interpolate(F.avg_pool2d(x, 2), size=(y.size(2), x.size(3)))


def widened(x: Tensor, other: Tensor) -> Tensor:
    """To a size with one number of its own and one of another tensor."""
    return F.interpolate(x, size=(x.size(2), other.size(3)))


RESIZED: list[Row] = [
    (lambda x, m: F.interpolate(x, None, 2), PLANE, "Upsample(scale_factor=2.0)", ""),
    (lambda x, m: F.interpolate(x, scale_factor=[2, 3]), PLANE, "Upsample(scale_factor=(2.0, 3.0))", ""),
    (lambda x, m: F.interpolate(x, [9, 7]), PLANE, "Upsample(size=(9, 7))", ""),
    (lambda x, m: F.interpolate(x, None, 2, "bilinear", True), PLANE,
        "Upsample(scale_factor=2.0, mode='bilinear', align_corners=True)", ""),
    (lambda x, m: F.interpolate(x, scale_factor=1.6, recompute_scale_factor=True), PLANE,
        "Upsample(scale_factor=1.6, recompute_scale_factor=True)", ""),
    (lambda x, m: F.upsample(x, scale_factor=3), PLANE, "Upsample(scale_factor=3.0)", ""),
    (lambda x, m: F.upsample_nearest(x, scale_factor=2), PLANE, "Upsample(scale_factor=2.0)", ""),
    (lambda x, m: F.upsample_bilinear(x, (9, 7)), PLANE, "Upsample(size=(9, 7), mode='bilinear', align_corners=True)", ""),
    (lambda x, m: F.interpolate(x, size=x.shape[2:]), PLANE, "Upsample(scale_factor=1.0)", AXES),
    (lambda x, m: F.interpolate(x, size=x.shape[2:]), SPACE, "Upsample(scale_factor=1.0)", AXES),
    (lambda x, m: F.interpolate(x, size=x.size(2) * 2), LINE, "Upsample(scale_factor=2.0)", AXES),
    (lambda x, m: F.interpolate(x, size=(x.size(2) * 2,)), LINE, "Upsample(scale_factor=2.0)", AXES),
    (lambda x, m: F.interpolate(x, size=(x.size(2), 2 * x.size(3), x.size(4) // 2)), SPACE,
        "Upsample(scale_factor=(1.0, 2.0, 0.5))", AXES),
    (lambda x, m: F.interpolate(x, size=(x.size(2) * 3 // 4, x.size(3) * 3 // 4)), PLANE,
        "Upsample(scale_factor=0.75)", AXES),
    (lambda x, m: F.interpolate(x, size=(x.size(2) * 2, x.size(2) * 2)), PLANE, "interpolate", AXES),
    (lambda x, m: F.interpolate(x, size=(x.size(2) * 2 + 1, x.size(3))), PLANE, "interpolate", AXES),
    (lambda x, m: F.interpolate(x, size=((x.size(2) + 1) // 2, x.size(3))), PLANE, "interpolate", AXES),
    (lambda x, m: F.interpolate(m.conv(x), size=x.shape[2:]), PLANE, "Conv2d(4, 4, 1); MatchSize()", ""),
    (lambda x, m: F.interpolate(F.relu(x), size=x.size(2)), LINE, "ReLU(); MatchSize()", COMPUTED),
    (lambda x, m: F.interpolate(F.relu(x), size=(x.size(2),)), LINE, "ReLU(); MatchSize()", ""),
    (lambda x, m: F.interpolate(F.relu(x), size=x.shape[-1:]), LINE, "ReLU(); MatchSize()", ""),
    (lambda x, m: F.interpolate(F.relu(x), size=x.shape[-3:]), SPACE, "ReLU(); MatchSize()", ""),
    (lambda x, m: F.interpolate(F.relu(x), size=(x.size(2), x.size(3), x.size(4))), SPACE, "ReLU(); MatchSize()", ""),
    (lambda x, m: F.interpolate(F.relu(x), size=(x.size(3), x.size(2))), PLANE, "ReLU(); interpolate", COMPUTED),
    (lambda x, m: F.interpolate(F.relu(x), size=(x.size(1), x.size(2))), PLANE, "ReLU(); interpolate", COMPUTED),
    (lambda x, m: F.interpolate(F.relu(x), size=(x.size(2), 1 + x.size(3))), PLANE, "ReLU(); interpolate", COMPUTED),
    (lambda x, m: between(x), PLANE, "MaxPool2d(kernel_size=(2, 1)); AvgPool2d(kernel_size=2); MatchSize()", COMPUTED),
    (lambda x, m: widened(F.max_pool2d(x, 2), x), PLANE, f"{POOL}; interpolate", COMPUTED),
    (lambda x, m: F.interpolate(F.max_pool2d(m.conv(x)[:, :2], 2), size=x.shape[2:]), PLANE,
        f"Conv2d(4, 4, 1); Narrow(0, 2); {POOL}; MatchSize()", CHANNELS),
    (lambda x, m: F.pad(m.conv(x), (1, 2)), PLANE, "Conv2d(4, 4, 1); ZeroPad2d((1, 2, 0, 0))", ""),
    (lambda x, m: F.pad(m.conv(x), (1, 2, 3, 4), "constant", 0), PLANE, "Conv2d(4, 4, 1); ZeroPad2d((1, 2, 3, 4))", ""),
    (lambda x, m: F.pad(m.conv(x), pad=(1, 2, 0, 1), value=3), PLANE,
        "Conv2d(4, 4, 1); ConstantPad2d((1, 2, 0, 1), value=3.0)", ""),
    (lambda x, m: F.pad(x, (1, 2)), LINE, "ZeroPad1d((1, 2))", AXES),
    (lambda x, m: F.pad(x, (1, 2)), SPACE, "ZeroPad3d((1, 2, 0, 0, 0, 0))", AXES),
    (lambda x, m: F.pad(x, (1, 2, 0, 1, 0, 3)), SPACE, "ZeroPad3d((1, 2, 0, 1, 0, 3))", AXES),
    (lambda x, m: F.pad(x, (1, 1, 0, 2)), LINE, "pad", AXES),
]  # fmt: skip

JOINED: list[Row] = [
    (lambda x, m: torch.cat([x, x]), PLANE, "Concat(dim=0)", ""),
    (lambda x, m: torch.cat(tensors=[x, x], dim=1), PLANE, "Concat()", ""),
    (lambda x, m: torch.cat((x, x, x), axis=1), PLANE, "Concat()", ""),
    (lambda x, m: torch.concat((x, x), -2), PLANE, "Concat(dim=-2)", ""),
    (lambda x, m: x / 2 * m.gain * m.nought, PLANE, "", ""),
    (lambda x, m: torch.maximum(x, F.relu(x)) / (x + 1), PLANE, "ReLU(); Add(); Multiply()", ""),
    (lambda x, m: F.relu(x.to(x.dtype).data), PLANE, "ReLU()", ""),
    (lambda x, m: F.relu(x.mT), PLANE, "getattr; ReLU()", "returns no tensor that depends on its input"),
    (lambda x, m: x * x.dim() + x.ndim, PLANE, "", ""),
]  # fmt: skip

CONV = "Conv2d(4, 4, 1)"
MORE_VIEWS: list[Row] = [
    (lambda x, m: torch.flatten(x), PLANE, "Flatten(start_dim=0)", ""),
    (lambda x, m: x.flatten(1, 2), PLANE, "Flatten(end_dim=2)", ""),
    (lambda x, m: torch.flatten(x, start_dim=-2, end_dim=-1), PLANE, "Flatten(start_dim=-2)", ""),
    (lambda x, m: torch.unflatten(x, dim=1, sizes=(2, 2)), PLANE, "Unflatten(1, (2, 2))", ""),
    (lambda x, m: x.flatten(x.dim() - 2), PLANE, "flatten", "a parameter that depends on a tensor"),
    (lambda x, m: F.linear(x.amax((2, 3)), m.head).view(x.size(0), -1), PLANE,
        "AdaptiveMaxPool2d(output_size=1); Flatten(); Linear(4, 5, bias=False)", ""),
    (lambda x, m: x.view(-1, 768), PLANE, "Flatten()", ""),
    (lambda x, m: x.flatten(1).view(x.size(0), 4, 12, 16), PLANE, "Flatten(); Unflatten(1, (4, 12, 16))", ""),
    (lambda x, m: x.flatten(1).view(x.size(0), 4, -1), PLANE, "Flatten(); Unflatten(1, (4, -1))", ""),
    (lambda x, m: x.flatten(1).view(-1, 4, 192), PLANE, "Flatten(); Unflatten(1, (4, 192))", ""),
    (lambda x, m: x.flatten(1).view(x.size(0), x.size(1), -1), PLANE, "Flatten(); view", SIZES),
    (lambda x, m: x.flatten(1).view(x.size(0), x.size(1), x.size(2), 16), PLANE, "Flatten(); view", SIZES),
    (lambda x, m: x.flatten(1).view(-1, 4, x.size(2), 16), PLANE, "Flatten(); Unflatten(1, (4, -1, 16))", ""),
    (lambda x, m: m.conv(x).view(x.size(0), x.size(1), -1), PLANE, f"{CONV}; Flatten(start_dim=2)", ""),
    (lambda x, m: m.conv(x).view(x.size(0), 4, -1), PLANE, f"{CONV}; Flatten(start_dim=2)", SIZES),
    (lambda x, m: m.conv(x).view(x.size(0), x.size(1), 192), PLANE, f"{CONV}; Flatten(start_dim=2)", SIZES),
    (lambda x, m: m.conv(x).reshape(x.size(0), x.size(1), -1, 1), PLANE, f"{CONV}; reshape", SIZES),
    (lambda x, m: x.view(F.relu(x).shape), PLANE, "", "to a shape that is computed"),
    (lambda x, m: x.view(x.size(0), 2, 2, -1), PLANE, "view", AXES),
    (lambda x, m: torch.permute(x, (0, 2, 3, 1)), PLANE, "Permute((0, 2, 3, 1))", ""),
    (lambda x, m: x.permute([0, 3, 1, 2]), PLANE, "Permute((0, 3, 1, 2))", ""),
    (lambda x, m: x.permute(dims=(0, 3, 1, 2)), PLANE, "Permute((0, 3, 1, 2))", ""),
    (lambda x, m: x.permute(0, x.dim() - 1, 1, 2), PLANE, "permute", "computed axes"),
    (lambda x, m: m.conv(x).swapaxes(1, 2), PLANE, f"{CONV}; Permute((0, 2, 1, 3))", ""),
    (lambda x, m: m.conv(x).transpose(dim0=-1, dim1=-2), PLANE, f"{CONV}; Permute((0, 1, 3, 2))", ""),
    (lambda x, m: x.expand(x.shape), PLANE, "", COMPUTED),
    (lambda x, m: x.expand(1, 4, 12, 16), PLANE, "", COMPUTED),
    (lambda x, m: x.amax((2, 3), True).expand(1, 4, 12, 16), PLANE, "AdaptiveMaxPool2d(output_size=1); expand", COMPUTED),
    (lambda x, m: x.amax((2, 3), True).expand(x.shape), PLANE, "AdaptiveMaxPool2d(output_size=1); MatchSize()", COMPUTED),
    (lambda x, m: x.amax((2, 3), True).expand_as(x), PLANE, "AdaptiveMaxPool2d(output_size=1); MatchSize()", ""),
    (lambda x, m: x[..., None], PLANE, "Unflatten(3, (-1, 1))", SIZES),
    (lambda x, m: x[:, None], PLANE, "Unflatten(1, (1, 4))", SIZES),
]  # fmt: skip

REDUCED: list[Row] = [
    (lambda x, m: m.conv(x).mean(-1), PLANE, f"{CONV}; mean", "axes other than all spatial ones"),
    (lambda x, m: x.mean(), PLANE, "mean", "axes other than all spatial ones"),
    (lambda x, m: x.mean((1, 2, 3)), PLANE, "mean", "axes other than all spatial ones"),
    (lambda x, m: m.conv(x).amax((1, 2)), PLANE, f"{CONV}; amax", "axes other than all spatial ones"),
    (lambda x, m: m.conv(x).mean((2, 3)), PLANE, f"{CONV}; AdaptiveAvgPool2d(output_size=1); Flatten()", ""),
    (lambda x, m: x.mean(2), LINE, "AdaptiveAvgPool1d(output_size=1); Flatten()", ""),
    (lambda x, m: x.mean(-1, True), LINE, "AdaptiveAvgPool1d(output_size=1)", ""),
    (lambda x, m: x.mean((2, 3, 4)), SPACE, "AdaptiveAvgPool3d(output_size=1); Flatten()", ""),
    (lambda x, m: x.amax(dim=(-1, -3, -2), keepdim=True), SPACE, "AdaptiveMaxPool3d(output_size=1)", ""),
]  # fmt: skip

PIECES: list[Row] = [
    (lambda x, m: x.chunk(3, 1)[0], PLANE, "Narrow(0, 2)", CHANNELS),
    (lambda x, m: x.chunk(3, 1)[1], PLANE, "Narrow(2, 2)", CHANNELS),
    (lambda x, m: x.chunk(4, -2)[2], LINE, "Narrow(2, 1)", CHANNELS),
    (lambda x, m: x.chunk(1)[0], PLANE, "chunk", CHANNELS),
    (lambda x, m: torch.split(x, [1, 3], dim=1)[1], PLANE, "Narrow(1, 3)", CHANNELS),
    (lambda x, m: torch.split(x, split_size_or_sections=2, dim=-3)[1], PLANE, "Narrow(2, 2)", CHANNELS),
    (lambda x, m: x.split(3, 1)[0], PLANE, "Narrow(0, 3)", CHANNELS),
    (lambda x, m: x.split(3, 1)[1], PLANE, "Narrow(3, 1)", CHANNELS),
    (lambda x, m: x.split_with_sizes([1, 2, 1], 1)[2], PLANE, "Narrow(3, 1)", CHANNELS),
    (lambda x, m: x.split(x.size(1) // 2, 1)[1], PLANE, "Narrow(2, 2)", CHANNELS),
    (lambda x, m: x.split(x.size(2) // 6, 1)[1], PLANE, "split", CHANNELS),
    (lambda x, m: x.split((x.size(2) - 1) // 12 + 2, 1)[1], PLANE, "split", CHANNELS),
    (lambda x, m: x.narrow(-3, 1, 2), PLANE, "Narrow(1, 2)", AXES),
    (lambda x, m: m.conv(x).narrow(dim=1, start=2, length=1), PLANE, f"{CONV}; Narrow(2, 1)", ""),
    (lambda x, m: m.conv(x).narrow(2, 1, 2), PLANE, f"{CONV}; narrow", "an axis other than the channels"),
]  # fmt: skip

SLICES: list[Row] = [
    (lambda x, m: m.conv(x)[..., ::2, ::3], PLANE, f"{CONV}; AvgPool2d(kernel_size=1, stride=(2, 3))", ""),
    (lambda x, m: m.conv(x)[:, ..., 1:], PLANE, f"{CONV}; ZeroPad2d((-1, 0, 0, 0))", ""),
    (lambda x, m: m.conv(x)[..., 1:-1, :], PLANE, f"{CONV}; ZeroPad2d((0, 0, -1, -1))", ""),
    (lambda x, m: m.conv(x)[:, :, 2:], PLANE, f"{CONV}; ZeroPad2d((0, 0, -2, 0))", ""),
    (lambda x, m: m.conv(x)[0:], PLANE, CONV, ""),
    (lambda x, m: m.conv(x)[0::1, ::1], PLANE, CONV, ""),
    (lambda x, m: m.conv(x)[::1, 0::1], PLANE, CONV, ""),
    (lambda x, m: m.conv(x)[:, 0:, ...], PLANE, CONV, ""),
    (lambda x, m: m.conv(x)[1:], PLANE, f"{CONV}; getitem", "a slice of the batch"),
    (lambda x, m: m.conv(x)[::2], PLANE, f"{CONV}; getitem", "a slice of the batch"),
    (lambda x, m: m.conv(x)[:, ::2], PLANE, f"{CONV}; getitem", "computed or has a step"),
    (lambda x, m: m.conv(x)[:, : x.size(1) // 2], PLANE, f"{CONV}; getitem", "computed or has a step"),
    (lambda x, m: x[:, 1:3:1], PLANE, "Narrow(1, 2)", AXES),
    (lambda x, m: m.conv(x)[:, 1:], PLANE, f"{CONV}; Narrow(1, 3)", CHANNELS),
    (lambda x, m: m.conv(x)[:, :, -3:], PLANE, f"{CONV}; getitem", "a slice of a fixed size"),
    (lambda x, m: m.conv(x)[:, :, :0], PLANE, f"{CONV}; getitem", "a slice of a fixed size"),
    (lambda x, m: m.conv(x)[:, :, :12], PLANE, f"{CONV}; getitem", "a slice of a fixed size"),
    (lambda x, m: m.conv(x)[:, :, 2], PLANE, f"{CONV}; getitem", "an index that is not a slice"),
    (lambda x, m: x[:, :, x.size(2) // 2:], PLANE, "getitem", AXES),
    (lambda x, m: x[:, :, x.size(2) - 5:], PLANE, "getitem", AXES),
    (lambda x, m: x[:, :, : x.size(2) + 1], PLANE, "getitem", AXES),
    (lambda x, m: x[:, :, : x.size(2)], PLANE, "", AXES),
    (lambda x, m: x[:, :, 0 * x.size(2) + 2:], PLANE, "ZeroPad2d((0, 0, -2, 0))", AXES),
    (lambda x, m: x[:, :, 1: x.size(2) - 1], PLANE, "ZeroPad2d((0, 0, -1, -1))", AXES),
    (lambda x, m: x[:, :, x.ndim - 2: x.size(2) - 1], PLANE, "ZeroPad2d((0, 0, -2, -1))", AXES),
    (lambda x, m: x[:, :, x.dim() - 1:], PLANE, "ZeroPad2d((0, 0, -3, 0))", AXES),
    (lambda x, m: x[:, :, ::x.dim()], PLANE, "getitem", AXES),
    (lambda x, m: x[:, :, 2:-1], LINE, "ZeroPad1d((-2, -1))", AXES),
    (lambda x, m: x[..., 1:, :, ::2], SPACE, "ZeroPad3d((0, 0, 0, 0, -1, 0)); AvgPool3d(kernel_size=1, stride=(1, 1, 2))", AXES),
]  # fmt: skip

ROWS = [*NORMS, *POOLS, *SIZED, *WEIGHTS, *RESIZED, *JOINED, *MORE_VIEWS, *REDUCED, *PIECES, *SLICES]
NAMES = [f"{number}: {expected}" for number, (_, _, expected, _) in enumerate(ROWS)]


def told(net: ca.Network) -> str:
    """The layers of a network; of those that are only recorded, the name of the function."""
    each = (node.layer for node in net.nodes)
    return "; ".join(layer.name if isinstance(layer, Recorded) else str(layer) for layer in each)


@pytest.mark.parametrize(("function", "shape", "expected", "_missing"), ROWS, ids=NAMES)
def test_a_function_is_its_layers(
    function: Callable[..., Any], shape: tuple[int, ...], expected: str, _missing: str
) -> None:
    net = read(function, shape)
    assert told(net) == expected
    assert net.output_shape(shape, batched=True) == torch_shape(function, shape)
    if any(isinstance(node.layer, Recorded) for node in net.nodes):
        return
    for batch, more in ((1, 3), (2, 1), (3, 0)):
        other = (batch, shape[1], *(size + more for size in shape[2:]))
        theirs = torch_shape(function, other)
        if theirs is not None:
            assert net.output_shape(other, batched=True) == theirs


@pytest.mark.parametrize(("function", "shape", "expected", "missing"), ROWS, ids=NAMES)
def test_without_a_run_it_is_the_same_or_the_error_says_what_is_missing(
    function: Callable[..., Any], shape: tuple[int, ...], expected: str, missing: str
) -> None:
    if not missing:
        assert told(read(function)) == expected
        return
    with pytest.raises(ca.ParameterError, match=re.escape(missing)):
        read(function)


LOOKED_AT = {"size", "shape", "dim", "ndim", "data", "mT", "between", "widened", "unpooled", "unpooled_by_module"}
"""What a function asks for if it computes with sizes, which are numbers in a run."""


@pytest.mark.parametrize(("function", "shape", "expected", "_missing"), ROWS, ids=NAMES)
def test_recorded_from_one_run_it_has_torchs_shape(
    function: Callable[..., Any], shape: tuple[int, ...], expected: str, _missing: str
) -> None:
    net = read(function, shape, traceable=False)
    assert net.output_shape(shape, batched=True) == torch_shape(function, shape)
    if not LOOKED_AT & set(function.__code__.co_names):
        assert told(net) == expected
    assert net.remarks[0].startswith("recorded from one run")


@pytest.mark.parametrize(
    ("function", "remarks"),
    [
        (lambda x, m: x * m.tall, ("mul: a tensor of 4 numbers is not part of any layer",)),
        (lambda x, m: m.tall - x, ("sub: a tensor of 4 numbers is not part of any layer",)),
        (lambda x, m: x + m.mean[:, None, None], ("add: a tensor of 4 numbers is not part of any layer",)),
        (lambda x, m: x * m.gain + m.nought, ()),
        (lambda x, m: x + torch.rand_like(x), ()),
    ],
)
def test_a_remark_names_a_tensor_that_no_layer_has(function: Callable[..., Any], remarks: tuple[str, ...]) -> None:
    assert read(function, PLANE).remarks == remarks


def of_size(value: Callable[[int], int], axis: int = 2) -> Sized:
    return Sized(lambda shape_of: value(shape_of("x")[axis]), frozenset({"x"}))


def resizing(rank: int = 4) -> Call:
    return Call("up", "up", (Stream("x"),), {}, Builder(ranks={"x": rank}), None, 0)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_value_that_is_no_factor_of_the_size_is_noticed(axis: int) -> None:
    """Whatever the period of the deviation from a factor or from a fixed position is, up to 8."""
    call = resizing()
    assert scale(call, of_size(lambda size: 3 * size, axis), axis) == 3
    assert scale(call, of_size(lambda size: size // 1024, axis), axis) == 1 / 1024
    with pytest.raises(Unclear, match="up takes its size from a computation"):
        scale(call, of_size(lambda size: size // 2048, axis), axis)
    for period in range(2, 9):
        for phase in range(period):
            value = of_size(lambda size, period=period, phase=phase: size + (size % period == phase), axis)
            with pytest.raises(Unclear, match="up takes its size from a computation"):
                scale(call, value, axis)
            for of_end in (False, True):
                with pytest.raises(Unclear, match="up cuts at a position that is computed from the size"):
                    offset(call, value, axis, of_end)


def test_a_slice_begins_at_a_position_and_ends_before_the_end() -> None:
    call = resizing(5)
    for axis in (2, 3, 4):
        assert offset(call, 7, axis, of_end=False) == 7
        assert offset(call, of_size(lambda size: size - 4, axis), axis, of_end=True) == -4
        with pytest.raises(Unclear):
            offset(call, of_size(lambda size: size - 4, axis), axis, of_end=False)


def test_values_are_immutable() -> None:
    case = Case("ReLU", {}, (1,))
    values = (Stream("x"), Constant(), of_size(abs), resizing(), case, Mismatch(case, (1,), (2,)))
    for value in values:
        with pytest.raises(FrozenInstanceError):
            setattr(value, next(iter(type(value).__dataclass_fields__)), None)
