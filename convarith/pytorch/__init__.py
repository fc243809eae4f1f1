"""The bridge to torch: a module as a layer, a layer as a module. torch is imported by the functions that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convarith.errors import MissingDependencyError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.registry import build, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from torch import Tensor, nn

    from convarith.networks.network import Network


def require_torch() -> ModuleType:
    """torch itself, or MissingDependencyError with the line that installs it."""
    try:
        import torch
    except ImportError:
        raise MissingDependencyError(
            "torch is not installed: run  pip install 'convarith[torch]'  in this environment"
        ) from None
    return torch


def from_module(module: nn.Module, input_shape: Sequence[int] | None = None) -> Layer | Network:
    """A torch module: its layer where it is a single one that is known, the network of its graph otherwise.

    The graph is traced symbolically; modules of torch.nn and torch's functions become nodes, named as torch names
    modules ('encoder.0'; a module that is called twice gets a suffix, and its parameters are counted twice).
    Arithmetic with numbers leaves no node. Sizes that are taken from another tensor become MatchSize.

    With `input_shape` (channels first, a batch may be left out) the model also runs once on zeros, in evaluation
    mode, so that the shape at every node is known and compared; an operation that is not known, or disagrees, becomes
    Opaque. A model that cannot be traced is recorded from that run. The module is left as it was.

    Weights that the model passes to a function count as its parameters; other tensors it holds do not, and the
    network's remarks name them. Of several outputs the first is followed.

    Raises ParameterError where a shape is needed and `input_shape` is not given, ShapeError where the model refuses
    it, MissingDependencyError without torch.

    >>> from torch import nn
    >>> from_module(nn.Conv2d(1, 16, 3, stride=2))
    Conv2d(1, 16, 3, stride=2)
    >>> print(from_module(nn.Sequential(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()), nn.MaxPool2d(2))))
    0.0: Conv2d(1, 8, 3)
    0.1: ReLU()
    1: MaxPool2d(kernel_size=2)
    """
    torch = require_torch()
    if not isinstance(module, torch.nn.Module):
        raise ParameterError(f"{type(module).__name__} is no torch.nn.Module: give an instance of one")
    layer = layer_of(module)
    if layer is not None:
        return layer
    from convarith.pytorch.graph import network_of

    return network_of(module, input_shape)


def layer_of(module: nn.Module) -> Layer | None:
    """The layer of a module of torch.nn, or of a class that inherits its forward; None where it is none that is known.

    Raises ParameterError for parameters that are refused here.

    >>> from torch import nn
    >>> layer_of(nn.MaxPool2d(2)), layer_of(nn.LSTM(2, 3))
    (MaxPool2d(kernel_size=2), None)
    """
    for cls in type(module).__mro__:
        name = cls.__name__
        if not cls.__module__.startswith("torch.nn"):
            if {"forward", "_conv_forward", "__call__"} & cls.__dict__.keys():
                return None
            continue
        try:
            _, _, _, parameters = resolve(name)
        except KeyError:
            continue
        return build(name, {word: _value(module, word) for word in parameters if hasattr(module, word)})
    return None


def _value(module: nn.Module, word: str) -> Any:
    value = getattr(module, word)
    if word == "bias":  # a parameter, or None
        return value is not None
    if word == "unflattened_size":
        return tuple(value)
    return value


def to_module(layer: Layer) -> nn.Module:
    """The torch module of a layer, its weights as torch initialises them.

    A padding that differs between the sides becomes a Sequential of padding and convolution; ZeroInsert, which torch
    does not have, a small module.

    Raises ParameterError while the dimension or a channel count is open, MissingDependencyError without torch.

    >>> import convarith as ca
    >>> to_module(ca.parse("Conv2d(1, 16, 3)"))
    Conv2d(1, 16, kernel_size=(3, 3), stride=(1, 1))
    """
    torch = require_torch()
    from convarith.layers.convolution import Conv, ConvolutionLayer
    from convarith.layers.padding import Pad
    from convarith.layers.resampling import ZeroInsert

    if layer.dimensions and layer.ndim is None:
        raise ParameterError(f"{layer} has no dimension: give ndim, or write it as {layer.torch_name}2d(...)")
    arguments = dict(layer.arguments())
    if isinstance(layer, ZeroInsert):
        return _zero_insert(layer)
    if isinstance(layer, ConvolutionLayer):
        for name in ("in_channels", "out_channels"):
            if name not in arguments:
                raise ParameterError(f"{layer} has no {name}: torch needs them")
    if isinstance(layer, Conv):
        pads = [layer.pads(axis) for axis in range(layer.ndim or 0)]
        if isinstance(layer.padding, tuple) and any(not isinstance(entry, int) for entry in layer.padding):
            arguments.pop("padding")
            mode = arguments.pop("padding_mode", "zeros")
            pad = Pad(padding=tuple(pads), mode=mode, ndim=layer.ndim)
            return torch.nn.Sequential(to_module(pad), getattr(torch.nn, layer.name)(**arguments))  # type: ignore[no-any-return]
    if not hasattr(torch.nn, layer.name):
        raise ParameterError(f"torch has no module for {layer}: write it in the forward method")
    return getattr(torch.nn, layer.name)(**arguments)  # type: ignore[no-any-return]


def _zero_insert(layer: Any) -> nn.Module:
    from torch import nn

    strides = [layer.at("stride", axis) for axis in range(layer.ndim)]

    class ZeroInsert(nn.Module):
        """Bed of nails: each value at the first corner of a block of zeros."""

        def forward(self, values: Tensor) -> Tensor:
            lead, sizes = values.shape[: -len(strides)], values.shape[-len(strides) :]
            nails = values.new_zeros(*lead, *(size * stride for size, stride in zip(sizes, strides, strict=True)))
            corners = nails
            for axis, stride in enumerate(strides, start=len(lead)):
                corners = corners[(slice(None),) * axis + (slice(None, None, stride),)]
            corners.copy_(values)
            return nails

    return ZeroInsert()
