"""One module of torch.nn as a layer, and one layer as a module of torch.nn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convarith.dependencies import require_torch
from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.registry import build, resolve

if TYPE_CHECKING:
    from torch import nn


def layer_of(module: nn.Module) -> Layer | None:
    """Return the layer of a module of torch.nn, or of a subclass that inherits its forward; None if it is unknown.

    Raises ParameterError for parameters that the layer does not accept.

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
        return build(name, {word: _argument(module, word) for word in parameters if hasattr(module, word)})
    return None


def _argument(module: nn.Module, word: str) -> Any:
    """The argument that the module was made with, as far as its attribute of that name tells."""
    value = getattr(module, word)
    if word == "bias":  # the attribute is a parameter or None
        return value is not None
    if word == "unflattened_size":
        return tuple(value)
    return value


def to_module(layer: Layer) -> nn.Module:
    """Return the torch module of a layer, with the weights that torch gives a new module.

    A Conv whose padding differs between the two sides of an axis becomes a Sequential of padding and convolution.
    Layers that torch.nn does not have, such as ZeroInsert, become small modules.

    Raises ParameterError if the dimension or a channel count is open, MissingDependencyError without torch.

    >>> import convarith as ca
    >>> to_module(ca.parse("Conv2d(1, 16, 3)"))
    Conv2d(1, 16, kernel_size=(3, 3), stride=(1, 1))
    """
    require_torch()
    import torch

    from convarith.layers.convolution import Conv, ConvolutionLayer
    from convarith.layers.padding import Pad

    if layer.dimensions and layer.ndim is None:
        raise ParameterError(f"{layer} has no dimension: give ndim, or write it as {layer.torch_name}2d(...)")
    arguments = dict(layer.arguments())
    if layer.torch_module:
        return _own_module(layer)
    if isinstance(layer, ConvolutionLayer):
        for name in ("in_channels", "out_channels"):
            if name not in arguments:
                raise ParameterError(f"{layer} has no {name}: a torch module needs both channel counts")
    if (
        isinstance(layer, Conv)
        and isinstance(layer.padding, tuple)
        and any(not isinstance(entry, int) for entry in layer.padding)
    ):
        arguments.pop("padding")
        pads = tuple(layer.pads(axis) for axis in range(len(layer.padding)))
        pad = Pad(padding=pads, mode=arguments.pop("padding_mode", "zeros"), ndim=layer.ndim)
        convolution: nn.Module = getattr(torch.nn, layer.name)(**arguments)
        return torch.nn.Sequential(to_module(pad), convolution)
    if not hasattr(torch.nn, layer.name):
        raise ParameterError(f"torch has no module for {layer}: write it in the forward method")
    module: nn.Module = getattr(torch.nn, layer.name)(**arguments)
    return module


def _own_module(layer: Layer) -> nn.Module:
    """The module of a layer that torch.nn does not have, from the source that generated code contains, too."""
    from torch import Tensor, nn

    names: dict[str, Any] = {"nn": nn, "Tensor": Tensor}
    exec(layer.torch_module, names)
    module: nn.Module = names[layer.torch_name](*layer.torch_arguments())
    return module
